/* SPDX-License-Identifier: Apache-2.0
 *
 * The first frame of a GIF, as Pillow 13 opens it: unknown bytes between blocks are skipped, the canvas grows to hold the
 * frame, what the frame leaves open has the transparent colour's index (else 0), and a palette that is the plain grey
 * ramp is none. Read here, without a library: giflib takes and refuses other damaged files than Pillow does. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/formats.h"

typedef struct {
    const uint8_t *data;
    size_t size, at;
    uint32_t width, height;                     /* the canvas */
    uint32_t x, y, frame_width, frame_height;   /* the frame on it */
    bool interlaced;
    int transparent;                            /* an index, or -1 */
    uint8_t global[256][3], palette[256][3];
} gif;

static uint32_t le16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static int truncated(void) { return error_set(ERR_FORMAT, "GIF: the file is truncated"); }
static int no_picture(void) { return error_set(ERR_FORMAT, "GIF: there is no picture in it"); }

/* ---- Blocks ---- */

/* The next n bytes, or NULL. */
static const uint8_t *take(gif *g, size_t n) {
    if (g->size - g->at < n) return NULL;
    g->at += n;
    return g->data + g->at - n;
}

/* A sub-block, possibly cut short by the end of the file: its length, 0 at the end of the row of them. */
static size_t take_block(gif *g, const uint8_t **block) {
    const uint8_t *n = take(g, 1);
    if (!n || !*n) return 0;
    size_t length = *n < g->size - g->at ? *n : g->size - g->at;
    *block = take(g, length);
    return length;
}

static void skip_blocks(gif *g) {
    const uint8_t *block;
    while (take_block(g, &block)) {}
}

static void grey_ramp(uint8_t palette[256][3]) {
    for (int i = 0; i < 256; i++) memset(palette[i], i, 3);
}

static int take_palette(gif *g, int bits, uint8_t palette[256][3]) {
    const uint8_t *p = take(g, (size_t)3 << bits);
    if (!p) return truncated();
    bool ramp = true;
    for (int i = 0; i < 1 << bits && ramp; i++) ramp = p[3 * i] == i && p[3 * i + 1] == i && p[3 * i + 2] == i;
    memset(palette, 0, 256 * 3);   /* colours beyond the palette are black, beyond a ramp grey */
    if (ramp) grey_ramp(palette);
    else memcpy(palette, p, (size_t)3 << bits);
    return 0;
}

static int take_extension(gif *g) {
    const uint8_t *label = take(g, 1), *block = NULL;
    if (!label) return no_picture();
    size_t n = take_block(g, &block);
    if (*label == 0xf9 && n) {   /* graphic control */
        if (n < 3 || (block[0] & 1 && n < 4)) return truncated();
        if (block[0] & 1) g->transparent = block[3];
    }
    if (*label == 0xff && n >= 11 && !memcmp(block, "NETSCAPE2.0", 11)) take_block(g, &block);   /* the number of loops */
    if (*label == 0xfe && !n) return 0;   /* a comment that ends at once; where others should have ended, Pillow reads on */
    skip_blocks(g);
    return 0;
}

static int take_frame(gif *g) {
    const uint8_t *d = take(g, 9);
    if (!d) return truncated();
    g->x = le16(d);
    g->y = le16(d + 2);
    g->frame_width = le16(d + 4);
    g->frame_height = le16(d + 6);
    g->interlaced = d[8] & 64;
    if (g->width < g->x + g->frame_width) g->width = g->x + g->frame_width;
    if (g->height < g->y + g->frame_height) g->height = g->y + g->frame_height;
    memcpy(g->palette, g->global, sizeof g->palette);
    int rc = d[8] & 128 ? take_palette(g, (d[8] & 7) + 1, g->palette) : 0;
    return rc < 0 ? rc : g->at < g->size ? 0 : truncated();
}

/* Up to the frame's LZW data. */
static int read_blocks(gif *g) {
    const uint8_t *screen = take(g, 13);
    if (!screen) return truncated();
    g->width = le16(screen + 6);
    g->height = le16(screen + 8);
    g->transparent = -1;
    grey_ramp(g->global);
    int rc = screen[10] & 128 ? take_palette(g, (screen[10] & 7) + 1, g->global) : 0;
    while (rc == 0) {
        const uint8_t *kind = take(g, 1);
        if (!kind || *kind == ';') return no_picture();
        if (*kind == ',') return take_frame(g);
        if (*kind == '!') rc = take_extension(g);
    }
    return rc;
}

/* ---- LZW ---- */

enum { TABLE = 4096, READ = 65536 };

typedef struct {
    const uint8_t *data;
    size_t at, size;
    size_t window;              /* what Pillow has read of the file so far; see lzw_more */
    size_t block;               /* bytes left in the sub-block */
    uint32_t bits, n_bits;
    int clear, next, width;     /* the clear code, the next free one, and the bits of a code */
    int last;                   /* the code before, -1 after a clear */
    uint8_t first;              /* first byte of its string */
    uint16_t link[TABLE];
    uint8_t byte[TABLE];
    uint8_t string[TABLE];      /* the last code's bytes, filled from the end */
    int from;                   /* where they begin */
} lzw;

/* Pillow reads 64 KB at a time and gives up when it wants more and there is none: also at an end code that comes before
 * the last pixel, which otherwise it walks over. */
static bool lzw_more(lzw *z) {
    if (z->window >= z->size) return false;
    z->window = z->size - z->window > READ ? z->window + READ : z->size;
    return true;
}

