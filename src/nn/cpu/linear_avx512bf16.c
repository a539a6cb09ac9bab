/* SPDX-License-Identifier: Apache-2.0
 *
 * Tiles of matrix products: a word of each row of x is broadcast and multiplied by a word of each output of the group. 5 rows by 5 panels
 * need 31 of the 32 registers and 10 loads for 25 products; what fits less well are 6 rows by 4. */
#include "nn/cpu/linear_isa.h"
#include "nn/cpu/vector.h"

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
/* clang unrolls before it inlines, when it does not know n yet. */
#define EACH(i, n) UNROLL for (int i = 0; i < LINEAR_ROWS; i++) if (i < (n))

enum { VECTOR = 64, HALF = 32 };   /* bytes of f32 or words, of bf16 */
enum { DIRECT, SUMS, ONTO };       /* where results of a tile go */

INLINE __m512i word(const char *p) {
    int x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}

INLINE __m512 dot(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

INLINE void store_two(char *y, const char *residual, __m512 low, __m512 high) {
    if (residual) {
        low = _mm512_add_ps(low, load_bf16((const uint16_t *)residual));
        high = _mm512_add_ps(high, load_bf16((const uint16_t *)(residual + HALF)));
    }
    _mm512_storeu_si512(y, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

INLINE void store_one(char *y, const char *residual, __m512 x) {
    store_bf16((uint16_t *)y, residual ? _mm512_add_ps(x, load_bf16((const uint16_t *)residual)) : x);
}

/* In a macro, since compilers keep sums whose address is taken in memory. */
#define WORD_OF_ALL() \
    do { \
        __m512i b[LINEAR_ROWS]; \
        EACH(c, panels) b[c] = _mm512_loadu_si512(w + c * VECTOR); \
        EACH(r, rows) { \
            __m512i a = word(x + (size_t)r * x_row); \
            EACH(c, panels) sum[r][c] = dot(sum[r][c], a, b[c]); \
        } \
        x += 4; \
        w += panels * VECTOR; \
    } while (0)

/* What is fetched goes to the second cache. All at once, before the first word, it would hold up the weights, which come from there. */
INLINE void tile(int rows, int panels, int result, const linear_tile *t) {
    __m512 sum[LINEAR_ROWS][LINEAR_ROWS];
    const char *x = t->x, *w = t->w;
    size_t x_row = t->x_row;
    EACH(c, panels) sum[0][c] = t->bias ? _mm512_loadu_ps(t->bias + c * LINEAR_LANES) : _mm512_setzero_ps();
    EACH(r, rows) EACH(c, panels) sum[r][c] = sum[0][c];
    if (result == ONTO && t->more) EACH(r, rows) EACH(c, panels) sum[r][c] = _mm512_loadu_ps(t->sums + (size_t)r * t->sums_row + c * LINEAR_LANES);
    const char *const *soon = t->soon;
    for (size_t k = t->n_soon; k > 0; k--) {
        _mm_prefetch(*soon++, _MM_HINT_T1);
        WORD_OF_ALL();
    }
    for (size_t k = t->words - t->n_soon; k > 0; k--) WORD_OF_ALL();
    if (result != DIRECT) {
        float *s = t->sums;
        size_t row = result == ONTO ? t->sums_row : LINEAR_SUMS;
        EACH(r, rows) EACH(c, panels) _mm512_storeu_ps(s + (size_t)r * row + c * LINEAR_LANES, sum[r][c]);
        return;
    }
    char *y = t->y;
    const char *residual = t->residual;
    __asm__("" : "+r"(y), "+r"(residual));   /* or gcc keeps all addresses from above, in vector registers */
    EACH(r, rows) {
        EACH(c, panels / 2) store_two(y + c * VECTOR, residual ? residual + c * VECTOR : NULL, sum[r][2 * c], sum[r][2 * c + 1]);
        if (panels % 2) store_one(y + (panels - 1) * HALF, residual ? residual + (panels - 1) * HALF : NULL, sum[r][panels - 1]);
        y += t->y_row;
        if (residual) residual += t->y_row;
    }
}

/* One function for each number of rows and panels: what is constant here must not become a variable. */
#define TILE(R, C) \
    static __attribute__((noinline)) void direct_##R##_##C(const linear_tile *t) { tile(R, C, DIRECT, t); } \
    static __attribute__((noinline)) void sums_##R##_##C(const linear_tile *t) { tile(R, C, SUMS, t); } \
    static __attribute__((noinline)) void onto_##R##_##C(const linear_tile *t) { tile(R, C, ONTO, t); }
#define FOUR(R) TILE(R, 1) TILE(R, 2) TILE(R, 3) TILE(R, 4)
#define FIVE(R) FOUR(R) TILE(R, 5)
FIVE(1) FIVE(2) FIVE(3) FIVE(4) FIVE(5) FOUR(6)
#define LIST(F, R) { F##R##_1, F##R##_2, F##R##_3, F##R##_4, F##R##_5 }
#define TABLE(F) { LIST(F, 1), LIST(F, 2), LIST(F, 3), LIST(F, 4), LIST(F, 5), { F##6_1, F##6_2, F##6_3, F##6_4 } }
const linear_tile_table linear_direct = TABLE(direct_), linear_to_sums = TABLE(sums_), linear_onto = TABLE(onto_);

/* ---- activations ------------------------------------------------------------------------------------------------------- */

static inline vec residual_at(const char *residual, size_t i, size_t left) {
    if (!residual) return v_zero();
    const uint16_t *p = (const uint16_t *)residual + i;
    return left >= LANES ? load_bf16(p) : load_part_bf16(p, left);
}

#define FINISH(name, expression) \
    static void finish_##name(const linear_finish *f) { \
        for (size_t r = 0; r < f->rows; r++) { \
            const float *sums = f->sums + r * LINEAR_SUMS, *gate = f->gate + r * LINEAR_SUMS; \
            const char *residual = f->residual ? f->residual + r * f->y_row : NULL; \
            uint16_t *y = (uint16_t *)(f->y + r * f->y_row); \
            for (size_t i = 0; i < f->outputs; i += LANES) { \
                size_t left = f->outputs - i; \
                vec x = v_add(load_f32(sums + i), residual_at(residual, i, left)), z = expression; \
                (void)gate; \
                if (left >= LANES) store_bf16(y + i, z); \
                else _mm256_mask_storeu_epi16(y + i, (__mmask16)((1u << left) - 1), to_bf16(z)); \
            } \
        } \
    }
#define LOG2_E 1.44269504f
FINISH(plain, x)
FINISH(silu, v_sigmoid_times_bf16(x, LOG2_E))
FINISH(quick_gelu, v_sigmoid_times_bf16(x, 1.702f * LOG2_E))
FINISH(gelu, v_gelu_bf16(x))
FINISH(geglu, v_mul(x, v_gelu_bf16(load_f32(gate + i))))

linear_finish_function *const linear_finish_by[LINEAR_ENDS] = {
    [LINEAR_PLAIN] = finish_plain, [LINEAR_SILU] = finish_silu, [LINEAR_GELU] = finish_gelu,
    [LINEAR_QUICK_GELU] = finish_quick_gelu, [LINEAR_GEGLU] = finish_geglu,
};
