/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PEAK_MEMORY_H
#define BASE_PEAK_MEMORY_H

#include <stdint.h>

/* The most that this process has had in memory, in bytes (VmHWM; getrusage would count what its parent had before exec). 0: unknown. */
uint64_t peak_memory(void);
/* What it has now. */
uint64_t resident_memory(void);

#endif
