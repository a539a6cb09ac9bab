/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory: what a job needs, and how guidance's halves are run. The plans are made with parameters that only count, so nothing is read. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "generate/engine_inside.h"

/* The program, oneDNN, the face networks, what one parameter has of mapped pages while it is packed, pictures and latents. */
#define OVERHEAD ((size_t)200 * 1000 * 1000)

/* ---- what is needed -------------------------------------------------------------------------------------------------- */

typedef struct { size_t weights, workspace; } stage;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Adds a network to a stage; p counts. */
static int count(const engine *e, int built, network *n, params *p, stage *out) {
    int rc = built;
    if (rc == 0) {
        plan_options how = engine_plan_options(e);
        n->p = plan_new(n->g, e->d, p, &how);
        if (!n->p) rc = error_code();
        else out->workspace = larger(out->workspace, plan_bytes(n->p));
    }
    plan_free(n->p);
    graph_free(n->g);
    out->weights = params_bytes(p);
    return rc < 0 ? rc : engine_stopped(e);
}

static int count_text(const engine *e, stage *out) {
    text_network n = { 0 };
    params *p = params_new_counting();
    if (!p) return error_code();
    int rc = count(e, build_text(e, &n), &n.net, p, out);
    params_free(p);
    return rc;
}

static int count_steps(const engine *e, const engine_shape *s, bool halves, stage *out) {
    size_t pictures = s->guidance && !halves ? 2 : 1;
    bool without = s->without || (s->guess && s->guidance && halves);
    step_network n;
    hint_network hint;
    bool shared = e->options.weights && params_counts(e->options.weights);
    params *p = shared ? e->options.weights : params_new_counting();
    if (!p) return error_code();
    int rc = 0;
    memset(&n, 0, sizeof n);
    if (s->with) rc = count(e, build_step(e, s, pictures, true, &n), &n.net, p, out);
    memset(&n, 0, sizeof n);
    if (rc == 0 && without) rc = count(e, build_step(e, s, pictures, false, &n), &n.net, p, out);
    memset(&hint, 0, sizeof hint);
    if (rc == 0 && s->with) rc = count(e, build_hint(e, (size_t)s->height, (size_t)s->width, &hint), &hint.net, p, out);
    if (!shared) params_free(p);
    return rc;
}

static int count_decoder(const engine *e, const engine_shape *s, stage *out) {
    decode_network n = { 0 };
    params *p = params_new_counting();
    if (!p) return error_code();
    int rc = count(e, build_decode(e, (size_t)s->height / 8, (size_t)s->width / 8, &n), &n.net, p, out);
    params_free(p);
    return rc;
}

/* The most that is in use at once. One workspace serves all, and stays as large as it was. */
static int count_all(const engine *e, const engine_shape *s, bool halves, size_t *bytes) {
    stage text = { 0 }, steps = { 0 }, decode = { 0 };
    int rc = count_text(e, &text);
    if (rc == 0) rc = count_steps(e, s, halves, &steps);
    if (rc == 0) rc = count_decoder(e, s, &decode);
    size_t workspace = larger(text.workspace, steps.workspace), last = larger(workspace, decode.workspace);
    size_t sampling = steps.weights + workspace, decoding = decode.weights + last + (s->many ? steps.weights : 0);
    *bytes = OVERHEAD + larger(text.weights + text.workspace, larger(sampling, decoding));
    return rc;
}

/* ---- what would fit -------------------------------------------------------------------------------------------------- */

static const char *limit_words(const engine *e) { return e->options.memory ? "may be used" : "are free (--memory says how much may be used)"; }

static int refuse(const engine *e, const engine_shape *shape, size_t limit, size_t needed) {
    const char *tail = limit_words(e);
    engine_shape s = *shape;
    engine other = *e;   /* to ask what it would need if */
    size_t bytes = needed;
    char size[32] = "";
    const char *with = "";
    int rc = 0;
    if (e->type == NN_F32 && e->options.dtype == MIEN_DTYPE_F32 && device_level(e->d) >= CPU_AVX512_BF16) {
        other.type = NN_BF16;
        with = " --dtype bf16";
        rc = count_all(&other, &s, true, &bytes);
    }
    while (rc == 0 && bytes > limit && (s.width > 256 || s.height > 256)) {
        int longer = s.width > s.height ? s.width : s.height, next = (longer - 1) / 64 * 64;
        s.width = larger(64, (size_t)((double)shape->width * next / larger((size_t)shape->width, (size_t)shape->height) / 64 + 0.5) * 64);
        s.height = larger(64, (size_t)((double)shape->height * next / larger((size_t)shape->width, (size_t)shape->height) / 64 + 0.5) * 64);
        snprintf(size, sizeof size, " --size %dx%d", s.width, s.height);
        rc = count_all(&other, &s, true, &bytes);
    }
    if (rc < 0) return rc;
    if (bytes > limit)
        return error_set(ERR_LIMIT, "%.2f GB of memory are needed and %.2f GB %s: nothing would fit, the least is %.2f GB%s%s%s", (double)needed * 1e-9, (double)limit * 1e-9,
                         tail, (double)bytes * 1e-9, *with || *size ? ", with" : "", with, size);
    return error_set(ERR_LIMIT, "%.2f GB of memory are needed and %.2f GB %s: it would fit with%s%s (%.2f GB)", (double)needed * 1e-9, (double)limit * 1e-9, tail, with, size,
                     (double)bytes * 1e-9);
}

