/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights that are packed once (plan_options.pack_once): the gradient of an input makes its form of the forward pass' in each run. It must have the bits of one
 * that is packed on its own, over scratch full of NaN, on any number of threads; and where it is possible the store must be smaller by that packing. */
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
#include "nn/plan.h"

typedef struct {
    bool conv, geglu;
    size_t ci, co, k;
    int stride;
    bool turns;              /* it must be possible; else it may be */
} test_case;

typedef struct {
    graph *g;
    tensor *x, *dy, *y, *dx;
    void *weight;
} net;

enum { SIDE = 6 };

static void fill(float *x, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = ((float)(seed >> 40) / 16777216.0f - 0.5f) / 2;
    }
}

static void *numbers(nn_type type, size_t n, uint64_t seed) {
    float *x = malloc(n * sizeof *x);
    void *as = malloc(n * nn_type_bytes(type));
    assert_true(x && as);
    fill(x, n, seed);
    nn_narrow(as, type, x, n);
    free(x);
    return as;
}

static net build(const test_case *c, nn_type type, nn_type stored) {
    net n = { .g = graph_new() };
    conv2d_attr a = { .stride = c->stride, .pad_top = (int)(c->k / 2), .pad_left = (int)(c->k / 2), .pad_bottom = (int)(c->k / 2), .pad_right = (int)(c->k / 2), .weights = WEIGHTS_OIHW };
    nn_shape w = c->conv ? shape4(c->co, c->ci, c->k, c->k) : shape2(c->co, c->ci);
    n.weight = numbers(stored, shape_elements(w), 7);
    tensor *weight = graph_param(n.g, "w", stored, w, n.weight);
    n.x = graph_input(n.g, "x", type, c->conv ? shape4(1, SIDE, SIDE, c->ci) : shape3(1, SIDE * SIDE, c->ci));
    tensor *y = c->conv ? conv2d(n.g, n.x, weight, NULL, a) : linear(n.g, n.x, weight, NULL);
    n.dy = y ? graph_input(n.g, "dy", type, y->shape) : NULL;
    n.y = graph_output(n.g, c->geglu ? geglu(n.g, y) : y);
    n.dx = graph_output(n.g, c->conv ? conv2d_dx(n.g, n.dy, weight, SIDE, SIDE, a) : linear_dx(n.g, n.dy, weight));
    if (graph_check(n.g) < 0) fail_msg("%s", error_message());
    return n;
}

static size_t bytes_of(const tensor *t) { return shape_elements(t->shape) * nn_type_bytes(t->type); }

/* Twice, since a run leaves its scratch to the next. */
static void run(const plan *p, const net *n, void *dx) {
    workspace *w = workspace_new(plan_bytes(p));
    assert_non_null(w);
    for (int round = 0; round < 2; round++) {
        float *x = malloc(shape_elements(n->x->shape) * sizeof *x), *dy = malloc(shape_elements(n->dy->shape) * sizeof *dy);
        fill(x, shape_elements(n->x->shape), 3), fill(dy, shape_elements(n->dy->shape), 4);
        nn_narrow(plan_tensor(p, w, n->x), n->x->type, x, shape_elements(n->x->shape));
        nn_narrow(plan_tensor(p, w, n->dy), n->dy->type, dy, shape_elements(n->dy->shape));
        if (plan_run(p, w, NULL) < 0) fail_msg("%s", error_message());
        free(x), free(dy);
    }
    memcpy(dx, plan_tensor(p, w, n->dx), bytes_of(n->dx));
    workspace_free(w);
}

static void check(const test_case *c, const device *d, nn_type type, nn_type stored) {
    net n = build(c, type, stored);
    char what[160], *want = malloc(bytes_of(n.dx)), *got = malloc(bytes_of(n.dx));
    snprintf(what, sizeof what, "%s %zu->%zu k%zu s%d %s from %s", c->conv ? "conv2d" : c->geglu ? "linear+geglu" : "linear", c->ci, c->co, c->k, c->stride, nn_type_name(type), nn_type_name(stored));
    if (getenv("VERBOSE")) printf("%s\n", what);
    params *twice = params_new();
    plan *plain = plan_new(n.g, d, twice, &(plan_options){ .threads = 2 });
    if (!plain) fail_msg("%s: %s", what, error_message());
    run(plain, &n, want);
    for (int threads = 1; threads <= 3; threads++) {
        params *once = params_new(), *counting = params_new_counting();
        plan_options how = { .threads = threads, .pack_once = true };
        plan *p = plan_new(n.g, d, once, &how), *counted = plan_new(n.g, d, counting, &how);
        if (!p || !counted) fail_msg("%s: %s", what, error_message());
        run(p, &n, got);
        if (memcmp(got, want, bytes_of(n.dx))) fail_msg("%s, %d threads: other bits", what, threads);
        bool less = params_bytes(once) < params_bytes(twice);
        if (c->turns && !less) fail_msg("%s: it is packed twice", what);
        if (less && params_bytes(once) * 3 > params_bytes(twice) * 2) fail_msg("%s: %zu bytes instead of %zu", what, params_bytes(once), params_bytes(twice));
        assert_int_equal(params_bytes(counting), params_bytes(once));   /* what is counted is what it takes */
        assert_int_equal(plan_bytes(counted), plan_bytes(p));
        plan_free(p), plan_free(counted), params_free(once), params_free(counting);
    }
    plan_free(plain), params_free(twice);
    free(want), free(got), free(n.weight);
    graph_free(n.g);
}

static const test_case cases[] = {
    { true, false, 64, 64, 3, 1, true },    { true, false, 128, 192, 3, 1, true }, { true, false, 192, 320, 3, 2, true }, { true, false, 48, 80, 3, 1, false },
    { true, false, 320, 64, 1, 1, true },   { true, false, 4, 64, 3, 1, false },   { true, false, 30, 46, 3, 1, false },  { true, false, 96, 32, 3, 1, false },
    { false, false, 320, 320, 1, 1, true }, { false, false, 96, 64, 1, 1, true },  { false, false, 1280, 176, 1, 1, true }, { false, false, 33, 50, 1, 1, false },
    { false, false, 208, 144, 1, 1, true }, { false, true, 64, 512, 1, 1, true },  { false, true, 160, 352, 1, 1, true },   { false, true, 64, 48, 1, 1, false },
};

static void at(cpu_level level, nn_type type) {
    if (cpu_level_here() < level) {
        printf("skipped: this machine is of level %s\n", cpu_level_name(cpu_level_here()));
        skip();
    }
    device *d = device_cpu(level);
    assert_non_null(d);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_case c = cases[i];
        c.turns = c.turns && (level == CPU_AVX512_BF16 || c.conv);
        check(&c, d, type, type);
        check(&c, d, type, type == NN_F32 ? NN_BF16 : NN_F32);
    }
    device_free(d);
}

static void bf16(void **state) { (void)state, at(CPU_AVX512_BF16, NN_BF16); }
static void f32(void **state) { (void)state, at(CPU_AVX512, NN_F32); }

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(bf16), cmocka_unit_test(f32) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
