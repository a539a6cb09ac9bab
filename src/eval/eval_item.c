/* SPDX-License-Identifier: Apache-2.0
 *
 * An item made ready: its control map, the faces that are wanted, its words. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "data/sample.h"
#include "eval/eval_inside.h"
#include "eval/wanted.h"
#include "face/faces_json.h"
#include "face/locate.h"
#include "face/map.h"
#include "generate/window.h"

/* mien_face_defaults: what annotate and the judge look with. */
static const face_settings usual_search = { .max_faces = 5, .min_confidence = 0.5f };

int eval_open_mesh(evaluation *v) {
    char folder[PATH_MAX];
    if (v->maps.mesh) return 0;
    int rc = locate_models(v->o->models, folder, sizeof folder);
    return rc < 0 ? rc : face_mesh_open(folder, v->cpu, &v->maps.mesh);
}

static const double most_stretched = 0.04;   /* 2% of a map's own, and roundings */

/* ---- the wanted faces ------------------------------------------------------------------------------------------------ */

static int load_photo(evaluation *v, const ready_item *r, image *out) {
    sample_fault fault;
    return sample_load_part(v->d, &r->data, DATASET_TARGET, &(sample_settings){ .cpu = v->cpu }, out, &fault);
}

static int find_on_photo(evaluation *v, ready_item *r) {
    image photo;
    int rc = eval_open_mesh(v);
    if (rc == 0) rc = load_photo(v, r, &photo);
    if (rc < 0) return rc;
    if (photo.width > FACES_MOST_SIDE || photo.height > FACES_MOST_SIDE)
        rc = error_set(ERR_LIMIT, "%d x %d: a side longer than %d pixels", photo.width, photo.height, FACES_MOST_SIDE);
    else rc = face_mesh_find(v->maps.mesh, &photo, &usual_search, NULL, &r->wanted);
    image_free(&photo);
    r->from_photo = true;
    if (rc == 0 && !r->wanted.count)
        rc = error_set(ERR_UNSUPPORTED, "no landmarks lie beside its map, and no face is found on its photo");
    return rc;
}

static int read_landmarks(evaluation *v, ready_item *r, const uint8_t *data, size_t size) {
    faces_origin origin;
    int rc = faces_json_read("landmarks", data, size, &r->wanted, &origin);
    if (rc < 0) return rc;
    if (!v->o->redraw) wanted_leave_out_small(&r->wanted, &origin);   /* of maps that are drawn again none is too small */
    return r->wanted.count ? 0 : error_set(ERR_UNSUPPORTED, "its landmarks have no face");
}

/* After an ERR_IO. A shard that gives the map can be read. */
static bool has_no_landmarks(const evaluation *v, const ready_item *r) {
    char path[PATH_MAX];
    struct stat st;
    uint8_t *data = NULL;
    size_t size;
    if (dataset_part_path(v->d, &r->data, DATASET_FACES, path)) return stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
    bool there = dataset_load(v->d, &r->data, DATASET_SOURCE, &data, &size) == 0;
    if (there) free(data);
    return there;
}

static int find_wanted(evaluation *v, ready_item *r) {
    uint8_t *data;
    size_t size;
    int rc = dataset_load(v->d, &r->data, DATASET_FACES, &data, &size);
    if (rc == ERR_IO) {
        char why[1024];
        snprintf(why, sizeof why, "%s", error_message());
        return has_no_landmarks(v, r) ? find_on_photo(v, r) : error_set(rc, "%s", why);
    }
    if (rc < 0) return rc;
    rc = read_landmarks(v, r, data, size);
    free(data);
    return rc;
}

/* ---- the map --------------------------------------------------------------------------------------------------------- */

/* A file for what has none: of a shard, or landmarks that were just found. By its name it is a leftover if this process is killed. */
static int write_own(evaluation *v, const void *data, size_t size, const char *ending, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/.item.%s.mien-tmp-%ld-%zu", v->o->output, ending, (long)getpid(), (size_t)(uintptr_t)v);
    return n < PATH_MAX ? file_save(out, data, size) : error_set(ERR_IO, "%s: the path is too long", v->o->output);
}

static int own_faces(evaluation *v, const ready_item *r, char out[PATH_MAX]) {
    text doc = { 0 };
    int rc = faces_json_write(&r->wanted, &(faces_origin){ 0 }, &doc);
    if (rc == 0) rc = write_own(v, doc.data, doc.size, "json", out);
    text_free(&doc);
    return rc;
}

static int own_map(evaluation *v, const ready_item *r, char out[PATH_MAX]) {
    uint8_t *data;
    size_t size;
    int rc = dataset_load(v->d, &r->data, DATASET_SOURCE, &data, &size);
    if (rc < 0) return rc;
    rc = write_own(v, data, size, "png", out);
    free(data);
    return rc;
}

