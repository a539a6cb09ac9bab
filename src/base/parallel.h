/* SPDX-License-Identifier: Apache-2.0
 *
 * The one way to use several cores inside a computation. It runs on libgomp, the runtime oneDNN uses: a second pool
 * would make the two fight for the cores. */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

/* Does one part of the work: items [begin, end). `thread` is 0..threads-1, for per-thread scratch. */
typedef void parallel_body(void *context, size_t begin, size_t end, int thread);

/* Splits `items` into one contiguous part a thread and runs them. The split depends on items and threads only, so sums
 * that follow it are the same in every run. threads <= 1, or a single item, runs inline and touches no runtime. */
void parallel_for(int threads, size_t items, parallel_body *body, void *context);

/* For a library that splits its own work on libgomp (oneDNN): from here on it takes `threads` threads, no more and no
 * fewer, when the calling thread calls it (OMP_DYNAMIC=true, which lets the runtime take fewer, is off for this thread from
 * then on). Returns the former number, to be set again afterwards. */
int parallel_width(int threads);

/* Cores this process may use (its affinity mask, not the machine's size). */
int parallel_cores(void);

#endif
