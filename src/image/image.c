/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "image/formats.h"

typedef struct {
    const char *name;
    bool (*accepts)(const uint8_t *data, size_t size);
    int  (*decode)(const uint8_t *data, size_t size, size_t max_pixels, image *out);
    int  (*orientation)(const uint8_t *data, size_t size);   /* NULL: the format has none */
    /* Either of them: see formats.h. */
    int  (*verify)(const uint8_t *data, size_t size, size_t max_pixels, bool header, image *out);
    int  (*header)(const uint8_t *data, size_t size, size_t max_pixels, image *out);
} format;

static bool starts(const uint8_t *data, size_t size, const char *magic, size_t n) { return size >= n && !memcmp(data, magic, n); }

static bool is_jpeg(const uint8_t *d, size_t n) { return starts(d, n, "\xff\xd8\xff", 3); }
static bool is_png(const uint8_t *d, size_t n)  { return starts(d, n, "\x89PNG\r\n\x1a\n", 8); }
static bool is_bmp(const uint8_t *d, size_t n)  { return starts(d, n, "BM", 2); }
static bool is_gif(const uint8_t *d, size_t n)  { return starts(d, n, "GIF87a", 6) || starts(d, n, "GIF89a", 6); }
static bool is_webp(const uint8_t *d, size_t n) {
    return n >= 16 && starts(d, n, "RIFF", 4) && !memcmp(d + 8, "WEBPVP8", 7) && strchr(" XL", d[15]) && d[15];
}

static const format formats[] = {
    { "JPEG", is_jpeg, jpeg_decode, jpeg_orientation, jpeg_verify, NULL },
    { "PNG",  is_png,  png_decode,  png_orientation,  png_verify,  NULL },
    { "WebP", is_webp, webp_decode, webp_orientation, NULL,        webp_header },
    { "BMP",  is_bmp,  bmp_decode,  NULL,             NULL,        bmp_header },
    { "GIF",  is_gif,  gif_decode,  NULL,             NULL,        gif_header },
};

static const format *format_find(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].accepts(data, size)) return &formats[i];
    return NULL;
}

const char *image_format_name(const uint8_t *data, size_t size) {
    const format *f = format_find(data, size);
    return f ? f->name : NULL;
}

static int no_picture(size_t size) {
    return error_set(ERR_FORMAT, size ? "not a picture: neither JPEG, PNG, WebP, BMP nor GIF" : "not a picture: no bytes at all");
}

int image_verify(const uint8_t *data, size_t size, bool headers_only, const image_options *options, int *width, int *height) {
    size_t most = options && options->max_pixels ? options->max_pixels : IMAGE_MAX_PIXELS;
    const format *f = format_find(data, size);
    if (!f) return no_picture(size);
    image img = { 0 };
    int rc = f->verify ? f->verify(data, size, most, headers_only, &img) : headers_only ? f->header(data, size, most, &img) : f->decode(data, size, most, &img);
    if (rc < 0) return rc;
    *width = img.width;
    *height = img.height;
    image_free(&img);
    return 0;
}

int image_orientation(const uint8_t *data, size_t size) {
    const format *f = format_find(data, size);
    int orientation = f && f->orientation ? f->orientation(data, size) : 1;
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

int image_decode(const uint8_t *data, size_t size, const image_options *options, image *out) {
    static const image_options defaults;
    if (!options) options = &defaults;
    const format *f = format_find(data, size);
    if (!f) return no_picture(size);

    image img = { 0 };
    int rc = f->decode(data, size, options->max_pixels ? options->max_pixels : IMAGE_MAX_PIXELS, &img);
    if (rc < 0) return rc;
    if (options->apply_exif && f->orientation) rc = image_orient(&img, f->orientation(data, size));
    if (rc < 0) image_free(&img);
    else *out = img;
    return rc;
}

int image_claim_check(uint64_t width, uint64_t height, size_t max_pixels) {
    if (!width || !height) return error_set(ERR_FORMAT, "a picture without pixels: %llux%llu", (unsigned long long)width, (unsigned long long)height);
    uint64_t pixels;
    if (__builtin_mul_overflow(width, height, &pixels) || pixels > max_pixels || width > INT_MAX || height > INT_MAX)
        return error_set(ERR_LIMIT, "too many pixels: %llux%llu, the limit is %zu", (unsigned long long)width, (unsigned long long)height, max_pixels);
    return 0;
}

int image_claim(uint64_t width, uint64_t height, size_t max_pixels, image *out) {
    int rc = image_claim_check(width, height, max_pixels);
    return rc < 0 ? rc : image_new((int)width, (int)height, out);
}

int image_new(int width, int height, image *out) {
    size_t bytes;
    if (width < 1 || height < 1) return error_set(ERR_USAGE, "a picture of %dx%d pixels cannot be", width, height);
    if (__builtin_mul_overflow((size_t)width * 3, (size_t)height, &bytes) || bytes > PTRDIFF_MAX) return error_memory(SIZE_MAX);
    uint8_t *rgb = calloc(bytes, 1);   /* large ones are mapped, not written: a bomb costs nothing until it is decoded */
    if (!rgb) return error_memory(bytes);
    *out = (image){ width, height, rgb };
    return 0;
}

void image_free(image *img) {
    if (!img) return;
    free(img->rgb);
    *img = (image){ 0 };
}

bool image_name_known(const char *name) {
    static const char *const known[] = { ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif" };
    const char *dot = strrchr(name, '.');
    if (!dot || strchr(dot, '/')) return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(dot, known[i])) return true;
    return false;
}
