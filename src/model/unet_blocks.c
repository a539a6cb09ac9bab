/* SPDX-License-Identifier: Apache-2.0
 *
 * After ldm/modules/diffusionmodules/openaimodel.py and ldm/modules/attention.py of the original, whose names the parameters have. */
#include "model/unet_blocks.h"

#include <stdio.h>

#include "base/error.h"

/* ---- structure ----------------------------------------------------------------------------------------------------------------- */

unet_layer unet_layer_of(const checkpoint *c, const char *block, int i) {
    if (param_look(c, "%s.%d.in_layers.0.weight", block, i)) return UNET_RESIDUAL;
    if (param_look(c, "%s.%d.proj_in.weight", block, i)) return UNET_TRANSFORMER;
    if (param_look(c, "%s.%d.op.weight", block, i)) return UNET_HALVE;
    if (param_look(c, "%s.%d.conv.weight", block, i)) return UNET_DOUBLE;
    return i == 0 && param_look(c, "%s.0.weight", block) ? UNET_CONV : UNET_NOTHING;
}

bool unet_has_depth(const checkpoint *c, const char *block, int i, int depth) {
    return param_look(c, "%s.%d.transformer_blocks.%d.norm1.weight", block, i, depth) != NULL;
}

/* ---- layers -------------------------------------------------------------------------------------------------------------------- */

unet_pass unet_begin(graph *g, const checkpoint *c, const unet_config *f, tensor *time, const cross_context *context, nn_type type) {
    scope p = scope_at(g, c, f->groups, "%s.time_embed", f->root);
    tensor *t = cast(g, timestep_embedding(g, time, f->model_channels), type);
    tensor *emb = layer_linear(&p, silu(g, layer_linear(&p, t, "0")), "2");
    return (unet_pass){ .g = g, .c = c, .f = f, .emb = silu(g, emb), .context = context };
}

/* [M,C] as an addend of pictures: [M,1,1,C]. */
static tensor *of_pictures(graph *g, tensor *x) { return x ? reshape(g, x, shape4(x->shape.dim[0], 1, 1, x->shape.dim[1])) : NULL; }

static tensor *res_block(const unet_pass *u, const scope *p, tensor *x) {
    graph *g = u->g;
    tensor *h = layer_conv(p, silu(g, layer_group_norm(p, x, "in_layers.0", 1e-5f)), "in_layers.2", 1);
    h = add(g, h, of_pictures(g, layer_linear(p, u->emb, "emb_layers.1")));
    h = layer_conv(p, silu(g, layer_group_norm(p, h, "out_layers.0", 1e-5f)), "out_layers.3", 1);
    tensor *skip = scope_has(p, "skip_connection.weight") ? layer_conv(p, x, "skip_connection", 1) : x;
    return add(g, skip, h);
}

static attention_attr heads(const unet_pass *u, const tensor *q) {
    int width = q ? (int)q->shape.dim[2] : 0;
    return (attention_attr){ .heads = u->f->heads ? u->f->heads : width / u->f->head_width };
}

static tensor *self_attention(const unet_pass *u, const scope *p, tensor *x) {
    tensor *q = layer_linear(p, x, "to_q"), *k = layer_linear(p, x, "to_k"), *v = layer_linear(p, x, "to_v");
    return layer_linear(p, attention(u->g, q, k, v, heads(u, q), NULL), "to_out.0");
}

tensor *unet_as_many(graph *g, tensor *x, size_t n) {
    tensor *parts[NN_MAX_IN];
    if (!x || x->shape.dim[0] == n || x->shape.dim[0] != 1) return x;
    if (n > NN_MAX_IN) return concat(g, (tensor *[]){ unet_as_many(g, x, n / 2), unet_as_many(g, x, n - n / 2) }, 2, 0);
    for (size_t i = 0; i < n; i++) parts[i] = x;
    return concat(g, parts, (int)n, 0);
}

