/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/part.h"
#include "base/stop.h"
#include "data/journal.h"
#include "data/metadata.h"
#include "data/remove_inside.h"
#include "data/shards.h"
#include "image/image.h"

enum { ID_MOST = NAME_MAX + 32 };

void removal_say(const removal *r, const char *path, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (r->options->hooks.log) r->options->hooks.log(r->options->hooks.context, MIEN_LOG_WARNING, path, message);
}

int removal_path(const removal *r, const char *name, char *out, size_t room) {
    int n = snprintf(out, room, "%s/%s", r->folder, name);
    return n < 0 || (size_t)n >= room ? error_set(ERR_IO, "%s/%s: the path is too long", r->folder, name) : 0;
}

/* ---- who goes ------------------------------------------------------------------------------------------------------ */

typedef struct { const removal *r; const char *id; int rc; } lookup;

static bool is_id(void *context, uint64_t place) {
    lookup *l = context;
    uint16_t n;
    char id[ID_MOST];
    if (l->rc < 0 || (l->rc = spool_read(l->r->ids, place, &n, sizeof n)) < 0 || n != strlen(l->id) || n >= sizeof id) return false;
    l->rc = spool_read(l->r->ids, place + sizeof n, id, n);
    return l->rc == 0 && memcmp(id, l->id, n) == 0;
}

int removal_has(const removal *r, const char *id) {
    uint64_t place;
    lookup l = { r, id, 0 };
    bool has = *id && name_set_find(&r->names, part_hash(id), is_id, &l, &place);
    return l.rc < 0 ? l.rc : has;
}

static int enter(removal *r, const char *id) {
    uint16_t n = (uint16_t)strlen(id);
    uint64_t place, found;
    int rc = spool_align(r->ids, 16);
    if (rc == 0) rc = spool_append(r->ids, &n, sizeof n, &place);
    if (rc == 0) rc = spool_append(r->ids, id, n, NULL);
    lookup l = { r, id, rc };
    if (rc == 0) rc = name_set_add(&r->names, part_hash(id), place, is_id, &l, &found);
    return rc < 0 ? rc : l.rc;
}

static bool knows(const removal *r, const char *id, const char *url, const char *hash) {
    return selection_asks(r->known, id, NULL, NULL) == REMOVED && (!url || selection_asks(r->known, NULL, url, NULL) == REMOVED) &&
           (!hash || selection_asks(r->known, NULL, NULL, hash) == REMOVED);
}

/* Notes that something of an item has been remembered; *was: it had been. */
static int note(removal *r, const char *id, const char *what, bool *was) {
    char key[ID_MOST];
    if (!what) return *was = true, 0;
    snprintf(key, sizeof key, "%.*s\n%016llx", NAME_MAX, id, (unsigned long long)part_hash(what));
    int has = removal_has(r, key);
    *was = has > 0;
    return has < 0 ? has : has ? 0 : enter(r, key);
}

/* Remembered before anything is deleted. */
static int take_out(removal *r, const char *id, const char *url, const char *hash) {
    bool had_url, had_hash;
    if (strlen(id) > NAME_MAX) return 0;   /* no file has that name */
    int had_id = removal_has(r, id), rc = had_id < 0 ? had_id : note(r, id, url, &had_url);
    if (rc == 0) rc = note(r, id, hash, &had_hash);
    if (rc == 0 && !(had_id && had_url && had_hash) && !r->options->dry_run && !knows(r, id, url, hash)) rc = selection_remember(r->folder, id, url, hash);
    if (rc == 0 && hash && !had_hash) rc = selection_removed_later(r->chosen, hash);
    if (rc < 0 || had_id) return rc;
    r->found++;
    r->result->removed++;
    return enter(r, id);
}

int removal_ask(removal *r, const char *id, const char *url, const char *hash) {
    if (!id || !*id) return 0;
    selection_answer answer = selection_asks(r->chosen, id, url, hash);
    return answer == EXCLUDED || answer == REMOVED ? take_out(r, id, url, hash) : 0;
}

