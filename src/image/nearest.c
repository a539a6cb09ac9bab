/* SPDX-License-Identifier: Apache-2.0
 *
 * Resizing by the nearest pixel, as Pillow does it (Geometry.c, ImagingScaleAffine): positions are summed up, not multiplied, which
 * decides where one falls between two pixels. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/image.h"

/* Which pixel of `in` each of `out` is. */
static void nearest_table(size_t *table, int out, int in) {
    double scale = (double)in / out, at = scale * 0.5;
    for (int i = 0; i < out; i++, at += scale) table[i] = (size_t)(at < in - 1 ? (int)at : in - 1);
}

int image_resize_nearest(const image *in, int width, int height, image *out) {
    size_t *x = malloc(((size_t)width + (size_t)height) * sizeof *x), *y = x ? x + width : NULL;
    if (!x) return error_memory((size_t)width * sizeof *x);
    int rc = image_new(width, height, out);
    if (rc == 0) {
        nearest_table(x, width, in->width);
        nearest_table(y, height, in->height);
        uint8_t *to = out->rgb;
        for (int j = 0; j < height; j++)
            for (int i = 0; i < width; i++, to += 3) memcpy(to, in->rgb + 3 * (y[j] * (size_t)in->width + x[i]), 3);
    }
    free(x);
    return rc;
}
