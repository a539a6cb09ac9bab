/* SPDX-License-Identifier: Apache-2.0
 *
 * What earlier runs did: the journals' lines, as a byte an item beside 8 to 16 bytes for its name, which is in an unlinked
 * file. The latest line of an item counts, by the time that it names. */
#define _GNU_SOURCE                /* timegm, strptime */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/part.h"
#include "data/download_inside.h"
#include "data/list.h"

enum { STEP = 16 };                /* of places in the spool, as name_set wants them */

typedef struct { download_before *b; const char *id; int rc; } wanted;

static bool is_same(void *context, uint64_t place) {
    wanted *w = context;
    char name[ID_MOST + 1];
    uint64_t rest = spool_size(w->b->ids) - place;
    size_t size = strlen(w->id) + 1;
    if (size > rest) return false;
    int rc = spool_read(w->b->ids, place, name, size);
    if (rc < 0) w->rc = rc;
    return rc == 0 && memcmp(name, w->id, size) == 0;
}

static int make_room(download_before *b, size_t slot) {
    if (slot < b->room) return 0;
    size_t room = b->room ? b->room * 2 : 4096;
    while (room <= slot) room *= 2;
    uint8_t *mark = realloc(b->mark, room);
    if (!mark) return error_memory(room);
    memset(mark + b->room, 0, room - b->room);
    b->mark = mark;
    uint32_t *when = realloc(b->when, room * sizeof *when);
    if (!when) return error_memory(room * sizeof *when);
    memset(when + b->room, 0, (room - b->room) * sizeof *when);
    b->when = when;
    b->room = room;
    return 0;
}

static int find(download_before *b, const char *id, size_t *slot) {
    wanted w = { b, id, 0 };
    uint64_t hash = part_hash(id), place = spool_size(b->ids), found;
    int rc = name_set_add(&b->names, hash, place, is_same, &w, &found);
    if (rc == 0) rc = w.rc;
    if (rc == 0 && found == place) {
        rc = spool_append(b->ids, id, strlen(id) + 1, NULL);
        if (rc == 0) rc = spool_align(b->ids, STEP);
    }
    if (rc == 0) rc = make_room(b, (size_t)(found / STEP));
    *slot = (size_t)(found / STEP);
    return rc;
}

int download_before_find(download_before *b, const char *id, uint8_t **mark) {
    size_t slot;
    int rc = find(b, id, &slot);
    if (rc == 0) *mark = &b->mark[slot];
    return rc;
}

static uint32_t time_of(const char *text) {
    struct tm t = { 0 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &t);
    time_t at = end && !*end ? timegm(&t) : 0;
    return at > 0 && at < UINT32_MAX ? (uint32_t)at : 0;
}

static bool read_text(const json_at *line, const char *key, const char **out) {
    json_at at;
    return json_field(line, key, &at) && json_has_text(&at) && json_need_string(&at, out) == 0;
}

/* A line that says nothing to us (of a later version's reason, say) leaves the item as if it was never tried. */
static int take_line(void *context, const json_at *line) {
    download_before *b = context;
    const char *id, *status, *note, *at_text;
    if (!read_text(line, "id", &id) || !list_id_fits(id) || !read_text(line, "status", &status)) return 0;
    download_reason r = download_reason_find(status);
    if (r == GOT_OK && read_text(line, "note", &note) && strncmp(note, "rescaled", 8) == 0) r = GOT_RESCALED;
    json_at at;
    long long bytes;
    if (download_is_success(r) && json_field(line, "bytes", &at) && json_need_integer(&at, 0, INT64_MAX, &bytes) == 0) {
        b->ok_count++;
        b->ok_bytes += (uint64_t)bytes;
    }
    size_t slot;
    uint32_t when = read_text(line, "time", &at_text) ? time_of(at_text) : 0;
    int rc = find(b, id, &slot);
    if (rc < 0 || when < b->when[slot]) return rc;
    b->when[slot] = when;
    b->mark[slot] = r < GOT_REASONS ? (uint8_t)(r + 1) : 0;
    return 0;
}

int download_before_load(download_before *b, const char *folder, bool journals) {
    int rc = spool_new(folder, &b->ids);
    return rc < 0 || !journals ? rc : journal_read(folder, "download", take_line, b);
}

void download_before_free(download_before *b) {
    spool_free(b->ids);
    name_set_free(&b->names);
    free(b->mark);
    free(b->when);
    *b = (download_before){ 0 };
}
