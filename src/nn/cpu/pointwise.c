/* SPDX-License-Identifier: Apache-2.0
 *
 * f32 add and mul where the second operand has one element or as many as the first: loops without the reference's
 * general broadcasting, and the same single operation an element. */
#include "nn/cpu/pointwise.h"

#include "base/error.h"
#include "nn/ops.h"

static bool pointwise_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    const tensor *a = root->in[0], *b = root->in[1];
    size_t n = shape_elements(b->shape);
    if (a->type != NN_F32 || a->kind == TENSOR_PARAM || (b->kind != TENSOR_PARAM && b->type != NN_F32)) return false;
    if (n != 1 && n != shape_elements(a->shape)) return false;
    match_node(m, root);
    for (int i = 0; i < 2; i++) {
        if (root->in[i]->kind == TENSOR_PARAM) match_param(m, root->in[i]);
        else match_in(m, root->in[i], (layout_need){ 0 });
    }
    match_out(m, root->out[0], (layout_need){ 0 });
    return true;
}

static int pointwise_prepare(kernel_step *s, params *p) {
    if (!s->match.n_param) return 0;
    s->packed[0] = params_f32(p, s->match.param[0]);
    return s->packed[0] ? 0 : error_code();
}

typedef struct { const float *a, *b; float *y; size_t n; bool one; } operands;

static operands operands_of(const kernel_step *s, const void *const in[], void *const out[]) {
    const node *n = s->match.nodes[0];
    return (operands){ in[0], s->match.n_param ? s->packed[0] : in[1], out[0], shape_elements(n->in[0]->shape), shape_elements(n->in[1]->shape) == 1 };
}

static int add_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    operands o = operands_of(s, in, out);
    const float one = o.b[0];
    if (o.one) for (size_t i = 0; i < o.n; i++) o.y[i] = o.a[i] + one;
    else for (size_t i = 0; i < o.n; i++) o.y[i] = o.a[i] + o.b[i];
    return 0;
}

static int mul_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    operands o = operands_of(s, in, out);
    const float one = o.b[0];
    if (o.one) for (size_t i = 0; i < o.n; i++) o.y[i] = o.a[i] * one;
    else for (size_t i = 0; i < o.n; i++) o.y[i] = o.a[i] * o.b[i];
    return 0;
}

static const kernel table[] = {
    { "add/pointwise", &op_add, pointwise_match, pointwise_prepare, add_run, NULL, NULL },
    { "mul/pointwise", &op_mul, pointwise_match, pointwise_prepare, mul_run, NULL, NULL },
};

const kernel *pointwise_kernels(size_t *n) {
    *n = sizeof table / sizeof *table;
    return table;
}
