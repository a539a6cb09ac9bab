/* SPDX-License-Identifier: Apache-2.0
 *
 * Estimates: known values, the same bits again, and intervals that cover what they should of simulated data, also of values that
 * come in clusters. */
#include <math.h>
#include <string.h>

#include "eval/statistics.h"
#include "fixtures.h"

static void expect_near(const char *what, double got, double want, double most) {
    if (!(fabs(got - want) <= most)) fail_msg("%s: %.9g, not %.9g", what, got, want);
}

static double normal_of(dice *d) {
    double u = dice_unit(d) + 1e-12, v = dice_unit(d);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static void test_values(void **unused) {
    (void)unused;
    const double x[] = { 1, 2, NAN, 3, 10, INFINITY }, y[] = { 2, 4, 1, 6, NAN, 0 };
    estimate e;
    assert_int_equal(statistics_mean(x, NULL, 6, NULL, &e), 0);
    assert_true(e.value == 4 && e.n == 4 && e.clusters == 4 && e.low < 4 && e.high > 4 && e.low >= 1 && e.high <= 10);
    statistics_median(x, NULL, 6, NULL, &e);
    assert_true(e.value == 2.5);
    statistics_median(x, NULL, 4, NULL, &e);
    assert_true(e.value == 2);
    statistics_difference(y, x, NULL, 6, NULL, &e);
    expect_near("difference", e.value, 2, 1e-12);
    assert_int_equal(e.n, 3);
    statistics_ratio(y, x, NULL, 6, NULL, &e);
    expect_near("ratio", e.value, 2, 1e-12);
    expect_near("ratio's interval", e.high - e.low, 0, 1e-12);
    statistics_correlation(x, y, NULL, 6, NULL, &e);
    expect_near("correlation", e.value, 1, 1e-12);
    statistics_slope(x, y, NULL, 6, NULL, &e);
    expect_near("slope", e.value, 2, 1e-12);
}

static void test_nothing(void **unused) {
    (void)unused;
    const double none[] = { NAN, NAN }, one[] = { 3, NAN }, flat[] = { 5, 5, 5 };
    const uint64_t same[] = { 7, 7, 7 };
    estimate e, f;
    statistics_mean(none, NULL, 2, NULL, &e);
    assert_true(isnan(e.value) && isnan(e.low) && e.n == 0);
    statistics_median(none, NULL, 0, NULL, &e);
    assert_true(isnan(e.value));
    statistics_rate(none, NULL, 2, NULL, &e);
    assert_true(isnan(e.value) && isnan(e.low));
    statistics_mean(one, NULL, 2, NULL, &e);
    assert_true(e.value == 3 && isnan(e.low) && isnan(e.high) && e.clusters == 1);
    statistics_mean(flat, same, 3, NULL, &f);
    assert_true(f.value == 5 && f.n == 3 && f.clusters == 1 && isnan(f.low));
    assert_true(statistics_overlap(&e, &f));
    statistics_mean(flat, NULL, 3, NULL, &f);
    assert_true(f.low == 5 && f.high == 5);
    statistics_correlation(flat, flat, NULL, 3, NULL, &f);
    assert_true(isnan(f.value));
}

static void test_overlap(void **unused) {
    (void)unused;
    estimate a = { .low = 1, .high = 2 }, b = { .low = 2, .high = 3 }, c = { .low = 2.1, .high = 3 };
    assert_true(statistics_overlap(&a, &b) && statistics_overlap(&b, &a) && !statistics_overlap(&a, &c) && !statistics_overlap(&c, &a));
}

/* 500 of 500 is not for certain: Wilson's lower end is n / (n + z^2). */
static void test_rate(void **unused) {
    (void)unused;
    enum { N = 500 };
    double x[N];
    estimate e;
    for (int i = 0; i < N; i++) x[i] = 1;
    statistics_rate(x, NULL, N, NULL, &e);
    assert_true(e.value == 1 && e.high == 1);
    expect_near("lower end", e.low, N / (N + 1.959964 * 1.959964), 1e-6);
    for (int i = 0; i < N; i += 10) x[i] = 0;
    statistics_rate(x, NULL, N, NULL, &e);
    assert_true(fabs(e.value - 0.9) < 1e-12 && e.low > 0.86 && e.low < 0.88 && e.high > 0.92 && e.high < 0.94);
}

static void test_same_again(void **unused) {
    (void)unused;
    enum { N = 60 };
    double x[N], y[N];
    uint64_t cluster[N];
    dice d = { 99 };
    for (int i = 0; i < N; i++) x[i] = exp(normal_of(&d)), y[i] = x[i] + normal_of(&d), cluster[i] = (uint64_t)i / 4 * 1000;
    typedef int function(const double *, const uint64_t *, size_t, const bootstrap *, estimate *);
    typedef int of_pairs(const double *, const double *, const uint64_t *, size_t, const bootstrap *, estimate *);
    function *const f[] = { statistics_mean, statistics_median };
    of_pairs *const g[] = { statistics_difference, statistics_ratio, statistics_correlation, statistics_slope };
    for (int k = 0; k < 6; k++) {
        estimate a, b, c;
        for (int t = 0; t < 3; t++) {
            estimate *e = t == 0 ? &a : t == 1 ? &b : &c;
            bootstrap how = { .draws = 500, .seed = t == 2 };
            assert_int_equal(k < 2 ? f[k](x, cluster, N, &how, e) : g[k - 2](x, y, cluster, N, &how, e), 0);
        }
        assert_true(a.value == b.value && a.low == b.low && a.high == b.high && a.clusters == N / 4);
        assert_true(a.value == c.value && (a.low != c.low || a.high != c.high));
        assert_true(a.low < a.value && a.value < a.high);
    }
}

/* 400 samples of a skewed distribution whose mean and median are known. Two in 100 samples may well miss by chance: the bounds
 * are four standard errors and the known shortfall of 40 values wide. */
static void test_coverage(void **unused) {
    (void)unused;
    enum { SAMPLES = 400, N = 40 };
    int mean = 0, median = 0, difference = 0;
    dice d = { 4711 };
    for (int s = 0; s < SAMPLES; s++) {
        double x[N], y[N];
        estimate e;
        bootstrap how = { .draws = 400, .seed = (uint64_t)s };
        for (int i = 0; i < N; i++) x[i] = -log(dice_unit(&d) + 1e-12), y[i] = x[i] + 0.5 + 0.3 * normal_of(&d);
        statistics_mean(x, NULL, N, &how, &e);
        mean += e.low <= 1 && e.high >= 1;
        statistics_median(x, NULL, N, &how, &e);
        median += e.low <= log(2) && e.high >= log(2);
        statistics_difference(y, x, NULL, N, &how, &e);
        difference += e.low <= 0.5 && e.high >= 0.5;
        assert_true(e.high - e.low < 0.4);   /* of pairs: what they share does not count */
    }
    print_message("covered: mean %d, median %d, difference %d of %d\n", mean, median, difference, SAMPLES);
    assert_in_range(mean, SAMPLES * 0.89, SAMPLES * 0.985);
    assert_in_range(median, SAMPLES * 0.88, SAMPLES * 0.99);
    assert_in_range(difference, SAMPLES * 0.89, SAMPLES * 0.99);
}

/* Eight values a cluster that share most of what makes them differ: taken for independent, their interval would be far too
 * narrow. */
static void test_clusters(void **unused) {
    (void)unused;
    enum { SAMPLES = 300, CLUSTERS = 40, EACH = 8, N = CLUSTERS * EACH };
    int covered = 0, naive = 0;
    dice d = { 2024 };
    for (int s = 0; s < SAMPLES; s++) {
        static double x[N];
        static uint64_t cluster[N];
        estimate e;
        bootstrap how = { .draws = 300, .seed = (uint64_t)s };
        for (int c = 0; c < CLUSTERS; c++) {
            double shared = normal_of(&d);
            for (int i = 0; i < EACH; i++) {
                int at = i * CLUSTERS + c;   /* clusters need not lie together */
                x[at] = shared + 0.3 * normal_of(&d);
                cluster[at] = (uint64_t)(c * 7919);
            }
        }
        statistics_mean(x, cluster, N, &how, &e);
        assert_int_equal(e.clusters, CLUSTERS);
        covered += e.low <= 0 && e.high >= 0;
        statistics_mean(x, NULL, N, &how, &e);
        naive += e.low <= 0 && e.high >= 0;
    }
    print_message("covered: %d of %d; as if independent: %d\n", covered, SAMPLES, naive);
    assert_in_range(covered, SAMPLES * 0.88, SAMPLES * 0.99);
    assert_true(naive < SAMPLES * 0.7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_nothing), cmocka_unit_test(test_overlap), cmocka_unit_test(test_rate),
        cmocka_unit_test(test_same_again), cmocka_unit_test(test_coverage), cmocka_unit_test(test_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
