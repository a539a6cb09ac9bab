/* SPDX-License-Identifier: Apache-2.0
 *
 * Around the landmark network: the square of the picture that it looks at, and its seven outputs as one face. Equal to
 * MediaPipe 0.10.21's refined face mesh, bit for bit. */
#ifndef FACE_LANDMARKS_H
#define FACE_LANDMARKS_H

#include "face/detector.h"
#include "face/face.h"

enum { LANDMARKS_SIDE = 192, LANDMARKS_OUTPUTS = 7 };

/* A rotated rectangle of the picture: centre and size in fractions of its width and height, square in pixels; rotation
 * in radians, clockwise on the screen. */
typedef struct { float cx, cy, width, height, rotation; } face_roi;

face_roi roi_from_detection(const detection *d, int width, int height);
/* Drops every ROI that a later, weaker one overlaps by more than half (so does the reference), in place. */
int roi_associate(face_roi *roi, int n);

warp_rect   landmarks_rect(const face_roi *roi, int width, int height);
warp_target landmarks_target(void);

/* The network's outputs in the file's order; how many numbers each has. */
typedef enum { OUT_MESH, OUT_LIPS, OUT_LEFT_EYE, OUT_RIGHT_EYE, OUT_LEFT_IRIS, OUT_RIGHT_IRIS, OUT_FLAG } landmarks_output;
extern const int landmarks_count[LANDMARKS_OUTPUTS];

float landmarks_presence(const float *flag);
extern const float landmarks_presence_limit;   /* a face has more */

/* The 478 points in fractions of the crop. */
void landmarks_merge(const float *const out[LANDMARKS_OUTPUTS], face_point points[FACE_LANDMARKS]);
/* From the crop to the picture, in place. */
void landmarks_to_picture(face_point points[FACE_LANDMARKS], const face_roi *roi);

#endif
