/* SPDX-License-Identifier: Apache-2.0
 *
 * Landmarks JSON from hostile bytes; what is read is written and read again: the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "face/faces_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    faces f, g;
    faces_origin from, again;
    if (faces_json_read("fuzz", data, size, &f, &from) < 0) return 0;
    text a = { 0 }, b = { 0 };
    if (faces_json_write(&f, &from, &a) < 0 || faces_json_read("again", (const uint8_t *)a.data, a.size, &g, &again) < 0 ||
        faces_json_write(&g, &again, &b) < 0 || a.size != b.size || memcmp(a.data, b.data, a.size))
        abort();
    text_free(&a);
    text_free(&b);
    free(f.face);
    free(g.face);
    return 0;
}
