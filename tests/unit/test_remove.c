/* SPDX-License-Identifier: Apache-2.0
 *
 * Removal when what it set aside can't be read any more: no item may pass for one that stays. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "data/remove_inside.h"
#include "scratch.h"

/* Empties the files of ours that have no name. */
static int empty_unnamed(void) {
    char path[300], link[4096];
    int emptied = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) return 0;
    for (const struct dirent *e; (e = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        ssize_t n = readlink(path, link, sizeof link - 1);
        if (n <= 0) continue;
        link[n] = 0;
        if (strncmp(link, scratch_folder(), strlen(scratch_folder())) == 0 && strstr(link, " (deleted)")) emptied += ftruncate(atoi(e->d_name), 0) == 0;
    }
    closedir(dir);
    return emptied;
}

static const uint8_t digest[32] = { 1 };
static const char line[] = "{\"source\": \"source/a.png\", \"target\": \"target/a.jpg\", \"prompt\": \"\"}\n";

static removal *begin(mien_check_options *options, mien_check_result *result) {
    removal *r;
    assert_int_equal(folder_make("target"), 0);
    assert_int_equal(file_save("target/a.jpg", "photo", 5), 0);
    assert_int_equal(file_save("prompt.jsonl", line, strlen(line)), 0);
    *options = (mien_check_options){ .fix = true };
    *result = (mien_check_result){ 0 };
    assert_int_equal(removal_new(".", ".", options, result, &r), 0);
    assert_int_equal(removal_has(r, "a"), 0);
    assert_int_equal(removal_add(r, "a", digest), 0);
    assert_int_equal(removal_has(r, "a"), 1);
    assert_int_equal(removal_has(r, "b"), 0);
    return r;
}

static void test_removed(void **state) {
    (void)state;
    mien_check_options options;
    mien_check_result result;
    removal *r = begin(&options, &result);
    assert_int_equal(removal_run(r), 0);
    assert_int_equal(access("target/a.jpg", F_OK), -1);
    removal_free(r);
}

static void test_lost(void **state) {
    (void)state;
    mien_check_options options;
    mien_check_result result;
    removal *r = begin(&options, &result);
    assert_int_equal(spool_flush(r->ids), 0);
    if (!empty_unnamed()) {
        removal_free(r);
        print_message("skipped: no /proc\n");
        skip();
    }
    assert_int_equal(removal_has(r, "a"), ERR_IO);
    assert_int_equal(removal_add(r, "a", digest), ERR_IO);
    assert_int_equal(removal_lists(r), ERR_IO);
    assert_int_equal(removal_run(r), ERR_IO);
    assert_non_null(strstr(error_message(), "has shrunk"));
    removal_free(r);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = { T(test_removed), T(test_lost) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
