/* SPDX-License-Identifier: Apache-2.0
 *
 * What training does to its states, as nodes: they rewrite states in place (op.writes) behind all that reads them. Settings that change from step
 * to step are inputs, so that one plan serves all steps. */
#ifndef NN_UPDATE_H
#define NN_UPDATE_H

#include "nn/ops.h"

extern const op op_adamw, op_accumulate, op_average, op_sum_squares, op_clip_factor;

/* Decoupled weight decay (Loshchilov and Hutter 2019) in the order of torch.optim.AdamW. */
typedef struct { float beta1, beta2, epsilon, decay; } adamw_attr;
/* now [ADAMW_NOW] f32: the learning rate; 1 - beta1^t; sqrt(1 - beta2^t). adamw_now fills it. */
enum { ADAMW_RATE, ADAMW_FIRST, ADAMW_SECOND, ADAMW_NOW };
void adamw_now(const adamw_attr *attr, double rate, uint64_t step, float now[ADAMW_NOW]);   /* step from 1 */

/* One weight. States master, m, v f32, and rounded (bf16, may be NULL: what kernels read), of dw's shape; dw f32. factor [1] f32 or NULL: the gradient is
 * multiplied by it. gate [1] f32 or NULL: where it is not finite (the loss, or the gradients' squares) nothing is changed. */
typedef struct { tensor *master, *m, *v, *rounded; } adamw_states;
void adamw(graph *g, const adamw_states *w, tensor *dw, tensor *now, tensor *factor, tensor *gate, adamw_attr attr);

/* sum = first ? dw : sum + dw; first [1] f32, 0 or 1. */
void accumulate(graph *g, tensor *sum, tensor *dw, tensor *first);
/* mean = decay mean + (1 - decay) x, both states f32; decay [1] f32. */
void average(graph *g, tensor *mean, tensor *x, tensor *decay);
/* -> [1] f32, sums in f64: for the norm of all gradients, and to see whether all are finite. */
tensor *sum_squares(graph *g, tensor *x);
/* squares [1] f32, of all gradients -> [1] f32: min(1, most / (sqrt(squares) + 1e-6)), as torch.nn.utils.clip_grad_norm_. */
tensor *clip_factor(graph *g, tensor *squares, float most);

#endif
