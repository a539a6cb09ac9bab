/* SPDX-License-Identifier: Apache-2.0
 *
 * Recomputation: whatever memory a plan is given, losses and weights have the bits that they have with all of it. */
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
#include "nn/update.h"

enum { BLOCKS = 3, CHANNELS = 16, SIDE = 8, HEADS = 2, MOST_STATES = 256 };

typedef struct {
    graph *g;
    nn_type type;
    tensor *x, *target, *now, *loss;
    void *memory[MOST_STATES];
    size_t bytes[MOST_STATES];
    int n;
    unsigned seed;
} network;

static tensor *state(network *n, nn_type type, nn_shape shape, float scale) {
    size_t count = shape_elements(shape), bytes = (count * nn_type_bytes(type) + 127) / 64 * 64;
    float *x = malloc(count * sizeof *x);
    assert_true(x && n->n < MOST_STATES);
    for (size_t i = 0; i < count; i++) {
        n->seed = n->seed * 1664525u + 1013904223u;
        x[i] = scale * ((float)(int)(n->seed >> 8 & 0xffff) / 32768.0f - 1);
    }
    n->memory[n->n] = aligned_alloc(64, bytes);
    memset(n->memory[n->n], 0, bytes);
    if (type != NN_U16) nn_narrow(n->memory[n->n], type, x, count);   /* lower bits of a weight: 0 */
    n->bytes[n->n] = bytes;
    free(x);
    return graph_state(n->g, "state", type, shape, n->memory[n->n++]);
}

static tensor *weight(network *n, nn_shape shape, float scale) {
    tensor *w = state(n, n->type, shape, scale);
    w->trainable = true;
    return w;
}

static void update(void *context, graph *g, tensor *w) {
    network *n = context;
    adamw_states states = { w, w->type == NN_BF16 ? state(n, NN_U16, w->shape, 0) : NULL, state(n, NN_F32, w->shape, 0), state(n, NN_F32, w->shape, 0) };
    adamw(g, &states, w->grad, n->now, NULL, n->loss, (adamw_attr){ 0.9f, 0.999f, 1e-8f, 0.01f });
}

static tensor *norm(network *n, tensor *x) { return group_norm(n->g, x, weight(n, shape1(CHANNELS), 1), weight(n, shape1(CHANNELS), 1), 8, 1e-5f); }
static tensor *conv(network *n, tensor *x) {
    return conv2d(n->g, x, weight(n, shape4(CHANNELS, CHANNELS, 3, 3), 0.1f), weight(n, shape1(CHANNELS), 0.1f), (conv2d_attr){ 1, 1, 1, 1, 1, WEIGHTS_OIHW });
}
static tensor *project(network *n, tensor *x) { return linear(n->g, x, weight(n, shape2(CHANNELS, CHANNELS), 0.2f), NULL); }

/* Residual and attention blocks as the UNet has them, with a skip connection over all. */
static network build(nn_type type) {
    network n = { .g = graph_new(), .type = type, .seed = 7 };
    nn_shape picture = shape4(2, SIDE, SIDE, CHANNELS), tokens = shape3(2, SIDE * SIDE, CHANNELS);
    n.x = graph_input(n.g, "x", type, picture);
    n.target = graph_input(n.g, "target", NN_F32, picture);
    n.now = graph_input(n.g, "now", NN_F32, shape1(ADAMW_NOW));
    tensor *h = n.x, *skip = NULL;
    for (int i = 0; i < BLOCKS; i++) {
        tensor *r = conv(&n, silu(n.g, norm(&n, conv(&n, silu(n.g, norm(&n, h))))));
        h = add(n.g, h, r);
        if (i == 0) skip = h;
        tensor *t = reshape(n.g, norm(&n, h), tokens);
        tensor *a = attention(n.g, project(&n, t), project(&n, t), project(&n, t), (attention_attr){ .heads = HEADS }, NULL);
        h = add(n.g, h, reshape(n.g, project(&n, a), picture));
    }
    tensor *w = weight(&n, shape4(CHANNELS, 2 * CHANNELS, 1, 1), 0.1f);
    h = conv2d(n.g, concat(n.g, (tensor *[]){ h, skip }, 2, -1), w, NULL, (conv2d_attr){ .stride = 1, .weights = WEIGHTS_OIHW });
    n.loss = graph_output(n.g, mse(n.g, h, n.target, NULL));
    if (graph_backward(n.g, n.loss, update, &n) < 0) fail_msg("%s", error_message());
    return n;
}

