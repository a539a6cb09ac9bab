/* SPDX-License-Identifier: Apache-2.0
 *
 * From the journals to prompt.jsonl: all lines, sorted by photo; of each photo the last counts. What earlier lines name and
 * no last line does is ours to remove, if it still is what we wrote. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/sorter.h"
#include "base/stop.h"
#include "data/build.h"
#include "data/build_state.h"
#include "data/check_fix.h"
#include "data/dataset.h"
#include "data/list.h"
#include "data/rejected.h"
#include "face/output.h"

enum { PHOTOS_MEMORY = 1 << 19, IDS_MEMORY = 1 << 18 };   /* less than the work before took */

/* A file of the set on its way. */
typedef struct {
    const char *name;
    file_writer *writer;           /* NULL: it is somebody else's, and stays */
    sha256_state hash;
    char was[65];                  /* the hash of what is there */
} product;

typedef struct {
    const char *folder;
    const mien_hooks *hooks;
    build_state *state;
    rejected *rejected;
    sorter *photos, *ids;          /* of ids: 'L' and the live line, 'D' or 'G' (its photo is gone) and a dead one */
    product prompts, metadata;
    text latest, dead;             /* of the photo that is being read: its last line, and others that were kept, each with a NUL */
    uint64_t latest_run;
    bool any_in_place;
    uint64_t kept;                 /* photos so far: entries of metadata.json */
    build_finished done;
    text scratch;
} finish;

/* ---- files of the whole set ------------------------------------------------------------------------------------------------ */

static int path_in(const finish *f, const char *folder, const char *name, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/%s%s%s", f->folder, folder, *folder ? "/" : "", name);
    return n < PATH_MAX ? 0 : error_set(ERR_IO, "%s/%s: the path is too long", f->folder, name);
}

/* 1 if it is ours to write, 0 if not. */
static int product_begin(finish *f, product *p, const char *name) {
    char path[PATH_MAX];
    bool there;
    p->name = name;
    int rc = build_state_owns(f->state, f->folder, name, &there, p->was);
    if (rc < 0 || (there && !rc)) return rc;
    rc = path_in(f, "", name, path);
    if (rc == 0) rc = file_create(path, &p->writer);
    if (rc == 0) sha256_begin(&p->hash);
    return rc < 0 ? rc : 1;
}

static int product_add(product *p, const text *bytes) {
    int rc = text_check(bytes);
    if (rc < 0) return rc;
    sha256_add(&p->hash, bytes->data, bytes->size);
    return file_write(p->writer, bytes->data, bytes->size);
}

static int product_end(finish *f, product *p) {
    uint8_t digest[32];
    char hash[65];
    if (!p->writer) return 0;
    sha256_end(&p->hash, digest);
    sha256_hex(digest, hash);
    int rc = build_state_wrote(f->state, p->name, hash) ? 0 : build_state_note(f->folder, build_state_run(f->state), p->name, hash);
    if (rc < 0) return rc;
    if (strcmp(hash, p->was) == 0) file_abandon(p->writer);
    else rc = file_commit(p->writer, true);
    p->writer = NULL;
    return rc;
}

/* ---- a photo --------------------------------------------------------------------------------------------------------------- */

static int write_prompt(finish *f, const build_record *r) {
    int rc = rejected_asks(f->rejected, r->source, r->target, r->sha256);
    if (rc < 0) return rc;
    if (rc != REJECTED_NOT) return f->done.rejected++, 0;
    f->done.lines++;
    f->scratch.size = 0;
    dataset_line(r->source, r->target, r->prompt, &f->scratch);
    text_add(&f->scratch, "\n");
    return product_add(&f->prompts, &f->scratch);
}

static int write_metadata(finish *f, const build_record *r) {
    if (!f->metadata.writer) return 0;
    list_item item = { .id = r->id, .url = r->url, .caption = r->prompt, .nsfw = r->nsfw, .unsafe = r->unsafe, .width = r->width, .height = r->height, .sha256 = r->sha256 };
    f->scratch.size = 0;
    text_add(&f->scratch, f->kept++ ? ", " : "{");
    list_item_write(&item, &f->scratch);
    return product_add(&f->metadata, &f->scratch);
}

static int add_id(finish *f, char kind, const build_record *r, const char *line, size_t size) {
    f->scratch.size = 0;
    text_printf(&f->scratch, "%c", kind);
    char *to = text_room(&f->scratch, size);
    if (!to) return text_check(&f->scratch);
    memcpy(to, line, size);
    text_grown(&f->scratch, size);
    return sorter_add(f->ids, r->id, strlen(r->id), f->scratch.data, f->scratch.size);
}

