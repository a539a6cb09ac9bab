/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: the eye is a window in the skin: behind it the ray goes on to the eyeball. */
#ifndef SYNTH_SHADE_EYE_H
#define SYNTH_SHADE_EYE_H

#include "synth/shade.h"

#define EYE_RADIUS 1.30f
#define EYE_Y 2.66f
#define EYE_Z 2.75f
#define IRIS_RADIUS 0.585f

/* The normal of the eyeball where this ray meets it, average head's frame. */
LANE v3 eyeball_normal(const met *m) {
    const line *l = &m->r->head;
    v3 d = v3_unit(l->d);
    vf side = choose(m->p.x < splat(0), splat(-m->s->eye_x), splat(m->s->eye_x));
    v3 c = { m->p.x - side, m->p.y - EYE_Y, m->p.z - EYE_Z };
    vf b = v3_dot(d, c), t = -b - vsqrt(vmax(b * b - v3_dot(c, c) + EYE_RADIUS * EYE_RADIUS, splat(0)));
    return v3_unit(v3_along(c, d, t));
}

LANE v3 iris_colour(const met *m, vf out, v3 across) {
    vf round = 1 / vsqrt(v3_dot(across, across) + 1e-9f), rays = noise2(across.x * round * 7, across.y * round * 7, m->s->face->seed + 40);
    v3 c = v3_scale(v3_splat(m->s->iris), 0.70f + 0.6f * rays);
    c = v3_scale(c, 1.15f - 0.65f * smoothstep(out, 0.72f, 1.0f) - across.y * 0.25f);
    return (v3){ vmin(c.x, splat(0.3f)), vmin(c.y, splat(0.3f)), vmin(c.z, splat(0.3f)) };
}

LANE v3 eyeball_colour(const met *m, const eye_curves *e) {
    const scene *s = m->s;
    v3 n = eyeball_normal(m), gaze = { by_side(m->p.x, (float[2]){ s->gaze[0][0], s->gaze[1][0] }),
        by_side(m->p.x, (float[2]){ s->gaze[0][1], s->gaze[1][1] }), by_side(m->p.x, (float[2]){ s->gaze[0][2], s->gaze[1][2] }) };
    vf facing = v3_dot(n, gaze);
    v3 across = v3_add(n, v3_scale(gaze, -facing));
    vf from_axis = EYE_RADIUS * vsqrt(v3_dot(across, across)), edge = m->pixel * 0.7f;
    from_axis = choose(facing > splat(0), from_axis, splat(9));

    /* On dark skin a camera shows the white of an eye less bright than on pale skin, and FaceMesh takes it for a wider one if it is not. */
    float bright = 0.28f + 0.46f * s->tone;
    v3 white = v3_of(bright, 0.97f * bright, 0.945f * bright);
    white = towards(white, 0.62f, 0.27f, 0.24f, 0.8f * smoothstep(-e->u, 0.72f, 0.98f));
    white = towards(white, 0.66f, 0.45f, 0.42f, 0.25f * smoothstep(e->u, 0.6f, 1.0f));
    v3 c = v3_mix(white, iris_colour(m, from_axis * (1 / IRIS_RADIUS), across), cover(IRIS_RADIUS - from_axis, edge + 0.03f));
    c = towards(c, 0.012f, 0.010f, 0.010f, cover(0.25f - from_axis, edge));

    vf under = 0.30f + 0.70f * clamp01((e->up - m->p.y) / vmin(0.08f + 0.35f * (e->up - e->low), splat(0.40f))), corner = 1 - 0.35f * power4(e->u) - 0.12f * smoothstep(m->p.y - e->low, 0.15f, 0);
    v3 seen = turned_back(s->head.from, n);
    const float wrap[3] = { 0.6f, 0.58f, 0.56f };
    c = v3_scale(lit(s, c, seen, wrap), under * corner);
    vf spot = EYE_RADIUS * vsqrt(vmax(1 - sq(glint(s, seen)), splat(0)));
    return v3_add(c, v3_scale(v3_of(0.75f, 0.75f, 0.75f), cover(0.10f - spot, edge)));
}

/* Lids, lashes and crease over skin that is already lit; then the eye in its window. */
LANE v3 shade_eye(const met *m, v3 skin) {
    const scene *s = m->s;
    eye_curves e = eye_at(s, m->p.x);
    vf y = m->p.y, edge = m->pixel * 0.7f, on = smoothstep(1.12f - vabs(e.u), 0, 0.12f), fine = vmin(edge, splat(0.25f));
    float lash = 0.26f - 0.035f * s->face->sex - 0.04f * s->tone;

    vf crease = vmax(e.wide, e.up) + 0.26f + 0.10f * e.q;
    skin = darker(skin, 0.06f * on * bell((y - crease) / (0.10f + fine)));
    /* The lid itself catches light, so that it is not taken for an open eye's shade. */
    skin = v3_scale(skin, 1 + (1.0f - 0.8f * s->tone) * on * e.q * smoothstep(y - e.up, 0, 0.15f) * smoothstep(y - e.up, 0.60f, 0.15f));
    skin = darker(skin, 0.16f * bell(e.u * 0.85f) * bell((y - e.low + 0.42f) * 2.6f) * (0.6f + s->face->age));
    skin = v3_scale(skin, 1 + (0.4f - 0.4f * s->tone) * on * bell((y - e.low + 0.24f) * 5));
    if (any((y < e.up + edge) & (y > e.low - edge) & (e.q > splat(0)))) {
        vf inside = cover(vmin(e.up - y, y - e.low), edge) * smoothstep(e.q, 0, 0.06f);
        skin = v3_mix(skin, eyeball_colour(m, &e), inside);
    }
    /* A pale rim of the lower lid, then its lashes; the upper lashes are the darkest line of a face. */
    skin = darker(skin, 0.58f * on * bell((y - e.low + 0.03f) / (0.07f + fine * 0.6f)));
    vf thick = lash * (0.75f + 0.35f * clamp01(e.u)) * (0.60f + 0.40f * smoothstep(e.up - e.low, 0, 0.3f)) + fine * 0.4f, above = y - e.up - 0.4f * thick * smoothstep(e.up - e.low, 0.1f, 0.8f);
    skin = v3_mix(skin, v3_of(0.014f, 0.011f, 0.010f), 0.92f * on * bell(above / thick));
    vf wing = bell((vabs(e.u) - 1.06f) * 7) * bell((y - 2.6f - s->eye_tilt * e.u) * 6);
    return darker(skin, 0.55f * wing);
}

#endif
