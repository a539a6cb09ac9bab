/* SPDX-License-Identifier: Apache-2.0
 *
 * A PNG from anywhere: decoded and turned upright, or refused with a reason. */
#include <assert.h>

#include "base/error.h"
#include "image/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    image img = { 0 };
    char value[20];
    image_png_text(data, size, "mien", value, sizeof value);
    error_set(0, "%s", "");
    int rc = png_decode(data, size, 1 << 18, &img);
    assert(rc == 0 ? img.rgb != NULL : rc < 0 && !img.rgb && error_message()[0]);
    if (rc == 0) image_orient(&img, png_orientation(data, size));
    image_free(&img);
    return 0;
}