static int add_dead(finish *f, bool gone) {
    int rc = 0;
    for (size_t at = 0, n; rc == 0 && at < f->dead.size; at += n + 1) {
        json *doc;
        build_record r;
        n = strlen(f->dead.data + at);
        rc = build_line_parse(f->dead.data + at, n, &doc, &r);
        if (rc < 0) break;
        rc = add_id(f, gone ? 'G' : 'D', &r, f->dead.data + at, n);
        json_free(doc);
    }
    return rc;
}

/* The last line of a photo is known, and so are the others. */
static int end_photo(finish *f) {
    json *doc;
    build_record r;
    if (!f->latest.size) return 0;
    int rc = build_line_parse(f->latest.data, f->latest.size, &doc, &r);
    if (rc < 0) return rc;
    if (r.outcome == BUILD_KEPT) {
        rc = write_prompt(f, &r);
        if (rc == 0) rc = write_metadata(f, &r);
        if (rc == 0) rc = add_id(f, 'L', &r, f->latest.data, f->latest.size);
        f->any_in_place |= r.in_place;
    }
    if (rc == 0) rc = add_dead(f, r.outcome == BUILD_GONE);
    json_free(doc);
    f->latest.size = f->dead.size = 0;
    return rc;
}

static int keep_bytes(text *t, const char *s, size_t n) {
    char *to = text_room(t, n + 1);
    if (!to) return text_check(t);
    memcpy(to, s, n);
    to[n] = 0;
    text_grown(t, n);
    return 0;
}

static bool is_kept(const char *line, size_t size) { return memmem(line, size, "\"outcome\":\"kept\"", 16); }

static int bury(finish *f, const char *line, size_t size) {
    if (!is_kept(line, size)) return 0;
    int rc = keep_bytes(&f->dead, line, size);
    f->dead.size++;                /* its terminator */
    return rc;
}

/* Lines of one photo, in the order in which they were read. */
static int take_line(finish *f, const char *value, size_t size) {
    uint64_t run;
    memcpy(&run, value, sizeof run);
    value += sizeof run, size -= sizeof run;
    bool same = run == f->latest_run && is_kept(f->latest.data, f->latest.size) && !is_kept(value, size);   /* as in build_state.c */
    if (f->latest.size && (run < f->latest_run || same)) return bury(f, value, size);
    int rc = f->latest.size ? bury(f, f->latest.data, f->latest.size) : 0;
    f->latest.size = 0;
    f->latest_run = run;
    return rc < 0 ? rc : keep_bytes(&f->latest, value, size);
}

static int go_through_photos(finish *f) {
    const void *key, *value;
    size_t key_size, value_size;
    text last = { 0 };
    int rc;
    while ((rc = sorter_next(f->photos, &key, &key_size, &value, &value_size)) > 0) {
        if (stop_asked(f->hooks->stop)) rc = error_set(ERR_CANCELLED, "stopped");
        else if (last.size != key_size || memcmp(last.data, key, key_size) != 0) {
            rc = end_photo(f);
            last.size = 0;
            if (rc == 0) rc = keep_bytes(&last, key, key_size);
        }
        if (rc >= 0) rc = take_line(f, value, value_size);
        if (rc < 0) break;
    }
    text_free(&last);
    if (rc == 0) rc = end_photo(f);
    f->scratch.size = 0;
    text_add(&f->scratch, f->kept ? "}\n" : "{}\n");
    if (rc == 0 && f->metadata.writer) rc = product_add(&f->metadata, &f->scratch);
    return rc;
}

/* ---- what no line names any more -------------------------------------------------------------------------------------------- */

static bool hash_is(const char *path, const char *hash) {
    char own[65];
    struct stat st;
    return hash && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && file_hash(path, own) > 0 && strcmp(own, hash) == 0;
}

static bool has_stamp(const char *path, output_kind kind) {
    output_seen seen;
    return output_look(path, kind, &(faces_origin){ 0 }, "", &seen) == 0 && seen.state == OUTPUT_STALE;
}

