/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "face/locate.h"

static void chosen_wins(void **state) {
    (void)state;
    char path[PATH_MAX];
    setenv("MIEN_MODELS", "/from/environment", 1);
    assert_int_equal(locate_models("/from/caller", path, sizeof path), 0);
    assert_string_equal(path, "/from/caller");
}

static void then_environment(void **state) {
    (void)state;
    char path[PATH_MAX];
    setenv("MIEN_MODELS", "/from/environment", 1);
    assert_int_equal(locate_models(NULL, path, sizeof path), 0);
    assert_string_equal(path, "/from/environment");
}

/* From any working directory: found in the build tree (or refused, naming the places, where MODELS_DIR is elsewhere). */
static void then_beside_the_program(void **state) {
    (void)state;
    char path[PATH_MAX], before[PATH_MAX], file[PATH_MAX + 64];
    unsetenv("MIEN_MODELS");
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir("/"), 0);
    int rc = locate_models(NULL, path, sizeof path);
    if (rc == 0) {
        assert_int_equal(path[0], '/');
        strcat(strcpy(file, path), "/face_detection_short_range.tflite");
        assert_int_equal(access(file, R_OK), 0);
    } else {
        assert_int_equal(rc, ERR_IO);
        assert_non_null(strstr(error_message(), "share/mien/models"));
        assert_non_null(strstr(error_message(), "MIEN_MODELS"));
    }
    assert_int_equal(chdir(before), 0);
}

static void empty_variable_is_none(void **state) {
    (void)state;
    char a[PATH_MAX] = "", b[PATH_MAX] = "";
    unsetenv("MIEN_MODELS");
    int none = locate_models(NULL, a, sizeof a);
    setenv("MIEN_MODELS", "", 1);
    assert_int_equal(locate_models(NULL, b, sizeof b), none);
    assert_string_equal(a, b);
}

static void long_path_is_refused(void **state) {
    (void)state;
    char path[4];
    assert_int_equal(locate_models("/four", path, sizeof path), ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_wins),
        cmocka_unit_test(then_environment),
        cmocka_unit_test(then_beside_the_program),
        cmocka_unit_test(empty_variable_is_none),
        cmocka_unit_test(long_path_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
