/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the inner loop of an ordered convolution, included by the file of each instruction set after it has
 * defined V (a vector of LANES floats), v_zero, v_load, v_load_f16, v_store, v_set1, v_fma, v_add, v_max, v_relu, v_slope
 * (what v_prelu wants of alpha), v_prelu, v_mask (which groups of 8 a shortcut has) and v_load_masked (zero in the rest).
 * An odd last group of 8 channels, with 16 lanes, is summed in one of two ways. HALF_PAIRS: two pixels share a register,
 * which needs v_low_high(a, b), the lower half of a with the upper half of b, v_load_halves(a, b), 8 floats from each, and
 * v_store_halves. HALF_ALONE: each pixel has a register of 8 lanes of type H, with h_* for v_*, and h_of(x), the lower
 * half of x.
 *
 * np pixels x (nv vectors and perhaps a half one) of sums live in registers. All the bounds are constants, so that the
 * arrays become registers. Pointers are hidden from the optimiser (OPAQUE) in each round: otherwise it keeps one a
 * pixel, runs out of registers and spills; hidden, every third pixel has one and the others are reached by index. */
#ifndef NN_CPU_ORDERED_SUM_H
#define NN_CPU_ORDERED_SUM_H

#include <stdbool.h>

#include "nn/cpu/ordered_isa.h"

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define OPAQUE(p) __asm__("" : "+r"(p))
/* Loads x once, instead of as an operand of each multiplication. */
#define KEEP(x) __asm__("" : "+" VECTOR_REGISTER(x))
#define INLINE static inline __attribute__((always_inline))

enum { PIXELS_A_POINTER = 3, POINTERS = (ORDERED_MAX_PIXELS + PIXELS_A_POINTER - 1) / PIXELS_A_POINTER };

/* What follows the sum of a vector: shortcut, activation, store. */
#define FINISH(prefix, type) \
    INLINE type prefix##_finish(type sum, type shortcut, prefix##_slope slope, const int add, const int activation) { \
        if (add) sum = prefix##_add(shortcut, sum); \
        if (activation == ORDERED_RELU) return prefix##_relu(sum); \
        if (activation == ORDERED_PRELU) return prefix##_prelu(sum, slope); \
        return sum; \
    }

FINISH(v, V)
#ifdef HALF_ALONE
FINISH(h, H)
#endif
#ifdef HALF_PAIRS
#define h_load v_load   /* H is V: the half vectors of two pixels */
#endif

INLINE void store_block(const ordered_sum *s, V sum[8][ORDERED_MAX_PIXELS], H tail[ORDERED_MAX_PIXELS], const int nv, const int half,
                        const int np, const int add, const int activation) {
    const float *shortcut = s->add;
    const uint32_t *add_at = s->add_at, *out_at = s->out_at;
    float *out = s->out;
    size_t groups = s->add_groups;
    UNROLL for (int v = 0; v < nv; v++) {
        v_slope slope = v_slope_of(s->alpha + v * LANES);
        v_mask mask = v_mask_of(groups, v);
        UNROLL for (int p = 0; p < np; p++) {
            V x = add ? v_load_masked(shortcut + add_at[p] + v * LANES, mask) : v_zero();
            v_store(out + out_at[p] + v * LANES, v_finish(sum[v][p], x, slope, add, activation));
        }
    }
    if (!half) return;
    bool there = add && groups > (size_t)nv * 2;
    out += nv * LANES;
    if (there) shortcut += nv * LANES;
#ifdef HALF_ALONE
    h_slope slope = h_slope_of(s->alpha + nv * LANES);
    UNROLL for (int p = 0; p < np; p++) {
        H x = there ? h_load(shortcut + add_at[p]) : h_zero();
        h_store(out + out_at[p], h_finish(tail[p], x, slope, add, activation));
    }
#endif
#ifdef HALF_PAIRS
    v_slope slope = v_slope_of(s->alpha + nv * LANES);
    UNROLL for (int p = 0; p + 1 < np; p += 2) {
        V x = there ? v_load_halves(shortcut + add_at[p], shortcut + add_at[p + 1]) : v_zero();
        v_store_halves(out + out_at[p], out + out_at[p + 1], v_finish(tail[p / 2], x, slope, add, activation));
    }
#endif
    (void)tail, (void)there;
}

