/* SPDX-License-Identifier: Apache-2.0
 *
 * How large a picture becomes. */
#ifndef GENERATE_SIZE_H
#define GENERATE_SIZE_H

#include <stdbool.h>

typedef struct { int width, height; } picture_size;

/* The size for a control picture of in_width x in_height. asked: both sides, a width alone (the short side), or neither (then the short side is
 * `usual`). Where only the short side is known, the aspect is kept as near as multiples of 64 allow; of 8 if the short side is not one of
 * 64, or if the aspect must hold (within 2%) and would not. ERR_USAGE if it must hold and cannot. */
int size_choose(picture_size asked, int usual, int in_width, int in_height, bool must_hold, picture_size *out);

/* Whether a map may be stretched to that size: 2% are not seen; a size that was not asked for may be as far off as its rounding to multiples
 * of 64 from 512 on makes it, which is the original's own. */
bool size_stretches(picture_size asked, picture_size size, int in_width, int in_height);

/* By how much an aspect differs from another: 0.02 is 2%. */
double size_aspect_error(int width, int height, int in_width, int in_height);

#endif
