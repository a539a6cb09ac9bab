/* SPDX-License-Identifier: Apache-2.0 */
#include "data/sample.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* 1 + int(side * scale) in Python. It is never below `size`: the product falls short of it by far less than 1. */
static int new_side(int side, double scale) {
    double length = 1 + (double)(int64_t)(side * scale);
    return length <= INT_MAX ? (int)length : -1;
}

int sample_frame_of(int width, int height, int size, sample_frame *out) {
    double scale = (double)size / (width < height ? width : height);
    sample_frame f = { new_side(width, scale), new_side(height, scale) };
    if (f.width < 0 || f.height < 0) return error_set(ERR_LIMIT, "%dx%d pixels: too long and thin", width, height);
    *out = f;
    return 0;
}

int sample_cut_one(const image *img, sample_frame frame, const sample_settings *s, uint8_t *out) {
    image_window middle = { (frame.width - s->size) / 2, (frame.height - s->size) / 2, s->size, s->size };
    image square;
    int rc = image_resize_window(img, frame.width, frame.height, &middle, RESIZE_BICUBIC, s->cpu, &square);
    if (rc < 0) return rc;
    memcpy(out, square.rgb, (size_t)s->size * (size_t)s->size * 3);
    image_free(&square);
    return 0;
}

int sample_cut(const image *source, const image *target, const sample_settings *s, uint8_t *hint, uint8_t *photo) {
    sample_frame frame;
    int rc = sample_frame_of(source->width, source->height, s->size, &frame);
    if (rc == 0) rc = sample_cut_one(source, frame, s, hint);
    return rc < 0 ? rc : sample_cut_one(target, frame, s, photo);
}

/* The part's name in front of the error, if it isn't there: a file names itself. */
int sample_name_part(const dataset *d, const dataset_item *item, dataset_part part) {
    char path[PATH_MAX];
    if (dataset_part_path(d, item, part, path)) return error_prefix("%s", path);
    return error_prefix("%s: %s", dataset_path(d), part == DATASET_TARGET ? item->target : part == DATASET_SOURCE ? item->source : item->id);
}

int sample_load_part(const dataset *d, const dataset_item *item, dataset_part part, const sample_settings *s, image *out, sample_fault *fault) {
    uint8_t *data;
    size_t size;
    *fault = SAMPLE_MISSING;
    int rc = dataset_load(d, item, part, &data, &size);
    if (rc < 0) return rc;
    *fault = SAMPLE_BROKEN;
    rc = image_decode(data, size, &(image_options){ .max_pixels = s->max_pixels }, out);
    free(data);
    return rc < 0 ? sample_name_part(d, item, part) : 0;
}

int sample_match(const dataset *d, const dataset_item *item, int width, int height, int map_width, int map_height, const sample_settings *s, sample_fault *fault) {
    if (s->stretch || dataset_same_shape(map_width, map_height, width, height)) return 0;
    *fault = SAMPLE_MISMATCHED;
    error_set(ERR_FORMAT, "%dx%d pixels, while its map has %dx%d", width, height, map_width, map_height);
    return sample_name_part(d, item, DATASET_TARGET);
}

static int match(const dataset *d, const dataset_item *item, const image *source, const image *target, const sample_settings *s, uint8_t *hint,
                 uint8_t *photo, sample_fault *fault) {
    int rc = sample_match(d, item, target->width, target->height, source->width, source->height, s, fault);
    if (rc < 0) return rc;
    rc = sample_cut(source, target, s, hint, photo);
    return rc < 0 ? sample_name_part(d, item, DATASET_SOURCE) : 0;
}

int sample_load(const dataset *d, const dataset_item *item, const sample_settings *s, uint8_t *hint, uint8_t *photo, sample_fault *fault) {
    image source, target;
    int rc = sample_load_part(d, item, DATASET_SOURCE, s, &source, fault);
    if (rc < 0) return rc;
    rc = sample_load_part(d, item, DATASET_TARGET, s, &target, fault);
    if (rc == 0) {
        rc = match(d, item, &source, &target, s, hint, photo, fault);
        image_free(&target);
    }
    image_free(&source);
    return rc;
}

static void look_up(const float table[256], const uint8_t *bytes, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = table[bytes[i]];
}

void sample_hint(const uint8_t *bytes, size_t n, float *out) {
    float table[256];
    for (int v = 0; v < 256; v++) table[v] = (float)v / 255.0f;
    look_up(table, bytes, n, out);
}

void sample_photo(const uint8_t *bytes, size_t n, float *out) {
    float table[256];
    for (int v = 0; v < 256; v++) table[v] = (float)v / 127.5f - 1.0f;
    look_up(table, bytes, n, out);
}

const char *sample_prompt(const dataset_item *item) { return *item->prompt ? item->prompt : "an image"; }
