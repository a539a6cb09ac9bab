/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory: what a job needs, and how guidance's halves are run. */
#include "generate/engine_inside.h"

int engine_fit(engine *e, const engine_shape *shape, size_t *bytes) {
    (void)shape;
    e->halves = false;
    if (bytes) *bytes = 0;
    return 0;
}
