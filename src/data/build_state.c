/* SPDX-License-Identifier: Apache-2.0 */
#include "data/build_state.h"

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/name_set.h"
#include "base/part.h"
#include "base/spool.h"
#include "data/journal.h"

static const size_t most_memory = (size_t)64 << 20;   /* of a parsed line */

/* One in the spool, followed by the photo and the line, both terminated. The first of a photo is found by name and tells
 * where the last one is. */
typedef struct { uint64_t last, run; uint32_t photo_size, line_size; uint8_t first, kept; } head;

typedef struct { char name[16], hash[65]; } owned;

struct build_state {
    pthread_mutex_t mutex;
    spool *spool;
    name_set names;
    uint64_t run;
    owned *owned;
    size_t n_owned, room_owned;
    text scratch, line;
};

/* ---- photos -------------------------------------------------------------------------------------------------------- */

typedef struct { build_state *s; const char *photo; int rc; } lookup;

static bool is_photo(void *context, uint64_t place) {
    lookup *l = context;
    build_state *s = l->s;
    head h;
    if (l->rc < 0 || (l->rc = spool_read(s->spool, place, &h, sizeof h)) < 0) return false;
    s->scratch.size = 0;
    char *name = text_room(&s->scratch, h.photo_size);
    if (!name) return l->rc = text_check(&s->scratch), false;
    l->rc = spool_read(s->spool, place + sizeof h, name, h.photo_size);
    return l->rc == 0 && strcmp(name, l->photo) == 0;
}

static int append(build_state *s, const build_record *r, uint64_t *place, head *h) {
    s->line.size = 0;
    build_record_write(r, &s->line);
    int rc = text_check(&s->line);
    *h = (head){ .run = r->run, .photo_size = (uint32_t)strlen(r->photo) + 1, .line_size = (uint32_t)s->line.size + 1, .kept = r->outcome == BUILD_KEPT };
    if (rc == 0) rc = spool_align(s->spool, 16);
    if (rc == 0) rc = spool_append(s->spool, h, sizeof *h, place);
    if (rc == 0) rc = spool_append(s->spool, r->photo, h->photo_size, NULL);
    return rc < 0 ? rc : spool_append(s->spool, s->line.data, h->line_size, NULL);
}

/* Of equal runs, which are those of processes that ran side by side, what was kept counts, else the line that was read last. */
static int note_record(build_state *s, const build_record *r) {
    lookup l = { s, r->photo, 0 };
    uint64_t place, first;
    head h, before, last;
    int rc = append(s, r, &place, &h);
    if (rc == 0) rc = name_set_add(&s->names, part_hash(r->photo), place, is_photo, &l, &first);
    if (rc == 0) rc = l.rc;
    if (rc == 0 && first != place) {
        rc = spool_read(s->spool, first, &before, sizeof before);
        if (rc == 0) rc = spool_read(s->spool, before.last, &last, sizeof last);
        if (rc < 0 || last.run > h.run || (last.run == h.run && last.kept && !h.kept)) return rc;
        before.last = place;
        rc = spool_change(s->spool, first, &before, sizeof before);
    } else if (rc == 0) {
        h.last = place;
        h.first = 1;
        rc = spool_change(s->spool, place, &h, sizeof h);
    }
    return rc;
}

static int read_line(build_state *s, uint64_t place, text *line) {
    head h;
    int rc = spool_read(s->spool, place, &h, sizeof h);
    char *to = rc == 0 ? text_room(line, h.line_size) : NULL;
    if (rc == 0 && !to) rc = text_check(line);
    if (rc == 0) rc = spool_read(s->spool, place + sizeof h + h.photo_size, to, h.line_size);
    if (rc == 0) text_grown(line, h.line_size - 1);
    return rc;
}

static int find(build_state *s, const char *photo, text *line) {
    lookup l = { s, photo, 0 };
    uint64_t place;
    head h;
    bool there = name_set_find(&s->names, part_hash(photo), is_photo, &l, &place);
    if (l.rc < 0 || !there) return l.rc;
    int rc = spool_read(s->spool, place, &h, sizeof h);
    if (rc == 0) rc = read_line(s, h.last, line);
    return rc < 0 ? rc : 1;
}

