/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth: hair, cloth and glasses in their light. */
#ifndef SYNTH_SHADE_REST_H
#define SYNTH_SHADE_REST_H

#include "synth/shade.h"

static inline v3 shade_hair(const met *m) {
    const scene *s = m->s;
    uint32_t seed = s->face->seed + 20;
    strand t = strand_at(s, m->p.x, m->p.y, m->p.z);
    vf fine = 0.55f * noise2(t.across * 130, t.along * 0.35f, seed) + 0.45f * noise2(t.across * 330, t.along * 0.6f, seed + 1);
    v3 n = turned(s->head.from, m->n), from_part = { m->p.x - s->hair_part[0], m->p.y - s->hair_part[1], m->p.z - s->hair_part[2] };
    if (s->hair == SYNTH_HAIR_CURLY) {
        fine = 0.6f * noise3(m->p.x * 3.1f, m->p.y * 3.1f, m->p.z * 3.1f, seed) + 0.4f * noise3(m->p.x * 7, m->p.y * 7, m->p.z * 7, seed + 1);
    }
    v3 c = v3_scale(v3_splat(s->hair_rgb), 0.45f + 1.05f * fine);
    const float wrap[3] = { 0.35f, 0.32f, 0.30f };
    c = lit(s, c, m->n, wrap);
    /* A band of light across the strands (J. T. Kajiya and T. L. Kay 1989): by the angle between the strand and half way to the light. */
    v3 along = v3_unit(v3_add(from_part, v3_scale(n, -v3_dot(n, from_part))));
    vf lean = v3_dot(along, v3_splat(s->head_half)) + 0.25f * (fine - 0.5f), band = power16(vsqrt(vmax(1 - lean * lean, splat(0)))), facing = clamp01(v3_dot(m->n, v3_splat(s->to_key)) + 0.3f);
    band *= band;
    float gloss = s->hair == SYNTH_HAIR_CURLY ? 0.03f : 0.10f;
    v3 sheen = v3_add(v3_scale(v3_splat(s->hair_rgb), splat(0.9f)), v3_of(0.12f, 0.12f, 0.12f));
    c = v3_add(c, v3_mul(v3_mul(sheen, v3_splat(s->key)), v3_scale(v3_of(1, 1, 1), band * facing * fine * gloss * 5)));
    return v3_scale(c, 0.72f + 0.28f * smoothstep(m->d.cloth, 0, 3));
}

static inline v3 shade_cloth(const met *m) {
    const scene *s = m->s;
    v3 b = m->b, c = v3_splat(s->cloth_a), second = v3_splat(s->cloth_b);
    if (s->face->clothes == SYNTH_CLOTHES_STRIPES) {
        vf row = (b.y + 0.035f * b.x * b.x * 0.3f) * (1 / 2.6f);
        row = vabs(row - vfloor(row) - 0.5f);
        c = v3_mix(c, second, cover(0.25f - row, m->pixel * 0.3f));
    }
    vf hem = -neckline(s, b.x, b.y, b.z);   /* how far the cloth goes on beyond */
    if (s->face->clothes == SYNTH_CLOTHES_TSHIRT || s->face->clothes == SYNTH_CLOTHES_V_NECK)
        c = darker(c, 0.28f * cover(hem + 0.9f, m->pixel) + 0.3f * bell((hem + 0.9f) / (0.12f + m->pixel * 0.5f)));
    if (s->face->clothes == SYNTH_CLOTHES_ROLL_NECK) {
        vf rib = sine_turns(angle_turns(b.x, b.z + 4.4f) * 46);
        c = darker(c, 0.12f * (0.5f + 0.5f * rib) * smoothstep(b.y, -14.5f, -13.8f) + 0.25f * bell((b.y + 14.4f) * 2));
    }
    vf creases = noise3(b.x * 0.22f, b.y * 0.22f + b.x * 0.1f, b.z * 0.2f, s->face->seed + 10) * 0.7f + noise2(b.x * 0.9f + b.y * 0.3f, b.y * 0.35f, s->face->seed + 11) * 0.3f;
    vf weave = noise2(b.x * 8, b.y * 8, s->face->seed + 12);
    c = v3_scale(c, (0.78f + 0.36f * creases) * (0.96f + 0.08f * weave));
    const float wrap[3] = { 0.25f, 0.25f, 0.25f };
    c = lit(s, c, m->n, wrap);
    return v3_scale(c, (1 - 0.45f * smoothstep(m->d.head, 7, 0.5f)) * (1 - 0.3f * smoothstep(m->d.hair, 2.0f, 0)));
}

static inline v3 shade_glasses(const met *m) {
    const float wrap[3] = { 0.1f, 0.1f, 0.1f };
    v3 c = lit(m->s, v3_splat(m->s->frame_rgb), m->n, wrap);
    return v3_add(c, v3_scale(v3_splat(m->s->key), 0.35f * power16(glint(m->s, m->n))));
}

#endif
