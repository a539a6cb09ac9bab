/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures: 8-bit RGB in memory, files outside. Decoding gives the bytes that Pillow's Image.open(...).convert("RGB")
 * gives; what Pillow refuses (truncated or broken data) is refused. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

/* Rows tightly packed, row 0 at the top. */
typedef struct { int width, height; uint8_t *rgb; } image;

typedef struct {
    bool apply_exif;     /* turn the picture upright by its EXIF orientation */
    size_t max_pixels;   /* 0: IMAGE_MAX_PIXELS */
} image_options;

#define IMAGE_MAX_PIXELS ((size_t)512 * 1000 * 1000)
/* A picture with more pixels Pillow calls a bomb: it would end a run of the original. */
#define IMAGE_BOMB_PIXELS ((size_t)178956970)
#define IMAGE_MAX_BYTES  ((size_t)1 << 30)           /* of a file: for whoever reads one */

/* Fills *out only on success (the caller frees it with image_free). The format is told by the bytes, not by any name.
 * ERR_FORMAT for what is broken or no picture, ERR_UNSUPPORTED for a known format's kind we cannot read, ERR_LIMIT for
 * too many pixels, ERR_MEMORY. `options` NULL: defaults (no EXIF). */
int  image_decode(const uint8_t *data, size_t size, const image_options *options, image *out);
/* Whether image_decode would succeed, and the picture's size as it is stored: the same verdict and error, cheaper (no colours, no
 * picture in memory). `headers_only`: looks at the size alone, so that broken data passes. */
int  image_verify(const uint8_t *data, size_t size, bool headers_only, const image_options *options, int *width, int *height);
/* The EXIF orientation, 1..8: what apply_exif goes by. 1, as it should be, also if there is none. */
int  image_orientation(const uint8_t *data, size_t size);
int  image_new(int width, int height, image *out);      /* black; sizes >= 1 */
void image_free(image *img);                            /* also fine on a zeroed image */
const char *image_format_name(const uint8_t *data, size_t size);   /* "JPEG", "PNG", ... or NULL, by content */

/* True if a name ends in .jpg .jpeg .jpe .jfif .png .webp .bmp .gif, in any case: what a folder search takes. */
bool image_name_known(const char *name);

/* Encoders: a malloc'd buffer that the caller frees. `text` is up to n key/value pairs for tEXt chunks (Latin-1 keys of
 * 1-79 bytes, values of at most a megabyte); a value that is more than ASCII must be UTF-8 and goes into iTXt (image/png_text.h). */
typedef struct { const char *key, *value; } image_text;
int image_encode_png(const image *img, const image_text *text, int n_text, uint8_t **data, size_t *size);
int image_encode_jpeg(const image *img, int quality, uint8_t **data, size_t *size);   /* 4:2:0, Pillow's bytes at 75 */
/* The value of a PNG's tEXt chunk of that key, looked for before IDAT only, into out[size]; false if there is none. */
bool image_png_text(const uint8_t *data, size_t size, const char *key, char *out, size_t out_size);

/* Pillow 13's Image.resize with its antialiasing kernels: equal bytes. (Pillow 12 and before always shrink horizontally
 * first; where the height shrinks more than twice as much as the width, 13 does it the other way round.) `cpu` is the
 * level to use, at most what the machine has; the bytes are the same at each. */
typedef enum { RESIZE_BICUBIC, RESIZE_LANCZOS } resize_filter;
int image_resize(const image *in, int width, int height, resize_filter filter, cpu_level cpu, image *out);
/* A part of what image_resize would give, without computing the rest. */
typedef struct { int x, y, width, height; } image_window;
int image_resize_window(const image *in, int width, int height, const image_window *window, resize_filter filter, cpu_level cpu, image *out);

/* Pillow's Image.resize by the nearest pixel: equal bytes. */
int image_resize_nearest(const image *in, int width, int height, image *out);

#endif
