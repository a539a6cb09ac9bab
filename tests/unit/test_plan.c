/* SPDX-License-Identifier: Apache-2.0
 *
 * The planner: placement, views, and copies where kernels disagree about layout. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "nn/ops.h"
#include "nn/place.h"
#include "nn/plan.h"

static void fill(float *x, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int)(seed >> 8 & 0xffff) / 32768.0f - 1.0f;
    }
}

/* relu that wants a border and padded channels, checks that they are zero, and writes them. */
static bool picky_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    layout_need need = { .strided = true, .border = 1, .channel_multiple = 16 };
    match_node(m, root);
    match_in(m, root->in[0], need);
    match_out(m, root->out[0], need);
    return root->in[0]->shape.rank == 4;
}

static int picky_prepare(kernel_step *s, params *p) {
    (void)p;
    s->scratch_bytes = 100;
    return 0;
}

static int picky_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const nn_shape d = s->match.in[0]->shape;
    const nn_layout *a = &s->in_layout[0], *b = &s->out_layout[0];
    memset(scratch, 0x55, 100);
    assert_true(a->border >= 1 && b->border >= 1 && a->stride[2] % 16 == 0 && b->stride[2] % 16 == 0);
    const float *x = in[0];
    float *y = out[0];
    memset(y - b->lead, 0, b->elements * sizeof *y);
    for (size_t n = 0; n < d.dim[0]; n++)
        for (size_t h = 0; h < d.dim[1] + 2; h++)
            for (size_t w = 0; w < d.dim[2] + 2; w++)
                for (size_t c = 0; c < a->stride[2]; c++) {
                    bool inside = h > 0 && h <= d.dim[1] && w > 0 && w <= d.dim[2] && c < d.dim[3];
                    float v = *(x - a->lead + n * a->stride[0] + h * a->stride[1] + w * a->stride[2] + c);
                    if (!inside) assert_true(v == 0);
                    else y[n * b->stride[0] + (h - 1) * b->stride[1] + (w - 1) * b->stride[2] + c] = v > 0 ? v : 0;
                }
    return 0;
}

static const kernel picky = { .name = "relu/picky", .root = &op_relu, .match = picky_match, .prepare = picky_prepare, .run = picky_run };

/* Branches, a view in the middle, an output that is also read on, a diamond. */
static tensor *build(graph *g, tensor **side, const float *w, const float *bias) {
    tensor *x = graph_input(g, "x", NN_F32, shape4(2, 5, 7, 3));
    tensor *a = relu(g, x);
    tensor *b = relu(g, add(g, a, x));
    *side = graph_output(g, relu(g, b));
    tensor *c = reshape(g, reshape(g, *side, shape2(10, 21)), shape4(2, 7, 5, 3));
    tensor *d = relu(g, c);
    tensor *e = concat(g, (tensor *[]){ d, c }, 2, -1);
    conv2d_attr attr = { .stride = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1 };
    tensor *f = conv2d(g, e, graph_param(g, "w", NN_F32, shape4(4, 3, 3, 6), w), graph_param(g, "b", NN_F32, shape1(4), bias), attr);
    return graph_output(g, relu(g, f));
}

static void run(device *d, float *side_out, float *out, size_t *side_n, size_t *n) {
    float w[4 * 3 * 3 * 6], bias[4];
    fill(w, 216, 7);
    fill(bias, 4, 8);
    graph *g = graph_new();
    tensor *side, *y = build(g, &side, w, bias);
    assert_int_equal(graph_check(g), 0);
    params *weights = params_new();
    plan *p = plan_new(g, d, weights, NULL);
    assert_non_null(p);
    workspace *ws = workspace_new(plan_bytes(p));
    for (int again = 0; again < 3; again++) {
        float *x = plan_tensor(p, ws, graph_find(g, "x"));
        memset((char *)plan_tensor(p, ws, y), 0xff, 16);
        fill(x, 210, 3);
        plan_run(p, ws, NULL);
    }
    *side_n = shape_elements(side->shape);
    *n = shape_elements(y->shape);
    memcpy(side_out, plan_tensor(p, ws, side), *side_n * 4);
    memcpy(out, plan_tensor(p, ws, y), *n * 4);
    workspace_free(ws);
    plan_free(p);
    params_free(weights);
    graph_free(g);
}

