/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions and linears whose weights are states, and the gradients of both, by oneDNN and by our own products. Numbers are small multiples of
 * 1/8, so that every sum is exact in f32 in any order: each result must equal, in every bit, that of the reference over f32, rounded once. Weights
 * change between runs, scratch is full of NaN, and the bits are the same on one to three threads. */
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
#include "nn/cpu/onednn.h"
#include "nn/gradient.h"
#include "nn/plan.h"
#include "nn/update.h"

typedef enum { CONV, CONV_ADD, LINEAR, LINEAR_ADD, CONV_DX, CONV_DX_ADD, CONV_DW, LINEAR_DX, LINEAR_DX_ADD, LINEAR_DW, KINDS } kind;
static const char *const kind_name[] = { "conv2d", "conv2d+add", "linear", "linear+add", "conv2d_dx", "conv2d_dx+add", "conv2d_dw", "linear_dx", "linear_dx+add", "linear_dw" };

typedef struct {
    kind kind;
    nn_type type, weight_type;       /* of activations; of the weights, where they are stored */
    bool state, bias;                /* the weights are a state, or a parameter */
    size_t n, h, w, ci, co, kh, kw;  /* linears: n h w rows */
    conv2d_attr attr;
    bool doubled;                    /* CONV_DX: of a picture that was upsampled to twice its size before */
} test_case;

static bool convolves(kind k) { return k <= CONV_ADD || (k >= CONV_DX && k <= CONV_DW); }
static bool of_weights(kind k) { return k == CONV_DW || k == LINEAR_DW; }
static bool of_input(kind k) { return k == CONV_DX || k == CONV_DX_ADD || k == LINEAR_DX || k == LINEAR_DX_ADD; }
static bool adds(kind k) { return k == CONV_ADD || k == LINEAR_ADD || k == CONV_DX_ADD || k == LINEAR_DX_ADD; }

static uint64_t seed = 1;
static size_t below(size_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % n;
}
static size_t between(size_t a, size_t b) { return a + below(b - a + 1); }

/* ---- a case as a graph --------------------------------------------------------------------------------------------------- */

enum { MOST = 4 };
typedef struct {
    graph *g;
    tensor *given[MOST], *y;
    float *numbers[MOST];            /* of `given`: inputs and weights */
    void *memory[MOST];              /* of weights */
    int n;
    bool truth;
    uint64_t seed;
} net;

static void *bytes_of(size_t n) {
    size_t room = (n + 127) / 64 * 64;
    void *p = aligned_alloc(64, room);
    assert_non_null(p);
    return memset(p, 0, room);
}

/* Multiples of 1/8 from -1 to 1. */
static void renew(net *n, int i, const tensor *t) {
    for (size_t k = 0; k < shape_elements(t->shape); k++) n->numbers[i][k] = ((float)below(17) - 8) / 8;
    if (n->memory[i]) nn_narrow(n->memory[i], t->type, n->numbers[i], shape_elements(t->shape));
}

static tensor *keep(net *n, tensor *t, void *memory) {
    int i = n->n++;
    assert_true(t && i < MOST);
    n->numbers[i] = bytes_of(shape_elements(t->shape) * sizeof(float));
    n->memory[i] = memory;
    renew(n, i, t);
    return n->given[i] = t;
}

static tensor *input(net *n, const test_case *c, nn_shape s) { return keep(n, graph_input(n->g, "x", n->truth ? NN_F32 : c->type, s), NULL); }

static tensor *weight(net *n, const test_case *c, nn_shape s) {
    nn_type type = n->truth ? NN_F32 : c->weight_type;
    void *memory = bytes_of(shape_elements(s) * nn_type_bytes(type));
    return keep(n, c->state ? graph_state(n->g, "w", type, s, memory) : graph_param(n->g, "w", type, s, memory), memory);
}

static size_t out_size(size_t in, int before, int after, size_t kernel, int stride) { return (in + (size_t)before + (size_t)after - kernel) / (size_t)stride + 1; }

