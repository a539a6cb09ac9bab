/* SPDX-License-Identifier: Apache-2.0 */
#include "data/rejected.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/name_set.h"
#include "base/part.h"
#include "base/spool.h"
#include "base/stream.h"
#include "data/check_fix.h"
#include "data/dataset.h"

static const size_t most_memory = (size_t)64 << 20;   /* of a parsed line */

/* ---- files --------------------------------------------------------------------------------------------------------- */

static void look(const char *folder, const char *in, const char *name, size_t n, const char *ending, char out[65]) {
    char path[PATH_MAX];
    int rc = snprintf(path, sizeof path, "%s/%s/%.*s%s", folder, in, (int)n, name, ending) < (int)sizeof path ? file_hash(path, out) : -1;
    if (rc <= 0) strcpy(out, rc == 0 ? "-" : "");
}

void rejected_look(const char *folder, const char *source, const char *target, bool all, rejected_files *out) {
    const char *dot = strrchr(source, '.');
    *out = (rejected_files){ 0 };
    if (*target) look(folder, "target", target, strlen(target), "", out->photo);
    if (!all || !*source) return;
    look(folder, "source", source, strlen(source), "", out->map);
    look(folder, "source", source, dot && dot != source ? (size_t)(dot - source) : strlen(source), ".json", out->landmarks);
}

