/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/item.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/number.h"
#include "synth/caption.h"
#include "synth/sidecar.h"
#include "synth/stamp.h"

/* ---- the job ----------------------------------------------------------------------------------------------------------- */

void synth_id(uint64_t seed, uint64_t number, char out[SYNTH_ID]) {
    snprintf(out, SYNTH_ID, "%" PRIu64 "-%06" PRIu64, seed, number);
}

static void add_setting(text *out, const char *name, double x) {
    char number[NUMBER_TEXT];
    number_shortest_f64(number, x);
    text_printf(out, "%s %s\n", name, number);
}

void synth_item_job(const mien_synth_options *o, item_job *out) {
    text all = { 0 };
    uint8_t digest[32];
    char hex[65];
    *out = (item_job){
        .options = o, .cpu = CPU_BEST,
        .draw = { o->width, o->height, o->yaw, o->pitch, o->roll, o->face_least, o->face_most, o->identities,
                  o->plain ? SYNTH_SURROUNDINGS_PLAIN : SYNTH_SURROUNDINGS_ANY },
    };
    if (o->cpu) cpu_level_parse(o->cpu, &out->cpu);
    text_printf(&all, "%d %d %" PRIu64 " %d %d %d %d\n", o->width, o->height, o->identities, o->plain != 0, (int)o->format,
        o->format == MIEN_PICTURE_JPG ? o->quality : 0,
                o->no_metadata != 0);
    add_setting(&all, "yaw", o->yaw);
    add_setting(&all, "pitch", o->pitch);
    add_setting(&all, "roll", o->roll);
    add_setting(&all, "least", o->face_least);
    add_setting(&all, "most", o->face_most);
    sha256(all.data ? all.data : "", all.size, digest);
    sha256_hex(digest, hex);
    memcpy(out->settings, hex, 16);
    text_free(&all);
}

/* ---- one picture ------------------------------------------------------------------------------------------------------- */

typedef struct {
    const item_job *job;
    uint64_t number;
    char id[SYNTH_ID], name[SYNTH_ID + 8];
    char picture[PATH_MAX], sidecar[PATH_MAX], old[PATH_MAX];   /* old: a picture of another format, or "" */
    synth_origin origin;
    synth_seen seen;
    bool picture_there, picture_ours;      /* ours: its bytes are those that a sidecar of ours names */
    synth_draw drawn;
    text caption, words, doc;
    uint8_t *data;
    size_t size;
    char sha256[65];
} work;

static int place(const work *w, const char *name, const char *ending, char out[PATH_MAX]) {
    bool fits = (size_t)snprintf(out, PATH_MAX, "%s/%s%s", w->job->options->output, name, ending) < PATH_MAX;
    return fits ? 0 : error_set(ERR_IO, "the output's path is too long");
}

/* Whether something is there, and whether it is ours: a file that holds these bytes. One without bytes was lost in a power failure
 * and is ours, too. */
