/* SPDX-License-Identifier: Apache-2.0
 *
 * PNG, written for face maps: 8-bit RGB, one IDAT. Nearly empty pictures are compressed as runs (image/deflate_runs.h),
 * all others by libdeflate; photos have their rows filtered first. */
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>

#include "base/error.h"
#include "image/deflate_runs.h"
#include "image/image.h"
#include "image/png_chunk.h"

#define LEVEL 4   /* of libdeflate: as fast as 2 and a tenth smaller */

/* Each row behind its filter's number, 0. */
static void filter_none(const image *img, uint8_t *out) {
    size_t row = (size_t)img->width * 3;
    for (int y = 0; y < img->height; y++, out += row + 1) {
        out[0] = 0;
        memcpy(out + 1, img->rgb + (size_t)y * row, row);
    }
}

static uint8_t paeth(int left, int up, int corner) {
    int p = abs(up - corner), q = abs(left - corner), r = abs(up + left - 2 * corner);
    return (uint8_t)(p <= q && p <= r ? left : q <= r ? up : corner);
}

static void filter_row(int kind, const uint8_t *now, const uint8_t *above, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n && i < 3; i++) out[i] = (uint8_t)(now[i] - (kind == 1 ? 0 : above[i]));
    for (size_t i = 3; i < n; i++)
        out[i] = (uint8_t)(now[i] - (kind == 1 ? now[i - 3] : kind == 2 ? above[i] : paeth(now[i - 3], above[i], above[i - 3])));
}

/* Each row behind the filter (1 left, 2 up, 4 Paeth) that leaves the smallest differences; 0 or ERR_*. */
static int filter_best(const image *img, uint8_t *out) {
    size_t row = (size_t)img->width * 3;
    uint8_t *black = calloc(row, 2), *trial = black ? black + row : NULL;
    if (!black) return error_memory(row * 2);
    for (int y = 0; y < img->height; y++, out += row + 1) {
        const uint8_t *now = img->rgb + (size_t)y * row;
        uint64_t least = UINT64_MAX;
        for (int kind = 1; kind <= 4; kind += kind) {
            filter_row(kind, now, y ? now - row : black, row, trial);
            uint64_t sum = 0;
            for (size_t i = 0; i < row; i++) sum += (uint64_t)abs((int8_t)trial[i]);
            if (sum >= least) continue;
            least = sum;
            out[0] = (uint8_t)kind;
            memcpy(out + 1, trial, row);
        }
    }
    free(black);
    return 0;
}

/* Nearly all of a drawing's pixels are like the one before; filters would only hide its repeats. */
static bool is_drawing(const image *img) {
    size_t n = (size_t)img->width * (size_t)img->height, same = 0;
    for (size_t i = 1; i < n; i++) same += !memcmp(img->rgb + 3 * i, img->rgb + 3 * i - 3, 3);
    return same >= n - n / 8;
}

/* Writes the frame of a chunk whose body is at to + 8 already; returns what comes behind it. */
static uint8_t *chunk_close(uint8_t *to, const char *type, size_t length) {
    png_put32(to, (uint32_t)length);
    memcpy(to + 4, type, 4);
    png_put32(to + 8 + length, libdeflate_crc32(0, to + 4, length + 4));
    return to + length + 12;
}

static uint8_t *put_ihdr(uint8_t *to, const image *img) {
    png_put32(to + 8, (uint32_t)img->width);
    png_put32(to + 12, (uint32_t)img->height);
    memcpy(to + 16, "\x08\x02\0\0\0", 5);   /* 8 bits, RGB, deflate, the five filters, no interlacing */
    return chunk_close(to, "IHDR", 13);
}

/* iTXt is UTF-8, which tEXt is not; and by its standard an XMP packet stands there, not compressed. */
static bool is_international(const image_text *text) {
    for (const char *s = text->value; *s; s++)
        if ((unsigned char)*s >= 0x80) return true;
    return !strcmp(text->key, "XML:com.adobe.xmp");
}

