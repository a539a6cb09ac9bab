/* SPDX-License-Identifier: Apache-2.0
 *
 * Four pixels at a time; otherwise as warp_rows_avx512.c, where the ideas are explained. */
#include <immintrin.h>
#include <limits.h>

#include "image/warp_rows.h"

typedef struct { __m128i at, first, second; } taps;

static inline taps taps_replicate(__m128i x, int size) {
    x = _mm_min_epi32(_mm_max_epi32(x, _mm_setzero_si128()), _mm_set1_epi32(32 * (size - 1)));
    taps t;
    t.at = _mm_min_epi32(_mm_srai_epi32(x, 5), _mm_set1_epi32(size - 2));
    t.second = _mm_sub_epi32(x, _mm_slli_epi32(t.at, 5));
    t.first = _mm_sub_epi32(_mm_set1_epi32(32), t.second);
    return t;
}

static inline taps taps_zero(__m128i x, int size) {
    __m128i s = _mm_srai_epi32(x, 5), f = _mm_and_si128(x, _mm_set1_epi32(31)), g = _mm_sub_epi32(_mm_set1_epi32(32), f);
    taps t;
    t.at = _mm_min_epi32(_mm_max_epi32(s, _mm_setzero_si128()), _mm_set1_epi32(size - 2));
    __m128i d = _mm_sub_epi32(s, t.at), in = _mm_cmpeq_epi32(d, _mm_setzero_si128());
    __m128i before = _mm_cmpeq_epi32(d, _mm_set1_epi32(-1)), after = _mm_cmpeq_epi32(d, _mm_set1_epi32(1));
    t.first = _mm_or_si128(_mm_and_si128(in, g), _mm_and_si128(before, f));
    t.second = _mm_or_si128(_mm_and_si128(in, f), _mm_and_si128(after, g));
    return t;
}

static inline __m128i fixed_coordinates(__m256d v, __m256d s) {
    __m256d c = _mm256_min_pd(_mm256_mul_pd(v, s), _mm256_set1_pd(INT_MAX));
    return _mm256_cvtpd_epi32(_mm256_max_pd(c, _mm256_set1_pd(INT_MIN)));
}

/* Four 8-byte loads; cheaper than a gather on many processors. */
static inline __m256i load4(const uint8_t *p, const long long at[4]) {
    __m128i a = _mm_loadl_epi64((const __m128i *)(p + at[0])), b = _mm_loadl_epi64((const __m128i *)(p + at[1]));
    __m128i c = _mm_loadl_epi64((const __m128i *)(p + at[2])), d = _mm_loadl_epi64((const __m128i *)(p + at[3]));
    return _mm256_set_m128i(_mm_unpacklo_epi64(c, d), _mm_unpacklo_epi64(a, b));
}

static inline void sample(const uint8_t *rgb, size_t width, taps x, taps y, __m256i *even, __m256i *odd) {
    const __m256i upper = _mm256_broadcastsi128_si256(_mm_set_epi32((int)0x80800d0a, 0x0c090b08, (int)0x80800502, 0x04010300));
    const __m256i lower = _mm256_broadcastsi128_si256(_mm_set_epi32((int)0x80800f0c, 0x0e0b0d0a, (int)0x80800704, 0x06030502));
    const __m256i pairs = _mm256_broadcastsi128_si256(_mm_set_epi32(0x09080908, 0x09080908, 0x01000100, 0x01000100));
    __m256i sum = _mm256_mul_epu32(_mm256_cvtepu32_epi64(y.at), _mm256_set1_epi64x((long long)width));
    sum = _mm256_add_epi64(sum, _mm256_cvtepu32_epi64(x.at));
    long long at[4];
    _mm256_storeu_si256((__m256i *)at, _mm256_add_epi64(sum, _mm256_add_epi64(sum, sum)));
    __m256i a = load4(rgb, at), b = load4(rgb + 3 * width - 2, at);
    __m256i wx = _mm256_cvtepu32_epi64(_mm_or_si128(x.first, _mm_slli_epi32(x.second, 8)));
    __m256i wy = _mm256_cvtepu32_epi64(_mm_or_si128(y.first, _mm_slli_epi32(y.second, 16)));
    wx = _mm256_shuffle_epi8(wx, pairs);
    a = _mm256_maddubs_epi16(_mm256_shuffle_epi8(a, upper), wx);
    b = _mm256_maddubs_epi16(_mm256_shuffle_epi8(b, lower), wx);
    __m256i e = _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), _mm256_shuffle_epi32(wy, 0x00));
    __m256i o = _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), _mm256_shuffle_epi32(wy, 0xaa));
    *even = _mm256_srli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(512)), 10);
    *odd = _mm256_srli_epi32(_mm256_add_epi32(o, _mm256_set1_epi32(512)), 10);
}

