/* SPDX-License-Identifier: Apache-2.0
 *
 * Template arguments of attention_body.h for AVX-512 with words of either kind: 16 lanes. */
#ifndef NN_CPU_ATTENTION_V512_H
#define NN_CPU_ATTENTION_V512_H

#include <immintrin.h>
#include <math.h>

#include "nn/cpu/attention_isa.h"

enum { LANES = 16 };
typedef __m512 V;
typedef __m256 H;
typedef __m512i W;
typedef __m256i HW;

INLINE V v_zero(void) { return _mm512_setzero_ps(); }
INLINE V v_set1(float x) { return _mm512_set1_ps(x); }
INLINE V v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, V x) { _mm512_storeu_ps(p, x); }
INLINE V v_mul(V a, V b) { return _mm512_mul_ps(a, b); }
INLINE V v_add(V a, V b) { return _mm512_add_ps(a, b); }
INLINE V v_sub(V a, V b) { return _mm512_sub_ps(a, b); }
INLINE V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
INLINE V v_fms(V a, V b, V c) { return _mm512_fmsub_ps(a, b, c); }
INLINE V v_max(V a, V b) { return _mm512_max_ps(a, b); }
INLINE __mmask16 v_lanes(size_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }
INLINE V v_first(size_t n, V x, V y) { return _mm512_mask_blend_ps(v_lanes(n), y, x); }
INLINE float v_top(V x) { return _mm512_reduce_max_ps(x); }
INLINE float v_total(V x) { return _mm512_reduce_add_ps(x); }

INLINE H h_zero(void) { return _mm256_setzero_ps(); }
INLINE H h_of(V x) { return _mm512_castps512_ps256(x); }
INLINE H h_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void h_store(float *p, H x) { _mm256_storeu_ps(p, x); }
INLINE H h_mul(H a, H b) { return _mm256_mul_ps(a, b); }

INLINE W w_zero(void) { return _mm512_setzero_si512(); }
/* Opaque, so that the compiler keeps it in a register instead of loading it again for each multiplication. */
INLINE W w_load(const char *p) {
    W x = _mm512_loadu_si512(p);
    __asm__("" : "+v"(x));
    return x;
}
INLINE W w_set1(const char *p) {
    W x;
    __asm__("vpbroadcastd %1, %0" : "=v"(x) : "m"(*(const int32_t *)p));
    return x;
}
INLINE void w_store(char *p, W x) { _mm512_storeu_si512(p, x); }
INLINE HW hw_zero(void) { return _mm256_setzero_si256(); }
INLINE HW hw_of(W x) { return _mm512_castsi512_si256(x); }
INLINE HW hw_load(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* 16 bf16 numbers, the first n of them, in the low halves of 16 words. */
INLINE W w_low_halves(const char *p, size_t n) { return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(v_lanes(n), p)); }
/* The first n numbers, as f32. */
INLINE W w_load_f32(nn_type type, const char *p, size_t n) {
    return type == NN_F32 ? _mm512_maskz_loadu_epi32(v_lanes(n), p) : _mm512_slli_epi32(w_low_halves(p, n), 16);
}
/* Numbers [i, i + 16) of a row of d, zeros behind its end. */
INLINE V v_load_row(nn_type type, const char *row, size_t i, size_t d) { return _mm512_castsi512_ps(w_load_f32(type, row + i * nn_type_bytes(type), d - i)); }

/* Rows become columns. */
INLINE void w_transpose(W x[LANES]) {
    W y[LANES];
    UNROLL for (int i = 0; i < 16; i += 2) y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]), y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    UNROLL for (int i = 0; i < 16; i += 4) {
        x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]), x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
        x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]), x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
    }
    /* x[4b + j] has, in its four quarters c, column 4c + j of rows 4b..4b+3. */
    UNROLL for (int j = 0; j < 4; j++) {
        W lo = _mm512_shuffle_i32x4(x[j], x[4 + j], 0x88), hi = _mm512_shuffle_i32x4(x[j], x[4 + j], 0xdd);
        W lo2 = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0x88), hi2 = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0xdd);
        y[j] = _mm512_shuffle_i32x4(lo, lo2, 0x88), y[8 + j] = _mm512_shuffle_i32x4(lo, lo2, 0xdd);
        y[4 + j] = _mm512_shuffle_i32x4(hi, hi2, 0x88), y[12 + j] = _mm512_shuffle_i32x4(hi, hi2, 0xdd);
    }
    UNROLL for (int i = 0; i < 16; i++) x[i] = y[i];
}

/* 2^z for z <= 0 or barely above, from 2^f = 1 + f c[0] + f^2 c[1] + ... for 0 <= f < 1: exactly 1 at 0, 0 at -inf, NaN at NaN. */
INLINE V exp2_by(V z, const float *c, int degree) {
    V f = _mm512_reduce_ps(z, 1), p = v_set1(c[degree - 1]);   /* z - floor(z) */
    UNROLL for (int i = degree - 1; i-- > 0;) p = _mm512_fmadd_ps(p, f, v_set1(c[i]));
    return _mm512_scalef_ps(_mm512_fmadd_ps(p, f, v_set1(1)), z);   /* times 2^floor(z) */
}

#endif
