/* SPDX-License-Identifier: Apache-2.0
 *
 * One item of a data set as training takes it, with the bytes that the original's laion_face_dataset.py gives on Pillow 13:
 * source (the map) and target (the photo) resized by `size` over the source's shorter side, both to the source's new size,
 * and the middle square cut out. */
#ifndef DATA_SAMPLE_H
#define DATA_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "data/dataset.h"
#include "image/image.h"

typedef struct {
    int size;              /* side of the square, in pixels */
    bool stretch;          /* take a target whose shape is not the source's, too (dataset_same_shape) */
    size_t max_pixels;     /* of a picture; 0: IMAGE_MAX_PIXELS */
    cpu_level cpu;
} sample_settings;

typedef enum { SAMPLE_MISSING, SAMPLE_BROKEN, SAMPLE_MISMATCHED } sample_fault;

/* The two squares, size * size * 3 bytes each. ERR_LIMIT for a picture too long and thin. */
int sample_cut(const image *source, const image *target, const sample_settings *s, uint8_t *hint, uint8_t *photo);

/* The same of an item's files. *fault is set if it fails. */
int sample_load(const dataset *d, const dataset_item *item, const sample_settings *s, uint8_t *hint, uint8_t *photo, sample_fault *fault);

/* n bytes as numbers: v / 255, and v / 127.5 - 1, each in float32 as numpy does it. */
void sample_hint(const uint8_t *bytes, size_t n, float *out);
void sample_photo(const uint8_t *bytes, size_t n, float *out);

/* What an item without a prompt is given, as the original does. */
const char *sample_prompt(const dataset_item *item);

#endif
