/* SPDX-License-Identifier: Apache-2.0 */
#include "model/unet.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/unet_blocks.h"

/* ---- what the checkpoint says -------------------------------------------------------------------------------------------------- */

static unet_layer first_layer(const checkpoint *c, const char *root, const char *list, int i) {
    char block[SCOPE_NAME];
    snprintf(block, sizeof block, "%s.%s.%d", root, list, i);
    return unet_layer_of(c, block, 0);
}

static int count_blocks(const checkpoint *c, const char *root, const char *list) {
    int n = 0;
    while (n <= UNET_MAX_SKIPS && first_layer(c, root, list, n)) n++;
    return n;
}

/* A dimension of a weight of that rank; 0: it is not there, or is none. */
static size_t dimension(const checkpoint *c, const char *root, const char *name, int rank, int i) {
    const parameter *p = param_look(c, "%s.%s.weight", root, name);
    return p && p->shape.rank == rank ? p->shape.dim[i] : 0;
}

/* Appends the cross-attentions of one entry. */
static int cross_of_block(const checkpoint *c, const char *block, char scopes[][SCOPE_NAME], int n) {
    unet_layer kind;
    for (int i = 0; (kind = unet_layer_of(c, block, i)); i++)
        for (int depth = 0; kind == UNET_TRANSFORMER && unet_has_depth(c, block, i, depth); depth++, n++) {
            if (n == UNET_MAX_CROSS) return error_set(ERR_LIMIT, "%s: more than %d cross-attentions", block, UNET_MAX_CROSS);
            snprintf(scopes[n], SCOPE_NAME, "%.80s.%d.transformer_blocks.%d.attn2", block, i, depth);
        }
    return n;
}

int unet_cross_scopes(const checkpoint *c, const unet_config *f, char scopes[UNET_MAX_CROSS][SCOPE_NAME]) {
    char block[64];
    int n = 0;
    for (int i = 0; i < f->input_blocks && n >= 0; i++) {
        snprintf(block, sizeof block, "%s.input_blocks.%d", f->root, i);
        n = cross_of_block(c, block, scopes, n);
    }
    snprintf(block, sizeof block, "%s.middle_block", f->root);
    if (n >= 0) n = cross_of_block(c, block, scopes, n);
    for (int i = 0; i < f->output_blocks && n >= 0; i++) {
        snprintf(block, sizeof block, "%s.output_blocks.%d", f->root, i);
        n = cross_of_block(c, block, scopes, n);
    }
    return n;
}

static int read_shapes(const checkpoint *c, unet_config *f) {
    char scopes[UNET_MAX_CROSS][SCOPE_NAME];
    f->input_blocks = count_blocks(c, f->root, "input_blocks");
    f->output_blocks = count_blocks(c, f->root, "output_blocks");
    if (f->input_blocks > UNET_MAX_SKIPS || f->output_blocks > UNET_MAX_SKIPS)
        return error_set(ERR_LIMIT, "%s: more than %d blocks", f->root, UNET_MAX_SKIPS);
    f->levels = 1;
    for (int i = 0; i < f->input_blocks; i++) f->levels += first_layer(c, f->root, "input_blocks", i) == UNET_HALVE;
    f->in_channels = dimension(c, f->root, "input_blocks.0.0", 4, 1);
    f->out_channels = dimension(c, f->root, "out.2", 4, 0);
    f->embedding_width = dimension(c, f->root, "time_embed.0", 2, 0);
    f->model_channels = dimension(c, f->root, "time_embed.0", 2, 1);
    f->cross_layers = unet_cross_scopes(c, f, scopes);
    if (f->cross_layers < 0) return f->cross_layers;
    const parameter *k = f->cross_layers ? param_look(c, "%s.to_k.weight", scopes[0]) : NULL;
    f->context_width = k && k->shape.rank == 2 ? k->shape.dim[1] : 0;
    return 0;
}

/* Heads of head_width must fill every attention: a rest would make it another model without a word. */
static int check_heads(const checkpoint *c, const unet_config *f) {
    size_t root = strlen(f->root), most = checkpoint_count(c);
    for (size_t i = 0; i < most && !f->heads; i++) {
        const parameter *p = checkpoint_parameter(c, i);
        const char *end = strstr(p->name, ".to_q.weight");
        if (strncmp(p->name, f->root, root) != 0 || p->name[root] != '.' || !end) continue;
        if (p->shape.dim[0] % (size_t)f->head_width)
            return error_set(ERR_FORMAT, "%s is %zu wide, which can't be split into heads of %d", p->name, p->shape.dim[0], f->head_width);
    }
    return 0;
}

