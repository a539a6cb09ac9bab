/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a model's tensors fit together: its graphs are built, as to generate with them, and thrown away. No number is read. */
#ifndef MODEL_SHAPES_H
#define MODEL_SHAPES_H

#include "weights/checkpoint.h"

/* networks: CHECKPOINT_*, each whole (no tensor of it is missing). ERR_FORMAT: a tensor, which is named as it is stored,
 * does not fit; ERR_UNSUPPORTED, ERR_LIMIT: the model may be sound, but nothing here computes with it. */
int shapes_check(const checkpoint *c, unsigned networks);

#endif
