/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of a picture behind which lie an upsampling to twice its size by nearest and a 3x3 convolution (stride 1, a border of 1): what
 * onednn_upsampled.c computes, transposed. Along one dimension, with taps a, b, c, s = a + b + c, and e_i and o_i the gradients of the two outputs of pixel i,
 *
 *     dx_i = s (e_i + o_i) + a (e_{i+1} - e_i) + c (o_{i-1} - o_i),
 *
 * zeros beyond the edges; along both nine products of small pixels, where conv2d_dx and the sum of four take 36. Sums and differences of gradients are made in f32 and rounded
 * once to bf16, and so are sums of taps; a pixel's nine products go on from each other's sums in f32, which are rounded once.
 *
 * A task is a group of columns by some of a chunk's pixels, and does all nine products: neither threads nor tasks change a bit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/linear.h"
#include "nn/cpu/linear_pack.h"
#include "nn/cpu/linear_upsampled.h"
#include "nn/gradient.h"

enum { CHUNK = 1024, LINE = 64, WORD = 4, PIECE = 64, SOON_MOST = 1024 };   /* pixels, bytes, numbers, lines */
enum { PRODUCTS = UPSAMPLED_PRODUCTS, TAPS = 9 };

typedef struct {
    size_t pixels, height, width;       /* small */
    size_t inputs, outputs, words;      /* of the product: dy's channels, and dx's */
    linear_cut groups, chunks;
    size_t parts;                       /* that a chunk's pixels are dealt out in */
    bool taps_last;                     /* OIHW */
    size_t matrix_bytes;                /* of a packed product */
    size_t weight_bytes, plain_bytes;   /* a state's, packed; one product's, as bf16, on its way there */
    size_t map_bytes, sums_row;         /* sums_row: floats */
    uint16_t *zeros;                    /* a pixel beyond the edge */
} upsampled_job;

static size_t over(size_t n, size_t by) { return (n + by - 1) / by; }
static size_t whole_lines(size_t bytes) { return over(bytes, LINE) * LINE; }
static size_t most(const linear_cut *c) { return c->size + (c->larger > 0); }

/* ---- matching ---------------------------------------------------------------------------------------------------------- */

