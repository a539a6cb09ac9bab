/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of the landmark network's own operations (FlexBuffers) from hostile bytes: an operation is made, or refused
 * with a message. The seeds are those of the model file. */
#include <stdlib.h>

#include "base/error.h"
#include "face/ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int i = 0; i < FACE_CUSTOMS; i++) {
        graph *g = graph_new();
        tensor *in[] = { graph_input(g, "a", NN_F32, i == 1 ? shape4(1, 8, 8, 3) : shape3(1, 468, i == 0 ? 3 : 2)),
                         graph_input(g, "matrix", NN_F32, shape3(1, 4, 4)) };
        tensor *out = face_customs[i].build(g, in, i == 0 ? 1 : 2, data, size);
        if ((out != NULL) != (graph_check(g) == 0) || (!out && !error_message()[0])) abort();
        graph_free(g);
    }
    return 0;
}
