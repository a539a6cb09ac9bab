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

static int cut(const image *img, int width, int height, const sample_settings *s, uint8_t *out) {
    image_window middle = { (width - s->size) / 2, (height - s->size) / 2, s->size, s->size };
    image square;
    int rc = image_resize_window(img, width, height, &middle, RESIZE_BICUBIC, s->cpu, &square);
    if (rc < 0) return rc;
    memcpy(out, square.rgb, (size_t)s->size * (size_t)s->size * 3);
    image_free(&square);
    return 0;
}

int sample_cut(const image *source, const image *target, const sample_settings *s, uint8_t *hint, uint8_t *photo) {
    double scale = (double)s->size / (source->width < source->height ? source->width : source->height);
    int width = new_side(source->width, scale), height = new_side(source->height, scale);
    if (width < 0 || height < 0) return error_set(ERR_LIMIT, "%dx%d pixels: too long and thin", source->width, source->height);
    int rc = cut(source, width, height, s, hint);
    return rc < 0 ? rc : cut(target, width, height, s, photo);
}

/* The part's name in front of the error, if it isn't there: a file names itself. */
static int name_part(const dataset *d, const dataset_item *item, dataset_part part) {
    char path[PATH_MAX];
    if (dataset_part_path(d, item, part, path)) return error_prefix("%s", path);
    return error_prefix("%s: %s", dataset_path(d), part == DATASET_TARGET ? item->target : item->source);
}

static int load_part(const dataset *d, const dataset_item *item, dataset_part part, const sample_settings *s, image *out, sample_fault *fault) {
    uint8_t *data;
    size_t size;
    *fault = SAMPLE_MISSING;
    int rc = dataset_load(d, item, part, &data, &size);
    if (rc < 0) return rc;
    *fault = SAMPLE_BROKEN;
    rc = image_decode(data, size, &(image_options){ .max_pixels = s->max_pixels }, out);
    free(data);
    return rc < 0 ? name_part(d, item, part) : 0;
}

static int match(const dataset *d, const dataset_item *item, const image *source, const image *target, const sample_settings *s, uint8_t *hint,
                 uint8_t *photo, sample_fault *fault) {
    if (!s->stretch && !dataset_same_shape(source->width, source->height, target->width, target->height)) {
        *fault = SAMPLE_MISMATCHED;
        error_set(ERR_FORMAT, "%dx%d pixels, while its map has %dx%d", target->width, target->height, source->width, source->height);
        return name_part(d, item, DATASET_TARGET);
    }
    int rc = sample_cut(source, target, s, hint, photo);
    return rc < 0 ? name_part(d, item, DATASET_SOURCE) : 0;
}

int sample_load(const dataset *d, const dataset_item *item, const sample_settings *s, uint8_t *hint, uint8_t *photo, sample_fault *fault) {
    image source, target;
    int rc = load_part(d, item, DATASET_SOURCE, s, &source, fault);
    if (rc < 0) return rc;
    rc = load_part(d, item, DATASET_TARGET, s, &target, fault);
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
