/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: light on what a ray has met, in linear light. Every painted edge is as soft as a pixel is wide there: this gives
 * lids and lips their place to a fraction of a pixel. */
#ifndef SYNTH_SHADE_H
#define SYNTH_SHADE_H

#include "synth/trace.h"

/* What is met, with all that painting asks for. */
typedef struct {
    const scene *s;
    const ray *r;
    v3 p;                        /* the average head's frame */
    v3 b;                        /* the body's */
    v3 n;                        /* camera frame */
    vf pixel;                    /* its width here, cm */
    distances d;
} met;

/* Wrapped Lambert, redder towards the dark (what light does under skin), and light from above and from the camera. */
LANE v3 lit(const scene *s, v3 albedo, v3 n, const float wrap[3]) {
    vf cosine = v3_dot(n, v3_splat(s->to_key)), above = 0.5f + 0.5f * n.y, front = 0.35f + 0.65f * vmax(n.z, splat(0));
    v3 light = { vmax((cosine + wrap[0]) * (1 / (1 + wrap[0])), splat(0)), vmax((cosine + wrap[1]) * (1 / (1 + wrap[1])), splat(0)),
                 vmax((cosine + wrap[2]) * (1 / (1 + wrap[2])), splat(0)) };
    light = v3_mul(light, v3_splat(s->key));
    light = v3_add(light, v3_add(v3_scale(v3_splat(s->sky), above), v3_scale(v3_splat(s->front), front)));
    return v3_mul(albedo, light);
}
LANE vf power4(vf x) { x *= x; return x * x; }
LANE vf power16(vf x) { return power4(power4(x)); }
LANE vf glint(const scene *s, v3 n) { return vmax(v3_dot(n, v3_splat(s->half)), splat(0)); }

LANE v3 towards(v3 c, float r, float g, float b, vf t) { return v3_mix(c, v3_of(r, g, b), t); }
LANE v3 darker(v3 c, vf by) { return v3_scale(c, 1 - by); }

/* A soft stroke from (ax,ay) to (bx,by). */
LANE vf stroke(vf x, vf y, float ax, float ay, float bx, float by, float width) {
    float dx = bx - ax, dy = by - ay;
    vf t = clamp01(((x - ax) * dx + (y - ay) * dy) * (1 / (dx * dx + dy * dy)));
    return bell(length2(x - ax - t * dx, y - ay - t * dy) * (1 / width)) * (1 - sq(2 * t - 1) * 0.6f);
}

#endif
