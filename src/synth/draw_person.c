/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/draw_inside.h"

const char *const synth_hair_words[SYNTH_HAIR_COLOURS] = { "black", "brown", "blond", "red", "grey", "white" };
const char *const synth_eye_words[SYNTH_EYE_COLOURS] = { "brown", "brown", "green", "blue", "grey" };
const char *const synth_skin_words[SYNTH_SKINS] = { "light", "brown", "dark" };
const char *const synth_paint_words[SYNTH_PAINTS] = {
    "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "brown", "grey", "white",
};

static float held(double x) { return (float)(x < 0 ? 0 : x > 1 ? 1 : x); }

static synth_colour mixed(synth_colour a, synth_colour b, double t) {
    float u = (float)t;
    return (synth_colour){ a.r + (b.r - a.r) * u, a.g + (b.g - a.g) * u, a.b + (b.b - a.b) * u };
}

static synth_colour scaled(synth_colour a, double x) {
    return (synth_colour){ held((double)a.r * x), held((double)a.g * x), held((double)a.b * x) };
}

/* ---- paint ----------------------------------------------------------------------------------------------------------- */

/* From a dark to a light one, all of the one word. */
static const synth_colour paints[SYNTH_PAINTS][2] = {
    { { 0.50f, 0.08f, 0.09f }, { 0.86f, 0.24f, 0.22f } }, { { 0.76f, 0.38f, 0.08f }, { 0.96f, 0.62f, 0.28f } },
    { { 0.80f, 0.68f, 0.16f }, { 0.96f, 0.88f, 0.48f } },
    { { 0.10f, 0.33f, 0.12f }, { 0.48f, 0.76f, 0.40f } }, { { 0.05f, 0.36f, 0.37f }, { 0.33f, 0.76f, 0.74f } },
    { { 0.10f, 0.16f, 0.44f }, { 0.42f, 0.64f, 0.92f } },
    { { 0.26f, 0.10f, 0.42f }, { 0.64f, 0.48f, 0.86f } }, { { 0.82f, 0.38f, 0.56f }, { 0.97f, 0.72f, 0.80f } },
    { { 0.27f, 0.17f, 0.10f }, { 0.58f, 0.42f, 0.29f } },
    { { 0.30f, 0.30f, 0.31f }, { 0.66f, 0.66f, 0.67f } }, { { 0.90f, 0.90f, 0.88f }, { 0.98f, 0.98f, 0.98f } },
};

int synth_paint_draw(chance *c, synth_colour *out) {
    int i = (int)(chance_bits(c) % SYNTH_PAINTS);
    *out = mixed(paints[i][0], paints[i][1], chance_unit(c));
    return i;
}

synth_colour synth_paint_near(chance *c, synth_colour from) {
    double x = chance_between(c, 0.6, 0.9);
    return chance_of(c, 0.5) ? scaled(from, x) : mixed(from, (synth_colour){ 1, 1, 1 }, 1 - x);
}

/* ---- colours of people --------------------------------------------------------------------------------------------------- */

static const synth_colour skins[SYNTH_SKINS][2] = {   /* between these two */
    { { 0.80f, 0.58f, 0.46f }, { 0.95f, 0.79f, 0.70f } }, { { 0.59f, 0.40f, 0.29f }, { 0.75f, 0.54f, 0.40f } },
    { { 0.36f, 0.23f, 0.16f }, { 0.50f, 0.33f, 0.23f } },
};
static const synth_colour hairs[SYNTH_HAIR_COLOURS][2] = {
    { { 0.05f, 0.045f, 0.04f }, { 0.11f, 0.09f, 0.08f } }, { { 0.20f, 0.12f, 0.07f }, { 0.42f, 0.27f, 0.16f } },
    { { 0.70f, 0.54f, 0.29f }, { 0.91f, 0.79f, 0.53f } },
    { { 0.50f, 0.18f, 0.07f }, { 0.76f, 0.34f, 0.13f } }, { { 0.40f, 0.40f, 0.41f }, { 0.60f, 0.60f, 0.61f } },
    { { 0.84f, 0.84f, 0.83f }, { 0.95f, 0.95f, 0.94f } },
};
static const synth_colour irises[SYNTH_EYE_COLOURS][2] = {
    { { 0.17f, 0.10f, 0.06f }, { 0.24f, 0.15f, 0.09f } }, { { 0.27f, 0.16f, 0.09f }, { 0.36f, 0.22f, 0.12f } },
    { { 0.17f, 0.28f, 0.14f }, { 0.25f, 0.36f, 0.19f } },
    { { 0.12f, 0.24f, 0.42f }, { 0.20f, 0.34f, 0.50f } }, { { 0.23f, 0.28f, 0.32f }, { 0.31f, 0.36f, 0.39f } },
};

