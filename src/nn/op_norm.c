/* SPDX-License-Identifier: Apache-2.0
 *
 * group_norm and layer_norm. Sums are f64 in the reference: it is what others are compared with. */
#include <math.h>

#include "base/error.h"
#include "nn/ops.h"

static int norm_shape(node *n, int groups) {
    const nn_shape x = n->in[0]->shape;
    size_t C = x.dim[x.rank - 1];
    for (int i = 1; i <= 2; i++)
        if (n->in[i]->shape.rank != 1 || n->in[i]->shape.dim[0] != C)
            return error_set(ERR_FORMAT, "%s: one factor and one addend a channel are wanted (%zu)", n->op->name, C);
    if (n->in[0]->type == NN_I32 || groups < 1 || C % (size_t)groups || x.rank < 2)
        return error_set(ERR_FORMAT, "%s: %zu channels do not make %d groups", n->op->name, C, groups);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = x;
    return 0;
}

/* y = (x - mean) / sqrt(variance + epsilon) * gamma + beta over `rows` rows of `width` channels, `stride` apart. */
static void normalise(const float *x, float *y, size_t rows, size_t width, size_t stride, const float *gamma, const float *beta, float epsilon) {
    double sum = 0, squares = 0, count = (double)rows * (double)width;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) sum += x[r * stride + c];
    double mean = sum / count;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) squares += (x[r * stride + c] - mean) * (x[r * stride + c] - mean);
    double factor = 1 / sqrt(squares / count + (double)epsilon);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) y[r * stride + c] = (float)((x[r * stride + c] - mean) * factor * gamma[c] + beta[c]);
}

static int group_norm_shape(node *n) { return norm_shape(n, ((const group_norm_attr *)n->attr)->groups); }

static void group_norm_reference(const node *n, const void *const in[], void *const out[]) {
    const group_norm_attr *a = n->attr;
    const nn_shape s = n->in[0]->shape;
    const float *gamma = in[1], *beta = in[2];
    size_t C = s.dim[s.rank - 1], pixels = shape_elements(s) / C / s.dim[0], width = C / (size_t)a->groups;
    for (size_t p = 0; p < s.dim[0]; p++)
        for (size_t c = 0; c < C; c += width) {
            size_t at = p * pixels * C + c;
            normalise((const float *)in[0] + at, (float *)out[0] + at, pixels, width, C, gamma + c, beta + c, a->epsilon);
        }
}

const op op_group_norm = {
    .name = "group_norm", .attr_bytes = sizeof(group_norm_attr),
    .shape = group_norm_shape, .reference = group_norm_reference,
};

tensor *group_norm(graph *g, tensor *x, tensor *gamma, tensor *beta, int groups, float epsilon) {
    return graph_apply(g, &op_group_norm, &(group_norm_attr){ groups, epsilon }, (tensor *[]){ x, gamma, beta }, 3, 0);
}

static int layer_norm_shape(node *n) { return norm_shape(n, 1); }

static void layer_norm_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape s = n->in[0]->shape;
    size_t C = s.dim[s.rank - 1], rows = shape_elements(s) / C;
    for (size_t r = 0; r < rows; r++)
        normalise((const float *)in[0] + r * C, (float *)out[0] + r * C, 1, C, C, in[1], in[2], *(const float *)n->attr);
}

const op op_layer_norm = { .name = "layer_norm", .attr_bytes = sizeof(float), .shape = layer_norm_shape, .reference = layer_norm_reference };

tensor *layer_norm(graph *g, tensor *x, tensor *gamma, tensor *beta, float epsilon) {
    return graph_apply(g, &op_layer_norm, &epsilon, (tensor *[]){ x, gamma, beta }, 3, 0);
}
