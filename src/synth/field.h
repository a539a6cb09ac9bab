/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: what there is, as distances in cm (below 0: inside), joined by smooth unions. All points are in the average
 * head's frame, the body's in its own. Distances of ellipsoids are the usual first-order ones: steps are shortened for that. */
#ifndef SYNTH_FIELD_H
#define SYNTH_FIELD_H

#include "synth/field_curves.h"

LANE vf smooth_min(vf p, vf q, float k) { vf h = vmax(k - vabs(p - q), splat(0)); return vmin(p, q) - h * h * (0.25f / k); }
LANE vf smooth_max(vf p, vf q, float k) { vf h = vmax(k - vabs(p - q), splat(0)); return vmax(p, q) + h * h * (0.25f / k); }

LANE vf to_ellipsoid(const ellipsoid *e, vf x, vf y, vf z) {
    x = (x - e->c[0]) * (1 / e->r[0]), y = (y - e->c[1]) * (1 / e->r[1]), z = (z - e->c[2]) * (1 / e->r[2]);
    vf a = x * x + y * y + z * z;
    x *= 1 / e->r[0], y *= 1 / e->r[1], z *= 1 / e->r[2];
    return (a - vsqrt(a)) / vsqrt(x * x + y * y + z * z + 1e-12f);
}

/* A rod from (ax,ay,az) to (bx,by,bz), its radius going evenly from ra to rb. */
typedef struct { float ax, ay, az, bx, by, bz, ra, rb; } rod;

LANE vf to_rod(const rod *c, vf x, vf y, vf z) {
    float bx = c->bx - c->ax, by = c->by - c->ay, bz = c->bz - c->az, length = bx * bx + by * by + bz * bz;
    x = x - c->ax, y = y - c->ay, z = z - c->az;
    vf t = clamp01((x * bx + y * by + z * bz) * (1 / length));
    return length3(x - t * bx, y - t * by, z - t * bz) - (c->ra + (c->rb - c->ra) * t);
}

/* ---- skin --------------------------------------------------------------------------------------------------------------- */

/* The lips stand out of the muzzle, each a ridge along its curve. */
LANE vf lips_out(const scene *s, vf a, vf y) {
    mouth_curves m = mouth_at(s, a);
    vf up = (y - (m.upper + m.up * 0.5f)) / (0.25f + 0.75f * m.up), down = (y - (m.lower - m.down * 0.5f)) / (0.25f + 0.75f * m.down);
    up = vmax(1 - up * up, splat(0)), down = vmax(1 - down * down, splat(0));
    return vsqrt(m.q) * s->lip_out * (0.38f * up * up + 0.46f * down * down);
}

/* The head without its ears, hair and neck. */
LANE vf to_face(const scene *s, vf x, vf y, vf z) {
    vf a = vabs(x);
    /* Each side's ridge rises with its brow; between the brows one goes over into the other. */
    vf t = smoothstep(x, -1.2f, 1.2f), ridge_y = s->ridge_y[0] + (s->ridge_y[1] - s->ridge_y[0]) * t;
    vf d = to_ellipsoid(&s->cranium, a, y, z);
    d = smooth_min(d, to_ellipsoid(&s->jaw, a, y, z), 2.5f);
    d = smooth_min(d, to_ellipsoid(&s->chin, a, y, z), 3.0f);
    d = smooth_min(d, to_ellipsoid(&s->muzzle, a, y, z), 1.6f);
    d = smooth_min(d, to_ellipsoid(&s->cheek, a, y, z), 2.0f);
    rod ridge = { 1, 0, s->ridge_z, 4.4f, 0.2f, s->ridge_z - 1.45f, s->ridge_r, s->ridge_r - 0.05f };
    d = smooth_min(d, to_rod(&ridge, a, y - ridge_y, z), 1.6f);
    d = smooth_max(d, -to_ellipsoid(&s->socket, a, y, z), 1.3f);
    d = smooth_min(d, length3(a - s->eye_x, y - s->lid_y, z - 2.75f) - s->lid_r, 0.7f);
    rod bridge = { 0, 3.6f, s->bridge_z, 0, s->tip_y + 0.35f, s->tip_z, s->bridge_r, 0.95f };
    vf nose = smooth_min(to_rod(&bridge, a, y, z), to_ellipsoid(&s->nose_tip, a, y, z), 0.8f);
    nose = smooth_min(nose, vsqrt(sq(a - s->wing_x) + 1.2f * sq(y - s->wing_y) + 0.6f * sq(z - s->tip_z + 1)) - s->wing_r, 0.6f);
    d = smooth_min(d, nose, 0.9f);
    d = smooth_max(d, 0.26f - vsqrt(1.3f * sq(a - s->wing_x * 0.5f) + sq(y - s->wing_y + 0.62f) + 0.5f * sq(z - s->tip_z + 0.45f)), 0.5f);
    vi near = (z > splat(1.5f)) & (a < splat(4)) & (y < splat(-2)) & (d < splat(2));
    return any(near) ? choose(near, d - lips_out(s, a, y), d) : d;
}

