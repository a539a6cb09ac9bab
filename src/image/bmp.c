/* SPDX-License-Identifier: Apache-2.0
 *
 * BMP, read as Pillow 13 reads it (BmpImagePlugin.py), oddities included: which palettes count as grey, what a short
 * palette leaves black, how run lengths past the edge of a row are cut. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/formats.h"

enum { RAW = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3 };

typedef struct {
    const uint8_t *data;
    size_t size;
    uint32_t header, width, bits, compression, colours;
    uint64_t height;
    bool top_down;
    uint32_t mask[4];
    size_t palette_at, pixels_at;
    int row_bits;                  /* of a pixel, as Pillow comes to read it */
    uint8_t palette[256][3];       /* what a file leaves out is black */
    int red, green, blue;          /* places of the channels in a pixel of 24 or 32 bits */
} bmp;

static uint32_t le16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t le32(const uint8_t *p) { return le16(p) | le16(p + 2) << 16; }

static int truncated(void) { return error_set(ERR_FORMAT, "BMP: the file is truncated"); }

/* ---- Header ---- */

static int read_header(bmp *b) {
    const uint8_t *h = b->data + 14;
    if (b->size < 18) return truncated();
    b->header = le32(h);
    if (b->header != 12 && b->header != 40 && b->header != 52 && b->header != 56 && b->header != 64 && b->header != 108 && b->header != 124)
        return error_set(ERR_UNSUPPORTED, "BMP: a header of %u bytes is unknown", b->header);
    if (b->size - 14 < b->header) return truncated();
    b->palette_at = 14 + b->header;
    b->pixels_at = le32(b->data + 10);
    if (b->header == 12) {   /* OS/2 1 */
        b->width = le16(h + 4);
        b->height = le16(h + 6);
        b->bits = le16(h + 10);
    } else {
        b->width = le32(h + 4);
        b->top_down = h[11] == 0xff;
        b->height = b->top_down ? ((uint64_t)1 << 32) - le32(h + 8) : le32(h + 8);
        b->bits = le16(h + 14);
        b->compression = le32(h + 16);
        b->colours = le32(h + 32);
    }
    if (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 16 && b->bits != 24 && b->bits != 32)
        return error_set(ERR_UNSUPPORTED, "BMP: %u bits a pixel", b->bits);
    if (b->compression > BITFIELDS) return error_set(ERR_UNSUPPORTED, "BMP: compression %u (4 is JPEG, 5 PNG inside BMP)", b->compression);
    if ((b->compression == RLE8 || b->compression == RLE4) && b->bits > 8) return error_set(ERR_UNSUPPORTED, "BMP: run lengths of %u-bit pixels", b->bits);
    if (!b->colours && b->bits <= 8) b->colours = 1u << b->bits;
    return 0;
}

/* ---- Bit fields ---- */

static int read_masks(bmp *b) {
    const uint8_t *m = b->data + 14 + 40;
    if (b->header == 40) {   /* the masks follow the header */
        if (b->size - b->palette_at < 12) return truncated();
        b->palette_at += 12;
    }
    for (int i = 0; i < (b->header >= 56 ? 4 : 3); i++) b->mask[i] = le32(m + 4 * i);
    return 0;
}

static int read_bitfields(bmp *b) {
    static const struct { uint32_t bits, mask[4]; int red, green, blue; } known[] = {   /* Pillow's list, in its order */
        { 32, { 0xff0000, 0xff00, 0xff, 0 }, 2, 1, 0 },
        { 32, { 0xff000000, 0xff0000, 0xff00, 0 }, 3, 2, 1 },
        { 32, { 0xff000000, 0xff00, 0xff, 0 }, 3, 1, 0 },
        { 32, { 0xff000000, 0xff0000, 0xff00, 0xff }, 3, 2, 1 },
        { 32, { 0xff, 0xff00, 0xff0000, 0xff000000 }, 0, 1, 2 },
        { 32, { 0xff0000, 0xff00, 0xff, 0xff000000 }, 2, 1, 0 },
        { 32, { 0xff000000, 0xff00, 0xff, 0xff0000 }, 3, 1, 0 },
        { 32, { 0, 0, 0, 0 }, 2, 1, 0 },
        { 24, { 0xff0000, 0xff00, 0xff, 0 }, 2, 1, 0 },
        { 16, { 0xf800, 0x7e0, 0x1f, 0 }, 11, 5, 6 },   /* red's shift, green's shift, green's bits */
        { 16, { 0x7c00, 0x3e0, 0x1f, 0 }, 10, 5, 5 },
    };
    int rc = read_masks(b);
    if (rc < 0) return rc;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (b->bits != known[i].bits || memcmp(b->mask, known[i].mask, b->bits == 32 ? 16 : 12)) continue;
        b->red = known[i].red;
        b->green = known[i].green;
        b->blue = known[i].blue;
        return 0;
    }
    return error_set(ERR_UNSUPPORTED, "BMP: bit fields %08x %08x %08x %08x of %u bits", b->mask[0], b->mask[1], b->mask[2], b->mask[3], b->bits);
}

