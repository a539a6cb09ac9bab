/* SPDX-License-Identifier: Apache-2.0 */
#include "model/shapes.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/clip.h"
#include "model/unet.h"
#include "model/vae.h"

enum { SIDE = 8, PROMPT = 8 };   /* of latents and prompts: any would do */

/* The parameter that was added last; or NULL. */
static const parameter *last_of(const graph *g, const checkpoint *c) {
    for (size_t i = graph_tensors(g); i-- > 0;) {
        const tensor *t = graph_tensor(g, i);
        if (t->kind == TENSOR_PARAM) return checkpoint_find(c, t->name);
    }
    return NULL;
}

/* A message begins with the layer's canonical name, or with none where layers' results meet: here it is told by a stored one. */
static int name_stored(const graph *g, const checkpoint *c) {
    char message[1024];
    int code = error_code() == ERR_UNSUPPORTED || error_code() == ERR_LIMIT || error_code() == ERR_MEMORY ? error_code() : ERR_FORMAT;
    snprintf(message, sizeof message, "%s", error_message());
    char *end = strstr(message, ": ");
    const parameter *p = NULL;
    if (end) {
        *end = 0;
        p = param_look(c, "%s.weight", message);
        *end = ':';
    }
    if (p) return error_set(code, "\"%s\": %s", p->stored_name, end + 2);
    p = last_of(g, c);
    return p ? error_set(code, "behind \"%s\": %s", p->stored_name, message) : error_set(code, "%s", message);
}

static int finish(graph *g, const checkpoint *c) {
    int rc = graph_check(g);
    if (rc < 0) rc = name_stored(g, c);
    graph_free(g);
    return rc;
}

static int check_text(const checkpoint *c) {
    clip_config f;
    int rc = clip_configure(c, &f);
    if (rc < 0) return rc;
    f.layers += checkpoint_settings_of(c)->text_skip;   /* those that aren't computed are carried all the same */
    size_t tokens = f.positions < PROMPT ? f.positions : PROMPT;
    graph *g = graph_new();
    clip_build(g, c, &f, graph_input(g, "ids", NN_I32, shape2(1, tokens)), NN_F32);
    const parameter *p = param_look(c, "text.embeddings.position_embedding.weight");
    if (graph_check(g) == 0 && p->shape.dim[1] != f.width)
        graph_fail(g, error_set(ERR_FORMAT, "\"%s\": positions are %zu wide, tokens %zu", p->stored_name, p->shape.dim[1], f.width));
    return finish(g, c);
}

static int check_vae(const checkpoint *c) {
    vae_config f;
    int rc = vae_configure(c, &f);
    if (rc < 0) return rc;
    size_t side = SIDE * (size_t)f.factor;
    graph *g = graph_new();
    vae_decode_build(g, c, &f, graph_input(g, "latent", NN_F32, shape4(1, SIDE, SIDE, f.latent_channels)));
    if (f.encoder_blocks) vae_encode_build(g, c, &f, graph_input(g, "picture", NN_F32, shape4(1, side, side, 3)));
    return finish(g, c);
}

/* Keys and values are made, and then taken, as the two graphs of generate do. */
static void context_build(graph *g, const checkpoint *c, const unet_config *f, cross_context *out) {
    char name[32];
    cross_context made;
    snprintf(name, sizeof name, "%s.context", f->root);
    unet_context_build(g, c, f, graph_input(g, name, NN_F32, shape3(1, PROMPT, f->context_width)), &made);
    unet_context_inputs(g, c, f, 1, PROMPT, NN_F32, out);
}

/* A zero convolution leads to a UNet whose encoder is as wide as the ControlNet's own. */
static int check_bridge(const checkpoint *c, const char *name) {
    const parameter *p = param_look(c, "control.%s.0.weight", name);
    if (!p || p->shape.dim[0] == p->shape.dim[1]) return 0;
    return error_set(ERR_FORMAT, "\"%s\": %zu outputs, but the UNet's encoder is %zu wide there", p->stored_name, p->shape.dim[0], p->shape.dim[1]);
}

static int check_bridges(const checkpoint *c, const unet_config *f) {
    char name[32];
    int rc = check_bridge(c, "middle_block_out");
    for (int i = 0; rc == 0 && i < f->input_blocks; i++) {
        snprintf(name, sizeof name, "zero_convs.%d", i);
        rc = check_bridge(c, name);
    }
    return rc;
}

static int check_unet(const checkpoint *c, bool control) {
    unet_config f;
    int rc = unet_configure(c, control ? "control" : "unet", &f);
    if (rc < 0) return rc;
    graph *g = graph_new();
    tensor *x = graph_input(g, "x", NN_F32, shape4(1, SIDE, SIDE, f.in_channels)), *time = graph_input(g, "time", NN_F32, shape1(1));
    cross_context kv;
    control_outputs added;
    context_build(g, c, &f, &kv);
    if (control) {
        tensor *hint = controlnet_hint_build(g, c, &f, graph_input(g, "map", NN_F32, shape4(1, 8 * SIDE, 8 * SIDE, 3)));
        controlnet_build(g, c, &f, x, hint, time, &kv, &added);
    } else unet_build(g, c, &f, x, time, &kv, NULL, NULL, false);
    rc = finish(g, c);
    return rc == 0 && control ? check_bridges(c, &f) : rc;
}

int shapes_check(const checkpoint *c, unsigned networks) {
    int rc = networks & CHECKPOINT_TEXT ? check_text(c) : 0;
    if (rc == 0 && networks & CHECKPOINT_VAE) rc = check_vae(c);
    if (rc == 0 && networks & CHECKPOINT_UNET) rc = check_unet(c, false);
    if (rc == 0 && networks & CHECKPOINT_CONTROL) rc = check_unet(c, true);
    return rc;
}
