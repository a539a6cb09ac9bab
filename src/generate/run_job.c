/* SPDX-License-Identifier: Apache-2.0
 *
 * One control map and its pictures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "generate/generate_inside.h"
#include "generate/keep.h"
#include "generate/output.h"
#include "generate/preview.h"

/* ---- making it ready ------------------------------------------------------------------------------------------------- */

static int random_seed(long long *out) {
    uint32_t n;
    if (getrandom(&n, sizeof n, 0) != sizeof n) return error_errno("a random seed");
    *out = n;
    return 0;
}

static int say_cut(generator *g, const char *what, const char *prompt) {
    size_t fits;
    int rc = engine_text_fits(g->e, prompt, &fits);
    if (rc < 0 || fits >= strlen(prompt)) return rc;
    text line = { 0 };
    text_printf(&line, "the %s is longer than the 75 tokens that the model reads; this was cut off: \"%.400s%s\"", what, prompt + fits, strlen(prompt + fits) > 400 ? "..." : "");
    if (line.data) generate_say(g, MIEN_LOG_WARNING, NULL, line.data);
    text_free(&line);
    return 0;
}

static int make_shape(generator *g, prepared_job *p, bool batch) {
    return engine_shape_of(g->e, &p->j.how, p->map.picture.width, p->map.picture.height, batch || p->j.count > 1, &p->shape, &p->steps);
}

/* Of picture `seed`; where the best are kept, of those from `first` on, the one at place k. */
static picture_record record_of(const generator *g, const prepared_job *p, long long seed, long long first, int k) {
    picture_record r = { .how = p->j.how, .alone = p->j.alone };
    if (g->o->keep_best) r.best_of = p->j.count, r.first_seed = first, r.place = k + 1;
    r.how.width = p->map.picture.width;
    r.how.height = p->map.picture.height;
    r.how.seed = seed;
    r.how.prediction = engine_prediction(g->e);
    r.how.dtype = engine_bf16(g->e) ? MIEN_DTYPE_BF16 : MIEN_DTYPE_F32;
    memcpy(r.how.base_hash, g->base_hash, sizeof r.how.base_hash);
    memcpy(r.how.control_hash, g->control_hash, sizeof r.how.control_hash);
    memcpy(r.map, p->map.hash, sizeof r.map);
    return r;
}

static bool keeps_best(const generator *g) { return g->o->keep_best > 0; }

/* The seed with which a picture k's job began, if that may be any: its own less k, or what the best of some tell. */
static long long first_seed(const generator *g, const prepared_job *p, const picture_record *there, int k) {
    long long seed = keeps_best(g) ? there->first_seed : there->how.seed - k;
    return seed >= 0 && seed <= INT64_MAX - p->j.count ? seed : p->seed;
}

/* Whether picture k is there, made by these settings: 1, 0 or ERR_EXISTS. A seed that is free becomes that of the picture. */
static int look_at_output(generator *g, prepared_job *p, int k, bool *seed_free) {
    char path[PATH_MAX], *words = NULL;
    picture_record there;
    int rc = output_path(p->path, k, path);
    if (rc < 0) return rc;
    if (g->o->no_metadata) return output_read(path, NULL, NULL);   /* it can't tell: taken for done */
    if ((rc = output_read(path, &there, &words)) <= 0) return rc;
    long long seed = *seed_free ? first_seed(g, p, &there, k) : p->seed;
    bool among = there.how.seed >= seed && there.how.seed - seed < p->j.count;   /* which of them was best nobody knows yet */
    picture_record wanted = record_of(g, p, keeps_best(g) && among ? there.how.seed : seed + k, seed, k);
    /* Not yet known: with all else the same it is what it was. */
    if (wanted.how.prediction == MIEN_PREDICTION_AUTO) wanted.how.prediction = there.how.prediction;
    text want = { 0 };
    parameters_write(&wanted, &want);
    bool same = !want.failed && strcmp(want.data, words) == 0;
    text_free(&want);
    free(words);
    mien_picture_settings_free(&there.how);
    if (!same) return error_set(ERR_EXISTS, "%s is there, made with other settings (--force overwrites it)", path);
    p->seed = seed;
    *seed_free = false;
    return 1;
}

static int look_at_outputs(generator *g, prepared_job *p, bool batch) {
    bool seed_free = p->j.how.seed < 0;
    p->seed = p->j.how.seed;
    p->writes = generate_writes(g->o, &p->j);
    p->missing = p->j.count;
    p->there = calloc((size_t)p->writes, sizeof *p->there);
    if (!p->there) return error_memory((size_t)p->writes);
    int rc = seed_free ? random_seed(&p->seed) : 0, there = 0;
    for (int k = 0; batch && !g->o->force && k < p->writes && rc >= 0; k++) {
        rc = look_at_output(g, p, k, &seed_free);
        if (rc == 1) p->there[k] = true, there++;
    }
    if (!keeps_best(g)) p->missing -= there;
    else if (there == p->writes) p->missing = 0;   /* else all are made: without them nobody knows which the next best is */
    return rc < 0 ? rc : 0;
}

