/* SPDX-License-Identifier: Apache-2.0
 *
 * The mean head: those of a face's points that neither gaze nor expression moves, where they are on the mean of some faces and
 * their mirror images (tests/reference/head_shape.py). In IOD, x to the image's right, y up, z to the camera, the origin in
 * their mean. */
#ifndef EVAL_HEAD_SHAPE_H
#define EVAL_HEAD_SHAPE_H

#include <stdint.h>

enum { HEAD_POINTS = 26 };

typedef struct { int16_t landmark; double at[3]; } head_point;
extern const head_point head_points[HEAD_POINTS];

#endif
