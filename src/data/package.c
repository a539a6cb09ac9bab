/* SPDX-License-Identifier: Apache-2.0
 *
 * What both kinds of package have in common: which items, with what. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
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

/* No use to go on, whatever the item. */
static bool ends_all(int rc) { return rc == ERR_MEMORY || rc == ERR_FULL || rc == ERR_CANCELLED; }

int package_lost(package_job *j, const package_item *item, uint64_t i, int rc) {
    char name[64];
    if (ends_all(rc)) return rc;
    snprintf(name, sizeof name, "item %llu", (unsigned long long)i + 1);
    j->progress.failed++;
    say(j, MIEN_LOG_ITEM_FAILED, item->line.id ? item->line.id : name, error_message());
    return 0;
}

/* ---- an item ------------------------------------------------------------------------------------------------------------- */

void package_item_free(package_item *item) {
    dataset_item_free(&item->line);
    text_free(&item->metadata);
    free(item->map);
    free(item->photo);
    free(item->faces);
    *item = (package_item){ .map = NULL };
}

/* A name that any system unpacks, and any terminal shows: UTF-8, nothing invisible, no backslash. */
static bool travels(const char *name) {
    char shown[4 * (NAME_MAX + 1)];
    return name[0] != '.' && !strchr(name, '\\') && strcmp(text_escape(shown, sizeof shown, name), name) == 0;
}

static int read_line(package_job *j, uint64_t i, package_item *out) {
    int rc = dataset_read(j->data, i, &out->line);
    if (rc < 0) return rc;
    if (!travels(out->line.source) || !travels(out->line.target)) return error_set(ERR_FORMAT, "\"%s\" is no name to pass on", travels(out->line.source) ? out->line.target : out->line.source);
    if (dataset_is_shards(j->data)) rc = shards_metadata(dataset_shards(j->data), i, &out->metadata);
    else if (j->known) rc = metadata_find(j->known, out->line.id, &out->metadata);
    if (out->metadata.size == 2) text_free(&out->metadata);   /* {} */
    return rc < 0 ? rc : 0;
}

static bool has_file(package_job *j, const dataset_item *line, dataset_part part) {
    char path[PATH_MAX];
    return dataset_part_path(j->data, line, part, path) && access(path, F_OK) == 0;
}

/* The landmarks, if there are any; and the hash of the photo as they tell it. */
static int load_faces(package_job *j, package_item *item, char sha256[65]) {
    bool shards = dataset_is_shards(j->data);
    sha256[0] = 0;
    if (item->faces || (!shards && !has_file(j, &item->line, DATASET_FACES))) return 0;
    int rc = dataset_load(j->data, &item->line, DATASET_FACES, &item->faces, &item->faces_size);
    if (rc == ERR_IO && shards) return item->faces = NULL, 0;   /* there are none */
    if (rc < 0) return item->faces = NULL, rc;
    faces f;
    faces_origin origin;
    rc = faces_json_read("its landmarks", item->faces, item->faces_size, &f, &origin);
    if (rc < 0) return rc;
    free(f.face);
    memcpy(sha256, origin.sha256, 65);
    return 0;
}

/* Of the photo: by the landmarks, else by the file itself. */
static int photo_hash(package_job *j, package_item *item, char hex[65]) {
    int rc = load_faces(j, item, hex);
    if (rc < 0 || *hex) return rc;
    if (dataset_load(j->data, &item->line, DATASET_TARGET, &item->photo, &item->photo_size) < 0) return item->photo = NULL, 0;
    uint8_t digest[32];
    sha256(item->photo, item->photo_size, digest);
    sha256_hex(digest, hex);
    return 0;
}

static int ask_selection(package_job *j, package_item *item) {
    text url = { 0 };
    char sha256[65] = "";
    int rc = 0;
    if (item->metadata.size && selection_needs_url(j->chosen)) rc = metadata_field(item->metadata.data, item->metadata.size, "url", &url);
    if (rc == 0 && selection_needs_sha256(j->chosen)) rc = photo_hash(j, item, sha256);
    if (rc == 0) rc = selection_asks(j->chosen, item->line.id, url.size ? url.data : NULL, *sha256 ? sha256 : NULL) == SELECTED;
    text_free(&url);
    return rc;
}

int package_choose(package_job *j, uint64_t i, bool quietly, package_item *out) {
    *out = (package_item){ .map = NULL };
    int rc = read_line(j, i, out);
    if (rc == 0) rc = ask_selection(j, out);
    if (rc == 0 && !quietly) j->progress.count[PACKED_SELECTED_OUT].n++;
    if (rc < 0) rc = quietly && !ends_all(rc) ? 0 : package_lost(j, out, i, rc);
    if (rc <= 0) package_item_free(out);
    return rc;
}

static int need_picture(const char *what, const uint8_t *data, size_t size) {
    return image_format_name(data, size) ? 0 : error_set(ERR_FORMAT, "its %s is no picture", what);
}

int package_load(package_job *j, package_item *item, bool photo) {
    char sha256[65];
    int rc = dataset_load(j->data, &item->line, DATASET_SOURCE, &item->map, &item->map_size);
    if (rc < 0) return item->map = NULL, rc;
    rc = need_picture("map", item->map, item->map_size);
    if (rc == 0) rc = load_faces(j, item, sha256);
    if (rc < 0 || !photo) return rc;
    if (!item->photo) rc = dataset_load(j->data, &item->line, DATASET_TARGET, &item->photo, &item->photo_size);
    if (rc < 0) return item->photo = NULL, rc;
    return need_picture("photo", item->photo, item->photo_size);
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
    if (stat(j->scratch, &st) < 0) return error_errno("%s", j->scratch), ERR_USAGE;
    if (lstat(o->output, &st) < 0) return errno == ENOENT ? 0 : (error_errno("%s", o->output), ERR_USAGE);
    if (S_ISDIR(st.st_mode)) return error_set(ERR_USAGE, "%s: is a folder", o->output);
    if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) return error_set(ERR_USAGE, "%s: is not a regular file", o->output);
    return o->force ? 0 : error_set(ERR_EXISTS, "%s: is there already (--force overwrites it)", o->output);
}

static bool same_folder(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* No command writes over its input: among the data set's own files nothing is put, but for a zip beside prompt.jsonl. */
static int check_input(const package_job *j) {
    const char *output = j->options->output;
    size_t n = strlen(output);
    for (int i = 0; i < 3; i++) {
        static const char *const below[] = { "", "/source", "/target" };
        char folder[PATH_MAX];
        if (snprintf(folder, sizeof folder, "%s%s", dataset_path(j->data), below[i]) >= PATH_MAX || !same_folder(folder, j->scratch)) continue;
        if (i == 0 && !j->options->shards && n > 4 && strcmp(output + n - 4, ".zip") == 0) continue;
        return error_set(ERR_USAGE, "%s: lies among the data set's own files", output);
    }
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
    for (int i = 0; i < PACKED_COUNTS; i++) j.progress.count[i].name = count_names[i];
    int rc = open_all(&j);
    if (rc == 0 && options->shards) rc = folder_make(options->output);
    if (rc == 0) rc = open_metadata(&j);
    if (rc == 0) rc = (options->shards ? package_shards : package_zip)(&j);
    tell(&j);
    metadata_close(j.known);
    selection_free(j.chosen);
    dataset_close(j.data);
    if (result) *result = j.progress;
    return rc;
}
