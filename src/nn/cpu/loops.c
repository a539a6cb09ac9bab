/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/loops.h"

const loops *loops_of(cpu_level level) {
    return level >= CPU_AVX512_BF16 ? &loops_avx512bf16 : level >= CPU_AVX512 ? &loops_avx512 : &loops_avx2;
}
