/* SPDX-License-Identifier: Apache-2.0
 *
 * The two kinds of page. On a contact sheet an item has a tile: photo, map, overlay, and below them what it is called and what its
 * prompt says. What of it is missing or broken is a marked box with the reason. */
#ifndef DATA_PREVIEW_PAGE_H
#define DATA_PREVIEW_PAGE_H

#include "data/choice.h"
#include "data/dataset.h"
#include "data/preview_paint.h"
#include "mien.h"

enum { PAGE_COLUMNS = 3, PAGE_ROWS = 8, PAGE_ITEMS = PAGE_COLUMNS * PAGE_ROWS };
_Static_assert((int)PAGE_ITEMS == (int)MIEN_PREVIEW_ITEMS, "as mien.h says");

/* An empty sheet for `tiles` of them, with its headline: what it is of on the left, and on the right which page. */
int  sheet_new(int tiles, const char *headline, const char *about, const char *number, image *out);

enum { TILE_REASON = 512 };
/* removed: its photo's hash stands in removed.jsonl, so nothing of it is shown. reason: "photo: ...", of the first thing that can't be shown. counted: counting all items finds the same. */
typedef struct { bool marked, counted, removed; char id[NAME_MAX + 1], reason[TILE_REASON]; } tile_result;   /* id: "" where the line is broken */

/* Draws item `index` (from 0) of a data set in its tile. Any number of threads, each another tile. Whatever is wrong with the
 * item is on the tile and in *result; ERR_MEMORY alone ends it. */
int  sheet_tile(image *sheet, int tile, const dataset *d, choice *c, uint64_t index, size_t max_pixels, tile_result *result);

/* The page of statistics. */
int  chart_new(const mien_statistics *s, const char *headline, image *out);

#endif
