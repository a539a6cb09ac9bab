/* SPDX-License-Identifier: Apache-2.0
 *
 * After ldm/modules/diffusionmodules/model.py of the original, whose names the parameters have. */
#include "model/vae.h"

#include <stdio.h>

#include "base/error.h"
#include "model/layer.h"

enum { MAX_LEVELS = 8, MAX_BLOCKS = 16, LATENT = 4 };
static const float epsilon = 1e-6f;   /* of all its norms */

/* ---- what the checkpoint says -------------------------------------------------------------------------------------------------- */

/* How many blocks or levels there are: "<before>0<after>", "<before>1<after>", ... */
static int count(const checkpoint *c, const char *before, const char *after, int most) {
    int n = 0;
    while (n <= most && param_look(c, "%s%d%s.norm1.weight", before, n, after)) n++;
    return n;
}

/* A convolution's weight of `outputs` (0: any) from `inputs` channels. */
static bool is_conv(const parameter *w, size_t outputs, size_t inputs) {
    return w && w->shape.rank == 4 && (!outputs || w->shape.dim[0] == outputs) && (!inputs || w->shape.dim[1] == inputs);
}

/* Pictures have 3 channels, and everything from the noise to the preview's table is made for a latent of 4. */
static int check_ends(const parameter *in, const parameter *out) {
    char shape[96];
    if (!is_conv(in, 0, LATENT))
        return error_set(ERR_UNSUPPORTED, "the VAE's decoder begins with weights %s: a latent of %d channels was expected", shape_text(in->shape, shape, sizeof shape), LATENT);
    if (!is_conv(out, 3, 0))
        return error_set(ERR_UNSUPPORTED, "the VAE's decoder ends with weights %s: pictures of 3 channels were expected", shape_text(out->shape, shape, sizeof shape));
    return 0;
}

int vae_configure(const checkpoint *c, vae_config *out) {
    const checkpoint_settings *s = checkpoint_settings_of(c);
    vae_config f = { .groups = s->vae_groups ? s->vae_groups : s->groups, .latent_channels = LATENT };
    const parameter *first = param_look(c, "vae.decoder.conv_in.weight"), *last = param_look(c, "vae.decoder.conv_out.weight");
    f.levels = count(c, "vae.decoder.up.", ".block.0", MAX_LEVELS);
    f.decoder_blocks = count(c, "vae.decoder.up.0.block.", "", MAX_BLOCKS);
    f.encoder_blocks = count(c, "vae.encoder.down.0.block.", "", MAX_BLOCKS);
    int encoder_levels = count(c, "vae.encoder.down.", ".block.0", MAX_LEVELS);
    if (!first || !last || !f.levels || !f.decoder_blocks) return error_set(ERR_FORMAT, "the model has no VAE");
    if (f.levels > MAX_LEVELS || f.encoder_blocks > MAX_BLOCKS || f.decoder_blocks > MAX_BLOCKS)
        return error_set(ERR_LIMIT, "the VAE has more than %d levels or %d blocks in one", MAX_LEVELS, MAX_BLOCKS);
    if (encoder_levels && encoder_levels != f.levels)
        return error_set(ERR_FORMAT, "the VAE has %d levels in its encoder and %d in its decoder", encoder_levels, f.levels);
    int rc = check_ends(first, last);
    if (rc < 0) return rc;
    f.channels = last->shape.dim[1];
    f.factor = 1 << (f.levels - 1);
    *out = f;
    return 0;
}

/* ---- its blocks ---------------------------------------------------------------------------------------------------------------- */

static tensor *res_block(const scope *p, tensor *x) {
    tensor *h = layer_conv(p, silu(p->g, layer_group_norm(p, x, "norm1", epsilon)), "conv1", 1);
    h = layer_conv(p, silu(p->g, layer_group_norm(p, h, "norm2", epsilon)), "conv2", 1);
    tensor *skip = scope_has(p, "nin_shortcut.weight") ? layer_conv(p, x, "nin_shortcut", 1) : x;
    return add(p->g, skip, h);
}

/* One head, as wide as the picture has channels. */
static tensor *attention_block(const scope *p, tensor *x) {
    tensor *h = layer_group_norm(p, x, "norm", epsilon);
    if (!h) return NULL;
    nn_shape picture = h->shape, tokens = shape3(picture.dim[0], picture.dim[1] * picture.dim[2], picture.dim[3]);
    h = reshape(p->g, h, tokens);
    tensor *q = layer_linear(p, h, "q"), *k = layer_linear(p, h, "k"), *v = layer_linear(p, h, "v");
    h = layer_linear(p, attention(p->g, q, k, v, (attention_attr){ .heads = 1 }, NULL), "proj_out");
    h = add(p->g, reshape(p->g, x, tokens), h);
    return h ? reshape(p->g, h, picture) : NULL;
}

static tensor *middle(const scope *half, tensor *x) {
    scope first = scope_below(half, "mid.block_1"), attn = scope_below(half, "mid.attn_1"), second = scope_below(half, "mid.block_2");
    return res_block(&second, attention_block(&attn, res_block(&first, x)));
}

static tensor *end(const scope *half, tensor *x) {
    return layer_conv(half, silu(half->g, layer_group_norm(half, x, "norm_out", epsilon)), "conv_out", 1);
}

/* ---- its halves ---------------------------------------------------------------------------------------------------------------- */

tensor *vae_decode_build(graph *g, const checkpoint *c, const vae_config *f, tensor *latent) {
    scope vae = scope_at(g, c, f->groups, "vae"), p = scope_below(&vae, "decoder");
    if (!latent) return NULL;
    const size_t *d = latent->shape.dim, factor = (size_t)f->factor;
    tensor *h = middle(&p, layer_conv(&p, layer_conv(&vae, latent, "post_quant_conv", 1), "conv_in", 1));
    for (int level = f->levels - 1; level >= 0; level--) {
        scope up = scope_below(&p, "up.%d", level);
        for (int i = 0; i < f->decoder_blocks; i++) {
            scope block = scope_below(&up, "block.%d", i);
            h = res_block(&block, h);
        }
        if (level && h) h = layer_conv(&up, upsample_nearest(g, h, 2 * h->shape.dim[1], 2 * h->shape.dim[2]), "upsample.conv", 1);
    }
    return layer_promised(&p, end(&p, h), shape4(d[0], factor * d[1], factor * d[2], 3));
}

tensor *vae_encode_build(graph *g, const checkpoint *c, const vae_config *f, tensor *picture) {
    scope vae = scope_at(g, c, f->groups, "vae"), p = scope_below(&vae, "encoder");
    if (!picture) return NULL;
    const size_t *d = picture->shape.dim, factor = (size_t)f->factor;
    tensor *h = layer_conv(&p, picture, "conv_in", 1);
    for (int level = 0; level < f->levels; level++) {
        scope down = scope_below(&p, "down.%d", level);
        for (int i = 0; i < f->encoder_blocks; i++) {
            scope block = scope_below(&down, "block.%d", i);
            h = res_block(&block, h);
        }
        /* Zeros below and to the right only. */
        conv2d_attr halve = { .stride = 2, .pad_bottom = 1, .pad_right = 1 };
        if (level < f->levels - 1) h = layer_conv_padded(&down, h, "downsample.conv", halve);
    }
    h = layer_conv(&vae, end(&p, middle(&p, h)), "quant_conv", 1);
    return layer_promised(&p, h, shape4(d[0], d[1] / factor, d[2] / factor, 2 * f->latent_channels));
}