/* truth: all in f32. */
static net build(const test_case *c, bool truth) {
    net n = { .g = graph_new(), .truth = truth };
    bool conv = convolves(c->kind);
    const conv2d_attr *a = &c->attr;
    nn_shape x = conv ? shape4(c->n, c->h, c->w, c->ci) : shape3(c->n, c->h * c->w, c->ci), y = shape3(c->n, c->h * c->w, c->co);
    if (conv) y = shape4(c->n, out_size(c->h, a->pad_top, a->pad_bottom, c->kh, a->stride), out_size(c->w, a->pad_left, a->pad_right, c->kw, a->stride), c->co);
    nn_shape w = !conv ? shape2(c->co, c->ci) : a->weights == WEIGHTS_OIHW ? shape4(c->co, c->ci, c->kh, c->kw) : shape4(c->co, c->kh, c->kw, c->ci);
    if (of_weights(c->kind)) {
        tensor *first = input(&n, c, x), *second = input(&n, c, y);
        n.y = conv ? conv2d_dw(n.g, first, second, w, *a) : linear_dw(n.g, first, second);
    } else if (of_input(c->kind)) {
        tensor *dy = input(&n, c, y), *weights = weight(&n, c, w);
        n.y = conv ? conv2d_dx(n.g, dy, weights, c->h, c->w, *a) : linear_dx(n.g, dy, weights);
        if (c->doubled) n.y = upsample_nearest_dx(n.g, n.y, c->h / 2, c->w / 2);
    } else {
        tensor *in = input(&n, c, x), *weights = weight(&n, c, w), *bias = c->bias ? weight(&n, c, shape1(c->co)) : NULL;
        n.y = conv ? conv2d(n.g, in, weights, bias, *a) : linear(n.g, in, weights, bias);
    }
    if (adds(c->kind)) n.y = add(n.g, input(&n, c, n.y->shape), n.y);
    graph_output(n.g, n.y);
    if (graph_check(n.g) < 0) fail_msg("%s", error_message());
    return n;
}

static void net_free(net *n) {
    graph_free(n->g);
    for (int i = 0; i < n->n; i++) free(n->numbers[i]), free(n->memory[i]);
}

/* ---- running it ---------------------------------------------------------------------------------------------------------- */

static void describe(const test_case *c, char *out, size_t size) {
    const conv2d_attr *a = &c->attr;
    snprintf(out, size, "%s %s, weights %s %s, n%zu %zux%zu %zu->%zu k%zux%zu s%d pad %d,%d,%d,%d %s", kind_name[c->kind], nn_type_name(c->type),
             c->state ? "state" : "parameter", nn_type_name(c->weight_type), c->n, c->h, c->w, c->ci, c->co, c->kh, c->kw, a->stride, a->pad_top, a->pad_left,
             a->pad_bottom, a->pad_right, a->weights == WEIGHTS_OIHW ? "OIHW" : "OHWI");
}

/* Its inputs are written first, over a workspace of NaN; the result as it is stored. */
static void run_once(const plan *p, const net *n, void *out) {
    workspace *w = workspace_new(plan_bytes(p));
    graph *g = graph_new();   /* a plan of one input reaches all of the memory */
    device *d = device_new(CPU_REFERENCE);
    params *none = params_new();
    tensor *all = graph_input(g, "all", NN_F32, shape1(plan_bytes(p) / 4 > 32 ? plan_bytes(p) / 4 - 16 : 1));
    plan *fill = plan_new(g, d, none, NULL);
    assert_true(w && fill && plan_bytes(fill) <= (plan_bytes(p) > 192 ? plan_bytes(p) : 192));
    memset(plan_tensor(fill, w, all), 0xff, shape_elements(all->shape) * 4);
    plan_free(fill), params_free(none), device_free(d), graph_free(g);
    for (int i = 0; i < n->n; i++)
        if (n->given[i]->kind == TENSOR_INPUT) nn_narrow(plan_tensor(p, w, n->given[i]), n->given[i]->type, n->numbers[i], shape_elements(n->given[i]->shape));
    if (plan_run(p, w, NULL) < 0) fail_msg("%s", error_message());
    memcpy(out, plan_tensor(p, w, n->y), shape_elements(n->y->shape) * nn_type_bytes(n->y->type));
    workspace_free(w);
}

static void truth_of(const net *t, nn_type type, void *out) {
    device *d = device_new(CPU_REFERENCE);
    params *store = params_new();
    plan *p = plan_new(t->g, d, store, NULL);
    size_t count = shape_elements(t->y->shape);
    float *y = bytes_of(count * sizeof *y);
    assert_non_null(p);
    run_once(p, t, y);
    nn_narrow(out, type, y, count);
    free(y);
    plan_free(p), params_free(store), device_free(d);
}

