/* SPDX-License-Identifier: Apache-2.0
 *
 * A job's keys, values and hint, computed once; and the runs of ControlNet and UNet. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "generate/engine_inside.h"

/* ---- keys and values ------------------------------------------------------------------------------------------------- */

static void kept_free(kept_context *k) {
    for (int i = 0; i < k->n; i++) {
        free(k->k[i].data);
        free(k->v[i].data);
    }
    k->n = 0;
}

static int keep_tensor(engine *e, const network *n, const tensor *t, kept_tensor *out) {
    size_t bytes = shape_elements(t->shape) * nn_type_bytes(t->type);
    if (!(out->data = malloc(bytes))) return error_memory(bytes);
    out->bytes = bytes / t->shape.dim[0];
    memcpy(out->data, plan_tensor(n->p, e->ws, t), bytes);
    return 0;
}

static int keep_context(engine *e, const network *n, const cross_context *c, kept_context *out) {
    int rc = 0;
    *out = (kept_context){ .n = c->n };
    for (int i = 0; i < c->n && rc == 0; i++) {
        rc = keep_tensor(e, n, c->k[i], &out->k[i]);
        if (rc == 0) rc = keep_tensor(e, n, c->v[i], &out->v[i]);
    }
    return rc;
}

static int compute_context(engine *e, const encoded_text *negative, const encoded_text *prompt, bool control) {
    context_network n = { 0 };
    params *p = NULL;
    size_t pictures = negative ? 2 : 1;
    int rc = engine_params(e, &p);
    if (rc == 0) rc = build_context(e, control, pictures, &n);
    if (rc == 0) rc = network_plan(e, &n.net, p);
    double begin = clock_seconds();
    if (rc == 0) {
        size_t half = shape_elements(n.context->shape) / pictures * nn_type_bytes(e->type);
        char *to = plan_tensor(n.net.p, e->ws, n.context);
        if (negative) memcpy(to, negative->context, half);
        memcpy(to + (pictures - 1) * half, prompt->context, half);
        rc = network_run(e, &n.net);
    }
    if (rc == 0) rc = keep_context(e, &n.net, &n.unet, &e->unet_kept);
    if (rc == 0) rc = keep_context(e, &n.net, &n.control, &e->control_kept);
    e->times.text += clock_seconds() - begin;
    network_free(e, &n.net);
    params_free(p);
    return rc;
}

static void forget_context(engine *e) {
    kept_free(&e->unet_kept);
    kept_free(&e->control_kept);
    free(e->prompt);
    free(e->negative);
    e->prompt = e->negative = NULL;
}

