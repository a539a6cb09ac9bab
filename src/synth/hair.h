/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: hair, a cap grown from the skull and cut away before the face, with locks along its strands. */
#ifndef SYNTH_HAIR_H
#define SYNTH_HAIR_H

#include "synth/field.h"

/* Strands leave the parting (or run to the bun): across is their angle about it, in turns, along their distance from it. */
typedef struct { vf across, along; } strand;

LANE strand strand_at(const scene *s, vf x, vf y, vf z) {
    x = x - s->hair_part[0], y = y - s->hair_part[1], z = z - s->hair_part[2];
    strand t;
    t.along = length3(x, y, z);
    t.across = angle_turns(x, z + 0.35f * y) + s->face->hair_wave * 0.012f * sine_turns(t.along * 0.22f + y * 0.05f);
    return t;
}

/* Below 0 before the face, where no hair grows: the hairline runs where this is 0. */
LANE vf hair_face(const scene *s, vf x, vf y, vf z) {
    vf d = to_ellipsoid(&s->hair_face, x, y, z);
    return d + 0.22f * sine_turns(x * 0.31f) * sine_turns(y * 0.13f + z * 0.21f) ;
}
/* Above 0 below the hair of nape and temples. */
LANE vf hair_low(const scene *s, vf y, vf z) { return (s->hair_body ? 0.0f : s->hair_below) - y - s->hair_slope * vmax(-2.7f - z, splat(-4)); }

LANE vf to_hair(const scene *s, vf x, vf y, vf z) {
    vf d = to_ellipsoid(&s->hair_cap, x, y, z);
    if (s->hair_body) d = smooth_min(d, to_ellipsoid(&s->hair_fall, x, y, z), 2.0f);
    vf ragged = splat(0);
    vi near = d < splat(1.2f);
    if (any(near)) {
        vf bump;
        if (s->hair == SYNTH_HAIR_CURLY)
            bump = noise3(x * 1.1f, y * 1.1f, z * 1.1f, s->face->seed) + 0.5f * noise3(x * 2.3f, y * 2.3f, z * 2.3f, s->face->seed + 1) - 0.75f;
        else {
            strand t = strand_at(s, x, y, z);
            bump = noise2(t.across * 30, t.along * 0.28f, s->face->seed) + 0.5f * noise2(t.across * 80, t.along * 0.4f, s->face->seed + 1) - 0.75f;
        }
        bump *= clamp01((1.2f - d) * 2);
        d = choose(near, d - bump * s->hair_bump, d), ragged = choose(near, bump * 0.5f, ragged);
    }
    vf cut = -hair_face(s, x, y, z);
    if (s->hair_body) {
        ellipsoid throat = { { 0, -17, 4 }, { 5.8f, 13, 7.5f } };
        cut = smooth_max(cut, -to_ellipsoid(&throat, x, y, z), 1.0f);
    }
    d = smooth_max(d, cut - ragged, s->hair_cut_k);
    if (!s->hair_body) d = smooth_max(d, hair_low(s, y, z) * 0.75f, 0.8f);
    else d = smooth_max(d, s->hair_below - y, 1.5f);
    if (s->hair_bun) d = smooth_min(d, to_ellipsoid(&s->bun, x, y, z), 0.5f);
    return d;
}

#endif