/* ---- Palette ---- */

/* A palette that is the plain grey ramp (or black and white) is dropped by Pillow, and the bits of a pixel are then
 * taken to be 8 (or 1), whatever the header says. */
static void grey_palette(bmp *b) {
    b->row_bits = b->colours <= 2 ? 1 : 8;
    for (int v = 0; v < 256; v++) memset(b->palette[v], b->row_bits == 1 && v ? 255 : v, 3);
}

static int read_palette(bmp *b) {
    size_t entry = b->header == 12 ? 3 : 4, rest = b->size - b->palette_at;
    const uint8_t *p = b->data + b->palette_at;
    if (b->colours > 65536) return error_set(ERR_UNSUPPORTED, "BMP: a palette of %u colours", b->colours);
    bool grey = true;
    for (uint32_t i = 0; i < b->colours && grey; i++) {
        uint8_t v = (uint8_t)(b->colours == 2 ? i * 255 : i);
        const uint8_t *c = p + i * entry;
        grey = i * entry + 3 <= rest && c[0] == v && c[1] == v && c[2] == v;
    }
    size_t bytes = entry * b->colours < rest ? entry * b->colours : rest;
    b->palette_at += bytes;
    if (grey) {
        grey_palette(b);
        return 0;
    }
    if (bytes / entry > 256) return error_set(ERR_FORMAT, "BMP: a palette of %zu colours", bytes / entry);
    for (size_t i = 0; i < bytes / entry; i++)
        for (int c = 0; c < 3; c++) b->palette[i][c] = p[i * entry + 2 - (size_t)c];
    return 0;
}

static int read_layout(bmp *b) {
    if (b->pixels_at == 14 + b->header && b->bits <= 8) b->pixels_at += (b->header == 12 ? 3 : 4) * (size_t)b->colours;   /* it forgot its palette */
    b->row_bits = (int)b->bits;
    b->red = b->bits == 16 ? 10 : 2;
    b->green = b->bits == 16 ? 5 : 1;
    b->blue = b->bits == 16 ? 5 : 0;
    int rc = b->compression == BITFIELDS ? read_bitfields(b) : 0;
    if (rc == 0 && b->bits <= 8) rc = read_palette(b);
    if (!b->pixels_at) b->pixels_at = b->palette_at;
    return rc;
}

/* ---- Pixels ---- */

static void indices_to_rgb(const bmp *b, const uint8_t *in, int bits, uint8_t *rgb) {
    for (size_t x = 0; x < b->width; x++) {
        size_t bit = x * (size_t)bits;
        memcpy(rgb + 3 * x, b->palette[in[bit / 8] >> (8 - bits - (int)(bit % 8)) & ((1 << bits) - 1)], 3);
    }
}

static void row16_to_rgb(const bmp *b, const uint8_t *in, uint8_t *rgb) {
    uint32_t green = (1u << b->blue) - 1;   /* b->blue: bits of green */
    for (size_t x = 0; x < b->width; x++) {
        uint32_t v = le16(in + 2 * x);
        rgb[3 * x] = (uint8_t)((v >> b->red & 31) * 255 / 31);
        rgb[3 * x + 1] = (uint8_t)((v >> b->green & green) * 255 / green);
        rgb[3 * x + 2] = (uint8_t)((v & 31) * 255 / 31);
    }
}

static void row_to_rgb(const bmp *b, const uint8_t *in, uint8_t *rgb) {
    if (b->bits <= 8) indices_to_rgb(b, in, b->row_bits, rgb);
    else if (b->bits == 16) row16_to_rgb(b, in, rgb);
    else
        for (size_t x = 0, step = b->bits / 8; x < b->width; x++) {
            rgb[3 * x] = in[x * step + (size_t)b->red];
            rgb[3 * x + 1] = in[x * step + (size_t)b->green];
            rgb[3 * x + 2] = in[x * step + (size_t)b->blue];
        }
}

static uint8_t *row_at(const bmp *b, const image *img, uint64_t y) {
    return img->rgb + (b->top_down ? y : b->height - 1 - y) * b->width * 3;
}

