/* SPDX-License-Identifier: Apache-2.0
 *
 * A picture turned and mirrored in steps of 90 degrees. */
#include <string.h>

#include "image/formats.h"

/* Output pixel (x,y) is the input's at `from` + x*dx + y*dy, in bytes. By tiles: a turn by 90 degrees walks down the
 * columns of the input. */
static void gather(const uint8_t *from, ptrdiff_t dx, ptrdiff_t dy, image *out) {
    enum { TILE = 32 };
    for (int y0 = 0; y0 < out->height; y0 += TILE) {
        for (int x0 = 0; x0 < out->width; x0 += TILE) {
            int x1 = out->width - x0 < TILE ? out->width : x0 + TILE, y1 = out->height - y0 < TILE ? out->height : y0 + TILE;
            for (int y = y0; y < y1; y++) {
                const uint8_t *in = from + x0 * dx + y * dy;
                uint8_t *rgb = out->rgb + ((size_t)y * (size_t)out->width + (size_t)x0) * 3;
                for (int x = x0; x < x1; x++, in += dx, rgb += 3) memcpy(rgb, in, 3);
            }
        }
    }
}

int image_orient(image *img, int orientation) {
    if (orientation < 2 || orientation > 8) return 0;
    bool turned = orientation >= 5;                                                  /* rows become columns */
    bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;   /* from the right end */
    bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;   /* from the bottom */
    image out;
    int rc = turned ? image_new(img->height, img->width, &out) : image_new(img->width, img->height, &out);
    if (rc < 0) return rc;
    ptrdiff_t row = (ptrdiff_t)img->width * 3, dx = mirror_x ? -3 : 3, dy = mirror_y ? -row : row;
    const uint8_t *from = img->rgb + (mirror_x ? row - 3 : 0) + (mirror_y ? row * (img->height - 1) : 0);
    gather(from, turned ? dy : dx, turned ? dx : dy, &out);
    image_free(img);
    *img = out;
    return 0;
}
