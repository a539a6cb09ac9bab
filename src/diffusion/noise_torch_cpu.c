/* SPDX-License-Identifier: Apache-2.0
 *
 * torch.randn and torch.rand with a CPU generator, as torch 2.9.1 computes them on x86-64 with AVX2 or more: MT19937
 * (Matsumoto and Nishimura 1998), then Box and Muller's transform, from 16 values on with the logarithm, sine and cosine of the Cephes library
 * in single precision (Moshier), every multiply followed by an add fused. The order of operations below is therefore part of the
 * answer. */
#include <math.h>
#include <string.h>

#include "diffusion/noise_inside.h"

enum { WORDS = 624, SHIFT = 397, BLOCK = 16 };

/* ---- MT19937 ---- */

void noise_torch_cpu_seed(noise_source *s) {
    s->state[0] = (uint32_t)s->seed;
    for (uint32_t i = 1; i < WORDS; i++) s->state[i] = 1812433253u * (s->state[i - 1] ^ s->state[i - 1] >> 30) + i;
    s->at = WORDS;
}

static uint32_t twist(uint32_t high, uint32_t low) {
    uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return y >> 1 ^ (low & 1 ? 0x9908b0dfu : 0);
}

static void next_state(uint32_t s[WORDS]) {
    int i = 0;
    for (; i < WORDS - SHIFT; i++) s[i] = s[i + SHIFT] ^ twist(s[i], s[i + 1]);
    for (; i < WORDS - 1; i++) s[i] = s[i + SHIFT - WORDS] ^ twist(s[i], s[i + 1]);
    s[i] = s[SHIFT - 1] ^ twist(s[i], s[0]);
}

static uint32_t next_word(noise_source *s) {
    if (s->at == WORDS) next_state(s->state), s->at = 0;
    uint32_t y = s->state[s->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

static float next_unit(noise_source *s) { return (float)(next_word(s) & 0xffffff) * 0x1p-24f; }

static double next_unit_double(noise_source *s) {
    uint64_t high = next_word(s), low = next_word(s);
    return (double)((high << 32 | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

void noise_torch_cpu_uniform(noise_source *s, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = next_unit(s);
}

/* ---- Cephes in single precision ---- */

/* The natural logarithm of x in (0,1]. */
static float log_cephes(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    float e = (float)((int)(bits >> 23) - 126);   /* x = m 2^e, m in [0.5,1) */
    bits = (bits & 0x007fffffu) | 0x3f000000u;
    float m;
    memcpy(&m, &bits, sizeof m);
    bool low = m < 0.707106781186547524f;
    float r = m - 1;
    if (low) e -= 1, r += m;
    float z = r * r;
    float y = 7.0376836292e-2f;
    y = fmaf(y, r, -1.1514610310e-1f);
    y = fmaf(y, r, 1.1676998740e-1f);
    y = fmaf(y, r, -1.2420140846e-1f);
    y = fmaf(y, r, 1.4249322787e-1f);
    y = fmaf(y, r, -1.6668057665e-1f);
    y = fmaf(y, r, 2.0000714765e-1f);
    y = fmaf(y, r, -2.4999993993e-1f);
    y = fmaf(y, r, 3.3333331174e-1f);
    y = y * r;
    y = fmaf(y, z, e * -2.12194440e-4f);
    y = fmaf(z, -0.5f, y);
    r = r + y;
    return fmaf(e, 0.693359375f, r);
}

/* Of x in [0, 2 pi]. */
static void sincos_cephes(float x, float *sine, float *cosine) {
    int octant = ((int)(x * 1.27323954473516f) + 1) & ~1;   /* x * 4 / pi, to the next even number */
    float o = (float)octant;
    float r = fmaf(o, -0.78515625f, x);
    r = fmaf(o, -2.4187564849853515625e-4f, r);
    r = fmaf(o, -3.77489497744594108e-8f, r);
    float z = r * r;
    float c = 2.443315711809948e-5f;
    c = fmaf(c, z, -1.388731625493765e-3f);
    c = fmaf(c, z, 4.166664568298827e-2f);
    c = c * z;
    c = fmaf(c, z, z * -0.5f);
    c = c + 1;
    float s = -1.9515295891e-4f;
    s = fmaf(s, z, 8.3321608736e-3f);
    s = fmaf(s, z, -1.6666654611e-1f);
    s = s * z;
    s = fmaf(s, r, r);
    bool swap = octant & 2;
    *sine = octant & 4 ? -(swap ? c : s) : swap ? c : s;
    *cosine = (octant - 2) & 4 ? (swap ? s : c) : -(swap ? s : c);
}

/* ---- Normal numbers ---- */

/* 16 uniform numbers become normal ones: the first half are radii, the second angles. */
static void transform_block(float d[BLOCK]) {
    for (int j = 0; j < BLOCK / 2; j++) {
        float radius = sqrtf(-2.0f * log_cephes(1.0f - d[j])), sine, cosine;
        sincos_cephes(6.28318530717958647692f * d[j + BLOCK / 2], &sine, &cosine);
        d[j] = radius * cosine;
        d[j + BLOCK / 2] = radius * sine;
    }
}

/* Fewer than 16 are computed in double precision, two at a time; one that is left over comes first in the next such draw, however
 * many larger ones lie between. */
static void few(noise_source *s, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (s->has_next) {
            out[i] = (float)s->next;
            s->has_next = false;
            continue;
        }
        double u1 = next_unit_double(s), u2 = next_unit_double(s);
        double radius = sqrt(-2.0 * log1p(-u2)), theta = 2.0 * 3.14159265358979323846 * u1;
        s->next = radius * sin(theta);
        s->has_next = true;
        out[i] = (float)(radius * cos(theta));
    }
}

void noise_torch_cpu_normal(noise_source *s, float *out, size_t n) {
    if (n < BLOCK) {
        few(s, out, n);
        return;
    }
    for (size_t i = 0; i < n; i++) out[i] = next_unit(s);
    for (size_t i = 0; i + BLOCK <= n; i += BLOCK) transform_block(out + i);
    if (n % BLOCK == 0) return;
    /* The last 16 anew, though some of them were good. */
    float *last = out + n - BLOCK;
    for (size_t i = 0; i < BLOCK; i++) last[i] = next_unit(s);
    transform_block(last);
}
