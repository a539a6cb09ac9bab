/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of our matrix products: what is matched, how the work is cut, and who computes what.
 *
 * Tiles are taken block of columns by block of columns, each of up to 336 KB packed (chosen for a second-level cache of 1 MB, which holds two and x); in it strip of rows by
 * strip of rows, so that a strip of x is read once a block and stays in the first cache for all its groups. Each thread takes an equal
 * part of that order. Every sum runs over all of K in one tile, so neither threads nor blocks change a bit of the result.
 *
 * Weights that change (states), or are packed the other way (turned.h), are packed in every run: by each thread the block that it comes to, in its second cache, and
 * meanwhile what the next block is made of is fetched. */
#include "nn/cpu/linear.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/linear_isa.h"
#include "nn/cpu/linear_pack.h"
#include "nn/cpu/turned.h"
#include "nn/gradient.h"

enum { CACHE = 336 << 10, LINE = 64, WORD = 4, SOON_MOST = 1024 };

/* A row of the table: what follows the product. */
typedef struct { const op *core; bool residual; linear_end end; } linear_form;

/* What prepare settles. */
typedef struct {
    size_t rows, inputs, outputs;    /* outputs: of y; of a gradient of x they are the weight's inputs */
    bool across;                     /* such a gradient */
    size_t words, panels, halves;    /* halves: 2 with geglu */
    linear_cut groups, blocks, strips;   /* panels in groups (of a half); groups in blocks; rows in strips */
    bool copy;                       /* rows of odd K are copied to whole words */
    size_t copy_bytes;
    bool late;                       /* a block's weights are packed when a thread comes to it, into block_bytes of its own */
    size_t block_bytes, bias_bytes;  /* bias_bytes: of a state */
    turning turn;                    /* packed != NULL: the weight is a parameter, packed the other way */
} linear_job;

static size_t over(size_t n, size_t by) { return (n + by - 1) / by; }
static size_t whole_lines(size_t bytes) { return over(bytes, LINE) * LINE; }

/* ---- matching ---------------------------------------------------------------------------------------------------------- */

static bool transposed(const op *core) { return core == &op_linear_dx || core == &op_conv2d_dx; }
static bool convolves(const op *core) { return core == &op_conv2d || core == &op_conv2d_dx; }

static bool is_weight(const tensor *w) { return (w->kind == TENSOR_PARAM || w->kind == TENSOR_STATE) && nn_type_is_float(w->type); }

static bool core_fits(const node *n, const op *core) {
    if (n->op != core || n->ordered || (convolves(core) && !linear_conv(n->attr, n->in[1]->shape))) return false;
    const tensor *x = n->in[0], *w = n->in[1], *bias = n->in[2];
    return x->kind != TENSOR_PARAM && x->type == NN_BF16 && is_weight(w) && (!bias || is_weight(bias));
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
    match_weight(m, n->in[1]);
    if (n->in[2]) match_weight(m, n->in[2]);
    return true;
}

/* ---- packing ----------------------------------------------------------------------------------------------------------- */

static size_t padded(const linear_job *j) { return j->panels * LINEAR_LANES; }

typedef struct { const linear_job *j; int threads; } packing;

static linear_packing packing_of(const linear_job *j) {
    return (linear_packing){ .outputs = j->outputs, .inputs = j->inputs, .groups = j->groups, .across = j->across, .row = j->outputs, .halves = j->halves };
}

static size_t panel_numbers(const linear_job *j) { return LINEAR_LANES * j->words * 2; }

/* The halves of geglu's weight take turns, group by group. */
static void pack(const linear_job *j, void *to, const void *from, nn_type type, int threads) {
    linear_packing p = packing_of(j);
    for (p.half = 0; p.half < j->halves; p.half++) linear_pack(&p, to, panel_numbers(j), from, type, threads);
}

static int pack_weights(void *to, const tensor *w, const void *context) {
    const packing *p = context;
    pack(p->j, to, w->data, w->type, p->threads);
    return 0;
}

static void widen_bias(const linear_job *j, float *to, const void *from, nn_type type) {
    for (size_t half = 0; half < j->halves; half++)
        nn_widen(to + half * padded(j), (const char *)from + half * j->outputs * nn_type_bytes(type), type, j->outputs);
}

static int pack_bias(void *to, const tensor *b, const void *context) {
    widen_bias(context, to, b->data, b->type);
    return 0;
}

/* ---- preparing --------------------------------------------------------------------------------------------------------- */

static size_t widest(const linear_cut *c) { return c->size + (c->larger > 0); }

static const node *core_of(const kernel_step *s) { return s->match.nodes[s->match.n_nodes - 1]; }

