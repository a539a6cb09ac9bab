/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "face/annotate_item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "face/map.h"
#include "face/output.h"
#include "image/image.h"

typedef struct {
    annotate_worker *w;
    const char *photo;
    char path[OUTPUTS][PATH_MAX];      /* "": not wanted */
    struct stat photo_stat;
    output_seen seen[OUTPUTS];         /* what is there already; with --force, as good as stale */
    faces_origin origin;
    text doc;                          /* the landmarks JSON, wanted or not: the pictures name its sha256: */
    char doc_sha256[65];
    uint8_t *file;                     /* the photo's bytes */
    size_t file_size;
    image picture, map;
    faces found;
} work;

static bool wants(const annotate_options *o, output_kind kind) {
    return kind == OUTPUT_MAP || (kind == OUTPUT_JSON && o->json) || (kind == OUTPUT_OVERLAY && o->overlay);
}

void annotate_suffixes(const annotate_options *o, const char *out[ANNOTATE_OUTPUTS + 1]) {
    for (output_kind i = 0; i < OUTPUTS; i++)
        if (wants(o, i)) *out++ = output_suffix[i];
    *out = NULL;
}

static int name_output(work *k, const char *stem, output_kind kind) {
    bool fits = (size_t)snprintf(k->path[kind], PATH_MAX, "%s/%s%s", k->w->options->output, stem, output_suffix[kind]) < PATH_MAX;
    if (!fits) k->path[kind][0] = 0;
    return fits ? 0 : error_set(ERR_IO, "the output's path is too long");
}

static int name_outputs(work *k, const char *stem) {
    int rc = 0;
    for (output_kind i = 0; rc == 0 && i < OUTPUTS; i++)
        if (wants(k->w->options, i)) rc = name_output(k, stem, i);
    return rc;
}

/* The photo itself can be what lies at an output's name: by links, or a folder that is mounted twice. */
static int refuse_photo(const work *k, output_kind kind) {
    struct stat st;
    if (stat(k->path[kind], &st) < 0 || st.st_dev != k->photo_stat.st_dev || st.st_ino != k->photo_stat.st_ino) return 0;
    return error_set(ERR_EXISTS, "%s is the photo: it would be overwritten by its own %s", k->path[kind], kind == OUTPUT_JSON ? "landmarks" : "map");
}

static int check_places(const work *k) {
    int rc = folder_check_links(k->w->options->output, k->path[OUTPUT_MAP]);
    for (output_kind i = 0; rc == 0 && i < OUTPUTS; i++)
        if (k->path[i][0]) rc = refuse_photo(k, i);
    return rc;
}

static int refuse_changed(const work *k, output_kind kind) {
    return error_set(ERR_EXISTS, "%s may have been changed since mien wrote it (--force overwrites it)", k->path[kind]);
}

/* ITEM_THERE if all outputs are there and of this photo and these settings; ERR_EXISTS for one that is not ours. */
static int look_for_outputs(work *k, item_result *result) {
    bool all = true;
    for (output_kind i = 0; i < OUTPUTS; i++) {   /* the map first: it vouches for the JSON */
        if (!k->path[i][0]) continue;
        int rc = output_look(k->path[i], i, &k->origin, k->seen[OUTPUT_MAP].json, &k->seen[i]);
        if (rc < 0) return rc;
        output_state s = k->seen[i].state;
        if (s == OUTPUT_FOREIGN) return error_set(ERR_EXISTS, "%s is there and was not made by mien (--force overwrites it)", k->path[i]);
        if (s == OUTPUT_CHANGED) return refuse_changed(k, i);
        all = all && s >= OUTPUT_UNSURE;
    }
    *result = all ? ITEM_THERE : ITEM_MADE;
    return 0;
}

/* A JSON or an overlay that an earlier run left, and that this one does not ask for, would contradict the new map: if it is
 * surely ours and of another photo or other settings, it is made again as well. */
