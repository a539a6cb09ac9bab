/* SPDX-License-Identifier: Apache-2.0
 *
 * The font's glyphs, drawn by hand for mien. A block has eight, each in a cell ten columns wide and twelve rows high: nine
 * of capitals and digits (small letters begin in the third), three below the line. Rows end where nothing follows. */
#ifndef IMAGE_LABEL_GLYPHS_H
#define IMAGE_LABEL_GLYPHS_H

#include <stdint.h>

enum { LABEL_BLOCK = 8, LABEL_CELL = 10, LABEL_ROWS = 12 };

typedef struct {
    const uint16_t *codes;                 /* their Unicode numbers, ends with 0 */
    const char *rows[LABEL_ROWS];          /* '#' is a dot; NULL: empty to the last */
} label_block;

extern const label_block label_blocks[];   /* ends with codes NULL */
/* Letters put together: what, of which letter, under (or over) which accent; ends with 0. */
extern const uint16_t label_accented[];

#endif