static bool same_text(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static int begin_context(engine *e, const char *prompt, const char *negative, bool control) {
    if (e->unet_kept.n && (!control || e->control_kept.n) && same_text(e->prompt, prompt) && same_text(e->negative, negative)) return 0;
    const encoded_text *p = engine_text_of(e, prompt), *n = negative ? engine_text_of(e, negative) : NULL;
    if (!p || (negative && !n)) return error_set(ERR_USAGE, "a prompt that was not encoded");
    forget_context(e);
    int rc = compute_context(e, n, p, control);
    if (rc == 0 && (!(e->prompt = strdup(prompt)) || (negative && !(e->negative = strdup(negative))))) rc = error_memory(strlen(prompt));
    if (rc < 0) forget_context(e);   /* some of it may be there */
    return rc;
}

/* ---- hint ------------------------------------------------------------------------------------------------------------ */

/* As PIL's bytes become floats in diffusers: v / 255 in f32. */
static int put_map(engine *e, const hint_network *n, const image *map) {
    size_t count = shape_elements(n->map->shape);
    float *x = malloc(count * sizeof *x);
    if (!x) return error_memory(count * sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = (float)map->rgb[i] / 255.0f;
    network_put(e, &n->net, n->map, x);
    free(x);
    return 0;
}

static int begin_hint(engine *e, const image *map) {
    hint_network n = { 0 };
    params *p = NULL;
    free(e->hint);
    e->hint = NULL;
    int rc = engine_params(e, &p);
    if (rc == 0) rc = build_hint(e, (size_t)map->height, (size_t)map->width, &n);
    if (rc == 0) rc = network_plan(e, &n.net, p);
    double begin = clock_seconds();
    if (rc == 0) rc = put_map(e, &n, map);
    if (rc == 0) rc = network_run(e, &n.net);
    if (rc == 0) {
        e->hint_bytes = shape_elements(n.out->shape) * nn_type_bytes(n.out->type);
        if (!(e->hint = malloc(e->hint_bytes))) rc = error_memory(e->hint_bytes);
        else memcpy(e->hint, plan_tensor(n.net.p, e->ws, n.out), e->hint_bytes);
    }
    e->times.hint += clock_seconds() - begin;
    network_free(e, &n.net);
    params_free(p);
    return rc;
}

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

static void free_step_plans(engine *e) {
    network_free(e, &e->with.net);
    network_free(e, &e->without.net);
    e->with = e->without = (step_network){ 0 };
}

void engine_free_plans(engine *e) {
    free_step_plans(e);
    network_free(e, &e->decode.net);
}

void engine_release_steps(engine *e) {
    free_step_plans(e);
    forget_context(e);
    free(e->hint);
    e->hint = NULL;
    if (!e->options.weights) params_free(e->step_params);
    e->step_params = NULL;
}

static int plan_step_network(engine *e, bool control, step_network *n) {
    network_free(e, &n->net);   /* a graph that could not be finished */
    if (e->options.weights) e->step_params = e->options.weights;
    int rc = engine_params(e, &e->step_params);
    if (rc == 0) rc = build_step(e, &e->shape, e->shape.guidance && !e->shape.halves ? 2 : 1, control, n);
    return rc < 0 ? rc : network_plan(e, &n->net, e->step_params);
}

static bool same_plans(const engine *e, const engine_shape *s) {
    return e->shape.width == s->width && e->shape.height == s->height && e->shape.guidance == s->guidance && e->shape.only_mid == s->only_mid
        && e->shape.guess == s->guess && e->shape.halves == s->halves;
}

int engine_begin(engine *e, const engine_shape *shape, const char *prompt, const char *negative, const image *map) {
    if (!same_plans(e, shape)) free_step_plans(e);
    e->shape = *shape;
    e->h = (size_t)shape->height / 8;
    e->w = (size_t)shape->width / 8;
    int rc = begin_context(e, prompt, negative, map != NULL);
    if (rc == 0 && map) rc = begin_hint(e, map);
    if (rc == 0 && shape->with && map && !e->with.net.p) rc = plan_step_network(e, true, &e->with);
    if (rc == 0 && (shape->without || !map) && !e->without.net.p) rc = plan_step_network(e, false, &e->without);
    return rc;
}

/* Of `halves` halves, from the first on. */
static void put_kept(engine *e, const step_network *n, const cross_context *c, const kept_context *k, size_t first, size_t halves) {
    for (int i = 0; i < c->n; i++) {
        memcpy(plan_tensor(n->net.p, e->ws, c->k[i]), k->k[i].data + first * k->k[i].bytes, halves * k->k[i].bytes);
        memcpy(plan_tensor(n->net.p, e->ws, c->v[i]), k->v[i].data + first * k->v[i].bytes, halves * k->v[i].bytes);
    }
}

/* The first of the pictures are those without control. */
static void put_scales(engine *e, const step_network *n, const float *scales) {
    for (int i = 0; i < n->n_scale; i++) {
        float *s = plan_tensor(n->net.p, e->ws, n->scale[i]);
        for (int k = 0; k < n->n; k++) s[k] = k < n->n - n->n_control ? 0 : scales[i];
    }
}

/* half: of the halves that stand in the kept keys, the first that this run computes. */
static int run_half(engine *e, step_network *n, const float *x, float time, const float *scales, size_t half) {
    nn_narrow(plan_tensor(n->net.p, e->ws, n->x), n->x->type, x, shape_elements(n->x->shape));
    memcpy(plan_tensor(n->net.p, e->ws, n->time), &time, sizeof time);
    put_kept(e, n, &n->unet, &e->unet_kept, half, (size_t)n->n);
    if (scales) {
        put_kept(e, n, &n->control, &e->control_kept, half + (size_t)(n->n - n->n_control), (size_t)n->n_control);
        put_scales(e, n, scales);
        memcpy(plan_tensor(n->net.p, e->ws, n->hint), e->hint, e->hint_bytes);
    }
    return network_run(e, &n->net);
}

static void get_half(engine *e, const step_network *n, int k, float *out) {
    size_t count = shape_elements(n->out->shape) / (size_t)n->n;
    const char *from = plan_tensor(n->net.p, e->ws, n->out);
    nn_widen(out, from + (size_t)k * count * nn_type_bytes(n->out->type), n->out->type, count);
}

static int get_network(engine *e, bool control, step_network **out) {
    *out = control ? &e->with : &e->without;
    return (*out)->net.p ? 0 : plan_step_network(e, control, *out);
}

/* One half alone; the first, the unconditional one, has no control in guess mode. */
static int one_half(engine *e, const float *x, float time, const float *scales, size_t half, float *out) {
    step_network *n;
    if (half == 0 && e->shape.guess && e->shape.guidance) scales = NULL;
    int rc = get_network(e, scales != NULL, &n);
    if (rc == 0) rc = run_half(e, n, x, time, scales, half);
    if (rc == 0) get_half(e, n, 0, out);
    return rc;
}

int engine_step(engine *e, const float *x, float time, const float *scales, float *uncond, float *cond) {
    step_network *n;
    if (!uncond) return one_half(e, x, time, scales, 0, cond);
    if (e->shape.halves) {
        int rc = one_half(e, x, time, scales, 0, uncond);
        if (rc == 0) rc = engine_stopped(e);
        return rc < 0 ? rc : one_half(e, x, time, scales, 1, cond);
    }
    int rc = get_network(e, scales != NULL, &n);
    if (rc == 0) rc = run_half(e, n, x, time, scales, 0);
    if (rc < 0) return rc;
    get_half(e, n, 0, uncond);
    get_half(e, n, 1, cond);
    return 0;
}

/* ---- what the control weighs ----------------------------------------------------------------------------------------- */

bool control_acts(const picture_settings *how, int step, int steps) {
    if (how->strength == 0) return false;
    return !((double)step / steps < how->start || (double)(step + 1) / steps > how->end);
}

float control_scale(const picture_settings *how, int i, int n) {
    return (float)(how->guess ? how->strength * pow(0.825, n - 1 - i) : how->strength);
}
