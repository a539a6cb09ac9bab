/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/halves.h"

#include <string.h>

void halves_split(const float *x, uint16_t *weight, uint16_t *low, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], sizeof u);
        weight[i] = halves_weight(u);
        low[i] = halves_low(u);
    }
}

void halves_join(float *x, const uint16_t *weight, const uint16_t *low, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t u = halves_bits(weight[i], low[i]);
        memcpy(&x[i], &u, sizeof u);
    }
}
