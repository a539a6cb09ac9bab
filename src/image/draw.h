/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines exactly as OpenCV 4's cv2.line(..., thickness=2, lineType=LINE_8) draws them; equal bytes. */
#ifndef IMAGE_DRAW_H
#define IMAGE_DRAW_H

#include "image/image.h"

typedef struct { uint8_t r, g, b; } image_colour;

/* Canvas sides and the ends' distance from 0, at most: 64-bit fixed point holds no more. */
#define DRAW_REACH (1 << 29)

/* Ends in pixels; what lies outside the canvas is cut. Time grows with the rows above the canvas too. */
void draw_line2(image *canvas, int x0, int y0, int x1, int y1, image_colour colour);
/* Fills the pixels [x0,x1) x [y0,y1), cut to the canvas. */
void draw_rectangle(image *canvas, int x0, int y0, int x1, int y1, image_colour colour);

#endif
