/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/move_d.h"

#include <string.h>

#include "base/parallel.h"
#include "nn/cpu/operand.h"
#include "nn/gradient.h"

static bool numbers_match(const kernel *k, const node *root, kernel_match *m) {
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    return operand_take_value(m, k->variant, root->in[0]);
}

/* ---- unslice ----------------------------------------------------------------------------------------------------------- */

/* Rows of the last dimension of the whole: zeros, and where the box is its row. */
typedef struct { const char *from; char *to; nn_shape box, whole; const size_t *begin; size_t bytes; } unslice_job;

/* The box's row that row r of the whole holds; false if none. */
static bool row_of_box(const unslice_job *j, size_t r, size_t *out) {
    size_t row = 0, step = 1;
    for (int d = j->whole.rank - 2; d >= 0; d--) {
        size_t at = r % j->whole.dim[d];
        r /= j->whole.dim[d];
        if (at < j->begin[d] || at - j->begin[d] >= j->box.dim[d]) return false;
        row += (at - j->begin[d]) * step;
        step *= j->box.dim[d];
    }
    *out = row;
    return true;
}

static void unslice_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const unslice_job *j = context;
    int last = j->whole.rank - 1;
    size_t width = j->whole.dim[last] * j->bytes, before = j->begin[last] * j->bytes, inner = j->box.dim[last] * j->bytes, row;
    for (size_t r = begin; r < end; r++) {
        char *to = j->to + r * width;
        if (!row_of_box(j, r, &row)) {
            memset(to, 0, width);
            continue;
        }
        memset(to, 0, before);
        memcpy(to + before, j->from + row * inner, inner);
        memset(to + before + inner, 0, width - before - inner);
    }
}

static int unslice_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    const slice_attr *box = n->attr;   /* what unslice's settings begin with */
    unslice_job j = { in[0], out[0], n->in[0]->shape, n->out[0]->shape, box->begin, nn_type_bytes(n->in[0]->type) };
    size_t count = shape_elements(j.whole);
    parallel_for(threads_for(s, count), count / j.whole.dim[j.whole.rank - 1], unslice_part, &j);
    return 0;
}

/* ---- upsample_nearest_dx ----------------------------------------------------------------------------------------------- */

typedef struct { const loops *l; const char *dy; char *dx; nn_type type; const size_t *y, *x; float *work; } upsample_job;   /* work: [thread][a row of dx] */

static int upsample_prepare(kernel_step *s, params *p) {
    const size_t *x = s->match.out[0]->shape.dim;
    if (s->match.out[0]->type != NN_F32) s->scratch_bytes = (size_t)s->threads * x[2] * x[3] * sizeof(float);
    return operands_prepare(s, p);
}

/* Rows of dx: each is the sum of those of dy that were made of it. */
static void upsample_part(void *context, size_t begin, size_t end, int thread) {
    const upsample_job *j = context;
    size_t C = j->x[3], row = j->x[2] * C;
    for (size_t i = begin; i < end; i++) {
        float *sum = j->type == NN_F32 ? (float *)j->dx + i * row : j->work + (size_t)thread * row;
        memset(sum, 0, row * sizeof *sum);
        size_t h = i % j->x[1], r = h * j->y[1] / j->x[1];   /* about the first, perhaps one too far */
        while (r > 0 && upsample_source(r - 1, j->x[1], j->y[1]) >= h) r--;
        while (r < j->y[1] && upsample_source(r, j->x[1], j->y[1]) < h) r++;
        for (; r < j->y[1] && upsample_source(r, j->x[1], j->y[1]) == h; r++)
            for (size_t c = 0; c < j->y[2]; c++)
                j->l->add_to[j->type](sum + upsample_source(c, j->x[2], j->y[2]) * C, element_at(j->dy, j->type, ((i / j->x[1] * j->y[1] + r) * j->y[2] + c) * C), C);
        if (j->type != NN_F32) j->l->cast[NN_F32](sum, element_at(j->dx, j->type, i * row), row);
    }
}

static int upsample_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = s->match.nodes[0];
    upsample_job j = { s->kernel->variant, in[0], out[0], n->in[0]->type, n->in[0]->shape.dim, n->out[0]->shape.dim, scratch };
    parallel_for(threads_for(s, shape_elements(n->in[0]->shape)), j.x[0] * j.x[1], upsample_part, &j);
    return 0;
}

/* ---- embedding_d ------------------------------------------------------------------------------------------------------- */

static bool embedding_match(const kernel *k, const node *root, kernel_match *m) {
    match_node(m, root);
    match_in(m, root->in[0], (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    return root->in[0]->kind != TENSOR_PARAM && operand_take_value(m, k->variant, root->in[1]);
}

typedef struct { const loops *l; const int32_t *ids; const void *dy; float *table; nn_type type; size_t count, rows, width; } embedding_job;

/* Rows of the table: each thread looks through all ids for its own. */
static void embedding_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const embedding_job *j = context;
    memset(j->table + begin * j->width, 0, (end - begin) * j->width * sizeof *j->table);
    for (size_t i = 0; i < j->count; i++) {
        size_t row = j->ids[i] < 0 ? 0 : (size_t)j->ids[i] < j->rows ? (size_t)j->ids[i] : j->rows - 1;
        if (row >= begin && row < end) j->l->add_to[j->type](j->table + row * j->width, element_at(j->dy, j->type, i * j->width), j->width);
    }
}

static int embedding_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    const size_t *d = n->out[0]->shape.dim;
    embedding_job j = { s->kernel->variant, in[0], in[1], out[0], n->in[1]->type, shape_elements(n->in[0]->shape), d[0], d[1] };
    parallel_for(threads_for(s, d[0] * d[1]), d[0], embedding_part, &j);
    return 0;
}

/* ---- the tables -------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "unslice/copy", &op_unslice, numbers_match, operands_prepare, unslice_run, NULL, &loops_##level }, \
        { "upsample_nearest_dx/" #level, &op_upsample_nearest_dx, numbers_match, upsample_prepare, upsample_run, NULL, &loops_##level }, \
        { "embedding_d/" #level, &op_embedding_d, embedding_match, operands_prepare, embedding_run, NULL, &loops_##level }, \
    };
TABLE(avx2)
TABLE(avx512)
TABLE(avx512bf16)

const kernel *move_d_kernels(cpu_level level, size_t *n) {
    *n = sizeof table_avx2 / sizeof *table_avx2;
    return level >= CPU_AVX512_BF16 ? table_avx512bf16 : level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
