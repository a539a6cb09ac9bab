/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as text: equal to printf's. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/number.h"

static uint64_t random_bits(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void expect_printf(float x) {
    char got[NUMBER_TEXT], want[64];
    size_t n = number_f32(got, x);
    snprintf(want, sizeof want, "%.9g", (double)x);
    assert_string_equal(got, want);
    assert_int_equal(n, strlen(want));
}

static void test_f32_equals_printf(void **state) {
    (void)state;
    static const float special[] = { 0.0f, -0.0f, 1.0f, -1.0f, 0.1f, 0.5f, 9.99999999f, 1e-4f, 9.9999997e-5f, 1e-5f, 999999999.0f, 1e9f, 1e8f,
                                     123456789.0f, 16777216.0f, 3.4028235e38f, 1.17549435e-38f, 1e-45f, 2.5f, 1e-19f, 1e-20f, 100000.0f };
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) expect_printf(special[i]), expect_printf(-special[i]);
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 500000; i++) {
        uint32_t bits = (uint32_t)(random_bits(&seed) >> 20);
        float any;
        memcpy(&any, &bits, 4);
        if (isfinite(any)) expect_printf(any);
        expect_printf((float)((double)(random_bits(&seed) >> 11) * 0x1p-53));   /* as landmarks are */
        expect_printf((float)((int)(bits % 2000001) - 1000000) / 64.0f);        /* ties */
    }
}

static void test_shortest(void **state) {
    (void)state;
    char s[NUMBER_TEXT];
    number_shortest_f32(s, 0.1f), assert_string_equal(s, "0.1");
    number_shortest_f32(s, 0.01f), assert_string_equal(s, "0.01");
    number_shortest_f32(s, 1.0f), assert_string_equal(s, "1");
    number_shortest_f64(s, 0.1), assert_string_equal(s, "0.1");
    number_shortest_f64(s, 1.0 / 3), assert_string_equal(s, "0.3333333333333333");
    number_shortest_f64(s, 64), assert_string_equal(s, "64");
}

/* A program that uses the library may have set any locale; ours may not be installed here, then there is nothing to see. */
static void test_locale(void **state) {
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8")) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    char s[NUMBER_TEXT];
    number_f32(s, 1e-30f), assert_string_equal(s, "1.00000003e-30");
    number_shortest_f64(s, 0.5), assert_string_equal(s, "0.5");
    setlocale(LC_NUMERIC, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_equals_printf),
        cmocka_unit_test(test_shortest),
        cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