static int add_stale(work *k, const char *stem) {
    output_seen map, seen;
    if (k->seen[OUTPUT_MAP].state == OUTPUT_ABSENT) return 0;   /* a new photo: nothing vouches for anything */
    int rc = output_look(k->path[OUTPUT_MAP], OUTPUT_MAP, &k->origin, "", &map);
    for (output_kind i = OUTPUT_JSON; rc == 0 && i < OUTPUTS; i++) {
        if (k->path[i][0] || (rc = name_output(k, stem, i)) < 0) continue;
        rc = output_look(k->path[i], i, &k->origin, map.json, &seen);
        if (rc == 0 && seen.state == OUTPUT_STALE) k->seen[i] = seen;
        else k->path[i][0] = 0;
    }
    return rc;
}

/* Whether the very output that would be written is there already. */
static bool is_there(const work *k, output_kind kind) {
    return k->seen[kind].state >= OUTPUT_UNSURE && strcmp(k->seen[kind].json, k->doc_sha256) == 0;
}

/* The folder of an output, made unless it was the last one too. */
static int make_folder(annotate_worker *w, const char *path) {
    size_t n = (size_t)(strrchr(path, '/') - path);
    if (w->folder && strlen(w->folder) == n && memcmp(w->folder, path, n) == 0) return 0;
    char *folder = strndup(path, n);
    if (!folder) return error_memory(n);
    int rc = folder_make(folder);
    free(w->folder);
    w->folder = rc < 0 ? (free(folder), NULL) : folder;
    return rc;
}

static int save(work *k, output_kind kind, const void *data, size_t size) {
    double begin = clock_seconds();
    int rc = make_folder(k->w, k->path[kind]);
    if (rc == 0) rc = refuse_photo(k, kind);
    if (rc == 0) rc = k->seen[kind].state == OUTPUT_ABSENT ? file_save_new(k->path[kind], data, size) : file_save(k->path[kind], data, size);
    k->w->times.write += clock_seconds() - begin;
    return rc;
}

static int make_json(work *k) {
    double begin = clock_seconds();
    uint8_t digest[32];
    int rc = faces_json_write(&k->found, &k->origin, &k->doc);
    if (rc == 0) {
        sha256(k->doc.data, k->doc.size, digest);
        sha256_hex(digest, k->doc_sha256);
    }
    k->w->times.encode += clock_seconds() - begin;
    if (rc < 0 || !k->path[OUTPUT_JSON][0] || is_there(k, OUTPUT_JSON)) return rc;
    if (k->seen[OUTPUT_JSON].state == OUTPUT_UNSURE) return refuse_changed(k, OUTPUT_JSON);
    return save(k, OUTPUT_JSON, k->doc.data, k->doc.size);
}

static int save_picture(work *k, output_kind kind, const image *img) {
    double begin = clock_seconds();
    text stamp = { 0 };
    faces_stamp(&k->origin, k->doc_sha256, output_stamp[kind], false, 0, 0, &stamp);
    image_text tag = { FACES_STAMP_KEY, stamp.data };
    uint8_t *data = NULL;
    size_t size;
    int rc = text_check(&stamp);
    if (rc == 0) rc = image_encode_png(img, &tag, 1, &data, &size);
    k->w->times.encode += clock_seconds() - begin;
    if (rc == 0) rc = save(k, kind, data, size);
    text_free(&stamp);
    free(data);
    return rc;
}

static int draw(work *k, image *canvas) {
    double begin = clock_seconds();
    int rc = face_map_draw(&k->found, k->w->settings.min_face, canvas);
    k->w->times.draw += clock_seconds() - begin;
    return rc < 0 ? rc : 0;
}

/* The map comes last. Whatever a kill leaves undone, the next run finds missing or of other origin, and makes anew. */
static int make_outputs(work *k) {
    int width = k->picture.width, height = k->picture.height;
    int rc = make_json(k);
    if (rc == 0 && k->path[OUTPUT_OVERLAY][0] && !is_there(k, OUTPUT_OVERLAY) && (rc = draw(k, &k->picture)) == 0)
        rc = save_picture(k, OUTPUT_OVERLAY, &k->picture);
    image_free(&k->picture);   /* large photos should not be held twice */
    if (rc < 0 || is_there(k, OUTPUT_MAP)) return rc;
    rc = image_new(width, height, &k->map);
    if (rc == 0) rc = draw(k, &k->map);
    return rc < 0 ? rc : save_picture(k, OUTPUT_MAP, &k->map);
}

