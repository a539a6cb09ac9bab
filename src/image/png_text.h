/* SPDX-License-Identifier: Apache-2.0
 *
 * What a generated picture says of itself: the settings that it was made with, in the words that AUTOMATIC1111's web UI introduced, and a
 * mark that a machine made it. Both are texts of a PNG, and found again in PNGs from anywhere.
 *
 *     image_write_png("out.png", &img, "a face, smiling\nSteps: 20, Sampler: ...", true, false)
 *     png_text_find(data, size, PNG_PARAMETERS, &found) */
#ifndef IMAGE_PNG_TEXT_H
#define IMAGE_PNG_TEXT_H

#include <stdbool.h>

#include "base/text.h"
#include "image/image.h"

#define PNG_PARAMETERS "parameters"
#define PNG_XMP "XML:com.adobe.xmp"

/* An XMP packet: Iptc4xmpExt:DigitalSourceType is trainedAlgorithmicMedia (IPTC's word for what a trained model made). */
extern const char png_machine_made[];

/* Encodes with these texts. parameters, in UTF-8 (what is none becomes U+FFFD), goes into tEXt, as everyone writes it, or into iTXt if it is more than
 * ASCII; NULL: none. machine_made: with that packet. The caller frees *data. */
int image_encode_generated(const image *img, const char *parameters, bool machine_made, uint8_t **data, size_t *size);
/* The same into a file, which appears whole or not at all; replace: what is there gives way, else ERR_EXISTS. */
int image_write_png(const char *path, const image *img, const char *parameters, bool machine_made, bool replace);

/* The first text of that key, before or behind the pixels, in UTF-8: a tEXt or zTXt, which by the standard is Latin-1, counts as UTF-8 if it is. 1, and *out
 * is freed by the caller; 0 if there is none; ERR_FORMAT if the file is broken before it, is no PNG, or the value has a NUL;
 * ERR_LIMIT beyond a megabyte; ERR_MEMORY. Control characters are kept: escape it before it is shown. */
int png_text_find(const uint8_t *data, size_t size, const char *key, text *out);
/* Whether its XMP says that a trained model made it, or had a part in it; false also for what cannot be read. */
bool png_is_machine_made(const uint8_t *data, size_t size);

#endif
