/* SPDX-License-Identifier: Apache-2.0
 *
 * What UNet and ControlNet are made of, inside the room. */
#ifndef MODEL_UNET_BLOCKS_H
#define MODEL_UNET_BLOCKS_H

#include "model/layer.h"
#include "model/unet.h"

/* One network being added to a graph. */
typedef struct {
    graph *g;
    const checkpoint *c;
    const unet_config *f;
    tensor *emb;                     /* silu of the timestep's embedding, [1 or N, embedding_width] */
    const cross_context *context;
    int cross;                       /* the next of context's keys and values */
} unet_pass;

/* time [1 or N] f32; activations are of `type`. */
unet_pass unet_begin(graph *g, const checkpoint *c, const unet_config *f, tensor *time, const cross_context *context, nn_type type);

/* What layer i of a block ("unet.input_blocks.1") is, told by the parameters it has; nothing behind the last is looked at. Whoever reads a
 * network's structure asks here. */
typedef enum { UNET_NOTHING, UNET_RESIDUAL, UNET_TRANSFORMER, UNET_HALVE, UNET_DOUBLE, UNET_CONV } unet_layer;
unet_layer unet_layer_of(const checkpoint *c, const char *block, int i);
/* Whether layer i, a transformer, has a block `depth`, counted from 0. */
bool unet_has_depth(const checkpoint *c, const char *block, int i, int depth);

/* One entry of input_blocks, middle_block or output_blocks: its layers 0, 1, ... in turn. An upsampling
 * layer, which only output_blocks have, makes height x width. */
tensor *unet_block(unet_pass *p, tensor *x, size_t height, size_t width, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* x of one picture as n of them; x if it is n already. */
tensor *unet_as_many(graph *g, tensor *x, size_t n);

/* The encoder's outputs, and the middle block's behind the last. hint, if not NULL, is added to the first convolution's output. */
tensor *unet_encoder(unet_pass *p, tensor *x, tensor *hint, tensor *outputs[UNET_MAX_SKIPS]);

/* "unet.input_blocks.1.1.transformer_blocks.0.attn2" of every cross-attention, in the order they are computed. Returns how many there are,
 * or ERR_LIMIT. */
int unet_cross_scopes(const checkpoint *c, const unet_config *f, char scopes[UNET_MAX_CROSS][SCOPE_NAME]);

#endif
