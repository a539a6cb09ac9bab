/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists in JSON: the original's metadata.json, which is one object of objects, and JSON lines. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "data/list_inside.h"

static void take(void *context, const char *key, json_field_kind kind, const char *value, size_t size) {
    list *l = context;
    list_field field;
    int rank;
    if (!list_field_called(key, &field, &rank) || (field == LIST_ID && l->kind == LIST_KIND_DOCUMENT)) return;
    if (field == LIST_URL && kind == FIELD_TEXT && strcmp(key, "url") == 0) l->own_url = true;
    list_take(l, field, rank, kind, value, size);
}

/* 0, or ERR_MEMORY; an object that is none makes the item wrong. */
static int read_fields(list *l, const char *data, size_t size, list_item *out) {
    l->bytes = data;
    l->bytes_size = size;
    int rc = json_fields_read(l->fields, data, size, take, l);
    if (rc != ERR_FORMAT) return rc;
    snprintf(l->why, sizeof l->why, "%s", error_message());
    out->wrong = l->why;
    return 0;
}

int list_json_begin(list *l) {
    l->fields = json_fields_new();
    return l->fields ? 0 : ERR_MEMORY;
}

/* ---- metadata.json ------------------------------------------------------------------------------------------------- */

static long read_stream(void *context, void *buffer, size_t size) { return stream_read(context, buffer, size); }

int list_document_begin(list *l) {
    int rc = list_json_begin(l);
    return rc < 0 ? rc : json_stream_new(stream_name(l->in), LIST_ENTRY, read_stream, l->in, &l->document);
}

int list_document_next(list *l, list_item *out) {
    const char *bytes;
    size_t size;
    int rc = json_stream_next(l->document, &out->id, NULL);
    if (rc <= 0) return rc;
    out->line = ++l->number;
    json_stream_bytes(l->document, &bytes, &size);
    if (size && *bytes != '{') return out->wrong = "an object {...} was expected", 1;
    rc = read_fields(l, bytes, size, out);
    return rc < 0 ? rc : 1;
}

/* ---- JSON lines ---------------------------------------------------------------------------------------------------- */

int list_json_lines_next(list *l, list_item *out) {
    stream_text line;
    int rc;
    do rc = list_line(l, &line, out);
    while (rc == 1 && !out->wrong && strspn(line.text, " \t\r") == line.size);
    if (rc != 1 || out->wrong) return rc;
    l->object.size = 0;
    json_without_nan(line.text, line.size, &l->object);
    rc = text_check(&l->object);
    if (rc == 0) rc = read_fields(l, l->object.data, l->object.size, out);
    return rc < 0 ? rc : 1;
}

/* ---- which of the two ------------------------------------------------------------------------------------------------ */

static void take_first(void *context, const char *key, json_field_kind kind, const char *value, size_t size) {
    (void)key, (void)value, (void)size;
    int *first = context;
    if (*first < 0) *first = (int)kind;
}

/* JSON lines: the first line is a whole object, and there are more. Otherwise it is what the first field's value says: an object's
 * fields are the entry of a list, or its first entry. */
int list_is_document(const uint8_t *data, size_t size, bool all, bool *out) {
    const uint8_t *end = memchr(data, '\n', size);
    size_t line = end ? (size_t)(end - data) : size, rest = line;
    json_fields *f = json_fields_new();
    if (!f) return ERR_MEMORY;
    int first = -1, rc = json_fields_read(f, (const char *)data, line, take_first, &first);
    json_fields_free(f);
    if (rc == ERR_MEMORY) return rc;
    while (rest < size && strchr(" \t\r\n", data[rest])) rest++;
    bool more = rest < size || !all;
    bool object = first < 0 || first == FIELD_OTHER;
    *out = end && rc == 0 && more ? false : end && rc < 0 ? true : object;
    return 0;
}
