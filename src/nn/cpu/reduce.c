/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/reduce.h"

#include <string.h>

#include "base/parallel.h"
#include "nn/cpu/operand.h"
#include "nn/gradient.h"
#include "nn/update.h"

/* Elements of a block, which one thread sums; columns of one. */
enum { BLOCK = 32768, WIDEST = 1024 };

static size_t over(size_t n, size_t by) { return (n + by - 1) / by; }

/* ---- sum_to ------------------------------------------------------------------------------------------------------------ */

/* x as alternating runs of dimensions that are kept and that are summed, innermost first. */
typedef struct { size_t extent, stride; bool kept; } run;

/* Results are dealt out in strips: `width` neighbouring ones, columns of x, if the innermost run is kept; else one. A strip's terms are cut into blocks of `rows` rows
 * (of `step` elements each if the innermost run is summed). */
typedef struct {
    const loops *l;
    const void *x;
    void *y;
    nn_type type, y_type;
    run inner, kept[NN_MAX_RANK], summed[NN_MAX_RANK];   /* beside the innermost, inner ones first */
    int n_kept, n_summed;
    bool columns;
    size_t results, strips, width;
    size_t rows, blocks, block_rows;    /* rows: all that a strip's sums run over */
    double *sums;                       /* [item][width] */
    float *work;                        /* [thread][width] */
} sum_job;

static void add_run(sum_job *j, run r) {
    if (r.kept) j->kept[j->n_kept++] = r;
    else j->summed[j->n_summed++] = r;
}

static void find_runs(sum_job *j, nn_shape x, nn_shape s) {
    run all[NN_MAX_RANK];
    int n = 0;
    size_t stride = 1;
    for (int i = 0; i < x.rank; i++) {   /* from the last on */
        size_t d = x.dim[x.rank - 1 - i];
        bool kept = i < s.rank && s.dim[s.rank - 1 - i] == d;
        if (d > 1 && n && all[n - 1].kept == kept) all[n - 1].extent *= d;
        else if (d > 1) all[n++] = (run){ d, stride, kept };
        stride *= d;
    }
    j->inner = n ? all[0] : (run){ 1, 1, true };
    for (int i = 1; i < n; i++) add_run(j, all[i]);
    j->columns = j->inner.kept;
}

/* Shapes alone. */
static void cut(sum_job *j) {
    size_t outer = 1, length = j->columns ? 1 : j->inner.extent;
    for (int i = 0; i < j->n_kept; i++) outer *= j->kept[i].extent;
    j->rows = 1;
    for (int i = 0; i < j->n_summed; i++) j->rows *= j->summed[i].extent;
    j->width = j->columns ? over(j->inner.extent, over(j->inner.extent, WIDEST)) : 1;
    j->results = outer * (j->columns ? j->inner.extent : 1);
    if (!j->columns && j->rows == 1 && length > BLOCK) {   /* one long run: cut it, too */
        j->blocks = over(length, BLOCK);
        j->block_rows = 1;
    } else {
        j->block_rows = over(over(BLOCK, j->columns ? j->width : length), NORM_CHUNK) * NORM_CHUNK;
        j->blocks = over(j->rows, j->block_rows);
    }
    j->strips = outer * (j->columns ? over(j->inner.extent, j->width) : 1);
}

static size_t sum_bytes(const sum_job *j, int threads) { return j->strips * j->blocks * j->width * sizeof(double) + (size_t)threads * j->width * sizeof(float); }

/* Elements to row r of what is summed. */
static size_t row_at(const sum_job *j, size_t r) {
    size_t at = 0;
    for (int i = 0; i < j->n_summed; i++) at += r % j->summed[i].extent * j->summed[i].stride, r /= j->summed[i].extent;
    return at;
}

/* Of strip i: its first element, how many columns, and the number of its first result. */
typedef struct { size_t at, width, result; } strip;

