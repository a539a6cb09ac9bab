/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations that only move numbers: pad_channels, concat, reshape, slice. */
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"

static int pad_shape(node *n) {
    size_t extra = *(const size_t *)n->attr;
    nn_shape s = n->in[0]->shape;
    if (!nn_type_is_float(n->in[0]->type) || __builtin_add_overflow(s.dim[s.rank - 1], extra, &s.dim[s.rank - 1]))
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

static void concat_gradient(graph *g, const node *n) {
    int axis = *(const int *)n->attr;
    size_t begin[NN_MAX_RANK] = { 0 };
    for (int i = 0; i < n->n_in; i++) {
        if (gradient_wanted(n->in[i])) gradient_add(g, n->in[i], slice(g, n->out[0]->grad, begin, n->in[i]->shape));
        begin[axis] += n->in[i]->shape.dim[axis];
    }
}

const op op_concat = { .name = "concat", .attr_bytes = sizeof(int), .shape = concat_shape, .reference = concat_reference, .gradient = concat_gradient };

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

static void reshape_gradient(graph *g, const node *n) { gradient_add(g, n->in[0], reshape(g, n->out[0]->grad, n->in[0]->shape)); }

const op op_reshape = {
    .name = "reshape", .attr_bytes = sizeof(nn_shape),
    .shape = reshape_shape, .reference = reshape_reference, .view = true, .gradient = reshape_gradient,
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

/* Elements from the first of the box's row r to the first of the tensor it lies in, of shape x. */
static size_t row_at(const slice_attr *a, const nn_shape x, size_t r) {
    size_t from = 0, step = x.dim[x.rank - 1];
    for (int d = x.rank - 2; d >= 0; d--) {
        from += (a->begin[d] + r % a->shape.dim[d]) * step;
        r /= a->shape.dim[d];
        step *= x.dim[d];
    }
    return from + a->begin[x.rank - 1];
}

static void slice_reference(const node *n, const void *const in[], void *const out[]) {
    const slice_attr *a = n->attr;
    size_t row = a->shape.dim[a->shape.rank - 1], rows = shape_elements(a->shape) / row;
    for (size_t r = 0; r < rows; r++)
        memcpy((float *)out[0] + r * row, (const float *)in[0] + row_at(a, n->in[0]->shape, r), row * sizeof(float));
}

static void slice_gradient(graph *g, const node *n) {
    gradient_add(g, n->in[0], unslice(g, n->out[0]->grad, ((const slice_attr *)n->attr)->begin, n->in[0]->shape));
}

const op op_slice = {
    .name = "slice", .attr_bytes = sizeof(slice_attr),
    .shape = slice_shape, .reference = slice_reference, .gradient = slice_gradient,
};

tensor *slice(graph *g, tensor *x, const size_t begin[NN_MAX_RANK], nn_shape shape) {
    slice_attr a = { .shape = shape };
    memcpy(a.begin, begin, sizeof a.begin);
    return graph_apply(g, &op_slice, &a, &x, 1, 0);
}

/* ---- a slice's gradient ------------------------------------------------------------------------------------------------ */

typedef struct { slice_attr box; nn_shape whole; } unslice_attr;

static int unslice_shape(node *n) {
    const unslice_attr *a = n->attr;
    bool fits = a->whole.rank == a->box.shape.rank;
    for (int i = 0; fits && i < a->whole.rank; i++) fits = a->box.shape.dim[i] <= a->whole.dim[i] && a->box.begin[i] <= a->whole.dim[i] - a->box.shape.dim[i];
    if (!fits) return error_set(ERR_FORMAT, "unslice: outside its output");
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = a->whole;
    return 0;
}

static void unslice_reference(const node *n, const void *const in[], void *const out[]) {
    const unslice_attr *a = n->attr;
    size_t row = a->box.shape.dim[a->box.shape.rank - 1], rows = shape_elements(a->box.shape) / row;
    memset(out[0], 0, shape_elements(a->whole) * sizeof(float));
    for (size_t r = 0; r < rows; r++)
        memcpy((float *)out[0] + row_at(&a->box, a->whole, r), (const float *)in[0] + r * row, row * sizeof(float));
}

const op op_unslice = { .name = "unslice", .attr_bytes = sizeof(unslice_attr), .shape = unslice_shape, .reference = unslice_reference };

tensor *unslice(graph *g, tensor *dy, const size_t begin[NN_MAX_RANK], nn_shape shape) {
    unslice_attr a = { .whole = shape };
    if (dy) a.box.shape = dy->shape;
    memcpy(a.box.begin, begin, sizeof a.box.begin);
    return graph_apply(g, &op_unslice, &a, &dy, 1, 0);
}
