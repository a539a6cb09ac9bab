/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/move.h"

#include <string.h>

#include "base/parallel.h"
#include "nn/cpu/operand.h"
#include "nn/ops.h"

static int nothing(kernel_step *s, params *p) {
    (void)s, (void)p;
    return 0;
}

static bool inputs_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    match_node(m, root);
    for (int i = 0; i < root->n_in; i++) {
        if (root->in[i]->kind == TENSOR_PARAM) return false;
        match_in(m, root->in[i], (layout_need){ 0 });
    }
    match_out(m, root->out[0], (layout_need){ 0 });
    return true;
}

/* ---- concat ------------------------------------------------------------------------------------------------------------ */

typedef struct { const char *from[NN_MAX_IN]; size_t bytes[NN_MAX_IN], total; int n; char *to; } parts_job;

static void concat_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const parts_job *j = context;
    for (size_t o = begin; o < end; o++) {
        char *y = j->to + o * j->total;
        for (int i = 0; i < j->n; y += j->bytes[i], i++) memcpy(y, j->from[i] + o * j->bytes[i], j->bytes[i]);
    }
}

static int concat_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    const nn_shape y = n->out[0]->shape;
    int axis = *(const int *)n->attr;
    size_t outer = 1, inner = nn_type_bytes(n->out[0]->type);
    for (int i = 0; i < axis; i++) outer *= y.dim[i];
    for (int i = axis + 1; i < y.rank; i++) inner *= y.dim[i];
    parts_job j = { .total = y.dim[axis] * inner, .n = n->n_in, .to = out[0] };
    for (int i = 0; i < n->n_in; i++) j.from[i] = in[i], j.bytes[i] = n->in[i]->shape.dim[axis] * inner;
    parallel_for(threads_for(s, shape_elements(y)), outer, concat_part, &j);
    return 0;
}

/* ---- slice ------------------------------------------------------------------------------------------------------------- */

/* x may be a parameter, which is read where the checkpoint has it; f16 becomes f32. */
static bool slice_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    tensor *x = root->in[0];
    match_node(m, root);
    if (x->kind == TENSOR_PARAM) match_param_in_place(m, x);
    else match_in(m, x, (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    return true;
}

typedef struct { const char *from; char *to; nn_type type; nn_shape x, y; size_t begin[NN_MAX_RANK], bytes; } slice_job;

static void slice_part(void *context, size_t first, size_t end, int thread) {
    (void)thread;
    const slice_job *j = context;
    int last = j->y.rank - 1;
    size_t row = j->y.dim[last] * j->bytes;
    for (size_t r = first; r < end; r++) {
        size_t rest = r, from = j->begin[last], step = j->x.dim[last];
        for (int d = last - 1; d >= 0; d--) {
            from += (j->begin[d] + rest % j->y.dim[d]) * step;
            rest /= j->y.dim[d];
            step *= j->x.dim[d];
        }
        if (j->type == NN_F16) nn_widen((float *)j->to + r * j->y.dim[last], j->from + from * j->bytes, NN_F16, j->y.dim[last]);
        else memcpy(j->to + r * row, j->from + from * j->bytes, row);
    }
}

static int slice_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    const tensor *x = n->in[0];
    slice_job j = { x->kind == TENSOR_PARAM ? x->data : in[0], out[0], x->type, x->shape, n->out[0]->shape, { 0 }, nn_type_bytes(x->type) };
    memcpy(j.begin, ((const slice_attr *)n->attr)->begin, sizeof j.begin);
    size_t count = shape_elements(j.y);
    parallel_for(threads_for(s, count), count / j.y.dim[j.y.rank - 1], slice_part, &j);
    return 0;
}

/* ---- upsample_nearest -------------------------------------------------------------------------------------------------- */

typedef struct { const char *from; char *to; const size_t *x, *y; size_t pixel; } upsample_job;

static void upsample_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const upsample_job *j = context;
    size_t row = j->y[2] * j->pixel, last = j->x[1];   /* no row */
    for (size_t i = begin; i < end; i++) {
        size_t y = upsample_source(i % j->y[1], j->x[1], j->y[1]);
        char *to = j->to + i * row;
        if (y == last && i % j->y[1]) {
            memcpy(to, to - row, row);
            continue;
        }
        const char *from = j->from + (i / j->y[1] * j->x[1] + y) * j->x[2] * j->pixel;
        for (size_t c = 0; c < j->y[2]; c++) memcpy(to + c * j->pixel, from + upsample_source(c, j->x[2], j->y[2]) * j->pixel, j->pixel);
        last = y;
    }
}

static int upsample_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    upsample_job j = { in[0], out[0], n->in[0]->shape.dim, n->out[0]->shape.dim, n->in[0]->shape.dim[3] * nn_type_bytes(n->in[0]->type) };
    parallel_for(threads_for(s, shape_elements(n->out[0]->shape)), j.y[0] * j.y[1], upsample_part, &j);
    return 0;
}

/* ---- embedding, timestep_embedding ------------------------------------------------------------------------------------- */

/* A parameter's table stays where the checkpoint has it: a text reads some dozen rows of 50,000. */
static bool embedding_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    match_node(m, root);
    match_in(m, root->in[0], (layout_need){ 0 });
    if (root->in[1]->kind == TENSOR_PARAM) match_param_in_place(m, root->in[1]);
    else match_in(m, root->in[1], (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    return root->in[0]->kind != TENSOR_PARAM;
}

static int embedding_prepare(kernel_step *s, params *p) {
    (void)p;
    const tensor *table = s->match.nodes[0]->in[1];
    if (table->kind == TENSOR_PARAM) s->packed[0] = table->data;
    s->scratch_bytes = table->shape.dim[1] * sizeof(float);
    return 0;
}

static int embedding_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const tensor *table = s->match.nodes[0]->in[1], *y = s->match.out[0];
    const char *from = operand_at(s, in, table);
    const int32_t *ids = in[0];
    size_t rows = table->shape.dim[0], width = table->shape.dim[1], count = shape_elements(s->match.in[0]->shape);
    for (size_t i = 0; i < count; i++) {
        size_t id = ids[i] < 0 ? 0 : (size_t)ids[i] < rows ? (size_t)ids[i] : rows - 1;
        nn_widen(scratch, from + id * width * nn_type_bytes(table->type), table->type, width);
        nn_narrow((char *)out[0] + i * width * nn_type_bytes(y->type), y->type, scratch, width);
    }
    return 0;
}

static int timestep_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    n->op->reference(n, in, out);
    return 0;
}

static const kernel table[] = {
    { "concat/copy", &op_concat, inputs_match, nothing, concat_run, NULL, NULL },
    { "slice/copy", &op_slice, slice_match, nothing, slice_run, NULL, NULL },
    { "upsample_nearest/copy", &op_upsample_nearest, inputs_match, nothing, upsample_run, NULL, NULL },
    { "embedding/copy", &op_embedding, embedding_match, embedding_prepare, embedding_run, NULL, NULL },
    { "timestep_embedding/plain", &op_timestep_embedding, inputs_match, nothing, timestep_run, NULL, NULL },
};

const kernel *move_kernels(size_t *n) {
    *n = sizeof table / sizeof *table;
    return table;
}
