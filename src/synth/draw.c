/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/draw.h"

#include "synth/chance.h"
#include "synth/draw_inside.h"

static double held(double x, double least, double most) { return x < least ? least : x > most ? most : x; }

/* Half of them anywhere within the range, half rather near the middle. */
static double turned(chance *c, double most) {
    double x = chance_of(c, 0.5) ? chance_between(c, -most, most) : held(chance_bell(c) * most / 2.5, -most, most);
    return x + 0;   /* -0 is written otherwise */
}

/* ---- expression ------------------------------------------------------------------------------------------------------ */

typedef enum { CALM, SMILING, LAUGHING, SAD, SURPRISED, ANGRY, TALKING, WINKING, ASLEEP, FREE, MOODS } mood;
static const double mood_weight[MOODS] = { 0.06, 0.09, 0.07, 0.06, 0.06, 0.06, 0.06, 0.02, 0.03, 0.49 };

/* Most likely in the middle of the range. */
static float about(chance *c, double least, double most) {
    double x = chance_unit(c);
    x += chance_unit(c);
    return (float)(least + (most - least) * x / 2);
}

static void set_both(float sides[2], float x, chance *c, double apart) {
    for (int i = 0; i < 2; i++) sides[i] = x + (float)(chance_bell(c) * apart);
}

static void draw_free(synth_face *f, chance *c) {
    f->mouth = (float)(chance_of(c, 0.3) ? 0 : chance_between(c, 0.15, 1));
    f->smile = (float)chance_between(c, -0.5, 1);
    float lids = (float)(chance_of(c, 0.2) ? 0 : chance_of(c, 0.9) ? chance_between(c, 0.35, 1.25)
        : chance_between(c, 0.8, 1.25));
    set_both(f->eyes, lids, c, lids > 0 ? 0.03 : 0);
    set_both(f->brows, (float)chance_between(c, -1, 1), c, 0.08);
    if (chance_of(c, 0.1)) f->brows[chance_of(c, 0.5)] = (float)chance_between(c, 0.6, 1);   /* one alone */
}

/* closed: how probable a closed mouth is */
typedef struct { double mouth[2], smile[2], eyes[2], brows[2], closed; } mood_ranges;

static const mood_ranges mood_range[MOODS] = {
    [CALM] =      { { 0.15, 0.30 }, { -0.10, 0.15 }, { 0.85, 1.10 }, { -0.20, 0.25 }, 0.90 },
    [SMILING] =   { { 0.15, 0.35 }, { 0.40, 1.00 },  { 0.65, 1.05 }, { -0.15, 0.45 }, 0.65 },
    [LAUGHING] =  { { 0.35, 0.90 }, { 0.60, 1.00 },  { 0.35, 0.95 }, { 0.00, 0.70 },  0.00 },
    [SAD] =       { { 0.15, 0.35 }, { -0.50, -0.20 }, { 0.50, 0.95 }, { -0.10, 0.60 }, 0.85 },
    [SURPRISED] = { { 0.30, 1.00 }, { -0.20, 0.25 }, { 1.05, 1.25 }, { 0.60, 1.00 },  0.00 },
    [ANGRY] =     { { 0.20, 0.80 }, { -0.50, -0.05 }, { 0.55, 1.00 }, { -1.00, -0.55 }, 0.60 },
    [TALKING] =   { { 0.15, 0.65 }, { -0.20, 0.45 }, { 0.80, 1.10 }, { -0.30, 0.50 }, 0.00 },
    [WINKING] =   { { 0.15, 0.45 }, { 0.10, 0.90 },  { 0.75, 1.05 }, { -0.10, 0.40 }, 0.60 },
    [ASLEEP] =    { { 0.15, 0.35 }, { -0.20, 0.30 }, { 0.00, 0.00 }, { -0.20, 0.30 }, 0.80 },
};

static void draw_mood(synth_face *f, const mood_ranges *m, chance *c) {
    f->mouth = chance_of(c, m->closed) ? 0 : about(c, m->mouth[0], m->mouth[1]);
    f->smile = about(c, m->smile[0], m->smile[1]);
    set_both(f->eyes, about(c, m->eyes[0], m->eyes[1]), c, m->eyes[1] > 0 ? 0.03 : 0);
    set_both(f->brows, about(c, m->brows[0], m->brows[1]), c, 0.05);
}

static void draw_expression(synth_face *f, chance *c) {
    mood m = (mood)chance_pick(c, mood_weight, MOODS);
    if (m == FREE) draw_free(f, c);
    else draw_mood(f, &mood_range[m], c);
    if (m == WINKING) f->eyes[chance_of(c, 0.5)] = 0;
    /* What is covered is not found: closed eyes behind glasses, wide mouths in beards, and brows under hair. */
    if (f->glasses && f->eyes[0] == 0 && f->eyes[1] == 0) set_both(f->eyes, (float)chance_between(c, 0.6, 1.1), c, 0.03);
    bool bearded = f->beard > SYNTH_BEARD_STUBBLE, fringed = f->hair == SYNTH_HAIR_FRINGE || f->hair == SYNTH_HAIR_CURLY ||
        f->hair == SYNTH_HAIR_BOB || f->hair == SYNTH_HAIR_LONG;
    if (bearded && f->mouth > 0.4f) f->mouth = 0.4f + (f->mouth - 0.4f) * 0.6f;
    for (int i = 0; i < 2; i++) {
        f->eyes[i] = f->eyes[i] > 0 ? (float)held((double)f->eyes[i], 0.35, 1.25) : 0;
        f->brows[i] = (float)held((double)f->brows[i], -1, fringed ? 0.75 : 1);
    }
}

