/* SPDX-License-Identifier: Apache-2.0
 *
 * oneDNN's kernels against the reference, on random shapes.
 *
 * Bounds. Let M be the same expression over absolute values, K the number of terms, u = 2^-24. Two orders of summation
 * of K rounded terms differ by at most about 2 K u M, and by a few sqrt(K) u M for signs as they come: f32 must stay within
 * (8 + 4 sqrt(K)) u M. An activation behind it (slope below 1.2, at least half of its argument for positive ones) may treble that, and has
 * errors of its own of 2^-20 M; geglu is a product of two such, and of sums that were rounded to bf16. bf16 (8 significant bits) accumulates in f32 and rounds once: 2^-8 |y| more, and 2^-8 M more where
 * f32 weights were rounded to bf16. Truth is the f32 reference over the same (bf16) inputs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "nn/cpu/onednn.h"
#include "nn/ops.h"
#include "nn/plan.h"

typedef enum { CONV, DEPTHWISE, LINEAR } kind;
static const char *const kind_name[] = { "conv2d", "depthwise_conv2d", "linear" };

typedef enum { NONE, RELU, SILU, GELU, QUICK_GELU, GEGLU, ACTIVATIONS } activation;
static const char *const activation_name[] = { "", "+relu", "+silu", "+gelu", "+quick_gelu", "+geglu" };
/* Those that a kernel takes behind it. */
static bool served(kind k, activation a, int residual) {
    if (a <= RELU) return true;
    return residual == 0 && k == LINEAR;
}

typedef struct {
    kind kind;
    size_t n, h, w, ci, co;    /* LINEAR: n*h rows */
    size_t kh, kw;
    int rank;                  /* of LINEAR's input */
    conv2d_attr attr;
    bool bias, bordered;
    activation act;
    int residual;              /* 0: none, 1: the first operand of the add, 2: the second */
    nn_type type, weight_type;
    bool unaligned;
    int threads;
} test_case;

static uint64_t seed = 1;
static uint32_t draw(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}
static size_t between(size_t a, size_t b) { return a + draw() % (b - a + 1); }
/* In (-1, 1), exact in the type: 8 significant bits are so in every type. */
static float number(nn_type exact_in) {
    int bits = exact_in == NN_F32 ? 24 : 8, half = 1 << (bits - 1);
    return (float)((int)(draw() & (uint32_t)(2 * half - 1)) - half) / (float)half;
}

static void describe(const test_case *c, char *out, size_t size) {
    snprintf(out, size, "%s %s w:%s n%zu %zux%zu %zu->%zu k%zux%zu s%d pad %d,%d,%d,%d %s bias%d res%d%s border%d unaligned%d threads%d",
             kind_name[c->kind], nn_type_name(c->type), nn_type_name(c->weight_type), c->n, c->h, c->w, c->ci, c->co, c->kh, c->kw,
             c->attr.stride, c->attr.pad_top, c->attr.pad_left, c->attr.pad_bottom, c->attr.pad_right,
             c->attr.weights == WEIGHTS_OIHW ? "OIHW" : "OHWI", c->bias, c->residual, activation_name[c->act], c->bordered, c->unaligned, c->threads);
}

/* ---- a kernel that leaves a border and padded channels, to be read by oneDNN's ----------------------------------------- */

