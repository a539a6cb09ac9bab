/* SPDX-License-Identifier: Apache-2.0
 *
 * A list becomes part of a metadata.json. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_stream.h"
#include "base/name_set.h"
#include "base/part.h"
#include "base/spool.h"
#include "data/list.h"

enum { ENTRY = 16 << 20 };      /* the most bytes of an entry that is only carried along */

typedef struct {
    file_writer *to;
    spool *ids;                 /* each with its terminator, at multiples of 16 */
    name_set names;
    text line;
    const char *id;             /* that is looked for */
    int rc;
    list_merged counts;
} merge;

static bool has_id(void *context, uint64_t place) {
    merge *m = context;
    size_t n = strlen(m->id) + 1;
    char there[256];
    for (size_t at = 0; at < n; at += sizeof there) {
        size_t part = n - at < sizeof there ? n - at : sizeof there;
        if (place + at + part > spool_size(m->ids)) return false;
        if (m->rc == 0) m->rc = spool_read(m->ids, place + at, there, part);
        if (m->rc < 0 || memcmp(there, m->id + at, part) != 0) return false;
    }
    return true;
}

/* 1 if the id is new, and remembers it; 0; ERR_*. */
static int add_id(merge *m, const char *id) {
    uint64_t place, found;
    m->id = id;
    if (name_set_find(&m->names, part_hash(id), has_id, m, &found) || m->rc < 0) return m->rc;
    int rc = spool_append(m->ids, id, strlen(id) + 1, &place);
    if (rc == 0) rc = spool_align(m->ids, 16);
    if (rc == 0) rc = name_set_add(&m->names, part_hash(id), place, has_id, m, &found);
    return m->rc < 0 ? m->rc : rc < 0 ? rc : 1;
}

/* Writes an entry with what stands before it. */
static int put_entry(merge *m, bool first) {
    int rc = text_check(&m->line);
    if (rc == 0) rc = file_write(m->to, first ? "{" : ", ", first ? 1 : 2);
    return rc < 0 ? rc : file_write(m->to, m->line.data, m->line.size);
}

static void line_of(merge *m, const char *id, const char *data, size_t size) {
    m->line.size = 0;
    text_json_exact(&m->line, id);
    text_add(&m->line, ": ");
    char *to = text_room(&m->line, size);
    if (to) memcpy(to, data, size), text_grown(&m->line, size);
}

/* ---- what was there ------------------------------------------------------------------------------------------------ */

static long read_stream(void *context, void *buffer, size_t size) { return stream_read(context, buffer, size); }

static int copy_old(merge *m, json_stream *from) {
    const char *id, *data;
    size_t size;
    int rc;
    while ((rc = json_stream_next(from, &id, NULL)) == 1) {
        json_stream_bytes(from, &data, &size);
        line_of(m, id, data, size);
        rc = put_entry(m, m->counts.old == 0);
        if (rc == 0) rc = add_id(m, id);
        if (rc < 0) return rc;
        m->counts.old++;
    }
    return rc;
}

static int merge_old(merge *m, const char *path) {
    stream *s;
    json_stream *from;
    const uint8_t *data;
    size_t size;
    uint8_t mark[3];
    if (!path || (access(path, F_OK) < 0 && errno == ENOENT)) return 0;
    int rc = stream_open(path, &s);
    if (rc < 0) return rc;
    rc = stream_peek(s, &data, &size);
    if (rc == 0 && size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) rc = stream_read(s, mark, 3) < 0 ? error_code() : 0;
    if (rc == 0) rc = json_stream_new(path, ENTRY, read_stream, s, &from);
    if (rc == 0) {
        rc = copy_old(m, from);
        json_stream_free(from);
    }
    stream_close(s);
    return rc;
}

/* ---- what is new --------------------------------------------------------------------------------------------------- */

static int merge_new(merge *m, list *from, void (*wrong)(void *context, const list_item *item), void *context) {
    const char *data;
    size_t size;
    list_item item;
    int rc;
    while ((rc = list_next(from, &item)) == 1) {
        if (item.wrong) {
            m->counts.wrong++;
            if (wrong) wrong(context, &item);
            continue;
        }
        rc = add_id(m, item.id);
        if (rc < 0) return rc;
        if (rc == 0) {
            m->counts.known++;
            continue;
        }
        m->line.size = 0;
        if (list_bytes(from, &data, &size)) line_of(m, item.id, data, size);
        else list_item_write(&item, &m->line);
        rc = put_entry(m, m->counts.old + m->counts.added == 0);
        if (rc < 0) return rc;
        m->counts.added++;
    }
    return rc;
}

static int folder_of(const char *path, char out[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    int n = slash ? snprintf(out, PATH_MAX, "%.*s", (int)(slash - path + 1), path) : snprintf(out, PATH_MAX, ".");
    return n < 0 || n >= PATH_MAX ? error_set(ERR_IO, "%s: the path is too long", path) : 0;
}

int list_merge(const char *old, const char *path, const char *output, void (*wrong)(void *context, const list_item *item), void *context,
               list_merged *out) {
    merge m = { 0 };
    list *from = NULL;
    char folder[PATH_MAX];
    int rc = list_open(path, &from);
    if (rc == 0) rc = folder_of(output, folder);
    if (rc == 0) rc = spool_new(folder, &m.ids);
    if (rc == 0) rc = file_create(output, &m.to);
    if (rc == 0) rc = merge_old(&m, old);
    if (rc == 0) rc = merge_new(&m, from, wrong, context);
    if (rc == 0) rc = file_write(m.to, m.counts.old + m.counts.added ? "}" : "{}", m.counts.old + m.counts.added ? 1 : 2);
    bool same = old && m.counts.added == 0 && file_same_place(old, output) && access(output, F_OK) == 0;
    if (rc < 0 || same) file_abandon(m.to);
    else rc = file_commit(m.to, true);
    list_close(from);
    spool_free(m.ids);
    name_set_free(&m.names);
    text_free(&m.line);
    if (out) *out = m.counts;
    return rc;
}
