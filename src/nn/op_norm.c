/* SPDX-License-Identifier: Apache-2.0
 *
 * group_norm and layer_norm. Sums are f64 in the reference: it is what others are compared with. */
#include <math.h>

#include "base/error.h"
#include "nn/gradient.h"

static int norm_shape(node *n, int groups) {
    const nn_shape x = n->in[0]->shape;
    size_t C = x.dim[x.rank - 1];
    for (int i = 1; i <= 2; i++)
        if (n->in[i]->shape.rank != 1 || n->in[i]->shape.dim[0] != C)
            return error_set(ERR_FORMAT, "%s: one factor and one addend a channel are wanted (%zu)", n->op->name, C);
    if (!nn_type_is_float(n->in[0]->type) || groups < 1 || C % (size_t)groups || x.rank < 2)
        return error_set(ERR_FORMAT, "%s: %zu channels do not make %d groups", n->op->name, C, groups);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = x;
    return 0;
}

typedef struct { double mean, factor; } moments;

static moments moments_of(const float *x, size_t rows, size_t width, size_t stride, float epsilon) {
    double sum = 0, squares = 0, count = (double)rows * (double)width;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) sum += x[r * stride + c];
    double mean = sum / count;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) squares += (x[r * stride + c] - mean) * (x[r * stride + c] - mean);
    return (moments){ mean, 1 / sqrt(squares / count + (double)epsilon) };
}

/* y = (x - mean) / sqrt(variance + epsilon) * gamma + beta over `rows` rows of `width` channels, `stride` apart. */
static void normalise(const float *x, float *y, size_t rows, size_t width, size_t stride, const float *gamma, const float *beta, float epsilon) {
    moments m = moments_of(x, rows, width, stride, epsilon);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) y[r * stride + c] = (float)((x[r * stride + c] - m.mean) * m.factor * gamma[c] + beta[c]);
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

/* d: what a rule's operation gave for x, gamma and beta. */
static void add_three(graph *g, const node *n, bool done, tensor *const d[3]) {
    for (int i = 0; i < 3 && done; i++) gradient_add(g, n->in[i], d[i]);
}

static void group_norm_gradient(graph *g, const node *n) {
    tensor *d[3];
    add_three(g, n, group_norm_d(g, n->in[0], n->in[1], n->out[0]->grad, *(const group_norm_attr *)n->attr, d), d);
}