static void network_end(network *n) {
    for (int i = 0; i < n->n; i++) free(n->memory[i]);
    graph_free(n->g);
}

static void fill(const plan *p, workspace *w, const tensor *t, unsigned seed) {
    size_t count = shape_elements(t->shape);
    float *x = malloc(count * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int)(seed >> 8 & 0xffff) / 32768.0f - 1;
    }
    nn_narrow(plan_tensor(p, w, t), t->type, x, count);
    free(x);
}

enum { STEPS = 3 };
typedef struct { float losses[STEPS]; size_t bytes; plan_again again; uint64_t weights; } result;

static uint64_t hash(uint64_t h, const void *data, size_t n) {   /* FNV-1a */
    for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return h;
}

static int train(nn_type type, size_t memory, result *out) {
    network n = build(type);
    device *d = device_cpu(CPU_BEST);
    params *weights = params_new();
    plan *p = plan_new(n.g, d, weights, &(plan_options){ .threads = 2, .memory = memory });
    int rc = p ? 0 : error_code();
    if (p) {
        workspace *w = workspace_new(plan_bytes(p));
        assert_non_null(w);
        for (int i = 0; i < STEPS; i++) {
            float now[ADAMW_NOW];
            adamw_now(&(adamw_attr){ 0.9f, 0.999f, 1e-8f, 0.01f }, 0.01, (uint64_t)i + 1, now);
            fill(p, w, n.x, 1);
            fill(p, w, n.target, 100);
            memcpy(plan_tensor(p, w, n.now), now, sizeof now);
            assert_int_equal(plan_run(p, w, NULL), 0);
            out->losses[i] = *(float *)plan_tensor(p, w, n.loss);
        }
        out->bytes = plan_bytes(p);
        out->again = plan_recomputed(p);
        out->weights = 0xcbf29ce484222325u;
        for (int i = 0; i < n.n; i++) out->weights = hash(out->weights, n.memory[i], n.bytes[i]);
        workspace_free(w);
    }
    plan_free(p);
    params_free(weights);
    device_free(d);
    network_end(&n);
    return rc;
}

static void check_levels(nn_type type) {
    result all = { 0 };
    size_t before = 0;
    int levels = 0;
    assert_int_equal(train(type, 0, &all), 0);
    assert_int_equal(all.again.steps, 0);
    assert_true(all.losses[STEPS - 1] < all.losses[0]);
    for (int percent = 95; percent > 20; percent -= 5) {
        result r = { 0 };
        size_t limit = all.bytes / 100 * (size_t)percent;
        if (train(type, limit, &r) < 0) {
            assert_non_null(strstr(error_message(), "with recomputation it is"));
            break;
        }
        assert_true(r.bytes <= limit && r.again.steps > 0 && r.again.bytes == all.bytes);
        assert_memory_equal(r.losses, all.losses, sizeof r.losses);
        assert_true(r.weights == all.weights);
        levels += r.again.steps != before;
        before = r.again.steps;
    }
    if (levels < 3) fail_msg("%d levels of recomputation only", levels);
}

static void test_f32(void **unused) {
    (void)unused;
    check_levels(NN_F32);
}
static void test_bf16(void **unused) {
    (void)unused;
    if (cpu_level_here() < CPU_AVX512_BF16) {
        print_message("no bf16 products here\n");
        skip();
    }
    check_levels(NN_BF16);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_f32), cmocka_unit_test(test_bf16) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
