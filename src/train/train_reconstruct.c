/* SPDX-License-Identifier: Apache-2.0
 *
 * Photos through the VAE that is trained, as it is now: the means of their posteriors, decoded, as pictures are made in
 * the end. */
#include "train/train_reconstruct.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/stop.h"
#include "data/iterate.h"
#include "data/sample.h"
#include "model/vae.h"
#include "nn/plan.h"

struct reconstructor {
    const train_job *j;
    const volatile int *stop;
    vae_config vae;
    device *d;
    graph *g;
    plan *p;
    workspace *ws;
    tensor *in, *moments, *out;
    float *picture, *posterior, *back;
    double errors, numbers;              /* squares of differences in -1..1, and how many */
    double sum, squares, latents;        /* of means; squares with the variances */
};

static int build(reconstructor *r) {
    const train_job *j = r->j;
    size_t side = (size_t)j->o->size;
    nn_type type = j->bf16 ? NN_BF16 : NN_F32;
    if (!(r->g = graph_new())) return error_code();
    trainer_add_states(j->t, r->g);
    r->in = graph_input(r->g, "picture", type, shape4(1, side, side, 3));
    r->moments = graph_output(r->g, vae_encode_build(r->g, j->c, &r->vae, r->in));
    if (graph_check(r->g) < 0) return error_code();
    nn_shape half = r->moments->shape;
    half.dim[3] = r->vae.latent_channels;
    r->out = graph_output(r->g, vae_decode_build(r->g, j->c, &r->vae, slice(r->g, r->moments, (size_t[NN_MAX_RANK]){ 0 }, half)));
    return graph_check(r->g);
}

static float *room(const tensor *t) {
    size_t bytes = shape_elements(t->shape) * sizeof(float);
    float *x = malloc(bytes);
    if (!x) error_memory(bytes);
    return x;
}

static int make_plan(reconstructor *r) {
    const train_job *j = r->j;
    int rc = vae_configure(j->c, &r->vae);
    if (rc == 0 && !(r->d = device_cpu(j->cpu))) rc = error_code();
    if (rc == 0) rc = build(r);
    if (rc < 0) return rc;
    plan_options how = { .threads = j->threads, .no_reference = device_level(r->d) > CPU_REFERENCE, .stop = r->stop };
    r->p = plan_new(r->g, r->d, trainer_params(j->t), &how);
    return r->p ? 0 : error_code();
}

static int make_rooms(reconstructor *r) {
    int rc = make_plan(r);
    if (rc < 0) return rc;
    if (!(r->ws = workspace_new(plan_bytes(r->p)))) return error_code();
    return (r->picture = room(r->in)) && (r->posterior = room(r->moments)) && (r->back = room(r->out)) ? 0 : error_code();
}

int reconstructor_open(const train_job *j, const volatile int *stop, reconstructor **out) {
    reconstructor *r = calloc(1, sizeof *r);
    if (!r) return error_memory(sizeof *r);
    r->j = j;
    r->stop = stop;
    int rc = make_rooms(r);
    if (rc < 0) reconstructor_close(r);
    else *out = r;
    return rc;
}

static void let_go(reconstructor *r) {
    workspace_free(r->ws);
    plan_free(r->p);
    graph_free(r->g);
    device_free(r->d);
    free(r->picture);
    free(r->posterior);
    free(r->back);
}

void reconstructor_close(reconstructor *r) {
    if (!r) return;
    let_go(r);
    free(r);
}

int reconstructor_needs(const train_job *j, engine_share *out) {
    reconstructor r = { .j = j, .stop = j->o->hooks.stop };
    size_t there = params_bytes(trainer_params(j->t));
    int rc = make_plan(&r);
    /* Beside the plan its numbers, and an item's map and photo. */
    if (rc == 0) {
        size_t numbers = 4 * shape_elements(r.in->shape) + shape_elements(r.moments->shape);
        out->stays = params_bytes(trainer_params(j->t)) - there;
        out->passes = plan_bytes(r.p) + numbers * sizeof(float);
    }
    let_go(&r);
    return rc;
}