const op op_group_norm = {
    .name = "group_norm", .attr_bytes = sizeof(group_norm_attr),
    .shape = group_norm_shape, .reference = group_norm_reference, .gradient = group_norm_gradient,
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

static void layer_norm_gradient(graph *g, const node *n) {
    tensor *d[3];
    add_three(g, n, layer_norm_d(g, n->in[0], n->in[1], n->out[0]->grad, *(const float *)n->attr, d), d);
}

const op op_layer_norm = {
    .name = "layer_norm", .attr_bytes = sizeof(float),
    .shape = layer_norm_shape, .reference = layer_norm_reference, .gradient = layer_norm_gradient,
};

tensor *layer_norm(graph *g, tensor *x, tensor *gamma, tensor *beta, float epsilon) {
    return graph_apply(g, &op_layer_norm, &epsilon, (tensor *[]){ x, gamma, beta }, 3, 0);
}

/* ---- gradients --------------------------------------------------------------------------------------------------------- */

static int norm_d_shape(node *n, int groups) {
    const nn_shape x = n->in[0]->shape;
    size_t C = x.dim[x.rank - 1];
    bool fits = x.rank >= 2 && groups > 0 && C % (size_t)groups == 0 && n->in[1]->shape.rank == 1 && n->in[1]->shape.dim[0] == C;
    if (!fits || !nn_type_is_float(n->in[0]->type) || n->in[0]->type != n->in[2]->type || !shape_equal(x, n->in[2]->shape))
        return error_set(ERR_FORMAT, "%s: input and gradient of one shape and type, and a factor a channel are wanted", n->op->name);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = x;
    for (int i = 1; i < 3; i++) {
        n->out[i]->type = NN_F32;
        n->out[i]->shape = shape1(C);
    }
    return 0;
}

/* Of `rows` rows of `width` channels, `stride` apart, that were normalised together. With u = (x - mean) factor and d = dy gamma:
 * dx = factor (d - mean(d) - u mean(d u)); dgamma += sum(dy u), dbeta += sum(dy). */
static void normalise_d(const float *x, const float *dy, float *dx, size_t rows, size_t width, size_t stride, const float *gamma, float *dgamma, float *dbeta, float epsilon) {
    moments m = moments_of(x, rows, width, stride, epsilon);
    double count = (double)rows * (double)width, d_sum = 0, du_sum = 0;
    for (size_t c = 0; c < width; c++) {
        double y_sum = 0, yu_sum = 0;
        for (size_t r = 0; r < rows; r++) {
            double d = dy[r * stride + c];
            y_sum += d;
            yu_sum += d * (x[r * stride + c] - m.mean) * m.factor;
        }
        d_sum += y_sum * gamma[c];
        du_sum += yu_sum * gamma[c];
        dbeta[c] += (float)y_sum;
        dgamma[c] += (float)yu_sum;
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) {
            double u = (x[r * stride + c] - m.mean) * m.factor, d = (double)dy[r * stride + c] * gamma[c];
            dx[r * stride + c] = (float)(m.factor * (d - d_sum / count - u * du_sum / count));
        }
}

/* `groups` groups of channels of pictures of `pixels` pixels; layer_norm's pictures are single rows. */
static void norm_d(const node *n, const void *const in[], void *const out[], size_t pixels, size_t groups, float epsilon) {
    const nn_shape s = n->in[0]->shape;
    size_t C = s.dim[s.rank - 1], pictures = shape_elements(s) / C / pixels, width = C / groups;
    float *dgamma = out[1], *dbeta = out[2];
    for (size_t c = 0; c < C; c++) dgamma[c] = dbeta[c] = 0;
    for (size_t p = 0; p < pictures; p++)
        for (size_t c = 0; c < C; c += width) {
            size_t at = p * pixels * C + c;
            normalise_d((const float *)in[0] + at, (const float *)in[2] + at, (float *)out[0] + at, pixels, width, C, (const float *)in[1] + c, dgamma + c, dbeta + c, epsilon);
        }
}

static int group_norm_d_shape(node *n) { return norm_d_shape(n, ((const group_norm_attr *)n->attr)->groups); }
static void group_norm_d_reference(const node *n, const void *const in[], void *const out[]) {
    const group_norm_attr *a = n->attr;
    const nn_shape s = n->in[0]->shape;
    norm_d(n, in, out, shape_elements(s) / s.dim[s.rank - 1] / s.dim[0], (size_t)a->groups, a->epsilon);
}

const op op_group_norm_d = {
    .name = "group_norm_d", .attr_bytes = sizeof(group_norm_attr),
    .shape = group_norm_d_shape, .reference = group_norm_d_reference,
};

bool group_norm_d(graph *g, tensor *x, tensor *gamma, tensor *dy, group_norm_attr attr, tensor *out[3]) {
    return graph_apply_many(g, &op_group_norm_d, &attr, (tensor *[]){ x, gamma, dy }, 3, 0, out, 3);
}

static int layer_norm_d_shape(node *n) { return norm_d_shape(n, 1); }
static void layer_norm_d_reference(const node *n, const void *const in[], void *const out[]) { norm_d(n, in, out, 1, 1, *(const float *)n->attr); }

const op op_layer_norm_d = { .name = "layer_norm_d", .attr_bytes = sizeof(float), .shape = layer_norm_d_shape, .reference = layer_norm_d_reference };

bool layer_norm_d(graph *g, tensor *x, tensor *gamma, tensor *dy, float epsilon, tensor *out[3]) {
    return graph_apply_many(g, &op_layer_norm_d, &epsilon, (tensor *[]){ x, gamma, dy }, 3, 0, out, 3);
}
