/* SPDX-License-Identifier: Apache-2.0
 *
 * Our bf16 matrix products. Numbers are small multiples of 1/8, so that every sum is exact in f32 in any order: what is rounded
 * once must equal the exact sum, rounded, in every bit; what goes through an activation is within its stated error. */
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
#include "nn/cpu/linear.h"
#include "nn/ops.h"
#include "nn/plan.h"

typedef enum { ALONE, ADD, ADD_TO, SILU, GELU, QUICK_GELU, GEGLU, CONV, CONV_ADD, FORMS } form;
static const char *const kernel_of[FORMS] = { "linear", "linear+add", "linear+add", "linear+silu", "linear+gelu", "linear+quick_gelu", "linear+geglu",
                                              "conv2d", "conv2d+add" };

typedef struct { form form; size_t rows, inputs, outputs; nn_type weights; bool bias, ohwi, state; } test_case;   /* state: weights that are trained */

static uint64_t seed;
static size_t below(size_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % n;
}

static void *bytes_of(size_t n) {
    void *p = calloc(n + 64, 1);
    assert_non_null(p);
    return p;
}

/* Multiples of 1/8 from -1 to 1. */
static float *numbers(size_t n) {
    float *x = bytes_of(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = ((float)below(17) - 8) / 8;
    return x;
}

/* As the type stores them, one byte off any alignment. */
static char *stored(const float *x, size_t n, nn_type type) {
    char *to = (char *)bytes_of(n * nn_type_bytes(type)) + 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], 4);
        uint16_t half = (uint16_t)(u >> 16);
        if (type == NN_F16) half = (uint16_t)((u >> 16 & 0x8000) | (x[i] == 0 ? 0 : ((u >> 23 & 255) - 112) << 10 | (u >> 13 & 1023)));
        if (type == NN_F32) memcpy(to + 4 * i, &x[i], 4);
        else memcpy(to + 2 * i, &half, 2);
    }
    return to;
}

static bool adds(form f) { return f == ADD || f == ADD_TO || f == CONV_ADD; }

static double wanted(form f, double a, double b) {
    static const double quick = 1.702;
    if (f == SILU) return a / (1 + exp(-a));
    if (f == QUICK_GELU) return a / (1 + exp(-quick * a));
    if (f == GELU) return a * 0.5 * erfc(-a / sqrt(2));
    if (f == GEGLU) return a * b * 0.5 * erfc(-b / sqrt(2));
    return a;
}

typedef struct { graph *g; tensor *x, *residual, *y; float *numbers[4]; char *weights, *bias; } net;

static tensor *trained(graph *g, const char *name, nn_type type, nn_shape shape, const void *data) { return graph_state(g, name, type, shape, (void *)(uintptr_t)data); }

static net build(const test_case *c) {
    size_t outputs = c->form == GEGLU ? 2 * c->outputs : c->outputs;
    bool conv = c->form >= CONV;
    net n = { .g = graph_new() };
    n.numbers[0] = numbers(c->rows * c->inputs), n.numbers[1] = numbers(outputs * c->inputs);
    n.numbers[2] = numbers(outputs), n.numbers[3] = numbers(c->rows * c->outputs);
    n.weights = stored(n.numbers[1], outputs * c->inputs, c->weights);
    n.bias = stored(n.numbers[2], outputs, c->weights);
    n.x = graph_input(n.g, "x", NN_BF16, conv ? shape4(1, c->rows, 1, c->inputs) : shape2(c->rows, c->inputs));
    nn_shape shape = !conv ? shape2(outputs, c->inputs) : c->ohwi ? shape4(outputs, 1, 1, c->inputs) : shape4(outputs, c->inputs, 1, 1);
    tensor *(*give)(graph *, const char *, nn_type, nn_shape, const void *) = c->state ? trained : graph_param;
    tensor *w = give(n.g, "w", c->weights, shape, n.weights), *b = c->bias ? give(n.g, "b", c->weights, shape1(outputs), n.bias) : NULL;
    n.y = conv ? conv2d(n.g, n.x, w, b, (conv2d_attr){ .stride = 1, .weights = c->ohwi ? WEIGHTS_OHWI : WEIGHTS_OIHW }) : linear(n.g, n.x, w, b);
    if (adds(c->form)) {
        n.residual = graph_input(n.g, "residual", NN_BF16, n.y->shape);
        n.y = c->form == ADD_TO ? add(n.g, n.residual, n.y) : add(n.g, n.y, n.residual);
    }
    if (c->form == SILU) n.y = silu(n.g, n.y);
    if (c->form == GELU) n.y = gelu(n.g, n.y);
    if (c->form == QUICK_GELU) n.y = quick_gelu(n.g, n.y);
    if (c->form == GEGLU) n.y = geglu(n.g, n.y);
    graph_output(n.g, n.y);
    if (graph_check(n.g) < 0) fail_msg("%s", error_message());
    return n;
}

