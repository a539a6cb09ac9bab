/* SPDX-License-Identifier: Apache-2.0
 *
 * Text on a picture, in a small proportional font of our own (image/label_glyphs.c): ASCII, Latin-1, dashes, quotation marks.
 * Text is UTF-8 from anywhere: whatever the font lacks, control characters, marks of direction and single bytes that are no
 * UTF-8 are each shown as a box, so that no text can move, hide or reorder another. Drawing is cut to the canvas. */
#ifndef IMAGE_LABEL_H
#define IMAGE_LABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/draw.h"
#include "image/image.h"

enum {
    LABEL_ACCENTS = 3, LABEL_CAPITALS = 9, LABEL_BELOW = 3,                 /* rows at scale 1, from the top */
    LABEL_LINE = LABEL_ACCENTS + LABEL_CAPITALS + LABEL_BELOW + 1,          /* from one line's top to the next's */
};

typedef struct { image_colour colour; int scale; bool bold; } label_style;  /* scale 0 is 1, every dot a square of so many pixels */

/* The width that text takes, in pixels; past a million it is not counted on. */
int label_width(const label_style *style, const char *text, size_t size);
/* How many bytes of text, whole characters, fit into a width. */
size_t label_fit(const label_style *style, const char *text, size_t size, int width);
/* Draws one line; x, y are its upper left corner (accents included). Returns the x where it ended. */
int label_draw(image *canvas, int x, int y, const label_style *style, const char *text, size_t size);

typedef struct { size_t from, size; bool cut; } label_line;   /* cut: "..." follows, since the text goes on */

/* Breaks text into at most `most` lines of a width, at spaces, or anywhere in a word that is wider than a line. Time does not
 * depend on what lies behind the last line. Returns how many there are: 0 for blank text, and where not even one
 * character fits. */
int label_wrap(const label_style *style, const char *text, size_t size, int width, label_line *lines, int most);
enum { LABEL_MOST_LINES = 16 };
/* The same, drawn (at most LABEL_MOST_LINES). */
int label_paragraph(image *canvas, int x, int y, int width, int most, const label_style *style, const char *text, size_t size);

/* How many characters text has; each byte that is no UTF-8 counts as one. */
size_t label_count(const char *text, size_t size);

#endif
