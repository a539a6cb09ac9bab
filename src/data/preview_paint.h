/* SPDX-License-Identifier: Apache-2.0
 *
 * What the pages of a preview are painted with: one set of colours, text set left, right or in the middle, numbers for people. */
#ifndef DATA_PREVIEW_PAINT_H
#define DATA_PREVIEW_PAINT_H

#include <stddef.h>
#include <stdint.h>

#include "image/label.h"

typedef struct { int x, y, width, height; } area;

extern const image_colour paint_page, paint_card, paint_edge, paint_empty, paint_ink, paint_faint, paint_bar, paint_end, paint_alarm, paint_alarm_back;
extern const label_style paint_text, paint_bold, paint_grey, paint_title, paint_warning;

void paint_fill(image *canvas, area a, image_colour colour);
void paint_frame(image *canvas, area a, image_colour colour);          /* one pixel wide, inside */
void paint_copy(image *canvas, int x, int y, const image *picture);    /* cut to the canvas */
/* One line; "..." where it would be wider than `width`. Returns the width it took. */
int  paint_line(image *canvas, int x, int y, int width, const label_style *style, const char *s);
int  paint_line_right(image *canvas, int right, int y, const label_style *style, const char *s);   /* ends at `right` */
void paint_line_middle(image *canvas, int middle, int y, const label_style *style, const char *s);

enum { PAINT_NUMBER = 40 };
char *paint_count(char out[PAINT_NUMBER], uint64_t n);                 /* "1,234,567" */
char *paint_short_count(char out[PAINT_NUMBER], double n);             /* "900", "1.5k", "20M" */
char *paint_value(char out[PAINT_NUMBER], double x);                   /* "1234", "48.3", "-0.025": about three digits */
double paint_step(double range, int most);                             /* 1, 2 or 5 by a power of ten: at most so many steps */

#endif
