/* SPDX-License-Identifier: Apache-2.0
 *
 * From noise to a latent, and from that to a picture. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "generate/engine_inside.h"

/* ---- what the UNet predicts ------------------------------------------------------------------------------------------ */

/* At t = 999 next to nothing but noise is left: a UNet that predicts noise gives it back, one that predicts v does not. */
static int look_at_prediction(engine *e, bool *v) {
    size_t n = e->h * e->w * e->latent_channels;
    float scales[UNET_MAX_SKIPS + 1] = { 0 }, *x = malloc(2 * n * sizeof *x), *y = x ? x + n : NULL;
    if (!x) return error_memory(2 * n * sizeof *x);
    noise_source s;
    noise_seed(&s, NOISE_TORCH_CPU, 0);
    int rc = noise_pictures(&s, 1, e->h, e->w, e->latent_channels, x);
    float *uncond = e->shape.guidance ? malloc(n * sizeof *uncond) : NULL;
    if (rc == 0 && e->shape.guidance && !uncond) rc = error_memory(n * sizeof *uncond);
    if (rc == 0) rc = engine_step(e, x, 999, e->without.net.p ? NULL : scales, uncond, y);
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n && rc == 0; i++) xy += (double)x[i] * (double)y[i], xx += (double)x[i] * (double)x[i], yy += (double)y[i] * (double)y[i];
    double likeness = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
    *v = likeness < 0.5;
    if (rc == 0 && e->options.say) {
        char line[256];
        bool small = e->w < 96 && e->h < 96 && !e->options.checkpoint;   /* a look for training says nothing of the training's size */
        snprintf(line, sizeof line, "the model does not say what it predicts; on noise its output is %.0f%% like that noise, so it is taken for %s (--prediction says it)%s",
                 100 * likeness, *v ? "v" : "epsilon", *v && small ? "; such models were trained at a size of 768" : "");
        e->options.say(e->options.context, line);
    }
    free(uncond);
    free(x);
    return rc;
}

int engine_look(engine *e) {
    if (e->knows_prediction) return 0;
    prediction_type p = checkpoint_settings_of(e->c)->prediction;
    int rc = 0;
    e->predicts_v = p == PREDICT_V;
    if (p == PREDICT_UNKNOWN) rc = look_at_prediction(e, &e->predicts_v);
    if (rc == 0 && p == PREDICT_UNKNOWN) checkpoint_set_prediction(e->c, e->predicts_v ? PREDICT_V : PREDICT_EPSILON);
    e->knows_prediction = rc == 0;
    return rc;
}

/* ---- sampling -------------------------------------------------------------------------------------------------------- */

_Static_assert((int)SPACING_LEADING == SAMPLER_SPACING_LEADING && (int)SPACING_TRAILING == SAMPLER_SPACING_TRAILING &&
                   (int)SPACING_LINSPACE == SAMPLER_SPACING_LINSPACE && (int)SPACING_DEFAULT == SAMPLER_SPACING_DEFAULT,
               "the checkpoint's spacings are the sampler's");

static sampler *open_sampler(const engine *e, const picture_settings *how, size_t n) {
    const checkpoint_settings *c = checkpoint_settings_of(e->c);
    return sampler_new(&(sampler_settings){
        .kind = (sampler_kind)how->sampler, .steps = how->steps, .predicts_v = e->predicts_v, .eta = how->eta, .beta_start = c->beta_start, .beta_end = c->beta_end,
        .train_steps = c->train_steps, .spacing = (sampler_spacing)c->spacing, .steps_offset = c->steps_offset,
    }, n);
}

int engine_steps(const engine *e, const picture_settings *how, int *steps) {
    *steps = 0;
    if (how->steps == 0) return 0;
    sampler *s = open_sampler(e, how, 1);
    if (!s) return error_code();
    *steps = sampler_steps(s);
    sampler_free(s);
    return 0;
}

int engine_shape_of(const engine *e, const picture_settings *how, int width, int height, bool many, engine_shape *out, int *steps) {
    int rc = engine_steps(e, how, steps);
    if (rc < 0) return rc;
    *out = (engine_shape){ .width = width, .height = height, .guidance = how->cfg != 1, .guess = how->guess,
                           .only_mid = how->only_mid_control || checkpoint_settings_of(e->c)->only_mid_control,
                           .many = many, .with = !*steps && how->strength != 0, .without = !*steps && how->strength == 0 };
    for (int i = 0; i < *steps; i++) {
        if (control_acts(how, i, *steps)) out->with = true;
        else out->without = true;
    }
    return 0;
}

typedef struct {
    const sample_request *r;
    sampler *s;
    noise_source noise;
    size_t n;
    float *scaled, *uncond, *cond, *fresh;   /* fresh: noise that some samplers add */
    float scales[UNET_MAX_SKIPS + 1];
} run;

/* uncond + cfg (cond - uncond), as diffusers: into cond. */
static void guide(const run *k) {
    float cfg = (float)k->r->how->cfg;
    for (size_t i = 0; i < k->n; i++) k->cond[i] = k->uncond[i] + cfg * (k->cond[i] - k->uncond[i]);
}

