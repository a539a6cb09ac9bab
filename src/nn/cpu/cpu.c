/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU as a device: which kernels stand in its table. Better ones are added later, so that they are asked first. */
#include "nn/cpu/attention.h"
#include "nn/cpu/linear.h"
#include "nn/cpu/move.h"
#include "nn/cpu/move_d.h"
#include "nn/cpu/norm.h"
#include "nn/cpu/norm_d.h"
#include "nn/cpu/onednn.h"
#include "nn/cpu/ordered.h"
#include "nn/cpu/pointwise.h"
#include "nn/cpu/pointwise_d.h"
#include "nn/cpu/posterior.h"
#include "nn/cpu/reduce.h"
#include "nn/cpu/update.h"
#include "nn/device.h"

static int add_all(device *d, const kernel *table, size_t n) {
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) rc = device_add(d, &table[i]);
    return rc;
}

/* AVX-512 in two halves: a vector of half the size takes half the time. Of the CPUs with AVX-512 that is AMD's Zen 4. */
static bool half_width(void) {
    __builtin_cpu_init();
    return __builtin_cpu_is("amdfam19h");
}

device *device_cpu(cpu_level cap) {
    cpu_level here = cpu_level_here(), level = cap < here ? cap : here;
    device *d = device_new(level);
    const kernel *table;
    size_t n;
    int rc = d ? 0 : -1;
    if (rc == 0 && level >= CPU_AVX2) {
        table = move_kernels(&n);
        rc = add_all(d, table, n);
        if (rc == 0) table = pointwise_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = norm_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = move_d_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = pointwise_d_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = norm_d_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = reduce_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = posterior_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = update_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = attention_kernels(level, &n), rc = add_all(d, table, n);
        if (rc == 0) table = attention_d_kernels(level, &n), rc = add_all(d, table, n);
    }
    if (rc == 0 && level == CPU_AVX2) {
        const kernel *ordered = ordered_kernels_avx2(&n);
        rc = add_all(d, ordered, n);
    }
    if (rc == 0 && level >= CPU_AVX512) {
        const kernel *ordered = half_width() ? ordered_kernels_avx512(&n) : ordered_kernels_avx512_pairs(&n);
        rc = add_all(d, ordered, n);
    }
    if (rc == 0 && level >= CPU_AVX2) rc = onednn_add(d);
    if (rc == 0) table = linear_kernels(level, &n), rc = add_all(d, table, n);
    if (rc == 0) table = linear_dw_kernels(level, &n), rc = add_all(d, table, n);
    if (rc == 0) table = linear_upsampled_kernels(level, &n), rc = add_all(d, table, n);
    if (rc == 0) return d;
    device_free(d);
    return NULL;
}
