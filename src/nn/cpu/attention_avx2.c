/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention in f32 with AVX2 and FMA: 8 lanes, 16 registers; bf16 tensors are widened as they are packed, and results rounded. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "nn/cpu/attention_isa.h"

#define ROWS_FEW 32
#define ROWS_MANY 64
#define BLOCK_BYTES 1024
#define WIDE 3
#define WIDEST 3
#define ROWS(panels) ((panels) == 3 ? 4 : 6)
#define NAME attention_avx2
#define NAME_D attention_d_avx2
#define PAIR 1
enum { LANES = 8 };
typedef __m256 V, W;

INLINE V v_zero(void) { return _mm256_setzero_ps(); }
INLINE V v_set1(float x) { return _mm256_set1_ps(x); }
INLINE V v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, V x) { _mm256_storeu_ps(p, x); }
INLINE V v_mul(V a, V b) { return _mm256_mul_ps(a, b); }
INLINE V v_add(V a, V b) { return _mm256_add_ps(a, b); }
INLINE V v_sub(V a, V b) { return _mm256_sub_ps(a, b); }
INLINE V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
INLINE V v_fms(V a, V b, V c) { return _mm256_fmsub_ps(a, b, c); }
INLINE V v_max(V a, V b) { return _mm256_max_ps(a, b); }
INLINE __m256i v_lanes(size_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : (int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
INLINE V v_first(size_t n, V x, V y) { return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(v_lanes(n))); }
INLINE float v_top(V x) {
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}
INLINE float v_total(V x) {
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

INLINE W w_zero(void) { return v_zero(); }
/* Opaque, so that the compiler keeps it in a register instead of loading it again for each multiplication. */
INLINE W w_load(const char *p) {
    W x = _mm256_loadu_ps((const float *)p);
    __asm__("" : "+x"(x));
    return x;
}
INLINE W w_set1(const char *p) {
    W x;
    __asm__("vbroadcastss %1, %0" : "=x"(x) : "m"(*(const float *)p));
    return x;
}
INLINE void w_store(char *p, W x) { _mm256_storeu_ps((float *)p, x); }
INLINE V w_dot(W a, W b, V sum) { return _mm256_fmadd_ps(a, b, sum); }

INLINE W w_load_words(nn_type type, const char *row, size_t w, size_t d) {
    if (type == NN_F32) return _mm256_maskload_ps((const float *)row + w, v_lanes(d - w));
    uint16_t part[8] = { 0 };
    memcpy(part, row + 2 * w, d - w > 8 ? 16 : (d - w) * 2);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)part)), 16));
}
INLINE V v_load_row(nn_type type, const char *row, size_t i, size_t d) { return w_load_words(type, row, i, d); }
INLINE W w_load_pair(nn_type type, const char *row, const char *next, size_t i, size_t d) {
    (void)next;
    return w_load_words(type, row, i, d);
}
INLINE void w_transpose(W x[LANES]) {
    W y[LANES];
    UNROLL for (int i = 0; i < 8; i += 2) y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]), y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    UNROLL for (int i = 0; i < 8; i += 4) {
        x[i] = _mm256_shuffle_ps(y[i], y[i + 2], 0x44), x[i + 1] = _mm256_shuffle_ps(y[i], y[i + 2], 0xee);
        x[i + 2] = _mm256_shuffle_ps(y[i + 1], y[i + 3], 0x44), x[i + 3] = _mm256_shuffle_ps(y[i + 1], y[i + 3], 0xee);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        y[i] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x20);
        y[i + 4] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x31);
    }
    UNROLL for (int i = 0; i < 8; i++) x[i] = y[i];
}
static void w_copy_row(nn_type type, char *to, const char *row, size_t d) { nn_widen((float *)to, row, type, d); }

/* 2^z for z <= 0 or barely above, from 2^f = 1 + f c[0] + f^2 c[1] + ... for |f| <= 1/2: exactly 1 at 0, off by 9e-8 elsewhere. Below
 * -125 it is 0. A NaN remains one: maxps answers its second operand then. */
INLINE V exp2_v(V z) {
    const V magic = v_set1(0x1.8p23f);   /* added, the integer nearest to z stands in the last bits */
    V tiny = _mm256_cmp_ps(z, v_set1(-125), _CMP_LT_OQ);
    z = _mm256_max_ps(v_set1(-125), z);
    V t = _mm256_add_ps(z, magic), f = _mm256_sub_ps(z, _mm256_sub_ps(t, magic)), p = v_set1(0x1.5bba14p-10f);
    p = _mm256_fmadd_ps(p, f, v_set1(0x1.3cea88p-7f));
    p = _mm256_fmadd_ps(p, f, v_set1(0x1.c6b752p-5f));
    p = _mm256_fmadd_ps(p, f, v_set1(0x1.ebf9bcp-3f));
    p = _mm256_fmadd_ps(p, f, v_set1(0x1.62e42ap-1f));
    p = _mm256_fmadd_ps(p, f, v_set1(1));
    return _mm256_andnot_ps(tiny, _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23))));
}

/* s[i] = 2^(scale s[i] - most), and their sum. */
INLINE V row_exp2(float *s, size_t n, float scale, float most) {
    V sum = v_zero();
    for (size_t i = 0; i < n; i += LANES) {
        V x = exp2_v(_mm256_fmsub_ps(v_load(s + i), v_set1(scale), v_set1(most)));
        sum = _mm256_add_ps(sum, x);
        v_store(s + i, x);
    }
    return sum;
}

enum { Y_BYTES = 4 };
INLINE void y_store(char *y, V x) { v_store((float *)y, x); }

static inline void finish_row(nn_type type, char *y, float *o, size_t d, float factor) {
    for (size_t i = 0; i < d; i += LANES) v_store(o + i, v_mul(v_load(o + i), v_set1(factor)));
    nn_narrow(y, type, o, d);
}

INLINE void put_weights(char *words, V a, V b) {
    (void)b;
    v_store((float *)words, a);
}
INLINE void put_slopes(char *words, char *rows, size_t row, V a, V b) {
    (void)rows, (void)row, (void)b;
    v_store((float *)words, a);
}

#include "nn/cpu/attention_body.h"
#include "nn/cpu/attention_d_body.h"
