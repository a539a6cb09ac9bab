/* SPDX-License-Identifier: Apache-2.0 */
#include "fixtures.h"

#include <math.h>

#include "diffusion/noise.h"
#include "diffusion/noise_inside.h"

/* ---- torch.randn and torch.rand on the CPU ---- */

static uint64_t parse_seed(const char *s) { return s[0] == '-' ? (uint64_t)strtoll(s, NULL, 10) : strtoull(s, NULL, 10); }

static void test_golden(void **state) {
    (void)state;
    FILE *f = fopen("tests/golden/noise.txt", "r");
    assert_non_null(f);
    char line[256], kind[16], seed[32];
    noise_source s = { 0 };
    int draws = 0;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "seed %31s", seed) == 1) {
            noise_seed(&s, NOISE_TORCH_CPU, parse_seed(seed));
            continue;
        }
        size_t n;
        unsigned long long hash;
        float first, middle, last;
        assert_int_equal(sscanf(line, "%15s %zu %llx %f %f %f", kind, &n, &hash, &first, &middle, &last), 6);
        float *x = malloc(n * sizeof *x);
        if (strcmp(kind, "normal") == 0) noise_normal(&s, x, n);
        else noise_uniform(&s, x, n);
        if (x[0] != first || x[n / 2] != middle || x[n - 1] != last || fnv1a(x, n * sizeof *x) != hash)
            fail_msg("seed %s, draw %d: %.9g %.9g %.9g, not %s", seed, draws, (double)x[0], (double)x[n / 2], (double)x[n - 1], line);
        free(x);
        draws++;
    }
    fclose(f);
    assert_int_equal(draws, 2 * 40 + 12 + 5 + 7 * 4);
}

static void test_copy_goes_on(void **state) {
    (void)state;
    noise_source a, b;
    float x[3], y[3];
    noise_seed(&a, NOISE_TORCH_CPU, 5);
    noise_normal(&a, x, 3);   /* leaves one waiting */
    b = a;
    noise_normal(&a, x, 3);
    noise_normal(&b, y, 3);
    assert_memory_equal(x, y, sizeof x);
    noise_seed(&a, NOISE_TORCH_CPU, 5);
    assert_false(a.has_next);
}

/* ---- torch.randn on a GPU ---- */

/* Known answers of Random123, the generator's own library. */
static void test_philox(void **state) {
    (void)state;
    static const struct { uint32_t counter[4], key[2], out[4]; } known[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 }, { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        noise_philox(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

/* Element i of draw k comes from counter { k, 0, i, 0 }, whatever else is drawn. */
static void test_cuda_layout(void **state) {
    (void)state;
    enum { N = 5000 };
    static float first[N], second[N], few[10];
    noise_source s;
    noise_seed(&s, NOISE_TORCH_CUDA, UINT64_C(0x100000007));
    noise_normal(&s, first, N);
    noise_normal(&s, second, N);
    noise_seed(&s, NOISE_TORCH_CUDA, UINT64_C(0x100000007));
    noise_normal(&s, few, 10);
    expect_equal_bits("the first draw", few, first, 10);
    noise_normal(&s, few, 10);
    expect_equal_bits("the second draw", few, second, 10);
    uint32_t out[4];
    noise_philox((uint32_t[4]){ 1, 0, 9, 0 }, (uint32_t[2]){ 7, 1 }, out);
    double u = (out[0] + 0.5) / 4294967296.0, v = (out[1] + 0.5) / 4294967296.0 * 2 * 3.14159265358979;
    assert_true(fabs(second[9] - sqrt(-2 * log(u)) * sin(v)) < 1e-5);
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) sum += (double)first[i], squares += (double)first[i] * (double)first[i];
    assert_true(fabs(sum / N) < 0.06 && fabs(squares / N - 1) < 0.08);
}

/* ---- Layout ---- */

static void test_pictures(void **state) {
    (void)state;
    enum { N = 2, H = 3, W = 5, C = 4, COUNT = N * H * W * C };
    float planes[COUNT], ours[COUNT];
    noise_source s;
    for (int kind = 0; kind < NOISES; kind++) {
        noise_seed(&s, (noise_kind)kind, 11);
        noise_normal(&s, planes, COUNT);
        noise_seed(&s, (noise_kind)kind, 11);
        assert_int_equal(noise_pictures(&s, N, H, W, C, ours), 0);
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++)
                for (int p = 0; p < H * W; p++) assert_true(ours[(n * H * W + p) * C + c] == planes[(n * C + c) * H * W + p]);
    }
    assert_int_equal(noise_pictures(&s, SIZE_MAX, 2, 2, 4, ours), ERR_MEMORY);
    assert_int_equal(noise_pictures(&s, 1, SIZE_MAX / 8, 1, 1, ours), ERR_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_copy_goes_on), cmocka_unit_test(test_philox), cmocka_unit_test(test_cuda_layout),
        cmocka_unit_test(test_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
