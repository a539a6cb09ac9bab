/* SPDX-License-Identifier: Apache-2.0
 *
 * timestep_embedding and embedding: numbers and token ids to vectors. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"

static int timestep_shape(node *n) {
    size_t width = *(const size_t *)n->attr;
    if (n->in[0]->shape.rank != 1 || n->in[0]->type != NN_F32 || width % 2)
        return error_set(ERR_FORMAT, "timestep_embedding: f32 [N] and an even width are wanted");
    n->out[0]->type = NN_F32;
    n->out[0]->shape = shape2(n->in[0]->shape.dim[0], width);
    return 0;
}

/* In f32, step by step as PyTorch computes it: a timestep of 999 multiplies what an exponent lacks. */
static void timestep_reference(const node *n, const void *const in[], void *const out[]) {
    size_t width = *(const size_t *)n->attr, half = width / 2;
    for (size_t i = 0; i < n->in[0]->shape.dim[0]; i++)
        for (size_t k = 0; k < half; k++) {
            float frequency = expf((float)-9.210340371976184 * (float)k / (float)half), angle = ((const float *)in[0])[i] * frequency;
            ((float *)out[0])[i * width + k] = cosf(angle);
            ((float *)out[0])[i * width + half + k] = sinf(angle);
        }
}

const op op_timestep_embedding = {
    .name = "timestep_embedding", .attr_bytes = sizeof(size_t),
    .shape = timestep_shape, .reference = timestep_reference,
};

tensor *timestep_embedding(graph *g, tensor *t, size_t width) { return graph_apply(g, &op_timestep_embedding, &width, &t, 1, 0); }

static int embedding_shape(node *n) {
    const nn_shape ids = n->in[0]->shape, table = n->in[1]->shape;
    nn_type type = ((const embedding_attr *)n->attr)->type;
    bool fits = n->in[0]->type == NN_I32 && ids.rank < NN_MAX_RANK && table.rank == 2 && nn_type_is_float(n->in[1]->type);
    if (!fits || (type != NN_F32 && type != NN_BF16)) return error_set(ERR_FORMAT, "embedding: i32 ids and a table [V,C] are wanted");
    n->out[0]->type = type;
    n->out[0]->shape = ids;
    n->out[0]->shape.dim[n->out[0]->shape.rank++] = table.dim[1];
    return 0;
}

static size_t row_of(int32_t id, size_t rows) { return id < 0 ? 0 : (size_t)id < rows ? (size_t)id : rows - 1; }

static void embedding_reference(const node *n, const void *const in[], void *const out[]) {
    const int32_t *ids = in[0];
    size_t V = n->in[1]->shape.dim[0], C = n->in[1]->shape.dim[1], count = shape_elements(n->in[0]->shape);
    for (size_t i = 0; i < count; i++) memcpy((float *)out[0] + i * C, (const float *)in[1] + row_of(ids[i], V) * C, C * sizeof(float));
}

static void embedding_gradient(graph *g, const node *n) {
    tensor *table = n->in[1];
    if (gradient_wanted(table)) gradient_add(g, table, embedding_d(g, n->in[0], n->out[0]->grad, table->shape.dim[0]));
}

const op op_embedding = {
    .name = "embedding", .attr_bytes = sizeof(embedding_attr),
    .shape = embedding_shape, .reference = embedding_reference, .gradient = embedding_gradient,
};

tensor *embedding(graph *g, tensor *ids, tensor *table, nn_type type) {
    return graph_apply(g, &op_embedding, &(embedding_attr){ type }, (tensor *[]){ ids, table }, 2, 0);
}

static int embedding_d_shape(node *n) {
    nn_shape ids = n->in[0]->shape, dy = n->in[1]->shape;
    size_t rows = *(const size_t *)n->attr, C = dy.dim[dy.rank - 1];
    dy.rank--;
    if (n->in[0]->type != NN_I32 || !nn_type_is_float(n->in[1]->type) || !shape_equal(ids, dy)) return error_set(ERR_FORMAT, "embedding_d: ids and a gradient for each are wanted");
    n->out[0]->type = NN_F32;
    n->out[0]->shape = shape2(rows, C);
    return 0;
}

static void embedding_d_reference(const node *n, const void *const in[], void *const out[]) {
    const int32_t *ids = in[0];
    size_t V = n->out[0]->shape.dim[0], C = n->out[0]->shape.dim[1], count = shape_elements(n->in[0]->shape);
    memset(out[0], 0, V * C * sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < C; c++) ((float *)out[0])[row_of(ids[i], V) * C + c] += ((const float *)in[1])[i * C + c];
}

const op op_embedding_d = { .name = "embedding_d", .attr_bytes = sizeof(size_t), .shape = embedding_d_shape, .reference = embedding_d_reference };

tensor *embedding_d(graph *g, tensor *ids, tensor *dy, size_t rows) { return graph_apply(g, &op_embedding_d, &rows, (tensor *[]){ ids, dy }, 2, 0); }
