/* SPDX-License-Identifier: Apache-2.0
 *
 * After CLIPTextModel of transformers, whose names the parameters have. */
#include "model/clip.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "model/layer.h"

int clip_configure(const checkpoint *c, clip_config *out) {
    const checkpoint_settings *s = checkpoint_settings_of(c);
    clip_config f = { .quick_gelu = s->text_quick_gelu };
    const parameter *tokens = param_look(c, "text.embeddings.token_embedding.weight");
    const parameter *positions = param_look(c, "text.embeddings.position_embedding.weight");
    int layers = checkpoint_text_layers(c);
    if (!tokens || !positions || tokens->shape.rank != 2 || positions->shape.rank != 2 || !layers)
        return error_set(ERR_FORMAT, "the model has no text encoder");
    if (layers == CHECKPOINT_MAX_LAYERS) return error_set(ERR_LIMIT, "the text encoder has %d layers or more", CHECKPOINT_MAX_LAYERS);
    f.layers = layers - s->text_skip;
    f.vocabulary = tokens->shape.dim[0];
    f.positions = positions->shape.dim[0];
    f.width = tokens->shape.dim[1];
    f.heads = s->text_heads ? s->text_heads : (int)(f.width / 64);
    if (f.layers < 1) return error_set(ERR_FORMAT, "the text encoder has %d layers, of which the last %d are not computed", layers, s->text_skip);
    if (!f.heads || f.width % (size_t)f.heads)
        return error_set(ERR_FORMAT, "the text encoder is %zu wide, which are no %d heads", f.width, f.heads ? f.heads : 1);
    *out = f;
    return 0;
}

int clip_tokenizer(const checkpoint *c, tokenizer **out) {
    char own[PATH_MAX];
    const char *merges = checkpoint_merges(c), *folder = checkpoint_tokenizer(c);
    if (merges) return tokenizer_read_merges(merges, strlen(merges), out) < 0 ? error_prefix("the model's tokenizer") : 0;
    int rc = folder ? 0 : tokenizer_locate(own, sizeof own);
    return rc < 0 ? rc : tokenizer_open(folder ? folder : own, out);
}

int clip_takes(const checkpoint *c, const clip_config *f, const tokenizer *t) {
    int32_t most = tokenizer_most(t), pad = checkpoint_settings_of(c)->pad_token;
    if (f->positions < TOKENS) return error_set(ERR_UNSUPPORTED, "the text encoder takes %zu tokens, %d were expected", f->positions, TOKENS);
    if ((size_t)most >= f->vocabulary)
        return error_set(ERR_UNSUPPORTED, "the text encoder knows %zu tokens, but %s gives ids up to %d%s", f->vocabulary,
                         checkpoint_merges(c) ? "its tokenizer" : checkpoint_tokenizer(c) ? "the tokenizer beside it" : "CLIP's vocabulary", (int)most,
                         checkpoint_merges(c) || checkpoint_tokenizer(c) ? "" : "; a base whose own tokenizer fits is made by mien init --scratch --captions");
    if (pad < 0 || (size_t)pad >= f->vocabulary) return error_set(ERR_UNSUPPORTED, "the text encoder knows %zu tokens, but prompts are filled up with token %d", f->vocabulary, (int)pad);
    return 0;
}

static tensor *self_attention(const scope *layer, const clip_config *f, tensor *x) {
    scope p = scope_below(layer, "self_attn");
    tensor *q = layer_linear(&p, x, "q_proj"), *k = layer_linear(&p, x, "k_proj"), *v = layer_linear(&p, x, "v_proj");
    return layer_linear(&p, attention(p.g, q, k, v, (attention_attr){ f->heads, .causal = true }, NULL), "out_proj");
}

static tensor *mlp(const scope *layer, const clip_config *f, tensor *x) {
    scope p = scope_below(layer, "mlp");
    tensor *h = layer_linear(&p, x, "fc1");
    return layer_linear(&p, f->quick_gelu ? quick_gelu(p.g, h) : gelu(p.g, h), "fc2");
}

/* The positions' vectors [T,width]. */
static tensor *positions(const scope *p, const clip_config *f, size_t count) {
    tensor *all = param(p->g, p->c, "%s.embeddings.position_embedding.weight", p->name);
    if (!all || count == f->positions) return all;
    if (count > f->positions) {
        graph_fail(p->g, error_set(ERR_USAGE, "a prompt has %zu tokens, the text encoder takes %zu", count, f->positions));
        return NULL;
    }
    return slice(p->g, all, (size_t[NN_MAX_RANK]){ 0 }, shape2(count, f->width));
}

tensor *clip_build(graph *g, const checkpoint *c, const clip_config *f, tensor *ids, nn_type type) {
    scope p = scope_at(g, c, 0, "text");
    if (!ids) return NULL;
    tensor *h = embedding(g, ids, param(g, c, "text.embeddings.token_embedding.weight"), type);
    h = add(g, h, positions(&p, f, ids->shape.dim[ids->shape.rank - 1]));
    for (int i = 0; i < f->layers; i++) {
        scope layer = scope_below(&p, "encoder.layers.%d", i);
        h = add(g, h, self_attention(&layer, f, layer_layer_norm(&layer, h, "layer_norm1")));
        h = add(g, h, mlp(&layer, f, layer_layer_norm(&layer, h, "layer_norm2")));
    }
    return layer_layer_norm(&p, h, "final_layer_norm");
}
