/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels of gradients and sums at sizes where threads share the work, and what they are fused of: close to the references, the same bits from run to run, and
 * for what is cut by shape alone the same bits on any number of threads. Small random shapes are check_ops'. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "nn/gradient.h"
#include "nn/update.h"
#include "trial.h"

static trial begin(uint64_t seed) {
    trial t;
    trial_begin(&t, seed);
    t.wild = false;
    return t;
}

/* The outputs as they lie there, one behind the other. */
static size_t copy_outputs(const trial *t, const plan *p, workspace *w, char *to) {
    size_t bytes = 0;
    for (size_t i = 0; i < graph_tensors(t->g); i++) {
        const tensor *x = graph_tensor(t->g, i);
        if (!x->output) continue;
        size_t n = shape_elements(x->shape) * nn_type_bytes(x->type);
        if (to) memcpy(to + bytes, plan_tensor(p, w, x), n);
        bytes += n;
    }
    return bytes;
}

/* One step, `name`, at every level that has bf16 if it is needed, on one to four threads. any: the bits are those of one thread. */
static void check(trial *t, bool bf16, const char *name, tolerance tol, bool any) {
    if (graph_check(t->g) < 0) fail_msg("%s", error_message());
    float **truth = trial_truth(t);
    for (int cap = bf16 ? CPU_AVX512_BF16 : CPU_AVX2; cap <= (int)cpu_level_here(); cap++) {
        device *d = device_cpu((cpu_level)cap);
        params *store = params_new();
        char *first = NULL;
        for (int threads = 1; threads <= 4; threads++) {
            plan *p = plan_new(t->g, d, store, &(plan_options){ .threads = threads, .no_reference = true });
            if (!p) fail_msg("%s", error_message());
            assert_int_equal(plan_steps(p), 1);
            assert_memory_equal(plan_step(p, 0)->kernel->name, name, strlen(name));
            workspace *w = workspace_new(plan_bytes(p));
            double worst = 0;
            for (int run = 0; run < 2; run++) {
                workspace_fill(w, plan_bytes(p), run ? 0x55 : 0xff);
                trial_set_inputs(t, p, w);
                assert_int_equal(plan_run(p, w, NULL), 0);
                size_t bytes = copy_outputs(t, p, w, NULL);
                char *now = test_malloc(bytes);
                copy_outputs(t, p, w, now);
                if (first) assert_memory_equal(first, now, bytes);
                if (first) test_free(now);
                else first = now;
            }
            if (!trial_compare(name, t, p, w, truth, &tol, &worst)) fail_msg("level %s, %d threads", cpu_level_name((cpu_level)cap), threads);
            if (getenv("VERBOSE")) printf("%s %s, %d threads: worst %.3f of the bound\n", name, cpu_level_name((cpu_level)cap), threads, worst);
            workspace_free(w);
            plan_free(p);
            if (!any) test_free(first), first = NULL;
        }
        test_free(first);
        params_free(store);
        device_free(d);
    }
    truth_free(t, truth);
    trial_end(t);
}

static tolerance close_to(nn_type type) { return type == NN_F32 ? (tolerance){ .relative = 0x1p-20, .of_rms = 0x1p-18 } : (tolerance){ .relative = 0x1p-6, .of_rms = 0x1p-6 }; }

static tensor *vector(trial *t, int i, size_t c) { return i & 1 ? trial_state(t, NN_F32, shape1(c), 1) : trial_param(t, NN_F16, shape1(c), 1); }

/* What backward makes of silu(group_norm(x)): one kernel that reads x and dy, and gives what is wanted. */
static void fused(void **state) {
    (void)state;
    for (int i = 0; i < 16; i++) {
        trial t = begin((uint64_t)i);
        nn_type type = i & 1 ? NN_BF16 : NN_F32;
        size_t n = i & 2 ? 3 : 1, c = 96;
        group_norm_attr a = { 32, 1e-5f };
        tensor *x = trial_input(&t, type, shape4(n, 13, 19, c)), *gamma = vector(&t, i >> 2, c), *again = group_norm(t.g, x, gamma, vector(&t, i >> 2, c), a.groups, a.epsilon), *d[3];
        tensor *e = silu_dx(t.g, again, trial_input(&t, type, x->shape));
        assert_true(group_norm_d(t.g, x, gamma, e, a, d));
        for (int k = 0; k < 3; k++)
            if (i < 8 || k != i % 3) graph_output(t.g, d[k]);
        check(&t, type == NN_BF16, "silu+group_norm_d/", close_to(type), false);
    }
}

