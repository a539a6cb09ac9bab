/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients, as nodes (reverse mode; Griewank and Walther 2008). Each operation has a rule beside its reference
 * (op.gradient) that appends the nodes for its inputs' gradients; graph_backward walks the graph from the loss and asks
 * only where a trainable tensor hangs on it, so a locked encoder gets no node.
 *
 *     tensor *w = graph_state(g, "w", NN_BF16, shape, memory);  w->trainable = true;
 *     tensor *loss = mse(g, linear(g, x, w, NULL), target, NULL);
 *     graph_backward(g, loss, update, &trainer);        where update() adds adamw(g, ..., w->grad, ...)
 *
 * A gradient has its tensor's shape. Those of activations have their type, too; those of trainable tensors are f32. A
 * gradient operation is one like any other: with a reference, a shape rule, kernels. What of the forward pass it reads
 * lives until then. */
#ifndef NN_GRADIENT_H
#define NN_GRADIENT_H

#include "nn/ops.h"

/* w, which is trainable, has its whole gradient: what is added now is computed at once, so that an update here lets
 * each gradient die before the next comes. */
typedef void gradient_done(void *context, graph *g, tensor *w);

/* loss: f32 [1]. Sets on_path and grad, and calls done (may be NULL) for each trainable tensor that has a gradient, the
 * last layer's first. 0, or the code with which the graph failed. Once a graph. */
int  graph_backward(graph *g, tensor *loss, gradient_done *done, void *context);

/* ---- for the rules ------------------------------------------------------------------------------------------------------- */

bool gradient_wanted(const tensor *t);                   /* false for NULL */
void gradient_add(graph *g, tensor *t, tensor *d);       /* adds d, of t's shape, to t's gradient; casts it to the type that
                                                          * has */
nn_type gradient_type(const tensor *t);                  /* f32 for what is trainable */

/* ---- gradient operations ------------------------------------------------------------------------------------------------- */

extern const op op_conv2d_dx, op_conv2d_dw, op_linear_dx, op_linear_dw, op_sum_to;
extern const op op_silu_dx, op_gelu_dx, op_quick_gelu_dx, op_geglu_dx;
extern const op op_group_norm_d, op_layer_norm_d, op_attention_d, op_upsample_nearest_dx, op_unslice, op_embedding_d;
extern const op op_mse, op_mse_dx, op_mae, op_mae_dx;
extern const op op_posterior_sample, op_posterior_sample_d, op_posterior_kl, op_posterior_kl_d;

/* Attributes of these two begin with the conv2d_attr.
 * dy [N,Ho,Wo,Co], w as conv2d has it -> [N,height,width,Ci]. */
tensor *conv2d_dx(graph *g, tensor *dy, tensor *w, size_t height, size_t width, conv2d_attr attr);
/* x [N,H,W,Ci], dy [N,Ho,Wo,Co] -> f32, of `shape`, which attr.weights lays out. */
tensor *conv2d_dw(graph *g, tensor *x, tensor *dy, nn_shape shape, conv2d_attr attr);
/* dy [..., N] times w [N,K] -> [..., K]. */
tensor *linear_dx(graph *g, tensor *dy, tensor *w);
/* dy [..., N] transposed times x [..., K] -> [N,K] f32. */
tensor *linear_dw(graph *g, tensor *x, tensor *dy);
/* Sums over the dimensions that broadcasting `shape` to x's would repeat, in f32 -> `shape`, of `type`: a bias'
 * gradient is sum_to(dy, [C]). */
tensor *sum_to(graph *g, tensor *x, nn_shape shape, nn_type type);

/* dy times the derivative at x. */
tensor *silu_dx(graph *g, tensor *x, tensor *dy);
tensor *gelu_dx(graph *g, tensor *x, tensor *dy);
tensor *quick_gelu_dx(graph *g, tensor *x, tensor *dy);
tensor *geglu_dx(graph *g, tensor *x, tensor *dy);       /* x [..., 2C], dy [..., C] -> [..., 2C] */

/* Statistics are computed anew from x: reading it is what they cost. out: dx as x, dgamma and dbeta [C] f32. False: failed. */
bool group_norm_d(graph *g, tensor *x, tensor *gamma, tensor *dy, group_norm_attr attr, tensor *out[3]);
bool layer_norm_d(graph *g, tensor *x, tensor *gamma, tensor *dy, float epsilon, tensor *out[3]);

/* out and log_sum as attention gave them, dy the gradient of out -> dq, dk, dv. Weights are recomputed from log_sum, so
 * that the matrix of scores never exists (Dao et al. 2022). */
bool attention_d(graph *g, tensor *q, tensor *k, tensor *v, tensor *out, tensor *log_sum, tensor *dy,
                 attention_attr attr, tensor *d[3]);

tensor *upsample_nearest_dx(graph *g, tensor *dy, size_t height, size_t width);     /* -> [N,height,width,C]: sums */
tensor *unslice(graph *g, tensor *dy, const size_t begin[NN_MAX_RANK], nn_shape shape);   /* dy at begin, zeros round it */
/* ids [...] i32, dy [...,C] -> [rows,C] f32: each row's sum over its ids. */
tensor *embedding_d(graph *g, tensor *ids, tensor *dy, size_t rows);

/* ---- losses -------------------------------------------------------------------------------------------------------------- */

/* Mean over the pictures (dimension 0) of weight[n] times the mean of (x - target)^2, in f32 -> [1] f32. x of any
 * number type, target f32; weight [N] f32 or NULL: 1. Only x may have a gradient. */
tensor *mse(graph *g, tensor *x, tensor *target, tensor *weight);
tensor *mse_dx(graph *g, tensor *x, tensor *target, tensor *weight, tensor *dy);    /* dy [1] f32 */
/* The same of |x - target|. */
tensor *mae(graph *g, tensor *x, tensor *target, tensor *weight);
tensor *mae_dx(graph *g, tensor *x, tensor *target, tensor *weight, tensor *dy);

/* ---- an autoencoder's posterior (op_posterior.c) ------------------------------------------------------------------------ */

/* moments [N, ..., 2C]: means, then logarithms of variances, cut to -30 ... 20; noise [N, ..., C] f32, standard normal
 * numbers -> [N, ..., C] of moments' type: mean + exp(0.5 logvar) noise. */
tensor *posterior_sample(graph *g, tensor *moments, tensor *noise);
tensor *posterior_sample_d(graph *g, tensor *moments, tensor *noise, tensor *dy);
/* Mean over the pictures of weight[n] (as mse's) times the sum of 0.5 (mean^2 + variance - 1 - logvar): the divergence
 * from the standard normal distribution, in f32 -> [1] f32. */
tensor *posterior_kl(graph *g, tensor *moments, tensor *weight);
tensor *posterior_kl_d(graph *g, tensor *moments, tensor *weight, tensor *dy);

#endif
