/* SPDX-License-Identifier: Apache-2.0
 *
 * The short hash by which pictures name the model they were made with. Taking it reads gigabytes, so it is remembered under
 * $XDG_CACHE_HOME/mien (or ~/.cache/mien), by the place, size and times of the files that it is of. */
#ifndef GENERATE_MODEL_HASH_H
#define GENERATE_MODEL_HASH_H

#include <stdbool.h>

#include "weights/checkpoint.h"

/* stop: base/stop.h, may be NULL. */
int model_hash(const checkpoint *c, bool control, const volatile int *stop, char out[11]);

#endif
