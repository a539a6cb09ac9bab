/* SPDX-License-Identifier: Apache-2.0 */
#include "data/check_item.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "data/face_match.h"
#include "data/picture_hash.h"
#include "data/shards.h"
#include "face/faces_json.h"
#include "image/image.h"

const char *const check_reason_name[CHECK_REASONS] = {
    "broken_line", "removed", "source_missing", "source_broken", "target_missing", "target_broken", "unreadable", "aspect_changed",
    "landmarks_broken", "landmarks_differ", "faces_differ", "target_twice", "duplicate", "near_duplicate",
    "rescaled", "prompt_empty", "more_faces", "faces_unknown", "other_photo", "unnamed_file",
};

const char *const check_reason_part[CHECK_REASONS] = {
    "", "", "map", "map", "photo", "photo", "", "photo", "landmarks", "map", "map", "photo", "photo", "photo",
    "map", "prompt", "map", "map", "landmarks", "",
};

typedef struct {
    const check_common *common;
    check_verdict *v;
    mien_check_times *times;
    dataset_item item;
    uint8_t *source, *target;      /* their bytes */
    size_t source_size, target_size;
    image photo, map;              /* the map only if it is needed */
    int map_width, map_height;
    bool unchosen;                 /* unless by the hash of its photo */
    bool has_faces;                /* landmarks lie beside the map: */
    faces mapped;
    faces_origin origin;
} work;

/* The line is bad. Returns 1: it need not be looked at any further. */
__attribute__((format(printf, 3, 4))) static int bad(work *k, check_reason reason, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(k->v->detail, sizeof k->v->detail, format, args);
    va_end(args);
    k->v->reason = reason;
    return 1;
}

__attribute__((format(printf, 3, 4))) static void note(work *k, check_reason reason, const char *format, ...) {
    char *to = k->v->noted;
    size_t room = sizeof k->v->noted, n = strlen(to);
    n += (size_t)snprintf(to + n, room - n, "%s%s: %s: ", n ? "; " : "", check_reason_part[reason], check_reason_name[reason]);
    if (n >= room) n = room - 1;
    va_list args;
    va_start(args, format);
    vsnprintf(to + n, room - n, format, args);
    va_end(args);
    k->v->notes |= 1u << reason;
}

/* The steps return 0 to go on, 1 if the verdict is known, or ERR_*. */

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static int read_line(work *k) {
    int rc = dataset_read(k->common->data, k->v->line, &k->item);
    if (rc == ERR_FORMAT) return bad(k, CHECK_BROKEN_LINE, "%s", dataset_line_fault(k->common->data, k->v->line));
    if (rc < 0) return rc;
    char path[PATH_MAX];
    snprintf(k->v->id, sizeof k->v->id, "%s", k->item.id);
    snprintf(k->v->source, sizeof k->v->source, "%s", k->item.source);
    snprintf(k->v->target, sizeof k->v->target, "%s", k->item.target);
    if (dataset_part_path(k->common->data, &k->item, DATASET_FACES, path)) snprintf(k->v->landmarks, sizeof k->v->landmarks, "%s", strrchr(path, '/') + 1);
    return 0;
}

/* A shard says itself where its photos are from. */
static int ask_shard(work *k, const char *sha256, selection_answer *out) {
    text url = { 0 };
    int rc = shards_url(dataset_shards(k->common->data), k->item.index, &url);
    if (rc >= 0) *out = selection_asks(k->common->chosen, k->item.id, url.data, sha256);
    text_free(&url);
    return rc < 0 ? rc : 0;
}

/* What the lists say; sha256 may be NULL. */
static int ask(work *k, const char *sha256, selection_answer *out) {
    const check_common *c = k->common;
    list_item entry;
    if (dataset_is_shards(c->data) && selection_needs_url(c->chosen)) return ask_shard(k, sha256, out);
    if (!c->list) return *out = selection_asks(c->chosen, k->item.id, NULL, sha256), 0;
    pthread_mutex_lock(c->list_lock);
    int rc = list_table_find(c->list, k->item.id, &entry);
    if (rc >= 0) *out = selection_asks(c->chosen, k->item.id, rc ? entry.url : NULL, sha256);
    pthread_mutex_unlock(c->list_lock);
    return rc < 0 ? rc : 0;
}

/* The list may name by its hash, too, what is left out by its id: that line is of use. */
static void ask_by_hash(work *k) {
    uint8_t *data, digest[32];
    size_t size;
    char hex[65];
    if (!selection_needs_sha256(k->common->chosen) || dataset_load(k->common->data, &k->item, DATASET_TARGET, &data, &size) < 0) return;
    sha256(data, size, digest);
    sha256_hex(digest, hex);
    free(data);
    selection_asks(k->common->chosen, NULL, NULL, hex);
}

