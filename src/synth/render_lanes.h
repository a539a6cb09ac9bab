/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: the body of render_rays_* and render_cones_*, for the instruction set of the file that includes it. */
#ifndef SYNTH_RENDER_LANES_H
#define SYNTH_RENDER_LANES_H

#include "synth/background.h"
#include "synth/render_rays.h"
#include "synth/shade_rest.h"
#include "synth/shade_skin.h"

/* Linear light to sRGB: bright light is bent down, then a fit of the curve by roots. */
LANE vf displayed(vf x) {
    x = vmax(x, splat(0));
    x = 1.14f * x / (1 + 0.22f * x);
    vf a = vsqrt(x), b = vsqrt(a), c = vsqrt(b);
    return clamp01(0.662002687f * a + 0.684122060f * b - 0.323583601f * c - 0.0225411470f * x);
}

static inline v3 shade(const scene *s, const ray *r, vf t, vi hit, vf pixel, vi *what) {
    place p = place_at(r, t);
    met m = { s, r, p.head, p.body, normal_at(s, &p, 0.05f), t * (pixel / s->focal), distances_at(s, &p) };
    vf nearest = nearest_of(&m.d);
    vi skin = hit & (m.d.skin <= nearest), glasses = hit & ~skin & (m.d.glasses <= nearest);
    vi cloth = hit & ~skin & ~glasses & (m.d.cloth <= nearest), hair = hit & ~skin & ~glasses & ~cloth;
    v3 c = v3_of(0, 0, 0);
    if (any(skin)) c = v3_choose(skin, shade_skin(&m), c);
    if (any(hair)) c = v3_choose(hair, shade_hair(&m), c);
    if (any(cloth)) c = v3_choose(cloth, shade_cloth(&m), c);
    if (any(glasses)) c = v3_choose(glasses, shade_glasses(&m), c);
    *what = (skin & SKIN) | (hair & HAIR) | (cloth & CLOTH) | (glasses & GLASSES);
    return c;
}

static inline void rays_of(const scene *s, const render_rays *job) {
    for (size_t i = 0; i < job->n; i += LANES) {
        vf px = vload(job->x + i), py = vload(job->y + i), t = vload(job->start + i);
        ray r = ray_through(s, px, py);
        vi begun = t < splat(s->farthest), what = isplat(NOTHING);
        if (any(begun)) t = trace(s, &r, t);
        vi hit = t < splat(s->farthest);
        v3 c = v3_of(0, 0, 0);
        if (any(~hit)) c = background_at(s, px, py);
        if (any(hit)) c = v3_choose(hit, shade(s, &r, t, hit, splat(job->pixel), &what), c);
        vstore(job->r + i, displayed(c.x)), vstore(job->g + i, displayed(c.y)), vstore(job->b + i, displayed(c.z));
        vstore(job->depth + i, choose(hit, t, splat(s->farthest)));
        vstore(job->what + i, __builtin_convertvector(what, vf));
    }
}

static inline void cones_of(const scene *s, const render_cones *job) {
    for (size_t i = 0; i < job->n; i += LANES) {
        ray r = ray_through(s, vload(job->x + i), vload(job->y + i));
        vstore(job->start + i, cone_start(s, &r, splat(job->spread / s->focal)));
    }
}

#endif