/* -1..1 to a byte, as generate's pictures. */
static uint8_t byte_of(float x) {
    float v = (x / 2 + 0.5f) * 255;
    return !(v > 0) ? 0 : v > 255 ? 255 : (uint8_t)lrintf(v);
}

static void add_up(reconstructor *r, size_t numbers, size_t moments) {
    size_t c = r->vae.latent_channels;
    for (size_t i = 0; i < numbers; i++)
        r->errors += ((double)r->back[i] - (double)r->picture[i]) * ((double)r->back[i] - (double)r->picture[i]);
    for (size_t i = 0; i < moments; i++) {
        double mean = (double)r->posterior[i], logvar = fmin(20, fmax(-30, mean));
        if (i % (2 * c) < c) r->sum += mean, r->squares += mean * mean;
        else r->squares += exp(logvar);
    }
    r->numbers += (double)numbers;
    r->latents += (double)moments / 2;
}

int reconstructor_run(reconstructor *r, const image *photo, image *out) {
    size_t numbers = shape_elements(r->in->shape), moments = shape_elements(r->moments->shape);
    sample_photo(photo->rgb, numbers, r->picture);
    nn_narrow(plan_tensor(r->p, r->ws, r->in), r->in->type, r->picture, numbers);
    int rc = plan_run(r->p, r->ws, &(plan_run_options){ .stop = r->stop });
    if (rc < 0) return rc;
    if (stop_asked(r->stop)) return error_set(ERR_CANCELLED, "stopped");
    nn_widen(r->back, plan_tensor(r->p, r->ws, r->out), r->out->type, numbers);
    nn_widen(r->posterior, plan_tensor(r->p, r->ws, r->moments), r->moments->type, moments);
    add_up(r, numbers, moments);
    if (!out) return 0;
    if ((rc = image_new(photo->width, photo->height, out)) < 0) return rc;
    for (size_t i = 0; i < numbers; i++) out->rgb[i] = byte_of(r->back[i]);
    return 0;
}

/* Of numbers whose range is 2. */
double reconstructor_psnr(const reconstructor *r) { return 10 * log10(4 * r->numbers / r->errors); }

double reconstructor_deviation(const reconstructor *r) {
    double mean = r->sum / r->latents, variance = r->squares / r->latents - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

/* ---- the scale of the latents -------------------------------------------------------------------------------------------- */

enum { MEASURED = 16 };   /* items: of 256 pixels 65,536 numbers */

/* 1; 0: there is no other; ERR_*. */
static int measure_next(reconstructor *r, peek *p) {
    image photo;
    mien_item item;
    int rc = peek_next(p, &photo, NULL, &item);
    if (rc <= 0) return rc;
    rc = reconstructor_run(r, &photo, NULL);
    image_free(&photo);
    mien_item_free(&item);
    return rc < 0 ? rc : 1;
}

int train_measure(train_job *j) {
    reconstructor *r = NULL;
    peek *p = NULL;
    int found = 0, more = 1;
    if (!j->o->measure_scale) return 0;
    /* In the place of what a step takes, as a sheet. */
    trainer_rest(j->t);
    batch_rest(j->batch);
    int rc = train_peek(j, NULL, &p);
    if (rc == 0) rc = reconstructor_open(j, NULL, &r);
    while (rc == 0 && more && found < MEASURED) {
        more = measure_next(r, p);
        if (more < 0) rc = more;
        else found += more;
    }
    double deviation = rc == 0 && found ? reconstructor_deviation(r) : 0;
    if (deviation > 0 && isfinite(deviation)) checkpoint_set_vae_scale(j->c, 1 / deviation);
    reconstructor_close(r);
    peek_close(p);
    return rc;
}