/* Here pictures become as many as there are prompts: up to their first cross-attention guidance's halves are one. */
static tensor *cross_attention(unet_pass *u, const scope *p, tensor *x) {
    if (u->cross == u->context->n) {
        if (!graph_failed(u->g)) graph_fail(u->g, error_set(ERR_USAGE, "%s: keys and values for %d layers only", p->name, u->context->n));
        return NULL;
    }
    tensor *k = u->context->k[u->cross], *v = u->context->v[u->cross];
    u->cross++;
    tensor *q = k ? unet_as_many(u->g, layer_linear(p, x, "to_q"), k->shape.dim[0]) : NULL;
    return layer_linear(p, attention(u->g, q, k, v, heads(u, q), NULL), "to_out.0");
}

/* The shortcut of a branch in which pictures may have become more. */
static tensor *shortcut(graph *g, tensor *x, const tensor *branch) { return branch ? unet_as_many(g, x, branch->shape.dim[0]) : NULL; }

static tensor *feed_forward(const scope *p, tensor *x) { return layer_linear(p, geglu(p->g, layer_linear(p, x, "net.0.proj")), "net.2"); }

static tensor *transformer_block(unet_pass *u, const scope *p, tensor *x) {
    scope attn1 = scope_below(p, "attn1"), attn2 = scope_below(p, "attn2"), ff = scope_below(p, "ff");
    x = add(u->g, x, self_attention(u, &attn1, layer_layer_norm(p, x, "norm1")));
    tensor *h = cross_attention(u, &attn2, layer_layer_norm(p, x, "norm2"));
    x = add(u->g, shortcut(u->g, x, h), h);
    return add(u->g, x, feed_forward(&ff, layer_layer_norm(p, x, "norm3")));
}

/* The residual is added as tokens, where it meets proj_out's product without a view between them. */
static tensor *spatial_transformer(unet_pass *u, const char *block, int i, tensor *x) {
    scope at = scope_at(u->g, u->c, u->f->groups, "%s.%d", block, i), *p = &at;
    tensor *norm = layer_group_norm(p, x, "norm", 1e-6f);
    if (!norm) return NULL;
    nn_shape picture = norm->shape, tokens = shape3(picture.dim[0], picture.dim[1] * picture.dim[2], picture.dim[3]);
    tensor *h = layer_linear(p, reshape(u->g, norm, tokens), "proj_in");
    for (int depth = 0; h && unet_has_depth(u->c, block, i, depth); depth++) {
        scope inner = scope_below(p, "transformer_blocks.%d", depth);
        h = transformer_block(u, &inner, h);
    }
    h = layer_linear(p, h, "proj_out");
    h = add(u->g, shortcut(u->g, reshape(u->g, x, tokens), h), h);
    if (h) picture.dim[0] = h->shape.dim[0];
    return h ? reshape(u->g, h, picture) : NULL;
}

tensor *unet_block(unet_pass *u, tensor *x, size_t height, size_t width, const char *format, ...) {
    char name[SCOPE_NAME];
    va_list a;
    va_start(a, format);
    name_text(name, sizeof name, format, a);
    va_end(a);
    scope whole = scope_at(u->g, u->c, u->f->groups, "%s", name);
    for (int i = 0; x; i++) {
        scope p = scope_below(&whole, "%d", i);
        switch (unet_layer_of(u->c, name, i)) {
        case UNET_RESIDUAL: x = res_block(u, &p, x); break;
        case UNET_TRANSFORMER: x = spatial_transformer(u, name, i, x); break;
        case UNET_HALVE: x = layer_conv(&p, x, "op", 2); break;
        case UNET_DOUBLE: x = layer_conv(&p, upsample_nearest(u->g, x, height, width), "conv", 1); break;
        case UNET_CONV: x = layer_conv(&whole, x, "0", 1); break;
        case UNET_NOTHING:
            if (i > 0) return x;
            graph_fail(u->g, error_set(ERR_FORMAT, "the model has no layer in %s", name));
            return NULL;
        }
    }
    return NULL;
}

tensor *unet_encoder(unet_pass *u, tensor *x, tensor *hint, tensor *outputs[UNET_MAX_SKIPS]) {
    for (int i = 0; i < u->f->input_blocks; i++) {
        x = unet_block(u, x, 0, 0, "%s.input_blocks.%d", u->f->root, i);
        outputs[i] = x = i == 0 && hint ? add(u->g, x, hint) : x;
    }
    return unet_block(u, x, 0, 0, "%s.middle_block", u->f->root);
}
