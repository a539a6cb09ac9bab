/* SPDX-License-Identifier: Apache-2.0
 *
 * What training does to its states, as nodes: they rewrite states in place (op.writes) behind all that reads them.
 * Settings that change from step to step are inputs, so that one plan serves all steps. */
#ifndef NN_UPDATE_H
#define NN_UPDATE_H

#include "nn/ops.h"

extern const op op_adamw, op_adamw8, op_accumulate, op_average, op_sum_squares, op_clip_factor;

/* Decoupled weight decay (Loshchilov and Hutter 2019) in the order of torch.optim.AdamW. */
typedef struct { float beta1, beta2, epsilon, decay; } adamw_attr;
/* now [ADAMW_NOW] f32: the learning rate; 1 - beta1^t; sqrt(1 - beta2^t); t modulo 2^24. adamw_now fills it. */
enum { ADAMW_RATE, ADAMW_FIRST, ADAMW_SECOND, ADAMW_STEP, ADAMW_NOW };
void adamw_now(const adamw_attr *attr, double rate, uint64_t step, float now[ADAMW_NOW]);   /* step from 1 */

/* One weight, of dw's shape: bf16, with the 16 bits that it lacks of an f32 in `low` (NN_U16, nn/halves.h), 12 bytes in
 * all; or f32 with low NULL. m and v f32: 0 at first; dw f32. Either way the f32 has the same bits. factor [1] f32 or
 * NULL: the gradient is multiplied by it. gate [1] f32 or NULL: where it is not finite (the loss, or the gradients'
 * squares) nothing is changed. */
typedef struct { tensor *weight, *low, *m, *v; } adamw_states;
void adamw(graph *g, const adamw_states *w, tensor *dw, tensor *now, tensor *factor, tensor *gate, adamw_attr attr);

/* The same with moments of 8 bits (op_adamw8.c says which), 6.03 bytes a weight. moments [2,n] NN_U8 and scales
 * [2,adamw8_scales(n)] f32, n = elements of the weight: all 0 at first. key: another for each weight, so that they are
 * not rounded by the same random numbers. */
typedef struct { tensor *weight, *low, *moments, *scales; } adamw8_states;
typedef struct { adamw_attr adamw; uint32_t key; } adamw8_attr;
void   adamw8(graph *g, const adamw8_states *w, tensor *dw, tensor *now, tensor *factor, tensor *gate, adamw8_attr attr);
size_t adamw8_scales(size_t n);

/* sum = first ? dw : sum + dw; first [1] f32, 0 or 1. */
void accumulate(graph *g, tensor *sum, tensor *dw, tensor *first);
/* mean = decay mean + (1 - decay) x, both states, x in bf16 with its low bits (else NULL); decay [1] f32. gate as adamw's, or NULL. */
void average(graph *g, tensor *mean, tensor *x, tensor *low, tensor *decay, tensor *gate);
/* -> [1] f32, sums in f64: for the norm of all gradients, and to see whether all are finite. */
tensor *sum_squares(graph *g, tensor *x);
/* squares [1] f32, of all gradients -> [1] f32: min(1, most / (sqrt(squares) + 1e-6)), as torch.nn.utils.clip_grad_norm_. */
tensor *clip_factor(graph *g, tensor *squares, float most);

/* Inputs of the nodes, for kernels. */
enum { ADAMW_IN_WEIGHT, ADAMW_IN_LOW, ADAMW_IN_M, ADAMW_IN_V, ADAMW_IN_DW, ADAMW_IN_NOW, ADAMW_IN_FACTOR, ADAMW_IN_GATE, ADAMW_IN };
enum { ADAMW8_IN_MOMENTS = ADAMW_IN_M, ADAMW8_IN_SCALES = ADAMW_IN_V };   /* the others as above */
enum { AVERAGE_IN_MEAN, AVERAGE_IN_X, AVERAGE_IN_DECAY, AVERAGE_IN_LOW, AVERAGE_IN_GATE, AVERAGE_IN };

#endif
