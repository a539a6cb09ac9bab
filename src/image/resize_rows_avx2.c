/* SPDX-License-Identifier: Apache-2.0 */
#include "image/resize_rows.h"

#include <immintrin.h>
#include <string.h>

/* Pixels 0 and 1 of 12 bytes as 16-bit pairs (r0 r1, g0 g1, b0 b1) in the low half, pixels 2 and 3 in the high one. */
#define N -1
static const int8_t pairs[32] = { 0, N, 3, N, 1, N, 4, N, 2, N, 5, N, N, N, N, N,
                                  6, N, 9, N, 7, N, 10, N, 8, N, 11, N, N, N, N, N };
#undef N

/* Four taps at a time. A weight has 24 bits, and the multiplier 16: so high and low part go separately. The sums of the
 * parts may wrap; the whole, taken modulo 2^32, is what it should be. */
void resize_horizontal_avx2(const resize_coefficients *c, int width, const uint8_t *in, const uint8_t *end, uint8_t *out) {
    const __m256i shuffle = _mm256_loadu_si256((const __m256i *)pairs), spread = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    for (int x = 0; x < width; x++, out += 3) {
        const uint8_t *p = in + (size_t)c->first[x] * 3;
        const int16_t *w = c->split + (size_t)x * (size_t)c->taps * 2;
        __m256i low = _mm256_setzero_si256(), high = low;
        for (int i = 0; i < c->count[x]; i += 4, p += 12, w += 8) {
            __m128i bytes;
            if (end - p >= 16) bytes = _mm_loadu_si128((const __m128i *)p);
            else {   /* the picture's last pixels */
                uint8_t rest[16] = { 0 };
                memcpy(rest, p, (size_t)(end - p));
                bytes = _mm_loadu_si128((const __m128i *)rest);
            }
            __m256i v = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), shuffle);
            __m256i weights = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)w));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(v, _mm256_permutevar8x32_epi32(weights, spread)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(v, _mm256_permutevar8x32_epi32(weights, _mm256_add_epi32(spread, _mm256_set1_epi32(2)))));
        }
        __m256i both = _mm256_add_epi32(low, _mm256_slli_epi32(high, 15));
        __m128i sum = _mm_add_epi32(_mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)), _mm_set1_epi32(RESIZE_HALF));
        sum = _mm_srai_epi32(sum, RESIZE_PRECISION);
        sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);   /* both clip */
        uint32_t rgb = (uint32_t)_mm_cvtsi128_si32(sum);
        memcpy(out, &rgb, 3);
    }
}

static inline __m256i weigh(__m256i sum, const uint8_t *p, __m256i weight) {
    return _mm256_add_epi32(sum, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)), weight));
}

void resize_vertical_avx2(const int32_t *weight, int count, const uint8_t *in, size_t stride, size_t bytes, uint8_t *out) {
    size_t at = 0;
    for (; at + 32 <= bytes; at += 32) {
        __m256i half = _mm256_set1_epi32(RESIZE_HALF), a = half, b = half, c = half, d = half;
        const uint8_t *p = in + at;
        for (int y = 0; y < count; y++, p += stride) {
            __m256i w = _mm256_set1_epi32(weight[y]);
            a = weigh(a, p, w);
            b = weigh(b, p + 8, w);
            c = weigh(c, p + 16, w);
            d = weigh(d, p + 24, w);
        }
        a = _mm256_packs_epi32(_mm256_srai_epi32(a, RESIZE_PRECISION), _mm256_srai_epi32(b, RESIZE_PRECISION));
        c = _mm256_packs_epi32(_mm256_srai_epi32(c, RESIZE_PRECISION), _mm256_srai_epi32(d, RESIZE_PRECISION));
        a = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, c), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));   /* packing goes by halves */
        _mm256_storeu_si256((__m256i *)(out + at), a);
    }
    for (; at < bytes; at++) {
        int32_t sum = RESIZE_HALF;
        for (int y = 0; y < count; y++) sum += in[(size_t)y * stride + at] * weight[y];
        out[at] = resize_clip(sum);
    }
}