static int remove_file(finish *f, const char *path) {
    if (unlink(path) < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    f->done.removed++;
    if (f->hooks->log) f->hooks->log(f->hooks->context, MIEN_LOG_INFO, path, "removed: the data set does not name it any more");
    return 0;
}

static int remove_dead(finish *f, char kind, const build_record *dead, const build_record *live) {
    char path[PATH_MAX], name[NAME_MAX + 8];
    int rc = path_in(f, "source", dead->source, path);
    if (rc == 0 && !(live && strcmp(live->source, dead->source) == 0) && (dead->map ? hash_is(path, dead->map) : has_stamp(path, OUTPUT_MAP))) rc = remove_file(f, path);
    snprintf(name, sizeof name, "%s.json", dead->id);
    if (rc == 0 && !live && (rc = path_in(f, "source", name, path)) == 0 && hash_is(path, dead->landmarks)) rc = remove_file(f, path);
    snprintf(name, sizeof name, "%s.png", dead->id);
    if (rc == 0 && !live && (rc = path_in(f, "annotated", name, path)) == 0 && has_stamp(path, OUTPUT_OVERLAY)) rc = remove_file(f, path);
    /* The photo stays if ours may be the last of it; in place it is not even ours. */
    if (rc < 0 || kind == 'G' || f->any_in_place || dead->in_place || (live && strcmp(live->target, dead->target) == 0)) return rc;
    rc = path_in(f, "target", dead->target, path);
    return rc == 0 && hash_is(path, dead->sha256) ? remove_file(f, path) : rc;
}

static int remove_all_dead(finish *f, const char *live, size_t live_size) {
    json *doc = NULL, *dead_doc;
    build_record r, dead;
    int rc = live_size ? build_line_parse(live, live_size, &doc, &r) : 0;
    for (size_t at = 0, n; rc == 0 && at < f->dead.size; at += n + 1) {
        n = strlen(f->dead.data + at);
        rc = build_line_parse(f->dead.data + at + 1, n - 1, &dead_doc, &dead);
        if (rc < 0) break;
        rc = remove_dead(f, f->dead.data[at], &dead, doc ? &r : NULL);
        json_free(dead_doc);
    }
    json_free(doc);
    f->dead.size = 0;
    return rc;
}

static int go_through_ids(finish *f) {
    const void *key, *value;
    size_t key_size, value_size;
    text last = { 0 };
    int rc;
    while ((rc = sorter_next(f->ids, &key, &key_size, &value, &value_size)) > 0) {
        const char *line = value;
        if (last.size != key_size || memcmp(last.data, key, key_size) != 0) {
            rc = remove_all_dead(f, f->latest.data, f->latest.size);
            last.size = f->latest.size = 0;
            if (rc == 0) rc = keep_bytes(&last, key, key_size);
        }
        if (rc >= 0 && *line == 'L') f->latest.size = 0, rc = keep_bytes(&f->latest, line + 1, value_size - 1);
        else if (rc >= 0) rc = keep_bytes(&f->dead, line, value_size), f->dead.size++;
        if (rc < 0) break;
    }
    text_free(&last);
    return rc < 0 ? rc : remove_all_dead(f, f->latest.data, f->latest.size);
}

/* ---- all of it --------------------------------------------------------------------------------------------------------------- */

static int add_line(void *context, const build_record *r, const text *line) {
    finish *f = context;
    f->done.any = true;
    f->scratch.size = 0;
    char *to = text_room(&f->scratch, sizeof r->run + line->size);
    if (!to) return text_check(&f->scratch);
    memcpy(to, &r->run, sizeof r->run);
    memcpy(to + sizeof r->run, line->data, line->size);
    return sorter_add(f->photos, r->photo, strlen(r->photo), to, sizeof r->run + line->size);
}

static int refuse_foreign(const finish *f) {
    return error_set(ERR_USAGE, "%s/prompt.jsonl is there and is not as mien build wrote it: move it away, or let mien build --force replace it", f->folder);
}

static int run(finish *f) {
    int rc = check_fix_recover(f->folder);
    if (rc == 0) rc = build_state_load(f->folder, &f->state);
    if (rc == 0) rc = rejected_open(f->folder, &f->rejected);
    if (rc == 0) rc = sorter_new(f->folder, PHOTOS_MEMORY, &f->photos);
    if (rc == 0) rc = sorter_new(f->folder, IDS_MEMORY, &f->ids);
    if (rc == 0) rc = build_state_each(f->state, true, add_line, f);
    if (rc < 0 || !f->done.any) return rc;
    rc = product_begin(f, &f->prompts, "prompt.jsonl");
    if (rc == 0) return refuse_foreign(f);
    if (rc > 0) rc = product_begin(f, &f->metadata, "metadata.json");
    if (rc >= 0) rc = go_through_photos(f);
    if (rc == 0) rc = product_end(f, &f->metadata);
    if (rc == 0) rc = product_end(f, &f->prompts);
    f->latest.size = f->dead.size = 0;
    sorter_free(f->photos);
    f->photos = NULL;
    return rc < 0 ? rc : go_through_ids(f);
}

int build_finish(const char *folder, const mien_hooks *hooks, build_finished *out) {
    static const mien_hooks none;
    finish f = { .folder = folder, .hooks = hooks ? hooks : &none };
    int rc = run(&f);
    file_abandon(f.prompts.writer);
    file_abandon(f.metadata.writer);
    sorter_free(f.photos);
    sorter_free(f.ids);
    build_state_free(f.state);
    rejected_close(f.rejected);
    text_free(&f.latest);
    text_free(&f.dead);
    text_free(&f.scratch);
    if (out) *out = f.done;
    return rc;
}