static strip strip_of(const sum_job *j, size_t i) {
    size_t each = j->columns ? over(j->inner.extent, j->width) : 1, outer = i / each, first = i % each * j->width;
    strip s = { first, j->columns && j->inner.extent - first < j->width ? j->inner.extent - first : j->width, outer * (j->columns ? j->inner.extent : 1) + first };
    for (int k = 0; k < j->n_kept; k++) s.at += outer % j->kept[k].extent * j->kept[k].stride, outer /= j->kept[k].extent;
    return s;
}

static void sum_columns(const sum_job *j, strip s, size_t first, size_t last, double *sum, float *work) {
    size_t inner = j->n_summed ? j->summed[0].extent : 1, stride = j->n_summed ? j->summed[0].stride : 0;
    memset(sum, 0, s.width * sizeof *sum);
    for (size_t r = first, n; r < last; r += n) {   /* rows that are equally far apart */
        n = inner - r % inner < last - r ? inner - r % inner : last - r;
        if (n > NORM_CHUNK) n = NORM_CHUNK;
        j->l->column_sums[j->type](element_at(j->x, j->type, s.at + row_at(j, r)), n, stride, s.width, work);
        for (size_t c = 0; c < s.width; c++) sum[c] += (double)work[c];
    }
}

static double sum_rows(const sum_job *j, strip s, size_t first, size_t last) {
    double sum = 0;
    for (size_t r = first; r < last; r++) sum += j->l->total[j->type](element_at(j->x, j->type, s.at + row_at(j, r)), j->inner.extent);
    return sum;
}

static void sum_part(void *context, size_t begin, size_t end, int thread) {
    const sum_job *j = context;
    for (size_t i = begin; i < end; i++) {
        strip s = strip_of(j, i / j->blocks);
        size_t block = i % j->blocks, first = block * j->block_rows, last = j->rows - first < j->block_rows ? j->rows : first + j->block_rows;
        double *sum = j->sums + i * j->width;
        if (j->columns) sum_columns(j, s, first, last, sum, j->work + (size_t)thread * j->width);
        else if (j->rows > 1 || j->blocks == 1) *sum = sum_rows(j, s, first, last);
        else *sum = j->l->total[j->type](element_at(j->x, j->type, s.at + block * BLOCK), j->inner.extent - block * BLOCK < BLOCK ? j->inner.extent - block * BLOCK : BLOCK);
    }
}

static void give_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const sum_job *j = context;
    for (size_t i = begin; i < end; i++) {
        strip s = strip_of(j, i);
        double *first = j->sums + i * j->blocks * j->width;
        for (size_t b = 1; b < j->blocks; b++)
            for (size_t c = 0; c < s.width; c++) first[c] += first[b * j->width + c];
        for (size_t c = 0; c < s.width; c++) {
            float sum = (float)first[c];
            if (j->y_type == NN_F32) ((float *)j->y)[s.result + c] = sum;
            else ((uint16_t *)j->y)[s.result + c] = nn_f32_to_bf16(sum);
        }
    }
}

static bool sum_to_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    return !root->ordered && operand_number(l, root->out[0]) && operand_take_value(m, l, root->in[0]);
}

static sum_job sum_job_of(const kernel_step *s) {
    const node *n = s->match.nodes[0];
    sum_job j = { .l = s->kernel->variant, .type = n->in[0]->type, .y_type = n->out[0]->type };
    find_runs(&j, n->in[0]->shape, n->out[0]->shape);
    cut(&j);
    return j;
}

static int sum_to_prepare(kernel_step *s, params *p) {
    sum_job j = sum_job_of(s);
    s->scratch_bytes = sum_bytes(&j, s->threads);
    return operands_prepare(s, p);
}

static int sum_to_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    sum_job j = sum_job_of(s);
    int threads = threads_for(s, shape_elements(s->match.in[0]->shape));
    j.x = in[0];
    j.y = out[0];
    j.sums = scratch;
    j.work = (float *)(j.sums + j.strips * j.blocks * j.width);
    parallel_for(threads, j.strips * j.blocks, sum_part, &j);
    parallel_for(threads_for(s, j.results * j.blocks), j.strips, give_part, &j);
    return 0;
}

