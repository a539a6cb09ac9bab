/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of weights: dW [N,K] = dY^T [N,M] X [M,K], in f32, of M pixels or tokens. Of a linear X is its input; of a convolution it has, for each
 * pixel, what lies under its window, so that K is channels times taps, as dW is stored. It is linear.c's product with other operands: X is
 * packed as weights are, in words of two neighbouring pixels, window by window from the picture; dY, whose words are strided, is transposed.
 *
 * M may be thousands. It is cut into chunks, of which dY is transposed as a whole and X packed a block of columns at a time, by the thread that uses it
 * up, in its second cache; sums go on from what the chunk before has left in dW. Chunks follow from the shape, and a sum is one tile's in each, so that
 * bits do not depend on threads.
 *
 * Where an adamw is all that wants dW, and M is one chunk, it never exists: each strip of rows of a block is given to the update while it is in the first cache, and
 * meanwhile what the next strip's update will read and write is fetched, so that memory is busy while tiles compute. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/linear.h"
#include "nn/cpu/linear_pack.h"
#include "nn/cpu/update.h"
#include "nn/gradient.h"

enum { CACHE = 336 << 10, LINE = 64, WORD = 4, CHUNK = 512 };   /* words, at most */
enum { FEW = 48, MANY = 512 };   /* gathering windows pays from so many outputs on, which use them; and up to so many pixels, oneDNN's order being dear beside them */

typedef struct {
    size_t rows, outputs, columns;      /* M, N, K */
    bool gathers;                       /* windows are more than a pixel */
    linear_windows windows;
    size_t unit;                        /* panels that blocks are made of */
    linear_cut chunks, blocks;          /* words in chunks; units in blocks */
    size_t parts;                       /* that the outputs of a block are dealt out in */
    size_t left_row, left_bytes;        /* left_row: bytes of a column of dY, transposed */
    size_t right_bytes;                 /* of a block */
    size_t strip_row, strip_bytes;      /* where an update follows: floats of a row of a strip; a thread's strip */
} dw_job;

static size_t over(size_t n, size_t by) { return (n + by - 1) / by; }
static size_t most(const linear_cut *c) { return c->size + (c->larger > 0); }

/* ---- matching ---------------------------------------------------------------------------------------------------------- */

static size_t kernel_taps(const conv2d_attr *a, nn_shape w) { return a->weights == WEIGHTS_OHWI ? w.dim[1] * w.dim[2] : w.dim[2] * w.dim[3]; }

static bool conv_pays(const node *n) {
    const conv2d_attr *a = n->attr;
    const nn_shape w = n->out[0]->shape;
    if (linear_conv(a, w)) return true;
    size_t taps = kernel_taps(a, w), pixels = shape_elements(n->in[1]->shape) / w.dim[0];
    return (a->weights == WEIGHTS_OIHW || taps == 1) && taps <= LINEAR_MOST_TAPS && w.dim[0] >= FEW && pixels <= MANY;
}

static bool dw_match(const kernel *k, const node *root, kernel_match *m) {
    const node *n = root;
    if (k->root == &op_adamw) {
        tensor *dw = root->in[ADAMW_IN_DW];
        n = match_inner(dw) ? dw->producer : NULL;
        if (!n || n->op != k->variant || over(shape_elements(n->in[1]->shape) / dw->shape.dim[0], 2) > CHUNK) return false;
    }
    const tensor *x = n->in[0], *dy = n->in[1];
    if (root->ordered || n->ordered || x->type != NN_BF16 || dy->type != NN_BF16 || x->kind == TENSOR_PARAM || dy->kind == TENSOR_PARAM) return false;
    if (n->op == &op_conv2d_dw && !conv_pays(n)) return false;
    match_node(m, root);
    if (n != root) match_node(m, n);
    match_in(m, n->in[0], (layout_need){ 0 });
    match_in(m, n->in[1], (layout_need){ 0 });
    if (n != root) return adamw_take(root, loops_of(CPU_AVX512_BF16), m);
    match_out(m, root->out[0], (layout_need){ 0 });
    return true;
}

