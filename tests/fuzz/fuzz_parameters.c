/* SPDX-License-Identifier: Apache-2.0
 *
 * The "parameters" text of a picture, of hostile bytes: what is taken makes sense, and once written it is read back and written the same. */
#include <stdlib.h>
#include <string.h>

#include "generate/parameters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    picture_record a, b;
    if (parameters_read((const char *)data, size, &a) < 0) return 0;
    if (settings_check(&a.how) < 0) abort();
    if (strncmp(a.how.prompt, "Negative prompt:", 16) != 0) {   /* such a prompt would be taken for what it says */
        text first = { 0 }, second = { 0 };
        parameters_write(&a, &first);
        if (first.failed || parameters_read(first.data, first.size, &b) < 0) abort();
        parameters_write(&b, &second);
        if (second.failed || first.size != second.size || memcmp(first.data, second.data, first.size)) abort();
        text_free(&first);
        text_free(&second);
        mien_picture_settings_free(&b.how);
    }
    mien_picture_settings_free(&a.how);
    return 0;
}
