/* SPDX-License-Identifier: Apache-2.0
 *
 * Inner loops of the ordered kernels for AVX2 and FMA: 8 lanes, 16 registers. */
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

typedef __m256 V, H;
enum { LANES = 8 };
#define VECTOR_REGISTER "x"
#define HALF_TAILS(np) 0
#define h_load v_load

static inline __attribute__((always_inline)) V v_zero(void) { return _mm256_setzero_ps(); }
static inline __attribute__((always_inline)) V v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline __attribute__((always_inline)) V v_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
static inline __attribute__((always_inline)) void v_store(float *p, V x) { _mm256_storeu_ps(p, x); }
static inline __attribute__((always_inline)) V v_set1(const float *p) { return _mm256_broadcast_ss(p); }
static inline __attribute__((always_inline)) V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
static inline __attribute__((always_inline)) V v_add(V a, V b) { return _mm256_add_ps(a, b); }
static inline __attribute__((always_inline)) V v_max(V a, V b) { return _mm256_max_ps(a, b); }
/* x > 0 ? x : 0, also for -0 and NaN: maxps gives its second operand then. */
static inline __attribute__((always_inline)) V v_relu(V x) { return _mm256_max_ps(x, _mm256_setzero_ps()); }
/* x < 0 ? x * alpha : x, for finite alpha, in one multiplication: min(x, z) * alpha + max(-0, x). For x < 0 that is
 * x * alpha - 0, which changes no bit; else z * alpha = -0 (z is the zero whose sign makes it so) and x - 0 = x. */
typedef struct { V alpha, z; } v_slope;
static inline __attribute__((always_inline)) v_slope v_slope_of(const float *alpha) {
    V a = v_load(alpha);
    return (v_slope){ a, _mm256_andnot_ps(a, _mm256_set1_ps(-0.0f)) };
}
static inline __attribute__((always_inline)) V v_prelu(V x, v_slope s) {
    return _mm256_fmadd_ps(_mm256_min_ps(x, s.z), s.alpha, _mm256_max_ps(_mm256_set1_ps(-0.0f), x));
}
/* Does a pixel of `groups` groups of 8 have vector v? */
typedef bool v_mask;
static inline __attribute__((always_inline)) v_mask v_mask_of(size_t groups, int v) { return groups > (size_t)v; }
static inline __attribute__((always_inline)) V v_load_masked(const float *p, v_mask m) { return m ? v_load(p) : v_zero(); }

#include "nn/cpu/ordered_depthwise.h"
#include "nn/cpu/ordered_sum.h"

SUM4(1, 0, 1, 2, 3, 4) SUM4(1, 0, 5, 6, 7, 8) SUM4(1, 0, 9, 10, 11, 12)
SUM4(2, 0, 1, 2, 3, 4) SUM(2, 0, 5) SUM(2, 0, 6)
SUM4(3, 0, 1, 2, 3, 4)
SUM(8, 0, 1)
static __attribute__((noinline)) void sum_f16(const ordered_sum *s) { sum_block(s, 8, 0, 1, true); }

static ordered_sum_fn *const one[] = { NULL, sum_1_0_1, sum_1_0_2, sum_1_0_3, sum_1_0_4, sum_1_0_5, sum_1_0_6,
      sum_1_0_7, sum_1_0_8, sum_1_0_9, sum_1_0_10, sum_1_0_11, sum_1_0_12 };
static ordered_sum_fn *const two[] = { NULL, sum_2_0_1, sum_2_0_2, sum_2_0_3, sum_2_0_4, sum_2_0_5, sum_2_0_6 };
static ordered_sum_fn *const three[] = { NULL, sum_3_0_1, sum_3_0_2, sum_3_0_3, sum_3_0_4 };
static ordered_sum_fn *const wide[] = { NULL, sum_8_0_1 }, *const wide_f16[] = { NULL, sum_f16 };

DEPTHWISE(slide_1, slide(d, 1))
DEPTHWISE(stride2_1, leap(d, 1, 2, false))
DEPTHWISE(pool_1, leap(d, 1, 2, true))

/* The largest of two neighbouring columns: v > best ? v : best in the reference's order, row by row. */
static void pool(float *out, size_t out_pixel, const float *in, size_t in_row, size_t in_pixel, size_t groups, size_t width) {
    for (size_t x = 0; x < width; x++, out += out_pixel, in += 2 * in_pixel) {
        const float *right = in + in_pixel, *below = in + in_row, *last = below + in_pixel;
        for (size_t c = 0; c < groups * LANES; c += LANES)
            v_store(out + c, v_max(v_load(last + c), v_max(v_load(below + c), v_max(v_load(right + c), v_load(in + c)))));
    }
}

const ordered_isa ordered_isa_avx2 = {
    .name = "avx2",
    .lanes = LANES,
    .sum = { [1] = one, [2] = two, [3] = three, [ORDERED_WIDE] = wide, [ORDERED_WIDE_F16] = wide_f16 },
    .max_pixels = { [1] = 12, [2] = 6, [3] = 4, [ORDERED_WIDE] = 1, [ORDERED_WIDE_F16] = 1 },
    .depthwise = { [DEPTHWISE_FULL] = { { slide_1, NULL }, { stride2_1, NULL } },
                   [DEPTHWISE_POOL] = { [1] = { pool_1, NULL } } },
    .pool = pool,
};
