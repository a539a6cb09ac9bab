/* SPDX-License-Identifier: Apache-2.0
 *
 * Sixteen by sixteen numbers at a time: lines of sixteen words, of which each becomes a column. */
#include "nn/cpu/transpose_avx512.h"
#include "nn/cpu/turned.h"

enum { LINE = 64 };

/* Eight lines, of which line k has in lane o the numbers 2k and 2k + 1 of channel o, become eight that have in lane i the numbers of channels 2k and 2k + 1 at i. */
static inline void turn_pairs(__m512i a[8]) {
    const __m512i sides = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    __m512i b[8];
    for (int k = 0; k < 8; k++) a[k] = _mm512_shuffle_epi8(a[k], sides);   /* channels side by side: what is left is to transpose 8 x 8 units of 64 bits */
    for (int k = 0; k < 8; k += 2) {
        b[k] = _mm512_unpacklo_epi64(a[k], a[k + 1]);
        b[k + 1] = _mm512_unpackhi_epi64(a[k], a[k + 1]);
    }
    for (int half = 0; half < 2; half++) {   /* quarter q of b[2i + half] has column 2q + half of rows 2i, 2i + 1 */
        __m512i low = _mm512_shuffle_i64x2(b[half], b[2 + half], 0x88), high = _mm512_shuffle_i64x2(b[half], b[2 + half], 0xdd);
        __m512i low2 = _mm512_shuffle_i64x2(b[4 + half], b[6 + half], 0x88), high2 = _mm512_shuffle_i64x2(b[4 + half], b[6 + half], 0xdd);
        a[half] = _mm512_shuffle_i64x2(low, low2, 0x88);
        a[2 + half] = _mm512_shuffle_i64x2(high, high2, 0x88);
        a[4 + half] = _mm512_shuffle_i64x2(low, low2, 0xdd);
        a[6 + half] = _mm512_shuffle_i64x2(high, high2, 0xdd);
    }
}

static inline void turn_numbers(__m512i a[16]) {
    __m512 b[16];
    for (int k = 0; k < 16; k++) b[k] = _mm512_castsi512_ps(a[k]);
    transpose(b);
    for (int k = 0; k < 16; k++) a[k] = _mm512_castps_si512(b[k]);
}

/* Lines that the caches can't hold until they are read need not be fetched before they are written. */
static inline void put(char *to, __m512i x, bool stream) {
    if (stream) _mm512_stream_si512((void *)to, x);
    else _mm512_store_si512(to, x);
}

/* Lines of a tile of sixteen by sixteen numbers, from_step bytes apart, while those of the next tile are fetched. */
static inline void take(__m512i *a, size_t n, const char *from, size_t from_step, ptrdiff_t ahead) {
    for (size_t k = 0; k < n; k++) {
        a[k] = _mm512_loadu_si512(from + k * from_step);
        _mm_prefetch(from + k * from_step + ahead, _MM_HINT_T0);
    }
}

static inline void turn_all(const turned_tile *t, size_t words, bool stream) {
    size_t from_step = t->from_width * LINE, to_step = t->to_width * LINE;
    for (size_t tap = 0; tap < t->taps; tap++)
        for (size_t p = 0; p < t->to_panels; p++)
            for (size_t q = 0; q < t->from_panels; q++) {
                char *to = t->to + tap * t->to_tap + q * words * to_step + p * LINE;
                __m512i a[16];
                take(a, words, t->from + tap * t->from_tap + p * words * from_step + q * LINE, from_step, tap + 1 < t->taps ? (ptrdiff_t)t->from_tap : t->ahead);
                if (words == 8) turn_pairs(a);
                else turn_numbers(a);
                for (size_t k = 0; k < words; k++) put(to + k * to_step, a[k], stream);
            }
    if (stream) _mm_sfence();
}

void turned_tile_bf16(const turned_tile *t) { t->stream ? turn_all(t, 8, true) : turn_all(t, 8, false); }
void turned_tile_f32(const turned_tile *t) { t->stream ? turn_all(t, 16, true) : turn_all(t, 16, false); }
