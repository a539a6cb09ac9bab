/* SPDX-License-Identifier: Apache-2.0
 *
 * The pictures: made, kept, looked at, and noted in the journal, one after the other. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/stop.h"
#include "data/list.h"
#include "eval/eval_inside.h"
#include "eval/judge.h"
#include "generate/output.h"
#include "image/png_text.h"

enum { TOGETHER = 16 };       /* items whose texts are encoded at once: the encoder's weights don't stay */

static const char photo_words[] = "A photo through the VAE of a model, by mien eval";   /* as its parameters */

/* ---- the journal ----------------------------------------------------------------------------------------------------- */

static int note(evaluation *v, const eval_record *r) {
    text line = { 0 };
    int rc = eval_record_write(r, &line);
    if (rc == 0) rc = journal_append(v->journal, &line);
    text_free(&line);
    return rc;
}

static int note_item(evaluation *v, const ready_item *r) {
    if (r->item->known) return 0;
    int rc = note(v, &(eval_record){ .what = EVAL_LINE_ITEM, .line = r->item->line, .id = r->item->id, .prompt = r->how.prompt,
                                     .map = r->map.hash, .from_photo = r->from_photo,
                                     .width = r->map.picture.width, .height = r->map.picture.height, .faces = r->wanted });
    r->item->known |= rc == 0;
    return rc;
}

static uint64_t missing(const evaluation *v, const eval_item *i) {
    uint64_t n = 0;
    eval_kind kind;
    int k;
    for (size_t s = 0; s < eval_slots(v); s++) n += eval_slot_used(v, s, &kind, &k) && i->state[s] != PICTURE_MEASURED;
    return n;
}

static const char *name_of(const eval_item *i, char room[64]) {
    snprintf(room, 64, "line %" PRIu64, i->line + 1);
    return *i->id ? i->id : room;
}

/* Why an item cannot be used. Where pictures of it were measured before, it is what those lack that failed. */
static int note_dropped(evaluation *v, eval_item *i, const char *why) {
    eval_record r = { .what = EVAL_LINE_FAILED, .line = i->line, .id = i->id, .kind = EVAL_KINDS, .why = why };
    int k, rc = 0;
    if (!i->known && !i->failed) rc = note(v, &r);
    i->failed = true;
    for (size_t s = 0; s < eval_slots(v) && rc == 0 && i->known; s++) {
        if (!eval_slot_used(v, s, &r.kind, &k) || i->state[s] != PICTURE_MISSING) continue;
        r.seed = eval_seed(v, i, r.kind, k);
        rc = note(v, &r);
        i->state[s] = PICTURE_FAILED;
    }
    return rc;
}

/* The last error ends nothing but the item. */
static int drop_item(evaluation *v, eval_item *i, int rc) {
    char why[1024], room[64];
    if (eval_ends_all(rc)) return rc;
    snprintf(why, sizeof why, "%s", error_message());
    uint64_t n = missing(v, i);
    i->dropped = true;
    v->result.failed += n;
    v->progress.failed += n;
    eval_say(v, MIEN_LOG_ITEM_FAILED, name_of(i, room), why);
    return note_dropped(v, i, why);
}