static void net_free(net *n) {
    graph_free(n->g);
    for (int i = 0; i < 4; i++) free(n->numbers[i]);
    free(n->weights - 1), free(n->bias - 1);
}

static double sum(const test_case *c, const net *n, size_t row, size_t output) {
    double s = c->bias ? (double)n->numbers[2][output] : 0;
    const float *x = n->numbers[0] + row * c->inputs, *w = n->numbers[1] + output * c->inputs;
    for (size_t k = 0; k < c->inputs; k++) s += (double)x[k] * (double)w[k];
    return s;
}

static void compare(const test_case *c, const net *n, const uint16_t *y) {
    for (size_t row = 0; row < c->rows; row++)
        for (size_t o = 0; o < c->outputs; o++) {
            double a = sum(c, n, row, o), b = c->form == GEGLU ? sum(c, n, row, c->outputs + o) : 0;
            double want = wanted(c->form, a, b) + (adds(c->form) ? (double)n->numbers[3][row * c->outputs + o] : 0);
            float got = nn_bf16_to_f32(y[row * c->outputs + o]);
            bool exact = c->form < SILU || c->form >= CONV;
            bool good = exact ? y[row * c->outputs + o] == nn_f32_to_bf16((float)want) : fabs((double)got - want) <= (0x1p-8 + 0x1p-12) * fabs(want) + 0x1p-24 * fabs(a);
            if (!good) fail_msg("%s, %zu rows, %zu to %zu, weights %s: row %zu, output %zu is %g, not %g", kernel_of[c->form], c->rows, c->inputs, c->outputs,
                                nn_type_name(c->weights), row, o, got, want);
        }
}

static device *our_device(cpu_level level) {
    device *d = device_new(level);
    size_t n;
    const kernel *k = linear_kernels(level, &n);
    for (size_t i = 0; d && i < n; i++) assert_int_equal(device_add(d, &k[i]), 0);
    return d;
}

/* On one to three threads, whose bits are the same; and a counting store counts what packing takes. */
static void check(const test_case *given) {
    test_case of = *given, *c = &of;
    if (of.state && of.weights == NN_F16) of.weights = NN_BF16;   /* f16 is for parameters */
    net n = build(c);
    device *d = our_device(CPU_AVX512_BF16);
    params *store = params_new(), *counting = params_new_counting();
    size_t bytes = c->rows * c->outputs * 2;
    uint16_t *first = bytes_of(bytes);
    for (int threads = 1; threads <= 3; threads++) {
        plan *counted = plan_new(n.g, d, counting, &(plan_options){ .threads = threads, .no_reference = true });
        plan *p = plan_new(n.g, d, store, &(plan_options){ .threads = threads, .no_reference = true });
        if (!p || !counted) fail_msg("%s", error_message());
        assert_int_equal(plan_steps(p), 1);
        const char *name = plan_step(p, 0)->kernel->name;
        assert_memory_equal(name, kernel_of[c->form], strlen(kernel_of[c->form]));
        assert_string_equal(name + strlen(kernel_of[c->form]), "/avx512bf16");
        assert_int_equal(plan_bytes(counted), plan_bytes(p));
        assert_int_equal(params_bytes(counting), params_bytes(store));
        workspace *w = workspace_new(plan_bytes(p));
        nn_narrow(plan_tensor(p, w, n.x), NN_BF16, n.numbers[0], c->rows * c->inputs);
        if (n.residual) nn_narrow(plan_tensor(p, w, n.residual), NN_BF16, n.numbers[3], c->rows * c->outputs);
        assert_int_equal(plan_run(p, w, NULL), 0);
        if (threads == 1) memcpy(first, plan_tensor(p, w, n.y), bytes);
        assert_memory_equal(first, plan_tensor(p, w, n.y), bytes);
        workspace_free(w);
        plan_free(p);
        plan_free(counted);
    }
    compare(c, &n, first);
    free(first);
    params_free(store);
    params_free(counting);
    device_free(d);
    net_free(&n);
}