static void kernels_that_disagree(void **state) {
    (void)state;
    float side[2][2000], out[2][2000];
    size_t sn, n;
    device *plain = device_new(CPU_REFERENCE), *mixed = device_new(CPU_REFERENCE);
    assert_int_equal(device_add(mixed, &picky), 0);
    run(plain, side[0], out[0], &sn, &n);
    run(mixed, side[1], out[1], &sn, &n);
    assert_memory_equal(side[0], side[1], sn * 4);
    assert_memory_equal(out[0], out[1], n * 4);
    assert_int_equal(n, 2 * 4 * 3 * 4);
    device_free(plain);
    device_free(mixed);
}

/* ---- an operation with two outputs, and a kernel that takes it together with the relu behind it ------------------------- */

static int centre_shape(node *n) {
    n->out[0]->type = n->out[1]->type = NN_F32;
    n->out[0]->shape = n->in[0]->shape;
    n->out[1]->shape = shape1(1);
    return 0;
}

static float centre_run(const float *x, float *y, size_t n, bool rectify) {
    float mean = 0;
    for (size_t i = 0; i < n; i++) mean += x[i] / (float)n;
    for (size_t i = 0; i < n; i++) y[i] = rectify && x[i] - mean < 0 ? 0 : x[i] - mean;
    return mean;
}

static void centre_reference(const node *n, const void *const in[], void *const out[]) {
    *(float *)out[1] = centre_run(in[0], out[0], shape_elements(n->in[0]->shape), false);
}

static const op op_centre = { .name = "centre", .shape = centre_shape, .reference = centre_reference };

static bool centre_relu_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    tensor *inner = root->in[0];
    if (!match_inner(inner) || inner->producer->op != &op_centre) return false;
    match_node(m, inner->producer);
    match_node(m, root);
    match_in(m, inner->producer->in[0], (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    tensor *mean = inner->producer->out[1];
    if (mean->uses || mean->output) match_out(m, mean, (layout_need){ 0 });
    return true;
}

static int centre_relu_prepare(kernel_step *s, params *p) {
    (void)s, (void)p;
    return 0;
}

static int centre_relu_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    float mean = centre_run(in[0], out[0], shape_elements(s->match.in[0]->shape), true);
    if (s->match.n_out > 1) *(float *)out[1] = mean;
    return 0;
}

static const kernel centre_relu = { .name = "centre+relu", .root = &op_relu, .match = centre_relu_match, .prepare = centre_relu_prepare, .run = centre_relu_run };

typedef enum { MEAN_UNREAD, MEAN_OUTPUT, MEAN_READ_AFTER, MEAN_READ_BEFORE, MEANS } mean_use;