static int plan_job(linear_job *j, const kernel_step *s, const linear_form *f) {
    const node *n = core_of(s);
    const nn_shape w = n->in[1]->shape;
    size_t bytes;
    j->halves = f->end == LINEAR_GEGLU ? 2 : 1;
    j->across = transposed(f->core);
    j->outputs = w.dim[0] / j->halves;
    j->inputs = shape_elements(w) / w.dim[0];
    if (j->across) {
        size_t swap = j->outputs;
        j->outputs = j->inputs;
        j->inputs = swap;
    }
    j->rows = shape_elements(n->in[0]->shape) / j->inputs;
    j->words = over(j->inputs, 2);
    j->panels = over(j->outputs, LINEAR_LANES);
    j->groups = linear_cut_panels(j->panels);
    j->strips = linear_cut_into(j->rows, over(j->rows, widest(&j->groups) == 5 ? 5 : 6));
    j->copy = j->inputs % 2;
    j->copy_bytes = j->copy ? whole_lines(LINEAR_ROWS * j->words * WORD) : 0;
    if (__builtin_mul_overflow(padded(j) * j->halves, j->words * WORD, &bytes)) return error_set(ERR_LIMIT, "%s: the weight is too large", n->out[0]->name);
    size_t blocks = over(bytes, CACHE);
    j->blocks = linear_cut_into(j->groups.groups, blocks < j->groups.groups ? blocks : j->groups.groups);
    return 0;
}

/* Where they lie: as linear_pack puts them. */
static panels panels_here(const linear_job *j) {
    const linear_cut *c = &j->groups;
    size_t panel = LINEAR_LANES * j->words * WORD, larger = c->larger * (c->size + 1);
    panels p = { .outputs = j->across ? j->inputs : j->outputs * j->halves, .inputs = j->across ? j->outputs : j->inputs, .taps = 1, .type = NN_BF16, .across = j->across };
    for (size_t half = 0; half < j->halves; half++) {
        if (larger) p.run[p.n++] = (panel_run){ larger, c->size + 1, half * (c->size + 1) * panel, j->halves * (c->size + 1) * panel };
        if (c->larger < c->groups) p.run[p.n++] = (panel_run){ c->things - larger, c->size, (j->halves * larger + half * c->size) * panel, j->halves * c->size * panel };
    }
    return p;
}

static int take_weight(kernel_step *s, linear_job *j, params *store, const tensor *w) {
    char tag[96];
    size_t bytes = padded(j) * j->halves * j->words * WORD;
    panels here = panels_here(j);
    if (w->kind == TENSOR_STATE || turning_find(&j->turn, s, store, w, &here)) {
        size_t group = widest(&j->groups) * j->halves * panel_numbers(j) * 2, fit = group < CACHE ? CACHE / group : 1;
        j->late = true;
        j->blocks = linear_cut_into(j->groups.groups, over(j->groups.groups, fit));
        j->block_bytes = whole_lines(widest(&j->blocks) * group);
        return 0;
    }
    snprintf(tag, sizeof tag, "linear/bf16 pairs %zu/%zu%s%s", j->groups.things, j->groups.groups, j->halves == 2 ? " halves" : "", j->across ? " across" : "");
    if (!(s->packed[0] = params_pack(store, w, tag, bytes, pack_weights, &(packing){ j, s->threads }))) return error_code();
    return j->across ? 0 : params_describe(store, w, s->packed[0], &here, sizeof here);
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
    size_t bias = padded(j) * j->halves * sizeof(float);
    const tensor *b = n->in[2];
    if ((rc = take_weight(s, j, store, n->in[1])) < 0) return rc;
    snprintf(tag, sizeof tag, "f32 padded %zu x %zu", j->halves, padded(j));
    if (b && b->kind == TENSOR_STATE) j->bias_bytes = whole_lines(bias);
    else if (b && !(s->packed[1] = params_pack(store, b, tag, bias, pack_bias, j))) return error_code();
    s->scratch_bytes = j->bias_bytes + (size_t)s->threads * (j->copy_bytes + j->block_bytes);
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
    const char *stored;       /* a state's weights */
    nn_type type;
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

/* Rows of `bytes`, `step` bytes apart; `per_half` of them, and those of the other half half_step behind. Lines: with each tile. */
typedef struct { const char *from; size_t bytes, step, per_half, half_step, rows, lines, row, at; } next_weights;

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
    size_t panels = linear_begin(&j->groups, linear_begin(&j->blocks, b + 2)) - first, size = nn_type_bytes(c->type), columns = panels * LINEAR_LANES;
    if (panels * panel > CACHE || j->turn.packed) return (next_weights){ 0 };
    next_weights n = { .from = c->w + first * panel, .bytes = panels * panel, .rows = 1, .per_half = 1 };
    first *= LINEAR_LANES;
    if (columns > j->outputs - first) columns = j->outputs - first;
    if (j->late && j->across) n = (next_weights){ .from = c->stored + first * size, .bytes = columns * size, .step = j->outputs * size, .per_half = j->inputs, .rows = j->inputs };
    else if (j->late)
        n = (next_weights){ .from = c->stored + first * j->inputs * size, .bytes = columns * j->inputs * size, .per_half = 1, .half_step = j->outputs * j->inputs * size, .rows = j->halves };
    n.lines = over(over(n.bytes, LINE) * n.rows, tiles);
    return n;
}

static void fetch_weights(soon *s, next_weights *n) {
    for (size_t i = 0; i < n->lines && n->row < n->rows; i++) {
        if (s->n < s->room) s->line[s->n++] = n->from + n->row / n->per_half * n->half_step + n->row % n->per_half * n->step + n->at;
        if ((n->at += LINE) >= n->bytes) n->at = 0, n->row++;
    }
}

