/* SPDX-License-Identifier: Apache-2.0 */
#include "image/warp.h"

#include <assert.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "image/warp_rows.h"

typedef struct { float x, y; } corner;

/* Bottom-left, top-left, top-right, bottom-right. The detour over degrees is the reference's, and so is every rounding. */
static void rect_corners(warp_rect r, corner p[4]) {
    float degrees = (float)((double)(r.rotation * 180.0f) / M_PI);
    double t = (double)degrees * M_PI / 180.0;
    float b = (float)cos(t) * 0.5f, a = (float)sin(t) * 0.5f;
    p[0] = (corner){ r.cx - a * r.height - b * r.width, r.cy + b * r.height - a * r.width };
    p[1] = (corner){ r.cx + a * r.height - b * r.width, r.cy - b * r.height - a * r.width };
    p[2] = (corner){ 2 * r.cx - p[0].x, 2 * r.cy - p[0].y };
    p[3] = (corner){ 2 * r.cx - p[1].x, 2 * r.cy - p[1].y };
}

/* Solves a [8x8] x = b in place; false if singular. */
static bool solve8(double a[8][8], double b[8]) {
    for (int i = 0; i < 8; i++) {
        int pivot = i;
        for (int j = i + 1; j < 8; j++)
            if (fabs(a[j][i]) > fabs(a[pivot][i])) pivot = j;
        if (!(fabs(a[pivot][i]) >= DBL_EPSILON * 100)) return false;
        for (int k = i; k < 8 && pivot != i; k++) {
            double t = a[i][k];
            a[i][k] = a[pivot][k], a[pivot][k] = t;
        }
        double t = b[i];
        b[i] = b[pivot], b[pivot] = t;
        double d = -1 / a[i][i];
        for (int j = i + 1; j < 8; j++) {
            double f = a[j][i] * d;
            for (int k = i + 1; k < 8; k++) a[j][k] += f * a[i][k];
            b[j] += f * b[i];
        }
    }
    for (int i = 7; i >= 0; i--) {
        double s = b[i];
        for (int k = i + 1; k < 8; k++) s -= a[i][k] * b[k];
        b[i] = s / a[i][i];
    }
    return true;
}

/* out = s^-1; all zeros if there is none. */
static void invert3(const double s[9], double out[9]) {
    double det = s[0] * (s[4] * s[8] - s[5] * s[7]) - s[1] * (s[3] * s[8] - s[5] * s[6]) + s[2] * (s[3] * s[7] - s[4] * s[6]);
    double d = det != 0 ? 1 / det : 0;
    out[0] = (s[4] * s[8] - s[5] * s[7]) * d;
    out[1] = (s[2] * s[7] - s[1] * s[8]) * d;
    out[2] = (s[1] * s[5] - s[2] * s[4]) * d;
    out[3] = (s[5] * s[6] - s[3] * s[8]) * d;
    out[4] = (s[0] * s[8] - s[2] * s[6]) * d;
    out[5] = (s[2] * s[3] - s[0] * s[5]) * d;
    out[6] = (s[3] * s[7] - s[4] * s[6]) * d;
    out[7] = (s[1] * s[6] - s[0] * s[7]) * d;
    out[8] = (s[0] * s[4] - s[1] * s[3]) * d;
}

/* From output pixels to the picture. The map is affine, but the reference finds it as a perspective one, and ties in the
 * rounding to 1/32 pixel fall differently for any other way of computing it. */
static void warp_matrix(warp_rect rect, int width, int height, double m[9]) {
    corner p[4];
    rect_corners(rect, p);
    float w = (float)width, h = (float)height;
    corner q[4] = { { 0, h }, { 0, 0 }, { w, 0 }, { w, h } };
    double a[8][8] = { 0 }, s[9];
    for (int i = 0; i < 4; i++) {
        a[i][0] = a[i + 4][3] = p[i].x;
        a[i][1] = a[i + 4][4] = p[i].y;
        a[i][2] = a[i + 4][5] = 1;
        a[i][6] = -p[i].x * q[i].x;   /* products in f32 */
        a[i][7] = -p[i].y * q[i].x;
        a[i + 4][6] = -p[i].x * q[i].y;
        a[i + 4][7] = -p[i].y * q[i].y;
        s[i] = q[i].x;
        s[i + 4] = q[i].y;
    }
    if (!solve8(a, s)) memset(s, 0, sizeof s);
    s[8] = 1;
    invert3(s, m);
}

