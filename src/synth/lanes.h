/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: arithmetic on as many rays as a register holds, 4, 8 or 16 by the including file's instruction set. A lane never
 * sees another, and only + - * / sqrt, comparisons and whole numbers are used, so that each lane's bits are the same at every level. */
#ifndef SYNTH_LANES_H
#define SYNTH_LANES_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
enum { LANES = 16 };
#elif defined __AVX2__
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float    vf __attribute__((vector_size(4 * LANES)));
typedef int32_t  vi __attribute__((vector_size(4 * LANES)));   /* also masks: -1 true, 0 false */
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));

#define LANE static inline __attribute__((always_inline, unused))

LANE vf splat(float x) { return x - (vf){ 0 }; }
LANE vi isplat(int x) { return x - (vi){ 0 }; }
LANE vf vload(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
LANE void vstore(float *p, vf v) { memcpy(p, &v, sizeof v); }

#if defined __AVX512F__
LANE vf vmin(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
LANE vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
LANE vf vsqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
LANE bool any(vi m) { return _mm512_movepi32_mask((__m512i)m) != 0; }
LANE vf choose(vi m, vf a, vf b) { return (vf)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)m), (__m512)b, (__m512)a); }
#elif defined __AVX2__
LANE vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
LANE vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
LANE vf vsqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
LANE bool any(vi m) { return _mm256_movemask_ps((__m256)m) != 0; }
LANE vf choose(vi m, vf a, vf b) { return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m); }
#else
LANE vf vmin(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
LANE vf vmax(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
LANE vf vsqrt(vf a) { return (vf)_mm_sqrt_ps((__m128)a); }
LANE bool any(vi m) { return _mm_movemask_ps((__m128)m) != 0; }
LANE vf choose(vi m, vf a, vf b) { return (vf)(((vi)a & m) | ((vi)b & ~m)); }
#endif

LANE vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }
LANE vf clamp(vf x, float lo, float hi) { return vmin(vmax(x, splat(lo)), splat(hi)); }
LANE vf clamp01(vf x) { return clamp(x, 0, 1); }
LANE vf mix(vf a, vf b, vf t) { return a + (b - a) * t; }
LANE vf sq(vf a) { return a * a; }
LANE vf length2(vf a, vf b) { return vsqrt(a * a + b * b); }
LANE vf length3(vf a, vf b, vf c) { return vsqrt(a * a + b * b + c * c); }

/* 0 below a, 1 above b. */
LANE vf ramp(vf x, float a, float b) { return clamp01((x - a) * (1 / (b - a))); }
LANE vf smoothstep(vf x, float a, float b) { vf t = ramp(x, a, b); return t * t * (3 - 2 * t); }
/* The share of a pixel, `edge` wide each way, that lies where x > 0. */
LANE vf cover(vf x, vf edge) { vf t = clamp01(x / edge * 0.5f + 0.5f); return t * t * (3 - 2 * t); }
/* A bell: 1 at 0, half at 0.6, 0 from 1.5 on. */
LANE vf bell(vf x) { vf t = vmax(1 - x * x * 0.4444f, splat(0)); t *= t; return t * t; }

/* The whole part below; for |x| < 2^31. */
LANE vi ifloor(vf x) { vi i = __builtin_convertvector(x, vi); return i + (vi)(x < __builtin_convertvector(i, vf)); }
LANE vf vfloor(vf x) { return __builtin_convertvector(ifloor(x), vf); }

/* sin(2 pi x): a polynomial on the folded quarter, to 2e-5. */
LANE vf sine_turns(vf x) {
    vf t = x - vfloor(x + 0.5f);                       /* -1/2..1/2 */
    t = choose(vabs(t) > splat(0.25f), choose(t > splat(0), splat(0.5f), splat(-0.5f)) - t, t);
    vf s = t * t;
    return t * (6.2831853f + s * (-41.341702f + s * (81.605249f + s * (-76.705859f + s * 41.0f))));
}

/* The angle of (x, y) in turns, -1/2..1/2, 0 along x: to 1e-4. */
LANE vf angle_turns(vf y, vf x) {
    vf ax = vabs(x), ay = vabs(y), most = vmax(ax, ay) + 1e-9f, t = vmin(ax, ay) / most, s = t * t;
    vf a = t * (0.15915494f + s * (-0.0529f + s * (0.0300f + s * -0.01130f)));
    a = choose(ay > ax, 0.25f - a, a);
    a = choose(x < splat(0), 0.5f - a, a);
    return choose(y < splat(0), -a, a);
}

/* ---- noise: whole numbers hashed ------------------------------------------------------------------------------------ */

LANE vf hash3(vi x, vi y, vi z, uint32_t seed) {
    vu h = (vu)x * 0x9E3779B1u + (vu)y * 0x85EBCA77u + (vu)z * 0xC2B2AE3Du + seed;
    h ^= h >> 15; h *= 0x2C1B3C6Du; h ^= h >> 12; h *= 0x297A2D39u; h ^= h >> 15;
    return __builtin_convertvector((vi)(h >> 8), vf) * (1.0f / 16777216);
}
/* Smooth noise, 0..1, of cells of size 1. */
LANE vf noise2(vf x, vf y, uint32_t seed) {
    vi i = ifloor(x), j = ifloor(y), o = isplat(0);
    vf u = x - __builtin_convertvector(i, vf), v = y - __builtin_convertvector(j, vf);
    u = u * u * (3 - 2 * u), v = v * v * (3 - 2 * v);
    return mix(mix(hash3(i, j, o, seed), hash3(i + 1, j, o, seed), u), mix(hash3(i, j + 1, o, seed), hash3(i + 1, j + 1, o, seed), u), v);
}
LANE vf noise3(vf x, vf y, vf z, uint32_t seed) {
    vi i = ifloor(x), j = ifloor(y), k = ifloor(z);
    vf u = x - __builtin_convertvector(i, vf), v = y - __builtin_convertvector(j, vf), w = z - __builtin_convertvector(k, vf);
    u = u * u * (3 - 2 * u), v = v * v * (3 - 2 * v), w = w * w * (3 - 2 * w);
    vf near = mix(mix(hash3(i, j, k, seed), hash3(i + 1, j, k, seed), u), mix(hash3(i, j + 1, k, seed), hash3(i + 1, j + 1, k, seed), u), v);
    vf far = mix(mix(hash3(i, j, k + 1, seed), hash3(i + 1, j, k + 1, seed), u),
                 mix(hash3(i, j + 1, k + 1, seed), hash3(i + 1, j + 1, k + 1, seed), u), v);
    return mix(near, far, w);
}

/* ---- three of them ---------------------------------------------------------------------------------------------------- */

typedef struct { vf x, y, z; } v3;

LANE v3 v3_add(v3 a, v3 b) { return (v3){ a.x + b.x, a.y + b.y, a.z + b.z }; }
LANE v3 v3_scale(v3 a, vf s) { return (v3){ a.x * s, a.y * s, a.z * s }; }
LANE v3 v3_mul(v3 a, v3 b) { return (v3){ a.x * b.x, a.y * b.y, a.z * b.z }; }
LANE v3 v3_mix(v3 a, v3 b, vf t) { return (v3){ mix(a.x, b.x, t), mix(a.y, b.y, t), mix(a.z, b.z, t) }; }
LANE v3 v3_choose(vi m, v3 a, v3 b) { return (v3){ choose(m, a.x, b.x), choose(m, a.y, b.y), choose(m, a.z, b.z) }; }
LANE vf v3_dot(v3 a, v3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
LANE v3 v3_along(v3 o, v3 d, vf t) { return v3_add(o, v3_scale(d, t)); }
LANE v3 v3_unit(v3 a) { return v3_scale(a, 1 / vsqrt(v3_dot(a, a) + 1e-20f)); }
LANE v3 v3_of(float x, float y, float z) { return (v3){ splat(x), splat(y), splat(z) }; }
LANE v3 v3_splat(const float a[3]) { return v3_of(a[0], a[1], a[2]); }

#endif
