/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a face that was found is from the face that was wanted, and what both say by themselves: pose, gaze, openings.
 *
 * Both are 478 landmarks in fractions of a picture (face/face.h); the two pictures show the same view, in whatever size. All is
 * computed in the wanted face's pixels: x * W, y * H, z * W with W x H of the picture that the *wanted* face is in, so that
 * pixels are square there and a picture that was resized, or stretched to the multiples of 8 that a model takes, is measured as
 * if it had not been.
 *
 * Head frame: x to the image's right, y up, z to the camera, when the head looks straight into it. It is found by the rotation,
 * scale and shift that carry 26 points of a mean head (forehead, temples, sides, bridge and tip of the nose: neither gaze nor
 * expression moves them) onto the face's with the least squares (Horn 1987; the rotation is Kabsch's, 1976; head_shape.h). "0"
 * and "1" are the image's left and right eye: eye 0 is the one at 33..133 with iris 468, the subject's right.
 *
 * Units: IOD is the distance between the outer eye corners, 33 to 263, in depth too: of a face that looks into the camera it is
 * what 300-W normalises by (Sagonas et al. 2013), and a face that looks aside is not measured by less. Eye width is the distance
 * between an eye's corners, 33 to 133 and 362 to 263, in depth too. Angles are degrees. docs/eval.md explains each, with
 * references.
 *
 * NaN is what cannot be told: the gaze of a closed eye, anything of a face whose points lie on one spot. */
#ifndef EVAL_MEASURE_H
#define EVAL_MEASURE_H

#include <stdbool.h>

#include "face/face.h"

/* ---- what a face says by itself -------------------------------------------------------------------------------------- */

enum { MEASURE_EYES = 2 };           /* from left to right in the image */

/* Lengths are along the head's axes. An eye's place is the middle between the points beside its inner corner and those beside
 * its outer one, outside of the lids: FaceMesh moves the corners themselves with the gaze (measured: docs/eval.md). */
typedef enum {
    READ_YAW, READ_PITCH, READ_ROLL,     /* degrees: towards the image's right, up, clockwise as seen */
    READ_GAZE_X_0, READ_GAZE_X_1,        /* eye widths: how far right an iris's centre (468, 473) is of its eye's place, */
    READ_GAZE_Y_0, READ_GAZE_Y_1,        /* and how far above */
    READ_EYE_OPEN_0, READ_EYE_OPEN_1,    /* eye widths: upper lid over lower, the mean of three pairs: 160-144, 159-145, 158-153 */
    READ_MOUTH_OPEN,                     /* IOD: upper inner lip over lower, the mean of 82-87, 13-14, 312-317 */
    READ_SMILE,                          /* IOD: the mouth's corners (61, 291) over the middle between its inner lips (13, 14) */
    READ_BROW_0, READ_BROW_1,            /* IOD: the mean of a brow's ten points over its eye's place */
    READINGS
} measure_reading;

/* ---- how far apart two are ------------------------------------------------------------------------------------------- */

/* Landmarks: the mean distance of points that answer each other, in the picture's plane, in IOD of the wanted face. */
typedef enum {
    ERROR_LANDMARKS,                                 /* all 478 */
    ERROR_OVAL, ERROR_BROWS, ERROR_EYES, ERROR_MOUTH,  /* of the lines of the map (face/topology.h) */
    ERROR_IRISES,                                    /* 468..477 */
    ERROR_GAZE_X, ERROR_GAZE_Y,                      /* of READ_GAZE_*: the mean of the eyes that are open in the wanted face */
    ERROR_POSE,                                      /* degrees: the angle of the rotation that takes one head to the other */
    ERROR_YAW, ERROR_PITCH, ERROR_ROLL,              /* degrees */
    ERROR_EYE_OPEN,                                  /* eye widths: the mean of both eyes */
    ERROR_MOUTH_OPEN, ERROR_SMILE, ERROR_BROW,       /* IOD */
    ERRORS
} measure_error;

_Static_assert((int)READINGS == (int)MIEN_READINGS && (int)ERRORS == (int)MIEN_MEASURES, "mien.h counts them, too");

typedef mien_measure measure_about;                  /* key: in JSON; title and unit: in tables */
extern const measure_about measure_readings[READINGS], measure_errors[ERRORS];

typedef struct { double value[READINGS]; } face_reading;
typedef struct {
    double error[ERRORS];
    face_reading wanted, found;
} face_measure;

extern const double measure_closed;                  /* eye widths: an eye that is open less than that has no gaze */

/* Of a face in a picture of width x height. */
void measure_read(const face *f, int width, int height, face_reading *out);
/* width, height: of the wanted face's picture. The found one is in fractions of its own, whatever its size. */
void measure_faces(const face *wanted, const face *found, int width, int height, face_measure *out);
/* The errors that follow from readings alone, ERROR_GAZE_X to the end (the landmarks' are NaN): for baselines over readings that
 * are kept, such as those of a shuffled wanted face. */
void measure_compare(const face_reading *wanted, const face_reading *found, double error[ERRORS]);

/* The mean distance of all landmarks, in IOD of the wanted face: what faces are matched by. HUGE_VAL if it has no extent. */
double measure_distance(const face *wanted, const face *found, int width, int height);

/* The head frame itself: rotation from the head's frame to the picture's (x right, y up, z to the camera), row by row; IODs a
 * pixel are 1 / scale; where the mean head's origin lies, in pixels. False if the points have no extent. */
typedef struct { double rotation[3][3], scale, at[3]; } head_pose;
bool measure_pose(const face *f, int width, int height, head_pose *out);
/* Degrees, as READ_YAW, READ_PITCH, READ_ROLL. */
void measure_angles(const head_pose *p, double *yaw, double *pitch, double *roll);

#endif
