/* SPDX-License-Identifier: Apache-2.0
 *
 * How far x is from a target: mse by squares, mae by absolute values. */
#include <math.h>

#include "base/error.h"
#include "nn/gradient.h"

static int loss_check(const node *n, const tensor *weight) {
    const tensor *x = n->in[0], *target = n->in[1];
    bool fits = nn_type_is_float(x->type) && target->type == NN_F32 && shape_equal(x->shape, target->shape);
    if (weight) fits = fits && weight->type == NN_F32 && weight->shape.rank == 1 && weight->shape.dim[0] == x->shape.dim[0];
    return fits ? 0 : error_set(ERR_FORMAT, "%s: an f32 target of the same shape, and one f32 weight a picture are wanted", n->op->name);
}

static int loss_shape(node *n) {
    n->out[0]->type = NN_F32;
    n->out[0]->shape = shape1(1);
    return loss_check(n, n->in[2]);
}

static void mse_reference(const node *n, const void *const in[], void *const out[]) {
    const float *x = in[0], *target = in[1], *weight = in[2];
    size_t count = shape_elements(n->in[0]->shape), each = count / n->in[0]->shape.dim[0];
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)x[i] - (double)target[i];
        sum += (weight ? weight[i / each] : 1.0f) * d * d;
    }
    *(float *)out[0] = (float)(sum / (double)count);
}

static void mse_gradient(graph *g, const node *n) {
    if (gradient_wanted(n->in[1]) || gradient_wanted(n->in[2])) graph_fail(g, error_set(ERR_UNSUPPORTED, "mse: target and weight have no gradient"));
    else gradient_add(g, n->in[0], mse_dx(g, n->in[0], n->in[1], n->in[2], n->out[0]->grad));
}

const op op_mse = { .name = "mse", .shape = loss_shape, .reference = mse_reference, .gradient = mse_gradient };

tensor *mse(graph *g, tensor *x, tensor *target, tensor *weight) { return graph_apply(g, &op_mse, NULL, (tensor *[]){ x, target, weight }, 3, 1u << 2); }

static int loss_dx_shape(node *n) {
    const tensor *dy = n->in[3];
    if (dy->type != NN_F32 || shape_elements(dy->shape) != 1) return error_set(ERR_FORMAT, "%s: the gradient is one f32 number", n->op->name);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = n->in[0]->shape;
    return loss_check(n, n->in[2]);
}

static void mse_dx_reference(const node *n, const void *const in[], void *const out[]) {
    const float *x = in[0], *target = in[1], *weight = in[2], *dy = in[3];
    size_t count = shape_elements(n->in[0]->shape), each = count / n->in[0]->shape.dim[0];
    float scale = 2 * *dy / (float)count;
    for (size_t i = 0; i < count; i++) ((float *)out[0])[i] = (x[i] - target[i]) * scale * (weight ? weight[i / each] : 1.0f);
}

const op op_mse_dx = { .name = "mse_dx", .shape = loss_dx_shape, .reference = mse_dx_reference };

tensor *mse_dx(graph *g, tensor *x, tensor *target, tensor *weight, tensor *dy) {
    return graph_apply(g, &op_mse_dx, NULL, (tensor *[]){ x, target, weight, dy }, 4, 1u << 2);
}

/* ---- absolute values ------------------------------------------------------------------------------------------------------- */

static void mae_reference(const node *n, const void *const in[], void *const out[]) {
    const float *x = in[0], *target = in[1], *weight = in[2];
    size_t count = shape_elements(n->in[0]->shape), each = count / n->in[0]->shape.dim[0];
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)(weight ? weight[i / each] : 1.0f) * fabs((double)x[i] - (double)target[i]);
    *(float *)out[0] = (float)(sum / (double)count);
}

static void mae_gradient(graph *g, const node *n) {
    if (gradient_wanted(n->in[1]) || gradient_wanted(n->in[2])) graph_fail(g, error_set(ERR_UNSUPPORTED, "mae: target and weight have no gradient"));
    else gradient_add(g, n->in[0], mae_dx(g, n->in[0], n->in[1], n->in[2], n->out[0]->grad));
}

const op op_mae = { .name = "mae", .shape = loss_shape, .reference = mae_reference, .gradient = mae_gradient };

tensor *mae(graph *g, tensor *x, tensor *target, tensor *weight) { return graph_apply(g, &op_mae, NULL, (tensor *[]){ x, target, weight }, 3, 1u << 2); }

/* 0 where they are equal, as PyTorch's; of NaN, NaN. */
static void mae_dx_reference(const node *n, const void *const in[], void *const out[]) {
    const float *x = in[0], *target = in[1], *weight = in[2], *dy = in[3];
    size_t count = shape_elements(n->in[0]->shape), each = count / n->in[0]->shape.dim[0];
    float scale = *dy / (float)count;
    for (size_t i = 0; i < count; i++) {
        float d = x[i] - target[i], slope = scale * (weight ? weight[i / each] : 1);
        ((float *)out[0])[i] = d > 0 ? slope : d < 0 ? -slope : d * slope;
    }
}

const op op_mae_dx = { .name = "mae_dx", .shape = loss_dx_shape, .reference = mae_dx_reference };

tensor *mae_dx(graph *g, tensor *x, tensor *target, tensor *weight, tensor *dy) {
    return graph_apply(g, &op_mae_dx, NULL, (tensor *[]){ x, target, weight, dy }, 4, 1u << 2);
}
