/* SPDX-License-Identifier: Apache-2.0
 *
 * Which network is trained, and by what loss:
 *
 *     control   latent, map, context -> ControlNet and UNet -> the noise, or v   the ControlNet, and the UNet's decoder if unlocked
 *     base      latent, tokens -> text encoder, UNet        -> the noise, or v   both, or the UNet alone
 *     vae       picture -> moments -> a sample -> picture                        encoder and decoder */
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"
#include "train/trainer_inside.h"

enum { FACTOR = 8 };   /* pixels a latent */

/* ---- what the model has -------------------------------------------------------------------------------------------------- */

static int configure_vae(trainer *t) {
    const trainer_options *o = &t->options;
    int rc = vae_configure(t->c, &t->vae);
    if (rc < 0) return rc;
    if (!t->vae.encoder_blocks) return error_set(ERR_FORMAT, "the model's VAE has no encoder");
    if (t->vae.factor != FACTOR)
        return error_set(ERR_UNSUPPORTED, "the VAE shrinks pictures %d times, %d was expected", t->vae.factor, FACTOR);
    /* ldm's contperceptual.py adds up a picture's errors; here they are averaged, and so the divergence is shared among
     * as many. */
    t->kl_share = (float)(o->kl_weight / (double)(FACTOR * o->height * FACTOR * o->width * 3));
    return 0;
}

static int configure_text(trainer *t) {
    int rc = clip_configure(t->c, &t->text);
    if (rc < 0 || t->text.width == t->unet.context_width) return rc;
    return error_set(ERR_UNSUPPORTED, "the text encoder is %zu wide, the UNet expects %zu", t->text.width, t->unet.context_width);
}

int trainer_configure(trainer *t) {
    if (t->options.what == TRAINER_VAE) return configure_vae(t);
    int rc = unet_configure(t->c, "unet", &t->unet);
    if (rc == 0 && t->options.what == TRAINER_CONTROL) rc = unet_configure(t->c, "control", &t->control);
    return rc == 0 && t->options.what == TRAINER_BASE && !t->options.freeze_text ? configure_text(t) : rc;
}

static bool is_below(const char *name, const char *root) { return strncmp(name, root, strlen(root)) == 0; }

bool trainer_trains(const trainer *t, const parameter *p) {
    const trainer_options *o = &t->options;
    if (o->what == TRAINER_VAE) return is_below(p->name, "vae.");
    if (o->what == TRAINER_BASE) return is_below(p->name, "unet.") || (!o->freeze_text && is_below(p->name, "text."));
    if (is_below(p->name, "control.")) return true;
    return o->unlock_decoder && (is_below(p->name, "unet.output_blocks.") || is_below(p->name, "unet.out."));
}

/* ---- inputs -------------------------------------------------------------------------------------------------------------- */

static tensor *input(trainer *t, graph *g, trainer_input which, const char *name, nn_type type, nn_shape shape) {
    return t->input[which] = graph_input(g, name, type, shape);
}

/* What the UNet is given, and asked for. */
static void unet_inputs(trainer *t, graph *g) {
    size_t n = (size_t)t->options.batch, h = t->options.height, w = t->options.width, c = t->unet.in_channels;
    input(t, g, TRAINER_LATENT, "latent", t->type, shape4(n, h, w, c));
    input(t, g, TRAINER_TIME, "time", NN_F32, shape1(n));
    input(t, g, TRAINER_TARGET, "target", NN_F32, shape4(n, h, w, c));
}

static tensor *context_input(trainer *t, graph *g) {
    return input(t, g, TRAINER_CONTEXT, "context", t->type,
                 shape3((size_t)t->options.batch, t->options.tokens, t->unet.context_width));
}

/* ---- networks ------------------------------------------------------------------------------------------------------------ */

static tensor *build_control(trainer *t, graph *g) {
    size_t n = (size_t)t->options.batch, h = t->options.height, w = t->options.width;
    unet_inputs(t, g);
    tensor *x = t->input[TRAINER_LATENT], *time = t->input[TRAINER_TIME], *context = context_input(t, g);
    tensor *hint = controlnet_hint_build(g, t->c, &t->control,
                                         input(t, g, TRAINER_HINT, "hint", t->type, shape4(n, FACTOR * h, FACTOR * w, 3)));
    cross_context kv, control_kv;
    control_outputs added;
    unet_context_build(g, t->c, &t->unet, context, &kv);
    unet_context_build(g, t->c, &t->control, context, &control_kv);
    if (graph_check(g) < 0) return NULL;
    controlnet_build(g, t->c, &t->control, x, hint, time, &control_kv, &added);
    return unet_build(g, t->c, &t->unet, x, time, &kv, &added, NULL, t->options.only_mid);
}

static tensor *build_base(trainer *t, graph *g) {
    const trainer_options *o = &t->options;
    cross_context kv;
    unet_inputs(t, g);
    nn_shape ids = shape2((size_t)o->batch, o->tokens);
    tensor *context = o->freeze_text ? context_input(t, g)
                                     : clip_build(g, t->c, &t->text, input(t, g, TRAINER_IDS, "ids", NN_I32, ids), t->type);
    unet_context_build(g, t->c, &t->unet, context, &kv);
    if (graph_check(g) < 0) return NULL;
    return unet_build(g, t->c, &t->unet, t->input[TRAINER_LATENT], t->input[TRAINER_TIME], &kv, NULL, NULL, false);
}

static tensor *build_vae(trainer *t, graph *g) {
    size_t n = (size_t)t->options.batch, h = t->options.height, w = t->options.width;
    nn_shape picture = shape4(n, FACTOR * h, FACTOR * w, 3);
    tensor *noise = input(t, g, TRAINER_POSTERIOR, "posterior", NN_F32, shape4(n, h, w, t->vae.latent_channels));
    tensor *weight = t->input[TRAINER_WEIGHT];
    input(t, g, TRAINER_TARGET, "target", NN_F32, picture);
    tensor *moments = vae_encode_build(g, t->c, &t->vae, input(t, g, TRAINER_PICTURE, "picture", t->type, picture));
    tensor *y = vae_decode_build(g, t->c, &t->vae, posterior_sample(g, moments, noise));
    tensor *error = (t->options.absolute ? mae : mse)(g, y, t->input[TRAINER_TARGET], weight);
    t->divergence = graph_output(g, posterior_kl(g, moments, weight));
    return add(g, error, mul(g, t->divergence, graph_param(g, "kl_share", NN_F32, shape1(1), &t->kl_share)));
}

tensor *trainer_build(trainer *t, graph *g) {
    memset(t->input, 0, sizeof t->input);
    t->divergence = NULL;
    input(t, g, TRAINER_WEIGHT, "weight", NN_F32, shape1((size_t)t->options.batch));
    if (t->options.what == TRAINER_VAE) return build_vae(t, g);
    tensor *y = (t->options.what == TRAINER_BASE ? build_base : build_control)(t, g);
    return mse(g, y, t->input[TRAINER_TARGET], t->input[TRAINER_WEIGHT]);
}