static void two_outputs(void **state) {
    (void)state;
    static const size_t steps[MEANS] = { 1, 1, 2, 3 };   /* read before the kernel would run: not fused */
    device *d = device_new(CPU_REFERENCE);
    assert_int_equal(device_add(d, &centre_relu), 0);
    for (mean_use use = 0; use < MEANS; use++) {
        graph *g = graph_new();
        tensor *x = graph_input(g, "x", NN_F32, shape2(3, 5)), *made[2], *y, *last;
        assert_true(graph_apply_many(g, &op_centre, NULL, &x, 1, 0, made, 2));
        last = use == MEAN_READ_BEFORE ? graph_output(g, add(g, x, made[1])) : NULL;
        y = graph_output(g, relu(g, made[0]));
        if (use == MEAN_READ_AFTER) last = graph_output(g, add(g, y, made[1]));
        if (use == MEAN_OUTPUT) last = graph_output(g, made[1]);
        params *weights = params_new();
        plan *p = plan_new(g, d, weights, NULL);
        assert_non_null(p);
        assert_int_equal(plan_steps(p), steps[use]);
        workspace *w = workspace_new(plan_bytes(p));
        float in[15], want[15], mean;
        fill(in, 15, 9);
        memcpy(plan_tensor(p, w, x), in, sizeof in);
        mean = centre_run(in, want, 15, true);
        assert_int_equal(plan_run(p, w, NULL), 0);
        assert_memory_equal(plan_tensor(p, w, y), want, sizeof want);
        const float *got = last ? plan_tensor(p, w, last) : NULL;
        for (int i = 0; got && i < (use == MEAN_OUTPUT ? 1 : 15); i++)
            assert_true(got[i] == (use == MEAN_OUTPUT ? 0 : use == MEAN_READ_AFTER ? want[i] : in[i]) + mean);
        workspace_free(w);
        plan_free(p);
        params_free(weights);
        graph_free(g);
    }
    device_free(d);
}

/* ---- failures -------------------------------------------------------------------------------------------------------- */

static int broken_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)s, (void)in, (void)out, (void)scratch;
    return error_set(ERR_MEMORY, "no memory left");
}

static const kernel broken = { .name = "broken", .root = &op_relu, .match = picky_match, .prepare = picky_prepare, .run = broken_run };

static void a_failing_kernel_stops_the_run(void **state) {
    (void)state;
    device *d = device_new(CPU_REFERENCE);
    assert_int_equal(device_add(d, &broken), 0);
    graph *g = graph_new();
    graph_output(g, relu(g, graph_input(g, "x", NN_F32, shape4(1, 2, 2, 3))));
    params *weights = params_new();
    plan *p = plan_new(g, d, weights, NULL);
    workspace *w = workspace_new(plan_bytes(p));
    assert_int_equal(plan_run(p, w, NULL), ERR_MEMORY);
    assert_string_equal(error_message(), "no memory left");
    workspace_free(w);
    plan_free(p);
    params_free(weights);
    graph_free(g);
    device_free(d);
}

static int flag;

static int flagging_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    assert_int_equal(flag, 0);   /* no kernel runs once it is set */
    flag = 1;
    return picky_run(s, in, out, scratch);
}

static int flagging_prepare(kernel_step *s, params *p) {
    assert_int_equal(flag, 0);
    flag = 1;
    return picky_prepare(s, p);
}

static const kernel flags_run = { .name = "flags", .root = &op_relu, .match = picky_match, .prepare = picky_prepare, .run = flagging_run };
static const kernel flags_prepare = { .name = "flags", .root = &op_relu, .match = picky_match, .prepare = flagging_prepare, .run = picky_run };

static graph *three_relus(void) {
    graph *g = graph_new();
    tensor *x = graph_input(g, "x", NN_F32, shape4(1, 2, 2, 3));
    for (int i = 0; i < 3; i++) x = relu(g, x);
    graph_output(g, x);
    return g;
}

static void a_flag_stops_between_kernels(void **state) {
    (void)state;
    device *d = device_new(CPU_REFERENCE);
    assert_int_equal(device_add(d, &flags_run), 0);
    graph *g = three_relus();
    params *weights = params_new();
    plan *p = plan_new(g, d, weights, NULL);
    workspace *w = workspace_new(plan_bytes(p));
    plan_profile *t = plan_profile_new(p);
    memset(plan_tensor(p, w, graph_find(g, "x")), 0, 12 * 4);
    flag = 0;
    assert_int_equal(plan_run(p, w, &(plan_run_options){ .profile = t, .stop = &flag }), ERR_CANCELLED);
    assert_int_equal(plan_profile_runs(t), 0);
    plan_profile_free(t);
    workspace_free(w);
    plan_free(p);
    device_free(d);
    d = device_new(CPU_REFERENCE);
    assert_int_equal(device_add(d, &flags_prepare), 0);
    flag = 0;
    assert_null(plan_new(g, d, weights, &(plan_options){ .stop = &flag }));
    assert_int_equal(error_code(), ERR_CANCELLED);
    params_free(weights);
    graph_free(g);
    device_free(d);
}