static void compare(const char *what, const char *info, const tensor *y, const void *got, const void *want) {
    size_t bytes = nn_type_bytes(y->type);
    for (size_t i = 0; i < shape_elements(y->shape); i++) {
        float a, b;
        nn_widen(&a, (const char *)got + i * bytes, y->type, 1);
        nn_widen(&b, (const char *)want + i * bytes, y->type, 1);
        if (!(a == b)) fail_msg("%s by %s: element %zu is %g, not %g", what, info, i, (double)a, (double)b);
    }
}

/* The numbers of one are those of the other. */
static void copy_numbers(net *to, const net *from) {
    assert_int_equal(to->n, from->n);
    for (int i = 0; i < to->n; i++) {
        size_t count = shape_elements(to->given[i]->shape);
        memcpy(to->numbers[i], from->numbers[i], count * sizeof(float));
        if (to->memory[i]) nn_narrow(to->memory[i], to->given[i]->type, to->numbers[i], count);
    }
}

/* Its steps are kernels' of the level, and none of oneDNN's `ref`. */
static void check_steps(const char *what, const plan *p, const device *d, char *by, size_t size) {
    for (size_t i = 0; i < plan_steps(p); i++) {
        const kernel_step *s = plan_step(p, i);
        snprintf(by, size, "%s %s", s->kernel->name, s->info);
        if (strstr(s->info, "ref")) fail_msg("%s: implementation %s", what, s->info);
        if (device_level(d) < CPU_AVX512 && strstr(s->info, "avx512")) fail_msg("%s: %s above the level", what, s->info);
    }
}

enum { THREADS = 3 };

/* On a device whose kernels must take all of it. */
static void check(const test_case *c, const device *d, const char *name) {
    char what[300], by[120] = "";
    describe(c, what, sizeof what);
    net n = build(c, false), truth = build(c, true);
    size_t bytes = shape_elements(n.y->shape) * nn_type_bytes(n.y->type);
    char *want = bytes_of(bytes), *got = bytes_of(bytes);
    params *store = params_new();
    plan *plans[THREADS];
    for (int i = 0; i < THREADS; i++) {
        plans[i] = plan_new(n.g, d, store, &(plan_options){ .threads = i + 1, .no_reference = true });
        if (!plans[i]) fail_msg("%s on %s: %s", what, name, error_message());
        check_steps(what, plans[i], d, by, sizeof by);
    }
    if (getenv("VERBOSE")) printf("%s: %s, scratch %zu\n", what, by, plan_step(plans[0], 0)->scratch_bytes);
    for (int round = 0; round < 2; round++) {
        copy_numbers(&truth, &n);
        truth_of(&truth, n.y->type, want);
        for (int i = 0; i < THREADS; i++) {
            run_once(plans[i], &n, got);
            compare(what, by, n.y, got, want);
        }
        bool changed = false;
        for (int i = 0; i < n.n; i++)
            if (n.given[i]->kind == TENSOR_STATE) renew(&n, i, n.given[i]), changed = true;
        if (!changed) break;
    }
    for (int i = 0; i < THREADS; i++) plan_free(plans[i]);
    free(want), free(got);
    params_free(store);
    net_free(&n), net_free(&truth);
}

/* ---- devices ------------------------------------------------------------------------------------------------------------- */

static device *onednn_device(cpu_level level) {
    device *d = device_new(level);
    assert_non_null(d);
    assert_int_equal(onednn_add(d), 0);
    return d;
}

static device *own_device(void) {
    device *d = device_new(CPU_AVX512_BF16);
    size_t n;
    assert_non_null(d);
    const kernel *k = linear_kernels(CPU_AVX512_BF16, &n);
    for (size_t i = 0; i < n; i++) assert_int_equal(device_add(d, &k[i]), 0);
    k = linear_dw_kernels(CPU_AVX512_BF16, &n);
    for (size_t i = 0; i < n; i++) assert_int_equal(device_add(d, &k[i]), 0);
    k = linear_upsampled_kernels(CPU_AVX512_BF16, &n);
    for (size_t i = 0; i < n; i++) assert_int_equal(device_add(d, &k[i]), 0);
    return d;
}

static bool have(cpu_level level) {
    if (cpu_level_here() >= level) return true;
    printf("skipped: this machine is of level %s\n", cpu_level_name(cpu_level_here()));
    return false;
}

/* oneDNN has no sum behind a gradient. */
static kind random_kind(bool sums) {
    kind k = (kind)below(KINDS);
    return !sums && k == CONV_DX_ADD ? CONV_DX : !sums && k == LINEAR_DX_ADD ? LINEAR_DX : k;
}

