/* SPDX-License-Identifier: Apache-2.0
 *
 * Stable Diffusion's UNet (Rombach et al. 2022) and the ControlNet beside it (Zhang et al. 2023), as ldm and cldm have them and
 * diffusers computes them. Any width, depth and number of heads: all but heads and groups is read from names and shapes. Pictures are
 * [N,h,w,C]. Under guidance x and time are of 1, the context is of 2 (first the unconditional half, then the conditional one, as diffusers
 * orders them) and so is what comes out: the halves differ by their prompts only, so what lies before the first cross-attention is computed
 * once (at 64x64 42 GFLOP, 4% of what a step of SD 2.1 takes a half). */
#ifndef MODEL_UNET_H
#define MODEL_UNET_H

#include "model/param.h"

enum { UNET_MAX_LEVELS = 8, UNET_MAX_SKIPS = 32, UNET_MAX_CROSS = 64 };

typedef struct {
    const char *root;                       /* "unet" or "control" */
    size_t in_channels, out_channels, model_channels, embedding_width, context_width;
    int input_blocks;                       /* outputs of the encoder: 12 */
    int output_blocks;                      /* 12; 0 in a ControlNet */
    int levels;
    int groups, heads, head_width;          /* heads 0: width / head_width */
    int cross_layers;                       /* transformer blocks in the order they are computed, encoder to decoder */
} unet_config;

/* root "unet" or "control". */
int unet_configure(const checkpoint *c, const char *root, unet_config *out);

/* Keys and values of every cross-attention, which depend on the prompt only: k, v [N,S,C of the layer]. */
typedef struct { tensor *k[UNET_MAX_CROSS], *v[UNET_MAX_CROSS]; int n; } cross_context;
/* Computes them from context [N,S,context_width]. */
void unet_context_build(graph *g, const checkpoint *c, const unet_config *f, tensor *context, cross_context *out);
/* The same as inputs of another graph, "<root>.k.<i>", to be filled with what unet_context_build's outputs had. */
void unet_context_inputs(graph *g, const checkpoint *c, const unet_config *f, size_t n, size_t s, nn_type type, cross_context *out);

/* What a ControlNet gives the UNet: one addend for each of the encoder's outputs, then the middle's. */
typedef struct { tensor *out[UNET_MAX_SKIPS + 1]; int n; } control_outputs;

/* x [N,h,w,4], or [1,h,w,4] for all N of the context's, and time [N] or [1] f32 (the timestep; [1] if x is one) -> [N,h,w,4]. control NULL: none.
 * scales, with control: [n] tensors f32 [N] or [1], the factor of each addend; NULL: 1. With only_mid, skips get nothing. A ControlNet
 * of one picture serves all N. */
tensor *unet_build(graph *g, const checkpoint *c, const unet_config *f, tensor *x, tensor *time, const cross_context *context,
                   const control_outputs *control, tensor *const scales[], bool only_mid);

/* The hint network: map [N,H,W,3] in 0..1 -> features [N,H/8,W/8,model_channels], once a picture. */
tensor *controlnet_hint_build(graph *g, const checkpoint *c, const unet_config *f, tensor *map);
/* hint: those features, of one picture or N. x, time as unet_build's; outputs before the first cross-attention are of one picture if x is. */
void controlnet_build(graph *g, const checkpoint *c, const unet_config *f, tensor *x, tensor *hint, tensor *time,
                      const cross_context *context, control_outputs *out);

#endif
