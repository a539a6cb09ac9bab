/* SPDX-License-Identifier: Apache-2.0
 *
 * A rendered head: a face from parameters, without photo, mesh or texture. Plain arithmetic (+ - * / and square roots of
 * IEEE numbers, no libm), so that a face has the same pixels on any machine, thread and --cpu level.
 *
 * Sides are the picture's: [0] is what lies left in the picture of an upright face (its right eye; MediaPipe's 33, 133, 468),
 * [1] what lies right. x is right, y is up, degrees turn as they are seen. What is made and what it cannot: docs/synth.md. */
#ifndef SYNTH_HEAD_H
#define SYNTH_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "image/image.h"

enum { SYNTH_RENDERER = 3 };   /* raised whenever a face has other pixels or other points: what was rendered before is then made again */

typedef struct { float r, g, b; } synth_colour;      /* sRGB as seen, 0..1 each */

typedef enum {
    SYNTH_HAIR_BALD, SYNTH_HAIR_SHAVED, SYNTH_HAIR_SHORT, SYNTH_HAIR_FRINGE, SYNTH_HAIR_CURLY,
    SYNTH_HAIR_BOB, SYNTH_HAIR_LONG, SYNTH_HAIR_BUN, SYNTH_HAIRS
} synth_hair;

typedef enum { SYNTH_BEARD_NONE, SYNTH_BEARD_STUBBLE, SYNTH_BEARD_MOUSTACHE, SYNTH_BEARD_GOATEE, SYNTH_BEARD_FULL, SYNTH_BEARDS } synth_beard;

typedef enum { SYNTH_GLASSES_NONE, SYNTH_GLASSES_ROUND, SYNTH_GLASSES_SQUARE, SYNTH_GLASSES_KINDS } synth_glasses;

typedef enum { SYNTH_CLOTHES_TSHIRT, SYNTH_CLOTHES_ROLL_NECK, SYNTH_CLOTHES_V_NECK, SYNTH_CLOTHES_STRIPES, SYNTH_CLOTHES_KINDS } synth_clothes;

typedef enum {
    SYNTH_BACKGROUND_PLAIN, SYNTH_BACKGROUND_GRADIENT, SYNTH_BACKGROUND_BOKEH, SYNTH_BACKGROUND_BLOCKS, SYNTH_BACKGROUND_CLOUDS,
    SYNTH_BACKGROUNDS
} synth_background;

/* All numbers are held at the limits of the table below; one that is not finite, or a kind that there is not, is refused. */
typedef struct {
    /* Identity. Shapes are -1..1, 0 the middle of what people are; a normal draw of sd 0.4 gives a fair spread. */
    float sex;                   /* -1 feminine .. 1 masculine: jaw, brow ridge, nose, lips, neck */
    float age;                   /* 0 young .. 1 old: folds, thinner lips, longer nose and ears (grey hair is hair_colour's) */
    float head_width, face_length, jaw_width, chin, cheeks;
    float nose_length, nose_width, nose_bridge;     /* bridge: -1 flat .. 1 high */
    float eye_distance, eye_size, eye_tilt;         /* tilt 1: outer corners higher */
    float lips;                  /* fullness */
    float mouth_width, brow_thickness, brow_arch, ears;
    synth_colour skin, hair_colour, brow_colour, iris, lip_colour;
    float freckles, blush;       /* 0..1 */
    int hair;                    /* synth_hair */
    float hair_wave;             /* 0 straight .. 1 wavy strands */
    int beard;                   /* synth_beard, in hair_colour */
    int glasses;                 /* synth_glasses */
    synth_colour glasses_colour;

    /* Expression. */
    float mouth;                 /* 0 closed .. 1 wide open (3.3 cm). Below 0.15 MediaPipe sees it closed */
    float smile;                 /* -0.5 frown .. 1 */
    float eyes[2];               /* lids: 0 closed, 1 as it is open at rest, 1.25 wide. Below 0.25 it is seen as closed */
    float brows[2];              /* -1 lowered .. 1 raised */
    float gaze_x[2], gaze_y[2];  /* degrees in the head's frame: x to the right of the picture +-35, y up +-25 */

    /* Pose and camera. */
    float yaw, pitch, roll;      /* degrees: the nose turns right in the picture, up; the head leans clockwise. +-60, +-45, +-180 */
    float distance;              /* camera to head, cm, 40..200: how strong the perspective is */
    float size;                  /* 18 cm of face as a fraction of the picture's shorter side, 0.1..1.2 */
    float offset_x, offset_y;    /* of the head's middle from the picture's, in fractions of the shorter side, +-0.5; right, up */

    /* Light. */
    float key_azimuth, key_elevation;               /* degrees, +-90 (right in the picture), -30..80 (above) */
    float key, ambient;          /* strength 0..1.5, 0..1; good: 0.6..1.1, 0.28..0.5 */
    synth_colour key_colour;

    /* Surroundings. */
    int background;              /* synth_background */
    synth_colour background_a, background_b;
    int clothes;                 /* synth_clothes */
    synth_colour clothes_a, clothes_b;
    float grain;                 /* noise of the camera, sd in 0..0.1 of white; good: up to 0.01 */
    uint32_t seed;               /* of strands, freckles, background spots, grain: nothing that a caption says */
} synth_face;

