/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the image room: one decoder a format. A decoder fills *out only on
 * success. The `_orientation` functions answer 1..8, 1 if the file says nothing (or nonsense). */
#ifndef IMAGE_FORMATS_H
#define IMAGE_FORMATS_H

#include "image/image.h"

int jpeg_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out);
int jpeg_orientation(const uint8_t *data, size_t size);

int png_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out);
int png_orientation(const uint8_t *data, size_t size);

int webp_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out);
int webp_orientation(const uint8_t *data, size_t size);

int bmp_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out);
int gif_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out);

/* The verdict of the decoder without the pixels: *out has the size and no rgb. header: what comes before the picture's data alone. */
int jpeg_verify(const uint8_t *data, size_t size, size_t max_pixels, bool header, image *out);
int png_verify(const uint8_t *data, size_t size, size_t max_pixels, bool header, image *out);

/* What comes before the picture's data, of those that have nothing cheaper than decoding to judge the rest. */
int webp_header(const uint8_t *data, size_t size, size_t max_pixels, image *out);
int bmp_header(const uint8_t *data, size_t size, size_t max_pixels, image *out);
int gif_header(const uint8_t *data, size_t size, size_t max_pixels, image *out);

/* As image_new, but refuses (ERR_LIMIT) a picture of more pixels, and (ERR_FORMAT) one without any. The sizes are what
 * a file claims, so they are wide. */
int image_claim(uint64_t width, uint64_t height, size_t max_pixels, image *out);
/* The same check without the memory. */
int image_claim_check(uint64_t width, uint64_t height, size_t max_pixels);

/* The orientation in a TIFF block, with or without "Exif\0\0" before it; 0 if there is none. */
int exif_orientation(const uint8_t *data, size_t size);
/* The same from an XMP packet (tiff:Orientation), which Pillow asks when EXIF has no answer. */
int xmp_orientation(const uint8_t *data, size_t size);
/* Turns the picture as PIL.ImageOps.exif_transpose does for that orientation. */
int image_orient(image *img, int orientation);

#endif
