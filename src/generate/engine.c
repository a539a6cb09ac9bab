/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/engine.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/free_memory.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "generate/engine_inside.h"
#include "nn/plan_text.h"

/* ---- opening --------------------------------------------------------------------------------------------------------- */

static int choose_type(engine *e) {
    bool bf16;
    int rc = settings_bf16(e->options.dtype, device_level(e->d), &bf16);
    if (rc == 0) e->type = bf16 ? NN_BF16 : NN_F32;
    return rc;
}

static int configure(engine *e) {
    int rc = clip_configure(e->c, &e->clip);
    if (rc == 0) rc = unet_configure(e->c, "unet", &e->unet);
    if (rc == 0 && checkpoint_has(e->c) & CHECKPOINT_CONTROL) rc = unet_configure(e->c, "control", &e->control);
    if (rc == 0) rc = vae_configure(e->c, &e->vae);
    if (rc < 0) return rc;
    e->latent_channels = e->vae.latent_channels;
    if (e->unet.in_channels != e->latent_channels || e->unet.out_channels != e->latent_channels)
        return error_set(ERR_UNSUPPORTED, "%s: its UNet takes %zu channels and gives %zu, the autoencoder has %zu: this is no model for plain pictures (but perhaps one for inpainting)",
                         e->options.base, e->unet.in_channels, e->unet.out_channels, e->latent_channels);
    if (e->vae.factor != 8) return error_set(ERR_UNSUPPORTED, "%s: its autoencoder shrinks pictures %d times, 8 was expected", e->options.base, e->vae.factor);
    if (e->clip.width != e->unet.context_width)
        return error_set(ERR_UNSUPPORTED, "%s: its text encoder is %zu wide, its UNet expects %zu", e->options.base, e->clip.width, e->unet.context_width);
    return 0;
}

static int open_all(engine *e) {
    e->d = device_cpu(e->options.cpu);
    if (!e->d) return error_code();
    int rc = choose_type(e);
    if (e->options.checkpoint) e->c = e->options.checkpoint;
    else if (rc == 0) rc = checkpoint_open(e->options.base, e->options.control, CHECKPOINT_UNET | CHECKPOINT_TEXT | CHECKPOINT_VAE | (e->options.may_lack_control ? 0 : CHECKPOINT_CONTROL), &e->c);
    if (rc == 0) rc = configure(e);
    if (rc < 0) return rc;
    if (e->options.prediction == MIEN_PREDICTION_AUTO && checkpoint_settings_of(e->c)->prediction == PREDICT_UNKNOWN) e->options.prediction = e->options.likely;
    if (e->options.prediction != MIEN_PREDICTION_AUTO) checkpoint_set_prediction(e->c, e->options.prediction == MIEN_PREDICTION_V ? PREDICT_V : PREDICT_EPSILON);
    rc = clip_tokenizer(e->c, &e->t);
    if (rc < 0) return rc;
    return clip_takes(e->c, &e->clip, e->t) < 0 ? error_prefix("%s", e->options.base) : 0;
}

int engine_open(const engine_options *options, engine **out) {
    engine *e = calloc(1, sizeof *e);
    if (!e) return error_memory(sizeof *e);
    e->options = *options;
    if (e->options.threads < 1) e->options.threads = parallel_cores();
    double begin = clock_seconds();
    int rc = open_all(e);
    e->limit = e->options.memory ? e->options.memory : free_memory();   /* later, what a batch's earlier jobs hold would not be free */
    e->times.load += clock_seconds() - begin;
    if (rc < 0) engine_close(e);
    else *out = e;
    return rc;
}

static void forget_texts(engine *e) {
    for (size_t i = 0; i < e->n_text; i++) {
        free(e->text[i].text);
        free(e->text[i].context);
    }
    free(e->text);
    e->text = NULL;
    e->n_text = 0;
}

void engine_close(engine *e) {
    if (!e) return;
    engine_release_steps(e);
    engine_free_plans(e);
    params_free(e->vae_params);
    workspace_free(e->ws);
    forget_texts(e);
    tokenizer_close(e->t);
    if (!e->options.checkpoint) checkpoint_close(e->c);
    device_free(e->d);
    free(e);
}

const checkpoint *engine_checkpoint(const engine *e) { return e->c; }
bool engine_bf16(const engine *e) { return e->type == NN_BF16; }
int engine_threads(const engine *e) { return e->options.threads; }
size_t engine_memory(const engine *e) { return e->limit; }

mien_prediction engine_prediction(const engine *e) {
    prediction_type p = checkpoint_settings_of(e->c)->prediction;
    return p == PREDICT_V ? MIEN_PREDICTION_V : p == PREDICT_EPSILON ? MIEN_PREDICTION_EPSILON : MIEN_PREDICTION_AUTO;
}
engine_times engine_times_of(const engine *e) { return e->times; }
int engine_stopped(const engine *e) { return stop_asked(e->options.stop) ? error_set(ERR_CANCELLED, "stopped") : 0; }

int engine_usual_side(const engine *e) {
    const checkpoint_settings *s = checkpoint_settings_of(e->c);
    int side = s->sample_size * 8;
    if (!side && s->family == 2 && s->prediction == PREDICT_V) return 768;   /* the one model of 2.x that does, and its kin */
    return side >= SETTINGS_LEAST_SIDE && side <= SETTINGS_MOST_SIDE ? side : 512;
}

/* ---- networks -------------------------------------------------------------------------------------------------------- */

static void drop_pages(void *context, const void *data, size_t bytes) { checkpoint_drop(context, data, bytes); }

