/* SPDX-License-Identifier: Apache-2.0
 *
 * What diffusion models are fused into, at sizes where threads share the work: one step each, close to the reference, and the same bits from
 * run to run. Small random shapes are check_ops' and check_graphs'. */
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
#include "trial.h"

/* The graph of t at every level and on one to three threads. `last` is how its kernel's name begins. */
static void check(trial *t, tensor *y, const char *last, tolerance tol) {
    graph_output(t->g, y);
    if (graph_check(t->g) < 0) fail_msg("%s", error_message());
    float **truth = trial_truth(t);
    for (int cap = CPU_AVX2; cap <= (int)cpu_level_here(); cap++) {
        if (y->type == NN_BF16 && cap < CPU_AVX512_BF16) continue;
        device *d = device_cpu((cpu_level)cap);
        params *store = params_new();
        for (int threads = 1; threads <= 3; threads++) {
            plan *p = plan_new(t->g, d, store, &(plan_options){ .threads = threads, .no_reference = true });
            if (!p) fail_msg("%s", error_message());
            assert_int_equal(plan_steps(p), 1);
            assert_memory_equal(plan_step(p, 0)->kernel->name, last, strlen(last));
            if (strstr(last, "onednn") && strstr(plan_step(p, 0)->info, "ref")) fail_msg("%s: implementation %s", last, plan_step(p, 0)->info);
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
            if (getenv("VERBOSE")) printf("%s %s %s: worst %.3f of the bound\n", last, nn_type_name(y->type), plan_step(p, 0)->info, worst);
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

/* ---- a convolution behind a nearest upsampling --------------------------------------------------------------------------- */

typedef struct { size_t n, h, w, ci, co; nn_type type, stored; bool oihw, bias; int residual; } doubled;   /* residual: 0, or its place in the add */

static float tap(const doubled *c, const float *w, size_t o, size_t i, size_t t) {
    return c->oihw ? w[(o * c->ci + i) * 9 + t] : w[(o * 9 + t) * c->ci + i];
}

/* |x| at a pixel, 0 outside. */
static double size_at(const doubled *c, const float *x, size_t n, long y, long column, size_t i) {
    if (y < 0 || column < 0 || y >= (long)c->h || column >= (long)c->w) return 0;
    return fabs((double)x[((n * c->h + (size_t)y) * c->w + (size_t)column) * c->ci + i]);
}

/* Of one output, the four products of onednn_upsampled.c that make it, over absolute values: what their errors are relative to. */
static double size_of_products(const doubled *c, const float *x, const float *w, size_t n, size_t y, size_t column, size_t o) {
    long r = (long)(y / 2), v = y % 2 ? 1 : -1, k = (long)(column / 2), h = column % 2 ? 1 : -1;
    double sum = 0;
    for (size_t i = 0; i < c->ci; i++) {
        double all = 0, up = 0, side = 0;
        for (size_t t = 0; t < 9; t++) all += fabs((double)tap(c, w, o, i, t));
        for (size_t t = 0; t < 3; t++) {
            up += fabs((double)tap(c, w, o, i, (v < 0 ? 0 : 6) + t));
            side += fabs((double)tap(c, w, o, i, (h < 0 ? 0 : 2) + 3 * t));
        }
        double corner = fabs((double)tap(c, w, o, i, (size_t)(4 + 3 * v + h)));
        double here = size_at(c, x, n, r, k, i), above = size_at(c, x, n, r + v, k, i), beside = size_at(c, x, n, r, k + h, i);
        sum += all * here + up * (above + here) + side * (beside + here) + corner * (size_at(c, x, n, r + v, k + h, i) + above + beside + here);
    }
    return sum;
}

/* What onednn_upsampled.c promises, u = 2^-24, P from above, K inputs: in f32 (16 + 4 sqrt(9 K)) u P, for sums of taps, differences and the order of
 * summing; in bf16 also 2^-8 P, half of it for the sums of taps and half for the differences, and 2^-8 of the result for rounding it. */
static void doubled_case(uint64_t seed, doubled c) {
    trial t = begin(seed);
    if (c.type == NN_BF16 && cpu_level_here() < CPU_AVX512_BF16) {
        trial_end(&t);
        return;
    }
    tensor *x = trial_input(&t, c.type, shape4(c.n, c.h, c.w, c.ci));
    tensor *w = trial_param(&t, c.stored, c.oihw ? shape4(c.co, c.ci, 3, 3) : shape4(c.co, 3, 3, c.ci), 0.2f), *bias = NULL;
    if (c.bias) bias = trial_param(&t, NN_F32, shape1(c.co), 0.5f);
    tensor *y = conv2d(t.g, upsample_nearest(t.g, x, 2 * c.h, 2 * c.w), w, bias, (conv2d_attr){ 1, 1, 1, 1, 1, c.oihw ? WEIGHTS_OIHW : WEIGHTS_OHWI });
    if (c.residual) {
        tensor *r = trial_input(&t, c.type, y->shape);
        y = c.residual == 1 ? add(t.g, r, y) : add(t.g, y, r);
    }
    size_t count = shape_elements(y->shape), weights = shape_elements(w->shape);
    float **bound = test_calloc(graph_tensors(t.g), sizeof *bound), *wide = test_malloc(weights * sizeof *wide);
    float *sizes = bound[y->index] = test_malloc(count * sizeof *sizes);
    nn_widen(wide, w->data, w->type, weights);
    for (size_t e = 0; e < count; e++) {
        size_t o = e % c.co, p = e / c.co;
        sizes[e] = (float)size_of_products(&c, t.numbers[0], wide, p / (4 * c.h * c.w), p / (2 * c.w) % (2 * c.h), p % (2 * c.w), o);
        float b = 0;
        if (c.bias) nn_widen(&b, (const char *)bias->data + o * sizeof b, NN_F32, 1);
        sizes[e] += fabsf(b);
        if (c.residual) sizes[e] += fabsf(t.numbers[1][e]);
    }
    tolerance tol = { .of_bound = (16 + 4 * sqrt(9 * (double)c.ci)) * 0x1p-24, .bound = bound };
    if (c.type == NN_BF16) tol.of_bound += 0x1p-8, tol.relative = 0x1p-8;
    check(&t, y, c.residual ? "upsample_nearest+conv2d+add/onednn" : "upsample_nearest+conv2d/onednn", tol);
    test_free(sizes);
    test_free(bound);
    test_free(wide);
}

static void upsampled(void **state) {
    (void)state;
    static const doubled cases[] = {
        { 1, 1, 1, 1, 1, NN_F32, NN_F32, true, true, 0 },     { 1, 1, 9, 3, 5, NN_F32, NN_F16, false, false, 0 },
        { 3, 7, 1, 17, 4, NN_F32, NN_BF16, true, true, 1 },   { 2, 11, 13, 33, 20, NN_F32, NN_F32, false, true, 2 },
        { 3, 6, 7, 16, 330, NN_F32, NN_F16, true, false, 0 }, { 1, 3, 150, 8, 48, NN_F32, NN_F32, true, true, 0 },
        { 2, 5, 5, 64, 641, NN_F32, NN_F32, true, true, 0 },  { 5, 2, 2, 2, 3, NN_F32, NN_F32, true, true, 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        doubled c = cases[i];
        doubled_case(i, c);
        c.type = NN_BF16;
        if (i % 2) c.stored = NN_BF16;
        doubled_case(100 + i, c);
    }
}

/* What looks alike and is not: an upsampling to another size than twice, another window, a picture that is read once more. */
static void not_upsampled(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        trial t = begin((uint64_t)i);
        tensor *x = trial_input(&t, NN_F32, shape4(1, 5, 6, 16)), *up = upsample_nearest(t.g, x, i == 0 ? 9 : 10, i == 1 ? 13 : 12);
        size_t side = i == 2 ? 5 : i == 3 ? 1 : 3;
        conv2d_attr a = { i == 4 ? 2 : 1, i != 5, 1, 1, i != 6, WEIGHTS_OIHW };
        tensor *y = conv2d(t.g, up, trial_param(&t, NN_F32, shape4(16, 16, side, side), 0.2f), NULL, a);
        graph_output(t.g, y);
        if (i == 7) graph_output(t.g, up);
        device *d = device_cpu(CPU_BEST);
        params *store = params_new();
        plan *p = plan_new(t.g, d, store, &(plan_options){ .threads = 1, .no_reference = true });
        if (!p) fail_msg("%s", error_message());
        assert_int_equal(plan_steps(p), 2);
        assert_string_equal(plan_step(p, 1)->kernel->name, "conv2d/onednn");
        plan_free(p);
        params_free(store);
        device_free(d);
        trial_end(&t);
    }
}

/* Counting finds the size that packing makes, and plans for other pictures and threads share the weights. */
static void upsampled_weights(void **state) {
    (void)state;
    trial t = begin(1);
    tensor *w = trial_param(&t, NN_F32, shape4(700, 16, 3, 3), 0.2f);
    device *d = device_cpu(CPU_BEST);
    params *store = params_new(), *counted = params_new_counting();
    size_t first = 0;
    for (int i = 0; i < 3; i++) {
        graph *g = graph_new();
        tensor *same = graph_param(g, "w", w->type, w->shape, w->data), *x = graph_input(g, "x", NN_F32, shape4(1 + (size_t)i, 8, 8, 16));
        graph_output(g, conv2d(g, upsample_nearest(g, x, 16, 16), same, NULL, (conv2d_attr){ 1, 1, 1, 1, 1, WEIGHTS_OIHW }));
        plan *p = plan_new(g, d, store, &(plan_options){ .threads = 1 + i }), *q = plan_new(g, d, counted, &(plan_options){ .threads = 1 + i });
        if (!p || !q) fail_msg("%s", error_message());
        assert_int_equal(plan_steps(p), 1);
        assert_int_equal(plan_bytes(p), plan_bytes(q));
        assert_int_equal(params_bytes(store), params_bytes(counted));
        if (i == 0) first = params_bytes(store);
        if (cpu_level_here() >= CPU_AVX512) assert_int_equal(params_bytes(store), first);   /* below, the library's layout may depend on rows */
        plan_free(p);
        plan_free(q);
        graph_free(g);
    }
    params_free(store);
    params_free(counted);
    device_free(d);
    trial_end(&t);
}

int main(void) {
    if (cpu_level_here() < CPU_AVX2) return printf("1..0 # SKIP no kernels for this processor\n"), 0;
    const struct CMUnitTest tests[] = { cmocka_unit_test(norms), cmocka_unit_test(products), cmocka_unit_test(upsampled), cmocka_unit_test(not_upsampled),
                                        cmocka_unit_test(upsampled_weights) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
