/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "face/photo.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "face/map.h"

enum { PILLOW_QUALITY = 75 };

static void hash_of(const void *data, size_t size, char out[65]) {
    uint8_t digest[32];
    sha256(data, size, digest);
    sha256_hex(digest, out);
}

/* ---- refusals -------------------------------------------------------------------------------------------------------- */

int photo_refuse_place(const photo_work *k, output_kind kind) {
    struct stat st;
    if (stat(k->path[kind], &st) < 0 || st.st_dev != k->photo_stat.st_dev || st.st_ino != k->photo_stat.st_ino) return 0;
    return error_set(ERR_EXISTS, "%s is the photo: it would be overwritten by its own %s", k->path[kind], kind == OUTPUT_JSON ? "landmarks" : "map");
}

int photo_refuse_changed(const photo_work *k, output_kind kind) {
    return error_set(ERR_EXISTS, "%s may have been changed since mien wrote it (--force overwrites it)", k->path[kind]);
}

int photo_refuse_foreign(const photo_work *k, output_kind kind) {
    return error_set(ERR_EXISTS, "%s is there and was not made by mien (--force overwrites it)", k->path[kind]);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

photo_work *photo_begin(photo_maker *maker, const char *photo) {
    photo_work *k = calloc(1, sizeof *k);
    if (!k) return error_memory(sizeof *k), NULL;
    k->maker = maker;
    k->photo = photo;
    k->origin.has_settings = true;
    k->origin.settings = maker->settings;
    for (output_kind i = 0; i < OUTPUTS; i++) k->seen[i].state = OUTPUT_STALE;
    return k;
}

int photo_read(photo_work *k) {
    double begin = clock_seconds();
    int rc = stat(k->photo, &k->photo_stat) < 0 ? error_errno("%s", k->photo) : file_load(k->photo, IMAGE_MAX_BYTES, &k->file, &k->file_size);
    if (rc == 0) hash_of(k->file, k->file_size, k->origin.sha256);
    k->maker->times.read += clock_seconds() - begin;
    return rc;
}

int photo_decode(photo_work *k) {
    double begin = clock_seconds();
    image_options how = { .apply_exif = !k->maker->settings.ignore_exif, .max_pixels = k->maker->max_pixels };
    int rc = image_decode(k->file, k->file_size, &how, &k->picture);
    if (!k->keep_file) free(k->file), k->file = NULL;
    k->maker->times.decode += clock_seconds() - begin;
    if (rc < 0) return rc;
    if (k->picture.width > FACES_MOST_SIDE || k->picture.height > FACES_MOST_SIDE)
        return error_set(ERR_LIMIT, "%d x %d: a side longer than %d pixels", k->picture.width, k->picture.height, FACES_MOST_SIDE);
    return 0;
}

int photo_find(photo_work *k) {
    double begin = clock_seconds();
    face_times stages = { 0 };
    int rc = face_mesh_find(k->maker->mesh, &k->picture, &k->maker->faces, &stages, &k->found);
    mien_annotate_times *t = &k->maker->times;
    t->find += clock_seconds() - begin;
    t->detect += stages.letterbox + stages.detect;
    t->landmarks += stages.crop + stages.landmarks;
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* Whether the very output that would be written is there already. */
static bool is_there(const photo_work *k, output_kind kind) {
    return k->seen[kind].state >= OUTPUT_UNSURE && strcmp(k->seen[kind].json, k->doc_sha256) == 0;
}

/* The folder of an output, made unless it was the last one too. */
static int make_folder(photo_maker *m, const char *path) {
    size_t n = (size_t)(strrchr(path, '/') - path);
    if (m->folder && strlen(m->folder) == n && memcmp(m->folder, path, n) == 0) return 0;
    char *folder = strndup(path, n);
    if (!folder) return error_memory(n);
    int rc = folder_make(folder);
    free(m->folder);
    m->folder = rc < 0 ? (free(folder), NULL) : folder;
    return rc;
}

static int save(photo_work *k, output_kind kind, const void *data, size_t size) {
    double begin = clock_seconds();
    int rc = make_folder(k->maker, k->path[kind]);
    if (rc == 0) rc = photo_refuse_place(k, kind);
    if (rc == 0) rc = k->seen[kind].state == OUTPUT_ABSENT ? file_save_new(k->path[kind], data, size) : file_save(k->path[kind], data, size);
    k->maker->times.write += clock_seconds() - begin;
    return rc;
}

static int make_json(photo_work *k) {
    double begin = clock_seconds();
    int rc = faces_json_write(&k->found, &k->origin, &k->doc);
    if (rc == 0) hash_of(k->doc.data, k->doc.size, k->doc_sha256);
    k->maker->times.encode += clock_seconds() - begin;
    if (rc < 0 || !k->path[OUTPUT_JSON][0] || is_there(k, OUTPUT_JSON)) return rc;
    if (k->seen[OUTPUT_JSON].state == OUTPUT_UNSURE) return photo_refuse_changed(k, OUTPUT_JSON);
    return save(k, OUTPUT_JSON, k->doc.data, k->doc.size);
}

static int save_png(photo_work *k, output_kind kind, const image *img) {
    double begin = clock_seconds();
    text stamp = { 0 };
    faces_stamp(&k->origin, k->doc_sha256, output_stamp[kind], false, 0, 0, &stamp);
    image_text tag = { FACES_STAMP_KEY, stamp.data };
    uint8_t *data = NULL;
    size_t size;
    int rc = text_check(&stamp);
    if (rc == 0) rc = image_encode_png(img, &tag, 1, &data, &size);
    k->maker->times.encode += clock_seconds() - begin;
    if (rc == 0) rc = save(k, kind, data, size);
    text_free(&stamp);
    free(data);
    return rc;
}

static int save_jpeg_map(photo_work *k, const image *map) {
    double begin = clock_seconds();
    uint8_t *data = NULL;
    size_t size;
    int rc = image_encode_jpeg(map, PILLOW_QUALITY, &data, &size);
    if (rc == 0) hash_of(data, size, k->map_sha256);
    k->maker->times.encode += clock_seconds() - begin;
    bool unsure = k->seen[OUTPUT_MAP].state >= OUTPUT_UNSURE, same = strcmp(k->seen[OUTPUT_MAP].json, k->map_sha256) == 0;
    if (rc == 0 && unsure && !same) rc = photo_refuse_foreign(k, OUTPUT_MAP);
    if (rc == 0 && !unsure) rc = save(k, OUTPUT_MAP, data, size);
    free(data);
    return rc;
}

static int draw(photo_work *k, image *canvas) {
    double begin = clock_seconds();
    int rc = face_map_draw(&k->found, k->maker->settings.min_face, canvas);
    k->maker->times.draw += clock_seconds() - begin;
    return rc < 0 ? rc : 0;
}

int photo_make(photo_work *k) {
    bool jpeg = k->maker->jpeg_maps;
    image map = { k->picture.width, k->picture.height, NULL };
    int rc = make_json(k);
    if (rc == 0 && k->path[OUTPUT_OVERLAY][0] && !is_there(k, OUTPUT_OVERLAY) && (rc = draw(k, &k->picture)) == 0)
        rc = save_png(k, OUTPUT_OVERLAY, &k->picture);
    image_free(&k->picture);   /* large photos should not be held twice */
    if (rc < 0 || (!jpeg && is_there(k, OUTPUT_MAP))) return rc;
    rc = image_new(map.width, map.height, &map);
    if (rc == 0) rc = draw(k, &map);
    if (rc == 0) rc = jpeg ? save_jpeg_map(k, &map) : save_png(k, OUTPUT_MAP, &map);
    image_free(&map);
    return rc;
}

void photo_end(photo_work *k) {
    if (!k) return;
    text_free(&k->doc);
    free(k->found.face);
    image_free(&k->picture);
    free(k->file);
    free(k);
}

void photo_maker_free(photo_maker *m) {
    free(m->folder);
    m->folder = NULL;
}