static void random_shapes(void **state) {
    (void)state;
    static const nn_type types[] = { NN_F32, NN_F16, NN_BF16 };
    for (int i = 0; i < 40 * FORMS; i++) {
        seed = (uint64_t)i;
        test_case c = { (form)(i % FORMS), 1 + below(40), 1 + below(i % 4 ? 70 : 300), 1 + below(i % 3 ? 50 : 200), types[below(3)], below(3), below(2), below(2) };
        check(&c);
    }
}

/* Weights of several blocks of the cache, and rows that threads share unevenly. */
static void large(void **state) {
    (void)state;
    static const test_case cases[] = {
        { ALONE, 13, 700, 720, NN_F32, true, false, false },
        { ADD, 17, 1280, 320, NN_BF16, true, false, false },
        { GEGLU, 11, 321, 647, NN_F16, true, false, false },
        { GELU, 23, 5120, 97, NN_BF16, false, false, false },
        { CONV_ADD, 311, 64, 80, NN_F32, true, true, false },
    };
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        test_case c = cases[i / 2];
        c.state = i % 2;
        check(&c);
    }
}

/* Packed weights are the weights' bytes, in whole vectors of outputs and pairs of inputs. */
static void memory(void **state) {
    (void)state;
    static const test_case cases[] = { { ALONE, 4, 64, 320, NN_F32, false, false, false }, { ALONE, 4, 63, 1, NN_F32, false, false, false }, { GEGLU, 4, 64, 90, NN_BF16, false, false, false } };
    static const size_t bytes[] = { 64 * 320 * 2, 64 * 16 * 2, 2 * 64 * 96 * 2 };
    for (int i = 0; i < 3; i++) {
        net n = build(&cases[i]);
        device *d = our_device(CPU_AVX512_BF16);
        params *store = params_new_counting();
        plan *p = plan_new(n.g, d, store, NULL);
        assert_non_null(p);
        assert_int_equal(params_bytes(store), bytes[i] + 64);   /* readable bytes behind, of the store */
        plan_free(p);
        params_free(store);
        device_free(d);
        net_free(&n);
    }
}

static bool taken(graph *g, tensor *y) {
    graph_output(g, y);
    if (graph_check(g) < 0) fail_msg("%s", error_message());
    device *d = our_device(CPU_AVX512_BF16);
    params *store = params_new();
    plan *p = plan_new(g, d, store, NULL);
    assert_non_null(p);
    bool any = false;
    for (size_t i = 0; i < plan_steps(p); i++) any |= strstr(plan_step(p, i)->kernel->name, "/avx512bf16") != NULL;
    plan_free(p);
    params_free(store);
    device_free(d);
    graph_free(g);
    return any;
}

/* What it leaves to others. */
static void left_alone(void **state) {
    (void)state;
    float *w = numbers(16 * 16 * 9);
    tensor *y;
    for (int i = 0; i < 7; i++) {
        graph *g = graph_new();
        nn_type type = i == 1 ? NN_F32 : NN_BF16;
        conv2d_attr a = { .stride = i == 4 ? 2 : 1, .pad_top = i == 5, .weights = WEIGHTS_OHWI };
        size_t side = i == 6 ? 3 : 1;
        if (i == 2) graph_set_ordered(g, true);
        if (i < 3) y = linear(g, graph_input(g, "x", type, shape2(5, 16)), graph_param(g, "w", NN_F32, shape2(16, 16), w), NULL);
        else y = conv2d(g, graph_input(g, "x", type, shape4(1, 5, 5, 16)), graph_param(g, "w", NN_F32, shape4(16, side, side, 16), w), NULL, a);
        assert_int_equal(taken(g, y), i == 0 || i == 3);
    }
    size_t n;
    linear_kernels(CPU_AVX512, &n);
    assert_int_equal(n, 0);
    free(w);
}

int main(void) {
    if (cpu_level_here() < CPU_AVX512_BF16) return printf("1..0 # SKIP this processor has no AVX-512 bf16\n"), 0;
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_shapes), cmocka_unit_test(large), cmocka_unit_test(memory), cmocka_unit_test(left_alone) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