static int read_photo(work *k) {
    double begin = clock_seconds();
    uint8_t digest[32];
    int rc = stat(k->photo, &k->photo_stat) < 0 ? error_errno("%s", k->photo) : file_load(k->photo, IMAGE_MAX_BYTES, &k->file, &k->file_size);
    if (rc == 0) {
        sha256(k->file, k->file_size, digest);
        sha256_hex(digest, k->origin.sha256);
    }
    k->w->times.read += clock_seconds() - begin;
    return rc;
}

static int find_faces(work *k) {
    const annotate_options *o = k->w->options;
    double begin = clock_seconds();
    image_options how = { .apply_exif = !o->ignore_exif, .max_pixels = o->max_pixels };
    int rc = image_decode(k->file, k->file_size, &how, &k->picture);
    free(k->file);
    k->file = NULL;
    double decoded = clock_seconds();
    k->w->times.decode += decoded - begin;
    if (rc < 0) return rc;
    if (k->picture.width > FACES_MOST_SIDE || k->picture.height > FACES_MOST_SIDE)
        return error_set(ERR_LIMIT, "%d x %d: a side longer than %d pixels", k->picture.width, k->picture.height, FACES_MOST_SIDE);
    face_times stages = { 0 };
    rc = face_mesh_find(k->w->mesh, &k->picture, &o->faces, &stages, &k->found);
    annotate_times *t = &k->w->times;
    t->find += clock_seconds() - decoded;
    t->detect += stages.letterbox + stages.detect;
    t->landmarks += stages.crop + stages.landmarks;
    return rc;
}

static int refuse_clash(const inputs_item *item) {
    if (item->clash_input) return error_set(ERR_EXISTS, "its output would overwrite the input %s", item->clash);
    return error_set(ERR_EXISTS, "would write the same output as %s: neither is done (rename one, or give each an -o of its own)", item->clash);
}

int annotate_item(annotate_worker *w, const inputs_item *item, item_result *result) {
    *result = ITEM_THERE;
    if (item->again) return 0;
    if (item->clash[0]) return refuse_clash(item);
    work *k = calloc(1, sizeof *k);
    if (!k) return error_memory(sizeof *k);
    k->w = w;
    k->photo = item->path;
    k->origin.has_settings = true;
    k->origin.settings = w->settings;
    for (output_kind i = 0; i < OUTPUTS; i++) k->seen[i].state = OUTPUT_STALE;
    *result = ITEM_MADE;
    int rc = name_outputs(k, item->stem);
    if (rc == 0) rc = read_photo(k);
    if (rc == 0) rc = check_places(k);
    if (rc == 0 && !w->options->force) rc = look_for_outputs(k, result);
    if (rc == 0 && *result == ITEM_MADE) {
        rc = add_stale(k, item->stem);
        if (rc == 0) rc = find_faces(k);
        if (rc == 0) rc = make_outputs(k);
        if (rc == 0) w->faces = (uint64_t)k->found.count;
    }
    text_free(&k->doc);
    free(k->found.face);
    image_free(&k->picture);
    image_free(&k->map);
    free(k->file);
    free(k);
    return rc;
}

annotate_worker annotate_worker_of(const face_mesh *mesh, const annotate_options *o) {
    faces_settings s = {
        .max_faces = o->faces.max_faces, .min_confidence = o->faces.min_confidence, .min_face = o->min_face,
        .ignore_exif = o->ignore_exif, .search_auto = o->faces.search == MIEN_SEARCH_AUTO,
    };
    return (annotate_worker){ .mesh = mesh, .options = o, .settings = s };
}

void annotate_worker_free(annotate_worker *w) {
    free(w->folder);
    w->folder = NULL;
}
