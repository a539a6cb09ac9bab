/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel that computes any operation by its own reference: what a plan falls back on, and the truth that every other
 * kernel is compared with. Floating point is widened to f32 on the way in and rounded once on the way out. */
#ifndef NN_REFERENCE_REFERENCE_H
#define NN_REFERENCE_REFERENCE_H

#include "nn/device.h"

extern const kernel reference_kernel;

/* Copies a tensor from one layout to another, border and channel zeros written. The planner adds such steps where
 * two kernels disagree. */
extern const kernel relayout_kernel;

#endif