int engine_params(engine *e, params **p) {
    if (*p) return 0;
    if (!(*p = params_new())) return error_code();
    params_on_packed(*p, drop_pages, e->c);
    return 0;
}

static int workspace_reserve(engine *e, size_t bytes) {
    if (e->ws && e->ws_bytes >= bytes) return 0;
    workspace_free(e->ws);
    e->ws = workspace_new(bytes);
    e->ws_bytes = e->ws ? bytes : 0;
    if (e->ws) return 0;
    engine_free_plans(e);   /* that had the old one */
    return error_code();
}

/* Where there are kernels at all, a large network that fell to the reference would run for hours: it is refused. */
plan_options engine_plan_options(const engine *e) {
    return (plan_options){ .threads = e->options.threads, .no_reference = device_level(e->d) > CPU_REFERENCE, .stop = e->options.stop };
}

int network_plan(engine *e, network *n, params *p) {
    double begin = clock_seconds();
    plan_options how = engine_plan_options(e);
    n->p = plan_new(n->g, e->d, p, &how);
    int rc = n->p ? workspace_reserve(e, plan_bytes(n->p)) : error_code();
    if (rc == 0 && e->options.profile && !(n->profile = plan_profile_new(n->p))) rc = error_code();
    e->times.load += clock_seconds() - begin;
    if (rc == 0) rc = engine_stopped(e);
    if (rc < 0) network_free(e, n);   /* a plan that is there can be run */
    return rc;
}

int network_run(engine *e, network *n) { return plan_run(n->p, e->ws, &(plan_run_options){ .profile = n->profile, .stop = e->options.stop }); }

void network_free(engine *e, network *n) {
    if (n->profile && plan_profile_runs(n->profile)) plan_profile_tell(n->profile, n->name, e->options.profile, e->options.context);
    plan_profile_free(n->profile);
    plan_free(n->p);
    graph_free(n->g);
    *n = (network){ 0 };
}

void network_put(engine *e, const network *n, const tensor *t, const float *x) {
    nn_narrow(plan_tensor(n->p, e->ws, t), t->type, x, shape_elements(t->shape));
}

void network_get(engine *e, const network *n, const tensor *t, float *x) {
    nn_widen(x, plan_tensor(n->p, e->ws, t), t->type, shape_elements(t->shape));
}

/* ---- texts ----------------------------------------------------------------------------------------------------------- */

int engine_text_fits(engine *e, const char *text, size_t *fits) {
    int32_t ids[TOKENS];
    return tokenizer_prompt(e->t, text, checkpoint_settings_of(e->c)->pad_token, ids, fits);
}

const encoded_text *engine_text_of(const engine *e, const char *text) {
    for (size_t i = 0; i < e->n_text; i++)
        if (strcmp(e->text[i].text, text) == 0) return &e->text[i];
    return NULL;
}

static int encode(engine *e, text_network *n, encoded_text *t) {
    int32_t ids[TOKENS];
    size_t cut, bytes = shape_elements(n->out->shape) * nn_type_bytes(n->out->type);
    int rc = tokenizer_prompt(e->t, t->text, checkpoint_settings_of(e->c)->pad_token, ids, &cut);
    if (rc < 0) return rc;
    memcpy(plan_tensor(n->net.p, e->ws, n->ids), ids, sizeof ids);
    rc = network_run(e, &n->net);
    t->context = rc == 0 ? malloc(bytes) : NULL;
    if (rc == 0 && !t->context) rc = error_memory(bytes);
    if (rc == 0) memcpy(t->context, plan_tensor(n->net.p, e->ws, n->out), bytes);
    return rc < 0 ? rc : engine_stopped(e);
}

static int encode_new(engine *e, size_t from) {
    text_network n = { 0 };
    params *p = NULL;
    int rc = engine_params(e, &p);
    if (rc == 0) rc = build_text(e, &n);
    if (rc == 0) rc = network_plan(e, &n.net, p);
    double begin = clock_seconds();
    for (size_t i = from; i < e->n_text && rc == 0; i++) rc = encode(e, &n, &e->text[i]);
    e->times.text += clock_seconds() - begin;
    network_free(e, &n.net);
    params_free(p);
    return rc;
}

/* Moves what is known already to `to`, and puts the others, without a context, behind it. */
static int sort_texts(engine *e, const char *const texts[], size_t n, encoded_text *to, size_t *known, size_t *count) {
    *known = *count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++) {
            bool there = false;
            for (size_t k = 0; k < *count; k++) there |= strcmp(to[k].text, texts[i]) == 0;
            encoded_text *old = (encoded_text *)engine_text_of(e, texts[i]);
            if (there || (pass == 0 && !(old && old->context))) continue;
            encoded_text one = { strdup(texts[i]), NULL };
            if (!one.text) return error_memory(strlen(texts[i]));
            if (pass == 0) one.context = old->context, old->context = NULL;
            to[(*count)++] = one;
        }
        if (pass == 0) *known = *count;
    }
    return 0;
}

int engine_texts(engine *e, const char *const texts[], size_t n) {
    encoded_text *to = calloc(n + 1, sizeof *to);
    size_t known, count;
    if (!to) return error_memory(n * sizeof *to);
    int rc = sort_texts(e, texts, n, to, &known, &count);
    forget_texts(e);
    e->text = to;
    e->n_text = count;
    if (rc == 0 && known < count) rc = encode_new(e, known);
    if (rc < 0) forget_texts(e);
    return rc;
}
