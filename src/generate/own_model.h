/* SPDX-License-Identifier: Apache-2.0
 *
 * mien-tiny, the small model that comes with mien (models/tiny): what is taken where no other is named. */
#ifndef GENERATE_OWN_MODEL_H
#define GENERATE_OWN_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "generate/settings.h"

#define OWN_MODEL "mien-tiny"

/* Its base, or its ControlNet, to path[size]: in tiny/ of MIEN_MODELS if it is there, else as installed in ../share/mien/models/tiny or in the build
 * tree's models/tiny. ERR_USAGE, with these places, if there is none. */
int own_model_find(bool control, char *path, size_t size);

/* Settings that it, and whatever learnt the words of its captions alone, makes good pictures with: it knows neither the words that are added for Stable Diffusion nor
 * its list of faults, and its faces fall apart under strong guidance. */
picture_settings own_model_settings(void);

#endif
