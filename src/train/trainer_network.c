/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "nn/gradient.h"
#include "train/trainer_inside.h"

int trainer_configure(trainer *t) {
    int rc = unet_configure(t->c, "unet", &t->unet);
    return rc < 0 ? rc : unet_configure(t->c, "control", &t->control);
}

static bool is_below(const char *name, const char *root) { return strncmp(name, root, strlen(root)) == 0; }

bool trainer_trains(const trainer *t, const parameter *p) {
    if (is_below(p->name, "control.")) return true;
    return t->options.unlock_decoder && (is_below(p->name, "unet.output_blocks.") || is_below(p->name, "unet.out."));
}

static tensor *build_inputs(trainer *t, graph *g) {
    const trainer_options *o = &t->options;
    size_t n = (size_t)o->batch, h = o->height, w = o->width, c = t->unet.in_channels;
    t->input[TRAINER_LATENT] = graph_input(g, "latent", t->type, shape4(n, h, w, c));
    t->input[TRAINER_TIME] = graph_input(g, "time", NN_F32, shape1(n));
    t->input[TRAINER_CONTEXT] = graph_input(g, "context", t->type, shape3(n, o->tokens, t->unet.context_width));
    t->input[TRAINER_HINT] = graph_input(g, "hint", t->type, shape4(n, 8 * h, 8 * w, 3));
    t->input[TRAINER_TARGET] = graph_input(g, "target", NN_F32, shape4(n, h, w, c));
    t->input[TRAINER_WEIGHT] = graph_input(g, "weight", NN_F32, shape1(n));
    return t->input[TRAINER_LATENT];
}

static tensor *build_network(trainer *t, graph *g) {
    tensor *x = build_inputs(t, g), *time = t->input[TRAINER_TIME], *hint = controlnet_hint_build(g, t->c, &t->control, t->input[TRAINER_HINT]);
    cross_context kv, control_kv;
    control_outputs added;
    unet_context_build(g, t->c, &t->unet, t->input[TRAINER_CONTEXT], &kv);
    unet_context_build(g, t->c, &t->control, t->input[TRAINER_CONTEXT], &control_kv);
    if (graph_check(g) < 0) return NULL;
    controlnet_build(g, t->c, &t->control, x, hint, time, &control_kv, &added);
    return unet_build(g, t->c, &t->unet, x, time, &kv, &added, NULL, t->options.only_mid);
}

tensor *trainer_build(trainer *t, graph *g) {
    tensor *y = build_network(t, g);
    return mse(g, y, t->input[TRAINER_TARGET], t->input[TRAINER_WEIGHT]);
}
