/* SPDX-License-Identifier: Apache-2.0 */
#include "base/peak_memory.h"

#include <stdio.h>

uint64_t peak_memory(void) {
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long long kilobytes = 0;
    char line[256];
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu kB", &kilobytes) == 1) break;
    if (f) fclose(f);
    return kilobytes * 1024;
}
