/* SPDX-License-Identifier: Apache-2.0
 *
 * What was read: tensors by number and by name, metadata, notes; and their files' pages. */
#define _GNU_SOURCE
#include "weights/weights.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "weights/weights_inside.h"

enum { MOST_METADATA = 10000 };   /* each is compared with all before */

weights *weights_new(const char *path, weights_format format) {
    weights *w = calloc(1, sizeof *w);
    if (w) w->path = strdup(path);
    if (!w || !w->path) {
        error_memory(sizeof *w);
        free(w);
        return NULL;
    }
    w->format = format;
    return w;
}

void weights_close(weights *w) {
    if (!w) return;
    for (size_t i = 0; i < w->json_count; i++) json_free(w->json[i].document);
    for (size_t i = 0; i < w->sources; i++) file_map_close(&w->source[i].map);
    free(w->source);
    free(w->tensor);
    free(w->from);
    free(w->by_name);
    free(w->metadata);
    free(w->json);
    free(w->note);
    arena_free(&w->memory);
    free(w->path);
    free(w);
}

/* Room for one more of `size` bytes each. */
static int grow(void **array, size_t count, size_t *room, size_t size) {
    if (count < *room) return 0;
    size_t more = *room ? 2 * *room : 16, bytes;
    void *larger = __builtin_mul_overflow(more, size, &bytes) ? NULL : realloc(*array, bytes);
    if (!larger) return error_memory(more * (unsigned long long)size);
    *array = larger;
    *room = more;
    return 0;
}

static const char *keep(weights *w, const char *s) { return arena_printf(&w->memory, "%s", s); }

int weights_add_source(weights *w, const char *path, file_map map) {
    const char *kept = keep(w, path);
    int rc = kept ? grow((void **)&w->source, w->sources, &w->source_room, sizeof *w->source) : ERR_MEMORY;
    if (rc < 0) file_map_close(&map);
    else w->source[w->sources++] = (weights_source){ kept, map };
    return rc;
}

int weights_add_tensor(weights *w, const stored_tensor *t) {
    size_t room = w->room;
    int rc = w->count < UINT32_MAX ? grow((void **)&w->tensor, w->count, &room, sizeof *w->tensor) : error_set(ERR_LIMIT, "%s: too many tensors", w->path);
    if (rc == 0) rc = grow((void **)&w->from, w->count, &w->room, sizeof *w->from);
    if (rc < 0) return rc;
    w->from[w->count] = (uint32_t)(w->sources ? w->sources - 1 : 0);
    w->tensor[w->count++] = *t;
    return 0;
}

int weights_add_metadata(weights *w, const char *key, const char *value) {
    if (w->metadata_count == MOST_METADATA) return error_set(ERR_LIMIT, "%s: more than %d entries of metadata", w->path, MOST_METADATA);
    if (weights_metadata(w, key)) return 0;
    int rc = grow((void **)&w->metadata, w->metadata_count, &w->metadata_room, sizeof *w->metadata);
    if (rc < 0) return rc;
    weights_pair p = { keep(w, key), keep(w, value) };
    if (!p.key || !p.value) return ERR_MEMORY;
    w->metadata[w->metadata_count++] = p;
    return 0;
}

int weights_add_json(weights *w, const char *path, json *document) {
    const char *kept = keep(w, path);
    int rc = kept ? grow((void **)&w->json, w->json_count, &w->json_room, sizeof *w->json) : ERR_MEMORY;
    if (rc < 0) json_free(document);
    else w->json[w->json_count++] = (weights_document){ kept, document };
    return rc;
}

int weights_add_note(weights *w, const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    const char *kept = keep(w, line);
    int rc = kept ? grow((void **)&w->note, w->notes, &w->note_room, sizeof *w->note) : ERR_MEMORY;
    if (rc == 0) w->note[w->notes++] = kept;
    return rc;
}

static int by_name(const void *a, const void *b, void *context) {
    const weights *w = context;
    return strcmp(w->tensor[*(const uint32_t *)a].name, w->tensor[*(const uint32_t *)b].name);
}

int weights_finish(weights *w, const char *what) {
    free(w->by_name);
    w->by_name = malloc((w->count + 1) * sizeof *w->by_name);
    if (!w->by_name) return error_memory((w->count + 1) * sizeof *w->by_name);
    for (size_t i = 0; i < w->count; i++) w->by_name[i] = (uint32_t)i;
    qsort_r(w->by_name, w->count, sizeof *w->by_name, by_name, w);
    for (size_t i = 1; i < w->count; i++) {
        const char *name = w->tensor[w->by_name[i]].name;
        if (strcmp(w->tensor[w->by_name[i - 1]].name, name) == 0)
            return error_set(ERR_FORMAT, "%s: tensor \"%.200s\" is there twice", what, name);
    }
    return 0;
}

/* ---- asked by others --------------------------------------------------------------------------------------------------- */

const char *weights_path(const weights *w) { return w->path; }
weights_format weights_format_of(const weights *w) { return w->format; }
size_t weights_count(const weights *w) { return w->count; }
size_t weights_files(const weights *w) { return w->sources; }
size_t weights_metadata_count(const weights *w) { return w->metadata_count; }
size_t weights_notes(const weights *w) { return w->notes; }

const stored_tensor *weights_tensor(const weights *w, size_t i) {
    assert(i < w->count);
    return &w->tensor[i];
}

const stored_tensor *weights_find(const weights *w, const char *name) {
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const stored_tensor *t = &w->tensor[w->by_name[middle]];
        int order = strcmp(name, t->name);
        if (order == 0) return t;
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

const char *weights_file(const weights *w, size_t i) {
    assert(i < w->sources);
    return w->source[i].path;
}

size_t weights_file_size(const weights *w, size_t i) {
    assert(i < w->sources);
    return w->source[i].map.size;
}

const char *weights_file_of(const weights *w, const stored_tensor *t) {
    assert(t >= w->tensor && t < w->tensor + w->count);
    return w->source[w->from[t - w->tensor]].path;
}

const char *weights_metadata_key(const weights *w, size_t i) {
    assert(i < w->metadata_count);
    return w->metadata[i].key;
}

const char *weights_metadata(const weights *w, const char *key) {
    for (size_t i = 0; i < w->metadata_count; i++)
        if (strcmp(w->metadata[i].key, key) == 0) return w->metadata[i].value;
    return NULL;
}

const json *weights_json(const weights *w, const char *path) {
    for (size_t i = 0; i < w->json_count; i++)
        if (strcmp(w->json[i].path, path) == 0) return w->json[i].document;
    return NULL;
}

const char *weights_note(const weights *w, size_t i) {
    assert(i < w->notes);
    return w->note[i];
}

/* Whole pages are dropped, with what neighbours have in them: nothing is lost, since the file is behind all of them. Memory of our own
 * is left alone: its pages would come back as zeros. */
void weights_drop(const weights *w, const void *data, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t at = (uintptr_t)data;
    for (size_t i = 0; i < w->sources && bytes; i++) {
        uintptr_t map = (uintptr_t)w->source[i].map.data;
        size_t size = w->source[i].map.size;
        if (at < map || at - map >= size) continue;
        size_t from = at - map, most = size - from;
        size_t to = from + (bytes < most ? bytes : most), window = page < 65536 ? 65536 : page;
        /* Whoever touched the first and the last byte has mapped the pages around them as well (fault-around, 64 KB). */
        size_t begin = from / window * window, end = size - to > window ? (to + window - 1) / window * window : size;
        madvise((void *)(map + begin), end - begin, MADV_DONTNEED);
        return;
    }
}
