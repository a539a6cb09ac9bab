/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the inner loops of loops.h: a loops_*.c file is this for its instruction set, LOOPS and NAME being its table's. */
#include <math.h>

#include "nn/cpu/loops.h"
#include "nn/cpu/vector.h"
#include "nn/tensor.h"

#define LOG2_E 1.44269504f

static inline vec get_any_f32(const float *p, size_t left) { return left >= LANES ? load_f32(p) : load_part_f32(p, left); }
static inline vec get_any_bf16(const uint16_t *p, size_t left) { return left >= LANES ? load_bf16(p) : load_part_bf16(p, left); }
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

#define T float
#define TYPE(name) name##_f32
#include "nn/cpu/loops_typed.h"
#undef T
#undef TYPE
#define T uint16_t
#define TYPE(name) name##_bf16
#include "nn/cpu/loops_typed.h"
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

const loops LOOPS = {
    .name = NAME,
    .silu = BOTH(silu), .gelu = BOTH(gelu), .quick_gelu = BOTH(quick_gelu), .geglu = BOTH(geglu),
    .add = MIXED(add), .mul = MIXED(mul), .add_one = BOTH(add_one), .mul_one = BOTH(mul_one), .add_scaled = BOTH(add_scaled),
    .subtract = BOTH(subtract), .subtract_corner = BOTH(subtract_corner), .quarters = BOTH(quarters),
    .cast = { [NN_F32] = narrow, [NN_BF16] = widen },
    .moments = BOTH(moments), .layer_norm = BOTH(layer_norm),
    .scale_shift = { [NN_F32] = { scale_shift_f32, scale_shift_silu_f32 }, [NN_BF16] = { scale_shift_bf16, scale_shift_silu_bf16 } },
};
