/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FACE_SIGMOID_H
#define FACE_SIGMOID_H

#include <math.h>

/* With the C library's expf: another one's last bit would show in the scores. */
static inline float face_sigmoid(float x) { return 1 / (1 + expf(-x)); }

#endif
