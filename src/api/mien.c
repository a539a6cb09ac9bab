/* SPDX-License-Identifier: Apache-2.0
 *
 * The public library over the rooms. */
#include "api/api.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"
#include "face/annotate.h"
#include "face/faces_json.h"
#include "face/locate.h"
#include "face/map.h"
#include "face/redraw.h"
#include "image/image.h"

_Static_assert((int)MIEN_ERR_IO == ERR_IO && (int)MIEN_ERR_FORMAT == ERR_FORMAT && (int)MIEN_ERR_MEMORY == ERR_MEMORY &&
                   (int)MIEN_ERR_LIMIT == ERR_LIMIT && (int)MIEN_ERR_UNSUPPORTED == ERR_UNSUPPORTED && (int)MIEN_ERR_USAGE == ERR_USAGE &&
                   (int)MIEN_ERR_EXISTS == ERR_EXISTS && (int)MIEN_ERR_CANCELLED == ERR_CANCELLED && (int)MIEN_ERR_FULL == ERR_FULL,
               "the codes are the library's own");

const char *mien_version(void) { return MIEN_VERSION; }
const char *mien_error(void) { return error_message(); }

/* ---- pictures ------------------------------------------------------------------------------------------------------ */

int mien_image_load(const char *path, int ignore_exif, size_t max_pixels, mien_image *out) {
    uint8_t *data;
    size_t size;
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc < 0) return rc;
    image_options how = { .apply_exif = !ignore_exif, .max_pixels = max_pixels };
    image img;
    rc = image_decode(data, size, &how, &img);
    free(data);
    if (rc < 0) return error_prefix("%s", path);
    *out = (mien_image){ img.width, img.height, img.rgb };
    return 0;
}

int mien_image_new(int width, int height, mien_image *out) {
    image img;
    int rc = image_new(width, height, &img);
    if (rc == 0) *out = (mien_image){ img.width, img.height, img.rgb };
    return rc;
}

static image inner(const mien_image *img) { return (image){ img->width, img->height, img->rgb }; }

int mien_image_save_png(const char *path, const mien_image *img) {
    uint8_t *data;
    size_t size;
    image picture = inner(img);
    int rc = image_encode_png(&picture, NULL, 0, &data, &size);
    if (rc < 0) return error_prefix("%s", path);
    rc = file_save(path, data, size);
    free(data);
    return rc;
}

void mien_image_free(mien_image *img) {
    if (!img) return;
    free(img->rgb);
    *img = (mien_image){ 0 };
}

/* ---- faces --------------------------------------------------------------------------------------------------------- */

int mien_open(const mien_options *options, mien **out) {
    static const mien_options defaults;
    if (!options) options = &defaults;
    cpu_level level = CPU_BEST;
    if (options->cpu && !cpu_level_parse(options->cpu, &level)) return error_set(ERR_USAGE, "%s: no such processor level", options->cpu);
    char models[PATH_MAX];
    int rc = locate_models(options->models, models, sizeof models);
    if (rc < 0) return rc;
    mien *m = calloc(1, sizeof *m);
    if (!m) return error_memory(sizeof *m);
    rc = face_mesh_open(models, level, &m->mesh);
    if (rc < 0) free(m);
    else *out = m;
    if (rc == 0 && options->profile) face_mesh_profile(m->mesh);
    return rc;
}

void mien_close(mien *m) {
    if (!m) return;
    face_mesh_close(m->mesh);
    free(m);
}

mien_face_settings mien_face_defaults(void) {
    return (mien_face_settings){ .max_faces = 5, .min_confidence = 0.5f, .search = MIEN_SEARCH_NONE };
}

int api_face_settings(mien_face_settings *s) {
    mien_face_settings defaults = mien_face_defaults();
    if (s->max_faces == 0 && s->min_confidence == 0) s->min_confidence = defaults.min_confidence;
    if (s->max_faces == 0) s->max_faces = defaults.max_faces;
    if (s->max_faces < 1 || s->max_faces > 100) return error_set(ERR_USAGE, "max_faces is %d: 1 to 100 are possible", s->max_faces);
    if (!(s->min_confidence >= 0 && s->min_confidence <= 1))
        return error_set(ERR_USAGE, "min_confidence is %g: 0 to 1 is possible", (double)s->min_confidence);
    if (s->search != MIEN_SEARCH_NONE && s->search != MIEN_SEARCH_AUTO)
        return error_set(ERR_USAGE, "search %d: there is none of that number", (int)s->search);
    return 0;
}

int mien_find_faces(const mien *m, const uint8_t *rgb, int width, int height, const mien_face_settings *settings, mien_faces *out) {
    mien_face_settings s = settings ? *settings : (mien_face_settings){ 0 };
    int rc = api_face_settings(&s);
    if (rc < 0) return rc;
    if (width < 1 || height < 1 || width > FACES_MOST_SIDE || height > FACES_MOST_SIDE)
        return error_set(ERR_USAGE, "a picture of %d x %d: sides are 1 to %d", width, height, FACES_MOST_SIDE);
    image picture = { width, height, (uint8_t *)rgb };   /* only read */
    return face_mesh_find(m->mesh, &picture, &s, NULL, out);
}

void mien_faces_free(mien_faces *f) {
    if (!f) return;
    free(f->face);
    *f = (mien_faces){ 0 };
}

double mien_face_size(const mien_face *f, int width, int height) { return face_size(f, width, height); }

mien_draw_options mien_draw_defaults(void) { return (mien_draw_options){ .min_face = -1 }; }

int mien_draw(const mien_faces *f, double min_face, mien_image *canvas) {
    image picture = inner(canvas);
    return face_map_draw(f, min_face, &picture);
}

int mien_faces_load(const char *path, mien_faces *out) { return faces_json_load(path, out, NULL); }

int mien_faces_save(const char *path, const mien_faces *f) {
    text doc = { 0 };
    int rc = faces_json_write(f, &(faces_origin){ 0 }, &doc);
    if (rc < 0) error_prefix("%s", path);
    else rc = file_save(path, doc.data, doc.size);
    text_free(&doc);
    return rc;
}

int mien_draw_file(const mien_draw_options *o, mien_draw_result *result) {
    if (!o->faces || !o->output) return error_set(ERR_USAGE, "a landmarks JSON and an output are needed");
    redraw_result r;
    int rc = redraw(o, &r);
    if (result) *result = r;
    return rc;
}

/* ---- jobs ---------------------------------------------------------------------------------------------------------- */

int api_part(int part, int parts) {
    bool fits = parts == 0 || (part >= 1 && part <= parts);
    return fits ? 0 : error_set(ERR_USAGE, "part %d of %d: there is none", part, parts);
}

int mien_annotate(const mien *m, const mien_annotate_options *options, mien_progress *result) {
    mien_annotate_options how = *options, *o = &how;
    int rc = api_face_settings(&o->faces);
    if (rc < 0) return rc;
    if (o->n_inputs < 1 || !o->output || !*o->output) return error_set(ERR_USAGE, "inputs and an output folder are needed");
    if ((rc = api_part(o->part, o->parts)) < 0) return rc;
    if (!(o->min_face >= 0 && o->min_face <= FACES_MOST_SIDE))
        return error_set(ERR_USAGE, "min_face is %g: 0 to %d is possible", o->min_face, FACES_MOST_SIDE);
    return annotate_run(m->mesh, o, result);
}
