/* SPDX-License-Identifier: Apache-2.0
 *
 * Training as nodes: gradients only where something trainable hangs, updates that rewrite states in the order of the nodes, and a small network that
 * learns by them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "nn/gradient.h"
#include "nn/halves.h"
#include "nn/plan.h"
#include "nn/update.h"

typedef struct { graph *g; device *d; params *p; plan *plan; workspace *w; } bench;

static bench begin(void) {
    bench b = { .g = graph_new(), .d = device_cpu(CPU_BEST), .p = params_new() };
    assert_true(b.g && b.d && b.p);
    return b;
}
static void ready(bench *b) {
    b->plan = plan_new(b->g, b->d, b->p, NULL);
    b->w = b->plan ? workspace_new(plan_bytes(b->plan)) : NULL;
    if (!b->w) fail_msg("%s", error_message());
}
static void end(bench *b) {
    workspace_free(b->w);
    plan_free(b->plan);
    params_free(b->p);
    device_free(b->d);
    graph_free(b->g);
}
static void set(bench *b, const tensor *t, const float *x) { memcpy(plan_tensor(b->plan, b->w, t), x, shape_elements(t->shape) * sizeof *x); }
static float *get(bench *b, const tensor *t) { return plan_tensor(b->plan, b->w, t); }
static void run(bench *b) { assert_int_equal(plan_run(b->plan, b->w, NULL), 0); }

static int nodes_of(const graph *g, const op *o) {
    int n = 0;
    for (size_t i = 0; i < graph_nodes(g); i++) n += graph_node(g, i)->op == o;
    return n;
}

enum { ROOM = 64 };
typedef struct { _Alignas(64) char bytes[ROOM * 4 + 64]; } memory;

/* Halves of a weight are its nearest bf16, ties away from 0, and all that it lacks. */
static void test_halves(void **state) {
    (void)state;
    static const uint32_t special[] = { 0, 0x80000000, 1, 0x3f800000, 0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, 0xbf808000, 0xbf818000, 0x00008000, 0x7f7f0000, 0x7f7fffff, 0x7f800000, 0xff800000,
                                        0x7fc00000, 0xffc00000 };
    unsigned seed = 1;
    for (size_t i = 0; i < 100000; i++) {
        uint16_t weight, low;
        float x, y, back;
        seed = seed * 1664525u + 1013904223u;
        uint32_t u = seed >> 16 | (seed * 69069u & 0xffff0000);
        if (i < sizeof special / sizeof *special) u = special[i];
        memcpy(&x, &u, sizeof x);
        halves_split(&x, &weight, &low, 1);
        halves_join(&y, &weight, &low, 1);
        assert_memory_equal(&x, &y, sizeof x);
        if (!isfinite(x)) continue;
        if ((u & 0xffff) != 0x8000) assert_int_equal(weight, nn_f32_to_bf16(x));
        else {
            back = nn_bf16_to_f32(weight);
            assert_true(fabsf(back) > fabsf(x) && (back > 0) == (x > 0));
        }
    }
}

/* Three steps beside the formulas of Loshchilov and Hutter in f64; in two halves the weight has the same bits. */
static void test_adamw(void **state) {
    (void)state;
    enum { N = 37 };
    static memory w, m, v, weight, low, m2, v2;
    memory *const moments[] = { &m, &v, &m2, &v2 };
    for (int i = 0; i < 4; i++) memset(moments[i], 0, sizeof *moments[i]);
    bench b = begin();
    bool halves = device_level(b.d) >= CPU_AVX512_BF16;   /* below, bf16 is refused */
    adamw_attr a = { 0.9f, 0.999f, 1e-8f, 0.01f };
    tensor *dw = graph_input(b.g, "dw", NN_F32, shape1(N)), *now = graph_input(b.g, "now", NN_F32, shape1(ADAMW_NOW));
    tensor *factor = graph_input(b.g, "factor", NN_F32, shape1(1)), *gate = graph_input(b.g, "gate", NN_F32, shape1(1));
    adamw_states whole = { graph_state(b.g, "w", NN_F32, shape1(N), &w), NULL, graph_state(b.g, "m", NN_F32, shape1(N), &m), graph_state(b.g, "v", NN_F32, shape1(N), &v) };
    adamw_states parts = { graph_state(b.g, "weight", NN_BF16, shape1(N), &weight), graph_state(b.g, "low", NN_U16, shape1(N), &low), graph_state(b.g, "m", NN_F32, shape1(N), &m2),
                           graph_state(b.g, "v", NN_F32, shape1(N), &v2) };
    adamw(b.g, &whole, dw, now, factor, gate, a);
    if (halves) adamw(b.g, &parts, dw, now, factor, gate, a);
    ready(&b);
    double W[N], M[N] = { 0 }, V[N] = { 0 };
    for (int i = 0; i < N; i++) W[i] = ((float *)&w)[i] = 0.3f * (float)i - 1.7f;
    halves_split((float *)&w, (uint16_t *)&weight, (uint16_t *)&low, N);
    for (int t = 1; t <= 3; t++) {
        float g[N], settings[ADAMW_NOW];
        for (int i = 0; i < N; i++) g[i] = sinf((float)(3 * i + t));
        adamw_now(&a, 0.02, (uint64_t)t, settings);
        set(&b, dw, g);
        set(&b, now, settings);
        set(&b, factor, (float[]){ 0.5f });
        set(&b, gate, (float[]){ 3 });
        run(&b);
        for (int i = 0; i < N; i++) {
            double d = 0.5 * (double)g[i];
            M[i] = 0.9 * M[i] + 0.1 * d;
            V[i] = 0.999 * V[i] + 0.001 * d * d;
            W[i] -= 0.02 * 0.01 * W[i];
            W[i] -= 0.02 * (M[i] / (1 - pow(0.9, t))) / (sqrt(V[i] / (1 - pow(0.999, t))) + 1e-8);
            assert_float_equal(((float *)&w)[i], (float)W[i], 2e-6f);
        }
        memory joined;
        halves_join((float *)&joined, (uint16_t *)&weight, (uint16_t *)&low, N);
        if (halves) assert_memory_equal(&joined, &w, N * sizeof(float));
    }
    memory before = w;   /* behind a closed gate nothing is changed */
    set(&b, dw, (float[N]){ NAN });
    set(&b, gate, (float[]){ NAN });
    run(&b);
    assert_memory_equal(&before, &w, sizeof w);
    end(&b);
}

