/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/json_fields.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/error.h"
#include "base/json_stream.h"
#include "base/text.h"

struct json_fields {
    yajl_handle parser;            /* serves one object after the other; NULL after a failure */
    int depth;
    bool whole;
    const char *data;
    size_t size;
    json_fields_take *take;
    void *context;
    const char *why;
    text key, value, clean;
};

static void set(text *t, const char *s, size_t n) {
    t->size = 0;
    char *to = text_room(t, n);
    if (!to) return;
    if (n) memcpy(to, s, n);
    text_grown(t, n);
}

static int give(json_fields *f, json_field_kind kind, const char *s, size_t n) {
    if (f->depth == 0) return f->why = "an object {...} was expected", 0;
    if (f->depth > 1) return 1;
    if (n && kind == FIELD_TEXT && memchr(s, 0, n)) kind = FIELD_OTHER, n = 0;
    set(&f->value, s, n);
    if (f->value.failed || f->key.failed) return 0;
    f->take(f->context, f->key.data, kind, f->value.data, n);
    return 1;
}

static int nothing(void *context) { return give(context, FIELD_NULL, "", 0); }
static int boolean(void *context, int yes) { return give(context, FIELD_BOOL, yes ? "true" : "false", yes ? 4 : 5); }
static int number(void *context, const char *s, size_t n) { return give(context, FIELD_NUMBER, s, n); }
static int string(void *context, const unsigned char *s, size_t n) { return give(context, FIELD_TEXT, (const char *)s, n); }

static int key(void *context, const unsigned char *s, size_t n) {
    json_fields *f = context;
    if (f->depth == 1) set(&f->key, (const char *)s, n && memchr(s, 0, n) ? 0 : n);   /* with a NUL inside it is no name that anyone looks for */
    return 1;
}

static int begin(void *context) {
    json_fields *f = context;
    if (f->depth && !give(f, FIELD_OTHER, "", 0)) return 0;
    f->depth++;
    return 1;
}

static int begin_list(void *context) { return ((json_fields *)context)->depth ? begin(context) : give(context, FIELD_OTHER, "", 0); }

static int end(void *context) {
    json_fields *f = context;
    if (--f->depth) return 1;
    f->whole = true;
    for (size_t i = yajl_get_bytes_consumed(f->parser); i < f->size; i++)
        if (!strchr(" \t\r\n", f->data[i]) || !f->data[i]) return f->why = "there is more behind the object", 0;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = nothing, .yajl_boolean = boolean, .yajl_number = number, .yajl_string = string,
    .yajl_start_map = begin, .yajl_map_key = key, .yajl_end_map = end, .yajl_start_array = begin_list, .yajl_end_array = end,
};

json_fields *json_fields_new(void) {
    json_fields *f = calloc(1, sizeof *f);
    if (!f) error_memory(sizeof *f);
    return f;
}

void json_fields_free(json_fields *f) {
    if (!f) return;
    if (f->parser) yajl_free(f->parser);
    text_free(&f->key);
    text_free(&f->value);
    text_free(&f->clean);
    free(f);
}

static int failed(json_fields *f) {
    unsigned char *text = f->why ? NULL : yajl_get_error(f->parser, 0, NULL, 0);
    char what[256];
    snprintf(what, sizeof what, "%s", f->why ? f->why : text ? (const char *)text : "no JSON");
    what[strcspn(what, "\n")] = 0;
    if (text) yajl_free_error(f->parser, text);
    return f->key.failed || f->value.failed || f->clean.failed ? error_memory(f->size) : error_set(ERR_FORMAT, "%s", what);
}

int json_fields_read(json_fields *f, const char *data, size_t size, json_fields_take *take, void *context) {
    if (!f->parser && (f->parser = yajl_alloc(&callbacks, NULL, f))) yajl_config(f->parser, yajl_allow_multiple_values, 1);
    if (!f->parser) return error_memory(1024);
    f->clean.size = 0;
    bool clean = !memmem(data, size, "NaN", 3) && !memmem(data, size, "Infinity", 8);
    if (!clean) json_without_nan(data, size, &f->clean);
    f->depth = 0;
    f->whole = false;
    f->data = clean ? data : f->clean.data;
    f->size = clean ? size : f->clean.size;
    f->take = take;
    f->context = context;
    f->why = NULL;
    yajl_status status = yajl_status_ok;
    if (f->size && !f->clean.failed) status = yajl_parse(f->parser, (const unsigned char *)f->data, f->size);
    if (status == yajl_status_ok && !f->whole) f->why = f->size ? "the object has no end" : "is empty";
    if (status == yajl_status_ok && f->whole) return 0;
    int rc = failed(f);
    yajl_free(f->parser);
    f->parser = NULL;
    text_free(&f->key), text_free(&f->value), text_free(&f->clean);
    return rc;
}
