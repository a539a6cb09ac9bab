/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of a vector of f32, as wide as the including file's instruction set (told by its suffix), for loops that are written once:
 * loads and stores of f32 and (above AVX2) bf16, whole or the first n lanes, and the few functions that activations need. */
#ifndef NN_CPU_VECTOR_H
#define NN_CPU_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__

enum { LANES = 16 };
typedef __m512 vec;

static inline vec v_all(float x) { return _mm512_set1_ps(x); }
static inline vec v_zero(void) { return _mm512_setzero_ps(); }
static inline vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }     /* a b + c */
static inline vec v_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }   /* c - a b */
static inline vec v_abs(vec a) { return _mm512_abs_ps(a); }
static inline vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }                 /* b if either is NaN, as v_max */
static inline vec v_sqrt(vec a) { return _mm512_sqrt_ps(a); }
static inline vec v_if_negative(vec x, vec a, vec b) { return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), b, a); }   /* x < 0 ? a : b */
static inline vec v_reciprocal_14(vec a) { return _mm512_rcp14_ps(a); }               /* relative error 2^-14 */
static inline float v_most(vec a) { return _mm512_reduce_max_ps(a); }
static inline float v_sum(vec a) { return _mm512_reduce_add_ps(a); }
/* *rest = x - floor(x); returns what v_times_power wants. */
static inline vec v_split(vec x, vec *rest) {
    *rest = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    return x;
}
static inline vec v_times_power(vec y, vec x) { return _mm512_scalef_ps(y, x); }   /* y 2^floor(x) */

/* Sums in f64, a lane each. */
typedef struct { __m512d low, high; } sums;
static inline sums sums_zero(void) { return (sums){ _mm512_setzero_pd(), _mm512_setzero_pd() }; }
static inline sums sums_of(vec x) { return (sums){ _mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)) }; }
static inline sums sums_add(sums s, vec x) {
    sums d = sums_of(x);
    return (sums){ _mm512_add_pd(s.low, d.low), _mm512_add_pd(s.high, d.high) };
}
static inline sums sums_add_square(sums s, sums d) { return (sums){ _mm512_fmadd_pd(d.low, d.low, s.low), _mm512_fmadd_pd(d.high, d.high, s.high) }; }
static inline sums sums_less(sums a, sums b) { return (sums){ _mm512_sub_pd(a.low, b.low), _mm512_sub_pd(a.high, b.high) }; }
static inline double sums_total(sums s) { return _mm512_reduce_add_pd(_mm512_add_pd(s.low, s.high)); }

static inline vec load_f32(const float *p) { return _mm512_loadu_ps(p); }
static inline void store_f32(float *p, vec x) { _mm512_storeu_ps(p, x); }
static inline vec load_part_f32(const float *p, size_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
static inline void store_part_f32(float *p, vec x, size_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x); }
static inline vec keep_first(vec x, size_t n) { return _mm512_maskz_mov_ps((__mmask16)((1u << n) - 1), x); }   /* n lanes, then 0 */

static inline vec from_bf16(__m256i h) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)); }
/* As nn_f32_to_bf16, subnormals and NaN included. */
static inline __m256i to_bf16_exact(vec x) {
    __m512i u = _mm512_castps_si512(x), high = _mm512_srli_epi32(u, 16);
    __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40)));
}
#ifdef __AVX512BF16__
static inline __m256i to_bf16(vec x) { return (__m256i)_mm512_cvtneps_pbh(x); }   /* subnormals become 0 */
static inline void store_bf16(uint16_t *p, vec x) { _mm256_storeu_si256((__m256i *)p, to_bf16(x)); }
#endif
static inline vec load_bf16(const uint16_t *p) { return from_bf16(_mm256_loadu_si256((const __m256i *)p)); }
static inline void store_exact_bf16(uint16_t *p, vec x) { _mm256_storeu_si256((__m256i *)p, to_bf16_exact(x)); }
static inline vec load_part_bf16(const uint16_t *p, size_t n) { return from_bf16(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p)); }
static inline void store_part_bf16(uint16_t *p, vec x, size_t n) { _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), to_bf16_exact(x)); }