/* What lies before the last trainable tensor gets no node, nor does the weight of a locked layer. */
static void test_locked(void **state) {
    (void)state;
    static memory w;
    static const float locked[16] = { 1 };
    bench b = begin();
    tensor *x = graph_input(b.g, "x", NN_F32, shape2(2, 4)), *k = graph_param(b.g, "k", NN_F32, shape2(4, 4), locked);
    tensor *before = linear(b.g, silu(b.g, x), k, NULL), *trained = linear(b.g, before, graph_state(b.g, "w", NN_F32, shape2(4, 4), &w), NULL);
    trained->producer->in[1]->trainable = true;
    tensor *after = linear(b.g, silu(b.g, trained), k, NULL);
    tensor *loss = mse(b.g, after, graph_input(b.g, "target", NN_F32, shape2(2, 4)), NULL);
    assert_int_equal(graph_backward(b.g, loss, NULL, NULL), 0);
    assert_int_equal(nodes_of(b.g, &op_linear_dx), 1);
    assert_int_equal(nodes_of(b.g, &op_linear_dw), 1);
    assert_int_equal(nodes_of(b.g, &op_silu_dx), 1);
    assert_null(before->grad);
    assert_null(k->grad);
    assert_int_equal(trained->producer->in[1]->grad->type, NN_F32);
    end(&b);
}

static void test_failures(void **state) {
    (void)state;
    static memory w;
    bench b = begin();
    tensor *x = graph_input(b.g, "x", NN_F32, shape2(2, 4));
    assert_true(graph_backward(b.g, mse(b.g, x, x, NULL), NULL, NULL) < 0);
    assert_string_equal(error_message(), "nothing trainable leads to the loss");
    end(&b);
    b = begin();
    tensor *s = graph_state(b.g, "s", NN_F32, shape4(1, 4, 4, 4), &w);
    s->trainable = true;
    tensor *pooled = max_pool2d(b.g, s, 2, 2);
    assert_true(graph_backward(b.g, mse(b.g, pooled, graph_input(b.g, "t", NN_F32, shape4(1, 2, 2, 4)), NULL), NULL, NULL) < 0);
    assert_string_equal(error_message(), "max_pool2d has no gradient");
    end(&b);
    b = begin();
    x = graph_input(b.g, "x", NN_F32, shape1(4));
    accumulate(b.g, x, x, graph_input(b.g, "first", NN_F32, shape1(1)));
    assert_true(graph_check(b.g) < 0);
    assert_string_equal(error_message(), "accumulate: x is no state that it could rewrite");
    end(&b);
}

/* A reader before the update sees what was, one behind it what is; a run leaves the new. */
static void test_order(void **state) {
    (void)state;
    static memory w;
    bench b = begin();
    tensor *s = graph_state(b.g, "s", NN_F32, shape1(4), &w), *one = graph_input(b.g, "one", NN_F32, shape1(4)), *first = graph_input(b.g, "first", NN_F32, shape1(1));
    tensor *before = graph_output(b.g, add(b.g, s, one));
    tensor *late = mul(b.g, s, one);   /* used up only behind the update */
    accumulate(b.g, s, one, first);
    tensor *after = graph_output(b.g, add(b.g, s, late));
    ready(&b);
    for (int i = 0; i < 4; i++) ((float *)&w)[i] = 10;
    for (int k = 0; k < 2; k++) {
        set(&b, one, (float[]){ 1, 1, 1, 1 });
        set(&b, first, (float[]){ 0 });
        run(&b);
        assert_float_equal(get(&b, before)[2], 11 + k, 0);
        assert_float_equal(get(&b, after)[2], 21 + 2 * k, 0);
        assert_float_equal(((float *)&w)[2], 11 + k, 0);
    }
    set(&b, one, (float[]){ 1, 2, 3, 4 });
    set(&b, first, (float[]){ 1 });
    run(&b);
    assert_float_equal(((float *)&w)[3], 4, 0);
    end(&b);
}

