/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of our matrix products: what is matched, how the work is cut, and who computes what.
 *
 * Tiles are taken block of columns by block of columns, each of up to 336 KB packed (chosen for a second-level cache of 1 MB, which holds two and x); in it strip of rows by
 * strip of rows, so that a strip of x is read once a block and stays in the first cache for all its groups. Each thread takes an equal
 * part of that order. Every sum runs over all of K in one tile, so neither threads nor blocks change a bit of the result. */
#include "nn/cpu/linear.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/blocked.h"
#include "nn/cpu/linear_isa.h"
#include "nn/ops.h"

enum { CACHE = 336 << 10, LINE = 64, WORD = 4, SOON_MOST = 1024 };

/* A row of the table: what follows the product. */
typedef struct { const op *core; bool residual; linear_end end; } linear_form;

/* What prepare settles. */
typedef struct {
    size_t rows, inputs, outputs;    /* outputs: of y */
    size_t words, panels, halves;    /* halves: 2 with geglu */
    linear_cut groups, blocks, strips;   /* panels in groups (of a half); groups in blocks; rows in strips */
    bool copy;                       /* rows of odd K are copied to whole words */
    size_t copy_bytes;
} linear_job;

static size_t over(size_t n, size_t by) { return (n + by - 1) / by; }

/* ---- matching ---------------------------------------------------------------------------------------------------------- */

static bool pointwise_conv(const node *n) {
    const conv2d_attr *a = n->attr;
    const nn_shape w = n->in[1]->shape;
    bool first = a->weights == WEIGHTS_OHWI;   /* the place of height and width in the weight's shape */
    return w.dim[first ? 1 : 2] == 1 && w.dim[first ? 2 : 3] == 1 && a->stride == 1 && !a->pad_top && !a->pad_left && !a->pad_bottom && !a->pad_right;
}

static bool core_fits(const node *n, const op *core) {
    if (n->op != core || n->ordered || (core == &op_conv2d && !pointwise_conv(n))) return false;
    const tensor *x = n->in[0], *w = n->in[1], *bias = n->in[2];
    if (x->kind == TENSOR_PARAM || x->type != NN_BF16 || w->kind != TENSOR_PARAM || !nn_type_is_float(w->type)) return false;
    return !bias || (bias->kind == TENSOR_PARAM && nn_type_is_float(bias->type));
}

/* The core behind an operand that may be swallowed, or NULL. */
static const node *inner_core(const tensor *t, const op *core) {
    return match_inner(t) && t->producer && core_fits(t->producer, core) ? t->producer : NULL;
}

