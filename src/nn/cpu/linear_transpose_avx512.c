/* SPDX-License-Identifier: Apache-2.0
 *
 * The left operand of a gradient of weights: sixteen columns of thirty-two rows at a time. */
#include "nn/cpu/linear_isa.h"
#include "nn/cpu/transpose_avx512.h"

static inline __m256i columns_of(const uint16_t *row, __mmask16 some) { return _mm256_maskz_loadu_epi16(some, row); }

/* Sixteen words of sixteen columns; `rows` of theirs are there. */
static inline void transpose_square(const uint16_t *dy, size_t step, size_t rows, __mmask16 some, char *to, size_t to_row) {
    __m512 a[16];
    for (size_t i = 0; i < 16; i++) {
        const uint16_t *low = 2 * i < rows ? dy + 2 * i * step : dy, *high = 2 * i + 1 < rows ? low + step : dy;
        __m512i first = _mm512_cvtepu16_epi32(columns_of(low, 2 * i < rows ? some : 0)), second = _mm512_cvtepu16_epi32(columns_of(high, 2 * i + 1 < rows ? some : 0));
        a[i] = _mm512_castsi512_ps(_mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
    }
    transpose(a);
    for (size_t c = 0; c < 16; c++) _mm512_storeu_ps(to + c * to_row, a[c]);
}

void linear_transpose(const uint16_t *dy, size_t step, size_t rows, size_t columns, char *to, size_t to_row) {
    for (size_t r = 0; r < rows; r += 32)
        for (size_t c = 0; c < columns; c += 16) {
            size_t left = columns - c;
            transpose_square(dy + r * step + c, step, rows - r, left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff, to + c * to_row + r * 2, to_row);
        }
}
