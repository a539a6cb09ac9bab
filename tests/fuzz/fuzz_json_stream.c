/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON object from hostile bytes: the same entries however the bytes come, and each one's fields. */
#include <stdlib.h>
#include <string.h>

#include "base/json_fields.h"
#include "base/json_stream.h"

typedef struct { const uint8_t *data; size_t size, piece; } pieces;

static long read_pieces(void *context, void *buffer, size_t size) {
    pieces *p = context;
    size_t n = p->size < p->piece ? p->size : p->piece;
    if (n > size) n = size;
    if (n) memcpy(buffer, p->data, n);
    p->data += n;
    p->size -= n;
    return (long)n;
}

static void take(void *context, const char *key, json_field_kind kind, const char *value, size_t size) {
    (void)kind;
    if (strlen(value) != size) abort();
    text_add(context, key);
}

static void collect(const uint8_t *data, size_t size, size_t piece, text *all) {
    pieces p = { data, size, piece };
    json_stream *s;
    const char *key, *bytes;
    size_t n;
    json *value;
    json_fields *f = json_fields_new();
    if (!f || json_stream_new("fuzz", 300, read_pieces, &p, &s) < 0) abort();
    int rc;
    while ((rc = json_stream_next(s, &key, &value)) == 1) {
        json_stream_bytes(s, &bytes, &n);
        if (n == 0 || n > 300) abort();
        text_printf(all, "%s %zu %d\n", key, n, value != NULL);
        if (value && *bytes == '{' && json_fields_read(f, bytes, n, take, all) < 0) abort();
        json_free(value);
    }
    text_printf(all, "%d", rc);
    json_stream_free(s);
    json_fields_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    text a = { 0 }, b = { 0 };
    collect(data, size, 7, &a);
    collect(data, size, SIZE_MAX, &b);
    if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0) abort();
    text_free(&a);
    text_free(&b);
    return 0;
}