/* The same of one picture. */
static int fail_picture(evaluation *v, const ready_item *r, eval_kind kind, int k, int rc) {
    char why[1024], room[64];
    uint8_t *state = &r->item->state[eval_slot(v, kind, k)];
    if (eval_ends_all(rc)) return rc;
    snprintf(why, sizeof why, "%s", error_message());
    v->result.failed++;
    v->progress.failed++;
    eval_say(v, MIEN_LOG_ITEM_FAILED, name_of(r->item, room), why);
    rc = note_item(v, r);
    if (rc == 0 && *state == PICTURE_MISSING)
        rc = note(v, &(eval_record){ .what = EVAL_LINE_FAILED, .line = r->item->line, .id = r->item->id, .kind = kind,
                                     .seed = eval_seed(v, r->item, kind, k), .why = why });
    *state = PICTURE_FAILED;
    return rc;
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

bool eval_picture_name(const evaluation *v, const eval_item *i, eval_kind kind, int k, char out[NAME_MAX + 32]) {
    char seed[32] = "";
    bool named = list_id_fits(i->id);
    if (kind != EVAL_PHOTO) snprintf(seed, sizeof seed, "-%lld", eval_seed(v, i, kind, k));
    snprintf(out, NAME_MAX + 32, "pictures/%06" PRIu64 "%s%s-%s%s.png", i->line + 1, named ? "-" : "", named ? i->id : "",
             eval_kind_word[kind], seed);
    return !v->o->no_pictures;
}

/* A picture of ours that a run which was killed did not get to note may be there. */
static int keep_picture(evaluation *v, const ready_item *r, eval_kind kind, int k, const image *picture, const char *words) {
    char name[NAME_MAX + 32], path[PATH_MAX];
    struct stat st;
    if (!eval_picture_name(v, r->item, kind, k, name)) return 0;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", v->o->output, name) >= sizeof path)
        return error_set(ERR_IO, "%s: the path is too long", v->o->output);
    if (words && lstat(path, &st) == 0) {
        char *there = S_ISREG(st.st_mode) ? output_parameters(path) : NULL;
        bool same = there && strcmp(there, words) == 0;
        free(there);
        if (!same) return error_set(ERR_EXISTS, "%s: is there, and is not what would be written", path);
    }
    return output_write(path, picture, words, true);
}

/* ---- measuring ------------------------------------------------------------------------------------------------------- */

/* A picture as it was made: kept, looked at, noted. */
static int take_picture(evaluation *v, const ready_item *r, eval_kind kind, int k, const image *picture, const char *words) {
    eval_record one = { .what = EVAL_LINE_PICTURE, .line = r->item->line, .kind = kind, .seed = eval_seed(v, r->item, kind, k) };
    int rc = keep_picture(v, r, kind, k, picture, words);
    face_settings search = judge_search(&r->wanted);
    double begin = clock_seconds();
    if (rc == 0) rc = face_mesh_find(v->maps.mesh, picture, &search, NULL, &one.faces);
    v->result.find += clock_seconds() - begin;
    if (rc < 0) return rc;
    rc = note_item(v, r);
    if (rc == 0) rc = note(v, &one);
    free(one.faces.face);
    if (rc < 0) return rc;
    r->item->state[eval_slot(v, kind, k)] = PICTURE_MEASURED;
    v->result.pictures++;
    v->progress.done++;
    return 0;
}

/* ---- photos through the VAE ------------------------------------------------------------------------------------------ */

static int run_photo(evaluation *v, vae_round *vae, const ready_item *r) {
    image photo = { 0 }, back = { 0 };
    int rc = ready_item_photo(v, r, &photo);
    double begin = clock_seconds();
    if (rc == 0) rc = vae_round_run(vae, &photo, &back);
    v->result.photos += clock_seconds() - begin;
    image_free(&photo);
    if (rc == 0) rc = take_picture(v, r, EVAL_PHOTO, 0, &back, v->o->no_metadata ? NULL : photo_words);
    image_free(&back);
    return rc < 0 ? fail_picture(v, r, EVAL_PHOTO, 0, rc) : 0;
}

static int run_photo_of(evaluation *v, vae_round *vae, eval_item *i) {
    ready_item r;
    if (stop_asked(v->o->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
    int rc = ready_item_make(v, i, &r);
    if (rc < 0) return drop_item(v, i, rc);
    rc = run_photo(v, vae, &r);
    ready_item_free(&r);
    return rc;
}

static int count_photos(const evaluation *v) {
    int n = 0;
    for (size_t i = 0; i < v->n; i++) n += v->item[i].mine && v->item[i].state[eval_slot(v, EVAL_PHOTO, 0)] != PICTURE_MEASURED;
    return n;
}

int eval_run_photos(evaluation *v) {
    vae_round *vae = NULL;
    if (!v->has[EVAL_PHOTO] || !count_photos(v)) return 0;
    int rc = vae_round_open(&(vae_round_options){ .c = engine_checkpoint(v->e), .cpu = v->cpu, .threads = engine_threads(v->e),
                                                  .bf16 = engine_bf16(v->e), .memory = engine_memory(v->e),
                                                  .stop = v->o->hooks.stop }, &vae);
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        if (!v->item[i].mine || v->item[i].state[eval_slot(v, EVAL_PHOTO, 0)] == PICTURE_MEASURED) continue;
        rc = run_photo_of(v, vae, &v->item[i]);
        eval_tell(v);
    }
    vae_round_close(vae);
    return rc;
}

/* ---- pictures from noise --------------------------------------------------------------------------------------------- */

static int after_step(void *context, int step, int steps, bool control, double seconds, const sampler *s) {
    (void)step, (void)steps, (void)control, (void)s;
    evaluation *v = context;
    v->result.sample += seconds;
    eval_tell(v);
    return 0;
}

/* What `mien generate` writes of the same. */
static int write_words(evaluation *v, const ready_item *r, const picture_settings *how, long long seed, text *out) {
    picture_record of = { .how = *how };
    of.how.width = r->map.picture.width;
    of.how.height = r->map.picture.height;
    of.how.seed = seed;
    of.how.prediction = engine_prediction(v->e);
    of.how.dtype = engine_bf16(v->e) ? MIEN_DTYPE_BF16 : MIEN_DTYPE_F32;
    memcpy(of.how.base_hash, v->base_hash, sizeof of.how.base_hash);
    memcpy(of.how.control_hash, v->control_hash, sizeof of.how.control_hash);
    memcpy(of.map, r->map.hash, sizeof of.map);
    parameters_write(&of, out);
    return text_check(out);
}

static int run_picture(evaluation *v, const ready_item *r, eval_kind kind, int k, float *latent) {
    picture_settings how = r->how;
    long long seed = eval_seed(v, r->item, kind, k);
    text words = { 0 };
    image picture = { 0 };
    if (kind == EVAL_FREE) how.strength = 0;
    int rc = engine_sample(v->e, &(sample_request){ .how = &how, .seed = seed, .step = after_step, .context = v }, latent);
    if (rc == 0) rc = engine_decode(v->e, latent, &picture);
    if (rc == 0 && !v->o->no_metadata) rc = write_words(v, r, &how, seed, &words);
    if (rc == 0) rc = take_picture(v, r, kind, k, &picture, v->o->no_metadata ? NULL : words.data);
    text_free(&words);
    image_free(&picture);
    return rc < 0 ? fail_picture(v, r, kind, k, rc) : 0;
}

static bool wants(const evaluation *v, const eval_item *i, eval_kind kind) {
    bool some = false;
    for (int k = 0; k < v->seeds && v->has[kind]; k++) some |= i->state[eval_slot(v, kind, k)] != PICTURE_MEASURED;
    return some;
}

/* Its size is more than memory suffices for: others' may be less. */
static int fail_item(evaluation *v, const ready_item *r, int rc) {
    char why[1024];
    int failed = 0;
    if (rc != ERR_LIMIT) return rc;
    snprintf(why, sizeof why, "%s", error_message());
    for (int kind = EVAL_CONTROL; kind <= EVAL_FREE; kind++)
        for (int k = 0; k < v->seeds && failed == 0; k++)
            if (v->has[kind] && r->item->state[eval_slot(v, kind, k)] != PICTURE_MEASURED)
                failed = fail_picture(v, r, kind, k, error_set(rc, "%s", why));
    return failed;
}

static int run_item(evaluation *v, ready_item *r) {
    size_t n = (size_t)r->shape.width / 8 * ((size_t)r->shape.height / 8) * 4;
    float *latent = malloc(n * sizeof *latent);
    if (!latent) return error_memory(n * sizeof *latent);
    bool control = wants(v, r->item, EVAL_CONTROL);
    r->shape.without |= wants(v, r->item, EVAL_FREE);
    r->shape.with &= control;
    int rc = engine_fit(v->e, &r->shape);
    const char *negative = r->shape.guidance ? r->how.negative : NULL;
    if (rc == 0) rc = engine_begin(v->e, &r->shape, r->prompt.data, negative, control ? &r->map.picture : NULL);
    if (rc < 0) {
        free(latent);
        return fail_item(v, r, rc);
    }
    for (int kind = EVAL_CONTROL; kind <= EVAL_FREE && rc == 0; kind++)
        for (int k = 0; k < v->seeds && rc == 0; k++)
            if (v->has[kind] && r->item->state[eval_slot(v, kind, k)] != PICTURE_MEASURED)
                rc = run_picture(v, r, kind, k, latent);
    free(latent);
    return rc;
}

static int encode_texts(evaluation *v, const ready_item *r, size_t n) {
    const char *texts[2 * TOGETHER];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (r[i].shape.guidance) texts[count++] = r[i].how.negative;
        texts[count++] = r[i].prompt.data;
    }
    return n ? engine_texts(v->e, texts, count) : 0;
}

static int run_together(evaluation *v, ready_item *r, size_t n) {
    int rc = encode_texts(v, r, n);
    for (size_t i = 0; i < n; i++) {
        if (rc == 0) rc = run_item(v, &r[i]);
        ready_item_free(&r[i]);
    }
    return rc;
}

int eval_run_pictures(evaluation *v) {
    ready_item *r = calloc(TOGETHER, sizeof *r);
    size_t n = 0;
    if (!r) return error_memory(TOGETHER * sizeof *r);
    int rc = 0;
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        eval_item *one = &v->item[i];
        if (!one->mine || one->dropped || (!wants(v, one, EVAL_CONTROL) && !wants(v, one, EVAL_FREE))) continue;
        if (stop_asked(v->o->hooks.stop)) rc = error_set(ERR_CANCELLED, "stopped");
        if (rc == 0 && (rc = ready_item_make(v, one, &r[n])) < 0) rc = drop_item(v, one, rc);
        else if (rc == 0) n++;
        if (rc == 0 && n == TOGETHER) rc = run_together(v, r, n), n = 0;
        eval_tell(v);
    }
    if (rc == 0) rc = run_together(v, r, n);
    else for (size_t i = 0; i < n; i++) ready_item_free(&r[i]);
    free(r);
    return rc;
}
