/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/eval_few.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/stop.h"
#include "eval/eval_inside.h"
#include "eval/judge.h"

/* A value a wanted face; the score a picture, at its first face. */
typedef struct {
    size_t n, room;
    uint64_t *cluster;
    double *found, *score, *landmarks, *gaze_x, *gaze_y;
} samples;

static int make_room(samples *s, size_t more) {
    if (s->n + more <= s->room) return 0;
    size_t room = 2 * (s->n + more);
    double **const column[] = { &s->found, &s->score, &s->landmarks, &s->gaze_x, &s->gaze_y };
    uint64_t *cluster = realloc(s->cluster, room * sizeof *cluster);
    if (!cluster) return error_memory(room * sizeof *cluster);
    s->cluster = cluster;
    for (size_t i = 0; i < sizeof column / sizeof *column; i++) {
        double *x = realloc(*column[i], room * sizeof *x);
        if (!x) return error_memory(room * sizeof *x);
        *column[i] = x;
    }
    s->room = room;
    return 0;
}

static void samples_free(samples *s) {
    free(s->cluster);
    free(s->found);
    free(s->score);
    free(s->landmarks);
    free(s->gaze_x);
    free(s->gaze_y);
}

static int add(samples *s, const judgement *j, uint64_t item) {
    int rc = make_room(s, (size_t)j->wanted);
    for (int f = 0; f < j->wanted && rc == 0; f++, s->n++) {
        const mien_face_judgement *face = &j->face[f];
        s->cluster[s->n] = item;
        s->found[s->n] = face->answer >= 0;
        s->score[s->n] = f ? NAN : j->score;
        s->landmarks[s->n] = face->error[ERROR_LANDMARKS];
        s->gaze_x[s->n] = face->error[ERROR_GAZE_X];
        s->gaze_y[s->n] = face->error[ERROR_GAZE_Y];
    }
    return rc;
}

static int one_picture(evaluation *v, const ready_item *r, uint64_t item, int k, float *latent, samples *s) {
    image picture = { 0 };
    judgement j = { 0 };
    int rc = engine_sample(v->e, &(sample_request){ .how = &r->how, .seed = eval_seed(v, r->item, EVAL_CONTROL, k) }, latent);
    if (rc == 0) rc = engine_decode(v->e, latent, &picture);
    if (rc == 0) rc = judge_picture(v->maps.mesh, &r->wanted, &picture, &j, NULL);
    if (rc == 0) rc = add(s, &j, item);
    judgement_free(&j);
    image_free(&picture);
    return rc;
}

static int one_item(evaluation *v, const ready_item *r, uint64_t item, samples *s) {
    size_t n = (size_t)r->shape.width / 8 * ((size_t)r->shape.height / 8) * 4;
    float *latent = malloc(n * sizeof *latent);
    if (!latent) return error_memory(n * sizeof *latent);
    int rc = engine_begin(v->e, &r->shape, r->prompt.data, r->shape.guidance ? r->how.negative : NULL, &r->map.picture);
    for (int k = 0; k < v->seeds && rc == 0; k++)
        rc = stop_asked(v->o->hooks.stop) ? error_set(ERR_CANCELLED, "stopped") : one_picture(v, r, item, k, latent, s);
    free(latent);
    return rc;
}

/* All texts at once: the encoder is in memory before the rest, and not beside it. */
static int encode(evaluation *v, const ready_item *r, size_t n) {
    const char **texts = calloc(2 * n, sizeof *texts);
    if (!texts) return error_memory(2 * n * sizeof *texts);
    for (size_t i = 0; i < n; i++) texts[2 * i] = r[i].how.negative, texts[2 * i + 1] = r[i].prompt.data;
    int rc = engine_texts(v->e, texts, 2 * n);
    free(texts);
    return rc;
}

static int measure(evaluation *v, samples *s, size_t *items) {
    ready_item *r = calloc(v->n, sizeof *r);
    size_t n = 0;
    int rc = r ? 0 : error_memory(v->n * sizeof *r);
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        rc = ready_item_make(v, &v->item[i], &r[n]);
        if (rc == 0) n++;
        else if (!eval_ends_all(rc)) rc = 0;
    }
    if (rc == 0 && !n) rc = error_set(ERR_USAGE, "%s: none of the %zu items that were chosen can be measured", v->o->data, v->n);
    if (rc == 0) rc = encode(v, r, n);
    for (size_t i = 0; i < n && rc == 0; i++) rc = one_item(v, &r[i], i, s);
    for (size_t i = 0; i < n; i++) ready_item_free(&r[i]);
    free(r);
    *items = n;
    return rc;
}

static int count(const samples *s, eval_figures *out) {
    static const bootstrap how = { 0 };
    int rc = statistics_rate(s->found, s->cluster, s->n, &how, &out->found);
    if (rc == 0) rc = statistics_mean(s->score, s->cluster, s->n, &how, &out->score);
    if (rc == 0) rc = statistics_mean(s->landmarks, s->cluster, s->n, &how, &out->landmarks);
    if (rc == 0) rc = statistics_mean(s->gaze_x, s->cluster, s->n, &how, &out->gaze_x);
    return rc < 0 ? rc : statistics_mean(s->gaze_y, s->cluster, s->n, &how, &out->gaze_y);
}

static void say_nothing(void *context, const char *path, const char *message) { (void)context, (void)path, (void)message; }

int eval_few(const eval_options *o, cpu_level cpu, engine *e, eval_figures *out) {
    samples s = { 0 };
    evaluation *v = calloc(1, sizeof *v);
    if (!v) return error_memory(sizeof *v);
    v->o = o;
    v->cpu = cpu;
    v->e = e;
    v->seeds = o->seeds;
    v->has[EVAL_CONTROL] = true;
    v->maps = (map_maker){ .models = o->models, .cpu = cpu, .say = say_nothing };
    *out = (eval_figures){ 0 };
    int rc = eval_choose(v);
    if (rc == 0) rc = eval_open_mesh(v);
    if (rc == 0) rc = measure(v, &s, &out->items);
    if (rc == 0) rc = count(&s, out);
    samples_free(&s);
    map_maker_free(&v->maps);
    eval_forget(v);
    free(v);
    return rc;
}