static bool upsampled_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    const node *n = match_inner(root->in[0]) ? root->in[0]->producer : NULL;
    if (root->ordered || !n || n->op != &op_conv2d_dx || n->ordered) return false;
    const conv2d_attr *a = n->attr;
    const tensor *dy = n->in[0], *w = n->in[1];
    size_t height = a->weights == WEIGHTS_OHWI ? 1 : 2;   /* its place in the weight's shape; width follows */
    if (dy->type != NN_BF16 || dy->kind == TENSOR_PARAM || (w->kind != TENSOR_PARAM && w->kind != TENSOR_STATE) || !nn_type_is_float(w->type)) return false;
    if (w->shape.dim[height] != 3 || w->shape.dim[height + 1] != 3 || a->stride != 1 || a->pad_top != 1 || a->pad_left != 1 || a->pad_bottom != 1 || a->pad_right != 1) return false;
    const size_t *large = n->out[0]->shape.dim, *small = root->out[0]->shape.dim;
    if (large[1] != 2 * small[1] || large[2] != 2 * small[2]) return false;
    match_node(m, root);
    match_node(m, n);
    match_in(m, n->in[0], (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    match_weight(m, n->in[1]);
    return true;
}

/* ---- weights ----------------------------------------------------------------------------------------------------------- */

static const size_t first_tap[3] = { 0, 0, 2 }, last_tap[3] = { 0, 2, 2 };

typedef struct { const upsampled_job *j; const char *w; nn_type type; size_t product; uint16_t *plain; } sum_job;

/* Sums of taps of outputs [begin, end) of the convolution, all inputs. */
static void sum_part(void *context, size_t begin, size_t end, int thread) {
    const sum_job *s = context;
    const upsampled_job *j = s->j;
    (void)thread;
    for (size_t o = begin; o < end; o++)
        for (size_t i = 0; i < j->outputs; i += PIECE) {
            float taps[TAPS * PIECE], sums[PIECE] = { 0 };
            size_t n = j->outputs - i < PIECE ? j->outputs - i : PIECE, each = nn_type_bytes(s->type), of_tap = j->taps_last ? 1 : PIECE, of_input = j->taps_last ? TAPS : 1;
            if (j->taps_last) nn_widen(taps, s->w + (o * j->outputs + i) * TAPS * each, s->type, n * TAPS);
            else
                for (size_t t = 0; t < TAPS; t++) nn_widen(taps + t * PIECE, s->w + ((o * TAPS + t) * j->outputs + i) * each, s->type, n);
            for (size_t v = first_tap[s->product / 3]; v <= last_tap[s->product / 3]; v++)
                for (size_t h = first_tap[s->product % 3]; h <= last_tap[s->product % 3]; h++)
                    for (size_t k = 0; k < n; k++) sums[k] += taps[(3 * v + h) * of_tap + k * of_input];
            nn_narrow(s->plain + o * j->outputs + i, NN_BF16, sums, n);
        }
}

static void pack(const upsampled_job *j, void *to, const void *w, nn_type type, void *plain, int threads) {
    linear_packing p = { .outputs = j->outputs, .inputs = j->inputs, .groups = j->groups, .across = true, .row = j->outputs, .halves = 1 };
    for (size_t k = 0; k < PRODUCTS; k++) {
        sum_job s = { j, w, type, k, plain };
        parallel_for(threads, j->inputs, sum_part, &s);
        linear_pack(&p, (char *)to + k * j->matrix_bytes, LINEAR_LANES * j->words * 2, plain, NN_BF16, threads);
    }
}

typedef struct { const upsampled_job *j; int threads; } packing;

static int pack_weights(void *to, const tensor *w, const void *context) {
    const packing *p = context;
    void *plain = malloc(p->j->plain_bytes);
    if (!plain) return error_memory(p->j->plain_bytes);
    pack(p->j, to, w->data, w->type, plain, p->threads);
    free(plain);
    return 0;
}

/* ---- preparing --------------------------------------------------------------------------------------------------------- */

static void cut(upsampled_job *j, size_t threads) {
    j->words = over(j->inputs, 2);
    j->groups = linear_cut_panels(over(j->outputs, LINEAR_LANES));
    j->chunks = linear_cut_into(j->pixels, over(j->pixels, CHUNK));
    j->sums_row = j->groups.things * LINEAR_LANES;
    j->map_bytes = whole_lines(most(&j->chunks) * j->words * WORD);
    for (j->parts = 1; j->groups.groups * j->parts % threads && j->groups.groups * j->parts < 4 * threads && j->parts * 2 * LINEAR_ROWS < most(&j->chunks); j->parts++) {}
}

static int upsampled_prepare(kernel_step *s, params *store) {
    const tensor *x = s->match.out[0], *w = s->match.nodes[1]->in[1];
    upsampled_job *j = calloc(1, sizeof *j);
    if (!j) return error_memory(sizeof *j);
    s->state = j;
    j->height = x->shape.dim[1], j->width = x->shape.dim[2], j->outputs = x->shape.dim[3];
    j->pixels = x->shape.dim[0] * j->height * j->width;
    j->inputs = w->shape.dim[0];
    j->taps_last = ((const conv2d_attr *)s->match.nodes[1]->attr)->weights == WEIGHTS_OIHW;
    cut(j, s->threads > 1 ? (size_t)s->threads : 1);
    size_t bytes;
    if (__builtin_mul_overflow(j->sums_row * WORD, j->words, &j->matrix_bytes) || __builtin_mul_overflow(j->matrix_bytes, PRODUCTS, &bytes))
        return error_set(ERR_LIMIT, "%s: the weight is too large", x->name);
    j->plain_bytes = whole_lines(j->inputs * j->outputs * sizeof(uint16_t));
    if (!(j->zeros = calloc(j->inputs, sizeof *j->zeros))) return error_memory(j->inputs * sizeof *j->zeros);
    if (w->kind == TENSOR_STATE) {
        j->weight_bytes = bytes;
    } else {
        char tag[96];
        snprintf(tag, sizeof tag, "upsampled_dx/bf16 pairs %zu/%zu%s", j->groups.things, j->groups.groups, j->taps_last ? "" : " ohwi");
        if (!(s->packed[0] = params_pack(store, w, tag, bytes, pack_weights, &(packing){ j, s->threads }))) return error_code();
    }
    s->scratch_bytes = PRODUCTS * j->map_bytes + whole_lines(most(&j->chunks) * j->sums_row * sizeof(float)) + j->weight_bytes + (j->weight_bytes ? j->plain_bytes : 0);
    return 0;
}

static void upsampled_release(kernel_step *s) {
    upsampled_job *j = s->state;
    if (j) free(j->zeros);
    free(j);
}

/* ---- running ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    const upsampled_job *j;
    const uint16_t *dy;
    const char *w;
    char *maps;
    float *sums;
    uint16_t *dx;
    size_t first, rows;       /* the chunk's pixels */
} call;

/* Rows (or columns) 2i - 1 to 2i + 2 of dy; SIZE_MAX: beyond the edge. */
static inline size_t around(size_t i, size_t k, size_t size) { return 2 * i + k >= 1 && 2 * i + k - 1 < 2 * size ? 2 * i + k - 1 : SIZE_MAX; }

