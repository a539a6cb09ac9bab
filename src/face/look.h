/* SPDX-License-Identifier: Apache-2.0
 *
 * One look at a part of a picture: the detector on a square, the landmark network on an ROI. */
#ifndef FACE_LOOK_H
#define FACE_LOOK_H

#include "face/networks.h"

/* What one thread looks with. `times` may be NULL, and so may `runs`, which counts the detector's. */
typedef struct {
    const networks *nets;
    runner *r;
    const image *in;
    face_times *times;
    int *runs;
} looker;

/* A square of the picture in pixels, turned clockwise by `rotation`. */
typedef struct { float cx, cy, side, rotation; } look_square;

/* Detections after suppression, best first, in fractions of the square. */
int look_detect(const looker *k, warp_rect square, float min_score, detection out[DETECTOR_ANCHORS]);
/* The ROI of a detection in the square. */
face_roi look_roi(const looker *k, const look_square *s, const detection *d);
/* The face of an ROI; false if the network sees none there (the score is set all the same). */
bool look_face(const looker *k, const face_roi *roi, face *out);

#endif
