/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a map shows the faces of its photo. The measure is the distance between a face's eyes, in depth too, so that a
 * face that looks aside is not measured by less. */
#ifndef DATA_FACE_MATCH_H
#define DATA_FACE_MATCH_H

#include <stdbool.h>

#include "face/face.h"
#include "image/image.h"

#define FACE_MATCH_MOST 0.05                /* of the distance between the eyes, for a face that is the same */

typedef struct {
    int mapped;      /* what the map shows: faces, or pupils where only its colours tell */
    int missing;     /* of these, what is not found in the photo at its place */
    double off;      /* how far the worst of all is from what is found nearest, in distances between the eyes (HUGE_VAL: nothing is found) */
    int more;        /* faces found that the map does not show */
    bool unknown;    /* the map is not empty, but shows no pupil to go by */
} face_match;

/* From pupil to pupil, in pixels of a width x height picture. */
double face_eye_distance(const face *f, int width, int height);

/* What the landmarks beside a map say, against what is found in the photo. A face is the same if its points are off by at
 * most FACE_MATCH_MOST in the mean (or by a pixel). Each found face stands for one. Only faces of at least min_face pixels, of the picture that
 * they were found in first, were drawn; what was not drawn is not missed. */
void face_match_landmarks(const faces *mapped, double min_face, const faces *found, face_match *out);

/* The same by the colours of the pupils in the map, where there are no landmarks. A pupil is known to a pixel; lossy: the map is a JPEG, to two. */
int  face_match_map(const image *map, bool lossy, const faces *found, face_match *out);

/* Whether a map is what face_map_draw makes of the faces at its size. */
int  face_match_drawn(const image *map, bool lossy, const faces *f, double min_face, bool *same);

#endif
