/* SPDX-License-Identifier: Apache-2.0
 *
 * Pillow 13's Image.resize for 8-bit RGB (libImaging/Resample.c): two passes, with coefficients in fixed point and the
 * picture rounded to 8 bits between them, so their order shows. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/image.h"
#include "image/resize_rows.h"

static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static double sinc(double x) {
    if (x == 0) return 1;
    x *= M_PI;
    return sin(x) / x;
}

static double lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

static const struct { double (*weight)(double x), support; } kernels[] = {
    [RESIZE_BICUBIC] = { bicubic, 2 },
    [RESIZE_LANCZOS] = { lanczos, 3 },
};

static void coefficients_free(resize_coefficients *c) {
    free(c->first);
    free(c->count);
    free(c->weight);
    free(c->split);
}

/* The weights of one output position, as doubles in w. The casts truncate on purpose, as the reference's do. */
static void coefficients_one(resize_coefficients *c, int at, int in, double scale, resize_filter filter, double *w) {
    double stretch = scale < 1 ? 1 : scale, support = kernels[filter].support * stretch, inverse = 1 / stretch;
    double centre = (at + 0.5) * scale, sum = 0;
    int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
    if (first < 0) first = 0;
    if (end > in) end = in;
    int n = end - first;
    for (int i = 0; i < n; i++) {
        w[i] = kernels[filter].weight((i + first - centre + 0.5) * inverse);
        sum += w[i];
    }
    int32_t *fixed = c->weight + (size_t)at * (size_t)c->taps;
    for (int i = 0; i < n; i++) {
        double v = (sum != 0 ? w[i] / sum : w[i]) * (1 << RESIZE_PRECISION);
        fixed[i] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
    }
    c->first[at] = first;
    c->count[at] = n;
}

static void coefficients_split(resize_coefficients *c, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t at = i / 4 * 8 + i % 4;
        c->split[at] = (int16_t)(c->weight[i] & 0x7fff);
        c->split[at + 4] = (int16_t)(c->weight[i] >> 15);
    }
}

static int coefficients_new(int in, int out, resize_filter filter, resize_coefficients *c) {
    double scale = (double)(float)in / out, support = kernels[filter].support * (scale < 1 ? 1 : scale);
    double taps = ceil(support) * 2 + 1;
    if (taps * out * sizeof(double) > INT_MAX) return error_set(ERR_LIMIT, "too much to resize at once: %d to %d pixels", in, out);   /* Pillow's limit too */
    *c = (resize_coefficients){ .taps = ((int)taps + 3) / 4 * 4 };
    size_t n = (size_t)out * (size_t)c->taps;
    c->first = malloc((size_t)out * sizeof *c->first);
    c->count = malloc((size_t)out * sizeof *c->count);
    c->weight = calloc(n, sizeof *c->weight);
    c->split = malloc(n * 2 * sizeof *c->split);
    double *w = malloc((size_t)c->taps * sizeof *w);
    if (!c->first || !c->count || !c->weight || !c->split || !w) {
        free(w);
        coefficients_free(c);
        return error_memory(n * sizeof *c->weight);
    }
    for (int i = 0; i < out; i++) coefficients_one(c, i, in, scale, filter, w);
    coefficients_split(c, n);
    free(w);
    return 0;
}

/* ---- Passes ---- */

/* Rows [first, first + rows) of the input, made `width` wide. */
static int pass_horizontal(const image *in, int first, int rows, int width, resize_filter filter, cpu_level cpu, image *out) {
    resize_coefficients c;
    int rc = coefficients_new(in->width, width, filter, &c);
    if (rc < 0) return rc;
    resize_horizontal *row = cpu >= CPU_AVX2 ? resize_horizontal_avx2 : resize_horizontal_plain;
    size_t bytes = (size_t)in->width * 3;
    rc = image_new(width, rows, out);
    for (int y = 0; rc == 0 && y < rows; y++)
        row(&c, width, in->rgb + (size_t)(first + y) * bytes, in->rgb + (size_t)in->height * bytes, out->rgb + (size_t)y * (size_t)width * 3);
    coefficients_free(&c);
    return rc;
}

/* `first`: the row of the picture that in's row 0 is. */
static int pass_vertical(const image *in, int first, int height, const resize_coefficients *c, cpu_level cpu, image *out) {
    resize_vertical *row = cpu >= CPU_AVX2 ? resize_vertical_avx2 : resize_vertical_plain;
    size_t bytes = (size_t)in->width * 3;
    int rc = image_new(in->width, height, out);
    for (int y = 0; rc == 0 && y < height; y++)
        row(c->weight + (size_t)y * (size_t)c->taps, c->count[y], in->rgb + (size_t)(c->first[y] - first) * bytes, bytes, out->rgb + (size_t)y * bytes);
    return rc;
}

static int both_passes(const image *in, int width, int height, const resize_coefficients *c, resize_filter filter, cpu_level cpu, image *out) {
    image middle = { 0 };
    int rc;
    /* Pillow 13's rule (12 and before: always horizontal first; there the 8-bit rounding in between falls otherwise). */
    if (in->height > height && (int64_t)in->height - height > 2 * ((int64_t)in->width - width)) {
        rc = pass_vertical(in, 0, height, c, cpu, &middle);
        if (rc == 0) rc = pass_horizontal(&middle, 0, height, width, filter, cpu, out);
    } else {
        int first = c->first[0], rows = c->first[height - 1] + c->count[height - 1] - first;
        rc = pass_horizontal(in, first, rows, width, filter, cpu, &middle);
        if (rc == 0) rc = pass_vertical(&middle, first, height, c, cpu, out);
    }
    image_free(&middle);
    return rc;
}

static int copy(const image *in, image *out) {
    int rc = image_new(in->width, in->height, out);
    if (rc == 0) memcpy(out->rgb, in->rgb, (size_t)in->width * (size_t)in->height * 3);
    return rc;
}

int image_resize(const image *in, int width, int height, resize_filter filter, cpu_level cpu, image *out) {
    if (width < 1 || height < 1) return error_set(ERR_USAGE, "a picture cannot be resized to %dx%d", width, height);
    if (width == in->width && height == in->height) return copy(in, out);   /* a pass that changes nothing is left out */
    if (height == in->height) return pass_horizontal(in, 0, height, width, filter, cpu, out);

    resize_coefficients c;
    int rc = coefficients_new(in->height, height, filter, &c);
    if (rc < 0) return rc;
    rc = width == in->width ? pass_vertical(in, 0, height, &c, cpu, out) : both_passes(in, width, height, &c, filter, cpu, out);
    coefficients_free(&c);
    return rc;
}
