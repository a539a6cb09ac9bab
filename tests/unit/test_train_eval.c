/* SPDX-License-Identifier: Apache-2.0
 *
 * When the control is said to have taken hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/train_inside.h"

static char line[200];

static const char *note(train_evaluations *t, uint64_t step, double low, double high) {
    return train_eval_note(t, step, low, high, line, sizeof line);
}

static void test_hold(void **state) {
    train_evaluations t = { 0 };
    (void)state;
    assert_string_equal(note(&t, 0, 8, 10), "");
    assert_string_equal(note(&t, 100, 7.5, 9), "");          /* meets it */
    assert_string_equal(note(&t, 200, 4, 7.9), "");          /* below, once */
    assert_string_equal(note(&t, 300, 6, 8), "");            /* and not: the ends meet */
    assert_string_equal(note(&t, 400, 2, 5), "");
    assert_non_null(strstr(note(&t, 500, 2, 4), "from step 400 on"));
    assert_string_equal(note(&t, 600, 1, 3), "");            /* told once */
    assert_non_null(strstr(note(&t, 700, 3, 9), "not lasting from step 400 on"));
    assert_string_equal(note(&t, 800, 3, 9), "");
    assert_string_equal(note(&t, 900, 1, 2), "");
    assert_non_null(strstr(note(&t, 1000, 1, 2), "from step 900 on"));
}

/* One item has no interval: nothing is said of it. */
static void test_unknown(void **state) {
    train_evaluations t = { 0 };
    (void)state;
    for (uint64_t i = 0; i < 5; i++) assert_string_equal(note(&t, i, NAN, NAN), "");
    train_evaluations u = { 0 };
    note(&u, 0, 5, 6);
    for (uint64_t i = 1; i < 5; i++) assert_string_equal(note(&u, i, NAN, NAN), "");
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_hold), cmocka_unit_test(test_unknown) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