/* The face that all shapes at 0 make: neutral, straight, short brown hair, a plain background. */
synth_face synth_face_default(void);

typedef enum { SYNTH_FLOAT, SYNTH_KIND, SYNTH_SEED } synth_type;

/* Every member once, in the struct's order: for limits, JSON, tests. A colour is three floats, a pair two. */
typedef struct {
    const char *name;            /* as the member's */
    synth_type type;
    size_t offset;               /* in synth_face */
    int count;                   /* 1, 2 (sides) or 3 (colour) */
    float least, most;
    const char *const *kinds;    /* of a SYNTH_KIND: its most+1 names ("bald", ...), else NULL */
} synth_parameter;

const synth_parameter *synth_parameters(size_t *n);

/* Holds every number at its limits. ERR_USAGE, with the member's name: not finite, or no such kind. */
int synth_face_check(synth_face *face);

enum { SYNTH_LEAST = 16, SYNTH_MOST = 4096 };       /* sides of a picture */

/* Renders; *out is the caller's to free, filled only on success. ERR_USAGE (synth_face_check, sizes), ERR_MEMORY. Computes on
 * the calling thread alone; the pixels are the same at each level. */
int synth_render(const synth_face *face, int width, int height, cpu_level cpu, image *out);

/* Where the renderer itself has put things: pixels, (0,0) the upper left corner of the upper left pixel, as MediaPipe's landmarks
 * times width and height. What lies behind another thing or outside the picture is told all the same. */
enum { SYNTH_POINTS = 18 };

typedef struct {
    int landmark;                /* of the 478: mouth 13 14 61 291, lids 159 145 386 374, corners 33 133 362 263, irises 468 473,
                                    nose tip 1, brows 105 334, chin 152 */
    float x, y;
    float depth;                 /* cm from the camera's plane */
} synth_point;

typedef struct {
    synth_point point[SYNTH_POINTS];
    synth_point ahead[2];        /* the pupils (468, 473) if this head looked straight ahead: iris shift is measured from there */
    float turn[9];               /* head frame (cm; x right, y up, z to the camera) to camera frame, rows */
    float cm;                    /* pixels a centimetre at the distance of the head's middle */
} synth_truth;

/* 0, or ERR_USAGE as synth_render. */
int synth_truth_find(const synth_face *face, int width, int height, synth_truth *out);
/* The point of that landmark, or NULL. */
const synth_point *synth_truth_point(const synth_truth *truth, int landmark);

#endif
