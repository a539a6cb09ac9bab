/* SPDX-License-Identifier: Apache-2.0
 *
 * Instruction levels of the processor. A level is chosen once at the top (`--cpu`) and handed down; nothing global
 * remembers it. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdbool.h>

/* Each has all of those before it. CPU_AVX2 means AVX2, FMA and F16C; CPU_AVX512 means F, BW, DQ and VL. CPU_BEST is a wish:
 * whoever chooses code by a level caps it with cpu_level_here() first. */
typedef enum { CPU_REFERENCE, CPU_AVX2, CPU_AVX512, CPU_AVX512_BF16, CPU_BEST = 99 } cpu_level;

cpu_level   cpu_level_here(void);                    /* what this machine (and its system) has */
const char *cpu_level_name(cpu_level level);
bool        cpu_level_parse(const char *text, cpu_level *level);   /* "reference", "avx2", ..., "best" */

#endif