static bool bordered_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    match_node(m, root);
    match_in(m, root->in[0], (layout_need){ 0 });
    match_in(m, root->in[1], (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ .strided = true, .border = 2, .channel_multiple = 16 });
    return root->in[0]->shape.rank == 4 && root->in[1]->shape.rank == 1;
}
static int bordered_prepare(kernel_step *s, params *p) { return (void)s, (void)p, 0; }
static int bordered_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const nn_shape d = s->match.in[0]->shape;
    const nn_layout *l = &s->out_layout[0];
    size_t each = nn_type_bytes(s->match.out[0]->type), line = d.dim[3] * each;
    assert_true(l->border == 2 && l->stride[2] % 16 == 0);
    memset((char *)out[0] - l->lead * each, 0, l->elements * each);
    for (size_t n = 0; n < d.dim[0]; n++)
        for (size_t y = 0; y < d.dim[1]; y++)
            for (size_t x = 0; x < d.dim[2]; x++)
                memcpy((char *)out[0] + (n * l->stride[0] + y * l->stride[1] + x * l->stride[2]) * each,
                       (const char *)in[0] + ((n * d.dim[1] + y) * d.dim[2] + x) * line, line);
    return 0;
}
/* Stands for "x + 0", with 0 of one element. */
static const kernel bordered = { "add/bordered", &op_add, bordered_match, bordered_prepare, bordered_run, NULL, NULL };

/* ---- one case --------------------------------------------------------------------------------------------------------- */

typedef struct { float *x, *w, *bias, *residual, *out; size_t nx, nw, nb, ny; } numbers;

static nn_shape x_shape(const test_case *c) {
    if (c->kind != LINEAR) return shape4(c->n, c->h, c->w, c->ci);
    return c->rank == 1 ? shape1(c->ci) : c->rank == 2 ? shape2(c->n * c->h, c->ci) : c->rank == 3 ? shape3(c->n, c->h, c->ci) : shape4(c->n, c->h, 1, c->ci);
}

static nn_shape w_shape(const test_case *c) {
    if (c->kind == LINEAR) return shape2(c->co, c->ci);
    if (c->kind == DEPTHWISE) return shape4(1, c->kh, c->kw, c->ci);
    return c->attr.weights == WEIGHTS_OIHW ? shape4(c->co, c->ci, c->kh, c->kw) : shape4(c->co, c->kh, c->kw, c->ci);
}

