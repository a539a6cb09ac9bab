/* SPDX-License-Identifier: Apache-2.0
 *
 * Inner loops of the ordered kernels for AVX-512: 16 lanes, 32 registers. */
#include <immintrin.h>
#include <stdint.h>

typedef __m512 V;
enum { LANES = 16 };
#define VECTOR_REGISTER "v"
#define HALF_ALONE

static inline __attribute__((always_inline)) V v_zero(void) { return _mm512_setzero_ps(); }
static inline __attribute__((always_inline)) V v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline __attribute__((always_inline)) V v_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline __attribute__((always_inline)) void v_store(float *p, V x) { _mm512_storeu_ps(p, x); }
static inline __attribute__((always_inline)) V v_set1(const float *p) { return _mm512_set1_ps(*p); }
static inline __attribute__((always_inline)) V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
static inline __attribute__((always_inline)) V v_add(V a, V b) { return _mm512_add_ps(a, b); }
static inline __attribute__((always_inline)) V v_max(V a, V b) { return _mm512_max_ps(a, b); }
/* x > 0 ? x : 0, also for -0 and NaN: maxps gives its second operand then. */
static inline __attribute__((always_inline)) V v_relu(V x) { return _mm512_max_ps(x, _mm512_setzero_ps()); }
/* x < 0 ? x * alpha : x, for finite alpha, in one multiplication: min(x, z) * alpha + max(-0, x). For x < 0 that is
 * x * alpha - 0, which changes no bit; else z * alpha = -0 (z is the zero whose sign makes it so) and x - 0 = x. A
 * comparison would take the place of another multiplication. */
typedef struct { V alpha, z; } v_slope;
static inline __attribute__((always_inline)) v_slope v_slope_of(const float *alpha) {
    V a = v_load(alpha);
    return (v_slope){ a, _mm512_andnot_ps(a, _mm512_set1_ps(-0.0f)) };
}
static inline __attribute__((always_inline)) V v_prelu(V x, v_slope s) {
    return _mm512_fmadd_ps(_mm512_min_ps(x, s.z), s.alpha, _mm512_max_ps(_mm512_set1_ps(-0.0f), x));
}
/* The lanes of vector v that a pixel of `groups` groups of 8 has. */
typedef __mmask16 v_mask;
static inline __attribute__((always_inline)) v_mask v_mask_of(size_t groups, int v) {
    size_t first = 2 * (size_t)v;
    return groups > first + 1 ? 0xffff : groups > first ? 0xff : 0;
}
static inline __attribute__((always_inline)) V v_load_masked(const float *p, v_mask m) { return _mm512_maskz_loadu_ps(m, p); }

#ifdef HALF_PAIRS
#define HALF_TAILS(np) ((np) / 2)
typedef V H;
static inline __attribute__((always_inline)) V v_low_high(V a, V b) { return _mm512_mask_blend_ps(0xff00, a, b); }
static inline __attribute__((always_inline)) V v_load_halves(const float *a, const float *b) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(a)), _mm256_loadu_ps(b), 1);
}
static inline __attribute__((always_inline)) void v_store_halves(float *a, float *b, V x) {
    _mm256_storeu_ps(a, _mm512_castps512_ps256(x));
    _mm256_storeu_ps(b, _mm512_extractf32x8_ps(x, 1));
}
#else
#define HALF_TAILS(np) (np)
typedef __m256 H;
static inline __attribute__((always_inline)) H h_zero(void) { return _mm256_setzero_ps(); }
static inline __attribute__((always_inline)) H h_of(V x) { return _mm512_castps512_ps256(x); }
static inline __attribute__((always_inline)) H h_load(const float *p) { return _mm256_loadu_ps(p); }
static inline __attribute__((always_inline)) void h_store(float *p, H x) { _mm256_storeu_ps(p, x); }
static inline __attribute__((always_inline)) H h_fma(H a, H b, H c) { return _mm256_fmadd_ps(a, b, c); }
static inline __attribute__((always_inline)) H h_add(H a, H b) { return _mm256_add_ps(a, b); }
static inline __attribute__((always_inline)) H h_relu(H x) { return _mm256_max_ps(x, _mm256_setzero_ps()); }
typedef struct { H alpha, z; } h_slope;
static inline __attribute__((always_inline)) h_slope h_slope_of(const float *alpha) {
    H a = h_load(alpha);
    return (h_slope){ a, _mm256_andnot_ps(a, _mm256_set1_ps(-0.0f)) };
}
static inline __attribute__((always_inline)) H h_prelu(H x, h_slope s) {
    return _mm256_fmadd_ps(_mm256_min_ps(x, s.z), s.alpha, _mm256_max_ps(_mm256_set1_ps(-0.0f), x));
}
/* A load of its own, even if the compiler sees that the same number is in a wide register. */
static inline __attribute__((always_inline)) H h_set1(const float *x) {
    H y;
    __asm__("vbroadcastss %1, %0" : "=v"(y) : "m"(*x));
    return y;
}
#endif

#include "nn/cpu/ordered_depthwise.h"
#include "nn/cpu/ordered_sum.h"

