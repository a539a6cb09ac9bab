/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/judge_pictures.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/stop.h"
#include "eval/wanted.h"
#include "face/faces_json.h"

typedef struct {
    const face_mesh *mesh;
    const judge_options *o;
    faces wanted;
    bool map;                 /* which nothing is cut from */
    summary_item *item;
    size_t n;
    mien_progress progress;
    double begin;
} job;

static void tell(job *k) {
    k->progress.seconds = clock_seconds() - k->begin;
    if (k->o->hooks.progress) k->o->hooks.progress(k->o->hooks.context, &k->progress);
}

static void say(const job *k, mien_log_kind kind, const char *path, const char *message) {
    if (k->o->hooks.log) k->o->hooks.log(k->o->hooks.context, kind, path, message);
}

static int load(const job *k, const char *path, image *out) {
    uint8_t *data;
    size_t size;
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc < 0) return rc;
    rc = image_decode(data, size, &(image_options){ .apply_exif = true, .max_pixels = k->o->max_pixels }, out);
    free(data);
    if (rc < 0) return error_prefix("%s", path);
    if (out->width <= FACES_MOST_SIDE && out->height <= FACES_MOST_SIDE) return 0;
    image_free(out);
    return error_set(ERR_LIMIT, "%s: a side longer than %d pixels", path, FACES_MOST_SIDE);
}

/* A copy: what a picture of another aspect shows of it is another part. */
static int wanted_of(const job *k, const image *picture, const char *path, faces *out) {
    size_t bytes = (size_t)k->wanted.count * sizeof *out->face;
    *out = k->wanted;
    out->face = malloc(bytes ? bytes : 1);
    if (!out->face) return error_memory(bytes);
    if (bytes) memcpy(out->face, k->wanted.face, bytes);
    if (!k->map && wanted_fit(out, picture->width, picture->height))
        say(k, MIEN_LOG_INFO, path,
            "it is of another aspect than the landmarks' photo: judged as the part of it that generate cuts out");
    return 0;
}

static int judge_one(job *k, const char *path) {
    image picture;
    faces wanted;
    judgement j;
    int rc = load(k, path, &picture);
    if (rc < 0) return rc;
    rc = wanted_of(k, &picture, path, &wanted);
    if (rc == 0) {
        rc = judge_picture(k->mesh, &wanted, &picture, &j, NULL);
        free(wanted.face);
    }
    image_free(&picture);
    if (rc < 0) return rc;
    k->item[k->n] = summary_item_of(&j, k->n);
    k->n++;
    if (k->o->judged) k->o->judged(k->o->hooks.context, path, &j);
    judgement_free(&j);
    return 0;
}

static void fail(job *k, const char *path) {
    k->progress.failed++;
    say(k, MIEN_LOG_ITEM_FAILED, path, error_without_path(error_message(), path));
}

static int judge_all(job *k) {
    for (int i = 0; i < k->o->n_pictures; i++) {
        if (stop_asked(k->o->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
        int rc = judge_one(k, k->o->pictures[i]);
        if (rc == ERR_MEMORY) return rc;
        if (rc < 0) fail(k, k->o->pictures[i]);
        else k->progress.done++;
        tell(k);
    }
    return 0;
}

int judge_pictures(const face_mesh *mesh, const judge_options *o, mien_progress *result, summary *total) {
    job k = { .mesh = mesh, .o = o, .begin = clock_seconds(), .progress.total = (uint64_t)o->n_pictures };
    int rc = wanted_load(o->map, &k.wanted, &k.map);
    if (rc == 0 && (rc = wanted_choose(&k.wanted, o->face, o->max_faces)) < 0) error_prefix("%s", o->map);
    if (rc == 0) {
        k.item = calloc((size_t)o->n_pictures + 1, sizeof *k.item);
        rc = k.item ? judge_all(&k) : error_memory((size_t)o->n_pictures * sizeof *k.item);
    }
    if (rc == 0 && total) rc = summarize(k.item, k.n, NULL, total);
    if (rc == 0) tell(&k);
    if (result) *result = k.progress;
    free(k.item);
    free(k.wanted.face);
    return rc;
}
