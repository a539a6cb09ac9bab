/* SPDX-License-Identifier: Apache-2.0
 *
 * What training does to its states, as nodes: they rewrite states in place (op.writes) behind all that reads them. Settings that change from step
 * to step are inputs, so that one plan serves all steps. */
#ifndef NN_UPDATE_H
#define NN_UPDATE_H

#include "nn/ops.h"

extern const op op_adamw, op_adamw8, op_accumulate, op_average, op_sum_squares, op_clip_factor;

/* Decoupled weight decay (Loshchilov and Hutter 2019) in the order of torch.optim.AdamW. */
typedef struct { float beta1, beta2, epsilon, decay; } adamw_attr;
/* now [ADAMW_NOW] f32: the learning rate; 1 - beta1^t; sqrt(1 - beta2^t); t modulo 2^24. adamw_now fills it. */
enum { ADAMW_RATE, ADAMW_FIRST, ADAMW_SECOND, ADAMW_STEP, ADAMW_NOW };
void adamw_now(const adamw_attr *attr, double rate, uint64_t step, float now[ADAMW_NOW]);   /* step from 1 */

/* One weight. States master, m, v f32, and rounded (bf16, may be NULL: what kernels read), of dw's shape; dw f32. factor [1] f32 or NULL: the gradient is
 * multiplied by it. gate [1] f32 or NULL: where it is not finite (the loss, or the gradients' squares) nothing is changed. */
typedef struct { tensor *master, *m, *v, *rounded; } adamw_states;
void adamw(graph *g, const adamw_states *w, tensor *dw, tensor *now, tensor *factor, tensor *gate, adamw_attr attr);

/* The same with moments of 8 bits (op_adamw8.c says which), 6.03 bytes a weight. weight: bf16, with the 16 bits that it lacks of an f32 in `low` (NN_U16), or
 * f32 with low NULL. moments [2,n] NN_U8 and scales [2,adamw8_scales(n)] f32, n = elements of the weight: all 0 at first. key: another for each weight, so that
 * they are not rounded by the same random numbers. */
typedef struct { tensor *weight, *low, *moments, *scales; } adamw8_states;
typedef struct { adamw_attr adamw; uint32_t key; } adamw8_attr;
void   adamw8(graph *g, const adamw8_states *w, tensor *dw, tensor *now, tensor *factor, tensor *gate, adamw8_attr attr);
size_t adamw8_scales(size_t n);
/* An f32 in two halves: the nearest bf16, ties away from 0, and what is to be added to its bits. */
void   adamw8_split(const float *x, uint16_t *weight, uint16_t *low, size_t n);
void   adamw8_join(float *x, const uint16_t *weight, const uint16_t *low, size_t n);

/* sum = first ? dw : sum + dw; first [1] f32, 0 or 1. */
void accumulate(graph *g, tensor *sum, tensor *dw, tensor *first);
/* mean = decay mean + (1 - decay) x, both states, x also bf16; decay [1] f32. */
void average(graph *g, tensor *mean, tensor *x, tensor *decay);
/* -> [1] f32, sums in f64: for the norm of all gradients, and to see whether all are finite. */
tensor *sum_squares(graph *g, tensor *x);
/* squares [1] f32, of all gradients -> [1] f32: min(1, most / (sqrt(squares) + 1e-6)), as torch.nn.utils.clip_grad_norm_. */
tensor *clip_factor(graph *g, tensor *squares, float most);

/* Inputs of the nodes, for kernels. */
enum { ADAMW_IN_MASTER, ADAMW_IN_M, ADAMW_IN_V, ADAMW_IN_ROUNDED, ADAMW_IN_DW, ADAMW_IN_NOW, ADAMW_IN_FACTOR, ADAMW_IN_GATE, ADAMW_IN };
enum { ADAMW8_IN_WEIGHT, ADAMW8_IN_LOW, ADAMW8_IN_MOMENTS, ADAMW8_IN_SCALES };   /* and from ADAMW_IN_DW on as above */

#endif
