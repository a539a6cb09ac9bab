/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile text on a picture: the first bytes say where and how. Lines keep to their width and follow one another. */
#include <stdlib.h>

#include "image/label.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4) return 0;
    const char *s = (const char *)data + 4;
    label_style style = { { 255, 255, 255 }, data[0] & 3, data[0] & 4 };
    label_line lines[4];
    size_t end = 0;
    int width = data[1];
    size -= 4;
    int n = label_wrap(&style, s, size, width, lines, 4);
    for (int i = 0; i < n; i++) {
        if (lines[i].from < end || lines[i].from + lines[i].size > size || label_width(&style, s + lines[i].from, lines[i].size) > width) abort();
        end = lines[i].from + lines[i].size;
    }
    if (label_count(s, size) > size) abort();
    image canvas;
    if (image_new(64, 48, &canvas) < 0) return 0;
    label_paragraph(&canvas, data[2] - 128, data[3] - 128, width, 4, &style, s, size);
    image_free(&canvas);
    return 0;
}
