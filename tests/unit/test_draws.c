/* SPDX-License-Identifier: Apache-2.0
 *
 * Training's draws beside torch's, and latents, noised latents, targets and weights beside diffusers' (tests/reference/draws_golden.py). */
#include "fixtures.h"
#include "models.h"
#include "train/batch_noising.h"
#include "train/draws.h"

enum { C = 4, H = 4, W = 6, PLACES = H * W, N = C * PLACES };

static weights *goldens;

static const void *golden(const char *name, size_t bytes) {
    const stored_tensor *t = weights_find(goldens, name);
    if (!t || t->bytes != bytes) fail_msg("%s: no golden of %zu bytes", name, bytes);
    return t->data;
}

/* Of [c,places] numbers, channels last. */
static void last(const float *planes, size_t c, float *out) {
    for (size_t k = 0; k < c; k++)
        for (size_t p = 0; p < PLACES; p++) out[p * c + k] = planes[k * PLACES + p];
}

static void test_draws(void **state) {
    (void)state;
    enum { ASKED = 6 };
    const int64_t *asked = golden("asked", ASKED * 16), *seeds = golden("seeds", ASKED * 8);
    const float *uniform = golden("uniform", ASKED * 12), *posterior = golden("posterior", ASKED * N * 4), *noise = golden("noise", ASKED * N * 4);
    const float *offset = golden("offset", ASKED * C * 4);
    for (int i = 0; i < ASKED; i++) {
        uint64_t seed = (uint64_t)asked[2 * i], place = (uint64_t)asked[2 * i + 1];
        float got[N], want[N];
        noise_source s;
        assert_int_equal(draws_seed(seed, place), seeds[i]);
        draws_begin(&s, seed, place);
        item_draws d = draws_choose(&s, &(draws_settings){ 1000, 0.5, true });
        assert_int_equal(d.timestep, (int)((double)uniform[3 * i] * 1000));
        assert_int_equal(d.dropped, uniform[3 * i + 1] < 0.5f);
        assert_int_equal(d.mirrored, uniform[3 * i + 2] < 0.5f);
        assert_int_equal(noise_pictures(&s, 1, H, W, C, got), 0);
        last(posterior + i * N, C, want);
        expect_equal_bits("posterior", got, want, N);
        assert_int_equal(noise_pictures(&s, 1, H, W, C, got), 0);
        last(noise + i * N, C, want);
        expect_equal_bits("noise", got, want, N);
        noise_normal(&s, got, C);
        expect_equal_bits("offset", got, offset + i * C, C);
        /* Settings that are off change no draw. */
        noise_source plain;
        draws_begin(&plain, seed, place);
        item_draws none = draws_choose(&plain, &(draws_settings){ 1000, 0, false });
        assert_int_equal(none.timestep, d.timestep);
        assert_false(none.dropped || none.mirrored);
    }
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Of a hash, a hundred of these would be pairs. */
static void test_seeds_differ(void **state) {
    (void)state;
    enum { PLACES_ASKED = 1 << 20 };
    uint32_t *seeds = malloc(PLACES_ASKED * sizeof *seeds);
    size_t together = 0;
    for (uint32_t p = 0; p < PLACES_ASKED; p++) {
        seeds[p] = draws_seed(3, (uint64_t)5 << 32 | (UINT32_MAX - p));
        together += draws_seed(3, p) == draws_seed(4, p) || draws_seed(3, p) == draws_seed(3, p + ((uint64_t)1 << 32));
    }
    qsort(seeds, PLACES_ASKED, sizeof *seeds, by_number);
    for (size_t i = 1; i < PLACES_ASKED; i++) assert_true(seeds[i] != seeds[i - 1]);
    assert_true(together < 5);
    free(seeds);
}

static void test_timesteps_are_even(void **state) {
    (void)state;
    enum { DRAWS = 100000, BINS = 10 };
    int bin[BINS] = { 0 }, dropped = 0, mirrored = 0;
    for (uint64_t p = 0; p < DRAWS; p++) {
        noise_source s;
        draws_begin(&s, 9, p);
        item_draws d = draws_choose(&s, &(draws_settings){ 1000, 0.1, true });
        assert_in_range(d.timestep, 0, 999);
        bin[d.timestep / 100]++;
        dropped += d.dropped;
        mirrored += d.mirrored;
    }
    for (int i = 0; i < BINS; i++) assert_in_range(bin[i], 9500, 10500);   /* 5 deviations */
    assert_in_range(dropped, 9500, 10500);
    assert_in_range(mirrored, 49000, 51000);
}

/* ---- noising --------------------------------------------------------------------------------------------------------------- */

enum { TIMES = 7 };

static noising opened(bool predicts_v, double min_snr, double noise_offset) {
    noising n;
    noising_settings s = { 0.00085, 0.012, 1000, predicts_v, 0.18215, min_snr, noise_offset };
    assert_int_equal(noising_new(&s, &n), 0);
    return n;
}

static void expect_near(const char *what, const float *got, const float *want, size_t n, double bound) {
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]), size = fabs((double)want[i]);
        if (!(d <= bound * (size > 1e-3 ? size : 1e-3))) fail_msg("%s: number %zu is %.9g, not %.9g", what, i, (double)got[i], (double)want[i]);
    }
}

