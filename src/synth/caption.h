/* SPDX-License-Identifier: Apache-2.0
 *
 * What is seen in a rendered picture, in words: "a smiling young woman with long red hair, looking left, mouth open, head tilted
 * right".
 *
 * Each word follows from a parameter that is clearly on its side of a limit: a head turned by 8 degrees is neither "turned" nor
 * "straight", and nothing is said of it. Not everything is said of every picture, and not always in one order; few captions are
 * empty. Left and right are those of who looks at the picture, so a mirrored picture's caption is the one with both words
 * swapped. The words are few (about 150), for text encoders that learn them from nothing. */
#ifndef SYNTH_CAPTION_H
#define SYNTH_CAPTION_H

#include "base/text.h"
#include "synth/draw.h"

/* Appends the caption, which may be empty; memory shows in text_check. */
void synth_caption(uint64_t seed, uint64_t number, const synth_draw_settings *s, const synth_draw *d, text *out);

#endif
