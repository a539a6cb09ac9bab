/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "nn/tensor.h"
#include "weights/tensor_list.h"

bool stored_is_float(stored_type type) { return type == STORED_F32 || type == STORED_F16 || type == STORED_BF16 || type == STORED_F64; }

/* To nearest, ties to even; what is too large becomes infinite, as IEEE 754 has it. */
static uint16_t f32_to_f16(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    u &= 0x7fffffff;
    if (u > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (u >> 13 & 0x1ff));            /* NaN, quiet */
    if (u >= 0x477ff000) return (uint16_t)(sign | 0x7c00);                              /* 65520 and more */
    if (u < 0x38800000) {                                                               /* subnormal: as an integer of units 2^-24 */
        float magic = 0.5f, y;
        memcpy(&y, &u, 4);
        y += magic;                                                                     /* the unit of 0.5 is 2^-24: the addition rounds */
        memcpy(&u, &y, 4);
        return (uint16_t)(sign | (u - 0x3f000000));
    }
    return (uint16_t)(sign | ((u - 0x38000000 + 0xfff + (u >> 13 & 1)) >> 13));
}

enum { STEP = 1024 };

/* Rounding twice is not rounding once: F64 goes by way of f32 that keeps, in its last bit, whether anything was lost. */
static float to_odd(double x) {
    float y = (float)x;
    if ((double)y == x || !isfinite(y)) return y;
    uint32_t u;
    memcpy(&u, &y, 4);
    if (u & 1) return y;
    u += fabs((double)y) < fabs(x) ? 1u : -1u;   /* toward x, which lies between: the odd neighbour */
    memcpy(&y, &u, 4);
    return y;
}

static void widen(float *out, const void *in, stored_type from, stored_type to, size_t n) {
    if (from != STORED_F64) {
        nn_widen(out, in, from == STORED_F32 ? NN_F32 : from == STORED_F16 ? NN_F16 : NN_BF16, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (const char *)in + 8 * i, 8);
        out[i] = to == STORED_F32 ? (float)x : to_odd(x);
    }
}

void stored_convert(void *out, stored_type to, const void *in, stored_type from, size_t n, size_t *beyond) {
    float x[STEP];
    char *o = out;
    const char *p = in;
    for (size_t at = 0, k; at < n; at += k) {
        k = n - at < STEP ? n - at : STEP;
        widen(x, p + at * stored_type_bytes(from), from, to, k);
        if (to == STORED_F32) memcpy(o + 4 * at, x, 4 * k);
        for (size_t i = 0; to != STORED_F32 && i < k; i++) {
            uint16_t h = to == STORED_F16 ? f32_to_f16(x[i]) : nn_f32_to_bf16(x[i]);
            if ((h & 0x7fff) == (to == STORED_F16 ? 0x7c00 : 0x7f80) && isfinite(x[i])) ++*beyond;
            memcpy(o + 2 * (at + i), &h, 2);
        }
    }
}