static int packs(void *dst, const tensor *t, const void *context) {
    int *calls = (int *)context;
    if ((*calls)++ == 0) return error_set(ERR_MEMORY, "later");
    memset(dst, 7, shape_elements(t->shape));
    return 0;
}

static void a_failed_packing_leaves_nothing(void **state) {
    (void)state;
    float data[4] = { 0 };
    int calls = 0;
    graph *g = graph_new();
    tensor *t = graph_param(g, "w", NN_F32, shape1(4), data);
    params *weights = params_new();
    assert_null(params_pack(weights, t, "tag", 4, packs, &calls));
    assert_int_equal(params_bytes(weights), 0);
    const uint8_t *packed = params_pack(weights, t, "tag", 4, packs, &calls);
    assert_true(packed && packed[3] == 7);
    assert_ptr_equal(params_pack(weights, t, "tag", 4, packs, &calls), packed);
    assert_int_equal(calls, 2);
    params_free(weights);
    graph_free(g);
}

static void a_profile_adds_up(void **state) {
    (void)state;
    device *d = device_new(CPU_REFERENCE);
    graph *g = graph_new();
    tensor *x = graph_input(g, "x", NN_F32, shape4(1, 64, 64, 8));
    graph_output(g, add(g, relu(g, x), x));
    params *weights = params_new();
    plan *p = plan_new(g, d, weights, NULL);
    workspace *w = workspace_new(plan_bytes(p));
    plan_profile *t = plan_profile_new(p), *sum = plan_profile_new(p);
    plan_profile_row rows[4];
    for (int i = 0; i < 3; i++) assert_int_equal(plan_run(p, w, &(plan_run_options){ .profile = t }), 0);
    plan_profile_add(sum, t);
    plan_profile_add(sum, t);
    assert_int_equal(plan_profile_runs(sum), 6);
    assert_int_equal(plan_profile_rows(sum, rows, 4), 1);
    assert_int_equal(rows[0].steps, 2);
    assert_true(rows[0].seconds > 0 && rows[0].flops == 6.0 * 64 * 64 * 8 && rows[0].bytes == 6.0 * 5 * 4 * 64 * 64 * 8);
    plan_profile_free(t);
    plan_profile_free(sum);
    workspace_free(w);
    plan_free(p);
    params_free(weights);
    graph_free(g);
    device_free(d);
}

static void placement_never_overlaps(void **state) {
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        place_item items[40];
        size_t n = 1 + (size_t)round % 40, total;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            items[i] = (place_item){ 1 + (seed >> 8) % 5000, (int)(seed >> 20) % 30, 0, 0 };
            items[i].last = items[i].first + (int)(seed >> 12) % 6;
        }
        assert_int_equal(place(items, n, &total), 0);
        for (size_t i = 0; i < n; i++) {
            assert_true(items[i].offset % 64 == 0 && items[i].offset + items[i].bytes <= total);
            for (size_t k = 0; k < i; k++) {
                bool together = items[i].first <= items[k].last && items[k].first <= items[i].last;
                bool apart = items[i].offset + items[i].bytes <= items[k].offset || items[k].offset + items[k].bytes <= items[i].offset;
                assert_true(!together || apart);
            }
        }
    }
}

