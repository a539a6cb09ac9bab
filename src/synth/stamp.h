/* SPDX-License-Identifier: Apache-2.0
 *
 * A rendered picture as a file that says so: that it was rendered by mien synth, with which seed and number, in the text
 * "parameters" (JPEG: a comment); and by an XMP packet that an algorithm made it which no photographs went into (IPTC's
 * algorithmicMedia). */
#ifndef SYNTH_STAMP_H
#define SYNTH_STAMP_H

#include <stdbool.h>

#include "image/image.h"
#include "mien.h"

/* words NULL: nothing is said. The caller frees *data. */
int synth_encode(const image *img, mien_picture_format format, int quality, const char *words, uint8_t **data, size_t *size);

#endif
