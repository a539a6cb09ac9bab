/* SPDX-License-Identifier: Apache-2.0 */
#include "base/peak_memory.h"

#include <stdio.h>
#include <string.h>

static uint64_t line_of(const char *name) {
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long long kilobytes = 0;
    char line[256];
    size_t length = strlen(name);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, length) == 0 && sscanf(line + length, " %llu kB", &kilobytes) == 1) break;
    if (f) fclose(f);
    return kilobytes * 1024;
}

uint64_t peak_memory(void) { return line_of("VmHWM:"); }
uint64_t resident_memory(void) { return line_of("VmRSS:"); }