int build_state_find(build_state *s, const char *photo, text *line) {
    pthread_mutex_lock(&s->mutex);
    int rc = find(s, photo, line);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

int build_line_parse(const char *line, size_t size, json **doc, build_record *r) {
    uint64_t run;
    build_wrote w;
    int rc = json_parse("a line of the journal", (const uint8_t *)line, size, most_memory, doc);
    if (rc < 0) return rc;
    json_at root = json_root(*doc);
    rc = build_line_read(&root, &run, r, &w);
    if (rc >= 0 && rc != BUILD_LINE_RECORD) rc = error_set(ERR_FORMAT, "a line of the journal is no photo's");
    if (rc < 0) json_free(*doc);
    return rc < 0 ? rc : 0;
}

int build_state_each(build_state *s, bool all, build_visit *visit, void *context) {
    int rc = 0;
    head h;
    for (uint64_t at = 0; rc >= 0 && at < spool_size(s->spool); at = (at + sizeof h + h.photo_size + h.line_size + 15) & ~(uint64_t)15) {
        rc = spool_read(s->spool, at, &h, sizeof h);
        if (rc < 0 || !(h.first || all)) continue;
        json *doc;
        build_record r;
        s->line.size = 0;
        rc = read_line(s, all ? at : h.last, &s->line);
        if (rc == 0) rc = build_line_parse(s->line.data, s->line.size, &doc, &r);
        if (rc < 0) break;
        rc = visit(context, &r, &s->line);
        json_free(doc);
    }
    return rc < 0 ? rc : 0;
}

/* ---- files of the whole set ------------------------------------------------------------------------------------------ */

static int note_wrote(build_state *s, const build_wrote *w) {
    if (strlen(w->name) >= sizeof s->owned->name || strlen(w->sha256) >= sizeof s->owned->hash) return 0;
    if (s->n_owned == s->room_owned) {
        size_t room = s->room_owned ? 2 * s->room_owned : 16;
        owned *more = realloc(s->owned, room * sizeof *more);
        if (!more) return error_memory(room * sizeof *more);
        s->owned = more;
        s->room_owned = room;
    }
    owned *o = &s->owned[s->n_owned++];
    strcpy(o->name, w->name);
    strcpy(o->hash, w->sha256);
    return 0;
}

bool build_state_wrote(const build_state *s, const char *name, const char *hash) {
    for (size_t i = 0; i < s->n_owned; i++)
        if (strcmp(s->owned[i].name, name) == 0 && strcmp(s->owned[i].hash, hash) == 0) return true;
    return false;
}

int build_state_owns(const build_state *s, const char *folder, const char *name, bool *there, char hash[65]) {
    char path[PATH_MAX], own[65];
    if (!hash) hash = own;
    hash[0] = 0;
    *there = false;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return error_set(ERR_IO, "%s: the path is too long", folder);
    int rc = file_hash(path, hash);
    if (rc <= 0) return rc;
    *there = true;
    return build_state_wrote(s, name, hash);
}

int build_state_note(const char *folder, uint64_t run, const char *name, const char *hash) {
    journal *j;
    text line = { 0 };
    text_printf(&line, "{\"run\":%" PRIu64 ",\"wrote\":\"%s\",\"sha256\":\"%s\"}", run, name, hash);
    int rc = text_check(&line);
    if (rc == 0) rc = journal_open(folder, BUILD_JOURNAL, 0, 0, &j);
    if (rc == 0) {
        rc = journal_append(j, &line);
        journal_close(j);
    }
    text_free(&line);
    return rc;
}

int build_state_hand_on(const char *folder, const char *name, const char *was, const char *is) {
    build_state *s;
    int rc = build_state_load(folder, &s);
    if (rc < 0) return rc;
    if (build_state_wrote(s, name, was) && !build_state_wrote(s, name, is)) rc = build_state_note(folder, s->run, name, is);
    build_state_free(s);
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

static int note_line(void *context, const json_at *line) {
    build_state *s = context;
    uint64_t run;
    build_record r;
    build_wrote w;
    int kind = build_line_read(line, &run, &r, &w);
    if (run >= s->run) s->run = run + 1;
    if (kind == BUILD_LINE_RECORD) return note_record(s, &r);
    return kind == BUILD_LINE_WROTE ? note_wrote(s, &w) : kind < 0 ? kind : 0;
}

int build_state_load(const char *folder, build_state **out) {
    build_state *s = calloc(1, sizeof *s);
    if (!s) return error_memory(sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
    s->run = 1;
    int rc = spool_new(folder, &s->spool);
    if (rc == 0) rc = journal_read(folder, BUILD_JOURNAL, note_line, s);
    if (rc < 0) build_state_free(s);
    else *out = s;
    return rc;
}

void build_state_free(build_state *s) {
    if (!s) return;
    pthread_mutex_destroy(&s->mutex);
    spool_free(s->spool);
    name_set_free(&s->names);
    text_free(&s->scratch);
    text_free(&s->line);
    free(s->owned);
    free(s);
}

uint64_t build_state_run(const build_state *s) { return s->run; }
