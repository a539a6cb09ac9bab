/* SPDX-License-Identifier: Apache-2.0
 *
 * A PyTorch checkpoint from hostile bytes, zip or legacy: all bytes of all tensors can be read. */
#include <stdlib.h>

#include "weights/weights_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weights *w = weights_new("fuzz", WEIGHTS_PICKLE);
    if (!w) abort();
    if (torch_file_read(w, "fuzz", "", data, size) == 0 && weights_finish(w, "fuzz") == 0) {
        size_t sum = 0, most = 1 << 16;   /* of each tensor: shared storages may be told of again and again */
        for (size_t i = 0; i < weights_count(w); i++) {
            const stored_tensor *t = weights_tensor(w, i);
            const uint8_t *bytes = t->data;
            if (weights_find(w, t->name) != t) abort();
            for (size_t k = 0; k < t->bytes && k < most; k++) sum += bytes[k];
            if (t->bytes) sum += bytes[t->bytes - 1];
        }
        if (sum == SIZE_MAX) abort();
    }
    weights_close(w);
    return 0;
}
