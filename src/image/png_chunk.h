/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the image room: a PNG's chunks, read from bytes that may lie. */
#ifndef IMAGE_PNG_CHUNK_H
#define IMAGE_PNG_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PNG_GREY = 0, PNG_RGB = 2, PNG_INDEXED = 3, PNG_GREY_ALPHA = 4, PNG_RGB_ALPHA = 6 };

typedef struct {
    uint32_t width, height;
    int depth, colour;          /* depth 0: no IHDR yet */
    bool interlaced;
    uint8_t palette[256][3];    /* what a file leaves out is black */
    bool has_palette, one_clear;   /* one_clear: tRNS makes one colour transparent and the others not */
    uint32_t frames;            /* as acTL claims; 0: no animation */
    int64_t sequence;           /* APNG's last number, -1 before the first */
    bool framed;                /* an fcTL came: the next picture is this part of the canvas */
    uint32_t x, y, frame_width, frame_height;
} png_state;

typedef struct { const uint8_t *type, *body; size_t length; } png_chunk;

static inline uint32_t png_be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static inline void png_put32(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i)); }
static inline bool png_chunk_is(const png_chunk *c, const char *type) { return !memcmp(c->type, type, 4); }

/* The head of the chunk at byte `at`; its body may reach beyond the file. */
int png_chunk_head(const uint8_t *data, size_t size, size_t at, png_chunk *c);
/* Whether its body, and its right checksum, are there. */
int png_chunk_whole(const uint8_t *data, size_t size, const png_chunk *c);
bool png_chunk_body_whole(const uint8_t *data, size_t size, const png_chunk *c);
/* Takes in what a chunk says, and refuses what Pillow refuses in it. */
int png_chunk_take(png_state *p, const png_chunk *c);

/* The value of a tEXt, zTXt or iTXt chunk, if c is one with that key: malloc'd, *size bytes; NULL if not, or broken. */
uint8_t *png_chunk_text(const png_chunk *c, const char *key, size_t *size);
/* The same in two steps, with reasons: whether c is a text chunk of that key, and its value, at most a megabyte. */
bool png_chunk_has_key(const png_chunk *c, const char *key);
int  png_chunk_value(const png_chunk *c, uint8_t **value, size_t *size);

#endif
