/* SPDX-License-Identifier: Apache-2.0 */
#include "base/free_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* The number behind `name` at the beginning of a line; false if there is none. */
static bool number_after(const char *path, const char *name, unsigned long long *out) {
    FILE *f = fopen(path, "r");
    char line[256];
    bool found = false;
    size_t length = strlen(name);
    while (f && !found && fgets(line, sizeof line, f)) found = strncmp(line, name, length) == 0 && sscanf(line + length, " %llu", out) == 1;
    if (f) fclose(f);
    return found;
}

static void at_most(size_t *least, unsigned long long limit, unsigned long long used) {
    unsigned long long left = limit > used ? limit - used : 1;
    if (!*least || left < *least) *least = (size_t)left;
}

/* As the control group at the root of its own view says, which is where a container looks from. */
static void look_at_container(size_t *least) {
    unsigned long long most, used = 0, cached = 0;
    if (!number_after("/sys/fs/cgroup/memory.max", "", &most)) return;   /* "max" */
    number_after("/sys/fs/cgroup/memory.current", "", &used);
    number_after("/sys/fs/cgroup/memory.stat", "inactive_file", &cached);
    at_most(least, most, used > cached ? used - cached : 0);
}

static void look_at_limit(size_t *least, int resource, const char *used_name) {
    struct rlimit limit;
    unsigned long long kilobytes = 0;
    if (getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return;
    number_after("/proc/self/status", used_name, &kilobytes);
    at_most(least, limit.rlim_cur, kilobytes * 1024);
}

size_t free_memory(void) {
    size_t least = 0;
    unsigned long long kilobytes;
    if (number_after("/proc/meminfo", "MemAvailable:", &kilobytes)) at_most(&least, kilobytes * 1024, 0);
    look_at_container(&least);
    look_at_limit(&least, RLIMIT_AS, "VmSize:");
    look_at_limit(&least, RLIMIT_DATA, "VmData:");
    return least;
}
