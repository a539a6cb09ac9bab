/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations every model is made of. Each function adds one node and returns its output; see nn/graph.h for how
 * failure travels. Shapes are written [N,H,W,C]; kernels are given as stored in checkpoints. */
#ifndef NN_OPS_H
#define NN_OPS_H

#include "nn/graph.h"

extern const op op_conv2d, op_depthwise_conv2d, op_linear, op_add, op_mul, op_relu, op_prelu, op_max_pool2d,
    op_pad_channels, op_concat, op_reshape, op_slice;

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
tensor *slice(graph *g, tensor *x, const size_t begin[NN_MAX_RANK], nn_shape shape);

#endif
