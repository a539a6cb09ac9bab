/* SPDX-License-Identifier: Apache-2.0
 *
 * The first frame of a GIF, as Pillow 13 opens it: unknown bytes between blocks are skipped, the canvas grows to hold the
 * frame, what the frame leaves open has the transparent colour's index (else 0), and a palette that is the plain grey
 * ramp is none. The blocks are walked here; giflib gets a clean stream of one frame and undoes its LZW. */
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

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
    if (*label == 0xfe && !n) return 0;   /* a comment that ends at once; after others Pillow reads on */
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

/* ---- giflib's source: a canvas and a frame of the same size, the LZW data, our own end ---- */

typedef struct { const uint8_t *data; size_t size; } span;
typedef struct { span span[3]; int at; uint8_t head[23], tail[2]; } source;

static void source_begin(source *s, const gif *g) {
    size_t end = g->at + 1;   /* behind the code size: whole sub-blocks only, Pillow reads no others */
    while (end < g->size && g->data[end] && g->size - end > g->data[end]) end += g->data[end] + (size_t)1;
    uint8_t w0 = (uint8_t)g->frame_width, w1 = (uint8_t)(g->frame_width >> 8), h0 = (uint8_t)g->frame_height, h1 = (uint8_t)(g->frame_height >> 8);
    const uint8_t head[23] = { 'G', 'I', 'F', '8', '9', 'a', w0, w1, h0, h1, 0, 0, 0, ',', 0, 0, 0, 0, w0, w1, h0, h1, g->interlaced ? 64 : 0 };
    memcpy(s->head, head, sizeof head);
    memcpy(s->tail, "\0;", 2);
    span spans[3] = { { s->head, sizeof head }, { g->data + g->at, end - g->at }, { s->tail, 2 } };
    memcpy(s->span, spans, sizeof spans);
}

static int source_read(GifFileType *file, GifByteType *to, int length) {
    source *s = file->UserData;
    int done = 0;
    while (done < length && s->at < 3) {
        span *from = &s->span[s->at];
        size_t n = (size_t)(length - done) < from->size ? (size_t)(length - done) : from->size;
        memcpy(to + done, from->data, n);
        from->data += n;
        from->size -= n;
        done += (int)n;
        if (!from->size) s->at++;
    }
    return done;
}

/* ---- Pixels ---- */

static void indices_to_rgb(const gif *g, const uint8_t *index, size_t n, uint8_t *rgb) {
    for (size_t i = 0; i < n; i++) memcpy(rgb + 3 * i, g->palette[index[i]], 3);
}

static void fill_canvas(const gif *g, image *img) {
    const uint8_t *colour = g->palette[g->transparent < 0 ? 0 : g->transparent];
    size_t bytes = (size_t)img->width * (size_t)img->height * 3;
    for (size_t i = 0; i < bytes; i += 3) memcpy(img->rgb + i, colour, 3);
}

static int decode_rows(const gif *g, GifFileType *file, uint8_t *line, image *img) {
    static const uint32_t first[4] = { 0, 4, 2, 1 }, step[4] = { 8, 8, 4, 2 };
    GifRecordType record;
    if (DGifGetRecordType(file, &record) != GIF_OK || DGifGetImageDesc(file) != GIF_OK) return error_set(ERR_FORMAT, "GIF: %s", GifErrorString(file->Error));
    for (int pass = 0; pass < (g->interlaced ? 4 : 1); pass++) {
        uint32_t y = g->interlaced ? first[pass] : 0, dy = g->interlaced ? step[pass] : 1;
        for (; y < g->frame_height; y += dy) {
            if (DGifGetLine(file, line, (int)g->frame_width) != GIF_OK)
                return file->Error == D_GIF_ERR_EOF_TOO_SOON ? truncated() : error_set(ERR_FORMAT, "GIF: broken picture data");
            indices_to_rgb(g, line, g->frame_width, img->rgb + ((size_t)(g->y + y) * (size_t)img->width + g->x) * 3);
        }
    }
    return 0;
}

static int decode_pixels(const gif *g, image *img) {
    if (g->frame_width < g->width || g->frame_height < g->height) fill_canvas(g, img);
    if (!g->frame_width || !g->frame_height) return error_set(ERR_FORMAT, "GIF: a frame without pixels");
    source from = { 0 };
    source_begin(&from, g);
    int code = 0, rc;
    uint8_t *line = malloc(g->frame_width);
    if (!line) return error_memory(g->frame_width);
    GifFileType *file = DGifOpen(&from, source_read, &code);
    if (file) {
        rc = decode_rows(g, file, line, img);
        DGifCloseFile(file, &code);
    } else {
        rc = error_set(code == D_GIF_ERR_NOT_ENOUGH_MEM ? ERR_MEMORY : ERR_FORMAT, "GIF: %s", GifErrorString(code));
    }
    free(line);
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
