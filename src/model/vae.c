/* SPDX-License-Identifier: Apache-2.0
 *
 * After ldm/modules/diffusionmodules/model.py of the original, whose names the parameters have. */
#include "model/vae.h"

#include <stdio.h>

#include "base/error.h"
#include "model/layer.h"

enum { MAX_LEVELS = 8, MAX_BLOCKS = 16 };
static const float EPSILON = 1e-6f;   /* of all its norms */

/* ---- what the checkpoint says -------------------------------------------------------------------------------------------------- */

int vae_configure(const checkpoint *c, vae_config *out) {
    vae_config f = { .groups = checkpoint_settings_of(c)->groups };
    const parameter *first = param_look(c, "vae.encoder.conv_in.weight"), *last = param_look(c, "vae.decoder.conv_in.weight");
    while (f.levels <= MAX_LEVELS && param_look(c, "vae.encoder.down.%d.block.0.norm1.weight", f.levels)) f.levels++;
    while (f.encoder_blocks <= MAX_BLOCKS && param_look(c, "vae.encoder.down.0.block.%d.norm1.weight", f.encoder_blocks)) f.encoder_blocks++;
    while (f.decoder_blocks <= MAX_BLOCKS && param_look(c, "vae.decoder.up.0.block.%d.norm1.weight", f.decoder_blocks)) f.decoder_blocks++;
    if (!first || !last || first->shape.rank != 4 || last->shape.rank != 4 || !f.levels || !f.encoder_blocks || !f.decoder_blocks)
        return error_set(ERR_FORMAT, "the model has no VAE");
    if (f.levels > MAX_LEVELS || f.encoder_blocks > MAX_BLOCKS || f.decoder_blocks > MAX_BLOCKS)
        return error_set(ERR_LIMIT, "the VAE has more than %d levels or %d blocks in one", MAX_LEVELS, MAX_BLOCKS);
    f.channels = first->shape.dim[0];
    f.latent_channels = last->shape.dim[1];
    f.factor = 1 << (f.levels - 1);
    *out = f;
    return 0;
}

/* ---- its blocks ---------------------------------------------------------------------------------------------------------------- */

static tensor *res_block(const place *p, tensor *x) {
    tensor *h = layer_conv(p, silu(p->g, layer_group_norm(p, x, "norm1", EPSILON)), "conv1", 1);
    h = layer_conv(p, silu(p->g, layer_group_norm(p, h, "norm2", EPSILON)), "conv2", 1);
    tensor *skip = place_has(p, "nin_shortcut.weight") ? layer_conv(p, x, "nin_shortcut", 1) : x;
    return add(p->g, skip, h);
}

/* One head, as wide as the picture has channels. */
static tensor *attention_block(const place *p, tensor *x) {
    tensor *h = layer_group_norm(p, x, "norm", EPSILON);
    if (!h) return NULL;
    nn_shape picture = h->shape, tokens = shape3(picture.dim[0], picture.dim[1] * picture.dim[2], picture.dim[3]);
    h = reshape(p->g, h, tokens);
    tensor *q = layer_linear(p, h, "q"), *k = layer_linear(p, h, "k"), *v = layer_linear(p, h, "v");
    h = layer_linear(p, attention(p->g, q, k, v, (attention_attr){ .heads = 1 }, NULL), "proj_out");
    h = add(p->g, reshape(p->g, x, tokens), h);
    return h ? reshape(p->g, h, picture) : NULL;
}

static tensor *middle(const place *half, tensor *x) {
    place first = place_below(half, "mid.block_1"), attn = place_below(half, "mid.attn_1"), second = place_below(half, "mid.block_2");
    return res_block(&second, attention_block(&attn, res_block(&first, x)));
}

static tensor *end(const place *half, tensor *x) {
    return layer_conv(half, silu(half->g, layer_group_norm(half, x, "norm_out", EPSILON)), "conv_out", 1);
}

/* ---- its halves ---------------------------------------------------------------------------------------------------------------- */

tensor *vae_decode_build(graph *g, const checkpoint *c, const vae_config *f, tensor *latent) {
    place vae = place_at(g, c, f->groups, "vae"), p = place_below(&vae, "decoder");
    tensor *h = middle(&p, layer_conv(&p, layer_conv(&vae, latent, "post_quant_conv", 1), "conv_in", 1));
    for (int level = f->levels - 1; level >= 0; level--) {
        place up = place_below(&p, "up.%d", level);
        for (int i = 0; i < f->decoder_blocks; i++) {
            place block = place_below(&up, "block.%d", i);
            h = res_block(&block, h);
        }
        if (level && h) h = layer_conv(&up, upsample_nearest(g, h, 2 * h->shape.dim[1], 2 * h->shape.dim[2]), "upsample.conv", 1);
    }
    return end(&p, h);
}

tensor *vae_encode_build(graph *g, const checkpoint *c, const vae_config *f, tensor *picture) {
    place vae = place_at(g, c, f->groups, "vae"), p = place_below(&vae, "encoder");
    tensor *h = layer_conv(&p, picture, "conv_in", 1);
    for (int level = 0; level < f->levels; level++) {
        place down = place_below(&p, "down.%d", level);
        for (int i = 0; i < f->encoder_blocks; i++) {
            place block = place_below(&down, "block.%d", i);
            h = res_block(&block, h);
        }
        /* Zeros below and to the right only. */
        conv2d_attr halve = { .stride = 2, .pad_bottom = 1, .pad_right = 1 };
        if (level < f->levels - 1) h = layer_conv_padded(&down, h, "downsample.conv", halve);
    }
    return layer_conv(&vae, end(&p, middle(&p, h)), "quant_conv", 1);
}
