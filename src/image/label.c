/* SPDX-License-Identifier: Apache-2.0 */
#include "image/label.h"

#include <string.h>

#include "image/label_glyphs.h"

enum { SPACE = 3, BOX = 5, GAP = 1, MOST_WIDTH = 1000 * 1000, ACCENT_ON_SMALL = -1, ACCENT_ON_CAPITAL = -3, CEDILLA = 0xb8 };

static const uint32_t no_character = 0xfffd;   /* shown as a box, as whatever the font lacks */
static const char ellipsis[] = "\xe2\x80\xa6";

/* ---- characters ---------------------------------------------------------------------------------------------------- */

/* The next character and how many bytes it takes; size is at least 1. */
static size_t decode(const char *text, size_t size, uint32_t *code) {
    const uint8_t *s = (const uint8_t *)text;
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    *code = no_character;
    if (n == 0 || n > size) return 1;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 1;
        c = c << 6 | (s[i] & 0x3f);
    }
    bool wrong = (n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (n == 4 && (c < 0x10000 || c > 0x10ffff));
    if (!wrong) *code = c;
    return wrong ? 1 : n;
}

size_t label_count(const char *text, size_t size) {
    size_t count = 0;
    uint32_t code;
    for (size_t i = 0; i < size; count++) i += decode(text + i, size - i, &code);
    return count;
}

/* ---- glyphs -------------------------------------------------------------------------------------------------------- */

typedef struct { const label_block *block; int column, width; } glyph;

static bool dot(const glyph *g, int row, int column) {
    const char *s = g->block->rows[row];
    size_t at = (size_t)(g->column + column);
    return s && strnlen(s, at + 1) > at && s[at] == '#';
}

static bool drawn(uint32_t code, glyph *out) {
    for (const label_block *b = label_blocks; b->codes; b++)
        for (int k = 0; b->codes[k]; k++) {
            if (b->codes[k] != code) continue;
            *out = (glyph){ b, k * LABEL_CELL, 0 };
            for (int row = 0; row < LABEL_ROWS; row++)
                for (int x = out->width; x < LABEL_CELL; x++)
                    if (dot(out, row, x)) out->width = x + 1;
            return true;
        }
    return false;
}

/* What a character is made of. */
typedef struct { int width; bool blank, box; glyph base, accent; } shape;

static shape shape_of(uint32_t code) {
    shape s = { 0 };
    if (code == ' ' || code == 0xa0) return s.blank = true, s.width = SPACE, s;
    if (!drawn(code, &s.base)) {
        const uint16_t *a = label_accented;
        while (*a && *a != code) a += 3;
        s.box = !*a || !drawn(a[1], &s.base) || !drawn(a[2], &s.accent);
    }
    s.width = s.box ? BOX : s.accent.width > s.base.width ? s.accent.width : s.base.width;
    return s;
}

static int scale_of(const label_style *s) { return s->scale > 0 ? s->scale : 1; }
static int advance(const label_style *style, const shape *s) { return (s->width + GAP + style->bold) * scale_of(style); }

static void draw_dot(image *canvas, int x, int y, int row, int column, const label_style *style) {
    int scale = scale_of(style), left = x + column * scale, top = y + (LABEL_ACCENTS + row) * scale;
    draw_rectangle(canvas, left, top, left + scale * (1 + style->bold), top + scale, style->colour);
}

static void draw_glyph(image *canvas, int x, int y, const glyph *g, int shift, const label_style *style) {
    for (int row = 0; row < LABEL_ROWS; row++)
        for (int column = 0; column < g->width; column++)
            if (dot(g, row, column)) draw_dot(canvas, x, y, row + shift, column, style);
}

static void draw_box(image *canvas, int x, int y, const label_style *style) {
    for (int row = 0; row < LABEL_CAPITALS; row++)
        for (int column = 0; column < BOX; column++)
            if (row == 0 || row == LABEL_CAPITALS - 1 || column == 0 || column == BOX - 1) draw_dot(canvas, x, y, row, column, style);
}

/* Whether a glyph reaches into the capitals' upper two rows, so that its accent must stand higher. */
static bool tall(const glyph *g) {
    for (int column = 0; column < g->width; column++)
        if (dot(g, 0, column)) return true;
    return false;
}

