/* SPDX-License-Identifier: Apache-2.0
 *
 * The parameters of a face: one table with their limits. */
#include "synth/head.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

static const char *const hairs[] = { "bald", "shaved", "short", "fringe", "curly", "bob", "long", "bun" };
static const char *const beards[] = { "none", "stubble", "moustache", "goatee", "full" };
static const char *const glasses[] = { "none", "round", "square" };
static const char *const backgrounds[] = { "plain", "gradient", "bokeh", "blocks", "clouds" };
static const char *const clothes[] = { "t-shirt", "roll-neck", "v-neck", "stripes" };

#define NUMBERS(member, n, least, most) { #member, SYNTH_FLOAT, offsetof(synth_face, member), n, least, most, NULL }
#define NUMBER(member, least, most) NUMBERS(member, 1, least, most)
#define SHAPE(member)               NUMBER(member, -1, 1)
#define SIDES(member, least, most)  NUMBERS(member, 2, least, most)
#define COLOUR(member)              NUMBERS(member, 3, 0, 1)
#define KIND(member, names)         { #member, SYNTH_KIND, offsetof(synth_face, member), 1, 0, sizeof names / sizeof *names - 1, names }

static const synth_parameter parameters[] = {
    SHAPE(sex), NUMBER(age, 0, 1),
    SHAPE(head_width), SHAPE(face_length), SHAPE(jaw_width), SHAPE(chin), SHAPE(cheeks),
    SHAPE(nose_length), SHAPE(nose_width), SHAPE(nose_bridge), SHAPE(eye_distance), SHAPE(eye_size), SHAPE(eye_tilt),
    SHAPE(lips), SHAPE(mouth_width), SHAPE(brow_thickness), SHAPE(brow_arch), SHAPE(ears),
    COLOUR(skin), COLOUR(hair_colour), COLOUR(brow_colour), COLOUR(iris), COLOUR(lip_colour),
    NUMBER(freckles, 0, 1), NUMBER(blush, 0, 1),
    KIND(hair, hairs), NUMBER(hair_wave, 0, 1), KIND(beard, beards), KIND(glasses, glasses), COLOUR(glasses_colour),
    NUMBER(mouth, 0, 1), NUMBER(smile, -0.5f, 1), SIDES(eyes, 0, 1.25f), SIDES(brows, -1, 1),
    SIDES(gaze_x, -35, 35), SIDES(gaze_y, -25, 25),
    NUMBER(yaw, -60, 60), NUMBER(pitch, -45, 45), NUMBER(roll, -180, 180),
    NUMBER(distance, 40, 200), NUMBER(size, 0.1f, 1.2f), NUMBER(offset_x, -0.5f, 0.5f), NUMBER(offset_y, -0.5f, 0.5f),
    NUMBER(key_azimuth, -90, 90), NUMBER(key_elevation, -30, 80), NUMBER(key, 0, 1.5f), NUMBER(ambient, 0, 1), COLOUR(key_colour),
    KIND(background, backgrounds), COLOUR(background_a), COLOUR(background_b),
    KIND(clothes, clothes), COLOUR(clothes_a), COLOUR(clothes_b),
    NUMBER(grain, 0, 0.1f), { "seed", SYNTH_SEED, offsetof(synth_face, seed), 1, 0, 4294967295.0f, NULL },
};

_Static_assert(sizeof hairs / sizeof *hairs == SYNTH_HAIRS && sizeof beards / sizeof *beards == SYNTH_BEARDS &&
               sizeof glasses / sizeof *glasses == SYNTH_GLASSES_KINDS && sizeof clothes / sizeof *clothes == SYNTH_CLOTHES_KINDS &&
               sizeof backgrounds / sizeof *backgrounds == SYNTH_BACKGROUNDS, "every kind has a name");

const synth_parameter *synth_parameters(size_t *n) {
    *n = sizeof parameters / sizeof *parameters;
    return parameters;
}

synth_face synth_face_default(void) {
    return (synth_face){
        .skin = { 0.84f, 0.64f, 0.53f }, .hair_colour = { 0.26f, 0.17f, 0.11f }, .brow_colour = { 0.22f, 0.15f, 0.11f },
        .iris = { 0.30f, 0.42f, 0.52f }, .lip_colour = { 0.70f, 0.38f, 0.36f }, .hair = SYNTH_HAIR_SHORT,
        .glasses_colour = { 0.10f, 0.09f, 0.09f },
        .blush = 0.3f, .eyes = { 1, 1 }, .distance = 80, .size = 0.55f,
        .key_azimuth = 30, .key_elevation = 35, .key = 0.85f, .ambient = 0.4f, .key_colour = { 1, 0.97f, 0.93f },
        .background_a = { 0.62f, 0.68f, 0.74f }, .background_b = { 0.45f, 0.52f, 0.60f },
        .clothes_a = { 0.22f, 0.32f, 0.48f }, .clothes_b = { 0.85f, 0.85f, 0.82f }, .grain = 0.004f,
    };
}

static int check_floats(const synth_parameter *p, float *value) {
    for (int i = 0; i < p->count; i++) {
        if (!isfinite(value[i])) return error_set(ERR_USAGE, "%s is not a number", p->name);
        value[i] = value[i] < p->least ? p->least : value[i] > p->most ? p->most : value[i];
    }
    return 0;
}

int synth_face_check(synth_face *face) {
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        const synth_parameter *p = &parameters[i];
        char *member = (char *)face + p->offset;
        if (p->type == SYNTH_FLOAT) {
            int rc = check_floats(p, (float *)(void *)member);
            if (rc < 0) return rc;
        } else if (p->type == SYNTH_KIND) {
            int kind = *(int *)(void *)member;
            if (kind < 0 || kind > (int)p->most) return error_set(ERR_USAGE, "%s: there is no kind %d", p->name, kind);
        }
    }
    return 0;
}
