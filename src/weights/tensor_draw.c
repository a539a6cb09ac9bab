/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/tensor_draw.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define GOLDEN 0x9e3779b97f4a7c15ULL

/* splitmix64's finaliser: a good hash of a counter. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

uint64_t draw_begin(uint64_t seed, const char *name) {
    uint64_t start = 0xcbf29ce484222325ULL;
    bool prefixed = strncmp(name, "control_model.", 14) == 0;   /* the same numbers, wherever the ControlNet stands */
    for (const char *s = name + (prefixed ? 14 : 0); *s; s++) start = (start ^ (uint8_t)*s) * 0x100000001b3ULL;
    return mix(start ^ mix(seed + GOLDEN));
}

/* -1 <= u < 1 */
static double unit(uint64_t bits) { return 2 * ((double)(bits >> 11) * 0x1p-53) - 1; }

void draw_uniform(uint64_t start, size_t at, double bound, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (float)(unit(mix(start + (at + i + 1) * GOLDEN)) * bound);
}

/* The natural logarithm of x > 0: of m in 0.7..1.41 by 2 artanh((m - 1) / (m + 1)), whose series ends below a double's last place. */
static double logarithm(double x) {
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) m *= 2, e--;
    double t = (m - 1) / (m + 1), square = t * t, sum = 0;
    for (int k = 25; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
    return 2 * t * sum + e * 0.69314718055994531;
}

/* Marsaglia's polar method: a point in the unit circle, of which one coordinate is taken. Tries have hashes of their own. */
static double normal(uint64_t place) {
    for (uint64_t try = 1;; try++) {
        double u = unit(mix(place + 2 * try * GOLDEN)), v = unit(mix(place + (2 * try + 1) * GOLDEN)), s = u * u + v * v;
        if (s > 0 && s < 1) return u * sqrt(-2 * logarithm(s) / s);
    }
}

void draw_normal(uint64_t start, size_t at, double deviation, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (float)(normal(mix(start + (at + i + 1) * GOLDEN)) * deviation);
}
