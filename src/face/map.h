/* SPDX-License-Identifier: Apache-2.0
 *
 * The control map: a face's outline, eyes, brows, lips and pupils in the original's colours, equal to its bytes. */
#ifndef FACE_MAP_H
#define FACE_MAP_H

#include "face/face.h"
#include "image/image.h"

/* A face's size in pixels of a width x height picture: the shorter side of its points' bounds, points outside included. */
double face_size(const face *f, int width, int height);

/* Draws the faces over the canvas, black for a map or the photo for an overlay, which may have any size. Faces smaller
 * than min_face pixels of the picture they were found in are left out (0: none is). Returns how many were drawn. */
int face_map_draw(const faces *all, double min_face, image *canvas);
/* Whether a picture is a map as face_map_draw makes it: black, but for some pixels of just its colours. (JPEG has others.) */
bool face_map_is(const image *img);

#endif
