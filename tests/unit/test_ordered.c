/* SPDX-License-Identifier: Apache-2.0
 *
 * The ordered kernels against the reference, on random odd shapes: not one bit may differ. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "nn/cpu/ordered.h"
#include "nn/ops.h"
#include "nn/plan.h"

static uint64_t seed;
static bool zeros;   /* weights of -0 over positive inputs: sums of -0 tell a wrong ReLU or PReLU */

static uint32_t draw(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

static size_t between(size_t low, size_t high) { return low + draw() % (high - low + 1); }
static bool one_in(unsigned n) { return draw() % n == 0; }

/* Numbers of both signs, now and then a zero of either. */
static void fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t d = draw();
        x[i] = d % 16 == 0 ? (d % 32 ? -0.0f : 0.0f) : (float)(int)(d & 0xffff) / 32768.0f - 1.0f;
    }
}

/* A parameter of random numbers, half of them kept in f16. */
static tensor *param(graph *g, nn_shape s) {
    size_t n = shape_elements(s);
    float *data = graph_memory(g, n, sizeof *data);
    if (!data) return NULL;
    fill(data, n);
    if (zeros && s.rank != 1) {
        for (size_t i = 0; i < n; i++) data[i] = -0.0f;
        return graph_param(g, "w", NN_F32, s, data);
    }
    if (one_in(2)) return graph_param(g, "w", NN_F32, s, data);
    uint16_t *half = (uint16_t *)data;
    for (size_t i = 0; i < n; i++) half[i] = (uint16_t)(draw() & 0xbfff);   /* below 2, subnormal ones too */
    return graph_param(g, "w", NN_F16, s, half);
}

static tensor *bias(graph *g, size_t n) {
    float *data = zeros ? graph_memory(g, n, sizeof *data) : NULL;
    for (size_t i = 0; data && i < n; i++) data[i] = -0.0f;
    return data ? graph_param(g, "bias", NN_F32, shape1(n), data) : param(g, shape1(n));
}

static tensor *activation(graph *g, tensor *x) {
    size_t c = x ? x->shape.dim[3] : 1;
    switch (draw() % 3) {
    case 0: return relu(g, x);
    case 1: return prelu(g, x, param(g, shape1(c)));
    default: return x;
    }
}

static conv2d_attr random_attr(int most_padding, int most_stride) {
    conv2d_attr a = { .stride = (int)between(1, (size_t)most_stride) };
    int *pad[] = { &a.pad_top, &a.pad_left, &a.pad_bottom, &a.pad_right };
    for (int i = 0; i < 4; i++) *pad[i] = (int)between(0, (size_t)most_padding);
    return a;
}

static tensor *random_conv(graph *g, tensor *x) {
    if (!x) return NULL;
    conv2d_attr a = one_in(3) ? (conv2d_attr){ .stride = 1 } : random_attr(2, 3);
    size_t ci = x->shape.dim[3], co = one_in(8) ? between(130, 300) : between(1, 80);
    size_t kh = between(1, x->shape.dim[1] < 5 ? x->shape.dim[1] : 5), kw = between(1, x->shape.dim[2] < 5 ? x->shape.dim[2] : 5);
    if (one_in(2)) kh = kw = 1;
    a.weights = one_in(3) ? WEIGHTS_OIHW : WEIGHTS_OHWI;
    tensor *w = param(g, a.weights == WEIGHTS_OHWI ? shape4(co, kh, kw, ci) : shape4(co, ci, kh, kw));
    return activation(g, conv2d(g, x, w, one_in(4) ? NULL : bias(g, co), a));
}

static tensor *random_depthwise(graph *g, tensor *x) {
    if (!x) return NULL;
    conv2d_attr a = random_attr(1, 2);
    size_t c = x->shape.dim[3], k = one_in(6) ? 2 : 3;
    if (x->shape.dim[1] < k || x->shape.dim[2] < k) a.pad_top = a.pad_bottom = a.pad_left = a.pad_right = 1;
    return depthwise_conv2d(g, x, param(g, shape4(1, k, k, c)), one_in(4) ? NULL : bias(g, c), a);
}

/* act(shortcut + conv1x1(depthwise3x3(x))), in all its forms. */
static tensor *random_block(graph *g, tensor *x) {
    if (!x) return NULL;
    const nn_shape s = x->shape;
    size_t c = s.dim[3], extra = one_in(2) ? 0 : between(1, 40);
    bool half = one_in(3) && s.dim[1] % 2 == 0 && s.dim[2] % 2 == 0;
    conv2d_attr a = { .stride = half ? 2 : 1, .pad_bottom = 1, .pad_right = 1, .pad_top = !half, .pad_left = !half };
    tensor *main = depthwise_conv2d(g, x, param(g, shape4(1, 3, 3, c)), one_in(4) ? NULL : bias(g, c), a);
    main = conv2d(g, main, param(g, shape4(c + extra, 1, 1, c)), one_in(4) ? NULL : bias(g, c + extra), (conv2d_attr){ .stride = 1 });
    tensor *shortcut = x;
    bool pad_first = one_in(2);
    if (extra && pad_first) shortcut = pad_channels(g, shortcut, extra);
    if (half) shortcut = max_pool2d(g, shortcut, 2, 2);
    if (extra && !pad_first) shortcut = pad_channels(g, shortcut, extra);
    return activation(g, one_in(2) ? add(g, shortcut, main) : add(g, main, shortcut));
}