#else

enum { LANES = 8 };
typedef __m256 vec;

static inline vec v_all(float x) { return _mm256_set1_ps(x); }
static inline vec v_zero(void) { return _mm256_setzero_ps(); }
static inline vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec v_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vec v_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec v_sqrt(vec a) { return _mm256_sqrt_ps(a); }
static inline vec v_if_negative(vec x, vec a, vec b) { return _mm256_blendv_ps(b, a, x); }
static inline vec v_reciprocal_14(vec a) { return _mm256_div_ps(_mm256_set1_ps(1), a); }
static inline float v_most(vec a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
static inline float v_sum(vec a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
/* Beyond these powers the result is 0 or infinity; NaN stays (the second operand of min and max is the one that is returned). */
static inline vec v_split(vec x, vec *rest) {
    x = _mm256_min_ps(_mm256_set1_ps(128), _mm256_max_ps(_mm256_set1_ps(-127), x));
    vec floor = _mm256_floor_ps(x);
    *rest = _mm256_sub_ps(x, floor);
    return floor;
}
static inline vec v_times_power(vec y, vec floor) {
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(floor), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(y, _mm256_castsi256_ps(power));
}

typedef struct { __m256d low, high; } sums;
static inline sums sums_zero(void) { return (sums){ _mm256_setzero_pd(), _mm256_setzero_pd() }; }
static inline sums sums_of(vec x) { return (sums){ _mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)) }; }
static inline sums sums_add(sums s, vec x) {
    sums d = sums_of(x);
    return (sums){ _mm256_add_pd(s.low, d.low), _mm256_add_pd(s.high, d.high) };
}
static inline sums sums_add_square(sums s, sums d) { return (sums){ _mm256_fmadd_pd(d.low, d.low, s.low), _mm256_fmadd_pd(d.high, d.high, s.high) }; }
static inline sums sums_less(sums a, sums b) { return (sums){ _mm256_sub_pd(a.low, b.low), _mm256_sub_pd(a.high, b.high) }; }
static inline double sums_total(sums s) {
    __m256d a = _mm256_add_pd(s.low, s.high);
    __m128d h = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}

