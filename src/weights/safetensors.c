/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors: 8 bytes that say how long the header is, the header (JSON: {name: {dtype, shape, data_offsets}}), the tensors' bytes.
 * As in huggingface/safetensors 0.5, bytes must belong to exactly one tensor: no overlap, no hole, nothing behind the last. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_stream.h"
#include "weights/safetensors_write.h"
#include "weights/weights_inside.h"

enum { MOST_HEADER = 100000000 };
#define MOST_OFFSET INT64_MAX

typedef struct {
    weights *w;
    const char *what, *prefix;
    const uint8_t *header;             /* what of it json_stream has not read */
    size_t left;
    const uint8_t *bytes;              /* behind the header */
    size_t size;                       /* as many as the file has */
} reader;

static long read_header(void *context, void *buffer, size_t size) {
    reader *r = context;
    size_t n = r->left < size ? r->left : size;
    if (n) memcpy(buffer, r->header, n);
    r->header += n;
    r->left -= n;
    return (long)n;
}

static int read_pair(void *context, const json_at *field) {
    const reader *r = context;
    const char *value;
    int rc = json_need_string(field, &value);
    return rc < 0 ? rc : weights_add_metadata(r->w, field->key, value);
}

static int read_type(const json_at *at, stored_type *type) {
    json_at field;
    const char *name;
    int rc = json_need_field(at, "dtype", &field);
    if (rc == 0) rc = json_need_string(&field, &name);
    if (rc == 0 && !stored_type_parse(name, strlen(name), type)) rc = json_error(&field, ERR_UNSUPPORTED, "\"%.40s\" is no type that mien knows", name);
    return rc;
}

static int read_shape(const json_at *at, stored_tensor *t) {
    json_at field;
    size_t n;
    long long dim;
    int rc = json_need_field(at, "shape", &field);
    if (rc == 0) rc = json_need_array(&field, 0, STORED_MAX_RANK, &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        json_at item = json_item(&field, i);
        rc = json_need_integer(&item, 0, MOST_OFFSET, &dim);
        if (rc == 0) t->dim[t->rank++] = (size_t)dim;
    }
    return rc;
}

static int read_offsets(const json_at *at, size_t *from, size_t *to) {
    json_at field;
    size_t n;
    long long value[2];
    int rc = json_need_field(at, "data_offsets", &field);
    if (rc == 0) rc = json_need_array(&field, 2, 2, &n);
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        json_at item = json_item(&field, i);
        rc = json_need_integer(&item, 0, MOST_OFFSET, &value[i]);
    }
    if (rc == 0 && value[0] > value[1]) rc = json_error(&field, ERR_FORMAT, "the bytes end (%lld) before they begin (%lld)", value[1], value[0]);
    if (rc < 0) return rc;
    *from = (size_t)value[0];
    *to = (size_t)value[1];
    return 0;
}

/* t->data is where the file would have it, be it there or not: check_places knows what to say. */
static int read_tensor(const reader *r, const char *key, const json *value) {
    json_at at = json_root(value);
    stored_tensor t = { 0 };
    size_t from = 0, to = 0, bytes;
    int rc = json_need_object(&at);
    if (rc == 0) rc = read_type(&at, &t.type);
    if (rc == 0) rc = read_shape(&at, &t);
    if (rc == 0) rc = read_offsets(&at, &from, &to);
    if (rc < 0) return rc;
    t.name = arena_printf(&r->w->memory, "%s%s", r->prefix, key);
    if (!t.name) return ERR_MEMORY;
    if ((rc = stored_bytes(r->what, &t, &bytes)) < 0) return rc;
    if (bytes != to - from)
        return json_error(&at, ERR_FORMAT, "type and shape ask for %zu bytes, data_offsets say %zu", bytes, to - from);
    t.bytes = bytes;
    t.data = (const void *)from;       /* becomes an address once all are known to be good */
    return weights_add_tensor(r->w, &t);
}

static int read_entries(reader *r) {
    json_stream *s;
    json *value = NULL;
    const char *key;
    int rc = json_stream_new(r->what, SAFETENSORS_ENTRY, read_header, r, &s);
    if (rc < 0) return rc;
    while ((rc = json_stream_next(s, &key, &value)) == 1) {
        if (!value) rc = error_code();
        else if (strcmp(key, "__metadata__") == 0) {
            json_at at = json_root(value);
            rc = json_need_object(&at);
            if (rc == 0) rc = json_each_field(&at, read_pair, r);
        } else rc = read_tensor(r, key, value);
        json_free(value);
        if (rc < 0) break;
    }
    json_stream_free(s);
    return rc;
}

static size_t offset(const stored_tensor *t) { return (size_t)t->data; }

static int by_place(const void *a, const void *b) {
    const stored_tensor *p = a, *q = b;
    if (offset(p) != offset(q)) return offset(p) < offset(q) ? -1 : 1;
    if (p->bytes != q->bytes) return p->bytes < q->bytes ? -1 : 1;
    return strcmp(p->name, q->name);   /* of empty ones */
}

/* Every byte behind the header belongs to one tensor. */
static int check_places(const reader *r, size_t first) {
    stored_tensor *t = r->w->tensor + first;
    size_t n = r->w->count - first, end = 0;
    if (n) qsort(t, n, sizeof *t, by_place);
    for (size_t i = 0; i < n; i++) {
        if (offset(&t[i]) > r->size || t[i].bytes > r->size - offset(&t[i]))
            return error_set(ERR_FORMAT, "%s: tensor \"%.200s\" would end at byte %zu of the data, of which the file has %zu: it is cut short, or its header is wrong",
                             r->what, t[i].name, offset(&t[i]) + t[i].bytes, r->size);
        if (offset(&t[i]) < end) {
            const stored_tensor *before = &t[i - 1];
            return error_set(ERR_FORMAT, "%s: tensors \"%.200s\" and \"%.200s\" overlap", r->what, before->name, t[i].name);
        }
        if (offset(&t[i]) > end)
            return error_set(ERR_FORMAT, "%s: %zu bytes before tensor \"%.200s\" belong to none", r->what, offset(&t[i]) - end, t[i].name);
        end += t[i].bytes;
    }
    if (end < r->size) return error_set(ERR_FORMAT, "%s: the last %zu bytes belong to no tensor", r->what, r->size - end);
    for (size_t i = 0; i < n; i++) t[i].data = t[i].bytes ? r->bytes + offset(&t[i]) : NULL;
    return 0;
}

int safetensors_read(weights *w, const char *what, const char *prefix, const uint8_t *data, size_t size) {
    uint64_t header;
    if (size < sizeof header) return error_set(ERR_FORMAT, "%s: too short for a safetensors file", what);
    memcpy(&header, data, sizeof header);
    header = le64toh(header);
    if (header > MOST_HEADER) return error_set(ERR_FORMAT, "%s: the header claims %llu bytes; safetensors allows 100 million", what, (unsigned long long)header);
    if (header > size - sizeof header)
        return error_set(ERR_FORMAT, "%s: the header claims %llu bytes, the file has %zu: it is cut short", what, (unsigned long long)header, size - sizeof header);
    if (header == 0 || data[sizeof header] != '{') return error_set(ERR_FORMAT, "%s: the header does not begin with {", what);
    reader r = { w, what, prefix, data + sizeof header, header, data + sizeof header + header, size - sizeof header - header };
    size_t first = w->count;
    int rc = read_entries(&r);
    return rc < 0 ? rc : check_places(&r, first);
}