static const node *core_of(const kernel_step *s) { return s->match.nodes[s->match.n_nodes - 1]; }

/* ---- preparing --------------------------------------------------------------------------------------------------------- */

static void take_windows(dw_job *j, const node *n) {
    if (n->op != &op_conv2d_dw || linear_conv(n->attr, n->out[0]->shape)) return;
    const conv2d_attr *a = n->attr;
    const size_t *x = n->in[0]->shape.dim, *y = n->in[1]->shape.dim, *w = n->out[0]->shape.dim;
    int height = a->weights == WEIGHTS_OHWI ? 1 : 2;
    j->gathers = true;
    j->windows = (linear_windows){ .height = x[1], .width = x[2], .channels = x[3], .out_height = y[1], .out_width = y[2], .kernel_height = w[height],
                                   .kernel_width = w[height + 1], .stride = (size_t)a->stride, .top = (size_t)a->pad_top, .left = (size_t)a->pad_left };
}

/* As few parts as give all threads the same number, or each some. */
static size_t count_parts(size_t blocks, size_t threads, size_t outputs) {
    size_t parts = 1;
    while (blocks * parts % threads && blocks * parts < 4 * threads && parts * 2 * LINEAR_ROWS < outputs) parts++;
    return parts;
}

static int dw_prepare(kernel_step *s, params *store) {
    const node *n = core_of(s);
    const nn_shape w = n->out[0]->shape;
    dw_job *j = calloc(1, sizeof *j);
    (void)store;
    if (!j) return error_memory(sizeof *j);
    s->state = j;
    take_windows(j, n);
    j->outputs = w.dim[0];
    j->columns = shape_elements(w) / w.dim[0];
    j->rows = shape_elements(n->in[1]->shape) / j->outputs;
    j->unit = j->gathers ? j->windows.kernel_height * j->windows.kernel_width : 1;
    size_t words = over(j->rows, 2), units = over(j->columns, j->unit * LINEAR_LANES);
    j->chunks = linear_cut_into(words, over(words, CHUNK));
    size_t panel = LINEAR_LANES * most(&j->chunks) * WORD, fit = CACHE / panel < LINEAR_MOST_PANELS ? CACHE / panel : LINEAR_MOST_PANELS;
    j->blocks = linear_cut_into(units, over(units, fit > j->unit ? fit / j->unit : 1));
    j->parts = count_parts(j->blocks.groups, (size_t)s->threads, j->outputs);
    j->left_row = over(most(&j->chunks), 16) * LINE + LINE;   /* rows that lie powers of two apart would share their places in the cache */
    j->left_bytes = over(j->outputs, 16) * 16 * j->left_row;
    j->right_bytes = most(&j->blocks) * j->unit * panel;
    if (n != s->match.nodes[0]) {
        j->strip_row = most(&j->blocks) * j->unit * LINEAR_LANES + LINEAR_LANES;   /* and a line */
        j->strip_bytes = LINEAR_ROWS * j->strip_row * sizeof(float);
    }
    s->scratch_bytes = j->left_bytes + (size_t)s->threads * (j->right_bytes + j->strip_bytes);
    return 0;
}

static void dw_release(kernel_step *s) { free(s->state); }

/* ---- a chunk ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    const dw_job *j;
    const uint16_t *x, *dy;      /* dy: the chunk's first row */
    size_t first, rows, words;   /* of the chunk */
    char *left, *right;
    float *dw;
    bool more;
    const adamw_place *update;   /* instead of dw; or NULL */
} call;

/* Whole rows, which the hardware fetches ahead: a square of 16 words at a time. */
static void transpose_part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    (void)thread;
    for (size_t first = begin * 32; first < end * 32 && first < c->rows; first += 32)
        linear_transpose(c->dy + first * c->j->outputs, c->j->outputs, c->rows - first < 32 ? c->rows - first : 32, c->j->outputs, c->left + first * 2, c->j->left_row);
}

