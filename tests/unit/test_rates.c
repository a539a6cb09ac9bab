/* SPDX-License-Identifier: Apache-2.0
 *
 * Learning rates and the like by their formulas, worked out beside. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/rates.h"

static void near(double got, double want) {
    if (!(fabs(got - want) <= 1e-12 * fabs(want))) fail_msg("%.17g, %.17g was expected", got, want);
}

static void test_constant(void **state) {
    (void)state;
    const rate_schedule s = { .base = 1e-5 };
    assert_true(rate_at(&s, 1) == 1e-5 && rate_at(&s, 1000000) == 1e-5);
    const rate_schedule w = { .base = 1e-5, .warmup = 4 };
    near(rate_at(&w, 1), 0.25e-5);
    near(rate_at(&w, 3), 0.75e-5);
    assert_true(rate_at(&w, 4) == 1e-5 && rate_at(&w, 5) == 1e-5);
}

static void test_linear(void **state) {
    (void)state;
    const rate_schedule s = { RATE_LINEAR, 1, 0.1, 0, 11 };
    assert_true(rate_at(&s, 1) == 1);
    near(rate_at(&s, 2), 0.91);
    near(rate_at(&s, 6), 0.55);
    near(rate_at(&s, 10), 0.19);
    assert_true(rate_at(&s, 11) == 0.1 && rate_at(&s, 12) == 0.1);
    const rate_schedule w = { RATE_LINEAR, 1, 0, 10, 20 };
    near(rate_at(&w, 5), 0.5);
    assert_true(rate_at(&w, 10) == 1 && rate_at(&w, 20) == 0);
    near(rate_at(&w, 15), 0.5);
}

/* 0.5 (1 + cos(pi t)) at t = 1/4, 1/3, 1/2, 3/4. */
static void test_cosine(void **state) {
    (void)state;
    const rate_schedule s = { RATE_COSINE, 2, 0, 0, 13 };
    assert_true(rate_at(&s, 1) == 2);
    near(rate_at(&s, 4), 1.7071067811865475);
    near(rate_at(&s, 5), 1.5);
    near(rate_at(&s, 7), 1);
    near(rate_at(&s, 10), 0.2928932188134524);
    assert_true(rate_at(&s, 13) == 0 && rate_at(&s, 99) == 0);
    const rate_schedule f = { RATE_COSINE, 2, 0.25, 0, 13 };
    near(rate_at(&f, 7), 1.25);
    assert_true(rate_at(&f, 13) == 0.5);
    double last = 3;
    for (uint64_t i = 1; i <= 13; i++) {
        assert_true(rate_at(&f, i) < last);
        last = rate_at(&f, i);
    }
}

/* Where there is nothing between the beginning and the end. */
static void test_short(void **state) {
    (void)state;
    for (int shape = 0; shape < RATE_SHAPES; shape++)
        for (uint64_t warmup = 0; warmup < 4; warmup++)
            for (uint64_t steps = 0; steps < 4; steps++) {
                const rate_schedule s = { (rate_shape)shape, 1, 0, warmup, steps };
                for (uint64_t i = 1; i < 6; i++) {
                    double r = rate_at(&s, i);
                    assert_true(r >= 0 && r <= 1);
                }
            }
}

static void test_average(void **state) {
    (void)state;
    near(average_decay(0.9999, 1), 0.1);
    near(average_decay(0.9999, 2), 2 / 11.0);
    near(average_decay(0.9999, 91), 91 / 100.0);
    assert_true(average_decay(0.5, 100) == 0.5 && average_decay(0.9999, 1000000) == 0.9999);
}

static void test_smooth(void **state) {
    (void)state;
    smooth s = { 0 };
    assert_true(isnan(smooth_value(&s)));
    smooth_add(&s, 3, 0.9);
    near(smooth_value(&s), 3);                                     /* no memory of a zero that was never seen */
    smooth_add(&s, 1, 0.9);
    near(smooth_value(&s), (0.9 * 3 + 1) / 1.9);
    smooth kept = s;
    for (int i = 0; i < 1000; i++) smooth_add(&s, 7, 0.9), smooth_add(&kept, 7, 0.9);
    near(smooth_value(&s), 7);
    assert_memory_equal(&s, &kept, sizeof s);
}

int main(void) {
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = { T(test_constant), T(test_linear), T(test_cosine), T(test_short), T(test_average), T(test_smooth) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
