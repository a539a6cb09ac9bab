/* SPDX-License-Identifier: Apache-2.0
 *
 * What diffusion models are fused into, at sizes where threads share the work: one step each, close to the reference, and the same bits from
 * run to run. Small random shapes are check_ops' and check_graphs'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "trial.h"

/* The graph of t at every level and on one to three threads. `last` is how its kernel's name begins. */
static void check(trial *t, tensor *y, const char *last, tolerance tol) {
    graph_output(t->g, y);
    if (graph_check(t->g) < 0) fail_msg("%s", error_message());
    float **truth = trial_truth(t);
    for (int cap = CPU_AVX2; cap <= (int)cpu_level_here(); cap++) {
        if (y->type == NN_BF16 && cap < CPU_AVX512_BF16 && strstr(last, "linear")) continue;
        device *d = device_cpu((cpu_level)cap);
        params *store = params_new();
        for (int threads = 1; threads <= 3; threads++) {
            plan *p = plan_new(t->g, d, store, &(plan_options){ .threads = threads, .no_reference = true });
            if (!p) fail_msg("%s", error_message());
            assert_int_equal(plan_steps(p), 1);
            assert_memory_equal(plan_step(p, 0)->kernel->name, last, strlen(last));
            workspace *w = workspace_new(plan_bytes(p));
            size_t bytes = shape_elements(y->shape) * nn_type_bytes(y->type);
            char *first = test_malloc(bytes);
            double worst = 0;
            for (int run = 0; run < 2; run++) {
                workspace_fill(w, plan_bytes(p), run ? 0x55 : 0xff);
                trial_set_inputs(t, p, w);
                assert_int_equal(plan_run(p, w, NULL), 0);
                if (run) assert_memory_equal(first, plan_tensor(p, w, y), bytes);
                else memcpy(first, plan_tensor(p, w, y), bytes);
            }
            if (!trial_compare(plan_step(p, 0)->kernel->name, t, p, w, truth, &tol, &worst)) fail_msg("level %s, %d threads", cpu_level_name((cpu_level)cap), threads);
            test_free(first);
            workspace_free(w);
            plan_free(p);
        }
        params_free(store);
        device_free(d);
    }
    truth_free(t, truth);
    trial_end(t);
}

static trial begin(uint64_t seed) {
    trial t;
    trial_begin(&t, seed);
    t.wild = false;
    return t;
}

/* silu(group_norm(x + time)): a vector for all pictures or one each, f32 or bf16. */
static void norms(void **state) {
    (void)state;
    for (int i = 0; i < 16; i++) {
        trial t = begin((uint64_t)i);
        nn_type type = i & 1 ? NN_BF16 : NN_F32;
        size_t n = i & 2 ? 3 : 1, c = 96;
        tensor *x = trial_input(&t, type, shape4(n, 13, 19, c));
        tensor *time = trial_input(&t, i & 4 ? NN_F32 : type, shape4(i & 8 ? n : 1, 1, 1, c));
        for (size_t k = 0; k < shape_elements(time->shape); k++) t.numbers[1][k] *= 4;
        tensor *y = group_norm(t.g, add(t.g, x, time), trial_param(&t, NN_F32, shape1(c), 1), trial_param(&t, NN_F16, shape1(c), 1), 32, 1e-5f);
        /* The kernel does not round x + time to bf16, as the reference does: 2^-9 of a sum of up to 5 standard deviations. */
        check(&t, silu(t.g, y), "group_norm+silu/", type == NN_F32 ? (tolerance){ .relative = 0x1p-20, .of_rms = 0x1p-18 } : (tolerance){ .relative = 0x1p-6, .of_rms = 0x1p-4 });
    }
}

/* Rows that no number of chunks divides. */
static void products(void **state) {
    (void)state;
    static const size_t rows[] = { 257, 523, 1027 };
    for (int i = 0; i < 6; i++) {
        trial t = begin((uint64_t)i);
        nn_type type = i & 1 ? NN_BF16 : NN_F32;
        if (type == NN_BF16 && cpu_level_here() < CPU_AVX512_BF16) {
            trial_end(&t);
            continue;
        }
        tensor *x = trial_input(&t, type, shape3(1, rows[i / 2], 48));
        tensor *w = trial_param(&t, type, shape2(2 * 40, 48), 0.2f);
        tensor *y = geglu(t.g, linear(t.g, x, w, trial_param(&t, NN_F32, shape1(80), 0.5f)));
        check(&t, y, type == NN_F32 ? "linear+geglu/onednn" : "linear+geglu/avx512bf16", type == NN_F32 ? (tolerance){ .relative = 0x1p-19, .of_rms = 0x1p-19 } : (tolerance){ .relative = 0x1p-6, .of_rms = 0x1p-6 });
    }
}

int main(void) {
    if (cpu_level_here() < CPU_AVX2) return printf("1..0 # SKIP no kernels for this processor\n"), 0;
    const struct CMUnitTest tests[] = { cmocka_unit_test(norms), cmocka_unit_test(products) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
