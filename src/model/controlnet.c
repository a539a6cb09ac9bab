/* SPDX-License-Identifier: Apache-2.0
 *
 * The ControlNet (cldm/cldm.py of the original): a copy of the UNet's encoder and middle, a small network for the map, and 1x1
 * convolutions, zero before training, at every output. */
#include <stdio.h>

#include "model/unet_blocks.h"

tensor *controlnet_hint_build(graph *g, const checkpoint *c, const unet_config *f, tensor *map) {
    scope p = scope_at(g, c, f->groups, "%s.input_hint_block", f->root);
    tensor *h = map;
    char name[16], next[32];
    if (!map) return NULL;
    const size_t *d = map->shape.dim;
    for (int i = 0; h; i++) {
        snprintf(name, sizeof name, "%d", 2 * i);   /* SiLUs lie between */
        snprintf(next, sizeof next, "%d.weight", 2 * i + 2);
        bool last = !scope_has(&p, next);
        /* Every second one halves the picture, but neither the first nor the last. */
        h = layer_conv(&p, h, name, i > 0 && i % 2 == 0 && !last ? 2 : 1);
        if (last) break;
        h = silu(g, h);
    }
    return layer_promised(&p, h, shape4(d[0], d[1] / 8, d[2] / 8, f->model_channels));
}

void controlnet_build(graph *g, const checkpoint *c, const unet_config *f, tensor *x, tensor *hint, tensor *time,
                      const cross_context *context, control_outputs *out) {
    tensor *h[UNET_MAX_SKIPS + 1];
    int n = f->input_blocks;
    *out = (control_outputs){ .n = n + 1 };
    if (!x || !hint) return;
    unet_pass u = unet_begin(g, c, f, time, context, x->type);
    h[n] = unet_encoder(&u, x, hint, h);
    for (int i = 0; i < n; i++) {
        scope p = scope_at(g, c, f->groups, "%s.zero_convs.%d", f->root, i);
        out->out[i] = layer_conv(&p, h[i], "0", 1);
    }
    scope p = scope_at(g, c, f->groups, "%s.middle_block_out", f->root);
    out->out[n] = layer_conv(&p, h[n], "0", 1);
}
