/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "weights/safetensors_write.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "weights/weights_inside.h"

enum { ALIGNMENT = 64, MOST_HEADER = 100000000 /* as readers have it */ };

typedef struct { stored_tensor t; size_t declared; } entry;

struct safetensors_writer {
    file_writer *file;
    char *path;
    arena memory;
    entry *list;
    size_t count, room;
    const char **key, **value;
    size_t pairs, pair_room;
    size_t written, total;
    bool begun;
};

int safetensors_create(const char *path, safetensors_writer **out) {
    safetensors_writer *w = calloc(1, sizeof *w);
    if (!w) return error_memory(sizeof *w);
    int rc = (w->path = arena_printf(&w->memory, "%s", path)) ? file_create(path, &w->file) : ERR_MEMORY;
    if (rc < 0) safetensors_abandon(w);
    else *out = w;
    return rc;
}

void safetensors_abandon(safetensors_writer *w) {
    if (!w) return;
    file_abandon(w->file);
    arena_free(&w->memory);
    free(w->list);
    free(w->key);
    free(w->value);
    free(w);
}

static int grow(void **list, size_t used, size_t *room, size_t size) {
    if (used < *room) return 0;
    size_t more = *room ? *room * 2 : 64;
    void *p = reallocarray(*list, more, size);
    if (!p) return error_memory(more * size);
    *list = p;
    *room = more;
    return 0;
}

int safetensors_metadata(safetensors_writer *w, const char *key, const char *value) {
    for (size_t i = 0; i < w->pairs; i++)
        if (strcmp(w->key[i], key) == 0) return 0;
    size_t room = w->pair_room;
    int rc = grow((void **)&w->key, w->pairs, &room, sizeof *w->key);
    if (rc == 0) rc = grow((void **)&w->value, w->pairs, &w->pair_room, sizeof *w->value);
    if (rc < 0) return rc;
    w->key[w->pairs] = arena_printf(&w->memory, "%s", key);
    w->value[w->pairs] = arena_printf(&w->memory, "%s", value);
    return w->key[w->pairs] && w->value[w->pairs++] ? 0 : ERR_MEMORY;
}

int safetensors_declare(safetensors_writer *w, const stored_tensor *t) {
    assert(!w->begun);
    entry e = { *t, w->count };
    int rc = stored_bytes(w->path, t, &e.t.bytes);
    if (rc == 0 && __builtin_add_overflow(w->total, e.t.bytes, &w->total)) rc = error_set(ERR_LIMIT, "%s: would be too large", w->path);
    if (rc == 0) rc = grow((void **)&w->list, w->count, &w->room, sizeof *w->list);
    if (rc < 0) return rc;
    e.t.data = NULL;
    e.t.name = arena_printf(&w->memory, "%s", t->name);
    if (!e.t.name) return ERR_MEMORY;
    w->list[w->count++] = e;
    return 0;
}

static int by_place(const void *a, const void *b) {
    const entry *p = a, *q = b;
    size_t m = stored_type_bytes(p->t.type), n = stored_type_bytes(q->t.type);
    return m != n ? (m > n ? -1 : 1) : strcmp(p->t.name, q->t.name);
}

static int by_name(const void *a, const void *b) { return strcmp((*(const entry *const *)a)->t.name, (*(const entry *const *)b)->t.name); }

static int check_names(const safetensors_writer *w) {
    const entry **sorted = malloc((w->count + 1) * sizeof *sorted);
    if (!sorted) return error_memory((w->count + 1) * sizeof *sorted);
    int rc = 0;
    for (size_t i = 0; i < w->count; i++) sorted[i] = &w->list[i];
    qsort(sorted, w->count, sizeof *sorted, by_name);
    for (size_t i = 1; i < w->count && rc == 0; i++)
        if (strcmp(sorted[i]->t.name, sorted[i - 1]->t.name) == 0) rc = error_set(ERR_FORMAT, "%s: \"%.200s\" would be in it twice", w->path, sorted[i]->t.name);
    free(sorted);
    return rc;
}

static int by_key(const void *a, const void *b, void *context) {
    const safetensors_writer *w = context;
    return strcmp(w->key[*(const size_t *)a], w->key[*(const size_t *)b]);
}

static int write_metadata(const safetensors_writer *w, text *header) {
    size_t *order = malloc((w->pairs + 1) * sizeof *order);
    if (!order) return error_memory((w->pairs + 1) * sizeof *order);
    for (size_t i = 0; i < w->pairs; i++) order[i] = i;
    qsort_r(order, w->pairs, sizeof *order, by_key, (void *)w);
    for (size_t i = 0; i < w->pairs; i++) {
        text_add(header, i ? "," : "\"__metadata__\":{");
        text_json_exact(header, w->key[order[i]]);
        text_add(header, ":");
        text_json_exact(header, w->value[order[i]]);
    }
    if (w->pairs) text_add(header, w->count ? "}," : "}");
    free(order);
    return 0;
}

static void write_entries(const safetensors_writer *w, text *header) {
    size_t at = 0;
    for (size_t i = 0; i < w->count; i++) {
        const stored_tensor *t = &w->list[i].t;
        text_add(header, i ? "," : "");
        text_json_exact(header, t->name);
        text_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", stored_type_name(t->type));
        for (int d = 0; d < t->rank; d++) text_printf(header, d ? ",%zu" : "%zu", t->dim[d]);
        text_printf(header, "],\"data_offsets\":[%zu,%zu]}", at, at + t->bytes);
        at += t->bytes;
    }
}

int safetensors_begin(safetensors_writer *w) {
    assert(!w->begun);
    w->begun = true;
    int rc = check_names(w);
    if (rc < 0) return rc;
    if (w->count) qsort(w->list, w->count, sizeof *w->list, by_place);
    text header = { 0 };
    text_add(&header, "{");
    rc = write_metadata(w, &header);
    if (rc == 0 && header.size > SAFETENSORS_ENTRY)
        rc = error_set(ERR_LIMIT, "%s: its metadata would take %zu bytes, %d are possible", w->path, header.size, SAFETENSORS_ENTRY);
    write_entries(w, &header);
    text_add(&header, "}");
    while ((header.size + 8) % ALIGNMENT && !header.failed) text_add(&header, " ");
    if (rc == 0) rc = text_check(&header);
    if (rc == 0 && header.size > MOST_HEADER) rc = error_set(ERR_LIMIT, "%s: its header would take %zu bytes, %d are possible", w->path, header.size, MOST_HEADER);
    uint64_t size = htole64(header.size);
    if (rc == 0) rc = file_write(w->file, &size, sizeof size);
    if (rc == 0) rc = file_write(w->file, header.data, header.size);
    text_free(&header);
    return rc;
}

size_t safetensors_at(const safetensors_writer *w, size_t i) {
    assert(w->begun && i < w->count);
    return w->list[i].declared;
}

int safetensors_write(safetensors_writer *w, const void *data, size_t bytes) {
    assert(w->begun && bytes <= w->total - w->written);
    w->written += bytes;
    return bytes ? file_write(w->file, data, bytes) : 0;
}

int safetensors_commit(safetensors_writer *w, bool replace) {
    assert(w->begun && w->written == w->total);
    int rc = file_commit(w->file, replace);
    w->file = NULL;
    safetensors_abandon(w);
    return rc;
}