/* An item that is not in --only may still be, by the hash of its photo: that is known later. */
static int choose(work *k, const char *sha256) {
    selection_answer answer;
    if (!k->common->chosen) return 0;
    int rc = ask(k, sha256, &answer);
    if (rc < 0) return rc;
    k->v->by_hash = sha256 && (answer == EXCLUDED || answer == REMOVED);
    if (answer == REMOVED) return bad(k, CHECK_REMOVED, "was removed for good, but is here again");
    if (answer == EXCLUDED && !sha256) ask_by_hash(k);
    k->unchosen = answer == NOT_ONLY && !sha256 && selection_needs_sha256(k->common->chosen);
    return answer == SELECTED || k->unchosen ? 0 : bad(k, CHECK_LEFT_OUT, "%s", selection_word(answer));
}

static bool is_missing(const work *k, dataset_part part) {
    char path[PATH_MAX];
    struct stat st;
    if (!dataset_part_path(k->common->data, &k->item, part, path)) return true;   /* in a shard: it could not be read */
    return stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

static int load(work *k, dataset_part part, check_reason missing, uint8_t **data, size_t *size) {
    double begin = clock_seconds();
    int rc = dataset_load(k->common->data, &k->item, part, data, size);
    k->times->read += clock_seconds() - begin;
    if (rc == 0) return 0;
    if (is_missing(k, part)) return bad(k, missing, "%s/%s is not there", part == DATASET_TARGET ? "target" : "source", part == DATASET_TARGET ? k->v->target : k->v->source);
    return bad(k, CHECK_UNREADABLE, "%s", error_message());
}

static int load_target(work *k) {
    int rc = load(k, DATASET_TARGET, CHECK_TARGET_MISSING, &k->target, &k->target_size);
    if (rc > 0 && k->unchosen) return bad(k, CHECK_LEFT_OUT, "%s", selection_word(NOT_ONLY));
    if (rc) return rc;
    char hex[65];
    sha256(k->target, k->target_size, k->v->sha256);
    sha256_hex(k->v->sha256, hex);
    k->v->has_sha256 = true;
    return k->common->chosen && selection_needs_sha256(k->common->chosen) ? choose(k, hex) : 0;
}

/* ---- pictures ------------------------------------------------------------------------------------------------------ */

/* A picture that is broken, or too large: that is the file's fault. Whatever else went wrong is not. */
static int judge(work *k, int rc, check_reason broken, const char *what, const char *name) {
    if (rc == 0) return 0;
    bool its_own = rc == ERR_FORMAT || rc == ERR_UNSUPPORTED || rc == ERR_LIMIT;
    return bad(k, its_own ? broken : CHECK_UNREADABLE, "%s/%s: %s", what, name, error_message());
}

/* As whoever reads the data set sees it: not turned by EXIF. */
static int decode_target(work *k) {
    double begin = clock_seconds();
    image_options how = { .max_pixels = k->common->max_pixels };
    int rc = image_decode(k->target, k->target_size, &how, &k->photo);
    k->times->decode += clock_seconds() - begin;
    free(k->target);
    k->target = NULL;
    return judge(k, rc, CHECK_TARGET_BROKEN, "target", k->v->target);
}

static int decode_source(work *k, bool pixels) {
    double begin = clock_seconds();
    image_options how = { .max_pixels = k->common->max_pixels };
    int rc = pixels ? image_decode(k->source, k->source_size, &how, &k->map)
                    : image_verify(k->source, k->source_size, false, &how, &k->map_width, &k->map_height);
    if (rc == 0 && pixels) k->map_width = k->map.width, k->map_height = k->map.height;
    k->times->decode += clock_seconds() - begin;
    return judge(k, rc, CHECK_SOURCE_BROKEN, "source", k->v->source);
}

static int compare_sizes(work *k) {
    int w = k->map_width, h = k->map_height, width = k->photo.width, height = k->photo.height;
    if (w == width && h == height) return 0;
    if (!dataset_same_shape(w, h, width, height)) return bad(k, CHECK_ASPECT_CHANGED, "the photo is %d x %d, its map %d x %d", width, height, w, h);
    note(k, CHECK_RESCALED, "the photo is %d x %d, its map %d x %d", width, height, w, h);
    return 0;
}

/* ---- faces --------------------------------------------------------------------------------------------------------- */

static int load_landmarks(work *k) {
    uint8_t *data;
    size_t size;
    char hex[65];
    if (dataset_load(k->common->data, &k->item, DATASET_FACES, &data, &size) < 0)
        return is_missing(k, DATASET_FACES) ? 0 : bad(k, CHECK_UNREADABLE, "%s", error_message());
    int rc = size > FACES_MOST_BYTES ? error_set(ERR_LIMIT, "%zu bytes are too many", size) : faces_json_read(k->v->landmarks, data, size, &k->mapped, &k->origin);
    free(data);
    if (rc == ERR_MEMORY) return bad(k, CHECK_UNREADABLE, "%s", error_message());
    if (rc < 0) return bad(k, CHECK_LANDMARKS_BROKEN, "source/%s", error_message());
    k->has_faces = true;
    sha256_hex(k->v->sha256, hex);
    if (*k->origin.sha256 && strcmp(k->origin.sha256, hex) != 0) note(k, CHECK_OTHER_PHOTO, "the landmarks were found in another file than target/%s", k->v->target);
    return 0;
}

static double min_face(const work *k) { return k->origin.has_settings ? k->origin.settings.min_face : 0; }
static bool is_lossy(const work *k) {
    const char *format = image_format_name(k->source, k->source_size);
    return !format || strcmp(format, "PNG") != 0;
}

static int compare_landmarks(work *k) {
    bool same;
    double begin = clock_seconds();
    if (!dataset_same_shape(k->map_width, k->map_height, k->mapped.width, k->mapped.height))
        return bad(k, CHECK_LANDMARKS_DIFFER, "source/%s is of %d x %d, the map has %d x %d", k->v->landmarks, k->mapped.width, k->mapped.height, k->map_width, k->map_height);
    int rc = face_match_drawn(&k->map, is_lossy(k), &k->mapped, min_face(k), &same);
    k->times->compare += clock_seconds() - begin;
    if (rc < 0) return bad(k, CHECK_UNREADABLE, "%s", error_message());
    return same ? 0 : bad(k, CHECK_LANDMARKS_DIFFER, "the map is not what source/%s gives", k->v->landmarks);
}

/* As they were looked for when the map was made. */
static face_settings settings_of(const work *k) {
    face_settings s = { .max_faces = 5, .min_confidence = 0.5f, .search = MIEN_SEARCH_NONE };
    const faces_settings *from = &k->origin.settings;
    if (!k->origin.has_settings) return s;
    if (from->max_faces >= 1 && from->max_faces <= 100) s.max_faces = from->max_faces;
    if (from->min_confidence >= 0 && from->min_confidence <= 1) s.min_confidence = from->min_confidence;
    if (from->search_auto) s.search = MIEN_SEARCH_AUTO;
    return s;
}

static int judge_match(work *k, const face_match *m) {
    const char *of = k->has_faces ? "face" : "pupil";
    if (m->missing && isinf(m->off)) return bad(k, CHECK_FACES_DIFFER, "no face was found in the photo, its map shows %d %s%s", m->mapped, of, m->mapped == 1 ? "" : "s");
    if (m->missing)
        return bad(k, CHECK_FACES_DIFFER, "%d of the %d %s%s in the map %s not where the photo has them; the worst is off by %.0f%% of the distance between the eyes",
                   m->missing, m->mapped, of, m->mapped == 1 ? "" : "s", m->missing == 1 ? "is" : "are", 100 * m->off);
    if (m->unknown) note(k, CHECK_FACES_UNKNOWN, "the map shows no pupil to compare");
    else if (m->more) note(k, CHECK_MORE_FACES, "%d face%s of the photo %s not in the map", m->more, m->more == 1 ? "" : "s", m->more == 1 ? "is" : "are");
    return 0;
}

static int compare_faces(work *k) {
    faces found = { 0 };
    face_settings how = settings_of(k);
    face_match m;
    double begin = clock_seconds();
    if (k->photo.width > FACES_MOST_SIDE || k->photo.height > FACES_MOST_SIDE)
        return bad(k, CHECK_TARGET_BROKEN, "target/%s: %d x %d: a side longer than %d pixels", k->v->target, k->photo.width, k->photo.height, FACES_MOST_SIDE);
    int rc = face_mesh_find(k->common->mesh, &k->photo, &how, NULL, &found);
    double end = clock_seconds();
    k->times->find += end - begin;
    if (rc == 0 && k->has_faces) face_match_landmarks(&k->mapped, min_face(k), &found, &m);
    else if (rc == 0) rc = face_match_map(&k->map, is_lossy(k), &found, &m);
    k->times->compare += clock_seconds() - end;
    free(found.face);
    return rc < 0 ? bad(k, CHECK_UNREADABLE, "%s", error_message()) : judge_match(k, &m);
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

static int look_closer(work *k) {
    int rc = decode_target(k);
    if (!rc) k->v->has_hash = picture_hash(&k->photo, &k->v->hash);
    if (!rc) rc = load_landmarks(k);
    if (!rc) rc = decode_source(k, k->has_faces || k->common->mesh);
    if (!rc) rc = compare_sizes(k);
    if (!rc && k->has_faces) rc = compare_landmarks(k);
    if (!rc && k->common->mesh) rc = compare_faces(k);
    if (!rc && !*k->item.prompt) note(k, CHECK_PROMPT_EMPTY, "training takes \"an image\"");
    return rc;
}

static int look(work *k) {
    int rc = read_line(k);
    if (!rc) rc = choose(k, NULL);
    if (!rc) rc = load_target(k);
    if (!rc) rc = load(k, DATASET_SOURCE, CHECK_SOURCE_MISSING, &k->source, &k->source_size);
    return rc ? rc : look_closer(k);
}

int check_item(const check_common *c, check_verdict *v, mien_check_times *times) {
    work k = { .common = c, .v = v, .times = times };
    uint64_t line = v->line;
    memset(v, 0, sizeof *v);
    v->line = line;
    v->reason = CHECK_FINE;
    int rc = look(&k);
    dataset_item_free(&k.item);
    free(k.source);
    free(k.target);
    image_free(&k.photo);
    image_free(&k.map);
    free(k.mapped.face);
    return rc < 0 ? rc : 0;
}