int unet_configure(const checkpoint *c, const char *root, unet_config *out) {
    const checkpoint_settings *s = checkpoint_settings_of(c);
    bool control = !strcmp(root, "control");
    unet_config f = { .root = control ? "control" : "unet", .groups = s->groups, .heads = s->heads, .head_width = s->head_width };
    int rc = read_shapes(c, &f);
    if (rc < 0) return rc;
    if (!f.input_blocks || !f.in_channels || !f.model_channels || !f.context_width || (!control && (!f.output_blocks || !f.out_channels)))
        return error_set(ERR_FORMAT, "the model has no %s", control ? "ControlNet" : "UNet");
    if (!control && f.output_blocks != f.input_blocks)
        return error_set(ERR_FORMAT, "the UNet has %d blocks in its encoder and %d in its decoder", f.input_blocks, f.output_blocks);
    if (param_look(c, "%s.label_emb.0.0.weight", root)) return error_set(ERR_UNSUPPORTED, "a UNet with class embeddings (SDXL's) is no Stable Diffusion 1 or 2");
    if (f.heads < 1 && f.head_width < 1) return error_set(ERR_FORMAT, "%s: neither heads nor their width are known", root);
    if ((rc = check_heads(c, &f)) < 0) return rc;
    *out = f;
    return 0;
}

/* ---- the prompt's part --------------------------------------------------------------------------------------------------------- */

void unet_context_build(graph *g, const checkpoint *c, const unet_config *f, tensor *context, cross_context *out) {
    char scopes[UNET_MAX_CROSS][SCOPE_NAME];
    *out = (cross_context){ .n = unet_cross_scopes(c, f, scopes) };
    if (out->n < 0) graph_fail(g, out->n), out->n = 0;
    for (int i = 0; i < out->n; i++) {
        scope p = scope_at(g, c, f->groups, "%s", scopes[i]);
        out->k[i] = layer_linear(&p, context, "to_k");
        out->v[i] = layer_linear(&p, context, "to_v");
    }
}

/* How wide a linear layer's results are: as unet_context_build has them. */
static size_t outputs_of(graph *g, const checkpoint *c, const char *at, const char *layer) {
    const parameter *w = param_look(c, "%s.%s.weight", at, layer);
    if (w && w->shape.rank == 2) return w->shape.dim[0];
    if (!graph_failed(g)) graph_fail(g, error_set(ERR_FORMAT, w ? "%s.%s.weight is no matrix" : "the model has no %s.%s.weight", at, layer));
    return 1;
}

void unet_context_inputs(graph *g, const checkpoint *c, const unet_config *f, size_t n, size_t s, nn_type type, cross_context *out) {
    char scopes[UNET_MAX_CROSS][SCOPE_NAME], name[SCOPE_NAME];
    *out = (cross_context){ .n = unet_cross_scopes(c, f, scopes) };
    if (out->n < 0) graph_fail(g, out->n), out->n = 0;
    for (int i = 0; i < out->n; i++) {
        snprintf(name, sizeof name, "%s.k.%d", f->root, i);
        out->k[i] = graph_input(g, name, type, shape3(n, s, outputs_of(g, c, scopes[i], "to_k")));
        snprintf(name, sizeof name, "%s.v.%d", f->root, i);
        out->v[i] = graph_input(g, name, type, shape3(n, s, outputs_of(g, c, scopes[i], "to_v")));
    }
}

/* ---- the network --------------------------------------------------------------------------------------------------------------- */

/* h + scale * control. A control of one picture serves all; h of one picture is for all of the control's, or the scale's. */
static tensor *steer(graph *g, tensor *h, tensor *control, tensor *scale) {
    if (!control) return NULL;
    h = unet_as_many(g, h, control->shape.dim[0]);
    return scale ? add_scaled(g, unet_as_many(g, h, scale->shape.dim[0]), control, scale) : add(g, h, control);
}

tensor *unet_build(graph *g, const checkpoint *c, const unet_config *f, tensor *x, tensor *time, const cross_context *context,
                   const control_outputs *control, tensor *const scales[], bool only_mid) {
    tensor *skips[UNET_MAX_SKIPS];
    int n = f->input_blocks;
    if (!x) return NULL;
    if (control && control->n != n + 1) {
        graph_fail(g, error_set(ERR_FORMAT, "the ControlNet has %d outputs, the UNet takes %d", control->n, n + 1));
        return NULL;
    }
    unet_pass u = unet_begin(g, c, f, time, context, x->type);
    size_t pictures = context->n && context->k[0] ? context->k[0]->shape.dim[0] : x->shape.dim[0];
    tensor *h = unet_encoder(&u, x, NULL, skips);
    if (control) h = steer(g, h, control->out[n], scales ? scales[n] : NULL);
    for (int i = 0; h && i < f->output_blocks; i++) {
        tensor *skip = skips[--n];
        if (control && !only_mid) skip = steer(g, skip, control->out[n], scales ? scales[n] : NULL);
        /* Upsampling is to the next skip's size: twice its own but where that was odd. */
        const size_t *next = n > 0 ? skips[n - 1]->shape.dim : h->shape.dim;
        h = unet_block(&u, concat(g, (tensor *[]){ h, unet_as_many(g, skip, h->shape.dim[0]) }, 2, -1), next[1], next[2], "%s.output_blocks.%d", f->root, i);
    }
    scope out = scope_at(g, c, f->groups, "%s.out", f->root);
    h = layer_conv(&out, silu(g, layer_group_norm(&out, h, "0", 1e-5f)), "2", 1);
    return layer_promised(&out, h, shape4(pictures, x->shape.dim[1], x->shape.dim[2], f->out_channels));
}
