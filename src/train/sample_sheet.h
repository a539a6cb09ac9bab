/* SPDX-License-Identifier: Apache-2.0
 *
 * A sheet of validation pictures: maps in the upper row, what was made of them below, and below that the photos that they are of, if
 * they are given; with their prompts if they have any. Small pictures are enlarged by a whole factor. */
#ifndef TRAIN_SAMPLE_SHEET_H
#define TRAIN_SAMPLE_SHEET_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

typedef struct {
    const image *map, *picture;      /* any sizes; picture NULL: it could not be made, and `caption` may say why */
    const char *caption;             /* of outside text; NULL: none */
    const image *photo;              /* shown below the picture; NULL: not at all */
} sheet_sample;

/* title: "step 5000"; about: what else there is to say, may be "". n from 1; the caller frees *out. */
int sample_sheet(const sheet_sample *s, size_t n, const char *title, const char *about, image *out);
/* As a PNG of which says of itself that a machine made it; replaces what is there. *png, if asked for, is the caller's to free. */
int sample_sheet_save(const char *path, const image *sheet, const char *title, uint8_t **png, size_t *size);

#endif
