/* SPDX-License-Identifier: Apache-2.0
 *
 * Around the face detector: the letterbox it looks at, what its 896 anchors say, and which of that to believe. Equal to
 * MediaPipe 0.10.21's face_detection_short_range, bit for bit, in f32 throughout. */
#ifndef FACE_DETECTOR_H
#define FACE_DETECTOR_H

#include "image/warp.h"

enum { DETECTOR_SIDE = 128, DETECTOR_ANCHORS = 896, DETECTOR_NUMBERS = 16, DETECTOR_KEYS = 6 };

typedef struct { float x, y; } face_xy;

/* key: the eyes on the image's left and right, nose tip, mouth, ears on the image's left and right. Units are those of
 * the letterbox, later of the picture: fractions that may leave 0..1. */
typedef struct {
    float score, xmin, ymin, width, height;
    face_xy key[DETECTOR_KEYS];
} detection;

/* What the network sees of a picture: the centred square of its longer side; zeros (black) outside. */
warp_rect   detector_letterbox(int width, int height);
warp_target detector_target(void);

/* The network's regressors [896,16] and logits [896] -> at most 896 detections of at least min_score, in anchor order. */
int detector_decode(const float *regressors, const float *logits, float min_score, detection out[DETECTOR_ANCHORS]);
/* Weighted non-maximum suppression, in place, best score first. Returns how many are left. */
int detector_suppress(detection *d, int n);
/* From the letterbox to the width x height picture. */
void detector_to_picture(detection *d, int n, int width, int height);

/* Intersection over union of two upright rectangles; 0 if they do not overlap. */
typedef struct { float x0, y0, x1, y1; } face_box;
float face_box_overlap(face_box a, face_box b);

#endif
