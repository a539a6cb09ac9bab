/* SPDX-License-Identifier: Apache-2.0
 *
 * A flag by which a long work is told to leave off, by another thread or by a signal's handler. */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <stdbool.h>

/* `stop` may be NULL: never. */
static inline bool stop_asked(const volatile int *stop) { return stop && __atomic_load_n(stop, __ATOMIC_RELAXED); }

#endif