/* Columns that are no whole panels go by way of a copy. */
static void compute_edge(const linear_tile *tile, size_t rows, size_t panels, size_t columns) {
    _Alignas(LINE) float sums[LINEAR_ROWS * LINEAR_SUMS] = { 0 };
    linear_tile t = *tile;
    t.sums = sums;
    t.sums_row = LINEAR_SUMS;
    for (size_t r = 0; r < rows && t.more; r++) memcpy(sums + r * LINEAR_SUMS, tile->sums + r * tile->sums_row, columns * sizeof *sums);
    linear_onto[rows - 1][panels - 1](&t);
    for (size_t r = 0; r < rows; r++) memcpy(tile->sums + r * tile->sums_row, sums + r * LINEAR_SUMS, columns * sizeof *sums);
}

/* What the tile below this one starts from is fetched meanwhile. */
static size_t fetch(const char **line, size_t room, const float *sums, size_t row, size_t rows, size_t columns) {
    size_t n = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < columns && n < room; k += LINEAR_LANES) line[n++] = (const char *)(sums + r * row + k);
    return n;
}

/* And this group's share of the next strip. */
static size_t fetch_left(const char **line, size_t room, const call *c, size_t row, size_t rows, size_t group, size_t groups) {
    size_t n = 0, lines = over(c->words * WORD, LINE), first = lines * group / groups, last = lines * (group + 1) / groups;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = first; k < last && n < room; k++) line[n++] = c->left + (row + r) * c->j->left_row + k * LINE;
    return n;
}

/* n numbers of each of what an update of `rows` rows reads and writes. */
static size_t fetch_states(const char **line, size_t room, const call *c, size_t at, size_t rows, size_t n) {
    const adamw_place *u = c->update;
    size_t count = 0;
    for (size_t r = 0; r < rows; r++, at += c->j->columns) {
        const char *from[] = { (const char *)(u->m + at), (const char *)(u->v + at), u->weight + at * nn_type_bytes(u->type), u->low ? (const char *)(u->low + at) : NULL };
        size_t bytes[] = { n * sizeof(float), n * sizeof(float), n * nn_type_bytes(u->type), u->low ? n * sizeof *u->low : 0 };
        for (size_t i = 0; i < 4; i++)
            for (size_t k = 0; k < bytes[i] && count < room; k += LINE) line[count++] = from[i] + k;
    }
    return count;
}

/* A block of columns, packed; and where the strip at hand goes, if an update follows. */
typedef struct { size_t column, columns; linear_cut groups; const char *right; float *strip; } block;

static void compute(const call *c, const block *b, size_t row, size_t rows, size_t group) {
    const dw_job *j = c->j;
    size_t first = linear_begin(&b->groups, group), panels = linear_begin(&b->groups, group + 1) - first, column = first * LINEAR_LANES;
    size_t columns = panels * LINEAR_LANES < b->columns - column ? panels * LINEAR_LANES : b->columns - column, below = j->outputs - row - rows;
    const char *soon[CHUNK];
    size_t room = c->words;
    float *sums = b->strip ? b->strip + column : c->dw + row * j->columns + b->column + column;
    linear_tile t = { .x = c->left + row * j->left_row, .x_row = j->left_row, .w = b->right + column * c->words * WORD, .words = c->words, .sums = sums,
                      .sums_row = b->strip ? j->strip_row : j->columns, .more = c->more, .soon = soon };
    if (below > rows) below = rows;
    if (b->strip) t.n_soon = fetch_states(soon, room, c, (row + rows) * j->columns + b->column + column, below, columns);
    else t.n_soon = fetch(soon, room, sums + rows * j->columns, j->columns, below, columns);
    t.n_soon += fetch_left(soon + t.n_soon, room - t.n_soon, c, row + rows, below, group, b->groups.groups);
    if (b->strip || columns == panels * LINEAR_LANES) linear_onto[rows - 1][panels - 1](&t);
    else compute_edge(&t, rows, panels, columns);
}