/* What the pictures are judged by. */
static int know_wanted(generator *g, prepared_job *p) {
    if (!g->judge || !p->j.map) return 0;
    return g->judge->wanted(g->judge->context, p->j.map, &p->map.wanted);
}

int prepare_job(generator *g, prepared_job *p, bool batch) {
    double begin = clock_seconds();
    int rc = control_map_make(&g->maps, &p->j, engine_usual_side(g->e), &p->map);
    if (rc == 0) rc = know_wanted(g, p);
    g->result.map += clock_seconds() - begin;
    if (rc == 0) rc = make_shape(g, p, batch);
    if (rc == 0) rc = look_at_outputs(g, p, batch);
    if (rc == 0 && p->missing) rc = engine_fit(g->e, &p->shape);
    settings_prompt(&p->j.how, &p->prompt);
    if (rc == 0) rc = text_check(&p->prompt);
    if (rc == 0 && p->missing) rc = say_cut(g, "prompt", p->prompt.data);
    if (rc == 0 && p->missing && p->shape.guidance) rc = say_cut(g, "negative prompt", p->j.how.negative);
    return rc;
}

void prepared_free(prepared_job *p) {
    image_free(&p->map.picture);
    free(p->map.wanted.face);
    text_free(&p->prompt);
    free(p->there);
    job_free(&p->j);
}

int prepared_pictures(const prepared_job *p) {
    int there = 0;
    for (int k = 0; p->there && k < p->writes; k++) there += p->there[k];
    return p->writes - there;
}

uint64_t prepared_steps(const prepared_job *p) { return (uint64_t)p->steps * (uint64_t)p->missing; }

int encode_jobs(generator *g, prepared_job *const jobs[], size_t n) {
    const char **texts = calloc(2 * n, sizeof *texts);
    size_t count = 0;
    if (!texts) return error_memory(2 * n * sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->shape.guidance) texts[count++] = jobs[i]->j.how.negative;
        texts[count++] = jobs[i]->prompt.data;
    }
    int rc = engine_texts(g->e, texts, count);
    free(texts);
    return rc;
}

/* ---- running it ------------------------------------------------------------------------------------------------------ */

typedef struct {
    generator *g;
    const prepared_job *p;
    char path[PATH_MAX];
    mien_picture picture;
    float *denoised;      /* for previews; NULL: none */
    keeper *keep;         /* NULL: every picture is written */
} one_picture;

static int note_step(generator *g, double seconds) {
    generate_result *r = &g->result;
    if (r->n_steps == g->step_room) {
        size_t room = g->step_room ? 2 * g->step_room : 64;
        double *steps = realloc(r->steps, room * sizeof *steps);
        if (!steps) return error_memory(room * sizeof *steps);
        r->steps = steps;
        g->step_room = room;
    }
    r->steps[r->n_steps++] = seconds;
    return 0;
}

static int show_preview(const one_picture *k, const sampler *s) {
    size_t h = (size_t)k->picture.height / 8, w = (size_t)k->picture.width / 8;
    char path[PATH_MAX];
    image rough;
    sampler_denoised(s, k->denoised, h * w * 4);
    int rc = output_preview_path(k->path, path);
    if (rc < 0 || (rc = preview_of_latent(k->denoised, h, w, k->g->cpu, &rough)) < 0) return rc;
    rc = output_write_preview(path, &rough);
    image_free(&rough);
    return rc;
}

/* The picture is what is wanted: it goes on without. */
static void try_preview(const one_picture *k, const sampler *s) {
    generator *g = k->g;
    if (g->no_previews || show_preview(k, s) == 0) return;
    text line = { 0 };
    text_printf(&line, "%s; there will be no more previews", error_message());
    if (line.data) generate_say(g, MIEN_LOG_WARNING, NULL, line.data);
    text_free(&line);
    g->no_previews = true;
}

static int step_done(void *context, int i, int steps, bool control, double seconds, const sampler *s) {
    one_picture *k = context;
    generator *g = k->g;
    int every = g->o->preview, rc = note_step(g, seconds);
    k->picture.steps++;
    k->picture.control_steps += control;
    g->progress.done++;
    g->progress.count[COUNT_CONTROL_STEPS].n += control;
    if (rc == 0 && k->denoised && ((i + 1) % every == 0 || i + 1 == steps)) try_preview(k, s);
    generate_tell(g);
    return rc;
}

static int write_picture(const one_picture *k, const image *picture, int place) {
    generator *g = k->g;
    text words = { 0 };
    double begin = clock_seconds();
    if (!g->o->no_metadata) {
        picture_record r = record_of(g, k->p, k->picture.seed, k->p->seed, place);
        parameters_write(&r, &words);
    }
    int rc = text_check(&words);
    if (rc == 0) rc = output_write(k->path, picture, words.data, g->o->force);
    g->result.write += clock_seconds() - begin;
    text_free(&words);
    return rc;
}

