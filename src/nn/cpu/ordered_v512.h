/* SPDX-License-Identifier: Apache-2.0
 *
 * Template arguments of ordered_sum.h and ordered_depthwise.h for AVX-512: 16 lanes, 32 registers. HALF_PAIRS, if it is
 * wanted, is defined before. */
#ifndef NN_CPU_ORDERED_V512_H
#define NN_CPU_ORDERED_V512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 V;
enum { LANES = 16 };
#define VECTOR_REGISTER "v"

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
#define HALF_ALONE
#define HALF_TAILS(np) (np)
typedef __m256 H;
static inline __attribute__((always_inline)) H h_zero(void) { return _mm256_setzero_ps(); }
static inline __attribute__((always_inline)) H h_of(V x) { return _mm512_castps512_ps256(x); }
static inline __attribute__((always_inline)) H h_load(const float *p) { return _mm256_loadu_ps(p); }
static inline __attribute__((always_inline)) void h_store(float *p, H x) { _mm256_storeu_ps(p, x); }
static inline __attribute__((always_inline)) H h_fma(H a, H b, H c) { return _mm256_fmadd_ps(a, b, c); }
static inline __attribute__((always_inline)) H h_add(H a, H b) { return _mm256_add_ps(a, b); }
static inline __attribute__((always_inline)) H h_max(H a, H b) { return _mm256_max_ps(a, b); }
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

#endif