/* ---- without counting ------------------------------------------------------------------------------------------------ */

static size_t weights_below(const engine *e, const char *root) {
    size_t n = 0, length = strlen(root);
    for (size_t i = 0; i < checkpoint_count(e->c); i++) {
        const parameter *p = checkpoint_parameter(e->c, i);
        if (strncmp(p->name, root, length) == 0) n += shape_elements(p->shape);
    }
    return n * nn_type_bytes(e->type);
}

/* More than is needed, as a look at the weights' number and the size can tell: where there is that much, nothing need be counted. */
static size_t bound(const engine *e, const engine_shape *s) {
    size_t weights = weights_below(e, "unet.") + weights_below(e, "control.") + weights_below(e, "vae.") + weights_below(e, "text.");
    size_t pixels = (size_t)s->width * (size_t)s->height, channels = e->unet.model_channels + e->vae.channels;
    return OVERHEAD + 2 * weights + 32 * pixels * channels * nn_type_bytes(e->type);
}

static bool same_question(const engine_shape *a, const engine_shape *b) {
    return a->width == b->width && a->height == b->height && a->guidance == b->guidance && a->with == b->with && a->without == b->without
        && a->only_mid == b->only_mid && a->guess == b->guess && a->many == b->many;
}

static int judge(engine *e, engine_shape *shape) {
    size_t needed, less;
    double begin = clock_seconds();
    int rc = count_all(e, shape, false, &needed);
    if (rc == 0 && needed > e->limit && shape->guidance) {
        rc = count_all(e, shape, true, &less);
        shape->halves = rc == 0 && less <= e->limit;
        if (shape->halves && e->options.say) e->options.say(e->options.context, "guidance's halves are run one after the other, for lack of memory");
        if (rc == 0) needed = less;
    }
    shape->without |= shape->halves && shape->guess;   /* the unconditional half's */
    if (rc == 0 && needed > e->limit) rc = refuse(e, shape, e->limit, needed);
    e->times.load += clock_seconds() - begin;
    return rc;
}

int engine_fit(engine *e, engine_shape *shape) {
    fit_verdict *v = &e->fit;
    shape->halves = false;
    if (!e->options.memory && e->limit && e->limit < OVERHEAD)   /* too little to count with: oneDNN does not bear being out of memory */
        return error_set(ERR_LIMIT, "%.2f GB of memory %s: %.2f GB are needed beside the model", (double)e->limit * 1e-9, limit_words(e), (double)OVERHEAD * 1e-9);
    if (!e->limit || bound(e, shape) <= e->limit) return 0;
    if (v->known && same_question(&v->asked, shape)) {
        *shape = v->answer;
        return v->code < 0 ? error_set(v->code, "%s", v->why) : 0;
    }
    *v = (fit_verdict){ .asked = *shape };
    v->code = judge(e, shape);
    v->answer = *shape;
    v->known = v->code == 0 || v->code == ERR_LIMIT;   /* not if it was stopped */
    if (v->code < 0) snprintf(v->why, sizeof v->why, "%s", error_message());
    return v->code;
}

/* ---- beside a model that is being trained ------------------------------------------------------------------------------ */

int engine_needs(const engine *e, const engine_shape *s, engine_share *out) {
    stage text = { 0 }, steps = { 0 }, decode = { 0 };
    size_t there = params_bytes(e->options.weights);
    int rc = count_text(e, &text);
    if (rc == 0) rc = count_steps(e, s, s->halves, &steps);
    if (rc == 0) rc = count_decoder(e, s, &decode);
    if (rc < 0) return rc;
    size_t last = larger(larger(text.workspace, steps.workspace), decode.workspace);
    *out = (engine_share){ .stays = params_bytes(e->options.weights) - there, .passes = larger(text.weights + text.workspace, decode.weights + last) };
    return 0;
}
