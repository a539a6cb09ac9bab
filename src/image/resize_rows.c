/* SPDX-License-Identifier: Apache-2.0 */
#include "image/resize_rows.h"

void resize_horizontal_plain(const resize_coefficients *c, int width, const uint8_t *in, const uint8_t *end, uint8_t *out) {
    (void)end;
    for (int x = 0; x < width; x++, out += 3) {
        const uint8_t *p = in + (size_t)c->first[x] * 3;
        const int32_t *w = c->weight + (size_t)x * (size_t)c->taps;
        int32_t r = RESIZE_HALF, g = RESIZE_HALF, b = RESIZE_HALF;
        for (int i = 0; i < c->count[x]; i++, p += 3) {
            r += p[0] * w[i];
            g += p[1] * w[i];
            b += p[2] * w[i];
        }
        out[0] = resize_clip(r);
        out[1] = resize_clip(g);
        out[2] = resize_clip(b);
    }
}

/* In blocks, so that the sums stay in registers. */
void resize_vertical_plain(const int32_t *weight, int count, const uint8_t *in, size_t stride, size_t bytes, uint8_t *out) {
    enum { BLOCK = 32 };
    size_t at = 0;
    for (; at + BLOCK <= bytes; at += BLOCK) {
        int32_t sum[BLOCK];
        for (int i = 0; i < BLOCK; i++) sum[i] = RESIZE_HALF;
        for (int y = 0; y < count; y++) {
            const uint8_t *row = in + (size_t)y * stride + at;
            for (int i = 0; i < BLOCK; i++) sum[i] += row[i] * weight[y];
        }
        for (int i = 0; i < BLOCK; i++) out[at + (size_t)i] = resize_clip(sum[i]);
    }
    for (; at < bytes; at++) {
        int32_t sum = RESIZE_HALF;
        for (int y = 0; y < count; y++) sum += in[(size_t)y * stride + at] * weight[y];
        out[at] = resize_clip(sum);
    }
}
