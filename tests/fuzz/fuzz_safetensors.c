/* SPDX-License-Identifier: Apache-2.0
 *
 * A safetensors file from hostile bytes: all bytes of all tensors can be read, and each belongs to one of them. */
#include <stdlib.h>

#include "weights/weights_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weights *w = weights_new("fuzz", WEIGHTS_SAFETENSORS);
    if (!w) abort();
    if (safetensors_read(w, "fuzz", "unet/", data, size) == 0 && weights_finish(w, "fuzz") == 0) {
        size_t all = 0;
        unsigned sum = 0;
        for (size_t i = 0; i < weights_count(w); i++) {
            const stored_tensor *t = weights_tensor(w, i);
            if (weights_find(w, t->name) != t) abort();
            for (size_t k = 0; k < t->bytes; k++) sum += ((const uint8_t *)t->data)[k];
            all += t->bytes;
        }
        if (all > size || sum > 255 * size) abort();
    }
    weights_close(w);
    return 0;
}
