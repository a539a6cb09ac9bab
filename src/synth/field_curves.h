/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: the curves of mouth, eyes and brows in the average head's x and y. The same ones serve the shape, the painting and
 * the points that are told as the truth. */
#ifndef SYNTH_FIELD_CURVES_H
#define SYNTH_FIELD_CURVES_H

#include "synth/lanes.h"
#include "synth/render_scene.h"

/* What belongs to the side of x. */
LANE vf by_side(vf x, const float sides[2]) { return choose(x < splat(0), splat(sides[0]), splat(sides[1])); }

typedef struct {
    vf q;                        /* 1 amid the mouth, 0 at its corners and beyond */
    vf upper, lower;             /* where the lips meet the gap, y; one line if the mouth is shut */
    vf up, down;                 /* thickness of the lips */
} mouth_curves;

LANE mouth_curves mouth_at(const scene *s, vf a) {
    mouth_curves m;
    vf u = a * (1 / s->mouth_w), u2 = vmin(u * u, splat(1));
    m.q = vmax(1 - u * u, splat(0));
    vf root = vsqrt(m.q), fourth = vsqrt(root);
    vf middle = s->mouth_y + s->mouth_bend * u2;
    m.upper = middle + s->gap_up * root;
    m.lower = middle - s->gap_down * root;
    m.up = s->lip_up * root * fourth * (1 - 0.26f * bell(a * 2.2f));      /* a dip amid the upper lip: Cupid's bow */
    m.down = s->lip_down * root * fourth;
    return m;
}

typedef struct {
    vf u, q;                     /* along the eye: -1 inner corner, 1 outer; 1 amid it */
    vf up, low;                  /* the lids' edges, y */
    vf wide;                     /* the upper lid's edge if it were open as it is at rest */
} eye_curves;

LANE eye_curves eye_at(const scene *s, vf x) {
    eye_curves e;
    e.u = (vabs(x) - s->eye_x) * (1 / s->eye_w);
    e.q = vmax(1 - e.u * e.u, splat(0));
    vf base = 2.6f + s->eye_tilt * e.u, root = vsqrt(e.q), fourth = vsqrt(root), bend = root * fourth * vsqrt(fourth);   /* q^(7/8) */
    vf open = by_side(x, s->lid_open);
    vf rest = by_side(x, s->lid_down) * bend * (1 + 0.10f * e.u);
    e.wide = base + by_side(x, s->lid_up) * bend * (1 - 0.13f * e.u);
    /* A lid that closes comes down to a lower one that comes up to meet it: less than half of its way below the corners. */
    e.low = base - rest * (0.68f + 0.32f * vmin(open, splat(1)));
    e.up = e.low + (e.wide - base + rest) * open;
    return e;
}

typedef struct { vf t, y, half; } brow_curves;   /* t: 0 inner end, 1 outer */

LANE brow_curves brow_at(const scene *s, vf x) {
    brow_curves b;
    b.t = (vabs(x) - 1.1f) * (1 / 3.9f);
    vf t = clamp01(b.t), inner = 1 - t;
    b.y = 4.25f + (0.55f + s->brow_arch) * sine_turns(t * 0.414f) - 0.25f * t + by_side(x, s->brow_lift) + by_side(x, s->brow_inner) * inner * inner;
    b.half = s->brow_thick * (1 - 0.62f * t * t) * (0.72f + 0.28f * ramp(t, 0, 0.25f));
    return b;
}

#endif