static block take_block(const call *c, size_t index, char *to) {
    const dw_job *j = c->j;
    size_t unit = j->unit * LINEAR_LANES, column = linear_begin(&j->blocks, index) * unit, end = linear_begin(&j->blocks, index + 1) * unit;
    block b = { .column = column, .columns = (end < j->columns ? end : j->columns) - column, .right = to };
    b.groups = linear_cut_panels(over(b.columns, LINEAR_LANES));
    if (j->gathers) {
        linear_gather(&j->windows, c->first, c->rows, column / j->unit, b.columns / j->unit, &b.groups, to);
        return b;
    }
    linear_packing p = { .outputs = b.columns, .inputs = c->rows, .groups = b.groups, .across = true, .row = j->columns, .halves = 1 };
    linear_pack(&p, to, LINEAR_LANES * c->words * 2, c->x + c->first * j->columns + column, NN_BF16, 1);
    return b;
}

/* A task is a part of the outputs by a block of columns. */
static void tasks_part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    const dw_job *j = c->j;
    for (; begin < end; begin++) {
        size_t part = begin % j->parts, first = j->outputs * part / j->parts, outputs = j->outputs * (part + 1) / j->parts - first;
        char *right = c->right + (size_t)thread * (j->right_bytes + j->strip_bytes);
        block b = take_block(c, begin / j->parts, right);
        b.strip = c->update ? (float *)(void *)(right + j->right_bytes) : NULL;
        linear_cut strips = linear_cut_into(outputs, over(outputs, most(&b.groups) == 5 ? 5 : 6));
        for (size_t s = 0; s < strips.groups; s++) {
            size_t row = first + linear_begin(&strips, s), rows = first + linear_begin(&strips, s + 1) - row;
            for (size_t g = 0; g < b.groups.groups; g++) compute(c, &b, row, rows, g);
            for (size_t r = 0; b.strip && r < rows; r++) adamw_apply(c->update, (row + r) * j->columns + b.column, b.strip + r * j->strip_row, b.columns);
        }
    }
}

static int dw_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    dw_job job = *(const dw_job *)s->state, *j = &job;
    call c = { .j = j, .x = in[0], .left = scratch, .right = (char *)scratch + j->left_bytes };
    adamw_place update;
    if (s->kernel->root == &op_adamw) {
        if (!adamw_find(s, in, loops_of(CPU_AVX512_BF16), &update)) return 0;
        c.update = &update;
    } else {
        c.dw = out[0];
    }
    j->windows.x = in[0];
    for (size_t i = 0; i < j->chunks.groups; i++, c.more = true) {
        size_t last = 2 * linear_begin(&j->chunks, i + 1);
        c.first = 2 * linear_begin(&j->chunks, i);
        c.words = (last - c.first) / 2;
        c.rows = (last < j->rows ? last : j->rows) - c.first;
        c.dy = (const uint16_t *)in[1] + c.first * j->outputs;
        parallel_for(s->threads, over(c.rows, 32), transpose_part, &c);
        parallel_for(s->threads, j->blocks.groups * j->parts, tasks_part, &c);
    }
    return 0;
}

static const kernel rows[] = {
    { "linear_dw/avx512bf16", &op_linear_dw, dw_match, dw_prepare, dw_run, dw_release, NULL },
    { "conv2d_dw/avx512bf16", &op_conv2d_dw, dw_match, dw_prepare, dw_run, dw_release, NULL },
    { "linear_dw+adamw/avx512bf16", &op_adamw, dw_match, dw_prepare, dw_run, dw_release, &op_linear_dw },
    { "conv2d_dw+adamw/avx512bf16", &op_adamw, dw_match, dw_prepare, dw_run, dw_release, &op_conv2d_dw },
};

const kernel *linear_dw_kernels(cpu_level level, size_t *n) {
    *n = level >= CPU_AVX512_BF16 ? sizeof rows / sizeof *rows : 0;
    return rows;
}