INLINE void sum_block(const ordered_sum *s, const int nv, const int half, const int np, const bool f16) {
    V sum[8][ORDERED_MAX_PIXELS];
    H tail[ORDERED_MAX_PIXELS];
    const int lanes = (nv + half) * LANES, tails = HALF_TAILS(np);
    UNROLL for (int v = 0; v < nv; v++)
        UNROLL for (int p = 0; p < np; p++) sum[v][p] = v_load(s->bias + v * LANES);
    if (half)
        UNROLL for (int p = 0; p < tails; p++) tail[p] = h_load(s->bias + nv * LANES);

    const float *w = s->weights;
    const uint16_t *w16 = s->weights;
    size_t pixel = s->in_pixel * sizeof(float), r = 0;
    OPAQUE(pixel);
    do {
        OPAQUE(s);   /* what this loop needs stays in memory: in the inner one no register is free for it */
        const char *first = (const char *)(s->in + s->run_at[r]), *q[POINTERS];
        UNROLL for (int g = 0; g * PIXELS_A_POINTER < np; g++) {
            q[g] = first;
            OPAQUE(q[g]);
            first += PIXELS_A_POINTER * pixel;
        }
        size_t terms = s->run;
        do {
            UNROLL for (int g = 0; g * PIXELS_A_POINTER < np; g++) OPAQUE(q[g]);
            V weight[8], before = v_zero();
            UNROLL for (int v = 0; v < nv; v++) {
                weight[v] = f16 ? v_load_f16(w16 + v * LANES) : v_load(w + v * LANES);
                if (np > 1) KEEP(weight[v]);
            }
            H half_weight = h_load(half ? w + nv * LANES : s->bias);
            UNROLL for (int p = 0; p < np; p++) {
                const float *at = (const float *)(q[p / PIXELS_A_POINTER] + (size_t)(p % PIXELS_A_POINTER) * pixel);
                V x = v_set1(at);
                UNROLL for (int v = 0; v < nv; v++) sum[v][p] = v_fma(x, weight[v], sum[v][p]);
#ifdef HALF_ALONE
                /* One vector and a half a pixel: loading x anew for the half is faster on Zen 4 than sharing it. */
                if (half && nv <= 1) tail[p] = h_fma(h_set1(at), half_weight, tail[p]);
                else if (half) tail[p] = h_fma(h_of(x), half_weight, tail[p]);
#endif
#ifdef HALF_PAIRS
                if (half && p % 2) tail[p / 2] = v_fma(v_low_high(before, x), half_weight, tail[p / 2]);
#endif
                before = x;
            }
            (void)half_weight, (void)before;
            if (f16) w16 += lanes;
            else w += lanes;
            UNROLL for (int g = 0; g * PIXELS_A_POINTER < np; g++) q[g] += sizeof(float);
        } while (--terms);
    } while (++r < s->runs);

#define STORE(add, activation) store_block(s, sum, tail, nv, half, np, add, activation)
    if (s->add) {
        if (s->activation == ORDERED_PRELU) STORE(1, ORDERED_PRELU);
        else if (s->activation == ORDERED_RELU) STORE(1, ORDERED_RELU);
        else STORE(1, ORDERED_NONE);
    } else {
        if (s->activation == ORDERED_PRELU) STORE(0, ORDERED_PRELU);
        else if (s->activation == ORDERED_RELU) STORE(0, ORDERED_RELU);
        else STORE(0, ORDERED_NONE);
    }
}

#define SUM4(nv, half, a, b, c, d) SUM(nv, half, a) SUM(nv, half, b) SUM(nv, half, c) SUM(nv, half, d)
#define SUM(nv, half, np) \
    static __attribute__((noinline)) void sum_##nv##_##half##_##np(const ordered_sum *s) { sum_block(s, nv, half, np, false); }

#endif
