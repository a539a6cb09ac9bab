/* SPDX-License-Identifier: Apache-2.0
 *
 * The public library over the rooms. Types that cross are laid out alike, so nothing is copied. */
#include "api/api.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"
#include "base/locate.h"
#include "face/annotate.h"
#include "face/map.h"
#include "face/redraw.h"
#include "image/image.h"

_Static_assert((int)MIEN_ERR_IO == ERR_IO && (int)MIEN_ERR_FORMAT == ERR_FORMAT && (int)MIEN_ERR_MEMORY == ERR_MEMORY &&
                   (int)MIEN_ERR_LIMIT == ERR_LIMIT && (int)MIEN_ERR_UNSUPPORTED == ERR_UNSUPPORTED && (int)MIEN_ERR_USAGE == ERR_USAGE &&
                   (int)MIEN_ERR_EXISTS == ERR_EXISTS && (int)MIEN_ERR_CANCELLED == ERR_CANCELLED && (int)MIEN_ERR_FULL == ERR_FULL,
               "the codes are the library's own");
_Static_assert(sizeof(mien_image) == sizeof(image) && offsetof(mien_image, rgb) == offsetof(image, rgb), "one picture");
_Static_assert(sizeof(mien_face) == sizeof(face) && offsetof(mien_face, landmarks) == offsetof(face, landmarks) &&
                   (int)MIEN_LANDMARKS == FACE_LANDMARKS && sizeof(mien_point) == sizeof(face_point), "one face");
_Static_assert(sizeof(mien_faces) == sizeof(faces) && offsetof(mien_faces, face) == offsetof(faces, face), "one list of faces");
_Static_assert(sizeof(struct mien_annotate_times) == sizeof(annotate_times), "one set of times");

const char *mien_version(void) { return MIEN_VERSION; }
const char *mien_error(void) { return error_message(); }

/* ---- pictures ------------------------------------------------------------------------------------------------------ */

int mien_image_load(const char *path, int ignore_exif, size_t max_pixels, mien_image *out) {
    uint8_t *data;
    size_t size;
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc < 0) return rc;
    image_options how = { .apply_exif = !ignore_exif, .max_pixels = max_pixels };
    rc = image_decode(data, size, &how, (image *)out);
    free(data);
    return rc < 0 ? error_prefix("%s", path) : 0;
}

int mien_image_new(int width, int height, mien_image *out) { return image_new(width, height, (image *)out); }

int mien_image_save_png(const char *path, const mien_image *img) {
    uint8_t *data;
    size_t size;
    int rc = image_encode_png((const image *)img, NULL, 0, &data, &size);
    if (rc < 0) return error_prefix("%s", path);
    rc = file_save(path, data, size);
    free(data);
    return rc;
}

void mien_image_free(mien_image *img) { image_free((image *)img); }

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

mien_face_settings mien_face_defaults(void) { return (mien_face_settings){ .max_faces = 5, .min_confidence = 0.5f, .search = MIEN_SEARCH_NONE }; }

static int check_settings(const mien_face_settings *s) {
    if (s->max_faces < 1 || s->max_faces > 100) return error_set(ERR_USAGE, "max_faces is %d: 1 to 100 are possible", s->max_faces);
    if (!(s->min_confidence >= 0 && s->min_confidence <= 1)) return error_set(ERR_USAGE, "min_confidence is %g: 0 to 1 is possible", (double)s->min_confidence);
    return s->search == MIEN_SEARCH_NONE || s->search == MIEN_SEARCH_AUTO ? 0 : error_set(ERR_USAGE, "search %d: there is none of that number", (int)s->search);
}

int mien_find_faces(const mien *m, const uint8_t *rgb, int width, int height, const mien_face_settings *settings, mien_faces *out) {
    mien_face_settings s = settings ? *settings : mien_face_defaults();
    int rc = check_settings(&s);
    if (rc < 0) return rc;
    if (width < 1 || height < 1 || width > FACES_MOST_SIDE || height > FACES_MOST_SIDE)
        return error_set(ERR_USAGE, "a picture of %d x %d: sides are 1 to %d", width, height, FACES_MOST_SIDE);
    image picture = { width, height, (uint8_t *)rgb };   /* only read */
    face_settings how = { s.max_faces, s.min_confidence, s.search == MIEN_SEARCH_AUTO ? FACE_SEARCH_AUTO : FACE_SEARCH_NONE };
    return face_mesh_find(m->mesh, &picture, &how, NULL, (faces *)out);
}