#define SUM4(nv, half, a, b, c, d) SUM(nv, half, a) SUM(nv, half, b) SUM(nv, half, c) SUM(nv, half, d)
SUM4(0, 1, 1, 2, 3, 4) SUM4(0, 1, 5, 6, 7, 8) SUM4(0, 1, 9, 10, 11, 12) SUM4(0, 1, 13, 14, 15, 16)
SUM4(1, 0, 1, 2, 3, 4) SUM4(1, 0, 5, 6, 7, 8) SUM4(1, 0, 9, 10, 11, 12) SUM4(1, 0, 13, 14, 15, 16)
SUM4(1, 1, 1, 2, 3, 4) SUM4(1, 1, 5, 6, 7, 8) SUM4(1, 1, 9, 10, 11, 12)
SUM4(2, 0, 1, 2, 3, 4) SUM4(2, 0, 5, 6, 7, 8) SUM4(2, 0, 9, 10, 11, 12)
SUM4(2, 1, 1, 2, 3, 4) SUM4(2, 1, 5, 6, 7, 8)
SUM4(3, 0, 1, 2, 3, 4) SUM4(3, 0, 5, 6, 7, 8)
SUM4(3, 1, 1, 2, 3, 4) SUM(3, 1, 5) SUM(3, 1, 6)
SUM4(4, 0, 1, 2, 3, 4) SUM(4, 0, 5) SUM(4, 0, 6)
SUM(8, 0, 1)
static __attribute__((noinline)) void sum_f16(const ordered_sum *s) { sum_block(s, 8, 0, 1, true); }

static ordered_sum_fn *const sums[ORDERED_KINDS][ORDERED_MAX_PIXELS + 1] = {
    [1] = { NULL, sum_0_1_1, sum_0_1_2, sum_0_1_3, sum_0_1_4, sum_0_1_5, sum_0_1_6, sum_0_1_7, sum_0_1_8, sum_0_1_9, sum_0_1_10, sum_0_1_11, sum_0_1_12, sum_0_1_13, sum_0_1_14, sum_0_1_15, sum_0_1_16 },
    [2] = { NULL, sum_1_0_1, sum_1_0_2, sum_1_0_3, sum_1_0_4, sum_1_0_5, sum_1_0_6, sum_1_0_7, sum_1_0_8,
            sum_1_0_9, sum_1_0_10, sum_1_0_11, sum_1_0_12, sum_1_0_13, sum_1_0_14, sum_1_0_15, sum_1_0_16 },
    [3] = { NULL, sum_1_1_1, sum_1_1_2, sum_1_1_3, sum_1_1_4, sum_1_1_5, sum_1_1_6, sum_1_1_7, sum_1_1_8, sum_1_1_9, sum_1_1_10, sum_1_1_11, sum_1_1_12 },
    [4] = { NULL, sum_2_0_1, sum_2_0_2, sum_2_0_3, sum_2_0_4, sum_2_0_5, sum_2_0_6, sum_2_0_7, sum_2_0_8,
            sum_2_0_9, sum_2_0_10, sum_2_0_11, sum_2_0_12 },
    [5] = { NULL, sum_2_1_1, sum_2_1_2, sum_2_1_3, sum_2_1_4, sum_2_1_5, sum_2_1_6, sum_2_1_7, sum_2_1_8 },
    [6] = { NULL, sum_3_0_1, sum_3_0_2, sum_3_0_3, sum_3_0_4, sum_3_0_5, sum_3_0_6, sum_3_0_7, sum_3_0_8 },
    [7] = { NULL, sum_3_1_1, sum_3_1_2, sum_3_1_3, sum_3_1_4, sum_3_1_5, sum_3_1_6 },
    [8] = { NULL, sum_4_0_1, sum_4_0_2, sum_4_0_3, sum_4_0_4, sum_4_0_5, sum_4_0_6 },
    [ORDERED_WIDE] = { NULL, sum_8_0_1 },
    [ORDERED_WIDE_F16] = { NULL, sum_f16 },
};

DEPTHWISE(slide_1, slide(d, 1))
DEPTHWISE(slide_2, slide(d, 2))
DEPTHWISE(leap_1, leap(d, 1, 1, false))
DEPTHWISE(leap_2, leap(d, 2, 1, false))
DEPTHWISE(stride2_1, leap(d, 1, 2, false))
DEPTHWISE(pool_1, leap(d, 1, 2, true))
DEPTHWISE(stride2_2, leap(d, 2, 2, false))
DEPTHWISE(pool_2, leap(d, 2, 2, true))

/* v > best ? v : best, in the reference's order. */
static void pool(float *out, size_t out_pixel, const float *in, size_t in_row, size_t in_pixel, size_t groups, size_t width) {
    size_t whole = groups / 2 * LANES;
    const float *below = in + in_row;
    for (size_t x = 0; x < width; x++, out += out_pixel, in += 2 * in_pixel, below += 2 * in_pixel) {
        for (size_t c = 0; c < whole; c += LANES)
            v_store(out + c, v_max(v_load(below + in_pixel + c), v_max(v_load(below + c), v_max(v_load(in + in_pixel + c), v_load(in + c)))));
        if (groups % 2)
            _mm256_storeu_ps(out + whole, _mm256_max_ps(_mm256_loadu_ps(below + in_pixel + whole), _mm256_max_ps(_mm256_loadu_ps(below + whole),
                             _mm256_max_ps(_mm256_loadu_ps(in + in_pixel + whole), _mm256_loadu_ps(in + whole)))));
    }
}

const ordered_isa ordered_isa_avx512 = {
    .name = "avx512",
    .lanes = LANES,
    .sum = sums,
    .max_pixels = { 0, 16, 16, 12, 12, 8, 8, 6, 6, 1, 1 },
    .depthwise = { [DEPTHWISE_FULL] = { { slide_1, slide_2 }, { stride2_1, stride2_2 } },
                   [DEPTHWISE_PAIR] = { { leap_1, leap_2 } },
                   [DEPTHWISE_POOL] = { [1] = { pool_1, pool_2 } } },
    .pool = pool,
};
