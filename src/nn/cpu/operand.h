/* SPDX-License-Identifier: Apache-2.0
 *
 * What the drivers of our own kernels share: which operands they take, and where those lie when a step runs. An operand is a parameter,
 * packed as plain f32, or anything else (input, state, value), plain contiguous. */
#ifndef NN_CPU_OPERAND_H
#define NN_CPU_OPERAND_H

#include "nn/cpu/loops.h"
#include "nn/device.h"

/* Elements up to which one thread does it all: below, waking a second costs more than it brings. */
enum { OPERAND_ALONE = 16384 };
int threads_for(const kernel_step *s, size_t elements);

/* Whether l has loops for t's numbers: f32, and bf16 at AVX-512 bf16. */
bool operand_number(const loops *l, const tensor *t);
/* For match functions: t is read. False if it has no numbers for l. */
bool operand_take(kernel_match *m, const loops *l, tensor *t);
/* One that may not be a parameter. */
bool operand_take_value(kernel_match *m, const loops *l, tensor *t);
/* t is made, unless nobody reads it. */
void operand_give(kernel_match *m, tensor *t);

/* prepare: parameters as plain f32. */
int operands_prepare(kernel_step *s, params *p);

/* For run functions. */
nn_type     operand_type(const tensor *t);   /* as it lies there */
const void *operand_at(const kernel_step *s, const void *const in[], const tensor *t);       /* NULL for NULL */
/* As f32: where it lies, or widened into room. */
const float *operand_f32(const kernel_step *s, const void *const in[], const tensor *t, float *room);
void       *operand_made(const kernel_step *s, void *const out[], const tensor *t);          /* NULL if it is left out */

static inline char *element_at(const void *p, nn_type type, size_t i) { return (char *)p + i * nn_type_bytes(type); }
static inline float number_at(const void *p, nn_type type, size_t i) {
    return type == NN_F32 ? ((const float *)p)[i] : nn_bf16_to_f32(((const uint16_t *)p)[i]);
}

#endif
