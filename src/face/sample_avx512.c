/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

#include "face/sample.h"

/* (1-d)*a in f64, d*b in f32, their sum in f64, rounded: as the scalar blend. */
static inline __m256 blend(__m256 a, __m256 b, __m512d keep, __m256 d) {
    return _mm512_cvtpd_ps(_mm512_add_pd(_mm512_mul_pd(keep, _mm512_cvtps_pd(a)), _mm512_cvtps_pd(_mm256_mul_ps(d, b))));
}

void sample_pixel_avx512(float *out, const float *const q[4], float dx, float dy, size_t channels) {
    const __m512d keep_x = _mm512_set1_pd(1.0 - (double)dx), keep_y = _mm512_set1_pd(1.0 - (double)dy);
    const __m256 vx = _mm256_set1_ps(dx), vy = _mm256_set1_ps(dy);
    for (size_t c = 0; c < channels; c += 8) {
        __mmask8 tail = channels - c >= 8 ? 0xff : (__mmask8)((1u << (channels - c)) - 1);
        __m256 v[4];
        for (int i = 0; i < 4; i++) v[i] = q[i] ? _mm256_maskz_loadu_ps(tail, q[i] + c) : _mm256_setzero_ps();
        __m256 above = blend(v[0], v[1], keep_x, vx), below = blend(v[2], v[3], keep_x, vx);
        _mm256_mask_storeu_ps(out + c, tail, blend(above, below, keep_y, vy));
    }
}
