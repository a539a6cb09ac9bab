/* SPDX-License-Identifier: Apache-2.0 */
#include "train/sample_sheet.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "data/preview_paint.h"
#include "image/png_text.h"

enum { MARGIN = 12, HEAD = 44, SIDE = 256, PAD = 8, BETWEEN = 4, TEXT_LINES = 2, TEXT = TEXT_LINES * LABEL_LINE + 4 };
enum { MOST_COLUMNS = 6, MOST = 600 };
enum { TILE_WIDTH = SIDE + 2 * PAD, TILE_HEIGHT = 2 * SIDE + BETWEEN + 2 * PAD };   /* TEXT more where there are captions */

/* Fits into a box, its aspect kept. Smaller ones are enlarged by a whole factor, so that their pixels are seen as they are. */
static int fit(const image *in, image *out) {
    int most = in->width > in->height ? in->width : in->height, factor = SIDE / most;
    if (factor > 0) return image_resize_nearest(in, in->width * factor, in->height * factor, out);
    int w = (int)((int64_t)in->width * SIDE / most), h = (int)((int64_t)in->height * SIDE / most);
    return image_resize(in, w > 0 ? w : 1, h > 0 ? h : 1, RESIZE_BICUBIC, CPU_BEST, out);
}

static int show(image *sheet, int x, int y, const image *picture, const char *missing) {
    image fitting;
    if (!picture) {
        area box = { x, y, SIDE, SIDE };
        paint_fill(sheet, box, paint_empty);
        paint_line_middle(sheet, x + SIDE / 2, y + SIDE / 2 - LABEL_LINE / 2, &paint_warning, missing);
        return 0;
    }
    int rc = fit(picture, &fitting);
    if (rc < 0) return rc;
    paint_copy(sheet, x + (SIDE - fitting.width) / 2, y + (SIDE - fitting.height) / 2, &fitting);
    image_free(&fitting);
    return 0;
}

static int show_sample(image *sheet, int x, int y, int height, const sheet_sample *s) {
    area tile = { x, y, TILE_WIDTH, height };
    paint_fill(sheet, tile, paint_card);
    paint_frame(sheet, tile, paint_edge);
    int rc = show(sheet, x + PAD, y + PAD, s->map, "no map");
    if (rc == 0) rc = show(sheet, x + PAD, y + PAD + SIDE + BETWEEN, s->picture, "no picture");
    if (rc == 0 && s->photo) rc = show(sheet, x + PAD, y + PAD + 2 * (SIDE + BETWEEN), s->photo, "");
    if (s->caption)
        label_paragraph(sheet, x + PAD, y + height - PAD - TEXT + 4, SIDE, TEXT_LINES, &paint_text, s->caption, strlen(s->caption));
    return rc;
}

int sample_sheet(const sheet_sample *s, size_t n, const char *title, const char *about, image *out) {
    if (n < 1 || n > MOST) return error_set(ERR_LIMIT, "a sheet has 1 to %d samples", MOST);
    int columns = n < MOST_COLUMNS ? (int)n : MOST_COLUMNS, rows = ((int)n + columns - 1) / columns, height = TILE_HEIGHT;
    bool captions = false, photos = false;
    for (size_t i = 0; i < n; i++) captions |= s[i].caption != NULL, photos |= s[i].photo != NULL;
    if (captions) height += TEXT;
    if (photos) height += SIDE + BETWEEN;
    int rc = image_new(columns * (TILE_WIDTH + MARGIN) + MARGIN, HEAD + rows * (height + MARGIN), out);
    if (rc < 0) return rc;
    paint_fill(out, (area){ 0, 0, out->width, out->height }, paint_page);
    int used = paint_line(out, MARGIN, 6, out->width - 2 * MARGIN, &paint_title, title);
    paint_line(out, MARGIN + used + 16, 14, out->width - used - 2 * MARGIN - 16, &paint_grey, about);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        int column = (int)i % columns, row = (int)i / columns;
        rc = show_sample(out, MARGIN + column * (TILE_WIDTH + MARGIN), HEAD + row * (height + MARGIN), height, &s[i]);
    }
    if (rc < 0) image_free(out);
    return rc;
}

int sample_sheet_save(const char *path, const image *sheet, const char *title, uint8_t **png, size_t *size) {
    uint8_t *data;
    size_t bytes;
    int rc = image_encode_generated(sheet, title, true, &data, &bytes);
    if (rc < 0) return rc;
    rc = file_save(path, data, bytes);
    if (rc < 0 || !png) free(data);
    else *png = data, *size = bytes;
    return rc;
}
