/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu.h"

#include <cpuid.h>
#include <stddef.h>
#include <string.h>

static const struct { cpu_level level; const char *name; } levels[] = {
    { CPU_REFERENCE, "reference" }, { CPU_AVX2, "avx2" }, { CPU_AVX512, "avx512" }, { CPU_AVX512_BF16, "avx512bf16" }, { CPU_BEST, "best" },
};

cpu_level cpu_level_here(void) {
    unsigned a, b, c = 0, d;
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    __builtin_cpu_init();   /* its answers include what the system saves: see the gcc manual */
    if (!f16c || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CPU_REFERENCE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return CPU_AVX2;
    return __builtin_cpu_supports("avx512bf16") ? CPU_AVX512_BF16 : CPU_AVX512;
}

const char *cpu_level_name(cpu_level level) {
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (levels[i].level == level) return levels[i].name;
    return "?";
}

bool cpu_level_parse(const char *text, cpu_level *level) {
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i].name, text) == 0) return *level = levels[i].level, true;
    return false;
}