static int read_raw(const bmp *b, const image *img) {
    size_t stride = ((size_t)b->width * b->bits + 31) / 32 * 4, row = ((size_t)b->width * (size_t)b->row_bits + 7) / 8;
    if (stride < row) return error_set(ERR_FORMAT, "BMP: a grey palette of %u colours for %u bits a pixel", b->colours, b->bits);
    if (b->pixels_at > b->size || (b->size - b->pixels_at) / stride + 1 < b->height) return truncated();
    size_t last = b->pixels_at + (size_t)(b->height - 1) * stride;   /* its padding may be missing */
    if (last > b->size || b->size - last < row) return truncated();
    for (uint64_t y = 0; y < b->height; y++) row_to_rgb(b, b->data + b->pixels_at + y * stride, row_at(b, img, y));
    return 0;
}

/* ---- Run lengths ---- */

typedef struct { const uint8_t *at, *end; uint8_t *out; size_t n, wanted, width; } runs;

static void runs_fill(runs *r, size_t count, uint8_t even, uint8_t odd) {
    for (size_t i = 0; i < count && r->n < r->wanted; i++) r->out[r->n++] = i & 1 ? odd : even;
}

/* `count` pixels as they are, padded to an even place in the file; false at the end of the data. */
static bool runs_literal(const bmp *b, runs *r, size_t count) {
    size_t room = r->wanted - r->n;
    if (count > room) count = room;
    size_t bytes = b->compression == RLE4 ? (count + 1) / 2 : count, there = (size_t)(r->end - r->at);
    bool whole = bytes <= there;
    if (!whole) return r->at = r->end, false;   /* too little for the picture in any case */
    for (size_t i = 0; i < count; i++)
        r->out[r->n++] = b->compression == RLE4 ? (uint8_t)(i & 1 ? r->at[i / 2] & 15 : r->at[i / 2] >> 4) : r->at[i];
    r->at += bytes;
    if (r->n == r->wanted) return false;
    if ((r->at - b->data) & 1 && r->at < r->end) r->at++;
    return true;
}

/* x counts the pixels of the line, and what a run has beyond its end is dropped; literals are not. That is Pillow's way. */
static void runs_read(const bmp *b, runs *r) {
    size_t x = 0;
    while (r->n < r->wanted && r->end - r->at >= 2) {
        size_t count = r->at[0];
        uint8_t v = r->at[1];
        r->at += 2;
        if (count) {
            if (x + count > r->width) count = r->width > x ? r->width - x : 0;
            if (b->compression == RLE4) runs_fill(r, count, v >> 4, v & 15);
            else runs_fill(r, count, v, v);
            x += count;
        } else if (v == 0) {   /* end of line */
            while (r->n % r->width) r->out[r->n++] = 0;
            x = 0;
        } else if (v == 1) {   /* end of picture */
            return;
        } else if (v == 2) {   /* go right and up */
            if (r->end - r->at < 2) return;
            runs_fill(r, r->at[0] + r->at[1] * r->width, 0, 0);
            r->at += 2;
            x = r->n % r->width;
        } else {
            if (!runs_literal(b, r, v)) return;
            x += v;
        }
    }
}

static int read_runs(const bmp *b, const image *img) {
    size_t pixels = (size_t)b->width * (size_t)b->height;
    if (b->pixels_at > b->size) return truncated();
    uint8_t *index = malloc(pixels);
    if (!index) return error_memory(pixels);
    runs r = { b->data + b->pixels_at, b->data + b->size, index, 0, pixels, b->width };
    runs_read(b, &r);
    bool whole = r.n == pixels;
    for (uint64_t y = 0; whole && y < b->height; y++) indices_to_rgb(b, index + y * b->width, 8, row_at(b, img, y));
    free(index);
    return whole ? 0 : truncated();
}

int bmp_header(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    bmp b = { .data = data, .size = size };
    int rc = read_header(&b);
    if (rc == 0) rc = image_claim_check(b.width, b.height, max_pixels);
    if (rc == 0) rc = read_layout(&b);
    if (rc == 0) *out = (image){ .width = (int)b.width, .height = (int)b.height };
    return rc;
}

int bmp_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    bmp b = { .data = data, .size = size };
    image img = { 0 };
    int rc = read_header(&b);
    if (rc == 0) rc = image_claim_check(b.width, b.height, max_pixels);
    if (rc == 0) rc = read_layout(&b);
    if (rc == 0) rc = image_claim(b.width, b.height, max_pixels, &img);
    if (rc == 0) rc = b.compression == RLE8 || b.compression == RLE4 ? read_runs(&b, &img) : read_raw(&b, &img);
    if (rc == 0) *out = img;
    else image_free(&img);
    return rc;
}