static int look_at_picture(const char *path, const char *sha256, bool *there, bool *ours) {
    struct stat st;
    char hex[65];
    *there = *ours = false;
    if (lstat(path, &st) < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    *there = true;
    if (!S_ISREG(st.st_mode)) return 0;
    if (st.st_size == 0) return *ours = true, 0;
    int rc = *sha256 ? file_hash(path, hex) : 0;
    if (rc > 0) *ours = strcmp(hex, sha256) == 0;
    return rc < 0 ? rc : 0;
}

static int refuse(const char *path, bool edited) {
    return error_set(ERR_EXISTS, edited ? "%s may have been changed since mien wrote it (--force overwrites it)"
        : "%s is there and is not a file of this job (--force overwrites it)", path);
}

/* What lies there. ITEM_THERE if nothing is to be done. */
static int look(work *w, item_result *result) {
    int rc = synth_sidecar_look(w->sidecar, &w->origin, &w->seen);
    if (rc == 0) rc = look_at_picture(w->picture, w->seen.sha256, &w->picture_there, &w->picture_ours);
    if (rc < 0) return rc;
    struct stat st;
    bool whole = w->picture_ours && stat(w->picture, &st) == 0 && st.st_size > 0;
    if (w->seen.state == SYNTH_SAME && whole) return *result = ITEM_THERE, 0;
    if (w->seen.state == SYNTH_FOREIGN) return refuse(w->sidecar, false);
    if (w->seen.state == SYNTH_OTHER && w->seen.edited) return refuse(w->sidecar, true);
    *result = w->seen.state == SYNTH_OTHER ? ITEM_REPLACED : ITEM_MADE;
    if (w->seen.state != SYNTH_OTHER || strcmp(w->seen.file, w->name) == 0) return 0;
    bool there, ours;   /* of another format: it would be a second picture of that name beside the new one */
    rc = place(w, w->seen.file, "", w->old);
    if (rc == 0) rc = look_at_picture(w->old, w->seen.sha256, &there, &ours);
    if (rc == 0 && there && !ours) return refuse(w->old, true);
    if (rc == 0 && !there) w->old[0] = 0;
    return rc;
}

static void say_of_it(work *w) {
    const mien_synth_options *o = w->job->options;
    synth_caption(o->seed, w->number, &w->job->draw, &w->drawn, &w->caption);
    text_add(&w->words, w->caption.data ? w->caption.data : "");
    text_printf(&w->words, "\nRendered by mien synth, not a photograph. Renderer: %d, Seed: %" PRIu64 ", ", SYNTH_RENDERER, o->seed);
    text_printf(&w->words, "Number: %" PRIu64 ", Size: %dx%d, Version: mien %s", w->number, o->width, o->height, MIEN_VERSION);
}

static int draw(work *w, synth_truth *truth, mien_synth_times *times) {
    double begin = clock_seconds();
    const mien_synth_options *o = w->job->options;
    synth_draw_face(o->seed, w->number, &w->job->draw, &w->drawn);
    say_of_it(w);
    int rc = text_check(&w->caption);
    if (rc == 0) rc = text_check(&w->words);
    if (rc == 0) rc = synth_face_check(&w->drawn.face);
    if (rc == 0) rc = synth_truth_find(&w->drawn.face, o->width, o->height, truth);
    times->draw += clock_seconds() - begin;
    return rc;
}

static int render(work *w, mien_synth_times *times) {
    const mien_synth_options *o = w->job->options;
    image img;
    double begin = clock_seconds();
    int rc = synth_render(&w->drawn.face, o->width, o->height, w->job->cpu, &img);
    double rendered = clock_seconds();
    times->render += rendered - begin;
    if (rc < 0) return rc;
    rc = synth_encode(&img, o->format, o->quality, o->no_metadata ? NULL : w->words.data, &w->data, &w->size);
    image_free(&img);
    if (rc < 0) return rc;
    uint8_t digest[32];
    sha256(w->data, w->size, digest);
    sha256_hex(digest, w->origin.sha256);
    times->encode += clock_seconds() - rendered;
    return 0;
}

/* The picture, and then what vouches for it. */
static int write_files(work *w, const synth_truth *truth) {
    bool force = w->job->options->force, there, ours;
    int rc = look_at_picture(w->picture, w->origin.sha256, &there, &ours);
    struct stat st;
    bool whole = there && ours && stat(w->picture, &st) == 0 && st.st_size > 0;
    if (rc == 0 && there && !ours && !w->picture_ours && !force) return refuse(w->picture, w->seen.state >= SYNTH_OTHER);
    if (rc == 0 && !whole) rc = there ? file_save(w->picture, w->data, w->size) : file_save_new(w->picture, w->data, w->size);
    if (rc == 0 && w->old[0] && unlink(w->old) < 0 && errno != ENOENT) rc = error_errno("%s", w->old);
    if (rc < 0 || (w->seen.state == SYNTH_SAME && !force)) return rc;   /* it may have been edited since: that stays */
    synth_sidecar_write(&w->origin, &w->drawn, truth, w->caption.data, &w->doc);
    rc = text_check(&w->doc);
    if (rc < 0) return rc;
    bool is_new = w->seen.state == SYNTH_ABSENT && !force;
    return is_new ? file_save_new(w->sidecar, w->doc.data, w->doc.size) : file_save(w->sidecar, w->doc.data, w->doc.size);
}

static int make(work *w, mien_synth_times *times, item_result *result) {
    synth_truth truth;
    const mien_synth_options *o = w->job->options;
    *result = ITEM_MADE;
    int rc = place(w, w->name, "", w->picture);
    if (rc == 0) rc = place(w, w->id, ".json", w->sidecar);
    if (rc == 0 && !o->force) rc = look(w, result);
    if (rc < 0 || *result == ITEM_THERE) return rc;
    rc = draw(w, &truth, times);
    if (rc == 0) rc = render(w, times);
    double begin = clock_seconds();
    if (rc == 0) rc = write_files(w, &truth);
    times->write += clock_seconds() - begin;
    return rc;
}

int synth_item(const item_job *job, uint64_t number, mien_synth_times *times, item_result *result) {
    const mien_synth_options *o = job->options;
    work *w = calloc(1, sizeof *w);
    if (!w) return error_memory(sizeof *w);
    w->job = job;
    w->number = number;
    synth_id(o->seed, number, w->id);
    snprintf(w->name, sizeof w->name, "%s%s", w->id, o->format == MIEN_PICTURE_JPG ? ".jpg" : ".png");
    w->origin = (synth_origin){ .seed = o->seed, .number = number, .file = w->name, .width = o->width, .height = o->height };
    memcpy(w->origin.settings, job->settings, sizeof job->settings);
    int rc = make(w, times, result);
    text_free(&w->caption);
    text_free(&w->words);
    text_free(&w->doc);
    free(w->data);
    free(w);
    return rc;
}
