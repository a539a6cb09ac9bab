/* SPDX-License-Identifier: Apache-2.0
 *
 * A landmarks JSON drawn again: at its own size and with its own settings the same file as annotate's map, byte for
 * byte (except in that map's own place, where it does not name the JSON: see is_annotates); at any other size, the same
 * faces. */
#ifndef FACE_REDRAW_H
#define FACE_REDRAW_H

#include "mien.h"

typedef mien_draw_options redraw_options;
typedef mien_draw_result redraw_result;

/* ERR_EXISTS, ERR_USAGE: refused before anything was done. */
int redraw(const redraw_options *options, redraw_result *result);

#endif
