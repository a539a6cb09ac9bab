/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t nn_type_bytes(nn_type type) {
    static const size_t bytes[NN_TYPES] = { 4, 2, 2, 4, 1, 2 };
    return bytes[type];
}

const char *nn_type_name(nn_type type) {
    static const char *const names[NN_TYPES] = { "f32", "bf16", "f16", "i32", "u8", "u16" };
    return names[type];
}

bool shape_equal(nn_shape a, nn_shape b) {
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i]) return false;
    return true;
}

bool shape_count(nn_shape s, size_t *count) {
    size_t n = 1;
    if (s.rank < 1 || s.rank > NN_MAX_RANK) return false;
    for (int i = 0; i < s.rank; i++)
        if (s.dim[i] == 0 || __builtin_mul_overflow(n, s.dim[i], &n)) return false;
    *count = n;
    return n < (size_t)1 << 48;   /* so that a byte count never overflows either */
}

size_t shape_elements(nn_shape s) {
    size_t n = 1;
    for (int i = 0; i < s.rank; i++) n *= s.dim[i];
    return n;
}

const char *shape_text(nn_shape s, char *out, size_t size) {
    size_t at = 0;
    if (size) out[0] = 0;
    for (int i = 0; i < s.rank && at < size; i++) at += (size_t)snprintf(out + at, size - at, i ? "x%zu" : "%zu", s.dim[i]);
    return out;
}

static float from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

float nn_bf16_to_f32(uint16_t h) { return from_bits((uint32_t)h << 16); }

/* Without a branch, so that compilers vectorise it: the bits moved into f32's places are the number times 2^-112, exactly
 * (subnormals too), and infinities and NaNs get the exponent that the product would miss. */
float nn_f16_to_f32(uint16_t h) {
    uint32_t moved = (uint32_t)(h & 0x7fff) << 13, u;
    float x = from_bits(moved) * 0x1p112f;
    memcpy(&u, &x, 4);
    u |= moved >= 0x0f800000 ? 0x7f800000 : 0;
    return from_bits(u | (uint32_t)(h & 0x8000) << 16);
}

uint16_t nn_f32_to_bf16(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);   /* NaN stays NaN */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

void nn_widen(float *out, const void *in, nn_type type, size_t n) {
    if (type == NN_F32) {
        memcpy(out, in, n * 4);
        return;
    }
    const char *from = in;
    uint16_t h;
    for (size_t i = 0; type == NN_F16 && i < n; i++) memcpy(&h, from + 2 * i, 2), out[i] = nn_f16_to_f32(h);   /* may be unaligned */
    for (size_t i = 0; type == NN_BF16 && i < n; i++) memcpy(&h, from + 2 * i, 2), out[i] = nn_bf16_to_f32(h);
}

void nn_narrow(void *out, nn_type type, const float *in, size_t n) {
    if (type == NN_F32) {
        memcpy(out, in, n * 4);
        return;
    }
    for (size_t i = 0; i < n; i++) ((uint16_t *)out)[i] = nn_f32_to_bf16(in[i]);
}

bool nn_finite(const void *x, nn_type type, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float one;
        nn_widen(&one, (const char *)x + i * nn_type_bytes(type), type, 1);
        if (!isfinite(one)) return false;
    }
    return true;
}
