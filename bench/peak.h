/* SPDX-License-Identifier: Apache-2.0
 *
 * The processor's peak in GFLOP/s, from independent chains of multiply-adds, and the rate of copying, measured in the same run as
 * what they are compared with. */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parallel.h"
#include "nn/device.h"

enum { PEAK_CHAINS = 12, PEAK_STEPS = 40000, PEAK_TRIES = 20 };

/* One thread: its processor time, which a neighbour's turns on a shared machine do not enter. */
static inline double peak_clock(int threads) {
    struct timespec t;
    clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static volatile float peak_sink;

__attribute__((target("avx2,fma"))) static void peak_avx2(void) {
    __m256 a[PEAK_CHAINS], x = _mm256_set1_ps(1.0000001f), y = _mm256_set1_ps(1e-9f);
    for (int i = 0; i < PEAK_CHAINS; i++) a[i] = _mm256_set1_ps((float)i);
    for (int s = 0; s < PEAK_STEPS; s++)
#pragma GCC unroll 12
        for (int i = 0; i < PEAK_CHAINS; i++) a[i] = _mm256_fmadd_ps(a[i], x, y);
    for (int i = 0; i < PEAK_CHAINS; i++) peak_sink = _mm256_cvtss_f32(a[i]);
}

__attribute__((target("avx512f"))) static void peak_avx512(void) {
    __m512 a[PEAK_CHAINS], x = _mm512_set1_ps(1.0000001f), y = _mm512_set1_ps(1e-9f);
    for (int i = 0; i < PEAK_CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (int s = 0; s < PEAK_STEPS; s++)
#pragma GCC unroll 12
        for (int i = 0; i < PEAK_CHAINS; i++) a[i] = _mm512_fmadd_ps(a[i], x, y);
    for (int i = 0; i < PEAK_CHAINS; i++) peak_sink = _mm512_cvtss_f32(a[i]);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) static void peak_bf16(void) {
    __m512 a[PEAK_CHAINS];
    __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.51f), _mm512_set1_ps(0.49f)), y = x;
    for (int i = 0; i < PEAK_CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (int s = 0; s < PEAK_STEPS; s++)
#pragma GCC unroll 12
        for (int i = 0; i < PEAK_CHAINS; i++) a[i] = _mm512_dpbf16_ps(a[i], x, y);
    for (int i = 0; i < PEAK_CHAINS; i++) peak_sink = _mm512_cvtss_f32(a[i]);
}

static inline void peak_part(void *context, size_t begin, size_t end, int thread) {
    (void)begin, (void)end, (void)thread;
    ((void (*)(void))context)();
}

/* Of bf16 pairs or f32 at that level, on so many threads at once: the best of a few tries. */
static inline double peak_now(nn_type type, cpu_level level, int threads) {
    bool pairs = type == NN_BF16 && level >= CPU_AVX512_BF16;
    void (*f)(void) = pairs ? peak_bf16 : level >= CPU_AVX512 ? peak_avx512 : peak_avx2;
    double lanes = pairs ? 32 : level >= CPU_AVX512 ? 16 : 8, best = 0;
    for (int i = 0; i < PEAK_TRIES; i++) {
        double t = peak_clock(threads);
        parallel_for(threads, (size_t)threads, peak_part, (void *)f);
        double rate = 2 * lanes * PEAK_CHAINS * PEAK_STEPS * threads / (peak_clock(threads) - t) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

typedef struct { char *to; const char *from; size_t bytes; } peak_copy;

static inline void peak_copy_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const peak_copy *j = context;
    size_t last = end * 4096 < j->bytes ? end * 4096 : j->bytes;
    memcpy(j->to + begin * 4096, j->from + begin * 4096, last - begin * 4096);
}

/* GB/s read and written together, of copying `bytes`. */
static inline double copy_now(size_t bytes, int threads) {
    peak_copy j = { malloc(bytes), calloc(1, bytes), bytes };
    double best = 0;
    if (!j.to || !j.from) abort();
    memset((char *)j.from, 1, bytes);
    for (int i = 0; i < PEAK_TRIES; i++) {
        double t = peak_clock(threads);
        parallel_for(threads, (bytes + 4095) / 4096, peak_copy_part, &j);
        double rate = 2 * (double)bytes / (peak_clock(threads) - t) * 1e-9;
        if (i && rate > best) best = rate;
    }
    free(j.to), free((char *)j.from);
    return best;
}

#endif