static int write_made(const one_picture *k, const image *picture) { return k->picture.path ? write_picture(k, picture, 0) : 0; }

/* Judged, if that is asked for, and told of. */
static int finish_picture(one_picture *k, image *picture, double begin) {
    generator *g = k->g;
    mien_judgement judgement = { 0 };
    double judging = clock_seconds();
    int rc = g->judge ? g->judge->judge(g->judge->context, &k->p->map.wanted, picture, &judgement) : 0;
    if (rc < 0) return rc;
    g->result.check += clock_seconds() - judging;
    k->picture.seconds = clock_seconds() - begin;
    k->picture.judgement = g->judge ? &judgement : NULL;
    k->picture.candidate = k->keep != NULL;
    if (!k->keep) g->result.pictures++;
    if (g->o->picture_done) g->o->picture_done(g->o->hooks.context, &k->picture);
    k->picture.judgement = NULL;
    k->picture.candidate = 0;
    if (k->keep) keeper_offer(k->keep, &k->picture, picture, &judgement);
    free(judgement.face);
    return 0;
}

static int make_picture(one_picture *k, float *latent, bool last) {
    generator *g = k->g;
    double begin = clock_seconds();
    sample_request r = { .how = &k->p->j.how, .seed = k->picture.seed, .step = step_done, .context = k };
    image picture;
    generate_tell(g);   /* from here on steps take their time */
    int rc = engine_sample(g->e, &r, latent);
    if (rc == 0 && last) engine_release_steps(g->e);
    if (rc == 0) rc = engine_decode(g->e, latent, &picture);
    if (rc < 0) return rc;
    rc = k->keep ? 0 : write_made(k, &picture);
    if (rc == 0) rc = finish_picture(k, &picture, begin);
    image_free(&picture);
    return rc;
}

/* The best, when all are made. What is there of them already is the same. */
static int write_best(one_picture *k) {
    generator *g = k->g;
    int rc = 0;
    for (int i = 0; i < k->keep->n && rc == 0; i++) {
        kept_picture *best = &k->keep->best[i];
        if (k->p->there[i]) continue;
        k->picture = best->what;
        if (*k->p->path) rc = output_path(k->p->path, i, k->path);
        k->picture.path = *k->p->path ? k->path : NULL;
        k->picture.judgement = &best->judgement;
        k->picture.place = i + 1;
        if (rc == 0 && k->picture.path) rc = write_picture(k, &best->picture, i);
        if (rc < 0) break;
        g->result.pictures++;
        if (g->o->picture_done) g->o->picture_done(g->o->hooks.context, &k->picture);
    }
    return rc;
}

static int save_map(generator *g, const prepared_job *p) {
    if (!g->o->save_map) return 0;
    uint8_t *data;
    size_t size;
    int rc = image_encode_png(&p->map.picture, NULL, 0, &data, &size);
    if (rc < 0) return rc;
    rc = g->o->force ? file_save(g->o->save_map, data, size) : file_save_new(g->o->save_map, data, size);
    free(data);
    return rc;
}

int run_job(generator *g, prepared_job *p, bool last) {
    size_t n = (size_t)p->shape.width / 8 * ((size_t)p->shape.height / 8) * 4;
    float *memory = malloc(2 * n * sizeof *memory);
    one_picture *k = calloc(1, sizeof *k);
    keeper keep = { 0 };
    int rc = memory && k ? save_map(g, p) : error_memory(2 * n * sizeof *memory);
    if (rc == 0 && keeps_best(g)) rc = keeper_begin(&keep, p->writes);
    bool control = p->shape.with;
    if (rc == 0) rc = engine_begin(g->e, &p->shape, p->prompt.data, p->shape.guidance ? p->j.how.negative : NULL, control ? &p->map.picture : NULL);
    int left = p->missing;
    for (int i = 0; i < p->j.count && rc == 0; i++) {
        if (!keeps_best(g) && p->there[i]) continue;
        *k = (one_picture){ .g = g, .p = p, .denoised = g->o->preview && *p->path ? memory + n : NULL, .keep = keeps_best(g) ? &keep : NULL };
        k->picture = (mien_picture){ .path = *p->path && !k->keep ? k->path : NULL, .map = g->o->save_map, .seed = p->seed + i, .width = p->shape.width, .height = p->shape.height };
        if (*p->path) rc = output_path(p->path, k->keep ? 0 : i, k->path);
        if (rc == 0) rc = make_picture(k, memory, last && --left == 0);
    }
    if (rc == 0 && k->keep) rc = write_best(k);
    keeper_end(&keep);
    free(k);
    free(memory);
    return rc;
}