static inline vec load_f32(const float *p) { return _mm256_loadu_ps(p); }
static inline void store_f32(float *p, vec x) { _mm256_storeu_ps(p, x); }
static inline __m256i first_lanes(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec load_part_f32(const float *p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
static inline void store_part_f32(float *p, vec x, size_t n) { _mm256_maskstore_ps(p, first_lanes(n), x); }
static inline vec keep_first(vec x, size_t n) { return _mm256_and_ps(x, _mm256_castsi256_ps(first_lanes(n))); }

#endif

static inline void store_exact_f32(float *p, vec x) { store_f32(p, x); }

/* ---- functions: _f32 to about 2^-22, _bf16 to about 2^-13 (relative), which its rounding to 2^-9 hides --------------------------
 * Polynomials are minimax fits of the relative error over [0, 1] (2^r) and [0, 13] (see v_tail). */

/* 2^x */
static inline vec v_exp2_f32(vec x) {
    vec r, n = v_split(x, &r), y = v_all(2.1702253e-4f);
    y = v_fma(y, r, v_all(1.2439688e-3f));
    y = v_fma(y, r, v_all(9.6788406e-3f));
    y = v_fma(y, r, v_all(5.5483341e-2f));
    y = v_fma(y, r, v_all(2.4022983e-1f));
    y = v_fma(y, r, v_all(6.9314700e-1f));
    return v_times_power(v_fma(y, r, v_all(1)), n);
}
static inline vec v_exp2_bf16(vec x) {
    vec r, n = v_split(x, &r), y = v_all(7.8024499e-2f);
    y = v_fma(y, r, v_all(2.2606719e-1f));
    y = v_fma(y, r, v_all(6.9583350e-1f));
    return v_times_power(v_fma(y, r, v_all(9.9992520e-1f)), n);
}

/* x / (1 + 2^(-k x)) */
static inline vec v_sigmoid_times_f32(vec x, float k) { return v_div(x, v_add(v_all(1), v_exp2_f32(v_mul(x, v_all(-k))))); }
static inline vec v_sigmoid_times_bf16(vec x, float k) { return v_mul(x, v_reciprocal_14(v_add(v_all(1), v_exp2_bf16(v_mul(x, v_all(-k)))))); }

/* Its derivative, with s the sigmoid: s + k x s (1 - s); here k is that of the power of e. */
static inline vec v_sigmoid_slope(vec x, float k, vec s) { return v_fma(v_mul(s, v_sub(v_all(1), s)), v_mul(x, v_all(k)), s); }
static inline vec v_sigmoid_slope_f32(vec x, float k) {
    return v_sigmoid_slope(x, k, v_div(v_all(1), v_add(v_all(1), v_exp2_f32(v_mul(x, v_all(-k * 1.44269504f))))));
}
static inline vec v_sigmoid_slope_bf16(vec x, float k) {
    return v_sigmoid_slope(x, k, v_reciprocal_14(v_add(v_all(1), v_exp2_bf16(v_mul(x, v_all(-k * 1.44269504f))))));
}

/* The normal distribution below -u, for u >= 0: bell(u) times a polynomial of t = 1 / (1 + p u), as Hastings' for erfc
 * (Abramowitz and Stegun 7.1.26), but fitted for its relative error, so that the far tail is right, too. */
static inline vec v_bell_f32(vec u) { return v_exp2_f32(v_mul(v_mul(u, u), v_all(-0.72134752f))); }     /* exp(-u^2 / 2) */
static inline vec v_bell_bf16(vec u) { return v_exp2_bf16(v_mul(v_mul(u, u), v_all(-0.72134752f))); }
static inline vec v_tail_f32(vec u, vec bell) {
    vec t = v_div(v_all(1), v_fma(u, v_all(0.3f), v_all(1))), y = v_all(3.6195614e-2f);
    y = v_fma(y, t, v_all(-1.5938126e-1f));
    y = v_fma(y, t, v_all(2.1012306e-1f));
    y = v_fma(y, t, v_all(-5.7171300e-2f));
    y = v_fma(y, t, v_all(1.3041835e-1f));
    y = v_fma(y, t, v_all(9.9346608e-2f));
    y = v_fma(y, t, v_all(1.2084561e-1f));
    y = v_fma(y, t, v_all(1.1962326e-1f));
    return v_mul(v_mul(y, t), bell);
}
static inline vec v_tail_bf16(vec u, vec bell) {
    vec t = v_reciprocal_14(v_fma(u, v_all(0.375f), v_all(1))), y = v_all(-9.1373459e-2f);
    y = v_fma(y, t, v_all(2.0189916e-1f));
    y = v_fma(y, t, v_all(8.2315750e-2f));
    y = v_fma(y, t, v_all(1.5812686e-1f));
    y = v_fma(y, t, v_all(1.4901900e-1f));
    return v_mul(v_mul(y, t), bell);
}

/* x times the normal distribution below x: max(x, 0) - |x| tail(|x|), without cancellation on either side. */
#define GELU(type) \
    static inline vec v_gelu_##type(vec x) { \
        vec u = v_abs(x); \
        return v_fnma(u, v_tail_##type(u, v_bell_##type(u)), v_max(v_zero(), x)); \
    } \
    /* and its derivative, the distribution below x and x times the density */ \
    static inline vec v_gelu_slope_##type(vec x, vec *value) { \
        vec u = v_abs(x), bell = v_bell_##type(u), tail = v_tail_##type(u, bell); \
        *value = v_fnma(u, tail, v_max(v_zero(), x)); \
        return v_fma(v_mul(x, v_all(0.39894228f)), bell, v_if_negative(x, tail, v_sub(v_all(1), tail))); \
    }
GELU(f32)
GELU(bf16)
#undef GELU

#endif
