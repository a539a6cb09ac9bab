/* SPDX-License-Identifier: Apache-2.0
 *
 * The short hash by which pictures name the model they were made with. Taking it reads gigabytes, so it is remembered under
 * $XDG_CACHE_HOME/mien (or ~/.cache/mien), by the file's place, size and time. */
#ifndef GENERATE_MODEL_HASH_H
#define GENERATE_MODEL_HASH_H

#include <stdbool.h>

#include "weights/checkpoint.h"

/* path: that of the base or the ControlNet, as it was opened. stop: base/stop.h, may be NULL. */
int model_hash(const checkpoint *c, bool control, const char *path, const volatile int *stop, char out[11]);

#endif
