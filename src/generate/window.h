/* SPDX-License-Identifier: Apache-2.0
 *
 * Which part of a photo a picture of another aspect shows. Stretched to the picture a face would be another's, so the largest part of the
 * picture's aspect is taken from the photo's middle and moved as little as keeps the faces in it; where these are wider than that, it
 * reaches beyond the photo, which costs nothing: only landmarks are drawn there. */
#ifndef GENERATE_WINDOW_H
#define GENERATE_WINDOW_H

#include "face/face.h"
#include "generate/size.h"

typedef struct { double x, y, width, height; } photo_window;   /* in the photo's pixels */

/* Of the aspect of `size`; f: the faces that are to be in it. */
photo_window window_choose(const faces *f, picture_size size);
/* The faces as if the photo were that part of it. */
void         window_apply(photo_window w, faces *f);

#endif
