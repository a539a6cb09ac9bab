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

/* The weights of output position `at`, as doubles in w, put in place i. The casts truncate on purpose, as the reference's do. */
static void coefficients_one(resize_coefficients *c, int i, int at, int in, double scale, resize_filter filter, double *w) {
    double stretch = scale < 1 ? 1 : scale, support = kernels[filter].support * stretch, inverse = 1 / stretch;
    double centre = (at + 0.5) * scale, sum = 0;
    int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
    if (first < 0) first = 0;
    if (end > in) end = in;
    int n = end - first;
    for (int k = 0; k < n; k++) {
        w[k] = kernels[filter].weight((k + first - centre + 0.5) * inverse);
        sum += w[k];
    }
    int32_t *fixed = c->weight + (size_t)i * (size_t)c->taps;
    for (int k = 0; k < n; k++) {
        double v = (sum != 0 ? w[k] / sum : w[k]) * (1 << RESIZE_PRECISION);
        fixed[k] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
    }
    c->first[i] = first;
    c->count[i] = n;
}

static void coefficients_split(resize_coefficients *c, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t at = i / 4 * 8 + i % 4;
        c->split[at] = (int16_t)(c->weight[i] & 0x7fff);
        c->split[at + 4] = (int16_t)(c->weight[i] >> 15);
    }
}

/* Of `in` pixels resized to `out`, for the output positions [at, at + n). Their inputs are counted from *first on, which is
 * where the first one's begin; *inputs are needed in all. */
static int coefficients_new(int in, int out, int at, int n, resize_filter filter, resize_coefficients *c, int *first, int *inputs) {
    double scale = (double)(float)in / out, support = kernels[filter].support * (scale < 1 ? 1 : scale);
    double taps = ceil(support) * 2 + 1;
    if (taps * n * sizeof(double) > INT_MAX) return error_set(ERR_LIMIT, "too much to resize at once: %d to %d pixels", in, out);   /* Pillow's limit too */
    *c = (resize_coefficients){ .taps = ((int)taps + 3) / 4 * 4 };
    size_t weights = (size_t)n * (size_t)c->taps;
    c->first = malloc((size_t)n * sizeof *c->first);
    c->count = malloc((size_t)n * sizeof *c->count);
    c->weight = calloc(weights, sizeof *c->weight);
    c->split = malloc(weights * 2 * sizeof *c->split);
    double *w = malloc((size_t)c->taps * sizeof *w);
    if (!c->first || !c->count || !c->weight || !c->split || !w) {
        free(w);
        coefficients_free(c);
        *c = (resize_coefficients){ 0 };
        return error_memory(weights * sizeof *c->weight);
    }
    for (int i = 0; i < n; i++) coefficients_one(c, i, at + i, in, scale, filter, w);
    coefficients_split(c, weights);
    free(w);
    *first = c->first[0];
    *inputs = c->first[n - 1] + c->count[n - 1] - *first;
    for (int i = 0; i < n; i++) c->first[i] -= *first;
    return 0;
}

/* ---- Passes ---- */

/* Rows of some picture from some pixel on; `end` is where its bytes end. */
typedef struct { const uint8_t *rgb, *end; size_t stride; } pixels;

static pixels pixels_of(const image *img, int x, int y) {
    size_t stride = (size_t)img->width * 3;
    return (pixels){ img->rgb + (size_t)y * stride + (size_t)x * 3, img->rgb + (size_t)img->height * stride, stride };
}

static int pass_horizontal(pixels in, int rows, const resize_coefficients *c, int width, cpu_level cpu, image *out) {
    resize_horizontal *row = cpu >= CPU_AVX2 ? resize_horizontal_avx2 : resize_horizontal_plain;
    int rc = image_new(width, rows, out);
    for (int y = 0; rc == 0 && y < rows; y++)
        row(c, width, in.rgb + (size_t)y * in.stride, in.end, out->rgb + (size_t)y * (size_t)width * 3);
    return rc;
}

static int pass_vertical(pixels in, int width, const resize_coefficients *c, int height, cpu_level cpu, image *out) {
    resize_vertical *row = cpu >= CPU_AVX2 ? resize_vertical_avx2 : resize_vertical_plain;
    size_t bytes = (size_t)width * 3;
    int rc = image_new(width, height, out);
    for (int y = 0; rc == 0 && y < height; y++)
        row(c->weight + (size_t)y * (size_t)c->taps, c->count[y], in.rgb + (size_t)c->first[y] * in.stride, in.stride, bytes, out->rgb + (size_t)y * bytes);
    return rc;
}

static int copy(pixels in, int width, int height, image *out) {
    size_t bytes = (size_t)width * 3;
    int rc = image_new(width, height, out);
    for (int y = 0; rc == 0 && y < height; y++) memcpy(out->rgb + (size_t)y * bytes, in.rgb + (size_t)y * in.stride, bytes);
    return rc;
}

/* Both coefficients may be NULL: a pass that changes nothing is left out. */
static int passes(pixels in, int columns, int rows, const resize_coefficients *h, const resize_coefficients *v, bool vertical_first, const image_window *w,
                  cpu_level cpu, image *out) {
    if (!h && !v) return copy(in, columns, rows, out);
    if (!v) return pass_horizontal(in, rows, h, w->width, cpu, out);
    if (!h) return pass_vertical(in, columns, v, w->height, cpu, out);
    image middle = { 0 };
    int rc = vertical_first ? pass_vertical(in, columns, v, w->height, cpu, &middle) : pass_horizontal(in, rows, h, w->width, cpu, &middle);
    if (rc < 0) return rc;
    in = pixels_of(&middle, 0, 0);
    rc = vertical_first ? pass_horizontal(in, w->height, h, w->width, cpu, out) : pass_vertical(in, w->width, v, w->height, cpu, out);
    image_free(&middle);
    return rc;
}

int image_resize_window(const image *in, int width, int height, const image_window *w, resize_filter filter, cpu_level cpu, image *out) {
    if (width < 1 || height < 1) return error_set(ERR_USAGE, "a picture cannot be resized to %dx%d", width, height);
    if (w->x < 0 || w->y < 0 || w->width < 1 || w->height < 1 || w->x > width - w->width || w->y > height - w->height)
        return error_set(ERR_USAGE, "a window of %dx%d at %d,%d is not inside a picture of %dx%d", w->width, w->height, w->x, w->y, width, height);
    bool across = width != in->width, down = height != in->height;
    /* Pillow 13's rule (12 and before: always horizontal first; there the 8-bit rounding in between falls otherwise). */
    bool vertical_first = in->height > height && (int64_t)in->height - height > 2 * ((int64_t)in->width - width);
    int x = w->x, y = w->y, columns = w->width, rows = w->height, rc = 0;   /* of the input: what is needed */
    resize_coefficients h = { 0 }, v = { 0 };
    if (across) rc = coefficients_new(in->width, width, w->x, w->width, filter, &h, &x, &columns);
    if (rc == 0 && down) rc = coefficients_new(in->height, height, w->y, w->height, filter, &v, &y, &rows);
    if (rc == 0) rc = passes(pixels_of(in, x, y), columns, rows, across ? &h : NULL, down ? &v : NULL, vertical_first, w, cpu, out);
    if (across) coefficients_free(&h);
    if (down) coefficients_free(&v);
    return rc;
}

int image_resize(const image *in, int width, int height, resize_filter filter, cpu_level cpu, image *out) {
    image_window all = { 0, 0, width, height };
    return image_resize_window(in, width, height, &all, filter, cpu, out);
}