static test_case random_case(kind k, nn_type type, size_t most) {
    test_case c = { .kind = k, .type = type, .n = between(1, 3), .h = between(1, 10), .w = between(1, 10), .ci = between(1, most), .co = between(1, most), .kh = 1, .kw = 1 };
    c.weight_type = below(2) ? NN_F32 : type;
    c.state = below(3) > 0, c.bias = below(2);
    if (below(3) == 0) c.ci = (c.ci + 15) / 16 * 16, c.co = (c.co + 15) / 16 * 16;
    c.attr = (conv2d_attr){ .stride = 1, .weights = below(3) ? WEIGHTS_OIHW : WEIGHTS_OHWI };
    return c;
}

static void widen_window(test_case *c) {
    c->kh = between(1, 5), c->kw = below(3) ? c->kh : between(1, 5);
    if (below(3)) c->kh = c->kw = 3;
    c->attr.stride = (int)between(1, 2);
    c->attr.pad_top = (int)below(c->kh), c->attr.pad_bottom = (int)below(c->kh), c->attr.pad_left = (int)below(c->kw), c->attr.pad_right = (int)below(c->kw);
    if (c->h < c->kh) c->h = c->kh;
    if (c->w < c->kw) c->w = c->kw;
}

static void by_onednn(cpu_level level, nn_type type) {
    device *d = onednn_device(level);
    for (uint64_t i = 0; i < 50; i++) {
        seed = 1000 + i;
        test_case c = random_case(random_kind(false), type, 50);
        if (convolves(c.kind)) widen_window(&c);
        check(&c, d, "oneDNN");
    }
    /* Weights that are packed past the caches. */
    test_case large = { CONV, type, type, true, true, 1, 2, 2, 512, 512, 3, 3, { 1, 1, 1, 1, 1, WEIGHTS_OIHW }, false };
    check(&large, d, "oneDNN");
    large.kind = CONV_DX;
    check(&large, d, "oneDNN");
    device_free(d);
}

static void onednn_f32(void **state) {
    (void)state;
    if (!have(CPU_AVX2)) skip();
    by_onednn(cpu_level_here(), NN_F32);
}
static void onednn_avx2(void **state) {
    (void)state;
    if (!have(CPU_AVX512)) skip();
    by_onednn(CPU_AVX2, NN_F32);
}
static void onednn_bf16(void **state) {
    (void)state;
    if (!have(CPU_AVX512_BF16)) skip();
    by_onednn(CPU_AVX512_BF16, NN_BF16);
}

static void own(void **state) {
    (void)state;
    if (!have(CPU_AVX512_BF16)) skip();
    device *d = own_device();
    for (uint64_t i = 0; i < 80; i++) {
        seed = 5000 + i;
        test_case c = random_case(random_kind(true), NN_BF16, i % 4 ? 60 : 200);
        if (c.kind == CONV_DW && below(3)) {   /* windows are gathered where there are few pixels and enough outputs */
            widen_window(&c);
            c.kh = c.kh < 3 ? c.kh : 3, c.kw = c.kw < 3 ? c.kw : 3, c.co += 48, c.attr.weights = WEIGHTS_OIHW;
            c.attr.pad_top %= (int)c.kh, c.attr.pad_bottom %= (int)c.kh, c.attr.pad_left %= (int)c.kw, c.attr.pad_right %= (int)c.kw;
        }
        check(&c, d, "our products");
    }
    /* Rows in several chunks, columns in several blocks. */
    static const test_case large[] = {
        { LINEAR_DW, NN_BF16, NN_BF16, true, false, 1, 47, 47, 83, 21, 1, 1, { .stride = 1 }, false },
        { CONV_DW, NN_BF16, NN_BF16, true, false, 2, 33, 17, 400, 7, 1, 1, { .stride = 1 }, false },
        { LINEAR_DX, NN_BF16, NN_F32, true, false, 1, 3, 5, 720, 700, 1, 1, { .stride = 1 }, false },
    };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) check(&large[i], d, "our products");
    device_free(d);
}

