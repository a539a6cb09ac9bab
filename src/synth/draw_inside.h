/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside synth/draw: people and colours. */
#ifndef SYNTH_DRAW_INSIDE_H
#define SYNTH_DRAW_INSIDE_H

#include "synth/chance.h"
#include "synth/draw.h"

/* All of the face that stays the same from picture to picture of one person, and its words. */
void synth_person_draw(chance *c, synth_draw *out);

/* A colour that one word names: which of synth_paint_words. */
int          synth_paint_draw(chance *c, synth_colour *out);
synth_colour synth_paint_near(chance *c, synth_colour from);   /* the same hue, lighter or darker */

#endif