/* v*s in 1/32 pixels, to nearest. Written so that NaN becomes INT_MAX, as minpd does in the fast paths. */
static int fixed_coordinate(double v, double s) {
    double c = v * s;
    c = c < INT_MAX ? c : INT_MAX;
    return (int)lrint(c > INT_MIN ? c : INT_MIN);
}

static const uint8_t outside[3];

/* sx and sy are not cut to int16 as in the reference: it matters only in pictures larger than that, which it refuses. */
static const uint8_t *tap(const warp_job *job, int x, int y) {
    int w = job->in->width, h = job->in->height;
    if (job->border == WARP_ZERO && (x < 0 || y < 0 || x >= w || y >= h)) return outside;
    x = x < 0 ? 0 : x >= w ? w - 1 : x;
    y = y < 0 ? 0 : y >= h ? h - 1 : y;
    return job->in->rgb + ((size_t)y * (size_t)w + (size_t)x) * 3;
}

static void warp_sample(const warp_job *job, int x, int y, uint8_t out[3]) {
    const double *m = job->m;
    double xb = x / WARP_BLOCK * WARP_BLOCK, x1 = x % WARP_BLOCK;
    double d = (m[6] * xb + m[7] * y + m[8]) + m[6] * x1, s = d != 0 ? 32 / d : 0;
    int fixed_x = fixed_coordinate((m[0] * xb + m[1] * y + m[2]) + m[0] * x1, s);
    int fixed_y = fixed_coordinate((m[3] * xb + m[4] * y + m[5]) + m[3] * x1, s);
    int sx = fixed_x >> 5, fx = fixed_x & 31, sy = fixed_y >> 5, fy = fixed_y & 31;
    const uint8_t *a = tap(job, sx, sy), *b = tap(job, sx + 1, sy), *c = tap(job, sx, sy + 1), *e = tap(job, sx + 1, sy + 1);
    for (int i = 0; i < 3; i++)
        out[i] = (uint8_t)((a[i] * (32 - fx) * (32 - fy) + b[i] * fx * (32 - fy) + c[i] * (32 - fx) * fy + e[i] * fx * fy + 512) >> 10);
}

static void warp_rows(const warp_job *job, float *out) {
    float value[256];
    for (int i = 0; i < 256; i++) value[i] = fmaf((float)i, job->target.scale, job->target.offset);
    for (int y = 0; y < job->target.height; y++)
        for (int x = 0; x < job->target.width; x++, out += 3) {
            uint8_t sample[3];
            warp_sample(job, x, y, sample);
            for (int i = 0; i < 3; i++) out[i] = value[sample[i]];
        }
}

void image_warp(const image *in, warp_rect rect, warp_border border, warp_target target, cpu_level cpu, float *out) {
    assert(target.width > 0 && target.height > 0);
    warp_job job = { in, border, target, { 0 } };
    warp_matrix(rect, target.width, target.height, job.m);
    const int most = 1 << 25;   /* 32 times it fits an int */
    bool fits = in->width >= 2 && in->height >= 2 && in->width < most && in->height < most && target.width % 8 == 0;
    if (fits && cpu >= CPU_AVX512) warp_rows_avx512(&job, out);
    else if (fits && cpu >= CPU_AVX2) warp_rows_avx2(&job, out);
    else warp_rows(&job, out);
}

void image_warp_u8(const image *in, warp_rect rect, warp_border border, int width, int height, uint8_t *out) {
    warp_job job = { in, border, { width, height, 1, 0 }, { 0 } };
    warp_matrix(rect, width, height, job.m);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, out += 3) warp_sample(&job, x, y, out);
}
