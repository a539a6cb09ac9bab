/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: skin and what grows on it: blush, freckles, folds, brows, beard, the scalp under hair. */
#ifndef SYNTH_SHADE_SKIN_H
#define SYNTH_SHADE_SKIN_H

#include "synth/shade_eye.h"
#include "synth/shade_mouth.h"

LANE v3 freckled(const met *m, v3 c) {
    vf x = m->p.x * 2.6f, y = m->p.y * 2.6f;
    vi i = ifloor(x), j = ifloor(y), k = isplat(0);
    uint32_t seed = m->s->face->seed + 60;
    vf u = x - __builtin_convertvector(i, vf) - 0.3f - 0.4f * hash3(i, j, k, seed), v = y - __builtin_convertvector(j, vf) - 0.3f - 0.4f * hash3(i, j, k, seed + 1);
    vf size = 0.08f + 0.2f * hash3(i, j, k, seed + 2), where = bell((vabs(m->p.x) - 2.4f) * 0.28f) * bell((m->p.y - 0.2f) * 0.3f);
    vf there = cover(size - length2(u, v), m->pixel * 2 + 0.05f) * where * (vf)((vi)splat(1) & (hash3(i, j, k, seed + 3) < splat(0.7f)));
    return v3_mix(c, v3_mul(c, v3_of(0.62f, 0.45f, 0.36f)), there * m->s->face->freckles * 0.8f);
}

/* Lines that years and a smile draw: how dark. */
LANE vf folds(const met *m) {
    const scene *s = m->s;
    float age = s->face->age, smile = s->face->smile > 0 ? s->face->smile : 0;
    vf x = vabs(m->p.x), y = m->p.y, dark = splat(0);
    float mx = s->mouth_w, my = s->mouth_y + s->mouth_bend;
    dark = dark + (0.08f + 0.22f * age + 0.26f * smile) * stroke(x, y, s->wing_x + 0.55f, s->wing_y + 0.5f, mx + 0.75f, my + 0.35f, 0.24f);
    if (age > 0.25f) {
        vf waves = m->p.y + 0.12f * sine_turns(m->p.x * 0.16f + 0.2f), row = (waves - 6.1f) * (1 / 0.85f);
        row = row - vfloor(row) - 0.5f;
        dark = dark + (age - 0.25f) * 0.28f * bell(row * 5) * bell(m->p.x * 0.26f) * smoothstep(y, 5.4f, 5.9f) * smoothstep(y, 8.9f, 8.2f);
        for (int i = 0; i < 3; i++)
            dark = dark + (age - 0.25f) * 0.30f * stroke(x, y, 4.95f, 2.65f - 0.15f * (float)i, 5.9f, 3.2f - 0.65f * (float)i, 0.12f);
        dark = dark + (age - 0.25f) * 0.25f * stroke(x, y, mx + 0.35f, my - 0.4f, mx + 0.5f, my - 2.0f, 0.2f);
    }
    /* Raised brows fold the forehead, lowered ones are drawn together. */
    vf raised = vmax(choose(m->p.x < splat(0), splat(s->face->brows[0]), splat(s->face->brows[1])), splat(0));
    vf crease = (y - 0.35f * raised + 0.1f * sine_turns(m->p.x * 0.11f)) * (1 / 0.8f), line = crease - vfloor(crease) - 0.5f;
    dark = dark + raised * 0.20f * bell(line * 4.5f) * bell(m->p.x * 0.24f) * smoothstep(y, 5.9f, 6.5f) * smoothstep(y, 8.6f, 8.0f);
    float frown = -0.5f * (s->face->brows[0] + s->face->brows[1]);
    if (frown > 0) dark = dark + frown * 0.35f * stroke(x, y, 0.55f, 3.5f, 0.45f, 4.9f, 0.16f);
    return dark;
}

