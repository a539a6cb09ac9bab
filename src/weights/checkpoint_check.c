/* SPDX-License-Identifier: Apache-2.0
 *
 * What a network must have follows from its structure: the ladder of its blocks, and which parts of a block are there at all. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "weights/checkpoint_inside.h"

typedef struct { const checkpoint *c; network net; int rc; } walk;

/* Requires a parameter; the first that is missing ends the walk. */
__attribute__((format(printf, 2, 3))) static void need(walk *w, const char *format, ...) {
    char name[NAME_MOST], stored[2 * NAME_MOST];
    if (w->rc < 0) return;
    va_list args;
    va_start(args, format);
    bool fits = name_text(name, sizeof name, format, args);
    va_end(args);
    if (!fits) {
        w->rc = error_set(ERR_LIMIT, "a parameter's name is too long: %s", format);
        return;
    }
    if (checkpoint_part(w->c, w->net, "%s", name)) return;
    const model_file *f = &w->c->file[w->c->from[w->net]];
    if (!model_file_name(f, w->net, name, stored, sizeof stored)) snprintf(stored, sizeof stored, "%s.%s", network_roots[w->net], name);
    w->rc = error_set(ERR_FORMAT, "%s: the tensor \"%s\" is missing", weights_path(f->w), stored);
}

static void need_both(walk *w, const char *place, const char *name) {
    need(w, "%s.%s.weight", place, name);
    need(w, "%s.%s.bias", place, name);
}

/* Whether any of a block's tensors is there: weights and biases of the names, up to NULL. */
static bool any(const walk *w, const char *place, const char *const names[]) {
    for (int i = 0; names[i]; i++)
        if (checkpoint_part(w->c, w->net, "%s.%s.weight", place, names[i]) || checkpoint_part(w->c, w->net, "%s.%s.bias", place, names[i])) return true;
    return false;
}

static void need_all(walk *w, const char *place, const char *const names[]) {
    for (int i = 0; names[i]; i++) need_both(w, place, names[i]);
}

/* A shortcut has a convolution exactly where the number of channels changes. */
static void need_shortcut(walk *w, const char *place, const char *norm, const char *conv, const char *shortcut) {
    const parameter *in = checkpoint_part(w->c, w->net, "%s.%s.weight", place, norm), *out = checkpoint_part(w->c, w->net, "%s.%s.weight", place, conv);
    if (in && out && in->shape.dim[0] != out->shape.dim[0]) need_both(w, place, shortcut);
}

#define AT(...) (snprintf(at, sizeof at, __VA_ARGS__), at)

/* ---- UNet, ControlNet ------------------------------------------------------------------------------------------------- */

static void residual(walk *w, const char *place) {
    static const char *const names[] = { "in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", NULL };
    need_all(w, place, names);
    need_shortcut(w, place, "in_layers.0", "in_layers.2", "skip_connection");
}