static void draw_colours(chance *c, synth_draw *d) {
    static const double skin_weight[SYNTH_SKINS] = { 0.46, 0.28, 0.26 };
    static const double hair_weight[SYNTH_SKINS][SYNTH_HAIR_COLOURS] = {   /* of the young */
        { 0.18, 0.36, 0.27, 0.19, 0, 0 }, { 0.48, 0.40, 0.06, 0.06, 0, 0 }, { 0.74, 0.22, 0.02, 0.02, 0, 0 },
    };
    static const double eye_weight[SYNTH_SKINS][SYNTH_EYE_COLOURS] = {
        { 0.16, 0.28, 0.16, 0.28, 0.12 }, { 0.46, 0.38, 0.08, 0.05, 0.03 }, { 0.74, 0.24, 0.02, 0, 0 },
    };
    synth_face *f = &d->face;
    d->skin = (synth_skin)chance_pick(c, skin_weight, SYNTH_SKINS);
    f->skin = mixed(skins[d->skin][0], skins[d->skin][1], chance_unit(c));
    d->hair_colour = (synth_hair_colour)chance_pick(c, hair_weight[d->skin], SYNTH_HAIR_COLOURS);
    double faded = ((double)f->age - 0.45) * 1.6, grey = chance_unit(c);
    if (grey < faded) d->hair_colour = grey < faded * 0.45 ? SYNTH_WHITE_HAIR : SYNTH_GREY_HAIR;
    f->hair_colour = mixed(hairs[d->hair_colour][0], hairs[d->hair_colour][1], chance_unit(c));
    /* mostly darker than the hair, and always than the skin */
    synth_colour brow = mixed(f->hair_colour, (synth_colour){ 0.16f, 0.11f, 0.08f }, 0.45);
    f->brow_colour = scaled(mixed(brow, scaled(f->skin, 0.3), 0.25), 0.62);
    d->eye_colour = (synth_eye_colour)chance_pick(c, eye_weight[d->skin], SYNTH_EYE_COLOURS);
    f->iris = mixed(irises[d->eye_colour][0], irises[d->eye_colour][1], chance_unit(c));
    /* lighter than dark skin, darker than light */
    synth_colour red = d->skin == SYNTH_LIGHT_SKIN ? (synth_colour){ 0.66f, 0.24f, 0.25f }
        : (synth_colour){ 0.80f, 0.38f, 0.39f };
    synth_colour lips = mixed(scaled(f->skin, 0.9), red, chance_between(c, 0.5, 0.75));
    d->lipstick = chance_of(c, d->woman ? 0.25 : 0);
    f->lip_colour = d->lipstick
        ? mixed((synth_colour){ 0.58f, 0.06f, 0.11f }, (synth_colour){ 0.80f, 0.14f, 0.20f }, chance_unit(c)) : lips;
    f->blush = (float)chance_between(c, 0.1, d->woman ? 0.6 : 0.4);
    f->freckles = (float)(d->skin == SYNTH_LIGHT_SKIN &&
        chance_of(c, d->hair_colour == SYNTH_RED_HAIR ? 0.5 : 0.15) ? chance_between(c, 0.4, 1) : 0);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------------ */

static void draw_shapes(chance *c, synth_face *f) {
    float *const shape[] = {
        &f->head_width, &f->face_length, &f->jaw_width, &f->chin, &f->cheeks, &f->nose_length, &f->nose_width, &f->nose_bridge,
        &f->eye_distance, &f->eye_size,
        &f->eye_tilt, &f->lips, &f->mouth_width, &f->brow_thickness, &f->brow_arch, &f->ears,
    };
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        /* far from the middle, landmarks don't follow */
        bool delicate = shape[i] == &f->eye_size || shape[i] == &f->eye_tilt || shape[i] == &f->lips;
        double x = chance_bell(c) * (delicate ? 0.28 : 0.4);
        *shape[i] = (float)(x < -1 ? -1 : x > 1 ? 1 : x);
    }
}

static void draw_hair(chance *c, synth_draw *d) {
    /* bald, shaved, short, fringe, curly, bob, long, bun */
    static const double of_women[SYNTH_HAIRS] = { 0.01, 0.02, 0.12, 0.17, 0.15, 0.17, 0.23, 0.13 },
        of_men[SYNTH_HAIRS] = { 0.05, 0.14, 0.44, 0.13, 0.14, 0.02, 0.06, 0.02 },
                        of_old_men[SYNTH_HAIRS] = { 0.28, 0.14, 0.42, 0.05, 0.07, 0.01, 0.03, 0 };
    static const double beard[SYNTH_BEARDS] = { 0.71, 0.16, 0.05, 0.04, 0.04 };
    synth_face *f = &d->face;
    int old_mans = chance_pick(c, of_old_men, SYNTH_HAIRS), mans = chance_pick(c, of_men, SYNTH_HAIRS),
        womans = chance_pick(c, of_women, SYNTH_HAIRS);
    f->hair = d->woman ? womans : f->age > 0.6f ? old_mans : mans;
    f->hair_wave = (float)chance_unit(c);
    int kind = chance_pick(c, beard, SYNTH_BEARDS);
    f->beard = d->woman ? SYNTH_BEARD_NONE : kind;
}

void synth_person_draw(chance *c, synth_draw *d) {
    static const double age_weight[3] = { 0.45, 0.33, 0.22 }, ages[4] = { 0, 0.3, 0.62, 1 };
    synth_face *f = &d->face;
    d->woman = chance_of(c, 0.5);
    double sex = 0.65 + chance_bell(c) * 0.11;
    f->sex = (float)(d->woman ? -sex : sex);
    int age = chance_pick(c, age_weight, 3);
    f->age = (float)chance_between(c, ages[age], ages[age + 1]);
    draw_shapes(c, f);
    draw_colours(c, d);
    draw_hair(c, d);
    bool glasses = chance_of(c, f->age > 0.6f ? 0.12 : 0.06);
    f->glasses = glasses ? 1 + (int)(chance_bits(c) % (SYNTH_GLASSES_KINDS - 1)) : SYNTH_GLASSES_NONE;
    static const synth_colour frames[3] = { { 0.08f, 0.07f, 0.07f }, { 0.30f, 0.17f, 0.09f }, { 0.45f, 0.45f, 0.47f } };
    f->glasses_colour = frames[chance_bits(c) % 3];
}