/* As generate cuts what it draws. */
static void fit_wanted(evaluation *v, ready_item *r) {
    picture_size asked = { v->o->picture.width, v->o->picture.height }, size = { r->map.picture.width, r->map.picture.height };
    r->cut = !size_stretches(asked, size, r->wanted.width, r->wanted.height);
    if (!r->cut) return;
    r->window = window_choose(&r->wanted, size);
    window_apply(r->window, &r->wanted);
}

/* Landmarks of another photo's shape are not this map's. */
static int check_shape(const ready_item *r) {
    const image *map = &r->map.picture;
    if (size_aspect_error(map->width, map->height, r->width, r->height) <= most_stretched) return 0;
    return error_set(ERR_FORMAT, "its landmarks are of a photo of %dx%d, its map makes pictures of %dx%d", r->width, r->height,
                     map->width, map->height);
}

static int make_map(evaluation *v, ready_item *r) {
    char path[PATH_MAX];
    bool own = v->o->redraw || !dataset_part_path(v->d, &r->data, DATASET_SOURCE, path);
    int rc = !own ? 0 : v->o->redraw ? own_faces(v, r, path) : own_map(v, r, path);
    if (rc < 0) return rc;
    generate_job j = { .how = r->how, .count = 1, .max_faces = 100, .allow_empty = 1 };
    if (v->o->redraw) j.faces = path;
    else j.map = path;
    rc = control_map_make(&v->maps, &j, engine_usual_side(v->e), &r->map);
    if (own) unlink(path);
    if (rc < 0) return rc;
    if (!v->o->redraw) return check_shape(r);
    fit_wanted(v, r);
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

static int make(evaluation *v, ready_item *r) {
    int rc = dataset_read(v->d, r->item->line, &r->data);
    if (rc < 0) return rc == ERR_FORMAT ? error_set(rc, "%s", dataset_line_fault(v->d, r->item->line)) : rc;
    r->how = v->o->picture;
    r->how.prompt = sample_prompt(&r->data);
    settings_prompt(&r->how, &r->prompt);
    rc = text_check(&r->prompt);
    if (rc == 0) rc = find_wanted(v, r);
    r->width = r->wanted.width;
    r->height = r->wanted.height;
    if (rc == 0) rc = make_map(v, r);
    if (rc == 0) rc = engine_shape_of(v->e, &r->how, r->map.picture.width, r->map.picture.height, true, &r->shape, &r->steps);
    if (rc < 0) return rc;
    r->shape.with &= v->has[EVAL_CONTROL];
    r->shape.without |= v->has[EVAL_FREE];
    return 0;
}

int ready_item_make(evaluation *v, eval_item *i, ready_item *out) {
    *out = (ready_item){ .item = i };
    int rc = make(v, out);
    if (rc < 0) ready_item_free(out);
    return rc;
}

void ready_item_free(ready_item *r) {
    dataset_item_free(&r->data);
    image_free(&r->map.picture);
    free(r->map.wanted.face);
    free(r->wanted.face);
    text_free(&r->prompt);
    *r = (ready_item){ 0 };
}

/* ---- its photo ------------------------------------------------------------------------------------------------------- */

/* The window of `r` in a photo's own pixels, to the nearest. A part of it may lie beside the photo, where there is nothing to be
 * encoded. */
static int cut_photo(const ready_item *r, image *photo) {
    double sx = (double)photo->width / r->width, sy = (double)photo->height / r->height;
    int x = (int)lround(r->window.x * sx), y = (int)lround(r->window.y * sy),
        right = (int)lround((r->window.x + r->window.width) * sx);
    int below = (int)lround((r->window.y + r->window.height) * sy);
    image part;
    if (x < 0 || y < 0 || right > photo->width || below > photo->height)
        return error_set(ERR_UNSUPPORTED, "its map shows more than its photo has");
    int rc = image_new(right - x, below - y, &part);
    if (rc < 0) return rc;
    for (int i = 0; i < part.height; i++)
        memcpy(part.rgb + (size_t)i * (size_t)part.width * 3,
               photo->rgb + ((size_t)(y + i) * (size_t)photo->width + (size_t)x) * 3, (size_t)part.width * 3);
    image_free(photo);
    *photo = part;
    return 0;
}

int ready_item_photo(evaluation *v, const ready_item *r, image *out) {
    image photo;
    int rc = load_photo(v, r, &photo);
    if (rc < 0) return rc;
    if (size_aspect_error(photo.width, photo.height, r->width, r->height) > most_stretched)
        rc = error_set(ERR_FORMAT, "its landmarks are of a photo of %dx%d, its photo is %dx%d", r->width, r->height, photo.width,
                       photo.height);
    if (rc == 0 && r->cut) rc = cut_photo(r, &photo);
    if (rc == 0) rc = image_resize(&photo, r->map.picture.width, r->map.picture.height, RESIZE_BICUBIC, v->cpu, out);
    image_free(&photo);
    return rc;
}
