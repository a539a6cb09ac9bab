/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention in f32 with AVX-512; bf16 tensors are widened as they are packed, and results rounded. */
#include "nn/cpu/attention_v512.h"

#include <string.h>

#define ROWS_FEW 32
#define ROWS_MANY 64
#define BLOCK_BYTES 1024
#define HALF
#define WIDE 4
#define WIDEST 5
#define ROWS(panels) ((panels) == 5 ? 5 : 6)
#define NAME attention_avx512
#define NAME_D attention_d_avx512
#define PAIR 1

INLINE V w_dot(W a, W b, V sum) { return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum); }
INLINE H hw_dot(HW a, HW b, H sum) { return _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), sum); }

INLINE W w_load_words(nn_type type, const char *row, size_t w, size_t d) { return w_load_f32(type, row + w * nn_type_bytes(type), d - w); }
INLINE W w_load_pair(nn_type type, const char *row, const char *next, size_t i, size_t d) {
    (void)next;
    return w_load_words(type, row, i, d);
}
static void w_copy_row(nn_type type, char *to, const char *row, size_t d) { nn_widen((float *)to, row, type, d); }

/* Of degree 5, off by 8e-8. */
INLINE V exp2_v(V z) {
    static const float c[] = { 0x1.62e4bap-1f, 0x1.ebdb56p-3f, 0x1.c91ce6p-5f, 0x1.277854p-7f, 0x1.e974fcp-10f };
    return exp2_by(z, c, 5);
}

/* s[i] = 2^(scale s[i] - most), and their sum. */
INLINE V row_exp2(float *s, size_t n, float scale, float most) {
    V sum = v_zero();
    for (size_t i = 0; i < n; i += 16) {
        V x = exp2_v(_mm512_fmsub_ps(v_load(s + i), v_set1(scale), v_set1(most)));
        sum = _mm512_add_ps(sum, x);
        v_store(s + i, x);
    }
    return sum;
}

enum { Y_BYTES = 4 };
INLINE void y_store(char *y, V x) { v_store((float *)y, x); }
INLINE void yh_store(char *y, H x) { h_store((float *)y, x); }

static inline void finish_row(nn_type type, char *y, float *o, size_t d, float factor) {
    for (size_t i = 0; i < d; i += 16) {
        V x = v_mul(v_load(o + i), v_set1(factor));
        if (type == NN_F32) _mm512_mask_storeu_ps(y + 4 * i, v_lanes(d - i), x);
        else v_store(o + i, x);
    }
    if (type != NN_F32) nn_narrow(y, type, o, d);
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
