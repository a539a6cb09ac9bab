/* SPDX-License-Identifier: Apache-2.0
 *
 * How a picture is made, models and map apart: defaults, limits, and names. */
#ifndef GENERATE_SETTINGS_H
#define GENERATE_SETTINGS_H

#include <stdbool.h>

#include "base/cpu.h"
#include "base/text.h"
#include "diffusion/noise.h"
#include "diffusion/sampler.h"
#include "mien.h"

typedef mien_picture_settings picture_settings;

enum { SETTINGS_MOST_STEPS = 1000, SETTINGS_LEAST_SIDE = 64, SETTINGS_MOST_SIDE = 2048, SETTINGS_MOST_TEXT = 64 << 10 };
extern const double settings_most_cfg, settings_most_strength;   /* 100, 2 */

/* The defaults are the original's: gradio_face2image.py of the laion_dataset branch. */
picture_settings settings_defaults(void);
/* ERR_USAGE, with what would be right. */
int settings_check(const picture_settings *s);

/* The prompt with what is added to it, as the original puts them together. */
void settings_prompt(const picture_settings *s, text *out);

/* AUTOMATIC1111's names, for pictures: "Euler a"; *schedule is "Karras" or NULL. */
const char *settings_sampler_label(mien_sampler kind, const char **schedule);
/* Either kind of name, in any case; schedule may be NULL. False: none of ours. */
bool settings_sampler_find(const char *label, const char *schedule, mien_sampler *out);

/* Whether it is computed in bf16, with kernels up to `cap`: ERR_UNSUPPORTED if that is asked for and this processor, or the cap, has none. */
int settings_bf16(mien_dtype asked, cpu_level cap, bool *bf16);

#endif