void rejected_write(const rejected_files *f, text *out) {
    const struct { const char *key, *hash; } files[] = { { "photo", f->photo }, { "map", f->map }, { "landmarks", f->landmarks } };
    const char *comma = "";
    text_add(out, "{");
    for (int i = 0; i < 3; i++) {
        if (!*files[i].hash) continue;
        text_printf(out, *files[i].hash == '-' ? "%s\"%s\": null" : "%s\"%s\": \"%s\"", comma, files[i].key, files[i].hash);
        comma = ", ";
    }
    text_add(out, "}");
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

typedef enum { BY_PHOTO, BY_ALL, BY_FAULT } kind;

/* In the spool, followed by the target's name. The set finds the first of a target, which begins a chain of them all; it lies at 0 or
 * is no other's next. */
typedef struct { uint64_t next; kind kind; uint32_t size; rejected_files files; } entry;

struct rejected {
    char folder[PATH_MAX];
    pthread_mutex_t mutex;
    spool *spool;                  /* NULL: there are none */
    name_set names;
};

typedef struct { rejected *r; const char *target; int rc; } lookup;

static bool is_target(void *context, uint64_t place) {
    lookup *l = context;
    entry e;
    char name[NAME_MAX + 1];
    if (l->rc == 0) l->rc = spool_read(l->r->spool, place, &e, sizeof e);
    if (l->rc < 0 || e.size != strlen(l->target)) return false;
    l->rc = spool_read(l->r->spool, place + sizeof e, name, e.size);
    return l->rc == 0 && memcmp(name, l->target, e.size) == 0;
}

static int add(rejected *r, const char *target, entry *e) {
    lookup l = { r, target, 0 };
    uint64_t place, first;
    entry before;
    e->size = (uint32_t)strlen(target);
    if (e->size > NAME_MAX) return 0;
    int rc = spool_align(r->spool, 16);
    if (rc == 0) rc = spool_append(r->spool, e, sizeof *e, &place);
    if (rc == 0) rc = spool_append(r->spool, target, e->size, NULL);
    if (rc == 0) rc = name_set_add(&r->names, part_hash(target), place, is_target, &l, &first);
    if (rc == 0) rc = l.rc;
    if (rc < 0 || first == place) return rc;
    rc = spool_read(r->spool, first, &before, sizeof before);
    e->next = before.next;
    before.next = place;
    if (rc == 0) rc = spool_change(r->spool, place, e, sizeof *e);
    return rc < 0 ? rc : spool_change(r->spool, first, &before, sizeof before);
}

static kind kind_of(const char *reason) {
    static const char *const faults[] = {
        "broken_line", "source_missing", "source_broken", "target_missing", "target_broken", "aspect_changed", "landmarks_broken", "landmarks_differ",
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (strcmp(reason, faults[i]) == 0) return BY_FAULT;
    return strcmp(reason, "faces_differ") == 0 ? BY_ALL : BY_PHOTO;
}

static void read_hash(const json_at *files, const char *key, char out[65]) {
    json_at at;
    const char *hash;
    if (!json_field(files, key, &at)) return;
    if (json_is_nothing(&at)) strcpy(out, "-");
    else if (json_has_text(&at) && json_need_string(&at, &hash) == 0 && strlen(hash) == 64) strcpy(out, hash);
}

static const char *text_of(const json_at *object, const char *key) {
    json_at at;
    const char *s;
    return json_field(object, key, &at) && json_has_text(&at) && json_need_string(&at, &s) == 0 ? s : NULL;
}

static int add_line(rejected *r, const char *line, size_t size) {
    dataset_item item;
    json *doc;
    json_at at;
    if (dataset_parse("", line, size, &item) < 0) return error_code() == ERR_MEMORY ? ERR_MEMORY : 0;   /* it was no item, or is none of ours */
    int rc = json_parse("", (const uint8_t *)line, size, most_memory, &doc);
    if (rc == 0) {
        json_at root = json_root(doc);
        const char *reason = text_of(&root, "reason");
        entry e = { .kind = kind_of(reason ? reason : "") };
        if (json_field(&root, "files", &at) && json_need_object(&at) == 0) {
            read_hash(&at, "photo", e.files.photo);
            read_hash(&at, "map", e.files.map);
            read_hash(&at, "landmarks", e.files.landmarks);
        }
        bool says = *e.files.photo || *e.files.map || *e.files.landmarks;
        rc = e.kind == BY_FAULT && !says ? 0 : add(r, item.target, &e);
        json_free(doc);
    }
    dataset_item_free(&item);
    return rc < 0 && rc == ERR_FORMAT ? 0 : rc;
}

static int load(rejected *r, const char *path) {
    stream *s;
    stream_text line;
    int rc = stream_open(path, &s);
    if (rc < 0) return rc;
    rc = spool_new(r->folder, &r->spool);
    while (rc == 0 && (rc = stream_line(s, 2 * DATASET_LINE_MOST, &line)) != 0) {
        rc = rc == ERR_LIMIT ? 0 : rc < 0 ? rc : add_line(r, line.text, line.size);
        if (rc < 0) break;
    }
    stream_close(s);
    return rc;
}

int rejected_open(const char *folder, rejected **out) {
    char path[PATH_MAX];
    rejected *r = calloc(1, sizeof *r);
    if (!r) return error_memory(sizeof *r);
    pthread_mutex_init(&r->mutex, NULL);
    snprintf(r->folder, sizeof r->folder, "%s", folder);
    int rc = check_fix_rejected(folder, path);
    if (rc == 0 && access(path, F_OK) == 0) rc = load(r, path);
    if (rc < 0) rejected_close(r);
    else *out = r;
    return rc;
}

void rejected_close(rejected *r) {
    if (!r) return;
    pthread_mutex_destroy(&r->mutex);
    spool_free(r->spool);
    name_set_free(&r->names);
    free(r);
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

static bool same(const char *was, const char *is) { return !*was || !*is || strcmp(was, is) == 0; }

static int ask(rejected *r, const char *source, const char *target, const char *sha256) {
    lookup l = { r, target, 0 };
    uint64_t place;
    entry e;
    rejected_files now;
    bool known = false;
    int answer = REJECTED_NOT;
    if (!name_set_find(&r->names, part_hash(target), is_target, &l, &place) || l.rc < 0) return l.rc;
    do {
        int rc = spool_read(r->spool, place, &e, sizeof e);
        if (rc < 0) return rc;
        if (e.kind == BY_PHOTO && same(e.files.photo, sha256)) return REJECTED_LINE;
        if (e.kind != BY_PHOTO && !known) rejected_look(r->folder, source, target, true, &now), known = true;
        if (e.kind != BY_PHOTO && same(e.files.photo, now.photo) && same(e.files.map, now.map) && same(e.files.landmarks, now.landmarks))
            answer = e.kind == BY_FAULT || answer == REJECTED_FILES ? REJECTED_FILES : REJECTED_LINE;
    } while ((place = e.next));
    return answer;
}

int rejected_asks(rejected *r, const char *source, const char *target, const char *sha256) {
    if (!r->spool) return REJECTED_NOT;
    pthread_mutex_lock(&r->mutex);
    int rc = ask(r, source, target, sha256);
    pthread_mutex_unlock(&r->mutex);
    return rc;
}
