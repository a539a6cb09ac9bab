/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the measures: places and rotations. Coordinates here are x to the right, y up, z to the camera. */
#ifndef EVAL_MEASURE_INSIDE_H
#define EVAL_MEASURE_INSIDE_H

#include "eval/measure.h"

void   measure_place(const face *f, int i, int width, int height, double out[3]);   /* of a landmark, in pixels */
/* From there to the head's frame, in the mean head's IOD. */
void   measure_in_head(const head_pose *p, const double at[3], double out[3]);
void   measure_rotation(double yaw, double pitch, double roll, double r[3][3]);     /* the rotation that measure_angles tells */
double measure_rotation_angle(const double a[3][3], const double b[3][3]);          /* degrees */

#endif
