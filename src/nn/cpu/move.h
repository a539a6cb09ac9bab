/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels that only move numbers, equal to the reference: concat, slice, upsample_nearest, embedding; and timestep_embedding,
 * which is too small to matter. They need no instruction set. */
#ifndef NN_CPU_MOVE_H
#define NN_CPU_MOVE_H

#include "nn/device.h"

const kernel *move_kernels(size_t *n);

#endif