LANE vf to_head(const scene *s, vf x, vf y, vf z) {
    vf a = vabs(x), d = to_face(s, x, y, z);
    vi near = a > splat(5.0f);
    if (!any(near)) return d;
    vf ear = to_ellipsoid(&s->ear, a, y, z + 0.22f * (a - 7));
    ear = smooth_max(ear, -to_ellipsoid(&s->ear_bowl, a, y, z), 0.35f);
    return choose(near, smooth_min(d, ear, 0.5f), d);
}

LANE vf to_neck(const scene *s, vf x, vf y, vf z) {
    rod neck = { 0, -4, -3.4f, 0, -18, -4.8f, s->neck_r, s->neck_r + 0.5f };
    return to_rod(&neck, x, y, z);
}
LANE vf to_torso(const scene *s, vf x, vf y, vf z) {
    vf a = vabs(x);
    rod trapezius = { 1.5f, -11.5f, -6, s->shoulder - 2, -18.2f, -5.4f, 1.7f, 3.3f };
    ellipsoid chest = { { 0, -28, -4.6f }, { s->shoulder + 1.5f, 12.5f, 8.2f } };
    vf d = smooth_min(to_rod(&trapezius, a, y, z), to_ellipsoid(&chest, a, y, z), 4.0f);
    rod arm = { s->shoulder - 0.5f, -19.8f, -5.2f, s->shoulder + 2.2f, -40, -5, 3.9f, 4.6f };
    return smooth_min(d, to_rod(&arm, a, y, z), 3.0f);
}

/* ---- clothes, glasses ------------------------------------------------------------------------------------------------------ */

/* Below 0 where the cloth ends: the neck's opening. */
LANE vf neckline(const scene *s, vf x, vf y, vf z) {
    int kind = s->face->clothes;
    if (kind == SYNTH_CLOTHES_ROLL_NECK) return -12.3f - y + 0.25f * (z + 4);
    vf round = length3(x * 0.86f, y + 12.4f, z + 3.0f) - 7.1f;
    if (kind != SYNTH_CLOTHES_V_NECK) return round;
    return vmin(round, choose(z > splat(-4), (vabs(x) - 0.42f * (y + 23.5f)) * 0.9f, splat(9)));
}

LANE vf to_cloth(const scene *s, vf x, vf y, vf z, vf torso, vf neck) {
    vf d = torso - 0.35f;
    if (s->face->clothes == SYNTH_CLOTHES_ROLL_NECK) d = smooth_min(d, neck - 0.55f, 1.0f);
    return smooth_max(d, -neckline(s, x, y, z), 0.3f);
}

LANE vf to_glasses(const scene *s, vf x, vf y, vf z) {
    vf a = vabs(x), u = a - (s->eye_x + 0.15f), v = y - 2.25f, bent = z - 5.75f + 0.055f * a * a;
    vf ring;
    if (s->face->glasses == SYNTH_GLASSES_ROUND) ring = length2(u, v + 0.1f) - 2.4f;
    else {
        vf p = vabs(u) - 1.80f, q = vabs(v + 0.15f) - 1.40f;
        ring = length2(vmax(p, splat(0)), vmax(q, splat(0))) + vmin(vmax(p, q), splat(0)) - 0.65f;
    }
    vf d = length2(ring, bent) - 0.10f;
    rod bridge = { 0, 3.0f, 5.75f, 0.95f, 2.75f, 5.7f, 0.10f, 0.10f };
    d = vmin(d, to_rod(&bridge, a, y, z));
    rod temple = { 5.45f, 2.9f, 4.0f, 7.75f, 2.6f, -2.5f, 0.13f, 0.13f };
    return vmin(d, to_rod(&temple, a, y, z));
}

#endif