enum { MOST = 8 };
typedef struct { graph *g; tensor *x, *out[MOST]; int n; } network;

/* A few layers one after another; each may also be read from outside, which needs it without padding. */
static network random_network(void) {
    network net = { .g = graph_new() };
    graph_set_ordered(net.g, true);
    size_t c = one_in(3) ? between(1, 5) : between(6, 130);
    nn_shape s = shape4(one_in(5) ? 2 : 1, between(1, 20), between(1, 20), c);
    net.x = graph_input(net.g, "x", NN_F32, s);
    tensor *t = net.x;
    for (size_t layers = between(1, 4); layers && net.n < MOST; layers--) {
        switch (draw() % 4) {
        case 0: t = random_conv(net.g, t); break;
        case 1: t = random_depthwise(net.g, t); break;
        default: t = random_block(net.g, t); break;
        }
        if (layers == 1 || one_in(3)) net.out[net.n++] = graph_output(net.g, t);
    }
    return net;
}

/* All outputs, one behind the other; malloc'd. */
static float *run(const network *net, const float *x, device *d, size_t *count, int *served) {
    params *weights = params_new();
    plan *p = plan_new(net->g, d, weights, NULL);
    if (!p) fail_msg("no plan: %s", error_message());
    workspace *w = workspace_new(plan_bytes(p));
    memset(plan_tensor(p, w, net->x), 0, 4);
    float *out = NULL;
    for (int again = 0; again < 2; again++) {   /* twice: what one run leaves behind must not matter */
        memcpy(plan_tensor(p, w, net->x), x, shape_elements(net->x->shape) * sizeof *x);
        plan_run(p, w, NULL);
        *count = 0;
        for (int i = 0; i < net->n; i++) {
            size_t n = shape_elements(net->out[i]->shape);
            out = realloc(out, (*count + n) * sizeof *out);
            memcpy(out + *count, plan_tensor(p, w, net->out[i]), n * sizeof *out);
            *count += n;
        }
    }
    *served = 0;
    for (size_t i = 0; i < plan_steps(p); i++) *served += strstr(plan_step(p, i)->kernel->name, "ordered-") != NULL;
    workspace_free(w);
    plan_free(p);
    params_free(weights);
    device_free(d);
    return out;
}

static void compare(const float *got, const float *want, size_t n, cpu_level level, uint64_t from) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            fail_msg("%s, seed %llu: element %zu of %zu is %.9g (%a), not %.9g (%a)", cpu_level_name(level),
                     (unsigned long long)from, i, n, (double)got[i], (double)got[i], (double)want[i], (double)want[i]);
}

typedef const kernel *kernel_table(size_t *n);

static device *device_of(kernel_table *table, cpu_level level) {
    device *d = device_new(level);
    size_t n;
    const kernel *k = table(&n);
    for (size_t i = 0; i < n; i++) assert_int_equal(device_add(d, &k[i]), 0);
    return d;
}

static void random_networks(kernel_table *table, cpu_level level) {
    if (cpu_level_here() < level) {
        print_message("skipped: this machine has no %s\n", cpu_level_name(level));
        skip();
    }
    const char *given = getenv("SEED");
    int total = 0;
    for (uint64_t i = given ? strtoull(given, NULL, 10) : 0, end = given ? i + 1 : 400; i < end; i++) {
        seed = i * 7919;
        zeros = one_in(8);
        network net = random_network();
        if (graph_check(net.g) < 0) {   /* some windows do not fit */
            graph_free(net.g);
            continue;
        }
        size_t n = shape_elements(net.x->shape), n_want, n_got;
        float *x = malloc(n * sizeof *x);
        fill(x, n);
        for (size_t k = 0; zeros && k < n; k++) x[k] = 0.5f + fabsf(x[k]);
        int none, served;
        float *want = run(&net, x, device_cpu(CPU_REFERENCE), &n_want, &none);
        float *got = run(&net, x, device_of(table, level), &n_got, &served);
        assert_int_equal(none, 0);
        assert_int_equal(n_want, n_got);
        compare(got, want, n_want, level, i);
        total += served;
        free(x), free(want), free(got);
        graph_free(net.g);
    }
    if (!given) assert_true(total > 500);   /* else the reference was compared with itself */
}

static void test_avx2(void **state) { (void)state; random_networks(ordered_kernels_avx2, CPU_AVX2); }
static void test_avx512(void **state) { (void)state; random_networks(ordered_kernels_avx512, CPU_AVX512); }
static void test_avx512_pairs(void **state) { (void)state; random_networks(ordered_kernels_avx512_pairs, CPU_AVX512); }

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_avx2), cmocka_unit_test(test_avx512), cmocka_unit_test(test_avx512_pairs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