static bool lzw_begin(lzw *z, const gif *g) {
    int depth = g->data[g->at];
    if (depth > 12) return false;
    *z = (lzw){
        .data = g->data, .size = g->size, .at = g->at + 1, .window = g->at + 1,
        .clear = 1 << depth, .next = (1 << depth) + 2, .width = depth + 1, .last = -1,
    };
    return true;
}

/* The next code, or -1 at the end of the data. A sub-block of no bytes ends nothing. */
static int lzw_code(lzw *z) {
    while (z->n_bits < (uint32_t)z->width) {
        if (z->block) {
            z->bits |= (uint32_t)z->data[z->at++] << z->n_bits;
            z->n_bits += 8;
            z->block--;
            continue;
        }
        while (z->at >= z->window || z->window - z->at < z->data[z->at] + (size_t)1)
            if (!lzw_more(z)) return -1;
        z->block = z->data[z->at++];
    }
    int code = (int)(z->bits & ((1u << z->width) - 1));
    z->bits >>= z->width;
    z->n_bits -= (uint32_t)z->width;
    return code;
}

static bool lzw_push(lzw *z, uint8_t byte) {
    if (z->from == 0) return false;
    z->string[--z->from] = byte;
    return true;
}

/* Writes a code's string to the end of z->string and learns the next one; false if there is no such code. */
static bool lzw_expand(lzw *z, int code) {
    int c = code;
    z->from = TABLE;
    if (z->last < 0) {
        if (c > z->clear) return false;
        z->first = (uint8_t)c;
        z->last = c;
        return lzw_push(z, (uint8_t)c);
    }
    if (c > z->next) return false;
    if (c == z->next) {   /* the string that is being learnt: the last one and its own first byte */
        lzw_push(z, z->first);
        c = z->last;
    }
    for (; c >= z->clear; c = z->link[c])
        if (c >= TABLE || !lzw_push(z, z->byte[c])) return false;
    z->first = (uint8_t)c;
    if (!lzw_push(z, (uint8_t)c)) return false;
    if (z->next < TABLE) {
        z->byte[z->next] = (uint8_t)c;
        z->link[z->next] = (uint16_t)z->last;
        if (z->next == (1 << z->width) - 1 && z->width < 12) z->width++;
        z->next++;
    }
    z->last = code;
    return true;
}

/* The next string of pixels into z->string[z->from..]: 0 or ERR_*. */
static int lzw_next(lzw *z) {
    for (;;) {
        int code = lzw_code(z);
        if (code < 0) return truncated();
        if (code == z->clear) {
            z->next = z->clear + 2;
            z->width = __builtin_ctz((unsigned)z->clear) + 1;
            z->last = -1;
        } else if (code == z->clear + 1) {
            if (!lzw_more(z)) return truncated();
        } else {
            return lzw_expand(z, code) ? 0 : error_set(ERR_FORMAT, "GIF: broken picture data");
        }
    }
}

/* ---- Pixels ---- */

static void fill_canvas(const gif *g, image *img) {
    const uint8_t *colour = g->palette[g->transparent < 0 ? 0 : g->transparent];
    size_t bytes = (size_t)img->width * (size_t)img->height * 3;
    if (!(colour[0] | colour[1] | colour[2])) return;   /* it is black, and untouched memory costs nothing */
    for (size_t i = 0; i < bytes; i += 3) memcpy(img->rgb + i, colour, 3);
}

/* The row after y in the file's order; the frame's height at the end. */
static uint32_t row_after(const gif *g, uint32_t y, int *pass) {
    static const uint32_t first[4] = { 0, 4, 2, 1 }, step[4] = { 8, 8, 4, 2 };
    if (!g->interlaced) return y + 1;
    y += step[*pass];
    while (y >= g->frame_height && ++*pass < 4) y = first[*pass];
    return y;
}

static int decode_frame(const gif *g, lzw *z, image *img) {
    uint32_t x = 0;
    int pass = 0;
    for (uint32_t y = 0; y < g->frame_height;) {
        int rc = lzw_next(z);
        if (rc < 0) return rc;
        for (int i = z->from; i < TABLE && y < g->frame_height; i++) {
            memcpy(img->rgb + ((size_t)(g->y + y) * (size_t)img->width + g->x + x) * 3, g->palette[z->string[i]], 3);
            if (++x < g->frame_width) continue;
            x = 0;
            y = row_after(g, y, &pass);
        }
    }
    return 0;
}

static int decode_pixels(const gif *g, image *img) {
    if (!g->frame_width || !g->frame_height) return error_set(ERR_FORMAT, "GIF: a frame without pixels");
    if (g->frame_width < g->width || g->frame_height < g->height) fill_canvas(g, img);
    lzw *z = malloc(sizeof *z);
    if (!z) return error_memory(sizeof *z);
    int rc = lzw_begin(z, g) ? decode_frame(g, z, img) : error_set(ERR_FORMAT, "GIF: codes of %d bits", g->data[g->at]);
    free(z);
    return rc;
}

int gif_header(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    gif g = { .data = data, .size = size };
    int rc = read_blocks(&g);
    if (rc == 0) rc = image_claim_check(g.width, g.height, max_pixels);
    if (rc == 0) *out = (image){ .width = (int)g.width, .height = (int)g.height };
    return rc;
}

int gif_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    gif g = { .data = data, .size = size };
    image img = { 0 };
    int rc = read_blocks(&g);
    if (rc == 0) rc = image_claim(g.width, g.height, max_pixels, &img);
    if (rc == 0) rc = decode_pixels(&g, &img);
    if (rc == 0) *out = img;
    else image_free(&img);
    return rc;
}
