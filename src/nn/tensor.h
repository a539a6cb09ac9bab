/* SPDX-License-Identifier: Apache-2.0
 *
 * Vocabulary of the engine: element types and shapes. Layout is channels last everywhere: pictures [N,H,W,C], tokens
 * [N,T,C], the last dimension always contiguous. */
#ifndef NN_TENSOR_H
#define NN_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* F16 is for stored parameters only; U8 and U16 for states of operations that know what their bits mean. */
typedef enum { NN_F32, NN_BF16, NN_F16, NN_I32, NN_U8, NN_U16, NN_TYPES } nn_type;

static inline bool nn_type_is_float(nn_type t) { return t <= NN_F16; }

enum { NN_MAX_RANK = 4 };

typedef struct { int rank; size_t dim[NN_MAX_RANK]; } nn_shape;

static inline nn_shape shape1(size_t a) { return (nn_shape){ 1, { a } }; }
static inline nn_shape shape2(size_t a, size_t b) { return (nn_shape){ 2, { a, b } }; }
static inline nn_shape shape3(size_t a, size_t b, size_t c) { return (nn_shape){ 3, { a, b, c } }; }
static inline nn_shape shape4(size_t a, size_t b, size_t c, size_t d) { return (nn_shape){ 4, { a, b, c, d } }; }

size_t      nn_type_bytes(nn_type type);
const char *nn_type_name(nn_type type);
bool        shape_equal(nn_shape a, nn_shape b);
bool        shape_count(nn_shape s, size_t *count);   /* false if the product overflows, a dimension is 0 or rank is bad */
size_t      shape_elements(nn_shape s);               /* of a shape that a graph has already accepted */
/* "1x64x64x24" into out[size]; returns out. */
const char *shape_text(nn_shape s, char *out, size_t size);

/* Exact widening to f32, and rounding from it (to nearest, ties to even). Floating-point types only. */
float nn_f16_to_f32(uint16_t h);
float nn_bf16_to_f32(uint16_t h);
uint16_t nn_f32_to_bf16(float x);
void nn_widen(float *out, const void *in, nn_type type, size_t n);
bool nn_finite(const void *x, nn_type type, size_t n);
void nn_narrow(void *out, nn_type type, const float *in, size_t n);   /* type F32 or BF16 */

#endif
