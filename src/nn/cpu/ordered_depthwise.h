/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of a 3x3 depthwise convolution, included after v_* (see ordered_sum.h) are defined. The sum of one output
 * runs over kx outer, ky inner, so a walk along the row that reads each column of input once can serve all the outputs
 * the column belongs to: it ends the sum of one, is the middle of the next and begins that of the one after. Nine
 * weights, the open sums and one input stay in registers; there is one load for three multiply-adds and more.
 *
 * `slide`: neighbouring outputs are one column apart. `leap`: two columns apart, which is stride 2, and also a vector
 * that covers two neighbouring pixels at stride 1. */
#ifndef NN_CPU_ORDERED_DEPTHWISE_H
#define NN_CPU_ORDERED_DEPTHWISE_H

#include "nn/cpu/ordered_sum.h"

typedef struct { V weight[9], bias; const char *column; size_t row, pixel; } taps;

INLINE taps taps_of(const ordered_depthwise *d, size_t vector, size_t lanes) {
    taps t;
    UNROLL for (int i = 0; i < 9; i++) t.weight[i] = v_load(d->weights + (vector * 9 + (size_t)i) * lanes);
    t.bias = v_load(d->bias + vector * lanes);
    t.column = (const char *)(d->in + vector * lanes);
    t.row = d->in_row * sizeof(float);
    t.pixel = d->in_pixel * sizeof(float);
    OPAQUE(t.row);
    return t;
}

/* Adds the current column to the sums that use it as their kx 0, 1 and 2 (NULL: nobody does), and steps on. `seen` gets
 * the column's inputs unless it is NULL. */
INLINE void column(taps *t, const int rows, const int stride, V *begin, V *middle, V *end, V *seen) {
    const char *c = t->column;
    OPAQUE(c);
    UNROLL for (int i = 0; i < 3 + (rows - 1) * stride; i++) {
        V x = v_load((const float *)(c + (size_t)(i < 3 ? i : i - 3) * t->row));
        if (!!begin + !!middle + !!end > 1 || rows > 1) KEEP(x);
        if (seen) seen[i] = x;
        if (i == 2 && rows > 1) c += 3 * t->row;
        UNROLL for (int r = 0; r < rows; r++) {
            int ky = i - r * stride;
            if (ky < 0 || ky > 2) continue;
            if (end) end[r] = v_fma(x, t->weight[6 + ky], end[r]);
            if (middle) middle[r] = v_fma(x, t->weight[3 + ky], middle[r]);
            if (begin) begin[r] = v_fma(x, t->weight[ky], ky ? begin[r] : t->bias);
        }
    }
    t->column += t->pixel;
}

INLINE void put(float *out, const size_t out_row, const int rows, const V *sum) {
    UNROLL for (int r = 0; r < rows; r++) v_store(out + (size_t)r * out_row, sum[r]);
}

INLINE void slide(const ordered_depthwise *d, const int rows) {
    for (size_t v = 0; v < d->vectors; v++) {
        taps t = taps_of(d, v, LANES);
        V a[2], b[2], c[2];
        float *out = d->out + v * LANES;
        size_t n = d->width, out_row = d->out_row, out_pixel = d->out_pixel;
        column(&t, rows, 1, a, NULL, NULL, NULL);
        if (n > 1) {
            column(&t, rows, 1, b, a, NULL, NULL);
            for (; n > 2; n--, out += out_pixel) {
                column(&t, rows, 1, c, b, a, NULL);
                put(out, out_row, rows, a);
                UNROLL for (int r = 0; r < rows; r++) a[r] = b[r], b[r] = c[r];
            }
            column(&t, rows, 1, NULL, b, a, NULL);
            put(out, out_row, rows, a);
            out += out_pixel;
            UNROLL for (int r = 0; r < rows; r++) a[r] = b[r];
        } else {
            column(&t, rows, 1, NULL, a, NULL, NULL);
        }
        column(&t, rows, 1, NULL, NULL, a, NULL);
        put(out, out_row, rows, a);
    }
}

/* The larger of two columns' upper two inputs: v > best ? v : best in the reference's order, row by row. */
INLINE void put_largest(float *pooled, const size_t row, const int rows, const V *left, const V *right) {
    UNROLL for (int r = 0; r < rows; r++)
        v_store(pooled + (size_t)r * row, v_max(v_max(right[2 * r + 1], left[2 * r + 1]), v_max(right[2 * r], left[2 * r])));
}

INLINE void leap(const ordered_depthwise *d, const int rows, const int stride, const bool pool) {
    for (size_t v = 0; v < d->vectors; v++) {
        taps t = taps_of(d, v, LANES);
        V a[2], b[2], left[5], next[5], right[5];
        float *out = d->out + v * LANES, *pooled = pool ? d->pooled + v * LANES : NULL;
        const size_t out_row = d->out_row, out_pixel = d->out_pixel;
        column(&t, rows, stride, a, NULL, NULL, left);
        for (size_t n = d->width; n > 1; n--, out += out_pixel) {
            column(&t, rows, stride, NULL, a, NULL, right);
            if (pool) put_largest(pooled, out_row, rows, left, right), pooled += out_pixel;
            column(&t, rows, stride, b, NULL, a, next);
            put(out, out_row, rows, a);
            UNROLL for (int r = 0; r < rows; r++) a[r] = b[r], left[2 * r] = next[2 * r], left[2 * r + 1] = next[2 * r + 1];
        }
        column(&t, rows, stride, NULL, a, NULL, right);
        if (pool) put_largest(pooled, out_row, rows, left, right);
        column(&t, rows, stride, NULL, NULL, a, NULL);
        put(out, out_row, rows, a);
    }
}

#define DEPTHWISE(name, body) \
    static __attribute__((noinline)) void name(const ordered_depthwise *d) { body; }

#endif