/* What looks alike and is not: another norm's input, factor, groups or epsilon; something more that reads a tensor in between. */
static void not_fused(void **state) {
    (void)state;
    for (int i = 0; i < 7; i++) {
        trial t = begin((uint64_t)i);
        nn_shape s = shape4(1, 4, 4, 32);
        tensor *x = trial_input(&t, NN_F32, s), *gamma = vector(&t, 0, 32), *beta = vector(&t, 0, 32), *d[3];
        tensor *again = group_norm(t.g, i == 1 ? trial_input(&t, NN_F32, s) : x, i == 2 ? beta : gamma, beta, i == 3 ? 8 : 4, i == 4 ? 1e-3f : 1e-5f);
        tensor *e = silu_dx(t.g, again, trial_input(&t, NN_F32, s));
        group_norm_d(t.g, x, gamma, e, (group_norm_attr){ 4, 1e-5f }, d);
        graph_output(t.g, d[0]);
        if (i == 5) graph_output(t.g, e);
        if (i == 6) graph_output(t.g, again);
        device *dev = device_cpu(CPU_BEST);
        params *store = params_new();
        plan *p = plan_new(t.g, dev, store, &(plan_options){ .threads = 1, .no_reference = true });
        if (!p) fail_msg("%s", error_message());
        assert_int_equal(plan_steps(p), i ? 3 : 1);
        plan_free(p);
        params_free(store);
        device_free(dev);
        trial_end(&t);
    }
}

/* The rules make what the kernel takes, and a locked norm's factors cost nothing. */
static void from_rules(void **state) {
    (void)state;
    for (int locked = 0; locked < 2; locked++) {
        trial t = begin(1);
        nn_shape s = shape4(1, 8, 8, 32);
        tensor *x = trial_input(&t, NN_F32, s), *scale = trial_state(&t, NN_F32, shape1(32), 1), *gamma = vector(&t, !locked, 32), *beta = vector(&t, !locked, 32);
        scale->trainable = true;
        gamma->trainable = beta->trainable = !locked;
        tensor *y = silu(t.g, group_norm(t.g, mul(t.g, x, scale), gamma, beta, 4, 1e-5f));
        tensor *loss = graph_output(t.g, mse(t.g, y, trial_input(&t, NN_F32, s), NULL));
        if (graph_backward(t.g, loss, NULL, NULL) < 0) fail_msg("%s", error_message());
        graph_output(t.g, scale->grad);
        if (!locked) graph_output(t.g, gamma->grad), graph_output(t.g, beta->grad);
        device *dev = device_cpu(CPU_BEST);
        params *store = params_new();
        plan *p = plan_new(t.g, dev, store, &(plan_options){ .threads = 1, .no_reference = true });
        if (!p) fail_msg("%s", error_message());
        int found = 0;
        for (size_t i = 0; i < plan_steps(p); i++) {
            const kernel_step *step = plan_step(p, i);
            if (strncmp(step->kernel->name, "silu+group_norm_d/", 18)) continue;
            found++;
            assert_int_equal(step->match.n_out, locked ? 1 : 3);
        }
        assert_int_equal(found, 1);
        plan_free(p);
        params_free(store);
        device_free(dev);
        trial_end(&t);
    }
}

static void norms(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        trial t = begin((uint64_t)i);
        nn_type type = i & 1 ? NN_BF16 : NN_F32;
        size_t n = i & 2 ? 3 : 1, c = i & 4 ? 100 : 320;
        tensor *x = trial_input(&t, type, shape4(n, 13, 19, c)), *gamma = vector(&t, i, c), *d[3];
        tensor *dy = trial_input(&t, type, x->shape);
        bool layer = i >= 4;
        assert_true(layer ? layer_norm_d(t.g, x, gamma, dy, 1e-5f, d) : group_norm_d(t.g, x, gamma, dy, (group_norm_attr){ 32, 1e-5f }, d));
        for (int k = 0; k < 3; k++) graph_output(t.g, d[k]);
        check(&t, type == NN_BF16, layer ? "layer_norm_d/" : "group_norm_d/", close_to(type), false);
    }
}

/* Each kind of sum_to, and one in which blocks, strips and long runs are cut. */
static void sums(void **state) {
    (void)state;
    static const struct { nn_shape x, y; } cases[] = {
        { { 2, { 4097, 320 } }, { 1, { 320 } } },          { { 4, { 2, 33, 31, 96 } }, { 4, { 2, 1, 1, 96 } } }, { { 2, { 3, 90001 } }, { 2, { 3, 1 } } },
        { { 4, { 3, 20, 21, 64 } }, { 1, { 1 } } },        { { 2, { 70, 2500 } }, { 1, { 2500 } } },             { { 4, { 30, 17, 60, 9 } }, { 4, { 1, 17, 1, 9 } } },
        { { 4, { 30, 17, 60, 9 } }, { 4, { 30, 1, 60, 1 } } }, { { 3, { 2, 200, 300 } }, { 3, { 1, 200, 300 } } }, { { 3, { 2, 500, 130 } }, { 3, { 2, 500, 1 } } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            trial t = begin(i);
            graph_output(t.g, sum_to(t.g, trial_input(&t, bf16 ? NN_BF16 : NN_F32, cases[i].x), cases[i].y, NN_F32));
            check(&t, bf16, "sum_to/", (tolerance){ .relative = 0x1p-20, .of_rms = 0x1p-20 }, true);
        }
}

static void losses(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        trial t = begin((uint64_t)i);
        nn_type type = i & 1 ? NN_BF16 : NN_F32;
        nn_shape s = shape2(3, 40000);
        tensor *x = trial_input(&t, type, s), *target = trial_input(&t, NN_F32, s), *weight = i >= 6 ? trial_input(&t, NN_F32, shape1(3)) : NULL;
        graph_output(t.g, mse(t.g, x, target, weight));
        check(&t, type == NN_BF16, "mse/", (tolerance){ .relative = 0x1p-23 }, true);
        t = begin((uint64_t)i);
        graph_output(t.g, sum_squares(t.g, trial_input(&t, type, shape1(123457))));
        check(&t, type == NN_BF16, "sum_squares/", (tolerance){ .relative = 0x1p-23 }, true);
    }
}