/* How much of the skin the beard hides, by its kind, 0..1. */
LANE vf beard_share(const met *m) {
    const scene *s = m->s;
    vf x = vabs(m->p.x), y = m->p.y;
    mouth_curves c = mouth_at(s, x);
    vf line_y = -4.6f + 0.13f * x * x, full = smoothstep(line_y - y, -0.5f, 0.6f);
    vf moustache = smoothstep(s->wing_y - 0.50f - 0.22f * x - y, -0.15f, 0.35f) * smoothstep(y - c.upper, 0, 0.15f) * smoothstep(s->mouth_w + 0.9f - x, 0, 0.9f);
    vf tuft = smoothstep(1.15f - length2(x / (s->mouth_w + 0.7f), (y - s->chin.c[1] - 0.6f) * (1 / 3.3f)), 0, 0.28f);
    vf front = smoothstep(m->p.z, -3.5f, -1.5f) * smoothstep(y, -12.5f, -10.0f);
    vf share = splat(0);
    switch (s->face->beard) {
    case SYNTH_BEARD_MOUSTACHE: share = moustache; break;
    case SYNTH_BEARD_GOATEE: share = vmax(moustache, tuft * front); break;
    default: share = vmax(moustache, full * front);
    }
    vf bare = cover(vmin(c.upper + c.up - y, y - c.lower + c.down), splat(0.12f)) * smoothstep(c.q, 0, 0.1f);
    return share * (1 - bare);
}

LANE v3 bearded(const met *m, v3 c) {
    vf share = beard_share(m), x = m->p.x, y = m->p.y;
    vf strands = 0.65f * noise2(x * 8 + y * 0.8f, y * 3.2f, m->s->face->seed + 70) + 0.35f * noise2(x * 17, y * 7, m->s->face->seed + 71);
    bool stubble = m->s->face->beard == SYNTH_BEARD_STUBBLE;
    v3 hair = v3_scale(v3_splat(m->s->hair_rgb), 0.5f + 0.8f * strands);
    vf much = stubble ? share * (0.25f + 0.3f * strands) : smoothstep(share * (0.55f + 0.9f * strands), 0.15f, 0.6f) * 0.93f;
    return v3_mix(c, hair, much);
}

LANE v3 browed(const met *m, v3 c) {
    brow_curves b = brow_at(m->s, m->p.x);
    vf away = m->p.y - b.y, x = vabs(m->p.x);
    vf strands = noise2((x - away * 0.9f) * 7, away * 1.6f, m->s->face->seed + 80 );
    vf in = cover(b.half - vabs(away) - 0.10f * strands, m->pixel * 0.7f + 0.07f) * smoothstep(b.t, -0.05f, 0.06f) * smoothstep(b.t, 1.04f, 0.88f);
    return v3_mix(c, v3_scale(v3_splat(m->s->brow), 0.65f + 0.6f * strands), in * (0.80f + 0.15f * strands));
}

/* The scalp shows hair where the hair's own shape has grown thin, and all there is of shaved hair. */
LANE v3 haired(const met *m, v3 c) {
    const scene *s = m->s;
    if (s->hair == SYNTH_HAIR_BALD) return c;
    bool shaved = s->hair == SYNTH_HAIR_SHAVED;
    vf outside = hair_face(s, m->p.x, m->p.y, m->p.z), low = hair_low(s, m->p.y, m->p.z);
    vf grain = noise2(m->p.x * 6, m->p.y * 3 + m->p.z * 3, s->face->seed + 90);
    vf share = smoothstep(vmin(outside, -low) + 0.5f * (grain - 0.5f), shaved ? -0.35f : -0.25f, shaved ? 0.5f : 0.35f);
    share *= smoothstep(splat(7.6f) - vabs(m->p.x) + smoothstep(m->p.y, 3.5f, 4.5f) * 3, 0, 0.3f);      /* not on the ears */
    return v3_mix(c, v3_scale(v3_splat(s->hair_rgb), 0.5f + 0.5f * grain), share * (shaved ? 0.72f : 0.9f));
}

