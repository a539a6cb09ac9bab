/* SPDX-License-Identifier: Apache-2.0
 *
 * A BMP from anywhere: decoded, or refused with a reason. */
#include <assert.h>

#include "base/error.h"
#include "image/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    image img = { 0 };
    error_set(0, "%s", "");
    int rc = bmp_decode(data, size, 1 << 18, &img);
    assert(rc == 0 ? img.rgb != NULL : rc < 0 && !img.rgb && error_message()[0]);
    image_free(&img);
    return 0;
}
