/* SPDX-License-Identifier: Apache-2.0
 *
 * PNG. The chunks are walked here, as strictly and as leniently as Pillow 13 walks them; libspng gets a clean stream of
 * IHDR, IDAT and IEND and gives raw samples, which become RGB as Pillow's convert("RGB") makes it: transparency, gamma
 * and colour profiles change no pixel. */
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>
#include <spng.h>

#include "base/error.h"
#include "image/formats.h"
#include "image/png_chunk.h"

typedef struct {
    const uint8_t *data;
    size_t size;
    png_state now;
    uint32_t width, height, x, y;       /* of the picture in the first run of IDATs, and its place on the canvas */
    size_t idat, idat_last, idat_end;   /* first and last IDAT chunk of the run, and where its bytes end */
    bool animated;
    bool cut;                           /* the last of them has less than it claims */
} png;

static int cut_short(void) { return error_set(ERR_FORMAT, "PNG: the file is truncated"); }

/* ---- The chunks ---- */

/* Up to the first IDAT; checksums count here. */
static int read_head(png *p) {
    png_chunk c;
    p->now.sequence = -1;
    for (size_t at = 8;; at += c.length + 12) {
        int rc = png_chunk_head(p->data, p->size, at, &c);
        if (rc < 0) return rc;
        if (png_chunk_is(&c, "IDAT")) {
            p->idat = at;
            break;
        }
        if (png_chunk_is(&c, "IEND") || png_chunk_is(&c, "fdAT")) return error_set(ERR_FORMAT, "PNG: there is no picture in it");
        rc = png_chunk_whole(p->data, p->size, &c);
        if (rc == 0) rc = png_chunk_take(&p->now, &c);
        if (rc < 0) return rc;
    }
    const png_state *s = &p->now;
    if (!s->depth) return error_set(ERR_FORMAT, "PNG: no header before the picture");
    p->width = s->framed ? s->frame_width : s->width;
    p->height = s->framed ? s->frame_height : s->height;
    p->x = s->framed ? s->x : 0;
    p->y = s->framed ? s->y : 0;
    p->animated = s->frames > 1 || (s->frames == 1 && !s->framed);
    if (!p->width || !p->height) return error_set(ERR_FORMAT, "PNG: a picture without pixels: %ux%u", p->width, p->height);
    return 0;
}

/* The run of IDATs; the last may be cut short. */
static void find_idats(png *p) {
    for (size_t at = p->idat;;) {
        size_t rest = p->size - at - 8, length = png_be32(p->data + at);
        p->idat_last = at;
        p->cut = length > rest;
        p->idat_end = p->cut ? p->size : at + 8 + length;
        if (p->size - p->idat_end < 12 || memcmp(p->data + p->idat_end + 8, "IDAT", 4)) return;
        at = p->idat_end + 4;
    }
}

/* Behind the pixels Pillow reads on, without checksums, until the end of the file, of the chunks or of sense. What it
 * meets on the way must be whole. */
static int read_tail(png *p) {
    png_chunk c;
    for (size_t at = p->idat_end + 4; at <= p->size && p->size - at >= 8; at += c.length + 12) {
        if (png_chunk_head(p->data, p->size, at, &c) < 0 || png_chunk_is(&c, "IEND")) return 0;
        if (png_chunk_is(&c, "fcTL") && p->animated) return 0;   /* the next frame begins */
        if (!png_chunk_body_whole(p->data, p->size, &c))
            return error_set(ERR_FORMAT, "PNG: the file is truncated in its %.4s chunk", (const char *)c.type);
        int rc = png_chunk_take(&p->now, &c);
        if (rc < 0) return rc;
    }
    return 0;
}

/* ---- libspng's source: our own header, the IDATs with their true lengths and checksums, our own end. (To let libspng
 * overlook wrong checksums would also switch off zlib's own, at the end of the data, which Pillow does look at.) ---- */