/* conv2d_dx and upsample_nearest_dx by one kernel, which a device of our own products would else not have. */
static void upsampled(void **state) {
    (void)state;
    if (!have(CPU_AVX512_BF16)) skip();
    device *d = own_device();
    for (uint64_t i = 0; i < 40; i++) {
        seed = 7000 + i;
        test_case c = random_case(CONV_DX, NN_BF16, i % 4 ? 60 : 170);
        c.h *= 2, c.w *= 2, c.kh = c.kw = 3, c.doubled = true;
        c.attr = (conv2d_attr){ 1, 1, 1, 1, 1, c.attr.weights };
        check(&c, d, "our products");
    }
    test_case many = { CONV_DX, NN_BF16, NN_BF16, false, false, 3, 44, 46, 33, 7, 3, 3, { 1, 1, 1, 1, 1, WEIGHTS_OIHW }, true };   /* two chunks of pixels */
    check(&many, d, "our products");
    device_free(d);
}

/* ---- gradients of weights that an update swallows ------------------------------------------------------------------------ */

enum { WEIGHT, LOW, M, V, STATES };

/* Of linear_dw or conv2d_dw and the adamw behind it, on a device that may have no kernel but one for both: states after one run, rounds of which go on. */
static void run_update(const test_case *c, const device *d, int threads, bool alone, float gate, char *states[STATES]) {
    graph *g = graph_new();
    bool conv = convolves(c->kind);
    const conv2d_attr *a = &c->attr;
    nn_shape x = conv ? shape4(c->n, c->h, c->w, c->ci) : shape3(c->n, c->h * c->w, c->ci), y = shape3(c->n, c->h * c->w, c->co);
    if (conv) y = shape4(c->n, out_size(c->h, a->pad_top, a->pad_bottom, c->kh, a->stride), out_size(c->w, a->pad_left, a->pad_right, c->kw, a->stride), c->co);
    nn_shape w = !conv ? shape2(c->co, c->ci) : shape4(c->co, c->ci, c->kh, c->kw);
    tensor *in[] = { graph_input(g, "x", NN_BF16, x), graph_input(g, "dy", NN_BF16, y), graph_input(g, "now", NN_F32, shape1(ADAMW_NOW)), graph_input(g, "gate", NN_F32, shape1(1)) };
    adamw_states s = { graph_state(g, "w", c->weight_type, w, states[WEIGHT]), c->weight_type == NN_BF16 ? graph_state(g, "low", NN_U16, w, states[LOW]) : NULL,
                       graph_state(g, "m", NN_F32, w, states[M]), graph_state(g, "v", NN_F32, w, states[V]) };
    adamw_attr attr = { 0.9f, 0.999f, 1e-8f, 0.01f };
    adamw(g, &s, conv ? conv2d_dw(g, in[0], in[1], w, *a) : linear_dw(g, in[0], in[1]), in[2], NULL, in[3], attr);
    params *store = params_new();
    plan *p = plan_new(g, d, store, &(plan_options){ .threads = threads, .no_reference = alone });
    if (!p) fail_msg("%s", error_message());
    workspace *room = workspace_new(plan_bytes(p));
    assert_non_null(room);
    if (alone) assert_int_equal(plan_steps(p), 1);
    uint64_t before = seed;
    for (int i = 0; i < 2; i++) {
        uint16_t *to = plan_tensor(p, room, in[i]);
        for (size_t k = 0; k < shape_elements(in[i]->shape); k++) nn_narrow(to + k, NN_BF16, &(float){ ((float)below(17) - 8) / 8 }, 1);
    }
    seed = before;
    adamw_now(&attr, 0.01, 3, plan_tensor(p, room, in[2]));
    *(float *)plan_tensor(p, room, in[3]) = gate;
    if (plan_run(p, room, NULL) < 0) fail_msg("%s", error_message());
    workspace_free(room), plan_free(p), params_free(store), graph_free(g);
}

static void check_update(const test_case *c, const device *d, const device *reference) {
    size_t n = c->co * c->ci * c->kh * c->kw, each[STATES] = { nn_type_bytes(c->weight_type), 2, 4, 4 };
    char *start[STATES], *want[STATES], *got[STATES], what[300];
    describe(c, what, sizeof what);
    for (int i = 0; i < STATES; i++) {
        start[i] = bytes_of(n * each[i]), want[i] = bytes_of(n * each[i]), got[i] = bytes_of(n * each[i]);
        for (size_t k = 0; k < n; k++) {
            float x = ((float)below(2001) - (i == V ? 0 : 1000)) / 1000;
            if (i == LOW) ((uint16_t *)(void *)start[i])[k] = (uint16_t)below(65536);
            else nn_narrow(start[i] + k * each[i], i == WEIGHT ? c->weight_type : NN_F32, &x, 1);
        }
        memcpy(want[i], start[i], n * each[i]);
    }
    run_update(c, reference, 1, false, 1, want);
    for (int threads = 1; threads <= THREADS + 1; threads++) {
        bool closed = threads > THREADS;
        for (int i = 0; i < STATES; i++) memcpy(got[i], start[i], n * each[i]);
        run_update(c, d, closed ? 1 : threads, true, closed ? INFINITY : 1, got);
        for (int i = 0; i < STATES; i++)
            if (memcmp(got[i], closed ? start[i] : want[i], n * each[i])) fail_msg("%s, %d threads: state %d has other bits", what, threads, i);
    }
    for (int i = 0; i < STATES; i++) free(start[i]), free(want[i]), free(got[i]);
}

