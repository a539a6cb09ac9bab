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

/* What both are resized to, by the source's size, before the middle square is cut out. ERR_LIMIT for a picture too long and thin. */
typedef struct { int width, height; } sample_frame;
int sample_frame_of(int width, int height, int size, sample_frame *out);
/* One square, size * size * 3 bytes. */
int sample_cut_one(const image *img, sample_frame frame, const sample_settings *s, uint8_t *out);

/* The two squares. */
int sample_cut(const image *source, const image *target, const sample_settings *s, uint8_t *hint, uint8_t *photo);

/* The same of an item's files. *fault is set if it fails. */
int sample_load(const dataset *d, const dataset_item *item, const sample_settings *s, uint8_t *hint, uint8_t *photo, sample_fault *fault);

/* The steps of it, for those who make something else of an item. load: the part's picture. Each names the part's file in its error; *fault is set if it fails. */
int sample_load_part(const dataset *d, const dataset_item *item, dataset_part part, const sample_settings *s, image *out, sample_fault *fault);
int sample_name_part(const dataset *d, const dataset_item *item, dataset_part part);   /* in front of the error; returns its code */
/* Whether a photo of this size is the one that a map, or landmarks, of that size belong to. */
int sample_match(const dataset *d, const dataset_item *item, int width, int height, int map_width, int map_height, const sample_settings *s, sample_fault *fault);

/* n bytes as numbers: v / 255, and v / 127.5 - 1, each in float32 as numpy does it. */
void sample_hint(const uint8_t *bytes, size_t n, float *out);
void sample_photo(const uint8_t *bytes, size_t n, float *out);

/* What an item without a prompt is given, as the original does. */
const char *sample_prompt(const dataset_item *item);

#endif