static int one_step(engine *e, run *k, int i, int steps, float *x) {
    double begin = clock_seconds();
    bool control = e->with.net.p && control_acts(k->r->how, i, steps);
    sampler_scale_input(k->s, i, x, k->scaled, k->n);
    int rc = engine_step(e, k->scaled, sampler_timestep(k->s, i), control ? k->scales : NULL, k->uncond, k->cond);
    if (rc < 0) return rc;
    if (k->uncond) guide(k);
    bool wants = sampler_wants_noise(k->s, i);
    if (wants) rc = noise_pictures(&k->noise, 1, e->h, e->w, e->latent_channels, k->fresh);
    if (rc < 0) return rc;
    sampler_step(k->s, i, x, k->cond, wants ? k->fresh : NULL, k->n);
    rc = k->r->step ? k->r->step(k->r->context, i, steps, control, clock_seconds() - begin, k->s) : 0;
    return rc < 0 ? rc : engine_stopped(e);
}

static int sample(engine *e, run *k, float *x) {
    int steps = sampler_steps(k->s), rc = 0;
    float scale = sampler_initial_scale(k->s);
    for (size_t i = 0; i < k->n; i++) x[i] *= scale;
    for (int i = 0; i < e->with.n_scale; i++) k->scales[i] = control_scale(k->r->how, i, e->with.n_scale);
    for (int i = 0; i < steps && rc == 0; i++) rc = one_step(e, k, i, steps, x);
    for (size_t i = 0; i < k->n && rc == 0; i++)
        if (!isfinite(x[i])) rc = error_set(ERR_LIMIT, "the picture's numbers ran over (%s): %sanother sampler may help", e->type == NN_BF16 ? "bf16" : "f32", e->type == NN_BF16 ? "--dtype f32 or " : "");
    return rc;
}

static void tell_unlike(engine *e, mien_sampler sampler) {
    const char *what = checkpoint_settings_of(e->c)->ddim_unlike;
    char line[200];
    if (!what || sampler != MIEN_DDIM || e->told_unlike || !e->options.say) return;
    snprintf(line, sizeof line, "the model's scheduler_config.json has %s, as no Stable Diffusion wants it: mien's ddim goes without, and diffusers' would not", what);
    e->options.say(e->options.context, line);
    e->told_unlike = true;
}

int engine_sample(engine *e, const sample_request *r, float *latent) {
    run k = { .r = r, .n = e->h * e->w * e->latent_channels };
    noise_seed(&k.noise, (noise_kind)r->how->rng, (uint64_t)r->seed);
    int rc = noise_pictures(&k.noise, 1, e->h, e->w, e->latent_channels, latent);
    if (rc < 0 || r->how->steps == 0) return rc;
    float *memory = malloc(4 * k.n * sizeof *memory);
    if (!memory) return error_memory(4 * k.n * sizeof *memory);
    k.scaled = memory;
    k.cond = memory + k.n;
    k.fresh = memory + 2 * k.n;
    k.uncond = e->shape.guidance ? memory + 3 * k.n : NULL;
    rc = engine_look(e);
    tell_unlike(e, r->how->sampler);
    if (rc == 0 && !(k.s = open_sampler(e, r->how, k.n))) rc = error_code();
    if (rc == 0) rc = sample(e, &k, latent);
    sampler_free(k.s);
    free(memory);
    return rc;
}

/* ---- decoding -------------------------------------------------------------------------------------------------------- */

static int plan_decoder(engine *e) {
    if (e->decode.net.p && e->decode_h == e->h && e->decode_w == e->w) return 0;
    network_free(e, &e->decode.net);
    int rc = engine_params(e, &e->vae_params);
    if (rc == 0) rc = build_decode(e, e->h, e->w, &e->decode);
    if (rc == 0) rc = network_plan(e, &e->decode.net, e->vae_params);
    if (rc < 0) return rc;
    e->decode_h = e->h;
    e->decode_w = e->w;
    return 0;
}

/* As diffusers' VaeImageProcessor: (x / 2 + 0.5) clamped to 0..1, times 255, rounded to even. */
static void to_bytes(const float *x, uint8_t *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = x[i] / 2 + 0.5f;
        v = v < 0 ? 0 : v > 1 ? 1 : v;
        out[i] = (uint8_t)rintf(v * 255);
    }
}

static int check_decoded(const engine *e, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return error_set(ERR_FORMAT, "%s: its autoencoder's numbers ran over, so that there is no picture%s", e->options.base, e->type == NN_BF16 ? ": --dtype f32 may help" : "");
    return 0;
}

int engine_decode(engine *e, const float *latent, image *out) {
    int rc = plan_decoder(e);
    if (rc < 0) return rc;
    double begin = clock_seconds();
    size_t n = e->h * e->w * e->latent_channels, count = shape_elements(e->decode.out->shape);
    float *x = malloc((n + count) * sizeof *x), factor = (float)checkpoint_settings_of(e->c)->vae_scale;
    if (!x) return error_memory((n + count) * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = latent[i] / factor;
    network_put(e, &e->decode.net, e->decode.latent, x);
    rc = network_run(e, &e->decode.net);
    if (rc == 0) network_get(e, &e->decode.net, e->decode.out, x + n);
    if (rc == 0) rc = check_decoded(e, x + n, count);
    if (rc == 0) rc = image_new((int)e->w * 8, (int)e->h * 8, out);
    if (rc == 0) to_bytes(x + n, out->rgb, count);
    free(x);
    e->times.decode += clock_seconds() - begin;
    return rc;
}