enum { ITXT_BETWEEN = 4 };   /* not compressed, no language, no translated key */

static uint8_t *put_text(uint8_t *to, const image_text *text) {
    size_t key = strlen(text->key), value = strlen(text->value), at = 8 + key + 1;
    bool international = is_international(text);
    memcpy(to + 8, text->key, key + 1);
    if (international) {
        memset(to + at, 0, ITXT_BETWEEN);
        at += ITXT_BETWEEN;
    }
    memcpy(to + at, text->value, value);
    return chunk_close(to, international ? "iTXt" : "tEXt", at + value - 8);
}

static int text_bytes(const image_text *text, int n, size_t *bytes) {
    *bytes = 0;
    for (int i = 0; i < n; i++) {
        size_t key = strlen(text[i].key), value = strlen(text[i].value);
        if (key < 1 || key > 79) return error_set(ERR_USAGE, "PNG: a text's key has %zu bytes, not 1 to 79", key);
        if (value > (size_t)1 << 20) return error_set(ERR_USAGE, "PNG: a text of %zu bytes", value);
        *bytes += key + 1 + ITXT_BETWEEN + value + 12;
    }
    return 0;
}

/* The zlib stream of the picture, at most `room` bytes, into `to`: 0 or ERR_*. filtered: the rows, unfiltered as yet. */
static int compress(const image *img, uint8_t *filtered, size_t bytes, uint8_t *to, size_t room, size_t *packed) {
    enum { WORTH_IT = 1 << 14, NEARLY_EMPTY = 32 };   /* below, its own codes cost more than they save; a map shrinks 100 times and more */
    size_t runs = bytes < WORTH_IT ? 0 : deflate_runs(filtered, bytes, (size_t)img->width * 3 + 1, to + 2, bytes / NEARLY_EMPTY);
    if (runs) {
        memcpy(to, "\x78\x01", 2);
        png_put32(to + 2 + runs, libdeflate_adler32(1, filtered, bytes));
        *packed = 2 + runs + 4;
        return 0;
    }
    int rc = is_drawing(img) ? 0 : filter_best(img, filtered);
    if (rc < 0) return rc;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(LEVEL);
    if (!c) return error_memory(0);
    *packed = libdeflate_zlib_compress(c, filtered, bytes, to, room);
    libdeflate_free_compressor(c);
    return 0;
}

static int encode(const image *img, const image_text *text, int n_text, size_t extra, uint8_t *filtered, size_t bytes, uint8_t **data, size_t *size) {
    size_t bound = libdeflate_zlib_compress_bound(NULL, bytes), packed = 0;
    uint8_t *out = malloc(8 + 25 + extra + 12 + bound + 12), *to = out;
    if (!out) return error_memory(bound);
    memcpy(to, "\x89PNG\r\n\x1a\n", 8);
    to = put_ihdr(to + 8, img);
    for (int i = 0; i < n_text; i++) to = put_text(to, &text[i]);
    int rc = compress(img, filtered, bytes, to + 8, bound, &packed);
    if (rc == 0 && packed > INT32_MAX) rc = error_set(ERR_LIMIT, "PNG: more than 2 GB in one chunk");
    if (rc < 0) {
        free(out);
        return rc;
    }
    to = chunk_close(to, "IDAT", packed);
    to = chunk_close(to, "IEND", 0);
    *size = (size_t)(to - out);
    uint8_t *fitted = realloc(out, *size);
    *data = fitted ? fitted : out;
    return 0;
}

int image_encode_png(const image *img, const image_text *text, int n_text, uint8_t **data, size_t *size) {
    size_t extra, bytes = ((size_t)img->width * 3 + 1) * (size_t)img->height;   /* no overflow: img->rgb is about as large */
    int rc = text_bytes(text, n_text, &extra);
    if (rc < 0) return rc;
    uint8_t *filtered = malloc(bytes);
    if (!filtered) return error_memory(bytes);
    filter_none(img, filtered);
    rc = encode(img, text, n_text, extra, filtered, bytes, data, size);
    free(filtered);
    return rc;
}