void mien_faces_free(mien_faces *f) {
    if (!f) return;
    free(f->face);
    *f = (mien_faces){ 0 };
}

double mien_face_size(const mien_face *f, int width, int height) { return face_size((const face *)f, width, height); }

int mien_draw(const mien_faces *f, double min_face, mien_image *canvas) { return face_map_draw((const faces *)f, min_face, (image *)canvas); }

int mien_faces_load(const char *path, mien_faces *out) { return faces_json_load(path, (faces *)out, NULL); }

int mien_faces_save(const char *path, const mien_faces *f) {
    text doc = { 0 };
    int rc = faces_json_write((const faces *)f, &(faces_origin){ 0 }, &doc);
    if (rc < 0) error_prefix("%s", path);
    else rc = file_save(path, doc.data, doc.size);
    text_free(&doc);
    return rc;
}

int mien_draw_file(const mien_draw_options *o, mien_draw_result *result) {
    if (!o->faces || !o->output) return error_set(ERR_USAGE, "a landmarks JSON and an output are needed");
    redraw_options how = { o->faces, o->output, o->width, o->height, o->min_face, o->max_pixels, o->force };
    redraw_result r;
    int rc = redraw(&how, &r);
    if (result) *result = (mien_draw_result){ r.width, r.height, r.faces, r.drawn, r.read, r.draw, r.encode, r.write };
    return rc;
}

/* ---- jobs ---------------------------------------------------------------------------------------------------------- */

typedef struct { const mien_annotate_options *options; } listener;

static mien_progress progress_of(const annotate_progress *p) {
    return (mien_progress){ p->total, p->done, p->skipped, p->failed, p->with_faces, p->without_faces, p->faces, p->seconds };
}

static void pass_progress(void *context, const annotate_progress *p) {
    const mien_annotate_options *o = ((listener *)context)->options;
    mien_progress now = progress_of(p);
    o->progress(o->context, &now);
}

static void pass_log(void *context, annotate_log_kind kind, const char *path, const char *message) {
    const mien_annotate_options *o = ((listener *)context)->options;
    static const mien_log_kind kinds[] = { [ANNOTATE_INFO] = MIEN_LOG_INFO, [ANNOTATE_WARNING] = MIEN_LOG_WARNING, [ANNOTATE_FAILED] = MIEN_LOG_ITEM_FAILED };
    o->log(o->context, kinds[kind], path, message);
}

int mien_annotate(const mien *m, const mien_annotate_options *o, mien_progress *result) {
    int rc = check_settings(&o->faces);
    if (rc < 0) return rc;
    if (o->n_inputs < 1 || !o->output || !*o->output) return error_set(ERR_USAGE, "inputs and an output folder are needed");
    if (o->parts < 0 || (o->parts && (o->part < 1 || o->part > o->parts))) return error_set(ERR_USAGE, "part %d of %d: there is none", o->part, o->parts);
    if (!(o->min_face >= 0 && o->min_face <= FACES_MOST_SIDE)) return error_set(ERR_USAGE, "min_face is %g: 0 to %d is possible", o->min_face, FACES_MOST_SIDE);
    listener l = { o };
    annotate_options how = {
        .inputs = o->inputs, .n_inputs = o->n_inputs, .output = o->output, .json = o->json, .overlay = o->overlay, .force = o->force,
        .settings = { o->faces.max_faces, o->faces.min_confidence, o->min_face, o->ignore_exif, o->faces.search == MIEN_SEARCH_AUTO },
        .max_pixels = o->max_pixels, .jobs = o->jobs, .part = o->part, .parts = o->parts,
        .progress = o->progress ? pass_progress : NULL, .log = o->log ? pass_log : NULL, .context = &l, .stop = o->stop,
    };
    annotate_progress p;
    annotate_times t;
    rc = annotate_run(m->mesh, &how, &p, &t);
    if (result) *result = progress_of(&p);
    if (o->times) *o->times = (struct mien_annotate_times){ t.read, t.decode, t.find, t.detect, t.landmarks, t.draw, t.encode, t.write };
    return rc;
}
