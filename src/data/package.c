/* SPDX-License-Identifier: Apache-2.0
 *
 * What both kinds of package have in common: which items, with what. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/output.h"
#include "base/part.h"
#include "base/stop.h"
#include "data/package_inside.h"
#include "data/shards.h"
#include "face/faces_json.h"
#include "image/image.h"

static const char *const count_names[PACKED_COUNTS] = { "maps", "landmarks", "selected_out", "shards", "bytes" };

/* ---- telling ------------------------------------------------------------------------------------------------------------- */

static void tell(package_job *j) {
    j->told = clock_seconds();
    j->progress.seconds = j->told - j->begin;
    if (j->options->hooks.progress) j->options->hooks.progress(j->options->hooks.context, &j->progress);
}

int package_tick(package_job *j) {
    if (stop_asked(j->options->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
    if (clock_seconds() - j->told >= 0.1) tell(j);
    return 0;
}

static void say(package_job *j, mien_log_kind kind, const char *path, const char *message) {
    if (j->options->hooks.log) j->options->hooks.log(j->options->hooks.context, kind, path, message);
}

void package_warn(package_job *j, const char *message) { say(j, MIEN_LOG_WARNING, NULL, message); }

/* No use to go on, whatever the item. */
static bool ends_all(int rc) { return rc == ERR_MEMORY || rc == ERR_FULL || rc == ERR_CANCELLED; }

int package_lost(package_job *j, const package_item *item, int rc, const char *why) {
    char message[1200];
    if (ends_all(rc)) return error_set(rc, "%s", why);
    snprintf(message, sizeof message, "%s (line %llu)", why, (unsigned long long)item->index + 1);
    j->progress.failed++;
    say(j, MIEN_LOG_ITEM_FAILED, item->line.id ? item->line.id : "prompt.jsonl", message);
    return 0;
}

/* ---- an item ------------------------------------------------------------------------------------------------------------- */

/* A name that any system unpacks, and any terminal shows: UTF-8, nothing invisible, no backslash. */
static bool travels(const char *name) {
    char shown[4 * (NAME_MAX + 1)];
    return name[0] != '.' && !strchr(name, '\\') && strcmp(text_escape(shown, sizeof shown, name), name) == 0;
}

static int find_metadata(package_job *j, package_item *item) {
    if (dataset_is_shards(j->data)) return shards_metadata(dataset_shards(j->data), item->index, &item->metadata);
    if (!j->known) return 0;
    pthread_mutex_lock(&j->lock);
    int rc = metadata_find(j->known, item->line.id, &item->metadata);
    pthread_mutex_unlock(&j->lock);
    return rc;
}

static int read_line(package_job *j, package_item *item) {
    int rc = dataset_read(j->data, item->index, &item->line);
    if (rc < 0) return error_set(rc, "%s", dataset_line_fault(j->data, item->index));
    const char *source = item->line.source, *target = item->line.target;
    if (!travels(source) || !travels(target)) return error_set(ERR_FORMAT, "\"%s\" is no name to pass on", travels(source) ? target : source);
    rc = find_metadata(j, item);
    if (item->metadata.size == 2) text_free(&item->metadata);   /* {} */
    return rc < 0 ? rc : 0;
}

/* Whatever was loaded before is looked at again: it may be there, and no picture. */
static int load(package_job *j, package_item *item, dataset_part part, uint8_t **data, size_t *size) {
    int rc = *data ? 0 : dataset_load(j->data, &item->line, part, data, size);
    if (rc == 0 && !image_format_name(*data, *size)) rc = error_set(ERR_FORMAT, "is no picture");
    return rc < 0 ? dataset_fault(j->data, &item->line, part) : 0;
}

static int load_map(package_job *j, package_item *item) {
    return load(j, item, DATASET_SOURCE, &item->map, &item->map_size);
}

static int load_photo(package_job *j, package_item *item) {
    return load(j, item, DATASET_TARGET, &item->photo, &item->photo_size);
}

static bool has_file(package_job *j, const dataset_item *line, dataset_part part) {
    char path[PATH_MAX];
    return dataset_part_path(j->data, line, part, path) && access(path, F_OK) == 0;
}

/* Whether the landmarks are what mien wrote: the map beside them names their hash. Ten times as fast as reading them. */
static bool are_ours(const package_item *item) {
    char stamp[1024], named[65], hex[65];
    uint8_t digest[32];
    if (!image_png_text(item->map, item->map_size, FACES_STAMP_KEY, stamp, sizeof stamp)) return false;
    faces_stamp_json(stamp, named);
    if (!*named) return false;
    sha256(item->faces, item->faces_size, digest);
    sha256_hex(digest, hex);
    return strcmp(named, hex) == 0;
}

/* The landmarks, if there are any. The map is there. */
static int load_faces(package_job *j, package_item *item) {
    bool shards = dataset_is_shards(j->data);
    if (item->faces || (!shards && !has_file(j, &item->line, DATASET_FACES))) return 0;
    int rc = dataset_load(j->data, &item->line, DATASET_FACES, &item->faces, &item->faces_size);
    if (rc == ERR_IO && shards) return 0;   /* there are none */
    if (rc == 0 && are_ours(item)) return 0;
    faces f;
    if (rc == 0) rc = faces_json_read("landmarks", item->faces, item->faces_size, &f, NULL);
    if (rc < 0) return dataset_fault(j->data, &item->line, DATASET_FACES);
    free(f.face);
    return 0;
}

/* Of the photo that is there; "" if there is none, for a zip needs none. One that can't be read could be one that a list leaves out. */
static int hash_photo(package_job *j, package_item *item, char hex[65]) {
    uint8_t digest[32];
    hex[0] = 0;
    int rc = load_photo(j, item);
    if (rc < 0 && !item->photo) return rc == ERR_MEMORY || has_file(j, &item->line, DATASET_TARGET) ? rc : 0;
    sha256(item->photo, item->photo_size, digest);
    sha256_hex(digest, hex);
    return 0;
}

/* Of the photo that the landmarks were made of, which may be another by now. Unknown: "". */
static int hash_by_landmarks(package_job *j, package_item *item, char hex[65]) {
    faces f;
    faces_origin origin;
    hex[0] = 0;
    int rc = load_map(j, item);
    if (rc == 0) rc = load_faces(j, item);
    if (rc == 0 && item->faces) {
        rc = faces_json_read("its landmarks", item->faces, item->faces_size, &f, &origin);
        if (rc == 0) free(f.face), memcpy(hex, origin.sha256, 65);
    }
    return rc;
}

/* 1 or 0. */
static int is_chosen(package_job *j, package_item *item) {
    text url = { 0 };
    char hex[65] = "", made_of[65] = "";
    int rc = 0;
    if (item->metadata.size && selection_needs_url(j->chosen)) rc = metadata_field(item->metadata.data, item->metadata.size, "url", &url);
    if (rc == 0 && selection_asks(j->chosen, item->line.id, url.size ? url.data : NULL, NULL) >= EXCLUDED) return text_free(&url), 0;
    if (rc == 0 && selection_needs_sha256(j->chosen)) rc = hash_photo(j, item, hex);
    if (rc == 0 && selection_needs_sha256(j->chosen)) rc = hash_by_landmarks(j, item, made_of);
    if (rc == 0 && *made_of && selection_asks(j->chosen, NULL, NULL, made_of) >= EXCLUDED) return text_free(&url), 0;
    if (rc == 0) rc = selection_asks(j->chosen, item->line.id, url.size ? url.data : NULL, *hex ? hex : *made_of ? made_of : NULL) == SELECTED;
    text_free(&url);
    return rc;
}

void package_read(package_job *j, uint64_t i, package_files files, package_item *out) {
    *out = (package_item){ .index = i };
    int rc = read_line(j, out);
    if (rc == 0) rc = is_chosen(j, out);
    out->chosen = rc > 0;
    if (out->chosen && files >= PACKAGE_MAP) {
        rc = load_map(j, out);
        if (rc == 0) rc = load_faces(j, out);
        if (rc == 0 && files == PACKAGE_PHOTO) rc = load_photo(j, out);
        if (rc == 0) rc = 1;
    }
    out->rc = rc;
    if (rc < 0 && !(out->why = strdup(error_message()))) out->rc = ERR_MEMORY;
}

void package_item_free(package_item *item) {
    dataset_item_free(&item->line);
    text_free(&item->metadata);
    free(item->map);
    free(item->photo);
    free(item->faces);
    free(item->why);
    *item = (package_item){ .index = 0 };
}

/* ---- names that are packed -------------------------------------------------------------------------------------------------- */

/* A record: its kinds, the name, the detail, both terminated; padded to 16. */
enum { RECORD = 1 + 2 * (NAME_MAX + 1) };

typedef struct { packed_names *names; int kinds; const char *name; char detail[NAME_MAX + 1]; } packed_lookup;

static bool is_packed(void *context, uint64_t place) {
    packed_lookup *l = context;
    char record[RECORD + 1] = "";
    uint64_t rest = spool_size(l->names->names) - place;
    if (l->names->rc < 0) return false;
    l->names->rc = spool_read(l->names->names, place, record, rest < RECORD ? (size_t)rest : RECORD);
    if (l->names->rc < 0 || !(record[0] & l->kinds) || strcmp(record + 1, l->name) != 0) return false;
    snprintf(l->detail, sizeof l->detail, "%s", record + 1 + strlen(l->name) + 1);
    return true;
}

int packed_open(const char *folder, packed_names *out) { return spool_new(folder, &out->names); }

int packed_add(packed_names *p, int kinds, const char *name, const char *detail) {
    char kind = (char)kinds;
    uint64_t place, found;
    int rc = spool_append(p->names, &kind, 1, &place);
    if (rc == 0) rc = spool_append(p->names, name, strlen(name) + 1, NULL);
    if (rc == 0) rc = spool_append(p->names, detail, strlen(detail) + 1, NULL);
    if (rc == 0) rc = spool_align(p->names, 16);
    packed_lookup l = { .names = p, .kinds = kinds, .name = name };
    if (rc == 0) rc = name_set_add(&p->set, part_hash(name), place, is_packed, &l, &found);
    return rc < 0 ? rc : p->rc;
}

int packed_find(packed_names *p, packed_kind kind, const char *name, char detail[NAME_MAX + 1]) {
    packed_lookup l = { .names = p, .kinds = kind, .name = name };
    uint64_t place;
    bool found = name_set_find(&p->set, part_hash(name), is_packed, &l, &place);
    if (found) memcpy(detail, l.detail, sizeof l.detail);
    return p->rc < 0 ? p->rc : found;
}

void packed_close(packed_names *p) {
    spool_free(p->names);
    name_set_free(&p->set);
    *p = (packed_names){ .names = NULL };
}

/* ---- the job --------------------------------------------------------------------------------------------------------------- */

/* Where the output goes, which is where things are set aside. */
static int find_scratch(package_job *j) {
    const char *path = j->options->output, *slash = strrchr(path, '/');
    size_t n = j->options->shards ? strlen(path) : slash ? (size_t)(slash - path) + 1 : 0;
    if (n >= sizeof j->scratch) return error_set(ERR_USAGE, "%s: the path is too long", path);
    memcpy(j->scratch, n ? path : ".", n ? n : 1);
    j->scratch[n ? n : 1] = 0;
    return 0;
}

static int open_metadata(package_job *j) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/metadata.json", dataset_path(j->data));
    if (dataset_is_shards(j->data) || (!j->options->shards && !selection_needs_url(j->chosen))) return 0;
    return n < PATH_MAX ? metadata_open(path, j->scratch, j->options->hooks.stop, &j->known) : error_set(ERR_IO, "%s: the path is too long", dataset_path(j->data));
}

/* Everything that can be known before the work. */
static int check_zip(const package_job *j) {
    const mien_package_options *o = j->options;
    struct stat st;
    size_t n = strlen(o->output);
    if (n <= 4 || strcasecmp(o->output + n - 4, ".zip") != 0)
        return error_set(ERR_USAGE, "%s: a name that ends in .zip was expected; tar files are what --shards writes, into a folder", o->output);
    if (stat(j->scratch, &st) < 0) return error_errno("%s", j->scratch), ERR_USAGE;
    return output_refuse(o->output, &(output_rules){ .force = o->force });
}

static bool same_folder(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* No command writes over its input: among the data set's own files nothing is put, but for a zip beside prompt.jsonl. */
static int check_input(const package_job *j) {
    const char *output = j->options->output;
    for (int i = 0; i < 3; i++) {
        static const char *const below[] = { "", "/source", "/target" };
        char folder[PATH_MAX];
        if (snprintf(folder, sizeof folder, "%s%s", dataset_path(j->data), below[i]) >= PATH_MAX || !same_folder(folder, j->scratch)) continue;
        if (i == 0 && !j->options->shards) continue;
        return error_set(ERR_USAGE, "%s: lies among the data set's own files", output);
    }
    char prompts[PATH_MAX];
    if (j->options->shards && snprintf(prompts, sizeof prompts, "%s/prompt.jsonl", output) < PATH_MAX && access(prompts, F_OK) == 0)
        return error_set(ERR_USAGE, "%s: holds another data set, which shards would not be seen beside", output);
    return 0;
}

static int open_all(package_job *j) {
    const mien_package_options *o = j->options;
    int rc = find_scratch(j);
    if (rc == 0 && !o->shards) rc = check_zip(j);
    if (rc == 0) rc = dataset_open_told(o->data, &o->hooks, &j->data);
    if (rc == 0) rc = check_input(j);
    if (rc == 0) rc = selection_new(o->only, o->exclude, dataset_path(j->data), &j->chosen);
    if (rc < 0) return rc;
    j->progress.total = dataset_count(j->data);
    if (dataset_is_shards(j->data)) j->progress.failed += shards_left_out(dataset_shards(j->data));
    return j->progress.total ? 0 : error_set(ERR_USAGE, "%s: there is no item in this data set", dataset_path(j->data));
}

int package_run(const mien_package_options *options, mien_progress *result) {
    package_job j = { .options = options, .begin = clock_seconds(), .progress.n_counts = PACKED_COUNTS };
    pthread_mutex_init(&j.lock, NULL);
    for (int i = 0; i < PACKED_COUNTS; i++) j.progress.count[i].name = count_names[i];
    int rc = open_all(&j);
    if (rc == 0 && options->shards) rc = folder_make(options->output);
    if (rc == 0) rc = open_metadata(&j);
    if (rc == 0) rc = (options->shards ? package_shards : package_zip)(&j);
    tell(&j);
    metadata_close(j.known);
    selection_free(j.chosen);
    dataset_close(j.data);
    pthread_mutex_destroy(&j.lock);
    if (result) *result = j.progress;
    return rc;
}
