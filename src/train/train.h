/* SPDX-License-Identifier: Apache-2.0
 *
 * The job behind mien_train: the run's folder, the data, the network, and the loop over its steps. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "base/cpu.h"
#include "mien.h"
#include "weights/checkpoint.h"

/* The options have been looked at (api/train.c), and base and control are paths. */
int train_run(const mien_train_options *o, cpu_level cpu, checkpoint_shapes shapes, mien_train_result *result);

#endif