/* Absolute distances, and an autoencoder's posterior, at sizes with cut last blocks. */
static void posteriors(void **state) {
    (void)state;
    for (int i = 0; i < 12; i++) {
        trial t = begin((uint64_t)i);
        nn_type type = i & 1 ? NN_BF16 : NN_F32;
        nn_shape s = shape4(3, 39, 41, 8), half = shape4(3, 39, 41, 4);
        tensor *x = trial_input(&t, type, s), *noise = trial_input(&t, NN_F32, half), *weight = i >= 6 ? trial_input(&t, NN_F32, shape1(3)) : NULL, *one = trial_input(&t, NN_F32, shape1(1));
        tolerance tol = type == NN_F32 ? (tolerance){ .relative = 0x1p-18, .of_rms = 0x1p-18 } : (tolerance){ .relative = 0x1p-6, .of_rms = 0x1p-6 }, sum = { .relative = 0x1p-17 };
        static const char *const names[] = { "posterior_sample/", "posterior_sample_d/", "posterior_kl/", "posterior_kl_d/", "mae/", "mae_dx/" };
        int k = i / 2;
        if (k == 0) graph_output(t.g, posterior_sample(t.g, x, noise));
        else if (k == 1) graph_output(t.g, posterior_sample_d(t.g, x, noise, trial_input(&t, type, half)));
        else if (k == 2) graph_output(t.g, posterior_kl(t.g, x, weight));
        else if (k == 3) graph_output(t.g, posterior_kl_d(t.g, x, weight, one));
        else if (k == 4) graph_output(t.g, mae(t.g, x, trial_input(&t, NN_F32, s), weight));
        else graph_output(t.g, mae_dx(t.g, x, trial_input(&t, NN_F32, s), weight, one));
        check(&t, type == NN_BF16, names[k], k == 2 || k == 4 ? sum : tol, true);
    }
}

/* Both kinds of AdamW, at sizes with a cut last block: all states have the reference's bits. */
static void updates(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        trial t = begin((uint64_t)i);
        enum { N = 33333 };
        adamw8_attr a = { { 0.9f, 0.999f, 1e-8f, 0.01f }, 7 };
        bool bf16 = i & 1;
        tensor *dw = trial_input(&t, NN_F32, shape1(N)), *now = trial_input(&t, NN_F32, shape1(ADAMW_NOW));
        adamw_now(&a.adamw, 0.001, 3, t.numbers[1]);
        tensor *w = trial_state(&t, bf16 ? NN_BF16 : NN_F32, shape1(N), 1), *low = bf16 ? trial_state(&t, NN_U16, shape1(N), 1) : NULL;
        if (i < 2) {
            tensor *m = trial_state(&t, NN_F32, shape1(N), 1), *v = trial_state(&t, NN_F32, shape1(N), 1);
            for (size_t k = 0; k < N; k++) ((float *)t.first[t.n_states - 1])[k] = fabsf(((float *)t.first[t.n_states - 1])[k]);
            adamw(t.g, &(adamw_states){ w, low, m, v }, dw, now, NULL, NULL, a.adamw);
        } else {
            tensor *moments = trial_state(&t, NN_U8, shape2(2, N), 1), *scales = trial_state(&t, NN_F32, shape2(2, adamw8_scales(N)), 1);
            for (size_t k = 0; k < 2 * adamw8_scales(N); k++) ((float *)t.first[t.n_states - 1])[k] = fabsf(((float *)t.first[t.n_states - 1])[k]);
            adamw8(t.g, &(adamw8_states){ w, low, moments, scales }, dw, now, NULL, NULL, a);
        }
        check(&t, bf16, i < 2 ? "adamw/" : "adamw8/", (tolerance){ 0 }, true);
    }
}

int main(void) {
    if (cpu_level_here() < CPU_AVX2) return printf("1..0 # SKIP no kernels for this processor\n"), 0;
    const struct CMUnitTest tests[] = { cmocka_unit_test(fused), cmocka_unit_test(not_fused), cmocka_unit_test(from_rules), cmocka_unit_test(norms),
                                        cmocka_unit_test(sums),  cmocka_unit_test(losses),    cmocka_unit_test(posteriors), cmocka_unit_test(updates) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