static void put(void *out, nn_type type, const float *in, size_t n) {
    if (type != NN_F16) {
        nn_narrow(out, type, in, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {   /* exact: see `number` */
        uint32_t bits;
        memcpy(&bits, &in[i], 4);
        uint16_t h = in[i] == 0 ? 0 : (uint16_t)((bits >> 16 & 0x8000) | (((bits >> 23 & 255) - 112) << 10) | (bits >> 13 & 0x3ff));
        memcpy((char *)out + 2 * i, &h, 2);
    }
}

typedef struct { graph *g; tensor *x, *residual, *y; char *weights; float *bias; float zero; } built;

/* The case as a graph: types as given, or all f32 for the truth. */
static void build(const test_case *c, const numbers *v, bool truth, built *b) {
    nn_type type = truth ? NN_F32 : c->type, weight_type = truth ? NN_F32 : c->weight_type;
    size_t shift = !truth && c->unaligned ? 1 : 0;
    b->zero = 0;
    b->weights = malloc(v->nw * nn_type_bytes(weight_type) + 1);
    char *aligned = malloc(v->nw * nn_type_bytes(weight_type));
    put(aligned, weight_type, v->w, v->nw);
    memcpy(b->weights + shift, aligned, v->nw * nn_type_bytes(weight_type));
    free(aligned);
    b->g = graph_new();
    tensor *x = b->x = graph_input(b->g, "x", type, x_shape(c));
    if (c->bordered && !truth) x = add(b->g, x, graph_input(b->g, "zero", type, shape1(1)));
    tensor *w = graph_param(b->g, "w", weight_type, w_shape(c), b->weights + shift);
    tensor *bias = c->bias ? graph_param(b->g, "bias", NN_F32, shape1(v->nb), v->bias) : NULL;
    tensor *y = c->kind == LINEAR ? linear(b->g, x, w, bias)
              : c->kind == CONV ? conv2d(b->g, x, w, bias, c->attr) : depthwise_conv2d(b->g, x, w, bias, c->attr);
    b->residual = NULL;
    if (c->residual && y) {
        b->residual = graph_input(b->g, "residual", type, y->shape);
        y = c->residual == 1 ? add(b->g, b->residual, y) : add(b->g, y, b->residual);
    }
    static tensor *(*const activate[])(graph *g, tensor *x) = { [RELU] = relu, [SILU] = silu, [GELU] = gelu, [QUICK_GELU] = quick_gelu, [GEGLU] = geglu };
    if (c->act) y = activate[c->act](b->g, y);
    b->y = graph_output(b->g, y);
}

static void built_free(built *b) {
    graph_free(b->g);
    free(b->weights);
}

static void run_into(const plan *p, workspace *ws, const built *b, const numbers *v, float *out, size_t ny) {
    put(plan_tensor(p, ws, b->x), b->x->type, v->x, v->nx);
    if (b->residual) put(plan_tensor(p, ws, b->residual), b->residual->type, v->residual, ny);
    plan_run(p, ws, NULL);
    nn_widen(out, plan_tensor(p, ws, b->y), b->y->type, ny);
}

static float *reference(const test_case *c, numbers *v) {
    built b;
    build(c, v, true, &b);
    if (graph_check(b.g) < 0) fail_msg("%s", error_message());
    device *d = device_cpu(CPU_REFERENCE);
    params *store = params_new();
    plan *p = plan_new(b.g, d, store, NULL);
    assert_non_null(p);
    workspace *ws = workspace_new(plan_bytes(p));
    float *out = malloc(v->ny * sizeof *out);
    run_into(p, ws, &b, v, out, v->ny);
    workspace_free(ws);
    plan_free(p);
    params_free(store);
    device_free(d);
    built_free(&b);
    return out;
}

static void fill(float **x, size_t n, nn_type exact_in) {
    *x = malloc(n * sizeof(float));
    for (size_t i = 0; i < n; i++) (*x)[i] = number(exact_in);
}

static void absolute(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = fabsf(x[i]);
}

static device *onednn_device(cpu_level level) {
    device *d = device_new(level);
    assert_non_null(d);
    assert_int_equal(onednn_add(d), 0);
    return d;
}

/* Runs the case on the device; the truth and the magnitudes by the reference. A `ref` implementation fails. */
static void check(const test_case *c, cpu_level level) {
    char what[300];
    describe(c, what, sizeof what);
    numbers v = { .nx = shape_elements(x_shape(c)), .nw = shape_elements(w_shape(c)), .nb = c->kind == DEPTHWISE ? c->ci : c->co };
    built b;
    fill(&v.x, v.nx, c->type);
    fill(&v.w, v.nw, c->weight_type);
    fill(&v.bias, v.nb, NN_F32);
    build(c, &v, false, &b);
    if (graph_check(b.g) < 0) fail_msg("%s: %s", what, error_message());
    v.ny = shape_elements(b.y->shape);
    fill(&v.residual, v.ny, c->type);
    float *want = reference(c, &v);

    device *d = onednn_device(level);
    assert_int_equal(device_add(d, &bordered), 0);
    params *store = params_new();
    plan *p = plan_new(b.g, d, store, &(plan_options){ .threads = c->threads });
    if (!p) fail_msg("%s: %s", what, error_message());
    const kernel_step *s = plan_step(p, plan_steps(p) - 1);
    char name[64];
    snprintf(name, sizeof name, "%s%s%s/onednn", kind_name[c->kind], c->residual ? "+add" : "", activation_name[c->act]);
    if (plan_steps(p) != (c->bordered ? 3u : 1u) || strcmp(s->kernel->name, name) != 0) fail_msg("%s: %zu steps, the last %s", what, plan_steps(p), s->kernel->name);
    if (getenv("VERBOSE")) printf("%s: %s\n", what, s->info);
    if (!s->info[0] || strstr(s->info, "ref")) fail_msg("%s: implementation %s", what, s->info);
    if (level < CPU_AVX512 && strstr(s->info, "avx512")) fail_msg("%s: %s above the level", what, s->info);

    workspace *ws = workspace_new(plan_bytes(p));
    float *got = malloc(v.ny * sizeof *got), *again = malloc(v.ny * sizeof *got);
    run_into(p, ws, &b, &v, got, v.ny);
    run_into(p, ws, &b, &v, again, v.ny);
    if (memcmp(got, again, v.ny * sizeof *got) != 0) fail_msg("%s: two runs differ", what);

    absolute(v.x, v.nx), absolute(v.w, v.nw), absolute(v.bias, v.nb), absolute(v.residual, v.ny);
    float *magnitude = reference(c, &v);
    double terms = c->kind == LINEAR ? (double)c->ci : (double)(c->kh * c->kw * (c->kind == CONV ? c->ci : 1)), worst = 0;
    double relative = (8 + 4 * sqrt(terms)) * 0x1p-24;
    if (c->type == NN_BF16 && c->weight_type == NN_F32) relative += 0x1p-8;
    if (c->act == GEGLU && c->type == NN_BF16) relative += 0x1p-8;
    if (c->act > RELU) relative = (c->act == GEGLU ? 6 : 3) * relative + 0x1p-20;
    for (size_t i = 0; i < v.ny; i++) {
        double bound = relative * magnitude[i] + (c->type == NN_BF16 ? 0x1p-8 * fabsf(want[i]) : 0) + 1e-30;
        double off = fabs((double)got[i] - want[i]) / bound;
        if (!(off <= 1)) fail_msg("%s (%s): element %zu is %g, not %g: %g of the bound", what, s->info, i, got[i], want[i], off);
        if (off > worst) worst = off;
    }
    if (getenv("VERBOSE")) printf("   worst %.3f of the bound\n", worst);
    free(magnitude), free(got), free(again), free(want);
    workspace_free(ws);
    plan_free(p);
    params_free(store);
    device_free(d);
    built_free(&b);
    free(v.x), free(v.w), free(v.bias), free(v.residual);
}

static test_case random_case(kind k) {
    test_case c = { .kind = k, .n = between(1, 3), .h = between(1, 19), .w = between(1, 23), .ci = between(1, 70), .co = between(1, 70) };
    static const nn_type types[] = { NN_F32, NN_F16, NN_BF16 };
    c.kh = between(1, 5), c.kw = draw() % 3 ? c.kh : between(1, 5);
    if (k != CONV) c.co = k == DEPTHWISE ? c.ci : c.co;
    c.rank = (int)between(1, 4);
    if (k == LINEAR && c.rank == 1) c.n = c.h = 1;
    c.attr.stride = (int)between(1, 2);
    c.attr.pad_top = (int)between(0, c.kh - 1), c.attr.pad_bottom = (int)between(0, c.kh - 1);
    c.attr.pad_left = (int)between(0, c.kw - 1), c.attr.pad_right = (int)between(0, c.kw - 1);
    if (c.h < c.kh) c.h = c.kh;
    if (c.w < c.kw) c.w = c.kw;
    c.attr.weights = k == CONV && draw() % 2 ? WEIGHTS_OIHW : WEIGHTS_OHWI;
    c.bias = draw() % 3, c.act = draw() % 2 ? (activation)(draw() % ACTIVATIONS) : NONE, c.residual = (int)between(0, 2);
    if (!served(k, c.act, 0)) c.act = RELU;
    if (!served(k, c.act, c.residual) || k == DEPTHWISE) c.residual = 0;
    if (c.act == GEGLU) c.co *= 2, c.n += 32, c.h += 8, c.rank += c.rank == 1;   /* few rows are left to others */
    c.bordered = k != LINEAR && draw() % 4 == 0;
    c.weight_type = types[draw() % 3];
    c.unaligned = draw() % 4 == 0;
    c.threads = (int)between(1, 3);
    return c;
}

static bool have(cpu_level level, const char *what) {
    if (cpu_level_here() >= level) return true;
    printf("skipped: %s needs %s, this machine has %s\n", what, cpu_level_name(level), cpu_level_name(cpu_level_here()));
    return false;
}

static void random_shapes(cpu_level level, nn_type type) {
    for (int i = 0; i < 60; i++) {
        uint64_t before = seed;
        test_case c = random_case((kind)(i % 3));
        c.type = type;
        if (getenv("VERBOSE")) printf("seed %llu\n", (unsigned long long)before);
        check(&c, level);
    }
}

static void f32(void **unused) {
    (void)unused;
    if (!have(CPU_AVX2, "f32")) skip();
    random_shapes(cpu_level_here(), NN_F32);
}

static void f32_avx2(void **unused) {
    (void)unused;
    if (!have(CPU_AVX512, "capping the level")) skip();   /* elsewhere it is what `f32` has done */
    random_shapes(CPU_AVX2, NN_F32);
}

static void bf16(void **unused) {
    (void)unused;
    if (!have(CPU_AVX512_BF16, "bf16")) skip();
    random_shapes(CPU_AVX512_BF16, NN_BF16);
}

/* ---- shapes that models have: never `ref` ----------------------------------------------------------------------------------- */

static void typical(void **unused) {
    (void)unused;
    if (!have(CPU_AVX2, "oneDNN")) skip();
    static const struct { size_t h, w, ci, co, k; int stride; } convs[] = {
        { 8, 8, 4, 320, 3, 1 }, { 8, 8, 320, 320, 3, 1 }, { 9, 7, 320, 4, 3, 1 }, { 8, 8, 640, 320, 1, 1 }, { 8, 8, 320, 320, 3, 2 },
        { 4, 4, 1280, 64, 3, 1 }, { 16, 16, 3, 16, 3, 2 }, { 1, 1, 128, 140, 1, 1 },
    };
    static const struct { size_t m, k, n; } products[] = { { 77, 768, 320 }, { 64, 320, 2560 }, { 1, 1280, 320 }, { 16, 5120, 64 } };
    for (int type = 0; type < 2; type++) {
        if (type && !have(CPU_AVX512_BF16, "bf16")) break;
        for (int fused = 0; fused < 2; fused++) {
            test_case c = { .n = 2, .bias = true, .act = fused ? RELU : NONE, .residual = fused ? 2 : 0, .rank = 2, .threads = 2,
                            .type = type ? NN_BF16 : NN_F32, .weight_type = type ? NN_BF16 : NN_F32 };
            for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
                int pad = (int)convs[i].k / 2;
                c.kind = CONV, c.h = convs[i].h, c.w = convs[i].w, c.ci = convs[i].ci, c.co = convs[i].co, c.kh = c.kw = convs[i].k;
                c.attr = (conv2d_attr){ convs[i].stride, pad, pad, pad, pad, WEIGHTS_OIHW };
                check(&c, cpu_level_here());
            }
            for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
                c.kind = LINEAR, c.n = 1, c.act = fused ? RELU : NONE, c.residual = fused ? 2 : 0, c.h = products[i].m, c.ci = products[i].k, c.co = products[i].n;
                check(&c, cpu_level_here());
            }
        }
    }
}

