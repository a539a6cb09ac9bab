/* SPDX-License-Identifier: Apache-2.0
 *
 * A rendered picture's parameters by chance, from a seed and a number alone: person, expression, gaze, pose, camera, light,
 * surroundings. Each group has numbers of its own (synth/chance.h), so a setting of one changes no other.
 *
 * Expressions are mixed: about half are ones that people have (a smile raises cheeks and opens the mouth a little, surprise
 * raises brows and opens everything), the others free, so that each part is also seen without the others that usually go with
 * it. What MediaPipe cannot tell apart is not drawn: mouths between closed and 0.15 open, lids between closed and 0.35. */
#ifndef SYNTH_DRAW_H
#define SYNTH_DRAW_H

#include <stdbool.h>
#include <stdint.h>

#include "synth/head.h"

/* Raised whenever the same seed, number and settings give other parameters or another caption. */
enum { SYNTH_DRAW = 7 };

typedef enum { SYNTH_SURROUNDINGS_ANY, SYNTH_SURROUNDINGS_PLAIN } synth_surroundings;

typedef struct {
    int width, height;              /* of the picture */
    double yaw, pitch, roll;        /* degrees: as far as heads turn, to either side */
    double face_least, face_most;   /* 18 cm of face as a fraction of the shorter side */
    uint64_t identities;            /* so many people and no more; 0: each picture has its own */
    synth_surroundings surroundings;
} synth_draw_settings;

/* What is said of colours and people in a word. */
typedef enum {
    SYNTH_BLACK_HAIR, SYNTH_BROWN_HAIR, SYNTH_BLOND_HAIR, SYNTH_RED_HAIR, SYNTH_GREY_HAIR, SYNTH_WHITE_HAIR, SYNTH_HAIR_COLOURS
} synth_hair_colour;
typedef enum {
    SYNTH_DARK_BROWN_EYES, SYNTH_BROWN_EYES, SYNTH_GREEN_EYES, SYNTH_BLUE_EYES, SYNTH_GREY_EYES, SYNTH_EYE_COLOURS
} synth_eye_colour;
typedef enum { SYNTH_LIGHT_SKIN, SYNTH_BROWN_SKIN, SYNTH_DARK_SKIN, SYNTH_SKINS } synth_skin;
enum { SYNTH_PAINTS = 11 };

extern const char *const synth_hair_words[SYNTH_HAIR_COLOURS], *const synth_eye_words[SYNTH_EYE_COLOURS],
    *const synth_skin_words[SYNTH_SKINS], *const synth_paint_words[SYNTH_PAINTS];

typedef struct {
    synth_face face;
    uint64_t identity;              /* which person: the same number, the same person */
    bool woman;
    synth_hair_colour hair_colour;
    synth_eye_colour eye_colour;
    synth_skin skin;
    bool lipstick;
    int background_paint, clothes_paint;   /* of synth_paint_words; of the main colour */
} synth_draw;

void synth_draw_face(uint64_t seed, uint64_t number, const synth_draw_settings *s, synth_draw *out);

#endif
