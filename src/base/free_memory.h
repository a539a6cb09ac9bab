/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory may still be taken. */
#ifndef BASE_FREE_MEMORY_H
#define BASE_FREE_MEMORY_H

#include <stddef.h>

/* In bytes: the least of what the machine has free (without swap: what is computed with all the time would thrash there), what the container
 * that this may be has left, and what this process may still take by its limits (ulimit -v, -d). 0: unknown; a limit that is used up gives 1. */
size_t free_memory(void);

#endif
