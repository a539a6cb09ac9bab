/* SPDX-License-Identifier: Apache-2.0
 *
 * Sixteen outputs' rows are read 16 numbers at a time and transposed, so that each vector has one (input, tap) of 16 outputs; those are
 * kept for some inputs and then written in the order of the layout, a cache line each. */
#include "nn/cpu/blocked.h"

#include "base/parallel.h"
#include "nn/cpu/transpose_avx512.h"
#include "nn/cpu/vector.h"

enum { TILE = 16 * BLOCKED_MOST_TAPS };   /* numbers of an output at a time: 64 to 576 bytes of its row */

typedef struct {
    const blocked_layout *l;
    void *to;
    const char *from;
    nn_type to_type, from_type;
} pack_job;

/* The first n of 16 numbers, then zeros. */
static inline vec read(const char *p, nn_type type, size_t n) {
    __mmask16 some = (__mmask16)((1u << n) - 1);
    if (type == NN_F32) return _mm512_maskz_loadu_ps(some, p);
    __m256i half = _mm256_maskz_loadu_epi16(some, p);
    return type == NN_F16 ? _mm512_cvtph_ps(half) : from_bf16(half);
}

/* out[k] = number k of each of `rows` rows, for k < count, which is rounded up to 16. */
static inline void gather_rows(vec *out, const char *from, nn_type type, size_t step, size_t rows, size_t count) {
    size_t bytes = nn_type_bytes(type);
    for (size_t k = 0; k < count; k += 16) {
        vec a[16];
        for (size_t r = 0; r < 16; r++) a[r] = r < rows ? read(from + (r * step + k) * bytes, type, count - k < 16 ? count - k : 16) : v_zero();
        transpose(a);
        for (size_t r = 0; r < 16; r++) out[k + r] = a[r];
    }
}

static inline __m512i pair(vec low, vec high) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(to_bf16_exact(low)), _mm512_slli_epi32(_mm512_cvtepu16_epi32(to_bf16_exact(high)), 16));
}

static void pack_block(const pack_job *j, size_t block) {
    const blocked_layout *l = j->l;
    vec tile[TILE];
    size_t first = block * l->block, rows = l->outputs - first < l->block ? l->outputs - first : l->block, step = l->inputs * l->taps;
    size_t inputs = TILE / l->taps / 16 * 16;
    size_t bytes = nn_type_bytes(j->from_type);
    for (size_t i = 0; i < l->inputs; i += inputs)
        for (size_t o = 0; o < l->block; o += 16) {
            size_t n = l->inputs - i < inputs ? l->inputs - i : inputs, left = rows > o ? rows - o : 0;
            gather_rows(tile, j->from + ((first + o) * step + i * l->taps) * bytes, j->from_type, step, left < 16 ? left : 16, n * l->taps);
            size_t at = block * l->block_step + i * l->block + o * l->group;
            for (size_t t = 0; t < l->taps; t++, at += l->tap_step)
                for (size_t k = 0; k < n; k += l->group)
                    if (j->to_type == NN_F32) store_f32((float *)j->to + at + k * l->block, tile[k * l->taps + t]);
                    else _mm512_storeu_si512((uint16_t *)j->to + at + k * l->block,
                                             pair(tile[k * l->taps + t], k + 1 < n ? tile[(k + 1) * l->taps + t] : v_zero()));
        }
}

/* ---- from bf16 to bf16: two numbers at a time, none of them widened ---------------------------------------------------------- */

/* words[k] = numbers 2k and 2k + 1 of each of `rows` rows. */
static inline void gather_words(__m512i *words, const uint16_t *from, size_t step, size_t rows, size_t count) {
    for (size_t k = 0; k < count; k += 32) {
        vec a[16];
        size_t left = count - k;
        __mmask32 some = left < 32 ? (1u << left) - 1 : 0xffffffffu;
        for (size_t r = 0; r < 16; r++) a[r] = r < rows ? _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(some, from + r * step + k)) : v_zero();
        transpose(a);
        for (size_t r = 0; r < 16; r++) words[k / 2 + r] = _mm512_castps_si512(a[r]);
    }
}

/* Numbers low and high side by side, of the words in which they are one half. */
static inline __m512i side_by_side(const __m512i *words, size_t low, size_t high) {
    const __mmask32 upper = 0xaaaaaaaau;
    __m512i a = words[low / 2], b = words[high / 2];
    if (low % 2) a = _mm512_srli_epi32(a, 16);
    if (high % 2 == 0) b = _mm512_slli_epi32(b, 16);
    return _mm512_mask_blend_epi16(upper, a, b);
}

static inline void put(uint16_t *to, __m512i x, bool stream) {
    if (stream) _mm512_stream_si512((void *)to, x);
    else _mm512_storeu_si512(to, x);
}

static void pack_block_bf16(const pack_job *j, size_t block) {
    const blocked_layout *l = j->l;
    __m512i words[TILE / 2 + 16];
    size_t first = block * l->block, rows = l->outputs - first < l->block ? l->outputs - first : l->block, step = l->inputs * l->taps, inputs = TILE / l->taps / 16 * 16;
    words[TILE / 2 + 15] = _mm512_setzero_si512();   /* stands for the neighbour of the last input of an odd number */
    for (size_t i = 0; i < l->inputs; i += inputs)
        for (size_t o = 0; o < l->block; o += 16) {
            size_t n = l->inputs - i < inputs ? l->inputs - i : inputs, left = rows > o ? rows - o : 0, at = block * l->block_step + i * l->block + o * 2;
            gather_words(words, (const uint16_t *)j->from + (first + o) * step + i * l->taps, step, left < 16 ? left : 16, n * l->taps);
            for (size_t t = 0; t < l->taps; t++, at += l->tap_step)
                for (size_t k = 0; k < n; k += 2)
                    put((uint16_t *)j->to + at + k * l->block, side_by_side(words, k * l->taps + t, k + 1 < n ? (k + 1) * l->taps + t : TILE + 30), l->stream);
        }
    if (l->stream) _mm_sfence();
}

static void pack_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const pack_job *j = context;
    bool pairs = j->to_type == NN_BF16 && j->from_type == NN_BF16;
    for (size_t b = begin; b < end; b++) pairs ? pack_block_bf16(j, b) : pack_block(j, b);
}

void blocked_pack(const blocked_layout *l, void *to, nn_type to_type, const void *from, nn_type from_type, int threads) {
    pack_job j = { l, to, from, to_type, from_type };
    if (l->across) {
        blocked_pack_across(l, to, to_type, from, from_type, threads);
        return;
    }
    parallel_for(threads, (l->outputs + l->block - 1) / l->block, pack_part, &j);
}
