/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of sharded weights from hostile bytes: no file it names is outside of its folder. */
#include <stdlib.h>
#include <string.h>

#include "weights/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weights_index x;
    if (weights_index_read("fuzz", data, size, &x) < 0) return 0;
    for (size_t i = 0; i < x.tensors; i++)
        if (x.tensor[i].file >= x.files || !x.tensor[i].name) abort();
    for (size_t i = 0; i < x.files; i++)
        if (strchr(x.file[i], '/') || strchr(x.file[i], '\\') || x.file[i][0] == '.' || !x.file[i][0]) abort();
    weights_index_free(&x);
    return 0;
}