/* Each pixel's fourth float is overwritten by the next pixel; the last is stored from one float earlier. */
static inline void store(float *out, __m256i even, __m256i odd, __m256 scale, __m256 offset) {
    __m256 e = _mm256_fmadd_ps(_mm256_cvtepi32_ps(even), scale, offset), o = _mm256_fmadd_ps(_mm256_cvtepi32_ps(odd), scale, offset);
    __m128 p2 = _mm256_extractf128_ps(e, 1), p3 = _mm256_extractf128_ps(o, 1);
    _mm_storeu_ps(out, _mm256_castps256_ps128(e));
    _mm_storeu_ps(out + 3, _mm256_castps256_ps128(o));
    _mm_storeu_ps(out + 6, p2);
    _mm_storeu_ps(out + 8, _mm_blend_ps(_mm_permute_ps(p3, 0x90), _mm_permute_ps(p2, 0x02), 1));
}

void warp_rows_avx2(const warp_job *job, float *out) {
    const image *in = job->in;
    const double *m = job->m;
    const __m256d m0 = _mm256_set1_pd(m[0]), m3 = _mm256_set1_pd(m[3]), m6 = _mm256_set1_pd(m[6]);
    const __m256 scale = _mm256_set1_ps(job->target.scale), offset = _mm256_set1_ps(job->target.offset);
    for (int y = 0; y < job->target.height; y++)
        for (int xb = 0; xb < job->target.width; xb += WARP_BLOCK) {
            const __m256d x0 = _mm256_set1_pd(m[0] * xb + m[1] * y + m[2]), y0 = _mm256_set1_pd(m[3] * xb + m[4] * y + m[5]);
            const __m256d d0 = _mm256_set1_pd(m[6] * xb + m[7] * y + m[8]);
            int n = job->target.width - xb < WARP_BLOCK ? job->target.width - xb : WARP_BLOCK;
            __m256d i = _mm256_setr_pd(0, 1, 2, 3);
            for (int x = 0; x < n; x += 4, out += 12, i = _mm256_add_pd(i, _mm256_set1_pd(4))) {
                __m256d d = _mm256_add_pd(d0, _mm256_mul_pd(m6, i));
                __m256d s = _mm256_and_pd(_mm256_div_pd(_mm256_set1_pd(32), d), _mm256_cmp_pd(d, _mm256_setzero_pd(), _CMP_NEQ_UQ));
                __m128i fx = fixed_coordinates(_mm256_add_pd(x0, _mm256_mul_pd(m0, i)), s);
                __m128i fy = fixed_coordinates(_mm256_add_pd(y0, _mm256_mul_pd(m3, i)), s);
                bool zero = job->border == WARP_ZERO;
                taps tx = zero ? taps_zero(fx, in->width) : taps_replicate(fx, in->width);
                taps ty = zero ? taps_zero(fy, in->height) : taps_replicate(fy, in->height);
                __m256i even, odd;
                sample(in->rgb, (size_t)in->width, tx, ty, &even, &odd);
                store(out, even, odd, scale, offset);
            }
        }
}
