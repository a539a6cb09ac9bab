/* SPDX-License-Identifier: Apache-2.0 */
#include "data/picture_hash.h"

#include <string.h>

enum { FIELDS = 9, ROWS = 8, LEAST_STEPS = 16 };

/* A row's grey, added up for each field. A pixel is FIELDS units wide and a field as many as the row has pixels, so that
 * the pixel on a border is shared in whole units. */
static void add_row(const uint8_t *rgb, int width, uint64_t field[FIELDS]) {
    int64_t end = width;           /* of the field, in units */
    int f = 0;
    for (int x = 0; x < width; x++, rgb += 3) {
        uint64_t grey = 77u * rgb[0] + 150u * rgb[1] + 29u * rgb[2];
        int64_t from = (int64_t)x * FIELDS, to = from + FIELDS;
        for (; to > end; end += width) {
            field[f++] += grey * (uint64_t)(end - from);
            from = end;
        }
        field[f] += grey * (uint64_t)(to - from);
        if (to == end && f < FIELDS - 1) end += width, f++;
    }
}

/* The sums of all fields: each has width x height units of 256 times a grey of 0..255. */
static void add_picture(const image *img, uint64_t sum[ROWS][FIELDS]) {
    int64_t end = img->height;
    int r = 0;
    for (int y = 0; y < img->height; y++) {
        uint64_t row[FIELDS] = { 0 };
        add_row(img->rgb + (size_t)y * (size_t)img->width * 3, img->width, row);
        int64_t from = (int64_t)y * ROWS, to = from + ROWS;
        for (; from < to; from = to < end ? to : end) {
            if (from == end) end += img->height, r++;
            int64_t part = (to < end ? to : end) - from;
            for (int f = 0; f < FIELDS; f++) sum[r][f] += row[f] * (uint64_t)part;
        }
    }
}

bool picture_hash(const image *img, uint64_t *out) {
    uint64_t sum[ROWS][FIELDS] = { 0 }, hash = 0;
    add_picture(img, sum);
    /* One grey: less is noise, or what a codec did to a plain place. */
    int64_t step = (int64_t)256 * img->width * img->height;
    int steps = 0;
    for (int r = 0; r < ROWS; r++)
        for (int f = 1; f < FIELDS; f++) {
            int64_t up = (int64_t)sum[r][f] - (int64_t)sum[r][f - 1];
            steps += up > step || up < -step;
            hash = hash << 1 | (up > step);
        }
    *out = hash;
    return steps >= LEAST_STEPS;
}
