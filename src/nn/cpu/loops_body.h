/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the inner loops of loops.h: a loops_*.c file is this for its instruction set, LOOPS and NAME being its table's. */
#include <math.h>
#include <string.h>

#include "nn/cpu/loops.h"
#include "nn/cpu/vector.h"
#include "nn/tensor.h"

#define LOG2_E 1.44269504f

static inline vec get_any_f32(const float *p, size_t left) { return left >= LANES ? load_f32(p) : load_part_f32(p, left); }
#ifdef __AVX512BF16__
static inline vec get_any_bf16(const uint16_t *p, size_t left) { return left >= LANES ? load_bf16(p) : load_part_bf16(p, left); }
#endif
static inline void put_any_f32(float *p, size_t left, vec x) {
    if (left >= LANES) store_f32(p, x);
    else store_part_f32(p, x, left);
}

/* Chan, Golub and LeVeque 1979: moments of two parts together. */
static void moments_add(channel_moments *m, size_t n, size_t channels, const float *first, const float *sum, const float *squares) {
    double count = (double)n, before = (double)m->count, share = count / (before + count), weight = before * share;
    double *restrict mean = m->mean, *restrict spread = m->squares;
    for (size_t c = 0; c < channels; c++) {
        double off = (double)sum[c] / count, d = (double)first[c] + off - mean[c];
        mean[c] += d * share;
        spread[c] += ((double)squares[c] - (double)sum[c] * off) + d * d * weight;
    }
    m->count += n;
}

/* Two f64 sums a channel more. */
static void add_both(double *restrict a, double *restrict b, const float *restrict of_a, const float *restrict of_b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        a[i] += (double)of_a[i];
        b[i] += (double)of_b[i];
    }
}

#define T float
#define TYPE(name) name##_f32
#include "nn/cpu/loops_typed.h"
#include "nn/cpu/loops_gradient.h"
#include "nn/cpu/loops_posterior.h"
#undef T
#undef TYPE

#ifdef __AVX512BF16__

#define T uint16_t
#define TYPE(name) name##_bf16
#include "nn/cpu/loops_typed.h"
#include "nn/cpu/loops_gradient.h"
#include "nn/cpu/loops_posterior.h"
#undef T
#undef TYPE

static void narrow(const void *x_, void *y_, size_t n) {
    const float *x = x_;
    uint16_t *y = y_;
    for (size_t i = 0; i < n; i += LANES) put_exact_bf16(y + i, n - i, get_any_f32(x + i, n - i));
}

static void widen(const void *x_, void *y_, size_t n) {
    const uint16_t *x = x_;
    float *y = y_;
    for (size_t i = 0; i < n; i += LANES) put_any_f32(y + i, n - i, get_any_bf16(x + i, n - i));
}

#define BOTH(name) { [NN_F32] = name##_f32, [NN_BF16] = name##_bf16 }
#define MIXED(name) { [NN_F32] = { [NN_F32] = name##_with_f32_f32, [NN_BF16] = name##_with_bf16_f32 }, \
                      [NN_BF16] = { [NN_F32] = name##_with_f32_bf16, [NN_BF16] = name##_with_bf16_bf16 } }
#define PAIRS(a, b) { [NN_F32] = { a##_f32, b##_f32 }, [NN_BF16] = { a##_bf16, b##_bf16 } }
#define CASTS { [NN_F32] = narrow, [NN_BF16] = widen }
#define HAS_BF16 true

#else

#define BOTH(name) { [NN_F32] = name##_f32 }
#define MIXED(name) { [NN_F32] = { [NN_F32] = name##_with_f32_f32 } }
#define PAIRS(a, b) { [NN_F32] = { a##_f32, b##_f32 } }
#define CASTS { NULL }
#define HAS_BF16 false

#endif

#include "nn/cpu/loops_update.h"

const loops LOOPS = {
    .name = NAME, .bf16 = HAS_BF16,
    .silu = BOTH(silu), .gelu = BOTH(gelu), .quick_gelu = BOTH(quick_gelu), .geglu = BOTH(geglu),
    .add = MIXED(add), .mul = MIXED(mul), .add_one = BOTH(add_one), .mul_one = BOTH(mul_one), .add_scaled = BOTH(add_scaled),
    .subtract = BOTH(subtract), .subtract_corner = BOTH(subtract_corner), .quarters = BOTH(quarters), .cast = CASTS,
    .moments = BOTH(moments), .layer_norm = BOTH(layer_norm), .scale_shift = PAIRS(scale_shift, scale_shift_silu),
    .silu_dx = BOTH(silu_dx), .gelu_dx = BOTH(gelu_dx), .quick_gelu_dx = BOTH(quick_gelu_dx), .geglu_dx = BOTH(geglu_dx),
    .group_sums = PAIRS(group_sums, group_silu_sums), .group_dx = BOTH(group_dx), .layer_norm_d = BOTH(layer_norm_d),
    .column_sums = BOTH(column_sums), .add_to = BOTH(add_to), .total = BOTH(total), .squares = BOTH(squares), .distance = BOTH(distance), .distance_dx = BOTH(distance_dx),
    .absolute = BOTH(absolute), .absolute_dx = BOTH(absolute_dx), .sample = BOTH(sample), .sample_d = BOTH(sample_d), .divergence = BOTH(divergence),
    .divergence_d = BOTH(divergence_d),
    .adamw = adamw, .adamw8 = adamw8, .accumulate = accumulate, .average = average,
};