static void updates(void **state) {
    (void)state;
    if (!have(CPU_AVX512_BF16)) skip();
    device *d = own_device(), *reference = device_new(CPU_REFERENCE);
    assert_non_null(reference);
    for (uint64_t i = 0; i < 40; i++) {
        seed = 9000 + i;
        test_case c = random_case(i % 2 ? LINEAR_DW : CONV_DW, NN_BF16, i % 4 ? 60 : 200);
        c.attr.weights = WEIGHTS_OIHW;
        if (c.kind == CONV_DW && below(3)) c.kh = c.kw = 3, c.h += 2, c.w += 2, c.co += 48, c.attr.pad_top = c.attr.pad_left = c.attr.pad_bottom = c.attr.pad_right = (int)below(2);
        check_update(&c, d, reference);
    }
    static const test_case large[] = {   /* the most rows; several blocks of columns */
        { LINEAR_DW, NN_BF16, NN_BF16, true, false, 1, 32, 32, 83, 21, 1, 1, { .stride = 1 }, false },
        { LINEAR_DW, NN_BF16, NN_BF16, true, false, 1, 31, 33, 400, 12, 1, 1, { .stride = 1 }, false },
    };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) check_update(&large[i], d, reference);
    device_free(d), device_free(reference);
}

/* Whatever a model has, some kernel takes it, of those of the table. */
static void all_kernels(void **state) {
    (void)state;
    if (!have(CPU_AVX2)) skip();
    static const struct { size_t h, w, ci, co, k; int stride, pad; } convs[] = {
        { 8, 8, 4, 64, 3, 1, 1 }, { 6, 6, 64, 64, 3, 1, 1 }, { 9, 7, 64, 4, 3, 1, 1 }, { 8, 8, 96, 64, 1, 1, 0 }, { 8, 8, 48, 64, 3, 2, 1 }, { 9, 9, 32, 32, 3, 2, 0 },
        { 3, 3, 160, 64, 3, 1, 1 }, { 16, 16, 3, 16, 3, 1, 1 }, { 16, 16, 16, 32, 3, 2, 1 }, { 7, 5, 8, 8, 1, 1, 0 }, { 2, 2, 96, 96, 3, 1, 1 },
    };
    for (int last = 0; last < 2; last++)
        for (int bf16 = 0; bf16 <= (last && cpu_level_here() >= CPU_AVX512_BF16); bf16++) {
            cpu_level level = last ? cpu_level_here() : CPU_AVX2;
            device *d = device_cpu(level);
            for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
                for (kind k = CONV; k < KINDS; k++) {
                    int pad = convs[i].pad;
                    test_case c = { k, bf16 ? NN_BF16 : NN_F32, bf16 ? NN_BF16 : NN_F32, true, true, 1, convs[i].h, convs[i].w, convs[i].ci, convs[i].co, convs[i].k, convs[i].k,
                                    { convs[i].stride, pad, pad, pad, pad, WEIGHTS_OIHW }, false };
                    if (convs[i].h == 9 && convs[i].stride == 2) c.attr.pad_bottom = c.attr.pad_right = 1;   /* as the autoencoder pads */
                    seed = i;
                    if (k == CONV_DX_ADD && bf16 && (c.kh > 1 || c.attr.stride > 1)) continue;   /* two kernels, which round twice */
                    check(&c, d, cpu_level_name(level));
                }
            device_free(d);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(onednn_f32), cmocka_unit_test(onednn_avx2), cmocka_unit_test(onednn_bf16), cmocka_unit_test(own), cmocka_unit_test(upsampled), cmocka_unit_test(updates), cmocka_unit_test(all_kernels) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
