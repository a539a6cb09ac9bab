/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the inner loop of an ordered convolution, included by the file of each instruction set after it has
 * defined V (a vector of LANES floats), v_load, v_store, v_set1, v_fma, v_add, v_relu, v_prelu and v_load_groups
 * (the first g groups of 8; zero in the rest). With HAS_PAIRS also v_low_high(a, b): lower half of a, upper half of b;
 * v_load_halves(a, b): 8 floats from each; v_store_halves.
 *
 * np pixels x (nv vectors and perhaps a half one) of sums live in registers. All the bounds are constants, so that the
 * arrays become registers. Pointers are hidden from the optimiser (OPAQUE) in each round: otherwise it keeps one a
 * pixel, runs out of registers and spills; hidden, every third pixel has one and the others are reached by index. */
#ifndef NN_CPU_ORDERED_SUM_H
#define NN_CPU_ORDERED_SUM_H

#include "nn/cpu/ordered_isa.h"

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define OPAQUE(p) __asm__("" : "+r"(p))
#define INLINE static inline __attribute__((always_inline))

enum { PIXELS_A_POINTER = 3, POINTERS = (ORDERED_MAX_PIXELS + PIXELS_A_POINTER - 1) / PIXELS_A_POINTER };

INLINE V finish(V sum, const ordered_sum *s, V shortcut, const float *alpha) {
    if (s->add) sum = v_add(shortcut, sum);
    if (s->activation == ORDERED_RELU) return v_relu(sum);
    if (s->activation == ORDERED_PRELU) return v_prelu(sum, v_load(alpha));
    return sum;
}

INLINE void sum_block(const ordered_sum *s, const int nv, const int half, const int np) {
    V sum[8][ORDERED_MAX_PIXELS];
    const int lanes = (nv + half) * LANES;
    UNROLL for (int v = 0; v < nv; v++)
        UNROLL for (int p = 0; p < np; p++) sum[v][p] = v_load(s->bias + v * LANES);
#ifdef HAS_PAIRS
    V tail[ORDERED_MAX_PIXELS / 2];
    if (half)
        UNROLL for (int p = 0; p < np / 2; p++) tail[p] = v_load(s->bias + nv * LANES);
#endif

    const float *w = s->weights;
    const char *row = (const char *)s->in;
    size_t pixel = s->in_pixel * sizeof(float);
    OPAQUE(pixel);
    size_t rows = s->rows;
    do {
        const char *column = row;
        size_t columns = s->columns;
        do {
            const char *q[POINTERS];
            UNROLL for (int g = 0; g * PIXELS_A_POINTER < np; g++) q[g] = column + (size_t)g * PIXELS_A_POINTER * pixel;
            size_t terms = s->run;
            do {
                UNROLL for (int g = 0; g * PIXELS_A_POINTER < np; g++) OPAQUE(q[g]);
                V weight[8];
                UNROLL for (int v = 0; v < nv; v++) weight[v] = v_load(w + v * LANES);
#ifdef HAS_PAIRS
                V half_weight = v_load(w + (half ? nv * LANES : 0)), before = half_weight;
#endif
                UNROLL for (int p = 0; p < np; p++) {
                    V x = v_set1((const float *)(q[p / PIXELS_A_POINTER] + (size_t)(p % PIXELS_A_POINTER) * pixel));
                    UNROLL for (int v = 0; v < nv; v++) sum[v][p] = v_fma(x, weight[v], sum[v][p]);
#ifdef HAS_PAIRS
                    if (half && p % 2) tail[p / 2] = v_fma(v_low_high(before, x), half_weight, tail[p / 2]);
                    before = x;
#endif
                }
                w += lanes;
                UNROLL for (int g = 0; g * PIXELS_A_POINTER < np; g++) q[g] += sizeof(float);
            } while (--terms);
            column += s->column_step * sizeof(float);
        } while (--columns);
        row += s->row_step * sizeof(float);
    } while (--rows);

    UNROLL for (int p = 0; p < np; p++) {
        const float *add = s->add ? s->add + s->add_at[p] : NULL;
        float *out = s->out + s->out_at[p];
        UNROLL for (int v = 0; v < nv; v++) {
            V shortcut = add ? v_load_groups(add + v * LANES, s->add_groups, v) : v_zero();
            v_store(out + v * LANES, finish(sum[v][p], s, shortcut, s->alpha + v * LANES));
        }
    }
#ifdef HAS_PAIRS
    if (half)
        UNROLL for (int p = 0; p < np; p += 2) {
            V shortcut = v_zero();
            if (s->add && s->add_groups > (size_t)nv * 2)
                shortcut = v_load_halves(s->add + s->add_at[p] + nv * LANES, s->add + s->add_at[p + 1] + nv * LANES);
            V y = finish(tail[p / 2], s, shortcut, s->alpha + nv * LANES);
            v_store_halves(s->out + s->out_at[p] + nv * LANES, s->out + s->out_at[p + 1] + nv * LANES, y);
        }
#endif
}

#define SUM(nv, half, np) \
    static __attribute__((noinline)) void sum_##nv##_##half##_##np(const ordered_sum *s) { sum_block(s, nv, half, np); }

#endif
