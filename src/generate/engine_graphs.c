/* SPDX-License-Identifier: Apache-2.0
 *
 * The graphs of a picture's networks. */
#include <stdio.h>

#include "base/error.h"
#include "generate/engine_inside.h"

static int begin(const engine *e, network *n, const char *name) {
    *n = (network){ .name = name, .g = graph_new() };
    if (n->g && e->options.begin_graph) e->options.begin_graph(e->options.trainer, n->g);
    return n->g ? 0 : error_code();
}

int build_text(const engine *e, text_network *n) {
    int rc = begin(e, &n->net, "text encoder");
    if (rc < 0) return rc;
    graph *g = n->net.g;
    n->ids = graph_input(g, "ids", NN_I32, shape2(1, TOKENS));
    n->out = graph_output(g, clip_build(g, e->c, &e->clip, n->ids, e->type));
    return graph_check(g);
}

static void mark_outputs(graph *g, cross_context *c) {
    for (int i = 0; i < c->n; i++) {
        graph_output(g, c->k[i]);
        graph_output(g, c->v[i]);
    }
}

int build_context(const engine *e, bool control, size_t pictures, context_network *n) {
    int rc = begin(e, &n->net, "keys and values");
    if (rc < 0) return rc;
    graph *g = n->net.g;
    n->context = graph_input(g, "context", e->type, shape3(pictures, TOKENS, e->clip.width));
    unet_context_build(g, e->c, &e->unet, n->context, &n->unet);
    if (graph_check(g) == 0) mark_outputs(g, &n->unet);
    if (control) unet_context_build(g, e->c, &e->control, n->context, &n->control);
    else n->control.n = 0;
    if (graph_check(g) == 0) mark_outputs(g, &n->control);
    return graph_check(g);
}

int build_hint(const engine *e, size_t height, size_t width, hint_network *n) {
    int rc = begin(e, &n->net, "hint network");
    if (rc < 0) return rc;
    graph *g = n->net.g;
    n->map = graph_input(g, "map", e->type, shape4(1, height, width, 3));
    n->out = graph_output(g, controlnet_hint_build(g, e->c, &e->control, n->map));
    return graph_check(g);
}

/* Both halves are the same picture, so x is one. Guess mode leaves the unconditional half without control. */
int build_step(const engine *e, const engine_shape *s, size_t pictures, bool control, step_network *n) {
    size_t h = (size_t)s->height / 8, w = (size_t)s->width / 8, controlled = s->guess ? 1 : pictures;
    int rc = begin(e, &n->net, control ? "ControlNet and UNet" : "UNet");
    if (rc < 0) return rc;
    graph *g = n->net.g;
    n->n = (int)pictures;
    n->n_control = (int)controlled;
    n->x = graph_input(g, "x", e->type, shape4(1, h, w, e->unet.in_channels));
    n->time = graph_input(g, "time", NN_F32, shape1(1));
    unet_context_inputs(g, e->c, &e->unet, pictures, TOKENS, e->type, &n->unet);
    control_outputs added = { .n = 0 };
    if (control) {
        n->hint = graph_input(g, "hint", e->type, shape4(1, h, w, e->control.model_channels));
        unet_context_inputs(g, e->c, &e->control, controlled, TOKENS, e->type, &n->control);
        controlnet_build(g, e->c, &e->control, n->x, n->hint, n->time, &n->control, &added);
        n->n_scale = added.n;
        for (int i = 0; i < added.n; i++) {
            char name[32];
            snprintf(name, sizeof name, "scale.%d", i);
            n->scale[i] = graph_input(g, name, NN_F32, shape1(pictures));
        }
    }
    n->out = graph_output(g, unet_build(g, e->c, &e->unet, n->x, n->time, &n->unet, control ? &added : NULL, control ? n->scale : NULL, s->only_mid));
    return graph_check(g);
}

int build_decode(const engine *e, size_t h, size_t w, decode_network *n) {
    int rc = begin(e, &n->net, "decoder");
    if (rc < 0) return rc;
    graph *g = n->net.g;
    n->latent = graph_input(g, "latent", e->type, shape4(1, h, w, e->latent_channels));
    n->out = graph_output(g, vae_decode_build(g, e->c, &e->vae, n->latent));
    return graph_check(g);
}