typedef enum { HEAD, LENGTH, BODY, CHECKSUM, END } part;
typedef struct { const uint8_t *data; size_t size; } span;
typedef struct { const png *p; part next; span now; size_t idat, length; bool last; uint8_t head[33], small[8]; } source;

static void source_begin(source *s, const png *p) {
    s->p = p;
    s->idat = p->idat;
    memcpy(s->head, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    png_put32(s->head + 16, p->width);
    png_put32(s->head + 20, p->height);
    s->head[24] = (uint8_t)p->now.depth;
    s->head[25] = (uint8_t)(p->now.colour == PNG_INDEXED ? PNG_GREY : p->now.colour);   /* the same bytes, and no palette to insist on */
    s->head[28] = p->now.interlaced;
    png_put32(s->head + 29, libdeflate_crc32(0, s->head + 12, 17));
}

static void source_next(source *s) {
    const uint8_t *idat = s->p->data + s->idat;
    switch (s->next) {
    case HEAD:
        s->now = (span){ s->head, sizeof s->head };
        s->next = LENGTH;
        break;
    case LENGTH:
        s->length = s->idat == s->p->idat_last ? s->p->idat_end - s->idat - 8 : png_be32(idat);
        png_put32(s->small, (uint32_t)s->length);
        memcpy(s->small + 4, "IDAT", 4);
        s->now = (span){ s->small, 8 };
        s->next = BODY;
        break;
    case BODY:
        s->now = (span){ idat + 8, s->length };
        s->last = s->idat == s->p->idat_last;
        s->next = CHECKSUM;
        break;
    case CHECKSUM:
        png_put32(s->small, libdeflate_crc32(0, idat + 4, s->length + 4));
        s->now = (span){ s->small, 4 };
        s->next = s->idat == s->p->idat_last ? END : LENGTH;
        s->idat += s->length + 12;
        break;
    case END:
        s->now = (span){ (const uint8_t *)"\0\0\0\0IEND\xae\x42\x60\x82", 12 };   /* for ever: libspng stops there */
    }
}

static int source_read(spng_ctx *ctx, void *user, void *to, size_t length) {
    (void)ctx;
    source *s = user;
    for (uint8_t *out = to; length;) {
        size_t n = s->now.size < length ? s->now.size : length;
        if (n) {   /* an empty span has no address to add to */
            memcpy(out, s->now.data, n);
            s->now.data += n;
        }
        s->now.size -= n;
        out += n;
        length -= n;
        if (!s->now.size) source_next(s);
    }
    return 0;
}

/* ---- Samples to RGB ---- */

static inline void grey(uint8_t *rgb, uint8_t v) { rgb[0] = rgb[1] = rgb[2] = v; }

/* `raw` as PNG stores a row of n pixels: packed bits, big-endian 16-bit samples. */
static void row_to_rgb(const png_state *p, const uint8_t *raw, size_t n, uint8_t *rgb) {
    size_t step = p->depth / 8;   /* the first byte of a 16-bit sample is its high one: what Pillow keeps */
    switch (p->colour) {
    case PNG_RGB:
        if (step == 1) memcpy(rgb, raw, n * 3);
        else for (size_t i = 0; i < n * 3; i++) rgb[i] = raw[2 * i];
        break;
    case PNG_RGB_ALPHA:
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = raw[(4 * i + c) * step];
        break;
    case PNG_GREY_ALPHA:
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
            if (p->colour == PNG_INDEXED) memcpy(rgb + 3 * i, p->palette[v], 3);
            else grey(rgb + 3 * i, (uint8_t)(v * scale));
        }
    }
}

/* ---- Decoding ---- */

static const uint8_t pass_x[7] = { 0, 4, 0, 2, 0, 1, 0 }, pass_dx[7] = { 8, 8, 4, 4, 2, 2, 1 };

static int spng_failed(int rc) {
    if (rc == SPNG_EMEM) return error_set(ERR_MEMORY, "PNG: out of memory");
    if (rc == SPNG_EIDAT_TOO_SHORT || rc == SPNG_IO_EOF) return cut_short();
    return error_set(ERR_FORMAT, "PNG: %s", spng_strerror(rc));
}