int removal_add(removal *r, const char *id, const uint8_t digest[32]) {
    char hex[65];
    sha256_hex(digest, hex);
    return take_out(r, id, NULL, hex);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

/* The id that a file belongs to: its name without the extension; what a killed process left half-written under a hidden name
 * belongs to the same. */
static void id_of(const char *name, char out[NAME_MAX + 1]) {
    const char *mark = name[0] == '.' ? strstr(name, ".mien-tmp-") : NULL;
    size_t n = mark ? (size_t)(mark - name) - 1 : strlen(name);
    if (mark) name++;
    const char *dot = memrchr(name, '.', n);
    if (dot && dot > name) n = (size_t)(dot - name);
    memcpy(out, name, n);
    out[n] = 0;
}

/* name: "target/x.jpg". The hash of a photo is remembered first. */
static int delete_file(removal *r, const char *name, const char *photo_of) {
    char path[PATH_MAX], hex[65];
    int rc = removal_path(r, name, path, sizeof path);
    if (rc < 0) return rc;
    if (photo_of && file_hash(path, hex) > 0 && (rc = take_out(r, photo_of, NULL, hex)) < 0) return rc;
    if (!r->options->dry_run && unlink(path) < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    r->result->removed_files++;
    removal_say(r, name, r->options->dry_run ? "would be removed" : "removed");
    return 0;
}

typedef int each_file(removal *r, const char *folder, const char *name, const char *id);

static int go_through(removal *r, each_file *each) {
    static const char *const folders[] = { "target", "source", "annotated" };
    int rc = 0;
    for (int i = 0; rc == 0 && i < 3; i++) {
        char path[PATH_MAX], id[NAME_MAX + 1];
        if ((rc = removal_path(r, folders[i], path, sizeof path)) < 0) return rc;
        DIR *dir = opendir(path);
        if (!dir && errno != ENOENT) return error_errno("%s", path);
        const struct dirent *e;
        while (dir && rc == 0 && (rc = folder_next(dir, path, &e)) > 0) {
            rc = 0;
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
            id_of(e->d_name, id);
            rc = stop_asked(r->options->hooks.stop) ? error_set(ERR_CANCELLED, "stopped") : each(r, folders[i], e->d_name, id);
        }
        if (dir) closedir(dir);
    }
    return rc;
}

static int ask_file(removal *r, const char *folder, const char *name, const char *id) {
    (void)folder, (void)name;
    return removal_ask(r, id, NULL, NULL);
}

static int delete_if_gone(removal *r, const char *folder, const char *name, const char *id) {
    char relative[NAME_MAX + 16];
    snprintf(relative, sizeof relative, "%s/%s", folder, name);
    bool photo = strcmp(folder, "target") == 0 && name[0] != '.';   /* of a half of one the hash is worth nothing */
    int goes = removal_has(r, id);
    return goes > 0 ? delete_file(r, relative, photo ? id : NULL) : goes;
}

/* The hash of a photo that would be deleted. */
static int hash_if_gone(removal *r, const char *folder, const char *name, const char *id) {
    char relative[NAME_MAX + 16], path[PATH_MAX], hex[65];
    snprintf(relative, sizeof relative, "%s/%s", folder, name);
    int rc = strcmp(folder, "target") != 0 || name[0] == '.' ? 0 : removal_has(r, id);
    if (rc <= 0) return rc;
    rc = removal_path(r, relative, path, sizeof path);
    if (rc < 0 || file_hash(path, hex) <= 0) return rc;
    return take_out(r, id, NULL, hex);
}

static int delete_map(removal *r, const char *source) {
    char name[NAME_MAX + 16], id[NAME_MAX + 1], path[PATH_MAX];
    id_of(source, id);
    snprintf(name, sizeof name, "source/%s", source);
    int rc = delete_file(r, name, NULL);
    snprintf(name, sizeof name, "source/%s.json", id);
    if (rc == 0) rc = removal_path(r, name, path, sizeof path);
    return rc < 0 || access(path, F_OK) < 0 ? rc : delete_file(r, name, NULL);
}

int removal_look_at(removal *r, const char *name) {
    char path[PATH_MAX], hex[65], id[NAME_MAX + 1];
    if (!selection_needs_sha256(r->chosen)) return 0;
    int rc = removal_path(r, name, path, sizeof path);
    if (rc < 0) return rc;
    if (file_hash(path, hex) <= 0) return 0;   /* whatever it is, nobody can use it */
    id_of(strrchr(name, '/') + 1, id);
    return removal_ask(r, id, NULL, hex);
}

int removal_broken(const removal *r) {
    if (!r->broken[0]) return 0;
    return error_set(ERR_FORMAT, "%s; it stays as it is, and may still name what was removed: put it right, or delete it, and do this again", r->broken);
}

const selection *removal_selection(const removal *r) { return r->chosen; }

/* ---- shards -------------------------------------------------------------------------------------------------------- */

static int ask_shards(removal *r) {
    shards *s;
    if (!shards_are_in(r->folder)) return 0;
    int rc = shards_open(r->folder, NULL, &s);
    if (rc < 0) return rc;
    for (uint64_t i = 0; rc == 0 && i < shards_count(s); i++) {
        shard_item item;
        if (shards_read(s, i, &item) < 0) continue;
        text all = { 0 }, url = { 0 }, hash = { 0 };
        rc = shards_metadata(s, i, &all);
        if (rc > 0) rc = metadata_field(all.data, all.size, "url", &url);
        if (rc >= 0 && all.size) rc = metadata_field(all.data, all.size, "sha256", &hash);
        if (rc >= 0) rc = removal_ask(r, item.id, url.data, hash.data);
        text_free(&all);
        text_free(&url);
        text_free(&hash);
        shard_item_free(&item);
        if (rc > 0) rc = 0;
    }
    shards_close(s);
    return rc;
}

static int goes(void *context, const shards *s, uint64_t i, const shard_item *item) {
    removal *r = context;
    uint8_t *data, digest[32];
    size_t size;
    char hex[65];
    int rc = removal_has(r, item->id);
    if (rc <= 0) return rc;
    if (item->has[SHARD_PHOTO] && shards_load(s, i, SHARD_PHOTO, &data, &size) == 0) {
        sha256(data, size, digest);
        sha256_hex(digest, hex);
        free(data);
        if ((rc = take_out(r, item->id, NULL, hex)) < 0) return rc;
    }
    return 1;
}

static int clean_shards(removal *r) {
    uint64_t removed = 0;
    if (r->options->dry_run || !shards_are_in(r->folder)) return 0;
    int rc = shards_remove(r->folder, &(shards_removal){ .context = r, .remove = goes, .stop = r->options->hooks.stop }, &removed);
    if (rc == 0 && removed) removal_say(r, NULL, "%llu item%s of the shards removed", (unsigned long long)removed, removed == 1 ? "" : "s");
    return rc;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

int removal_new(const char *folder, const char *room, const mien_check_options *options, mien_check_result *result, removal **out) {
    removal *r = calloc(1, sizeof *r);
    if (!r) return error_memory(sizeof *r);
    *r = (removal){ .folder = folder, .room = room, .options = options, .result = result };
    int rc = selection_new(NULL, options->exclude, folder, &r->chosen);
    if (rc == 0) rc = selection_new(NULL, NULL, folder, &r->known);
    if (rc == 0) rc = spool_new(room, &r->ids);
    if (rc < 0) removal_free(r);
    else *out = r;
    return rc;
}

void removal_free(removal *r) {
    if (!r) return;
    selection_free(r->chosen);
    selection_free(r->known);
    spool_free(r->ids);
    name_set_free(&r->names);
    free(r);
}

static int find(removal *r) {
    int rc = removal_ask_lists(r);
    if (rc == 0) rc = go_through(r, ask_file);
    if (rc == 0) rc = ask_shards(r);
    r->found_all = rc == 0;
    return rc;
}

/* Parts' journals become one first: there is one file of each kind to clean then. */
static int merge_journals(removal *r) {
    int merged, rc = r->options->dry_run ? 0 : journal_merge(r->folder, "download", &merged);
    return rc < 0 || r->options->dry_run ? rc : journal_merge(r->folder, "build", &merged);
}

/* What was remembered outlives a power failure, before anything goes. */
static int sync_remembered(const removal *r) {
    char path[PATH_MAX];
    int rc = r->options->dry_run ? 0 : removal_path(r, "removed.jsonl", path, sizeof path);
    int fd = rc == 0 && !r->options->dry_run ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return rc;
    if (fsync(fd) < 0) rc = error_errno("%s", path);
    close(fd);
    return rc;
}

int removal_run(removal *r) {
    bool first = !r->found_all;
    int rc = first ? find(r) : 0;
    if (rc < 0 || !r->found) return rc;
    if (first && r->options->dry_run) {   /* nothing goes, so that all can be told at once, at the end */
        rc = go_through(r, hash_if_gone);
        return rc < 0 ? rc : selection_count_in(r->chosen);
    }
    r->found = 0;
    rc = sync_remembered(r);
    if (rc == 0) rc = go_through(r, delete_if_gone);
    if (rc == 0) rc = removal_other_maps(r, delete_map);   /* while the lines are there */
    if (rc == 0) rc = merge_journals(r);
    if (rc == 0) rc = removal_lists(r);
    if (rc == 0) rc = clean_shards(r);
    return rc < 0 ? rc : selection_count_in(r->chosen);   /* twins of what is gone go, too */
}