static void wrong_graphs_are_refused(void **state) {
    (void)state;
    float w[8] = { 0 };
    graph *g = graph_new();
    tensor *x = graph_input(g, "x", NN_F32, shape4(1, 2, 2, 3));
    tensor *y = relu(g, conv2d(g, x, graph_param(g, "w", NN_F32, shape4(1, 2, 2, 2), w), NULL, (conv2d_attr){ .stride = 1 }));
    assert_null(y);
    assert_int_equal(graph_check(g), ERR_FORMAT);
    assert_non_null(strstr(error_message(), "wants 2 channels, the picture has 3"));
    assert_null(plan_new(g, NULL, NULL, NULL));
    graph_free(g);
    g = graph_new();
    assert_null(graph_input(g, "huge", NN_F32, shape4((size_t)1 << 40, (size_t)1 << 40, 1, 1)));
    assert_int_equal(graph_check(g), ERR_FORMAT);
    graph_free(g);
}

static void loud_reference(void **state) {
    (void)state;
    graph *g = graph_new();
    tensor *x = graph_input(g, "picture", NN_F32, shape4(1, 4, 4, 8));
    graph_output(g, max_pool2d(g, relu(g, x), 2, 2));
    device *d = device_new(CPU_REFERENCE);
    params *weights = params_new();
    assert_int_equal(device_add(d, &picky), 0);
    assert_null(plan_new(g, d, weights, &(plan_options){ .no_reference = true }));
    assert_string_equal(error_message(), "node 1, max_pool2d of f32 relu 1x4x4x8: no kernel of level reference computes it");
    plan *p = plan_new(g, d, weights, NULL);
    assert_non_null(p);
    plan_free(p);
    params_free(weights);
    device_free(d);
    graph_free(g);
}

typedef struct { const void *data[8]; size_t bytes[8]; int n; } dropped;

static void note_dropped(void *context, const void *data, size_t bytes) {
    dropped *d = context;
    assert_true(d->n < 8);
    d->data[d->n] = data;
    d->bytes[d->n++] = bytes;
}

static void parameters_are_counted_or_dropped(void **state) {
    (void)state;
    float w[16 * 8], bias[16];
    fill(w, 128, 7), fill(bias, 16, 8);
    graph *g = graph_new();
    tensor *x = graph_input(g, "x", NN_F32, shape2(3, 8));
    tensor *wt = graph_param(g, "w", NN_F32, shape2(16, 8), w), *bt = graph_param(g, "b", NN_F32, shape1(16), bias);
    graph_output(g, linear(g, x, wt, bt));
    device *d = device_new(CPU_REFERENCE);
    params *counted = params_new_counting(), *packed = params_new();
    dropped told = { 0 };
    params_on_packed(counted, note_dropped, &told);
    params_on_packed(packed, note_dropped, &told);
    plan *p = plan_new(g, d, counted, NULL);
    assert_non_null(p);
    assert_int_equal(told.n, 0);
    plan *q = plan_new(g, d, packed, NULL), *again = plan_new(g, d, packed, NULL);
    assert_non_null(q);
    assert_non_null(again);
    assert_int_equal(told.n, 2);   /* once each */
    assert_true(told.data[0] == w && told.bytes[0] == sizeof w && told.data[1] == bias && told.bytes[1] == sizeof bias);
    assert_int_equal(params_bytes(counted), params_bytes(packed));
    assert_int_equal(plan_bytes(p), plan_bytes(q));
    workspace *ws = workspace_new(plan_bytes(p));
    assert_int_equal(plan_run(p, ws, NULL), ERR_USAGE);
    assert_int_equal(plan_run(q, ws, NULL), 0);
    workspace_free(ws);
    plan_free(p), plan_free(q), plan_free(again);
    params_free(counted), params_free(packed);
    device_free(d);
    graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_that_disagree), cmocka_unit_test(loud_reference), cmocka_unit_test(parameters_are_counted_or_dropped),
        cmocka_unit_test(two_outputs),
        cmocka_unit_test(a_failing_kernel_stops_the_run), cmocka_unit_test(a_flag_stops_between_kernels),
        cmocka_unit_test(a_failed_packing_leaves_nothing),
        cmocka_unit_test(a_profile_adds_up),
        cmocka_unit_test(placement_never_overlaps),
        cmocka_unit_test(wrong_graphs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
