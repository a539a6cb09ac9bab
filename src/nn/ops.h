/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations every model is made of. Each function adds one node and returns its output; see nn/graph.h for how
 * failure travels. Shapes are written [N,H,W,C]; kernels are given as stored in checkpoints. */
#ifndef NN_OPS_H
#define NN_OPS_H

#include "nn/graph.h"

extern const op op_conv2d, op_depthwise_conv2d, op_linear, op_add, op_mul, op_relu, op_prelu, op_max_pool2d,
    op_pad_channels, op_concat, op_reshape, op_slice, op_silu, op_gelu, op_quick_gelu, op_geglu, op_add_scaled, op_group_norm,
    op_layer_norm, op_attention, op_upsample_nearest, op_timestep_embedding, op_embedding, op_cast;

typedef enum {
    WEIGHTS_OHWI,   /* [out, kh, kw, in]: TensorFlow Lite */
    WEIGHTS_OIHW,   /* [out, in, kh, kw]: PyTorch */
} weight_layout;

typedef struct {
    int stride;                             /* the same in y and x */
    int pad_top, pad_left, pad_bottom, pad_right;
    weight_layout weights;
} conv2d_attr;

/* TensorFlow's SAME padding of one dimension: floor(total/2) before, the rest after. */
void conv2d_same_padding(size_t in, int kernel, int stride, int *before, int *after);

/* x [N,H,W,Ci], w [Co,kh,kw,Ci] or [Co,Ci,kh,kw], bias [Co] or NULL -> [N,Ho,Wo,Co]. The reference's order is bias, then
 * one fmaf a term over ky, kx, ci ascending; padded taps take part with x = 0. */
tensor *conv2d(graph *g, tensor *x, tensor *w, tensor *bias, conv2d_attr attr);
/* x [N,H,W,C], w [1,kh,kw,C] (OHWI only), bias [C] or NULL. Order: bias, then kx outer, ky inner. */
tensor *depthwise_conv2d(graph *g, tensor *x, tensor *w, tensor *bias, conv2d_attr attr);
/* x [..., K] times w [N,K] transposed (as PyTorch's Linear stores it), bias [N] or NULL -> [..., N]. Order: bias, then
 * fmaf over k ascending. */
tensor *linear(graph *g, tensor *x, tensor *w, tensor *bias);
/* Equal shapes; or b's dimensions broadcast as in numpy (1, or missing in front). */
tensor *add(graph *g, tensor *a, tensor *b);
tensor *mul(graph *g, tensor *a, tensor *b);
tensor *relu(graph *g, tensor *x);
/* alpha [1,1,C] or [C]: x < 0 ? x*alpha : x. */
tensor *prelu(graph *g, tensor *x, tensor *alpha);
typedef struct { int window, stride; } max_pool2d_attr;
/* Square window and stride, no padding; H and W are cut down to whole windows. */
tensor *max_pool2d(graph *g, tensor *x, int window, int stride);
/* Zeros after the existing channels. */
tensor *pad_channels(graph *g, tensor *x, size_t extra);
/* Along `axis` (negative counts from the end); other dimensions equal; 2..NN_MAX_IN parts. */
tensor *concat(graph *g, tensor *const parts[], int n, int axis);
tensor *reshape(graph *g, tensor *x, nn_shape shape);
/* out[i...] = x[begin + i...], stride 1. */
typedef struct { size_t begin[NN_MAX_RANK]; nn_shape shape; } slice_attr;
tensor *slice(graph *g, tensor *x, const size_t begin[NN_MAX_RANK], nn_shape shape);

/* ---- of diffusion models ------------------------------------------------------------------------------------------- */

tensor *silu(graph *g, tensor *x);         /* x / (1 + exp(-x)) */
tensor *gelu(graph *g, tensor *x);         /* the exact one, by erf */
tensor *quick_gelu(graph *g, tensor *x);   /* x / (1 + exp(-1.702 x)): OpenAI's CLIP */
/* x [..., 2C] -> [..., C]: the first half times gelu of the second (Shazeer 2020, GEGLU, in PyTorch's order of halves). */
tensor *geglu(graph *g, tensor *x);
/* a + s b, of equal shapes or with a b of one picture, which serves all; s [N] f32 with one factor a picture (dim 0), or [1]. */
tensor *add_scaled(graph *g, tensor *a, tensor *b, tensor *s);

typedef struct { int groups; float epsilon; } group_norm_attr;
/* x [N,...,C], gamma and beta [C]: mean and variance of each picture's groups of C / groups neighbouring channels (Wu and He 2018). */
tensor *group_norm(graph *g, tensor *x, tensor *gamma, tensor *beta, int groups, float epsilon);
/* x [...,C], gamma and beta [C]: over the last dimension (Ba et al. 2016). */
tensor *layer_norm(graph *g, tensor *x, tensor *gamma, tensor *beta, float epsilon);

typedef struct { int heads; bool causal; } attention_attr;
/* softmax(q k^T / sqrt(d)) v, for each head by itself: q [N,T,heads*d], k and v [N,S,heads*d] -> [N,T,heads*d]. Causal: token t
 * sees the keys 0..t. *log_sum [N,heads,T] f32, where the pointer is not NULL: of each row of scores, for a gradient. */
tensor *attention(graph *g, tensor *q, tensor *k, tensor *v, attention_attr attr, tensor **log_sum);

typedef struct { size_t height, width; } upsample_attr;
/* [N,H,W,C] -> [N,height,width,C]; row y is row floor(y H / height) of x, in f32 as PyTorch's nearest. */
tensor *upsample_nearest(graph *g, tensor *x, size_t height, size_t width);
size_t  upsample_source(size_t at, size_t from, size_t to);   /* that row (or column), of `from`, for row `at` of `to` */
/* t [N] f32 -> [N,width] f32, width even: cos(t f) for f = 10000^(-i / (width / 2)), then sin(t f). */
tensor *timestep_embedding(graph *g, tensor *t, size_t width);
/* ids [...] i32, table [V,C] -> [...,C] in type (F32 or BF16). An id outside the table is taken for the nearest inside. */
typedef struct { nn_type type; } embedding_attr;
tensor *embedding(graph *g, tensor *ids, tensor *table, nn_type type);
tensor *cast(graph *g, tensor *x, nn_type type);   /* F32 or BF16; itself if it is of that type */

#endif