/* Three in ten look at the camera, whichever way the head is turned, as far as eyes go; the eyes of all of them meet at some
 * distance. */
static void draw_gaze(synth_face *f, chance *c) {
    double x = chance_between(c, -30, 30), y = chance_between(c, -20, 20);
    if (chance_of(c, 0.3)) {
        x = held(-(double)f->yaw + chance_bell(c), -30, 30);
        y = held(-(double)f->pitch + chance_bell(c), -20, 20);
    }
    double apart = chance_between(c, 0, 1.6);   /* each eye inward: 3.2 cm beside the middle, from 115 cm on */
    for (int i = 0; i < 2; i++) {
        f->gaze_x[i] = (float)(x + (i ? -apart : apart));
        f->gaze_y[i] = (float)y;
        /* lids follow more than the renderer lets them */
        if (y < -8 && f->eyes[i] > 0) f->eyes[i] = (float)held((double)f->eyes[i] + (y + 8) * 0.01, 0.35, 1.25);
    }
}

/* ---- camera and surroundings --------------------------------------------------------------------------------------------- */

static void draw_camera(synth_face *f, const synth_draw_settings *s, chance *c) {
    f->yaw = (float)turned(c, s->yaw);
    f->pitch = (float)turned(c, s->pitch);
    f->roll = (float)turned(c, s->roll);
    f->distance = (float)chance_between(c, 50, 110);
    f->size = (float)chance_between(c, s->face_least, s->face_most);
    double shorter = s->width < s->height ? s->width : s->height, room = held((1 - (double)f->size) * 0.25, 0, 0.1);
    /* beyond the square in the middle */
    double more_x = (s->width / shorter - 1) * 0.3, more_y = (s->height / shorter - 1) * 0.3;
    f->offset_x = (float)held(chance_bell(c) * room / 2 + chance_between(c, -more_x, more_x), -0.5, 0.5);
    double chin = 0.05 * (double)f->size;   /* the face lies lower in the head than its hair: its middle is the picture's */
    f->offset_y = (float)held(chin + chance_bell(c) * room / 3 + chance_between(c, -more_y, more_y), -0.5, 0.5);
}

/* Cameras expose for the face: darker skin gets more light. */
static void draw_light(synth_face *f, synth_skin skin, chance *c) {
    static const double exposure[SYNTH_SKINS] = { 1, 1.12, 1.35 };
    f->key_azimuth = (float)turned(c, 70);
    f->key_elevation = (float)chance_between(c, -5, 60);
    f->key = (float)(chance_between(c, 0.6, 1.1) * exposure[skin]);
    f->ambient = (float)(chance_between(c, 0.28, 0.5) * exposure[skin]);
    float warm = (float)chance_between(c, -0.06, 0.08);
    f->key_colour = (synth_colour){ 0.95f + (warm > 0 ? 0.05f : 0.6f * warm), 0.95f, 0.95f - (warm > 0 ? warm : 0) };
    f->grain = (float)chance_between(c, 0, 0.008);
}

static void draw_surroundings(synth_draw *d, const synth_draw_settings *s, chance *c) {
    static const double background_weight[SYNTH_BACKGROUNDS] = {
        [SYNTH_BACKGROUND_PLAIN] = 0.3, [SYNTH_BACKGROUND_GRADIENT] = 0.25, [SYNTH_BACKGROUND_BOKEH] = 0.15,
        [SYNTH_BACKGROUND_BLOCKS] = 0.15,
        [SYNTH_BACKGROUND_CLOUDS] = 0.15,
    };
    static const double clothes_weight[SYNTH_CLOTHES_KINDS] = { 0.35, 0.2, 0.2, 0.25 };
    synth_face *f = &d->face;
    int kind = chance_pick(c, background_weight, SYNTH_BACKGROUNDS);
    f->background = s->surroundings == SYNTH_SURROUNDINGS_PLAIN ? SYNTH_BACKGROUND_PLAIN : kind;
    d->background_paint = synth_paint_draw(c, &f->background_a);
    f->background_b = synth_paint_near(c, f->background_a);
    if (f->background == SYNTH_BACKGROUND_BOKEH || f->background == SYNTH_BACKGROUND_BLOCKS)
        synth_paint_draw(c, &f->background_b);
    f->clothes = chance_pick(c, clothes_weight, SYNTH_CLOTHES_KINDS);
    d->clothes_paint = synth_paint_draw(c, &f->clothes_a);
    int other = synth_paint_draw(c, &f->clothes_b);
    if (other == d->clothes_paint) f->clothes_b = (synth_colour){ 0.93f, 0.93f, 0.91f };
}

void synth_draw_face(uint64_t seed, uint64_t number, const synth_draw_settings *s, synth_draw *out) {
    *out = (synth_draw){ .face = synth_face_default(), .identity = number };
    chance c = chance_begin(seed, number, "who");
    if (s->identities) out->identity = chance_bits(&c) % s->identities + 1;
    chance person = chance_begin(seed, out->identity, "person");
    synth_person_draw(&person, out);
    c = chance_begin(seed, number, "camera");
    draw_camera(&out->face, s, &c);
    c = chance_begin(seed, number, "expression");
    draw_expression(&out->face, &c);
    c = chance_begin(seed, number, "gaze");
    draw_gaze(&out->face, &c);
    c = chance_begin(seed, number, "light");
    draw_light(&out->face, out->skin, &c);
    c = chance_begin(seed, number, "surroundings");
    draw_surroundings(out, s, &c);
    c = chance_begin(seed, number, "grain");
    out->face.seed = (uint32_t)chance_bits(&c);
}
