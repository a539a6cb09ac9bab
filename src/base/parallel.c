/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/parallel.h"

#include <sched.h>

/* libgomp's stable entry points (its GOMP_1.0 and GOMP_4.0 ABI), called directly: `#pragma omp` under clang would pull in
 * libomp, a second runtime beside the one oneDNN is linked with. */
extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
extern int omp_get_max_threads(void);
extern void omp_set_num_threads(int n);
extern void omp_set_dynamic(int on);

typedef struct {
    parallel_body *body;
    void *context;
    size_t items;
    int threads;
} job;

static void run_part(void *data) {
    const job *j = data;
    /* The runtime may give fewer threads than asked: each then takes several parts, so that the split stays the same. */
    for (int part = omp_get_thread_num(); part < j->threads; part += omp_get_num_threads()) {
        size_t n = (size_t)j->threads, p = (size_t)part;
        size_t share = j->items / n, rest = j->items % n;
        size_t begin = p * share + (p < rest ? p : rest);
        j->body(j->context, begin, begin + share + (p < rest), part);
    }
}

void parallel_for(int threads, size_t items, parallel_body *body, void *context) {
    if (items == 0) return;
    if (threads > 1 && items < (size_t)threads) threads = (int)items;
    if (threads <= 1) {
        body(context, 0, items, 0);
        return;
    }
    job j = { body, context, items, threads };
    GOMP_parallel(run_part, &j, (unsigned)threads, 0);
}

int parallel_width(int threads) {
    int before = omp_get_max_threads();
    omp_set_dynamic(0);   /* OMP_DYNAMIC in the environment would let the runtime take fewer, and change bits */
    omp_set_num_threads(threads > 0 ? threads : 1);
    return before;
}

int parallel_cores(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? n : 1;
}
