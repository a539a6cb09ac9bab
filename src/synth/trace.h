/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: rays through the picture, walked until they meet something ("sphere tracing", J. C. Hart 1996). */
#ifndef SYNTH_TRACE_H
#define SYNTH_TRACE_H

#include "synth/hair.h"

typedef struct { v3 o, d; } line;               /* d: what a centimetre along the ray is in that frame */
typedef struct { line head, body; v3 d; } ray;  /* d: unit, camera frame */

typedef struct { v3 head, body; } place;        /* one place in both frames */

enum { NOTHING, SKIN, HAIR, CLOTH, GLASSES };

typedef struct { vf skin, hair, cloth, glasses, head, neck; } distances;   /* head, neck (and torso): what skin is joined of */

LANE v3 turned(const float m[9], v3 d) {
    return (v3){ d.x * m[0] + d.y * m[1] + d.z * m[2], d.x * m[3] + d.y * m[4] + d.z * m[5], d.x * m[6] + d.y * m[7] + d.z * m[8] };
}
/* From the head's frame to the camera's: the transpose. */
LANE v3 turned_back(const float m[9], v3 d) {
    return (v3){ d.x * m[0] + d.y * m[3] + d.z * m[6], d.x * m[1] + d.y * m[4] + d.z * m[7], d.x * m[2] + d.y * m[5] + d.z * m[8] };
}

LANE ray ray_through(const scene *s, vf px, vf py) {
    ray r;
    r.d = v3_unit((v3){ (px - s->centre_x) * (1 / s->focal), (s->centre_y - py) * (1 / s->focal), splat(-1) });
    v3 shrink = v3_splat(s->shrink);
    r.head = (line){ v3_mul(v3_splat(s->head.eye), shrink), v3_mul(turned(s->head.from, r.d), shrink) };
    r.body = (line){ v3_splat(s->body.eye), turned(s->body.from, r.d) };
    return r;
}
LANE place place_at(const ray *r, vf t) { return (place){ v3_along(r->head.o, r->head.d, t), v3_along(r->body.o, r->body.d, t) }; }

static inline distances distances_at(const scene *s, const place *p) {
    distances d;
    v3 h = p->head, b = p->body;
    /* Far from the head one sphere stands for it and its hair. */
    vf far = length3(h.x, h.y - s->around_y, h.z + 1.5f) - s->around_r;
    vi near = far < splat(4);
    d.head = far, d.hair = far + 1, d.glasses = splat(1e3f);
    if (any(near)) {
        d.head = choose(near, to_head(s, h.x, h.y, h.z), far);
        if (s->hair > SYNTH_HAIR_SHAVED) d.hair = choose(near, to_hair(s, h.x, h.y, h.z), far + 1);
        if (s->face->glasses) d.glasses = choose(near, to_glasses(s, h.x, h.y, h.z), far + 1);
    }
    if (s->hair <= SYNTH_HAIR_SHAVED) d.hair = splat(1e3f);
    d.neck = splat(1e3f), d.cloth = splat(1e3f), d.skin = d.head;
    vi low = b.y < splat(1);
    if (any(low)) {
        vf neck = to_neck(s, b.x, b.y, b.z), torso = to_torso(s, b.x, b.y, b.z);
        d.cloth = choose(low, to_cloth(s, b.x, b.y, b.z, torso, neck), d.cloth);
        d.neck = choose(low, smooth_min(neck, torso, 2.5f), d.neck);
        d.skin = choose(low, smooth_min(d.head, d.neck, 1.5f), d.skin);
    }
    return d;
}
LANE vf nearest_of(const distances *d) { return vmin(vmin(d->skin, d->hair), vmin(d->cloth, d->glasses)); }

/* A cone about the ray, `spread` wide at 1 cm: how far it goes before anything may touch it; s->farthest or more if nothing does. */
static inline vf cone_start(const scene *s, const ray *r, vf spread) {
    vf t = splat(s->nearest);
    vi go = t > splat(0);
    for (int i = 0; i < 40 && any(go); i++) {
        place p = place_at(r, t);
        distances d = distances_at(s, &p);
        vf room = nearest_of(&d) - spread * t - 0.3f;
        go &= (vi)(room > splat(0.05f)) & (vi)(t < splat(s->farthest));
        t = choose(go, t + room * (s->stride * 0.9f), t);
    }
    return t;
}

/* Where each ray that begins at t meets something; s->farthest or more where it does not. */
static inline vf trace(const scene *s, const ray *r, vf t) {
    vi go = t < splat(s->farthest);
    for (int i = 0; i < 64 && any(go); i++) {
        place p = place_at(r, t);
        distances d = distances_at(s, &p);
        vf nearest = nearest_of(&d);
        t = choose(go, t + nearest * s->stride, t);
        go &= (vi)(nearest > splat(0.01f)) & (vi)(t < splat(s->farthest));
    }
    return t;
}

/* The normal, camera frame: four taps at a tetrahedron's corners. */
static inline v3 normal_at(const scene *s, const place *p, float e) {
    static const float corner[4][3] = { { 1, -1, -1 }, { -1, -1, 1 }, { -1, 1, -1 }, { 1, 1, 1 } };
    v3 n = { { 0 }, { 0 }, { 0 } }, shrink = v3_splat(s->shrink);
    for (int i = 0; i < 4; i++) {
        v3 step = v3_scale(v3_splat(corner[i]), splat(e));
        place q = { v3_add(p->head, v3_mul(turned(s->head.from, step), shrink)), v3_add(p->body, turned(s->body.from, step)) };
        distances d = distances_at(s, &q);
        n = v3_add(n, v3_scale(v3_splat(corner[i]), nearest_of(&d)));
    }
    return v3_unit(n);
}

#endif