/* Latents within 3 units in the last place, of which the exponential has 1; what is made of the golden's latents with equal bits. */
static void compare(bool predicts_v, bool shifted) {
    const int64_t *times = golden("times", TIMES * 8);
    const float *moments = golden("moments", 2 * TIMES * N * 4), *normal = golden("normal", TIMES * N * 4), *eps = golden("eps", TIMES * N * 4);
    const float *shift = golden("shift", TIMES * C * 4), *latent = golden("latent", TIMES * N * 4), *weight = golden(predicts_v ? "weight_v" : "weight", TIMES * 4);
    const float *x = golden(shifted ? "x_shifted" : "x", TIMES * N * 4), *v = golden(shifted ? "v_shifted" : "v", TIMES * N * 4);
    const float *target = predicts_v ? v : golden(shifted ? "shifted" : "eps", TIMES * N * 4);
    noising n = opened(predicts_v, 5, shifted ? 0.1 : 0);
    for (int i = 0; i < TIMES; i++) {
        float in[2 * N], random[N], noise[N], got[N], want[N], asked[N];
        last(moments + 2 * i * N, 2 * C, in);
        last(normal + i * N, C, random);
        noising_latent(&n, PLACES, C, in, random, got);
        last(latent + i * N, C, want);
        expect_near("latent", got, want, N, 4e-7);
        last(eps + i * N, C, noise);
        memcpy(got, want, sizeof got);
        noising_apply(&n, (int)times[i], PLACES, C, got, noise, shift + i * C, got, asked);
        last(x + i * N, C, want);
        expect_equal_bits("x", got, want, N);
        last(target + i * N, C, want);
        expect_equal_bits("target", asked, want, N);
        float w = noising_weight(&n, (int)times[i]);
        expect_near("weight", &w, weight + i, 1, 3e-7);
    }
    noising_free(&n);
}

static void test_noising(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) compare(k & 1, k & 2);
    noising n = opened(false, 0, 0);
    for (int t = 0; t < 1000; t++) assert_true(noising_weight(&n, t) == 1);
    noising_free(&n);
}

static int open_goldens(void **state) {
    (void)state;
    return weights_open("tests/golden/draws.safetensors", &goldens);
}
static int close_goldens(void **state) {
    (void)state;
    weights_close(goldens);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_seeds_differ),
        cmocka_unit_test(test_timesteps_are_even),
        cmocka_unit_test(test_noising),
    };
    return cmocka_run_group_tests(tests, open_goldens, close_goldens);
}