static bool linear_match(const kernel *k, const node *root, kernel_match *m) {
    const linear_form *f = k->variant;
    const node *n = root;
    tensor *residual = NULL;
    if (root->ordered) return false;
    if (f->residual) {
        tensor *a = root->in[0], *b = root->in[1];
        if (!shape_equal(a->shape, b->shape) || a->type != b->type) return false;
        n = inner_core(a, f->core);
        residual = n ? b : a;
        if (!n) n = inner_core(b, f->core);
        if (!n || residual->kind == TENSOR_PARAM) return false;
    } else if (k->root != f->core) {
        n = inner_core(root->in[0], f->core);
    } else if (!core_fits(root, f->core)) {
        return false;
    }
    if (!n) return false;
    match_node(m, root);
    if (n != root) match_node(m, n);
    match_in(m, n->in[0], (layout_need){ 0 });
    if (residual) match_in(m, residual, (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    match_param(m, n->in[1]);
    if (n->in[2]) match_param(m, n->in[2]);
    return true;
}

/* ---- packing ----------------------------------------------------------------------------------------------------------- */

static size_t padded(const linear_job *j) { return j->panels * LINEAR_LANES; }

typedef struct { const linear_job *j; int threads; } packing;

/* `groups` groups of `width` panels each, from the first on; with geglu those of the other half lie between them. */
static void pack_groups(const packing *p, const tensor *w, void *to, size_t first, size_t groups, size_t width) {
    const linear_job *j = p->j;
    size_t panel = LINEAR_LANES * j->words * 2, begin = linear_begin(&j->groups, first), row = begin * LINEAR_LANES;
    for (size_t half = 0; half < j->halves && groups > 0; half++) {
        size_t rows = groups * width * LINEAR_LANES, left = j->outputs - row;
        blocked_layout l = { .outputs = rows < left ? rows : left, .inputs = j->inputs, .taps = 1, .block = width * LINEAR_LANES, .group = 2,
                             .block_step = j->halves * width * panel };
        const char *from = (const char *)w->data + (half * j->outputs + row) * j->inputs * nn_type_bytes(w->type);
        blocked_pack(&l, (uint16_t *)to + (j->halves * begin + half * width) * panel, NN_BF16, from, w->type, p->threads);
    }
}

static int pack_weights(void *to, const tensor *w, const void *context) {
    const packing *p = context;
    const linear_cut *c = &p->j->groups;
    pack_groups(p, w, to, 0, c->larger, c->size + 1);
    pack_groups(p, w, to, c->larger, c->groups - c->larger, c->size);
    return 0;
}

static int pack_bias(void *to, const tensor *b, const void *context) {
    const linear_job *j = context;
    for (size_t half = 0; half < j->halves; half++)
        nn_widen((float *)to + half * padded(j), (const char *)b->data + half * j->outputs * nn_type_bytes(b->type), b->type, j->outputs);
    return 0;
}

/* ---- preparing --------------------------------------------------------------------------------------------------------- */

/* Five panels wide where that comes out even, else four. */
static linear_cut cut_panels(size_t panels) {
    size_t by = panels % 5 == 0 || panels % 4 ? 5 : 4;
    return linear_cut_into(panels, over(panels, by));
}

static size_t widest(const linear_cut *c) { return c->size + (c->larger > 0); }

static const node *core_of(const kernel_step *s) { return s->match.nodes[s->match.n_nodes - 1]; }

static int plan_job(linear_job *j, const kernel_step *s, const linear_form *f) {
    const node *n = core_of(s);
    const nn_shape w = n->in[1]->shape;
    size_t bytes;
    j->halves = f->end == LINEAR_GEGLU ? 2 : 1;
    j->outputs = w.dim[0] / j->halves;
    j->inputs = shape_elements(w) / w.dim[0];
    j->rows = shape_elements(n->in[0]->shape) / j->inputs;
    j->words = over(j->inputs, 2);
    j->panels = over(j->outputs, LINEAR_LANES);
    j->groups = cut_panels(j->panels);
    j->strips = linear_cut_into(j->rows, over(j->rows, widest(&j->groups) == 5 ? 5 : 6));
    j->copy = j->inputs % 2;
    j->copy_bytes = j->copy ? over(LINEAR_ROWS * j->words * WORD, LINE) * LINE : 0;
    if (__builtin_mul_overflow(padded(j) * j->halves, j->words * WORD, &bytes)) return error_set(ERR_LIMIT, "%s: the weight is too large", n->out[0]->name);
    size_t blocks = over(bytes, CACHE);
    j->blocks = linear_cut_into(j->groups.groups, blocks < j->groups.groups ? blocks : j->groups.groups);
    return 0;
}

static int linear_prepare(kernel_step *s, params *store) {
    const linear_form *f = s->kernel->variant;
    const node *n = core_of(s);
    char tag[96];
    linear_job *j = calloc(1, sizeof *j);
    if (!j) return error_memory(sizeof *j);
    s->state = j;
    int rc = plan_job(j, s, f);
    if (rc < 0) return rc;
    packing p = { j, s->threads };
    snprintf(tag, sizeof tag, "linear/bf16 pairs %zu/%zu%s", j->groups.things, j->groups.groups, j->halves == 2 ? " halves" : "");
    s->packed[0] = params_pack(store, n->in[1], tag, padded(j) * j->halves * j->words * WORD, pack_weights, &p);
    if (!s->packed[0]) return error_code();
    snprintf(tag, sizeof tag, "f32 padded %zu x %zu", j->halves, padded(j));
    if (n->in[2] && !(s->packed[1] = params_pack(store, n->in[2], tag, padded(j) * j->halves * sizeof(float), pack_bias, j))) return error_code();
    s->scratch_bytes = (size_t)s->threads * j->copy_bytes;
    return 0;
}

static void linear_release(kernel_step *s) { free(s->state); }

/* ---- running ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    const linear_job *j;
    const linear_form *form;
    const char *x, *w, *residual;
    const float *bias;
    char *y, *scratch;
} call;

/* Strip s of x. */
typedef struct { size_t first, rows; const char *x; size_t x_row; } strip;

static strip take_strip(const call *c, size_t s, char *copy) {
    const linear_job *j = c->j;
    size_t first = linear_begin(&j->strips, s), row = j->inputs * 2;
    strip t = { first, linear_begin(&j->strips, s + 1) - first, c->x + first * row, row };
    if (!j->copy) return t;
    for (size_t r = 0; r < t.rows; r++) {
        memcpy(copy + r * j->words * WORD, t.x + r * row, row);
        memset(copy + r * j->words * WORD + row, 0, 2);
    }
    t.x = copy;
    t.x_row = j->words * WORD;
    return t;
}

/* ---- what is fetched ahead --------------------------------------------------------------------------------------------- */

/* Rows of a few lines are too short for the hardware, and weights are only read once a block: while a tile is computed its share of what the
 * next strip reads and writes, and of the next block's weights, is fetched. */
typedef struct { const char *line[SOON_MOST]; size_t n, room; } soon;

typedef struct {
    size_t rows, part;              /* of the next strip; bytes of a row of x to be fetched with each group */
    const char *x, *residual, *y;   /* its first rows */
} next_strip;

typedef struct { const char *from; size_t part; } next_weights;   /* part: bytes with each tile */

static inline void soon_add(soon *s, const char *from, size_t bytes) {
    for (size_t i = 0; i < bytes && s->n < s->room; i += LINE) s->line[s->n++] = from + i;
}

static next_strip take_next(const call *c, size_t s, size_t groups) {
    const linear_job *j = c->j;
    if (s + 1 >= j->strips.groups) return (next_strip){ 0 };
    size_t row = linear_begin(&j->strips, s + 1), y = row * j->outputs * 2;
    return (next_strip){ linear_begin(&j->strips, s + 2) - row, over(over(j->inputs * 2, LINE), groups) * LINE, c->x + row * j->inputs * 2,
                         c->residual ? c->residual + y : NULL, c->y + y };
}

static size_t width_of(const linear_cut *c, size_t group) { return c->size + (group < c->larger); }

/* With group g, which is number i of its block. */
static void fetch_strip(soon *s, const linear_job *j, const next_strip *n, size_t g, size_t i) {
    size_t column = linear_begin(&j->groups, g) * LINEAR_LANES * 2, width = width_of(&j->groups, g) * LINEAR_LANES * 2;
    for (size_t r = 0; r < n->rows; r++) {
        if (n->residual) soon_add(s, n->residual + r * j->outputs * 2 + column, width);
        soon_add(s, n->y + r * j->outputs * 2 + column, width);
    }
    for (size_t r = 0; r < n->rows; r++) soon_add(s, n->x + r * j->inputs * 2 + i * n->part, n->part);
}

/* Of block b + 1, over `tiles` tiles of this one. Two blocks must fit into the cache. */
static next_weights take_weights(const call *c, size_t b, size_t tiles) {
    const linear_job *j = c->j;
    size_t panel = j->halves * LINEAR_LANES * j->words * WORD, first = linear_begin(&j->groups, linear_begin(&j->blocks, b + 1));
    size_t bytes = (linear_begin(&j->groups, linear_begin(&j->blocks, b + 2)) - first) * panel;
    return (next_weights){ c->w + first * panel, bytes > CACHE ? 0 : over(over(bytes, tiles), LINE) * LINE };
}

static void compute(const call *c, const strip *s, size_t g, const soon *ahead) {
    const linear_job *j = c->j;
    size_t begin = linear_begin(&j->groups, g), panels = width_of(&j->groups, g), column = begin * LINEAR_LANES;
    size_t outputs = j->outputs - column < panels * LINEAR_LANES ? j->outputs - column : panels * LINEAR_LANES;
    size_t group_bytes = panels * LINEAR_LANES * j->words * WORD, at = (s->first * j->outputs + column) * 2;
    linear_tile t = { .x = s->x, .x_row = s->x_row, .w = c->w + j->halves * column * j->words * WORD, .words = j->words,
                      .bias = c->bias ? c->bias + column : NULL, .y = c->y + at, .residual = c->residual ? c->residual + at : NULL,
                      .y_row = j->outputs * 2, .soon = ahead->line, .n_soon = ahead->n };
    if (c->form->end == LINEAR_PLAIN && outputs == panels * LINEAR_LANES) {
        linear_direct[s->rows - 1][panels - 1](&t);
        return;
    }
    _Alignas(LINE) float sums[LINEAR_ROWS * LINEAR_SUMS], gate[LINEAR_ROWS * LINEAR_SUMS];
    t.sums = sums;
    linear_to_sums[s->rows - 1][panels - 1](&t);
    if (j->halves == 2) {
        t.w += group_bytes;
        t.bias = c->bias ? c->bias + padded(j) + column : NULL;
        t.sums = gate;
        t.n_soon = 0;
        linear_to_sums[s->rows - 1][panels - 1](&t);
    }
    linear_finish_by[c->form->end](&(linear_finish){ sums, gate, t.residual, t.y, s->rows, outputs, t.y_row });
}

/* Tiles [begin, end) of all, in the order of blocks, strips and groups. */
static void part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    const linear_job *j = c->j;
    char *copy = c->scratch + (size_t)thread * j->copy_bytes;
    for (size_t b = 0; begin < end; b++) {
        size_t first = linear_begin(&j->blocks, b), groups = linear_begin(&j->blocks, b + 1) - first;
        size_t before = first * j->strips.groups, after = before + groups * j->strips.groups;
        if (begin >= after) continue;
        next_weights weights = end > after ? take_weights(c, b, after - begin) : (next_weights){ c->w, 0 };
        while (begin < end && begin < after) {
            size_t s = (begin - before) / groups, g = first + (begin - before) % groups;
            strip x = take_strip(c, s, copy);
            next_strip next = take_next(c, s, groups);
            for (; g < first + groups && begin < end; g++, begin++) {
                soon ahead;
                ahead.n = 0, ahead.room = j->words < SOON_MOST ? j->words : SOON_MOST;
                fetch_strip(&ahead, j, &next, g, g - first);
                soon_add(&ahead, weights.from, weights.part);
                weights.from += weights.part;
                compute(c, &x, g, &ahead);
            }
        }
    }
}

static int linear_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const linear_job *j = s->state;
    call c = { j, s->kernel->variant, in[0], s->packed[0], s->match.n_in > 1 ? in[1] : NULL, s->packed[1], out[0], scratch };
    parallel_for(s->threads, j->strips.groups * j->groups.groups, part, &c);
    return 0;
}

/* ---- the table --------------------------------------------------------------------------------------------------------- */

#define FORMS(F) \
    F("linear", linear, linear, false, PLAIN) F("linear+add", add, linear, true, PLAIN) F("linear+silu", silu, linear, false, SILU) \
    F("linear+gelu", gelu, linear, false, GELU) F("linear+quick_gelu", quick_gelu, linear, false, QUICK_GELU) \
    F("linear+geglu", geglu, linear, false, GEGLU) F("conv2d", conv2d, conv2d, false, PLAIN) F("conv2d+add", add, conv2d, true, PLAIN)

#define ROW(name, root, core, residual, end) \
    { name "/avx512bf16", &op_##root, linear_match, linear_prepare, linear_run, linear_release, \
      &(const linear_form){ &op_##core, residual, LINEAR_##end } },
static const kernel rows[] = { FORMS(ROW) };

const kernel *linear_kernels(cpu_level level, size_t *n) {
    *n = level >= CPU_AVX512_BF16 ? sizeof rows / sizeof *rows : 0;
    return rows;
}