static void transformer(walk *w, const char *place) {
    static const char *const outer[] = { "norm", "proj_in", "proj_out", NULL };
    static const char *const inner[] = { "norm1", "norm2", "norm3", "attn1.to_out.0", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2", NULL };
    char at[NAME_MOST];
    need_all(w, place, outer);
    for (int d = 0; d < 32 && (d == 0 || any(w, AT("%s.transformer_blocks.%d", place, d), inner)); d++) {
        AT("%s.transformer_blocks.%d", place, d);
        need_all(w, at, inner);
        for (int k = 1; k <= 2; k++)
            for (int i = 0; i < 3; i++) need(w, "%s.attn%d.to_%c.weight", at, k, "qkv"[i]);
    }
}

static void encoder(walk *w, const name_ladder *l) {
    char at[NAME_MOST];
    int n = 1;
    need_both(w, "time_embed", "0");
    need_both(w, "time_embed", "2");
    need_both(w, "input_blocks.0", "0");
    for (int level = 0; level < l->levels; level++) {
        for (int i = 0; i < l->layers[level]; i++, n++) {
            residual(w, AT("input_blocks.%d.0", n));
            if (l->attention[level]) transformer(w, AT("input_blocks.%d.1", n));
        }
        if (level + 1 < l->levels) need_both(w, AT("input_blocks.%d.0", n++), "op");
    }
    residual(w, "middle_block.0");
    transformer(w, "middle_block.1");
    residual(w, "middle_block.2");
}

static void decoder(walk *w, const name_ladder *l) {
    char at[NAME_MOST];
    int n = 0;
    for (int level = l->levels - 1; level >= 0; level--)
        for (int i = 0; i <= l->layers[level]; i++, n++) {
            residual(w, AT("output_blocks.%d.0", n));
            if (l->attention[level]) transformer(w, AT("output_blocks.%d.1", n));
            if (level && i == l->layers[level]) need_both(w, AT("output_blocks.%d.%d", n, 1 + l->attention[level]), "conv");
        }
    need_both(w, "out", "0");
    need_both(w, "out", "2");
}

static void control(walk *w, const name_ladder *l) {
    char at[32];
    const parameter *first = checkpoint_part(w->c, w->net, "input_blocks.0.0.bias"), *last = checkpoint_part(w->c, w->net, "input_hint_block.%d.bias", 2 * (l->hints - 1));
    for (int i = 0; i < l->hints || i == 0; i++) need_both(w, "input_hint_block", AT("%d", 2 * i));
    if (first && last && first->shape.dim[0] != last->shape.dim[0]) need_both(w, "input_hint_block", AT("%d", 2 * l->hints));   /* it ends at the encoder's width */
    for (int i = 0; i < ladder_inputs(l); i++) need_both(w, "zero_convs", AT("%d.0", i));
    need_both(w, "middle_block_out", "0");
}

/* ---- VAE --------------------------------------------------------------------------------------------------------------- */

static void vae_residual(walk *w, const char *place) {
    static const char *const names[] = { "norm1", "conv1", "norm2", "conv2", NULL };
    need_all(w, place, names);
    need_shortcut(w, place, "norm1", "conv1", "nin_shortcut");
}

static void vae_middle(walk *w, const char *side) {
    static const char *const names[] = { "norm", "q", "k", "v", "proj_out", NULL };
    char at[NAME_MOST];
    vae_residual(w, AT("%s.mid.block_1", side));
    need_all(w, AT("%s.mid.attn_1", side), names);
    vae_residual(w, AT("%s.mid.block_2", side));
}

static void vae_side(walk *w, const char *side, const char *way, int levels) {
    static const char *const outer[] = { "conv_in", "norm_out", "conv_out", NULL }, *const block[] = { "norm1", "conv1", "norm2", "conv2", NULL };
    char at[NAME_MOST];
    bool up = way[0] == 'u';
    need_all(w, side, outer);
    vae_middle(w, side);
    for (int level = 0; level < levels; level++) {
        for (int i = 0; i < 64 && (i == 0 || any(w, AT("%s.%s.%d.block.%d", side, way, level, i), block)); i++)
            vae_residual(w, AT("%s.%s.%d.block.%d", side, way, level, i));
        if (up ? level > 0 : level + 1 < levels) need_both(w, AT("%s.%s.%d.%ssample", side, way, level, way), "conv");
    }
}

/* One half alone can be used, so the encoder is looked at only if there is anything of it. */
static void vae(walk *w, const name_ladder *l) {
    static const char *const parts[] = { "conv_in", "norm_out", "conv_out", NULL };
    vae_side(w, "decoder", "up", l->levels);
    need(w, "post_quant_conv.weight");
    need(w, "post_quant_conv.bias");
    if (!any(w, "encoder", parts)) return;
    vae_side(w, "encoder", "down", l->levels);
    need(w, "quant_conv.weight");
    need(w, "quant_conv.bias");
}

/* ---- text encoder ------------------------------------------------------------------------------------------------------ */

static void text(walk *w) {
    static const char *const layer[] = {
        "layer_norm1", "layer_norm2", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2", NULL };
    char at[NAME_MOST];
    need(w, "embeddings.token_embedding.weight");
    need(w, "embeddings.position_embedding.weight");
    for (int i = 0; i < CHECKPOINT_MAX_LAYERS && (i == 0 || any(w, AT("encoder.layers.%d", i), layer)); i++) need_all(w, AT("encoder.layers.%d", i), layer);
    need(w, "final_layer_norm.weight");
    need(w, "final_layer_norm.bias");
}

/* ---- all --------------------------------------------------------------------------------------------------------------- */

int checkpoint_complete(const checkpoint *c, network net) {
    walk w = { c, net, 0 };
    const name_ladder *l = checkpoint_ladder(c, net);
    if (net == NETWORK_UNET || net == NETWORK_CONTROL) encoder(&w, l);
    if (net == NETWORK_UNET) decoder(&w, l);
    if (net == NETWORK_CONTROL) control(&w, l);
    if (net == NETWORK_VAE) vae(&w, l);
    if (net == NETWORK_TEXT) text(&w);
    return w.rc;
}

size_t checkpoint_width(const checkpoint *c, network net) {
    const parameter *p = net == NETWORK_TEXT ? checkpoint_part(c, net, "embeddings.token_embedding.weight")
                                             : checkpoint_part(c, net, "middle_block.1.transformer_blocks.0.attn2.to_k.weight");
    return p && p->shape.rank == 2 ? p->shape.dim[1] : 0;
}

static const char *family_of_width(size_t width) { return width == 768 ? "Stable Diffusion 1.x" : width == 1024 ? "Stable Diffusion 2.x" : "another model"; }

static const char *path_of(const checkpoint *c, network net) { return weights_path(c->file[c->from[net]].w); }

static int misfit(const checkpoint *c, const parameter *control, const parameter *base) {
    char a[96], b[96];
    return error_set(ERR_USAGE, "%s: does not fit the base %s: \"%s\" is %s here and %s there", path_of(c, NETWORK_CONTROL), path_of(c, NETWORK_UNET),
                     control->stored_name, shape_text(control->shape, a, sizeof a), shape_text(base->shape, b, sizeof b));
}

static int control_fits(const checkpoint *c) {
    size_t own = checkpoint_width(c, NETWORK_CONTROL), base = checkpoint_width(c, NETWORK_UNET);
    if (own && base && own != base)
        return error_set(ERR_USAGE, "%s: this ControlNet is for %s (context width %zu), but the base %s is %s (context width %zu)", path_of(c, NETWORK_CONTROL),
                         family_of_width(own), own, path_of(c, NETWORK_UNET), family_of_width(base), base);
    int n = ladder_inputs(checkpoint_ladder(c, NETWORK_CONTROL)), m = ladder_inputs(checkpoint_ladder(c, NETWORK_UNET));
    if (n != m)
        return error_set(ERR_USAGE, "%s: does not fit the base %s: its encoder has %d blocks, the base's %d", path_of(c, NETWORK_CONTROL), path_of(c, NETWORK_UNET), n, m);
    for (size_t i = 0; i < c->count; i++) {
        const parameter *p = &c->list[i];
        if (strncmp(p->name, "control.", 8) != 0) continue;
        const parameter *q = checkpoint_part(c, NETWORK_UNET, "%s", p->name + 8);
        if (q && !shape_equal(p->shape, q->shape)) return misfit(c, p, q);
    }
    return 0;
}

int checkpoint_fits(const checkpoint *c, unsigned needs) {
    unsigned there = needs & checkpoint_has(c);
    if (!(there & CHECKPOINT_UNET)) return 0;
    int rc = there & CHECKPOINT_CONTROL ? control_fits(c) : 0;
    if (rc < 0 || !(there & CHECKPOINT_TEXT)) return rc;
    size_t text_width = checkpoint_width(c, NETWORK_TEXT), context = checkpoint_width(c, NETWORK_UNET);
    if (!text_width || !context || text_width == context) return 0;
    return error_set(ERR_USAGE, "%s: the text encoder is %zu wide, but the UNet takes a context %zu wide: they are not of one model", path_of(c, NETWORK_UNET), text_width, context);
}