/* The weights of a block: those of column `first` on lie at w. */
typedef struct { const char *w; size_t first; } block_weights;

static block_weights pack_block(const call *c, size_t b, char *to) {
    const linear_job *j = c->j;
    size_t first = linear_begin(&j->blocks, b), groups = linear_begin(&j->blocks, b + 1) - first;
    linear_packing p = packing_of(j);
    if (!j->late) return (block_weights){ c->w, 0 };
    if (j->turn.packed) turning_make_groups(&j->turn, first, groups, to);
    else
        for (; p.half < j->halves; p.half++) linear_pack_groups(&p, to, panel_numbers(j), c->stored, c->type, first, groups);
    return (block_weights){ to, linear_begin(&j->groups, first) * LINEAR_LANES };
}

static void compute(const call *c, const strip *s, const block_weights *w, size_t g, const soon *ahead) {
    const linear_job *j = c->j;
    size_t begin = linear_begin(&j->groups, g), panels = width_of(&j->groups, g), column = begin * LINEAR_LANES;
    size_t outputs = j->outputs - column < panels * LINEAR_LANES ? j->outputs - column : panels * LINEAR_LANES;
    size_t group_bytes = panels * LINEAR_LANES * j->words * WORD, at = (s->first * j->outputs + column) * 2;
    linear_tile t = { .x = s->x, .x_row = s->x_row, .w = w->w + j->halves * (column - w->first) * j->words * WORD, .words = j->words,
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
    char *copy = c->scratch + (size_t)thread * (j->copy_bytes + j->block_bytes);
    for (size_t b = 0; begin < end; b++) {
        size_t first = linear_begin(&j->blocks, b), groups = linear_begin(&j->blocks, b + 1) - first;
        size_t before = first * j->strips.groups, after = before + groups * j->strips.groups;
        if (begin >= after) continue;
        next_weights weights = end > after ? take_weights(c, b, after - begin) : (next_weights){ 0 };
        block_weights here = pack_block(c, b, copy + j->copy_bytes);
        while (begin < end && begin < after) {
            size_t s = (begin - before) / groups, g = first + (begin - before) % groups;
            strip x = take_strip(c, s, copy);
            next_strip next = take_next(c, s, groups);
            for (; g < first + groups && begin < end; g++, begin++) {
                soon ahead;
                ahead.n = 0, ahead.room = j->words < SOON_MOST ? j->words : SOON_MOST;
                fetch_strip(&ahead, j, &next, g, g - first);
                fetch_weights(&ahead, &weights);
                compute(c, &x, &here, g, &ahead);
            }
        }
    }
}

/* States as they are now: behind the activations in `in`. */
static void take_states(call *c, const kernel_step *s, const void *const states[]) {
    const linear_job *j = c->j;
    const node *n = core_of(s);
    c->type = n->in[1]->type;
    if (j->late && !j->turn.packed) c->stored = *states++;
    if (j->bias_bytes) {
        memset(c->scratch, 0, j->bias_bytes);
        widen_bias(j, (float *)(void *)c->scratch, *states, n->in[2]->type);
        c->bias = (const float *)(const void *)c->scratch;
        c->scratch += j->bias_bytes;
    }
}

static int linear_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const linear_job *j = s->state;
    const linear_form *f = s->kernel->variant;
    call c = { j, f, in[0], s->packed[0], f->residual ? in[1] : NULL, s->packed[1], out[0], scratch, NULL, NN_BF16 };
    take_states(&c, s, in + 1 + f->residual);
    parallel_for(s->threads, j->strips.groups * j->groups.groups, part, &c);
    return 0;
}

/* ---- the table --------------------------------------------------------------------------------------------------------- */

#define FORMS(F) \
    F("linear", linear, linear, false, PLAIN) F("linear+add", add, linear, true, PLAIN) F("linear+silu", silu, linear, false, SILU) \
    F("linear+gelu", gelu, linear, false, GELU) F("linear+quick_gelu", quick_gelu, linear, false, QUICK_GELU) \
    F("linear+geglu", geglu, linear, false, GEGLU) F("conv2d", conv2d, conv2d, false, PLAIN) F("conv2d+add", add, conv2d, true, PLAIN) \
    F("linear_dx", linear_dx, linear_dx, false, PLAIN) F("linear_dx+add", add, linear_dx, true, PLAIN) \
    F("conv2d_dx", conv2d_dx, conv2d_dx, false, PLAIN) F("conv2d_dx+add", add, conv2d_dx, true, PLAIN)

#define ROW(name, root, core, residual, end) \
    { name "/avx512bf16", &op_##root, linear_match, linear_prepare, linear_run, linear_release, \
      &(const linear_form){ &op_##core, residual, LINEAR_##end } },
static const kernel rows[] = { FORMS(ROW) };

const kernel *linear_kernels(cpu_level level, size_t *n) {
    *n = level >= CPU_AVX512_BF16 ? sizeof rows / sizeof *rows : 0;
    return rows;
}