/* raw and line: scratch of one row each, raw samples and RGB. A picture without memory for its pixels is only verified. */
static int decode_rows(const png *p, spng_ctx *ctx, uint8_t *raw, size_t raw_size, uint8_t *line, image *img) {
    size_t stride = (size_t)img->width * 3;
    uint8_t *origin = img->rgb ? img->rgb + (size_t)p->y * stride + (size_t)p->x * 3 : NULL;
    int rc = spng_decode_image(ctx, NULL, 0, SPNG_FMT_RAW, SPNG_DECODE_PROGRESSIVE);
    while (rc == 0) {
        struct spng_row_info row;
        rc = spng_get_row_info(ctx, &row);
        if (rc == 0) rc = spng_decode_scanline(ctx, raw, raw_size);
        if (rc && rc != SPNG_EOI) break;
        if (!origin) continue;
        uint8_t *rgb = origin + (size_t)row.row_num * stride;
        if (!p->now.interlaced || row.pass == 6) {
            row_to_rgb(&p->now, raw, p->width, rgb);
            continue;
        }
        size_t x0 = pass_x[row.pass], dx = pass_dx[row.pass], n = (p->width - x0 + dx - 1) / dx;
        row_to_rgb(&p->now, raw, n, line);
        for (size_t i = 0; i < n; i++) memcpy(rgb + (x0 + i * dx) * 3, line + i * 3, 3);
    }
    return rc == SPNG_EOI ? 0 : spng_failed(rc);
}

static int decode_pixels(const png *p, image *img) {
    static const int channels[7] = { [PNG_GREY] = 1, [PNG_RGB] = 3, [PNG_INDEXED] = 1, [PNG_GREY_ALPHA] = 2, [PNG_RGB_ALPHA] = 4 };
    size_t raw_size = ((size_t)p->width * (size_t)(channels[p->now.colour] * p->now.depth) + 7) / 8;
    source from = { 0 };
    source_begin(&from, p);
    uint8_t *raw = malloc(raw_size), *line = malloc((size_t)p->width * 3);
    spng_ctx *ctx = spng_ctx_new(0);
    int rc = 0;
    if (!raw || !line || !ctx) {
        rc = error_memory(raw_size);
    } else {
        rc = spng_set_png_stream(ctx, source_read, &from);
        rc = rc ? spng_failed(rc) : decode_rows(p, ctx, raw, raw_size, line, img);
        if (rc == 0 && !from.last && p->cut) rc = cut_short();   /* not needed, but not whole */
    }
    spng_ctx_free(ctx);
    free(raw);
    free(line);
    return rc;
}

static int decode_rest(png *p, image *img) {
    find_idats(p);
    int rc = decode_pixels(p, img);
    if (rc == 0) rc = read_tail(p);
    if (rc == 0 && p->now.colour == PNG_INDEXED && !p->now.has_palette && p->now.one_clear)
        rc = error_set(ERR_FORMAT, "PNG: a transparent colour without a palette");
    return rc;
}

int png_verify(const uint8_t *data, size_t size, size_t max_pixels, bool header, image *out) {
    png p = { .data = data, .size = size };
    int rc = read_head(&p);
    if (rc == 0) rc = image_claim_check(p.now.width, p.now.height, max_pixels);
    if (rc < 0) return rc;
    *out = (image){ .width = (int)p.now.width, .height = (int)p.now.height };
    return header ? 0 : decode_rest(&p, out);
}

int png_decode(const uint8_t *data, size_t size, size_t max_pixels, image *out) {
    png p = { .data = data, .size = size };
    image img = { 0 };
    int rc = read_head(&p);
    if (rc == 0) rc = image_claim(p.now.width, p.now.height, max_pixels, &img);
    if (rc == 0) rc = decode_rest(&p, &img);
    if (rc == 0) *out = img;
    else image_free(&img);
    return rc;
}
