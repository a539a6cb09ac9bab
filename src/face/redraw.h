/* SPDX-License-Identifier: Apache-2.0
 *
 * A landmarks JSON drawn again: at its own size and with its own settings the same file as annotate's map, byte for
 * byte; at any other size, the same faces. */
#ifndef FACE_REDRAW_H
#define FACE_REDRAW_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *faces, *output;
    int width, height;      /* 0: those of the JSON */
    double min_face;        /* pixels of the photo; below 0: the JSON's setting, or 0 */
    size_t max_pixels;      /* 0: IMAGE_MAX_PIXELS */
    bool force;             /* the output may exist */
} redraw_options;

typedef struct {
    int width, height, faces, drawn;
    double read, draw, encode, write;   /* seconds */
} redraw_result;

/* ERR_EXISTS, ERR_USAGE: refused before anything was done. */
int redraw(const redraw_options *options, redraw_result *result);

#endif