/* ---- threads ------------------------------------------------------------------------------------------------------------------ */

static size_t threads_here(void) {
    size_t n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

typedef struct { graph *g; tensor *x, *y; float *w, *in; size_t nx, ny; } net;

static net small_net(bool ordered, nn_type type) {
    net t = { .g = graph_new(), .nx = 2 * 32 * 32 * 32 };
    fill(&t.w, 32 * 9 * 32, NN_F32);
    fill(&t.in, t.nx, NN_F32);
    graph_set_ordered(t.g, ordered);
    t.x = graph_input(t.g, "x", type, shape4(2, 32, 32, 32));
    tensor *w = graph_param(t.g, "w", NN_F32, shape4(32, 3, 3, 32), t.w);
    conv2d_attr a = { 1, 1, 1, 1, 1, WEIGHTS_OHWI };
    tensor *h = relu(t.g, conv2d(t.g, t.x, w, NULL, a));
    t.y = graph_output(t.g, add(t.g, conv2d(t.g, h, w, NULL, a), t.x));
    t.ny = t.nx;
    return t;
}

static void net_free(net *t) {
    graph_free(t->g);
    free(t->w), free(t->in);
}

/* A step's primitive takes the plan's threads, whatever the runtime's default is. First of all tests: no worker exists yet. */
static void thread_count(void **unused) {
    (void)unused;
    if (!have(CPU_AVX2, "oneDNN")) skip();
    net t = small_net(false, NN_F32);
    device *d = onednn_device(cpu_level_here());
    params *store = params_new();
    assert_int_equal(threads_here(), 1);
    for (int threads = 1; threads <= 4; threads += threads == 1 ? 2 : 1) {
        plan *p = plan_new(t.g, d, store, &(plan_options){ .threads = threads });
        if (!p) fail_msg("%s", error_message());
        assert_int_equal(plan_steps(p), 2);
        assert_string_equal(plan_step(p, 0)->kernel->name, "conv2d+relu/onednn");
        workspace *ws = workspace_new(plan_bytes(p));
        memcpy(plan_tensor(p, ws, t.x), t.in, t.nx * sizeof *t.in);
        plan_run(p, ws, NULL);
        assert_int_equal(threads_here(), threads);
        workspace_free(ws);
        plan_free(p);
    }
    params_free(store);
    device_free(d);
    net_free(&t);
}

typedef struct { const plan *p; const net *t; const float *want; bool equal; } runner;

static void *run_many(void *what) {
    runner *r = what;
    workspace *ws = workspace_new(plan_bytes(r->p));
    r->equal = true;
    for (int i = 0; i < 20; i++) {
        memcpy(plan_tensor(r->p, ws, r->t->x), r->t->in, r->t->nx * sizeof(float));
        plan_run(r->p, ws, NULL);
        r->equal &= memcmp(plan_tensor(r->p, ws, r->t->y), r->want, r->t->ny * sizeof(float)) == 0;
    }
    workspace_free(ws);
    return NULL;
}

/* One plan, several runners at once; and a second plan over the same parameters: the same bits, nothing packed twice. */
static void shared_plan(void **unused) {
    (void)unused;
    if (!have(CPU_AVX2, "oneDNN")) skip();
    net t = small_net(false, NN_F32);
    device *d = onednn_device(cpu_level_here());
    params *store = params_new();
    plan *p = plan_new(t.g, d, store, NULL);
    assert_non_null(p);
    size_t packed = params_bytes(store);
    plan *q = plan_new(t.g, d, store, NULL);
    assert_non_null(q);
    assert_int_equal(params_bytes(store), packed);
    workspace *ws = workspace_new(plan_bytes(q));
    memcpy(plan_tensor(q, ws, t.x), t.in, t.nx * sizeof *t.in);
    plan_run(q, ws, NULL);
    runner r[3];
    pthread_t id[3];
    for (int i = 0; i < 3; i++) {
        r[i] = (runner){ p, &t, plan_tensor(q, ws, t.y), false };
        assert_int_equal(pthread_create(&id[i], NULL, run_many, &r[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(id[i], NULL);
        assert_true(r[i].equal);
    }
    workspace_free(ws);
    plan_free(q);
    plan_free(p);
    params_free(store);
    device_free(d);
    net_free(&t);
}

/* ---- docs/engine.md, section 6 ------------------------------------------------------------------------------------------------- */

static void as_documented(void **unused) {
    (void)unused;
    if (!have(CPU_AVX2, "oneDNN")) skip();
    size_t nw = 320 * 320 * 9;
    float *w, *bias;
    fill(&w, 2 * nw, NN_F32);
    fill(&bias, 320, NN_F32);
    conv2d_attr a = { 1, 1, 1, 1, 1, WEIGHTS_OIHW };
    graph *g = graph_new();
    tensor *x = graph_input(g, "x", NN_F32, shape4(2, 64, 64, 320)), *b = graph_param(g, "b", NN_F32, shape1(320), bias);
    tensor *h = relu(g, conv2d(g, relu(g, x), graph_param(g, "w1", NN_F32, shape4(320, 320, 3, 3), w), b, a));
    graph_output(g, add(g, x, conv2d(g, h, graph_param(g, "w2", NN_F32, shape4(320, 320, 3, 3), w + nw), b, a)));
    device *d = onednn_device(cpu_level_here());
    params *store = params_new();
    plan *p = plan_new(g, d, store, &(plan_options){ .threads = 2 });
    if (!p) fail_msg("%s", error_message());
    assert_int_equal(plan_steps(p), 3);
    assert_string_equal(plan_step(p, 1)->kernel->name, "conv2d+relu/onednn");
    assert_string_equal(plan_step(p, 2)->kernel->name, "conv2d+add/onednn");
    size_t scratch = (plan_step(p, 1)->scratch_bytes + 63) & ~(size_t)63;
    assert_int_equal(plan_bytes(p), 3 * (10485760 + 64) + scratch);
    if (have(CPU_AVX512, "the documented scratch and packing")) {
        assert_int_equal(scratch, 12288);
        assert_int_equal(params_bytes(store), 7374272);
    }
    plan_free(p);
    params_free(store);
    device_free(d);
    graph_free(g);
    free(w), free(bias);
}

/* ---- what it refuses ------------------------------------------------------------------------------------------------------------ */

static void refusals(void **unused) {
    (void)unused;
    if (!have(CPU_AVX2, "oneDNN")) skip();
    device *d = onednn_device(CPU_AVX2);
    params *store = params_new();
    net t = small_net(false, NN_BF16);
    assert_null(plan_new(t.g, d, store, NULL));
    assert_non_null(strstr(error_message(), "bf16 needs a processor with AVX-512 bf16, and this one is used as avx2"));
    net_free(&t);
    t = small_net(true, NN_F32);   /* ordered: for others */
    plan *p = plan_new(t.g, d, store, NULL);
    assert_non_null(p);
    for (size_t i = 0; i < plan_steps(p); i++) assert_null(strstr(plan_step(p, i)->kernel->name, "onednn"));
    plan_free(p);
    net_free(&t);
    params_free(store);
    device_free(d);
}

/* In a process of its own: LIBRARY is there but no library. */
static int without_library(void) {
    device *d = onednn_device(CPU_AVX2);
    params *store = params_new();
    net t = small_net(true, NN_F32);
    plan *p = plan_new(t.g, d, store, NULL);
    if (!p) return 10;
    plan_free(p);
    net_free(&t);
    t = small_net(false, NN_F32);
    p = plan_new(t.g, d, store, NULL);
    if (p) return 11;
    if (!strstr(error_message(), "oneDNN is needed for convolutions and cannot be opened")) return 12;
    net_free(&t);
    params_free(store);
    device_free(d);
    return 0;
}

static const char *self;

static void missing_library(void **unused) {
    (void)unused;
    char folder[] = "/tmp/mien_test_XXXXXX", file[64];
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/libdnnl.so.3", folder);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    pid_t child = fork();
    if (child == 0) {
        setenv("LD_LIBRARY_PATH", folder, 1);
        execl(self, self, "without-library", (char *)NULL);
        _exit(13);
    }
    int status = -1;
    waitpid(child, &status, 0);
    unlink(file);
    rmdir(folder);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv) {
    (void)argc;
    self = argv[0];
    if (argc > 1 && strcmp(argv[1], "without-library") == 0) return without_library();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_count), cmocka_unit_test(shared_plan), cmocka_unit_test(refusals), cmocka_unit_test(missing_library),
        cmocka_unit_test(f32), cmocka_unit_test(f32_avx2), cmocka_unit_test(bf16), cmocka_unit_test(typical),
        cmocka_unit_test(as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
