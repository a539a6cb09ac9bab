/* SPDX-License-Identifier: Apache-2.0
 *
 * Sixteen vectors of sixteen 32-bit numbers, transposed. */
#ifndef NN_CPU_TRANSPOSE_AVX512_H
#define NN_CPU_TRANSPOSE_AVX512_H

#include <immintrin.h>

/* a[i] lane j becomes a[j] lane i. */
static inline void transpose(__m512 a[16]) {
    __m512 b[16];
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {   /* a[i + c]: in each quarter q, column 4q + c of rows i..i+3 */
        a[i] = _mm512_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm512_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    for (int c = 0; c < 4; c++) {
        __m512 low01 = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88), high01 = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd);
        __m512 low23 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88), high23 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
        b[c] = _mm512_shuffle_f32x4(low01, low23, 0x88);
        b[4 + c] = _mm512_shuffle_f32x4(high01, high23, 0x88);
        b[8 + c] = _mm512_shuffle_f32x4(low01, low23, 0xdd);
        b[12 + c] = _mm512_shuffle_f32x4(high01, high23, 0xdd);
    }
    for (int i = 0; i < 16; i++) a[i] = b[i];
}

#endif