static inline v3 shade_skin(const met *m) {
    const scene *s = m->s;
    v3 c = v3_splat(s->skin);
    vf x = m->p.x, a = vabs(x), y = m->p.y, z = m->p.z;
    vf mottle = noise3(x * 0.8f, y * 0.8f, z * 0.8f, s->face->seed + 30) * 0.6f + noise3(x * 2.7f, y * 2.7f, z * 2.7f, s->face->seed + 31) * 0.4f;
    c = v3_scale(c, 0.92f + 0.16f * mottle);
    vi face = (m->d.head < m->d.neck + 0.6f) & (z > splat(-3.5f));
    vf red = bell(length2(a - 4.0f, y + 0.7f) * 0.42f) + 0.8f * bell(length3(x, y - s->tip_y, z - s->tip_z - 0.8f) * 0.75f) + 0.5f * smoothstep(a, 6.6f, 7.6f);
    vf flush = red * (0.08f + 0.30f * s->face->blush);
    c = v3_mul(c, (v3){ 1 + 0.08f * flush, 1 - 0.45f * flush, 1 - 0.40f * flush });
    vf marks = splat(0);
    if (any(face)) {
        vf on = choose(face, splat(1), splat(0)) * smoothstep(z, -3.0f, 0.5f);
        v3 painted = c;
        if (s->face->freckles > 0) painted = freckled(m, painted);
        /* Sockets lie in a slight shade whatever the light does. */
        painted = darker(painted, 0.24f * bell(length2((a - s->eye_x) * 0.55f, (y - 2.75f) * 0.75f)));
        vf nostril = length2((a - s->wing_x * 0.5f - 0.05f) * 2.2f, (y - s->wing_y + 0.52f) * 3.6f);
        painted = darker(painted, 0.85f * bell(nostril) * smoothstep(z, s->tip_z - 1.8f, s->tip_z - 1.2f));
        if (s->face->beard) painted = bearded(m, painted);
        painted = v3_mix(painted, browed(m, painted), smoothstep(z, 1, 2));
        vi mouth = (z > splat(1.5f)) & (y < splat(-2)) & (a < splat(4));
        if (any(mouth)) {
            mouth_curves curves = mouth_at(s, a);
            painted = v3_choose(mouth, lip_colour(m, &curves, painted), painted);
        }
        marks = folds(m) * on;
        c = v3_mix(c, painted, on);
    }
    c = haired(m, c);
    const float wrap[3] = { 0.30f, 0.17f, 0.13f };
    v3 lightened = lit(s, c, m->n, wrap);
    vf shine = power16(glint(s, m->n)), gloss = power4(power16(glint(s, m->n)));
    vf wet = bell(length2(x, (y + 4.5f)) * 0.5f) * 0.5f;
    lightened = v3_add(lightened, v3_scale(v3_splat(s->key), 0.035f * shine + (0.03f + 0.06f * wet) * gloss));
    /* What stands near keeps light away: the chin from the neck, hair from the skin, cloth from the neck. */
    vf neck = choose(m->d.neck < m->d.head, splat(1), splat(0));
    vf shade = (1 - 0.55f * neck * smoothstep(m->d.head, 5.5f, 0.2f)) * (1 - 0.38f * smoothstep(m->d.hair, 1.1f, 0)) * (1 - 0.3f * smoothstep(m->d.cloth, 1.2f, 0));
    lightened = darker(v3_scale(lightened, shade), marks);
    vi mouth = face & (z > splat(1.5f)) & (y < splat(-2)) & (a < splat(4)), eye = face & (z > splat(1.5f)) & (y > splat(0.5f)) & (y < splat(5)) & (a > splat(1));
    if (any(mouth)) lightened = v3_choose(mouth, shade_mouth(m, lightened), lightened);
    if (any(eye)) lightened = v3_choose(eye, shade_eye(m, lightened), lightened);
    return lightened;
}

#endif
