/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for nn/update.h: adamw and adamw8 in one pass over all they read and write, accumulate, average, clip_factor. Equal to the references bit for bit,
 * whatever the number of threads. sum_squares is among the sums (reduce.h). */
#ifndef NN_CPU_UPDATE_H
#define NN_CPU_UPDATE_H

#include "nn/cpu/loops.h"
#include "nn/device.h"
#include "nn/update.h"

const kernel *update_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

/* For kernels that cover an adamw, nodes[0] of theirs: its states and settings as they lie in a run. */
typedef struct { const loops *l; adamw_numbers a; char *weight; nn_type type; uint16_t *low; float *m, *v; } adamw_place;
bool adamw_take(const node *adamw, const loops *l, kernel_match *m);              /* match: all but the gradient; false if l cannot */
bool adamw_find(const kernel_step *s, const void *const in[], const loops *l, adamw_place *out);   /* run: false where the gate is closed */
void adamw_apply(const adamw_place *p, size_t i, const float *dw, size_t n);      /* elements [i, i + n) */

#endif
