/* SPDX-License-Identifier: Apache-2.0
 *
 * PNG. The chunks are walked here, as strictly and as leniently as Pillow 13 walks them; libspng gets a clean stream of
 * IHDR, IDAT and IEND and gives raw samples, which become RGB as Pillow's convert("RGB") makes it: transparency, gamma
 * and colour profiles change no pixel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>
#include <spng.h>

#include "base/error.h"
#include "image/formats.h"

enum { GREY = 0, RGB = 2, INDEXED = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

typedef struct {
    const uint8_t *data;
    size_t size;
    uint32_t width, height;
    int depth, colour, interlaced;
    uint8_t palette[256][3];   /* what a file leaves out is black */
    size_t idat, idat_last, idat_end;   /* first and last IDAT chunk of the run, and where its bytes end */
} png;

static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static void put32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* ---- The chunks ---- */

typedef struct { const uint8_t *type, *body; size_t length; } chunk;

static bool chunk_is(const chunk *c, const char *type) { return !memcmp(c->type, type, 4); }

/* The head of the chunk at byte *at. */
static int chunk_next(const uint8_t *data, size_t size, size_t at, chunk *c) {
    if (size - at < 8) return error_set(ERR_FORMAT, "PNG: the file is truncated");
    c->length = be32(data + at);
    c->type = data + at + 4;
    c->body = data + at + 8;
    for (int i = 0; i < 4; i++) {
        uint8_t b = c->type[i];
        if (!((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '_'))
            return error_set(ERR_FORMAT, "PNG: broken at byte %zu, no chunk begins here", at);
    }
    return 0;
}

/* Its body and checksum are inside the file; *at moves behind it. */
static int chunk_whole(size_t size, size_t *at, const chunk *c, bool check) {
    size_t rest = size - *at - 8;
    if (c->length > rest || rest - c->length < 4) return error_set(ERR_FORMAT, "PNG: the file is truncated in its %.4s chunk", (const char *)c->type);
    if (check && libdeflate_crc32(0, c->type, c->length + 4) != be32(c->body + c->length))
        return error_set(ERR_FORMAT, "PNG: the checksum of its %.4s chunk is wrong", (const char *)c->type);
    *at += c->length + 12;
    return 0;
}

static int read_ihdr(png *p, const chunk *c) {
    if (c->length < 13) return error_set(ERR_FORMAT, "PNG: its header is too short");
    p->width = be32(c->body);
    p->height = be32(c->body + 4);
    p->depth = c->body[8];
    p->colour = c->body[9];
    p->interlaced = c->body[12] != 0;
    static const uint32_t depths[7] = { [GREY] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 16, [RGB] = 1 << 8 | 1 << 16,
        [INDEXED] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8, [GREY_ALPHA] = 1 << 8 | 1 << 16, [RGB_ALPHA] = 1 << 8 | 1 << 16 };
    if (p->colour > 6 || p->depth > 16 || !(depths[p->colour] >> p->depth & 1))
        return error_set(ERR_FORMAT, "PNG: there is no colour type %d with %d bits", p->colour, p->depth);
    if (c->body[11]) return error_set(ERR_UNSUPPORTED, "PNG: unknown filter method %d", c->body[11]);
    return 0;
}

static int read_plte(png *p, const chunk *c) {
    if (p->colour != INDEXED) return 0;   /* a suggestion, for displays of few colours */
    if (c->length / 3 > 256) return error_set(ERR_FORMAT, "PNG: a palette of %zu colours", c->length / 3);
    memset(p->palette, 0, sizeof p->palette);
    memcpy(p->palette, c->body, c->length / 3 * 3);
    return 0;
}

static int read_chunks(png *p, const uint8_t *data, size_t size) {
    *p = (png){ .data = data, .size = size, .depth = 0 };
    size_t at = 8;
    chunk c = { 0 };
    for (;;) {
        int rc = chunk_next(data, size, at, &c);
        if (rc < 0) return rc;
        if (chunk_is(&c, "IDAT")) break;
        if (chunk_is(&c, "IEND")) return error_set(ERR_FORMAT, "PNG: there is no picture in it");
        rc = chunk_whole(size, &at, &c, true);
        if (rc == 0 && chunk_is(&c, "IHDR")) rc = read_ihdr(p, &c);
        if (rc == 0 && chunk_is(&c, "PLTE")) rc = read_plte(p, &c);
        if (rc < 0) return rc;
    }
    if (!p->depth) return error_set(ERR_FORMAT, "PNG: no header before the picture");

    p->idat = at;
    for (;;) {   /* the run of IDATs; the last one may be cut short */
        p->idat_last = at;
        size_t rest = size - at - 8;
        p->idat_end = c.length < rest ? at + 8 + c.length : size;
        if (size - p->idat_end < 12) break;
        at = p->idat_end + 4;
        c.length = be32(data + at);
        if (memcmp(data + at + 4, "IDAT", 4)) break;
    }
    return 0;
}

/* ---- libspng's source: our own header, the IDATs as they are (the last with its true length), our own end ---- */

typedef struct { const uint8_t *data; size_t size; } span;
typedef struct { span span[5]; int at; uint8_t head[33], last[8], tail[16]; } source;

static void source_begin(source *s, const png *p) {
    memcpy(s->head, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    put32(s->head + 16, p->width);
    put32(s->head + 20, p->height);
    s->head[24] = (uint8_t)p->depth;
    s->head[25] = (uint8_t)(p->colour == INDEXED ? GREY : p->colour);   /* the same bytes, and no palette to insist on */
    s->head[28] = (uint8_t)p->interlaced;
    put32(s->head + 29, libdeflate_crc32(0, s->head + 12, 17));
    size_t length = p->idat_end - p->idat_last - 8;
    put32(s->last, (uint32_t)length);
    memcpy(s->last + 4, "IDAT", 4);
    memcpy(s->tail, "\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82", 16);   /* the last IDAT's checksum is not looked at */
    span spans[5] = { { s->head, 33 }, { p->data + p->idat, p->idat_last - p->idat }, { s->last, 8 },
                      { p->data + p->idat_last + 8, length }, { s->tail, 16 } };
    memcpy(s->span, spans, sizeof spans);
}

static int source_read(spng_ctx *ctx, void *user, void *to, size_t length) {
    (void)ctx;
    source *s = user;
    for (uint8_t *out = to; length;) {
        if (s->at == 5) return SPNG_IO_EOF;
        span *from = &s->span[s->at];
        size_t n = from->size < length ? from->size : length;
        memcpy(out, from->data, n);
        from->data += n;
        from->size -= n;
        out += n;
        length -= n;
        if (!from->size) s->at++;
    }
    return 0;
}

/* ---- Samples to RGB ---- */

static inline void grey(uint8_t *rgb, uint8_t v) { rgb[0] = rgb[1] = rgb[2] = v; }

/* `raw` as PNG stores a row of n pixels: packed bits, big-endian 16-bit samples. */
static void row_to_rgb(const png *p, const uint8_t *raw, size_t n, uint8_t *rgb) {
    size_t step = p->depth / 8;   /* the first byte of a 16-bit sample is its high one: what Pillow keeps */
    switch (p->colour) {
    case RGB:
        if (step == 1) memcpy(rgb, raw, n * 3);
        else for (size_t i = 0; i < n * 3; i++) rgb[i] = raw[2 * i];
        break;
    case RGB_ALPHA:
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = raw[(4 * i + c) * step];
        break;
    case GREY_ALPHA:
        for (size_t i = 0; i < n; i++) grey(rgb + 3 * i, raw[2 * i * step]);
        break;
    default:
        if (p->depth == 16) {   /* Pillow's I;16 to RGB: clipped, not scaled */
            for (size_t i = 0; i < n; i++) grey(rgb + 3 * i, raw[2 * i] ? 255 : raw[2 * i + 1]);
            break;
        }
        unsigned mask = (1u << p->depth) - 1, scale = 255 / mask;
        for (size_t i = 0; i < n; i++) {
            size_t bit = i * (size_t)p->depth;
            unsigned v = raw[bit / 8] >> (8 - p->depth - bit % 8) & mask;
            if (p->colour == INDEXED) memcpy(rgb + 3 * i, p->palette[v], 3);
            else grey(rgb + 3 * i, (uint8_t)(v * scale));
        }
    }
}

/* ---- Decoding ---- */

static const uint8_t pass_x[7] = { 0, 4, 0, 2, 0, 1, 0 }, pass_dx[7] = { 8, 8, 4, 4, 2, 2, 1 };

static int spng_failed(int rc) {
    if (rc == SPNG_EMEM) return error_set(ERR_MEMORY, "PNG: out of memory");
    if (rc == SPNG_EIDAT_TOO_SHORT || rc == SPNG_IO_EOF) return error_set(ERR_FORMAT, "PNG: the file is truncated");
    return error_set(ERR_FORMAT, "PNG: %s", spng_strerror(rc));
}

/* raw and line: scratch of one row each, raw samples and RGB. */
static int decode_rows(const png *p, spng_ctx *ctx, uint8_t *raw, size_t raw_size, uint8_t *line, image *img) {
    int rc = spng_decode_image(ctx, NULL, 0, SPNG_FMT_RAW, SPNG_DECODE_PROGRESSIVE);
    while (rc == 0) {
        struct spng_row_info row;
        rc = spng_get_row_info(ctx, &row);
        if (rc == 0) rc = spng_decode_scanline(ctx, raw, raw_size);
        if (rc && rc != SPNG_EOI) break;
        uint8_t *rgb = img->rgb + (size_t)row.row_num * (size_t)img->width * 3;
        if (!p->interlaced || row.pass == 6) {
            row_to_rgb(p, raw, (size_t)img->width, rgb);
            continue;
        }
        size_t x0 = pass_x[row.pass], dx = pass_dx[row.pass], n = ((size_t)img->width - x0 + dx - 1) / dx;
        row_to_rgb(p, raw, n, line);
        for (size_t i = 0; i < n; i++) memcpy(rgb + (x0 + i * dx) * 3, line + i * 3, 3);
    }
    return rc == SPNG_EOI ? 0 : spng_failed(rc);
}

static int decode_pixels(const png *p, image *img) {
    static const int channels[7] = { [GREY] = 1, [RGB] = 3, [INDEXED] = 1, [GREY_ALPHA] = 2, [RGB_ALPHA] = 4 };
    size_t raw_size = ((size_t)p->width * (size_t)(channels[p->colour] * p->depth) + 7) / 8;
    source from = { 0 };
    source_begin(&from, p);
    uint8_t *raw = malloc(raw_size), *line = malloc((size_t)p->width * 3);
    spng_ctx *ctx = spng_ctx_new(0);
    int rc = 0;
    if (!raw || !line || !ctx) {
        rc = error_memory(raw_size);
    } else {
        spng_set_crc_action(ctx, SPNG_CRC_USE, SPNG_CRC_USE);   /* Pillow does not look at those of IDAT */
        rc = spng_set_png_stream(ctx, source_read, &from);
        rc = rc ? spng_failed(rc) : decode_rows(p, ctx, raw, raw_size, line, img);
    }
    spng_ctx_free(ctx);
    free(raw);
    free(line);
    return rc;
}

int png_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    png *p = malloc(sizeof *p);
    if (!p) return error_memory(sizeof *p);
    image img = { 0 };
    int rc = read_chunks(p, data, size);
    if (rc == 0) rc = image_claim(p->width, p->height, max_pixels, &img);
    if (rc == 0) rc = decode_pixels(p, &img);
    free(p);
    if (rc == 0) *out = img;
    else image_free(&img);
    return rc;
}

int png_orientation(const uint8_t *data, size_t size) { (void)data; (void)size; return 1; }