static void draw_shape(image *canvas, int x, int y, const shape *s, const label_style *style) {
    int scale = scale_of(style);
    if (s->blank) return;
    if (s->box) {
        draw_box(canvas, x, y, style);
        return;
    }
    draw_glyph(canvas, x + (s->width - s->base.width) / 2 * scale, y, &s->base, 0, style);
    if (!s->accent.width) return;
    bool below = s->accent.block->codes[s->accent.column / LABEL_CELL] == CEDILLA;
    int shift = below ? 0 : tall(&s->base) ? ACCENT_ON_CAPITAL : ACCENT_ON_SMALL;
    draw_glyph(canvas, x + (s->width - s->accent.width) / 2 * scale, y, &s->accent, shift, style);
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

int label_width(const label_style *style, const char *text, size_t size) {
    int width = 0;
    uint32_t code;
    for (size_t i = 0; i < size && width < MOST_WIDTH;) {
        i += decode(text + i, size - i, &code);
        shape s = shape_of(code);
        width += advance(style, &s);
    }
    return width;
}

size_t label_fit(const label_style *style, const char *text, size_t size, int width) {
    size_t i = 0;
    int used = 0;
    uint32_t code;
    while (i < size) {
        size_t n = decode(text + i, size - i, &code);
        shape s = shape_of(code);
        used += advance(style, &s);
        if (used > width || used > MOST_WIDTH) break;
        i += n;
    }
    return i;
}

int label_draw(image *canvas, int x, int y, const label_style *style, const char *text, size_t size) {
    uint32_t code;
    for (size_t i = 0; i < size && x < canvas->width;) {
        i += decode(text + i, size - i, &code);
        shape s = shape_of(code);
        draw_shape(canvas, x, y, &s, style);
        x += advance(style, &s);
    }
    return x;
}

/* ---- paragraphs ---------------------------------------------------------------------------------------------------- */

/* A line from `from` on: the bytes that are shown, without spaces at its end. *next is where the next one begins. */
static size_t break_line(const label_style *style, const char *text, size_t size, size_t from, int width, size_t *next) {
    size_t end = from + label_fit(style, text + from, size - from, width), brk = end;
    if (end < size && text[end] != ' ') {
        while (brk > from && text[brk - 1] != ' ') brk--;
        if (brk == from) brk = end;   /* one word that is wider than the line */
    }
    *next = brk;
    while (brk > from && text[brk - 1] == ' ') brk--;
    return brk - from;
}

static size_t skip_spaces(const char *text, size_t size, size_t at) {
    while (at < size && text[at] == ' ') at++;
    return at;
}

/* The last line gives way for the ellipsis. */
static void cut_line(const label_style *style, const char *text, size_t size, int width, label_line *line) {
    int dots = label_width(style, ellipsis, sizeof ellipsis - 1);
    line->size = label_fit(style, text + line->from, size - line->from, width - dots);
    line->cut = true;
    while (line->size && text[line->from + line->size - 1] == ' ') line->size--;
}

int label_wrap(const label_style *style, const char *text, size_t size, int width, label_line *lines, int most) {
    int n = 0;
    size_t at = skip_spaces(text, size, 0);
    while (n < most && at < size) {
        size_t next, length = break_line(style, text, size, at, width, &next);
        if (length == 0) break;
        lines[n++] = (label_line){ at, length, false };
        at = skip_spaces(text, size, next);
    }
    if (n && at < size) cut_line(style, text, size, width, &lines[n - 1]);
    return n;
}

int label_paragraph(image *canvas, int x, int y, int width, int most, const label_style *style, const char *text, size_t size) {
    label_line lines[LABEL_MOST_LINES];
    int n = label_wrap(style, text, size, width, lines, most < LABEL_MOST_LINES ? most : LABEL_MOST_LINES);
    for (int i = 0; i < n; i++) {
        int top = y + i * LABEL_LINE * scale_of(style);
        int end = label_draw(canvas, x, top, style, text + lines[i].from, lines[i].size);
        if (lines[i].cut) label_draw(canvas, end, top, style, ellipsis, sizeof ellipsis - 1);
    }
    return n;
}
