/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/linear_upsampled.h"

#include "nn/cpu/vector.h"

/* out[0] = a[3] - a[1], out[1] = a[1] + a[2], out[2] = a[0] - a[2]: what meets the first tap, the sum of all, and the last. */
static inline void differ(const vec a[4], vec out[3]) {
    out[0] = v_sub(a[3], a[1]);
    out[1] = v_add(a[1], a[2]);
    out[2] = v_sub(a[0], a[2]);
}

static inline void differ_at(const uint16_t *const around[UPSAMPLED_AROUND], uint16_t *const to[UPSAMPLED_PRODUCTS], size_t i, size_t left) {
    vec a[4][4], columns[4][3];   /* [column][row]; [column][direction] */
    for (size_t c = 0; c < 4; c++) {
        for (size_t r = 0; r < 4; r++) a[c][r] = left >= LANES ? load_bf16(around[4 * r + c] + i) : load_part_bf16(around[4 * r + c] + i, left);
        differ(a[c], columns[c]);
    }
    for (size_t v = 0; v < 3; v++) {
        vec row[4] = { columns[0][v], columns[1][v], columns[2][v], columns[3][v] }, out[3];
        differ(row, out);
        for (size_t h = 0; h < 3; h++)
            if (left >= LANES) store_bf16(to[3 * v + h] + i, out[h]);
            else store_part_bf16(to[3 * v + h] + i, out[h], (left + 1) / 2 * 2);   /* lanes beyond are zero */
    }
}

void upsampled_differ(const uint16_t *const around[UPSAMPLED_AROUND], uint16_t *const to[UPSAMPLED_PRODUCTS], size_t n) {
    for (size_t i = 0; i < n; i += LANES) differ_at(around, to, i, n - i);
}

void upsampled_round(const float *sums, uint16_t *to, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store_bf16(to + i, load_f32(sums + i));
    if (i < n) store_part_bf16(to + i, load_part_f32(sums + i, n - i), n - i);
}
