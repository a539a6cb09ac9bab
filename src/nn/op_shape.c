/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations that only move numbers: pad_channels, concat, reshape, slice. */
#include <string.h>

#include "base/error.h"
#include "nn/ops.h"

static int pad_shape(node *n) {
    size_t extra = *(const size_t *)n->attr;
    nn_shape s = n->in[0]->shape;
    if (n->in[0]->type == NN_I32 || __builtin_add_overflow(s.dim[s.rank - 1], extra, &s.dim[s.rank - 1]))
        return error_set(ERR_FORMAT, "pad_channels: %zu channels more", extra);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = s;
    return 0;
}

static void pad_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape s = n->in[0]->shape;
    size_t C = s.dim[s.rank - 1], wide = n->out[0]->shape.dim[s.rank - 1], rows = shape_elements(s) / C;
    for (size_t i = 0; i < rows; i++) {
        float *y = (float *)out[0] + i * wide;
        memcpy(y, (const float *)in[0] + i * C, C * sizeof *y);
        memset(y + C, 0, (wide - C) * sizeof *y);
    }
}

const op op_pad_channels = {
    .name = "pad_channels", .attr_bytes = sizeof(size_t),
    .shape = pad_shape, .reference = pad_reference,
};

tensor *pad_channels(graph *g, tensor *x, size_t extra) { return graph_apply(g, &op_pad_channels, &extra, &x, 1, 0); }

static int concat_shape(node *n) {
    int axis = *(const int *)n->attr;
    nn_shape s = n->in[0]->shape;
    if (axis < 0 || axis >= s.rank) return error_set(ERR_FORMAT, "concat: no axis %d in rank %d", axis, s.rank);
    for (int i = 1; i < n->n_in; i++) {
        nn_shape p = n->in[i]->shape;
        size_t along = p.rank == s.rank ? p.dim[axis] : 0;
        p.dim[axis] = s.dim[axis];
        if (!shape_equal(p, s) || n->in[i]->type != n->in[0]->type) return error_set(ERR_FORMAT, "concat: part %d does not fit", i);
        if (__builtin_add_overflow(s.dim[axis], along, &s.dim[axis])) return error_set(ERR_FORMAT, "concat: too long");
    }
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = s;
    return 0;
}

static void concat_reference(const node *n, const void *const in[], void *const out[]) {
    int axis = *(const int *)n->attr;
    const nn_shape s = n->out[0]->shape;
    size_t outer = 1, inner = sizeof(float);
    for (int i = 0; i < axis; i++) outer *= s.dim[i];
    for (int i = axis + 1; i < s.rank; i++) inner *= s.dim[i];
    char *y = out[0];
    for (size_t o = 0; o < outer; o++)
        for (int i = 0; i < n->n_in; i++) {
            size_t bytes = n->in[i]->shape.dim[axis] * inner;
            memcpy(y, (const char *)in[i] + o * bytes, bytes);
            y += bytes;
        }
}

const op op_concat = { .name = "concat", .attr_bytes = sizeof(int), .shape = concat_shape, .reference = concat_reference };

tensor *concat(graph *g, tensor *const parts[], int n, int axis) {
    if (n > 0 && parts[0] && axis < 0) axis += parts[0]->shape.rank;
    return graph_apply(g, &op_concat, &axis, parts, n, 0);
}

static int reshape_shape(node *n) {
    nn_shape to = *(const nn_shape *)n->attr;
    size_t count;
    if (!shape_count(to, &count) || count != shape_elements(n->in[0]->shape)) {
        char from[96], text[96];
        return error_set(ERR_FORMAT, "reshape: %s cannot become %s", shape_text(n->in[0]->shape, from, sizeof from), shape_text(to, text, sizeof text));
    }
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = to;
    return 0;
}

static void reshape_reference(const node *n, const void *const in[], void *const out[]) {
    memcpy(out[0], in[0], shape_elements(n->out[0]->shape) * sizeof(float));
}

const op op_reshape = {
    .name = "reshape", .attr_bytes = sizeof(nn_shape),
    .shape = reshape_shape, .reference = reshape_reference, .view = true,
};

tensor *reshape(graph *g, tensor *x, nn_shape shape) { return graph_apply(g, &op_reshape, &shape, &x, 1, 0); }

static int slice_shape(node *n) {
    const slice_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape;
    bool fits = a->shape.rank == x.rank;
    for (int i = 0; fits && i < x.rank; i++) fits = a->shape.dim[i] <= x.dim[i] && a->begin[i] <= x.dim[i] - a->shape.dim[i];
    if (!fits) return error_set(ERR_FORMAT, "slice: outside its input");
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = a->shape;
    return 0;
}

static void slice_reference(const node *n, const void *const in[], void *const out[]) {
    const slice_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape, s = a->shape;
    size_t row = s.dim[s.rank - 1], rows = shape_elements(s) / row;
    float *y = out[0];
    for (size_t r = 0; r < rows; r++) {
        size_t rest = r, from = 0, step = x.dim[x.rank - 1];
        for (int d = s.rank - 2; d >= 0; d--) {
            from += (a->begin[d] + rest % s.dim[d]) * step;
            rest /= s.dim[d];
            step *= x.dim[d];
        }
        memcpy(y + r * row, (const float *)in[0] + from + a->begin[s.rank - 1], row * sizeof *y);
    }
}

const op op_slice = {
    .name = "slice", .attr_bytes = sizeof(slice_attr),
    .shape = slice_shape, .reference = slice_reference,
};

tensor *slice(graph *g, tensor *x, const size_t begin[NN_MAX_RANK], nn_shape shape) {
    slice_attr a = { .shape = shape };
    memcpy(a.begin, begin, sizeof a.begin);
    return graph_apply(g, &op_slice, &a, &x, 1, 0);
}