static void map_part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    const upsampled_job *j = c->j;
    (void)thread;
    for (size_t p = begin; p < end; p++) {
        size_t pixel = c->first + p, x = pixel % j->width, y = pixel / j->width % j->height, picture = pixel / j->width / j->height;
        const uint16_t *from[UPSAMPLED_AROUND];
        uint16_t *to[PRODUCTS];
        for (size_t k = 0; k < UPSAMPLED_AROUND; k++) {
            size_t row = around(y, k / 4, j->height), column = around(x, k % 4, j->width);
            from[k] = row == SIZE_MAX || column == SIZE_MAX ? j->zeros : c->dy + ((picture * 2 * j->height + row) * 2 * j->width + column) * j->inputs;
        }
        for (size_t k = 0; k < PRODUCTS; k++) to[k] = (uint16_t *)(void *)(c->maps + k * j->map_bytes + p * j->words * WORD);
        upsampled_differ(from, to, j->inputs);
    }
}

static size_t fetch(const char **line, size_t n, size_t room, const char *from, size_t bytes) {
    for (size_t i = 0; i < bytes && n < room; i += LINE) line[n++] = from + i;
    return n;
}

/* One product of a group and pixels [first, end): a tile fetches the next one's operands and its share of the next product's weights. */
static void multiply(const call *c, size_t group, size_t first, size_t end, size_t product) {
    const upsampled_job *j = c->j;
    size_t panel = linear_begin(&j->groups, group), panels = linear_begin(&j->groups, group + 1) - panel, row = j->words * WORD, weights = panels * LINEAR_LANES * row;
    linear_cut strips = linear_cut_into(end - first, over(end - first, panels == 5 ? 5 : 6));
    const char *x = c->maps + product * j->map_bytes, *w = c->w + product * j->matrix_bytes + panel * LINEAR_LANES * row, *next = product + 1 < PRODUCTS ? w + j->matrix_bytes : NULL;
    size_t share = over(over(weights, strips.groups), LINE) * LINE, room = j->words < SOON_MOST ? j->words : SOON_MOST;
    for (size_t s = 0; s < strips.groups; s++) {
        const char *soon[SOON_MOST];
        size_t r = first + linear_begin(&strips, s), rows = first + linear_begin(&strips, s + 1) - r, below = s + 1 < strips.groups ? rows : 0;
        if (r + rows + below > end) below = end - r - rows;
        float *sums = c->sums + r * j->sums_row + panel * LINEAR_LANES;
        linear_tile t = { .x = x + r * row, .x_row = row, .w = w, .words = j->words, .sums = sums, .sums_row = j->sums_row, .more = product > 0, .soon = soon };
        for (size_t k = 0; k < below; k++) t.n_soon = fetch(soon, t.n_soon, room, (const char *)(sums + (rows + k) * j->sums_row), panels * LINE);
        t.n_soon = fetch(soon, t.n_soon, room, x + (r + rows) * row, below * row);
        if (next && s * share < weights) t.n_soon = fetch(soon, t.n_soon, room, next + s * share, share);
        linear_onto[rows - 1][panels - 1](&t);
    }
}

static void task_part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    const upsampled_job *j = c->j;
    (void)thread;
    for (; begin < end; begin++) {
        size_t group = begin / j->parts, part = begin % j->parts, first = c->rows * part / j->parts, last = c->rows * (part + 1) / j->parts;
        if (first == last) continue;
        for (size_t k = 0; k < PRODUCTS; k++) multiply(c, group, first, last, k);
        size_t column = linear_begin(&j->groups, group) * LINEAR_LANES, columns = linear_begin(&j->groups, group + 1) * LINEAR_LANES - column;
        if (columns > j->outputs - column) columns = j->outputs - column;
        for (size_t r = first; r < last; r++) upsampled_round(c->sums + r * j->sums_row + column, c->dx + (c->first + r) * j->outputs + column, columns);
    }
}

static int upsampled_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const upsampled_job *j = s->state;
    const tensor *w = s->match.nodes[1]->in[1];
    call c = { .j = j, .dy = in[0], .w = s->packed[0], .maps = scratch, .dx = out[0] };
    char *rest = c.maps + PRODUCTS * j->map_bytes;
    c.sums = (float *)(void *)rest;
    rest += whole_lines(most(&j->chunks) * j->sums_row * sizeof(float));
    if (j->weight_bytes) pack(j, rest, in[1], w->type, rest + j->weight_bytes, s->threads), c.w = rest;
    for (size_t i = 0; i < j->chunks.groups; i++) {
        c.first = linear_begin(&j->chunks, i);
        c.rows = linear_begin(&j->chunks, i + 1) - c.first;
        parallel_for(s->threads, c.rows, map_part, &c);
        parallel_for(s->threads, j->groups.groups * j->parts, task_part, &c);
    }
    return 0;
}

static const kernel rows[] = {
    { "conv2d_dx+upsample_nearest_dx/avx512bf16", &op_upsample_nearest_dx, upsampled_match, upsampled_prepare, upsampled_run, upsampled_release, NULL },
};

const kernel *linear_upsampled_kernels(cpu_level level, size_t *n) {
    *n = level >= CPU_AVX512_BF16 ? sizeof rows / sizeof *rows : 0;
    return rows;
}
