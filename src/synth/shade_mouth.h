/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: lips are painted; the open mouth is a window to teeth and tongue that lie deeper. */
#ifndef SYNTH_SHADE_MOUTH_H
#define SYNTH_SHADE_MOUTH_H

#include "synth/shade.h"

LANE v3 lip_colour(const met *m, const mouth_curves *c, v3 skin) {
    vf y = m->p.y, edge = m->pixel * 0.7f + 0.03f;
    vf upper = cover(vmin(y - c->upper, c->upper + c->up - y) + edge * 0.3f, edge), lower = cover(vmin(c->lower - y, y - c->lower + c->down) + edge * 0.3f, edge);
    vf in = smoothstep(c->q, 0, 0.10f), lines = 0.9f + 0.2f * noise2(m->p.x * 9, y * 1.5f, m->s->face->seed + 50);
    v3 lip = v3_scale(v3_splat(m->s->lip), lines);
    skin = v3_mix(skin, v3_scale(lip, splat(0.80f)), upper * in * 0.92f);
    return v3_mix(skin, lip, lower * in * 0.92f);
}

/* What is seen through the gap. Teeth lie 0.8 cm behind the lips. */
LANE v3 mouth_inside(const met *m, const mouth_curves *c) {
    const scene *s = m->s;
    v3 d = m->r->head.d;
    vf deep = 0.8f / vmax(-d.z, splat(0.35f)), x = m->p.x + d.x * deep, y = m->p.y + d.y * deep, edge = m->pixel * 0.7f;
    float gap = 3.3f * s->face->mouth, top = s->mouth_y + s->gap_up;
    v3 inside = towards(v3_of(0.042f, 0.011f, 0.010f), 0.014f, 0.005f, 0.005f, smoothstep(y - top, 0, -1.4f));
    vf tongue = 1 - sq(x * (1 / 1.45f)) - sq((y - (top - gap * 0.92f)) * (1 / (0.15f + 0.22f * gap)));
    inside = towards(inside, 0.10f, 0.030f, 0.028f, cover(tongue, edge + 0.45f) * 0.9f);
    vf arch = 0.12f * x * x, gapped = vabs(x * (1 / 0.78f) - vfloor(x * (1 / 0.78f)) - 0.5f), slit = 1 - 0.5f * bell((0.5f - gapped) * 9);
    vf lower_teeth = cover(vmin((top - gap + 0.30f + arch * 0.5f) - y, 2.0f - vabs(x)), edge + 0.02f) * clamp01(splat(3 * s->face->mouth - 2));
    inside = v3_mix(inside, v3_scale(v3_of(0.62f, 0.57f, 0.49f), slit), lower_teeth);
    vf teeth = cover(vmin(y - (top - 0.66f + arch), 2.3f - vabs(x)), edge + 0.02f);
    inside = v3_mix(inside, v3_scale(v3_of(0.78f, 0.74f, 0.66f), slit * (1 - 0.10f * x * x)), teeth);
    return v3_scale(inside, 0.15f + 0.85f * smoothstep(c->upper - m->p.y, 0, 0.42f));
}

/* Over skin that is already lit. */
LANE v3 shade_mouth(const met *m, v3 skin) {
    mouth_curves c = mouth_at(m->s, vabs(m->p.x));
    vf y = m->p.y, edge = m->pixel * 0.7f, inner = vmin(c.upper - y, y - c.lower);
    vf within = smoothstep(c.q, 0, 0.05f);
    const float wrap[3] = { 0.5f, 0.45f, 0.45f };
    if (any((inner > -edge) & (c.q > splat(0)))) {
        v3 in = lit(m->s, mouth_inside(m, &c), v3_of(0, 0, 1), wrap);
        /* A gap of less than a pixel counts by its share. */
        skin = v3_mix(skin, in, cover(inner, edge) * within * clamp01((c.upper - c.lower) / (0.5f * m->pixel)));
    }
    vf seam = vmax(bell((y - c.upper) / (0.06f + edge * 0.7f)), bell((y - c.lower) / (0.05f + edge * 0.7f)) * 0.6f);
    skin = darker(skin, 0.72f * seam * within);
    /* Below the lower lip lies its shade, and on it a little light. */
    vf below = c.lower - c.down;
    skin = darker(skin, 0.30f * bell((y - below + 0.16f) * 3.6f) * within);
    vf wet = bell((y - c.lower + 0.40f * c.down) / (0.30f * c.down + 0.02f)) * c.q;
    skin = v3_add(v3_scale(skin, 1 + 0.15f * wet), v3_scale(v3_splat(m->s->key), 0.045f * wet));
    vf corner = bell(length2((vabs(m->p.x) - m->s->mouth_w) * 3.2f, (y - m->s->mouth_y - m->s->mouth_bend) * 4.5f));
    return darker(skin, 0.5f * corner);
}

#endif
