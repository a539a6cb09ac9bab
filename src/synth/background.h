/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: what lies behind the head, linear light. */
#ifndef SYNTH_BACKGROUND_H
#define SYNTH_BACKGROUND_H

#include "synth/lanes.h"
#include "synth/render_scene.h"

/* A number 0..1 that belongs to spot i and its feature k. */
static inline float spot(const scene *s, uint32_t i, uint32_t k) {
    uint32_t h = s->face->seed * 0x9E3779B1u + i * 0x85EBCA77u + k * 0xC2B2AE3Du;
    h ^= h >> 15, h *= 0x2C1B3C6Du, h ^= h >> 12, h *= 0x297A2D39u, h ^= h >> 15;
    return (float)(h >> 8) * (1.0f / 16777216);
}

static inline v3 background_at(const scene *s, vf px, vf py) {
    float side = (float)(s->width < s->height ? s->width : s->height);
    vf u = px * (1 / side), v = py * (1 / side), edge = splat(0.7f / side);
    v3 a = v3_splat(s->back_a), b = v3_splat(s->back_b), c = a;
    switch (s->face->background) {
    case SYNTH_BACKGROUND_GRADIENT:
        c = v3_mix(a, b, clamp01(v + 0.3f * (spot(s, 0, 9) - 0.5f) * u));
        break;
    case SYNTH_BACKGROUND_BOKEH:
        c = v3_mix(a, v3_scale(a, splat(0.6f)), clamp01(v));
        for (uint32_t i = 0; i < 14; i++) {
            float radius = 0.03f + 0.1f * spot(s, i, 2), x = 1.1f * spot(s, i, 0) - 0.05f, y = 1.1f * spot(s, i, 1) - 0.05f, glow = 0.7f + 0.9f * spot(s, i, 3);
            vf inside = cover(radius - length2(u - x, v - y), splat(0.1f * radius) + edge) * (0.25f + 0.5f * spot(s, i, 4));
            c = v3_mix(c, v3_scale(v3_mix(a, b, splat(spot(s, i, 5))), splat(glow)), inside);
        }
        break;
    case SYNTH_BACKGROUND_BLOCKS:
        for (uint32_t i = 0; i < 9; i++) {
            float w = 0.05f + 0.22f * spot(s, i, 2), h = 0.05f + 0.3f * spot(s, i, 3), x = spot(s, i, 0), y = spot(s, i, 1);
            vf inside = cover(vmin(w - vabs(u - x), h - vabs(v - y)), edge) * (0.35f + 0.5f * spot(s, i, 4));
            c = v3_mix(c, v3_scale(b, splat(0.5f + 0.8f * spot(s, i, 5))), inside);
        }
        break;
    case SYNTH_BACKGROUND_CLOUDS:
        c = v3_mix(a, b, clamp01(1.4f * (0.6f * noise2(u * 3, v * 3, s->face->seed) + 0.3f * noise2(u * 7, v * 7, s->face->seed + 1) +
                                         0.1f * noise2(u * 17, v * 17, s->face->seed + 2)) - 0.2f));
        break;
    default: break;
    }
    vf away = sq(u - 0.5f * (float)s->width / side) + sq(v - 0.5f * (float)s->height / side);
    return v3_scale(c, 1 - 0.35f * vmin(away, splat(1)));
}

#endif
