/* SPDX-License-Identifier: Apache-2.0
 *
 * Free memory: that there is some, and that a limit of the process counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/free_memory.h"

static unsigned long long status_bytes(const char *format) {
    unsigned long long kilobytes = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, format, &kilobytes) == 1) break;
    if (f) fclose(f);
    return kilobytes * 1024;
}

static void limits_count(void **state) {
    (void)state;
    static const struct { int which; const char *format; } limits[] = { { RLIMIT_AS, "VmSize: %llu kB" }, { RLIMIT_DATA, "VmData: %llu kB" } };
    const size_t room = 64 << 20, blur = 16 << 20;   /* libraries map a little meanwhile */
    size_t before = free_memory();
    if (before && before < 2 * room) {
        print_message("skipped: under 128 MB are free\n");
        skip();
    }
    for (int i = 0; i < 2; i++) {
        struct rlimit was, now;
        unsigned long long used = status_bytes(limits[i].format);
        assert_int_equal(getrlimit(limits[i].which, &was), 0);
        if (!used || (was.rlim_cur != RLIM_INFINITY && was.rlim_cur < used + 2 * room)) continue;
        now = was;
        now.rlim_cur = used + room;
        assert_int_equal(setrlimit(limits[i].which, &now), 0);
        size_t left = free_memory();
        now.rlim_cur = used / 2;   /* used up, which no limit of one's own prevents */
        assert_int_equal(setrlimit(limits[i].which, &now), 0);
        size_t none = free_memory();
        assert_int_equal(setrlimit(limits[i].which, &was), 0);
        if (left > room || left + blur < room) fail_msg("%zu bytes are free of %zu", left, room);
        assert_int_equal(none, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(limits_count) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
