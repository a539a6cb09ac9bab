/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

#include "face/sample.h"

/* (1-d)*a in f64, d*b in f32, their sum in f64, rounded: as the scalar blend. */
static inline __m128 blend(__m128 a, __m128 b, __m256d keep, __m128 d) {
    return _mm256_cvtpd_ps(_mm256_add_pd(_mm256_mul_pd(keep, _mm256_cvtps_pd(a)), _mm256_cvtps_pd(_mm_mul_ps(d, b))));
}

void sample_pixel_avx2(float *out, const float *const q[4], float dx, float dy, size_t channels) {
    const __m256d keep_x = _mm256_set1_pd(1.0 - (double)dx), keep_y = _mm256_set1_pd(1.0 - (double)dy);
    const __m128 vx = _mm_set1_ps(dx), vy = _mm_set1_ps(dy);
    size_t c = 0;
    for (; c + 4 <= channels; c += 4) {
        __m128 v[4];
        for (int i = 0; i < 4; i++) v[i] = q[i] ? _mm_loadu_ps(q[i] + c) : _mm_setzero_ps();
        __m128 above = blend(v[0], v[1], keep_x, vx), below = blend(v[2], v[3], keep_x, vx);
        _mm_storeu_ps(out + c, blend(above, below, keep_y, vy));
    }
    if (c == channels) return;
    const float *rest[4];
    for (int i = 0; i < 4; i++) rest[i] = q[i] ? q[i] + c : NULL;
    sample_pixel(out + c, rest, dx, dy, channels - c);
}
