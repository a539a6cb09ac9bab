/* SPDX-License-Identifier: Apache-2.0
 *
 * A WebP from anywhere: decoded and turned upright, or refused with a reason. */
#include <assert.h>

#include "base/error.h"
#include "image/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    image img = { 0 };
    error_set(0, "%s", "");
    int rc = webp_decode(data, size, 1 << 18, &img);
    assert(rc == 0 ? img.rgb != NULL : rc < 0 && !img.rgb && error_message()[0]);
    if (rc == 0) image_orient(&img, webp_orientation(data, size));
    image_free(&img);
    return 0;
}
