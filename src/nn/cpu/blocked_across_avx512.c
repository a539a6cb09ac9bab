/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing across. A word is a number, or two neighbouring outputs' numbers of one (input, tap) side by side; words of a block are made in the order
 * of the stored rows, and, where there are taps, those of sixteen inputs are then transposed, so that each vector has one tap of them. */
#include "base/parallel.h"
#include "nn/cpu/blocked.h"
#include "nn/cpu/transpose_avx512.h"
#include "nn/cpu/vector.h"

enum { PARTS = 8, AHEAD = 2048 };   /* that the outputs of a block are dealt out to threads in; bytes that are fetched ahead */

typedef struct {
    const blocked_layout *l;
    char *to;
    const char *from;
    nn_type to_type, from_type;
    size_t from_bytes, row;
} across_job;

static inline __mmask16 first(size_t n) { return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff; }

static inline __m512i pair(__m512i low, __m512i high) { return _mm512_or_si512(low, _mm512_slli_epi32(high, 16)); }

static inline vec read(const char *p, nn_type type, __mmask16 some) {
    if (type == NN_F32) return _mm512_maskz_loadu_ps(some, p);
    __m256i half = _mm256_maskz_loadu_epi16(some, p);
    return type == NN_F16 ? _mm512_cvtph_ps(half) : from_bf16(half);
}

/* The first n of sixteen words, then zeros; high may be NULL. */
static inline __m512i word(const across_job *j, const char *low, const char *high, size_t n) {
    __mmask16 some = first(n), other = high ? some : 0;
    const char *second = high ? high : low;
    if (j->to_type == NN_F32) return _mm512_castps_si512(read(low, j->from_type, some));
    if (j->from_type == NN_BF16)
        return pair(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, low)), _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(other, second)));
    return pair(_mm512_cvtepu16_epi32(to_bf16_exact(read(low, j->from_type, some))), _mm512_cvtepu16_epi32(to_bf16_exact(read(second, j->from_type, other))));
}

/* Sixteen inputs, of which there are n, with their taps. */
static inline void put(char *to, vec x, bool stream) {
    if (stream) _mm512_stream_ps((void *)to, x);
    else _mm512_storeu_ps(to, x);
}

static inline void pack_taps(const across_job *j, const char *low, const char *high, size_t n, char *to, size_t tap_bytes) {
    size_t taps = j->l->taps, count = n * taps;
    uint32_t words[16 * BLOCKED_MOST_TAPS + 16];
    for (size_t k = 0; k < 16 * taps; k += 16) {
        size_t left = k < count ? count - k : 0, skip = left ? k * j->from_bytes : 0;
        _mm512_storeu_si512(words + k, word(j, low + skip, high ? high + skip : NULL, left));
    }
    vec a[16];
    for (size_t i = 0; i < 16; i++) a[i] = _mm512_loadu_ps(words + i * taps);   /* of the last ones more than there is: what lies behind a row is not stored */
    transpose(a);
    for (size_t t = 0; t < taps; t++) put(to + t * tap_bytes, a[t], j->l->stream);
}

/* Numbers of two rows of bf16 side by side, whole vectors of them; how many. */
static inline size_t pair_rows(const char *low, const char *high, size_t n, char *to) {
    const __m512i first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    size_t i = 0;
    for (; i + 32 <= n; i += 32, to += 128) {
        __m512i a = _mm512_loadu_si512(low + 2 * i), b = _mm512_loadu_si512(high + 2 * i);
        _mm512_storeu_si512(to, _mm512_permutex2var_epi16(a, first, b));
        _mm512_storeu_si512(to + 64, _mm512_permutex2var_epi16(a, second, b));
    }
    return i;
}

static void pack_outputs(const across_job *j, size_t block, size_t begin, size_t end) {
    const blocked_layout *l = j->l;
    size_t at = block * l->block, inputs = l->inputs - at < l->block ? l->inputs - at : l->block, bytes = nn_type_bytes(j->to_type);
    bool pairs = j->to_type == NN_BF16 && j->from_type == NN_BF16 && l->taps == 1;
    size_t part = inputs * l->taps * j->from_bytes, ahead = (AHEAD + part - 1) / part, row = j->row * j->from_bytes;   /* rows lie far apart: the hardware does not see the next */
    for (size_t o = begin; o < end; o += l->group) {
        for (size_t r = o + ahead; r < o + ahead + l->group && r < end; r++)
            for (size_t i = 0; i < part + 63; i += 64) _mm_prefetch(j->from + r * row + at * l->taps * j->from_bytes + i, _MM_HINT_T0);
        const char *low = j->from + (o * j->row + at * l->taps) * j->from_bytes, *high = o + 1 < l->outputs ? low + j->row * j->from_bytes : NULL;
        char *to = j->to + (block * l->block_step + o * l->block) * bytes;
        size_t i = pairs && high ? pair_rows(low, high, inputs, to) : 0;
        for (to += i * l->group * bytes; i < l->block; i += 16, to += 16 * l->group * bytes) {
            size_t n = i < inputs ? inputs - i : 0, skip = n ? i * l->taps * j->from_bytes : 0;
            const char *second = high ? high + skip : NULL;
            if (l->taps == 1) _mm512_storeu_si512(to, word(j, low + skip, second, n));
            else pack_taps(j, low + skip, second, n < 16 ? n : 16, to, l->tap_step * bytes);
        }
    }
    if (l->stream) _mm_sfence();
}

static void across_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const across_job *j = context;
    size_t groups = (j->l->outputs + j->l->group - 1) / j->l->group;
    for (size_t i = begin; i < end; i++) {
        size_t p = i % PARTS;
        pack_outputs(j, i / PARTS, groups * p / PARTS * j->l->group, groups * (p + 1) / PARTS * j->l->group);
    }
}

void blocked_pack_across(const blocked_layout *l, void *to, nn_type to_type, const void *from, nn_type from_type, int threads) {
    across_job j = { l, to, from, to_type, from_type, nn_type_bytes(from_type), l->row ? l->row : l->inputs * l->taps };
    parallel_for(threads, (l->inputs + l->block - 1) / l->block * PARTS, across_part, &j);
}

/* ---- back ----------------------------------------------------------------------------------------------------------------- */

void blocked_unpack(float *outputs, float *work, size_t inputs, size_t taps) {
    size_t row = inputs * taps, input = 0, tap = 0;   /* of the number that is read next: a row has an input's taps side by side */
    memcpy(work, outputs, 16 * row * sizeof *work);
    for (size_t k = 0; k < row; k += 16) {
        vec a[16];
        for (size_t i = 0; i < 16; i++) {
            a[i] = _mm512_loadu_ps(work + ((input / 16 * taps + tap) * 16 + input % 16) * 16);
            if (++tap == taps) tap = 0, input++;
        }
        transpose(a);
        for (size_t o = 0; o < 16; o++) _mm512_storeu_ps(outputs + o * row + k, a[o]);
    }
}
