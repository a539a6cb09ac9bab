/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention with AVX-512's products of bf16 pairs: exponentials are rounded to bf16, sums are f32. */
#include "nn/cpu/attention_v512.h"

#include <string.h>

#define ROWS_FEW 32
#define ROWS_MANY 64
#define BLOCK_BYTES 2048
#define HALF
#define WIDE 4
#define WIDEST 5
#define ROWS(panels) ((panels) == 5 ? 5 : 6)
#define NAME attention_avx512bf16
#define NAME_D attention_d_avx512bf16
#define PAIR 2

INLINE V w_dot(W a, W b, V sum) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
INLINE H hw_dot(HW a, HW b, H sum) { return _mm256_dpbf16_ps(sum, (__m256bh)a, (__m256bh)b); }

/* Words [w, w + 16) of a row of d bf16 numbers, zeros behind its end. */
INLINE W w_load_words(nn_type type, const char *row, size_t w, size_t d) {
    (void)type;
    size_t n = d - 2 * w;
    return _mm512_maskz_loadu_epi16(n >= 32 ? 0xffffffffu : (1u << n) - 1, row + 4 * w);
}

/* Pairs of numbers of two rows (or one and zeros), from column i of d on. */
INLINE W w_load_pair(nn_type type, const char *row, const char *next, size_t i, size_t d) {
    (void)type;
    W low = w_low_halves(row + 2 * i, d - i);
    return next ? _mm512_or_si512(low, _mm512_slli_epi32(w_low_halves(next + 2 * i, d - i), 16)) : low;
}

static void w_copy_row(nn_type type, char *to, const char *row, size_t d) {
    (void)type;
    memcpy(to, row, d * 2);
    if (d % 2) memset(to + d * 2, 0, 2);
}

/* Of degree 4, off by 3e-6: nothing beside bf16's 4e-3, but 3 would show in log_sum. */
INLINE V exp2_v(V z) {
    static const float c[] = { 0x1.62d6c6p-1f, 0x1.ee2450p-3f, 0x1.abf868p-5f, 0x1.b7f732p-7f };
    return exp2_by(z, c, 4);
}

/* s[i] = 2^(scale s[i] - most) as bf16, from the same address on; returns their sum, before rounding. */
INLINE V row_exp2(float *s, size_t n, float scale, float most) {
    const V scales = v_set1(scale), mosts = v_set1(most);
    V sum = v_zero(), other = v_zero();
    char *p = (char *)s;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        V a = exp2_v(_mm512_fmsub_ps(v_load(s + i), scales, mosts)), b = exp2_v(_mm512_fmsub_ps(v_load(s + i + 16), scales, mosts));
        sum = _mm512_add_ps(sum, a), other = _mm512_add_ps(other, b);
        _mm512_storeu_si512(p + 2 * i, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
    if (i < n) {
        V a = exp2_v(_mm512_fmsub_ps(v_load(s + i), scales, mosts));
        sum = _mm512_add_ps(sum, a);
        _mm256_storeu_si256((__m256i *)(p + 2 * i), (__m256i)_mm512_cvtneps_pbh(a));
    }
    return _mm512_add_ps(sum, other);
}

enum { Y_BYTES = 2 };
INLINE void y_store(char *y, V x) { _mm256_storeu_si256((__m256i *)y, (__m256i)_mm512_cvtneps_pbh(x)); }
INLINE void yh_store(char *y, H x) { _mm_storeu_si128((__m128i *)y, (__m128i)_mm256_cvtneps_pbh(x)); }

static inline void finish_row(nn_type type, char *y, float *o, size_t d, float factor) {
    (void)type;
    size_t i = 0;
    for (; i + 16 <= d; i += 16) y_store(y + 2 * i, v_mul(v_load(o + i), v_set1(factor)));
    if (i < d) _mm256_mask_storeu_epi16(y + 2 * i, v_lanes(d - i), (__m256i)_mm512_cvtneps_pbh(v_mul(v_load(o + i), v_set1(factor))));
}

/* Two rows' numbers side by side: words of pairs. */
INLINE W in_pairs(W rows) {
    const W order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, rows);
}
INLINE void put_weights(char *words, V a, V b) { w_store(words, in_pairs((W)_mm512_cvtne2ps_pbh(b, a))); }
INLINE void put_slopes(char *words, char *rows, size_t row, V a, V b) {
    W both = (W)_mm512_cvtne2ps_pbh(b, a);
    w_store(words, in_pairs(both));
    _mm256_storeu_si256((__m256i *)rows, _mm512_castsi512_si256(both));
    _mm256_storeu_si256((__m256i *)(rows + row), _mm512_extracti64x4_epi64(both, 1));
}

#include "nn/cpu/attention_body.h"
#include "nn/cpu/attention_d_body.h"