/* The update of each weight, as its gradient is there. */
typedef struct { tensor *weights[4], *low[4], *m[4], *v[4], *now, *norm; adamw_attr attr; int told[4], n; } trainer;

static void update(void *context, graph *g, tensor *w) {
    trainer *t = context;
    int i = 0;
    while (t->weights[i] != w) i++;
    t->told[t->n++] = i;
    tensor *squares = sum_squares(g, w->grad);
    t->norm = t->norm ? add(g, t->norm, squares) : squares;
    adamw(g, &(adamw_states){ w, t->low[i], t->m[i], t->v[i] }, w->grad, t->now, NULL, NULL, t->attr);
}

/* Two layers learn a function that one cannot; in f32, and with weights in two halves. */
static void learn(nn_type type) {
    enum { HIDDEN = 16, BATCH = 16 };
    static memory weight[4], low[4], m[4], v[4];
    bench b = begin();
    trainer t = { .now = graph_input(b.g, "now", NN_F32, shape1(ADAMW_NOW)), .attr = { 0.9f, 0.999f, 1e-8f, 0 } };
    tensor *x = graph_input(b.g, "x", NN_F32, shape2(BATCH, 2)), *target = graph_input(b.g, "target", NN_F32, shape2(BATCH, 1));
    nn_shape shapes[4] = { shape2(HIDDEN, 2), shape1(HIDDEN), shape2(1, HIDDEN), shape1(1) };
    unsigned seed = 1;
    for (int i = 0; i < 4; i++) {
        memset(&m[i], 0, sizeof m[i]);
        memset(&v[i], 0, sizeof v[i]);
        for (size_t k = 0; k < shape_elements(shapes[i]); k++) {
            seed = seed * 1664525u + 1013904223u;
            float r = (float)(int)(seed >> 8 & 0xffff) / 32768.0f - 1;
            if (type == NN_BF16) halves_split(&r, (uint16_t *)&weight[i] + k, (uint16_t *)&low[i] + k, 1);
            else ((float *)&weight[i])[k] = r;
        }
        t.m[i] = graph_state(b.g, "m", NN_F32, shapes[i], &m[i]);
        t.v[i] = graph_state(b.g, "v", NN_F32, shapes[i], &v[i]);
        t.weights[i] = graph_state(b.g, "weight", type, shapes[i], &weight[i]);
        t.low[i] = type == NN_BF16 ? graph_state(b.g, "low", NN_U16, shapes[i], &low[i]) : NULL;
        t.weights[i]->trainable = true;
    }
    tensor *h = silu(b.g, linear(b.g, x, t.weights[0], t.weights[1]));
    tensor *loss = graph_output(b.g, mse(b.g, linear(b.g, h, t.weights[2], t.weights[3]), target, NULL));
    assert_int_equal(graph_backward(b.g, loss, update, &t), 0);
    assert_int_equal(t.n, 4);
    assert_true(t.told[0] >= 2 && t.told[1] >= 2);   /* the last layer first */
    tensor *norm = t.norm;
    graph_output(b.g, norm);
    ready(&b);
    float first = 0, last = 0;
    for (int step = 1; step <= 400; step++) {
        float in[BATCH][2], want[BATCH], settings[ADAMW_NOW];
        for (int i = 0; i < BATCH; i++) {
            in[i][0] = sinf((float)(step * 7 + i * 3));
            in[i][1] = cosf((float)(step * 5 + i * 11));
            want[i] = in[i][0] * in[i][1];
        }
        adamw_now(&t.attr, 0.02, (uint64_t)step, settings);
        set(&b, x, in[0]);
        set(&b, target, want);
        set(&b, t.now, settings);
        run(&b);
        if (step == 1) first = get(&b, loss)[0];
        last = get(&b, loss)[0];
        assert_true(isfinite(get(&b, norm)[0]) && get(&b, norm)[0] > 0);
    }
    if (!(first > 0.05f && last < 0.005f)) fail_msg("the loss went from %g to %g", (double)first, (double)last);
    end(&b);
}
static void test_learning(void **state) {
    (void)state;
    learn(NN_F32);
    if (cpu_level_here() >= CPU_AVX512_BF16) learn(NN_BF16);
}

/* A state without memory is for counting: such a plan does not run. */
static void test_counting(void **state) {
    (void)state;
    bench b = begin();
    graph_output(b.g, silu(b.g, graph_state(b.g, "s", NN_F32, shape1(4), NULL)));
    ready(&b);
    assert_true(plan_run(b.plan, b.w, NULL) < 0);
    end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves), cmocka_unit_test(test_adamw), cmocka_unit_test(test_locked), cmocka_unit_test(test_failures), cmocka_unit_test(test_order), cmocka_unit_test(test_learning), cmocka_unit_test(test_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