/* ---- sum_squares, mse, mae -------------------------------------------------------------------------------------------------- */

typedef struct { const loops *l; const void *x; const float *target; nn_type type; size_t each, blocks; double *sums; bool absolute; } squares_job;   /* each: elements of a picture */

static bool squares_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    if (root->ordered || !operand_take_value(m, l, root->in[0])) return false;
    for (int i = 1; i < root->n_in; i++)
        if (root->in[i] && !operand_take(m, l, root->in[i])) return false;
    return true;
}

static squares_job squares_job_of(const kernel_step *s) {
    const node *n = s->match.nodes[0];
    const nn_shape x = n->in[0]->shape;
    size_t each = shape_elements(x) / (n->op == &op_sum_squares ? 1 : x.dim[0]);
    return (squares_job){ .l = s->kernel->variant, .type = n->in[0]->type, .each = each, .blocks = over(each, BLOCK), .absolute = n->op == &op_mae };
}

static int squares_prepare(kernel_step *s, params *p) {
    squares_job j = squares_job_of(s);
    s->scratch_bytes = shape_elements(s->match.nodes[0]->in[0]->shape) / j.each * j.blocks * sizeof(double);
    return operands_prepare(s, p);
}

static void squares_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const squares_job *j = context;
    for (size_t i = begin; i < end; i++) {
        size_t first = i % j->blocks * BLOCK, n = j->each - first < BLOCK ? j->each - first : BLOCK, at = i / j->blocks * j->each + first;
        const char *x = element_at(j->x, j->type, at);
        if (!j->target) j->sums[i] = j->l->squares[j->type](x, n);
        else j->sums[i] = (j->absolute ? j->l->absolute : j->l->distance)[j->type](x, j->target + at, n);
    }
}

/* Blocks of `each` in their order. */
static double picture_sum(const squares_job *j, size_t picture) {
    double sum = 0;
    for (size_t b = 0; b < j->blocks; b++) sum += j->sums[picture * j->blocks + b];
    return sum;
}

static int sum_squares_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    squares_job j = squares_job_of(s);
    j.x = in[0];
    j.sums = scratch;
    parallel_for(threads_for(s, j.each), j.blocks, squares_part, &j);
    *(float *)out[0] = (float)picture_sum(&j, 0);
    return 0;
}

static int loss_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = s->match.nodes[0];
    squares_job j = squares_job_of(s);
    const float *weight = n->in[2] ? operand_at(s, in, n->in[2]) : NULL;
    size_t pictures = n->in[0]->shape.dim[0];
    double sum = 0;
    j.x = operand_at(s, in, n->in[0]);
    j.target = operand_at(s, in, n->in[1]);
    j.sums = scratch;
    parallel_for(threads_for(s, pictures * j.each), pictures * j.blocks, squares_part, &j);
    for (size_t p = 0; p < pictures; p++) sum += (weight ? (double)weight[p] : 1) * picture_sum(&j, p);
    *(float *)out[0] = (float)(sum / ((double)pictures * (double)j.each));
    return 0;
}

/* ---- the tables -------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "sum_to/" #level, &op_sum_to, sum_to_match, sum_to_prepare, sum_to_run, NULL, &loops_##level }, \
        { "sum_squares/" #level, &op_sum_squares, squares_match, squares_prepare, sum_squares_run, NULL, &loops_##level }, \
        { "mse/" #level, &op_mse, squares_match, squares_prepare, loss_run, NULL, &loops_##level }, \
        { "mae/" #level, &op_mae, squares_match, squares_prepare, loss_run, NULL, &loops_##level }, \
    };
TABLE(avx2)
TABLE(avx512)
TABLE(avx512bf16)

const kernel *reduce_kernels(cpu_level level, size_t *n) {
    *n = sizeof table_avx2 / sizeof *table_avx2;
    return level >= CPU_AVX512_BF16 ? table_avx512bf16 : level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
