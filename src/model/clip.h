/* SPDX-License-Identifier: Apache-2.0
 *
 * The text encoders: CLIP ViT-L/14 (Radford et al. 2021; SD 1.x) and OpenCLIP ViT-H/14 (SD 2.x, whose last layer is left out),
 * both as transformers' CLIPTextModel computes them. Any width, depth and number of heads. */
#ifndef MODEL_CLIP_H
#define MODEL_CLIP_H

#include "model/param.h"
#include "model/tokenizer.h"

typedef struct {
    size_t vocabulary, positions, width;
    int layers, heads;                    /* layers that are computed */
    bool quick_gelu;
} clip_config;

int clip_configure(const checkpoint *c, clip_config *out);
/* Its tokenizer: the one that its file carries, the one beside it, or CLIP's. */
int clip_tokenizer(const checkpoint *c, tokenizer **out);
/* Whether it has a vector for whatever the tokenizer gives, and for the padding, of prompts of TOKENS: an id beyond its table would be another's. */
int clip_takes(const checkpoint *c, const clip_config *f, const tokenizer *t);
/* ids [N,T] i32, T at most f->positions (77) -> [N,T,width] in `type`, after the final layer norm. A token sees those before it. */
tensor *clip_build(graph *g, const checkpoint *c, const clip_config *f, tensor *ids, nn_type type);

#endif
