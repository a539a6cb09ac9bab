/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/pointwise.h"

#include "base/parallel.h"
#include "nn/cpu/operand.h"
#include "nn/ops.h"

/* Work is dealt out in blocks of this many elements. */
enum { BLOCK = 4096 };

/* ---- one input --------------------------------------------------------------------------------------------------------- */

typedef struct { unary_loop *loop; const void *x; void *y; nn_type from, to; size_t n; } unary;

static void unary_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const unary *u = context;
    size_t first = begin * BLOCK, last = end * BLOCK < u->n ? end * BLOCK : u->n;
    u->loop(element_at(u->x, u->from, first), element_at(u->y, u->to, first), last - first);
}

static bool cast_match(const kernel *k, const node *root, kernel_match *m) {
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    return operand_take_value(m, k->variant, root->in[0]) && operand_number(k->variant, root->out[0]);
}

static bool activation_match(const kernel *k, const node *root, kernel_match *m) { return !root->ordered && cast_match(k, root, m); }

static int activation_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const loops *l = s->kernel->variant;
    const node *n = s->match.nodes[0];
    nn_type type = n->in[0]->type;
    size_t count = shape_elements(n->in[0]->shape);
    unary_loop *loop = n->op == &op_silu ? l->silu[type] : n->op == &op_gelu ? l->gelu[type] : n->op == &op_quick_gelu ? l->quick_gelu[type] : l->cast[type];
    unary u = { loop, in[0], out[0], type, n->out[0]->type, count };
    parallel_for(threads_for(s, count), (count + BLOCK - 1) / BLOCK, unary_part, &u);
    return 0;
}

/* ---- geglu ------------------------------------------------------------------------------------------------------------- */

typedef struct { binary_loop *loop; const void *x; void *y; nn_type type; size_t width; } halves;

static void geglu_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const halves *h = context;
    for (size_t r = begin; r < end; r++) {
        const char *x = element_at(h->x, h->type, 2 * r * h->width);
        h->loop(x, element_at(x, h->type, h->width), element_at(h->y, h->type, r * h->width), h->width);
    }
}

static int geglu_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    const nn_shape shape = n->out[0]->shape;
    nn_type type = n->in[0]->type;
    size_t width = shape.dim[shape.rank - 1], count = shape_elements(shape);
    halves h = { ((const loops *)s->kernel->variant)->geglu[type], in[0], out[0], type, width };
    parallel_for(threads_for(s, count), count / width, geglu_part, &h);
    return 0;
}

/* ---- add, mul ---------------------------------------------------------------------------------------------------------- */

/* The first may be an f32 parameter: the gradient 1 of a loss is one. */
static bool binary_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    return operand_number(l, root->out[0]) && (root->in[0]->kind != TENSOR_PARAM || root->in[0]->type == NN_F32) && operand_take(m, l, root->in[0]) &&
           operand_take(m, l, root->in[1]);
}

/* a as [rows][run], each run of it beside as many elements of b, or one. Where b's run begins follows from the row's place in
 * the outer dimensions. */
typedef struct {
    binary_loop *loop;
    void (*one)(const void *a, float b, void *y, size_t n);
    const void *a, *b;
    void *y;
    nn_type type, b_type;
    size_t rows, run;
    bool single;                 /* one element of b a run */
    int outer;
    size_t dim[NN_MAX_RANK], step[NN_MAX_RANK];   /* of the outer dimensions: extent, and elements of b from one to the next */
} broadcast;

static void broadcast_shapes(broadcast *w, nn_shape a, nn_shape b) {
    size_t extent[NN_MAX_RANK] = { 1, 1, 1, 1 }, other[NN_MAX_RANK] = { 1, 1, 1, 1 };   /* innermost first */
    for (int i = 0; i < a.rank; i++) {
        extent[i] = a.dim[a.rank - 1 - i];
        other[i] = i < b.rank ? b.dim[b.rank - 1 - i] : 1;
    }
    int i = 0;
    w->run = w->rows = 1;
    while (i < a.rank && extent[i] == 1) i++;
    w->single = i == a.rank || other[i] == 1;
    size_t step = 1;
    for (; i < a.rank && (extent[i] == 1 || (other[i] == 1) == w->single); i++) w->run *= extent[i], step *= other[i];
    for (w->outer = 0; i < a.rank; i++) {
        w->dim[w->outer] = extent[i];
        w->step[w->outer++] = other[i] == 1 ? 0 : step;
        step *= other[i];
        w->rows *= extent[i];
    }
}

static void run_rows(const broadcast *w, size_t row, size_t last, size_t first, size_t n) {
    for (; row < last; row++) {
        size_t rest = row, b = 0, place = row * w->run + first;
        for (int d = 0; d < w->outer; d++) b += rest % w->dim[d] * w->step[d], rest /= w->dim[d];
        if (w->single) w->one(element_at(w->a, w->type, place), number_at(w->b, w->b_type, b), element_at(w->y, w->type, place), n);
        else w->loop(element_at(w->a, w->type, place), element_at(w->b, w->b_type, b + first), element_at(w->y, w->type, place), n);
    }
}

static void rows_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const broadcast *w = context;
    run_rows(w, begin, end, 0, w->run);
}

/* Long runs: each in blocks. */
static void blocks_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const broadcast *w = context;
    size_t blocks = (w->run + BLOCK - 1) / BLOCK;
    for (size_t i = begin, n; i < end; i += n) {   /* the blocks of one row */
        size_t row = i / blocks, from = i % blocks;
        n = blocks - from < end - i ? blocks - from : end - i;
        size_t first = from * BLOCK, last = (from + n) * BLOCK;
        run_rows(w, row, row + 1, first, (last < w->run ? last : w->run) - first);
    }
}

static int binary_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const loops *l = s->kernel->variant;
    const node *n = s->match.nodes[0];
    bool product = n->op == &op_mul;
    nn_type type = n->in[0]->type, other = operand_type(n->in[1]);
    broadcast w = { .loop = product ? l->mul[type][other] : l->add[type][other], .one = product ? l->mul_one[type] : l->add_one[type],
                    .a = operand_at(s, in, n->in[0]), .b = operand_at(s, in, n->in[1]), .y = out[0], .type = type, .b_type = other };
    broadcast_shapes(&w, n->in[0]->shape, n->in[1]->shape);
    int threads = threads_for(s, w.rows * w.run);
    if (w.run > BLOCK) parallel_for(threads, w.rows * ((w.run + BLOCK - 1) / BLOCK), blocks_part, &w);
    else parallel_for(threads, w.rows, rows_part, &w);
    return 0;
}

/* ---- add_scaled -------------------------------------------------------------------------------------------------------- */

static bool add_scaled_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    return root->in[0]->type == root->in[1]->type && operand_take_value(m, l, root->in[0]) && operand_take_value(m, l, root->in[1]) && operand_take(m, l, root->in[2]);
}

typedef struct {
    void (*loop)(const void *a, const void *b, float s, void *y, size_t n);
    const void *a, *b;
    const float *s;
    void *y;
    nn_type type;
    size_t each, step;       /* elements a picture; 0 if one factor serves all */
    size_t b_each;           /* the same of b; 0 if one picture serves all */
} scaled;

static void scaled_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const scaled *w = context;
    size_t blocks = (w->each + BLOCK - 1) / BLOCK;
    for (size_t i = begin; i < end; i++) {
        size_t picture = i / blocks, first = i % blocks * BLOCK, n = w->each - first < BLOCK ? w->each - first : BLOCK;
        const char *b = element_at(w->b, w->type, picture * w->b_each + first);
        first += picture * w->each;
        w->loop(element_at(w->a, w->type, first), b, w->s[picture * w->step], element_at(w->y, w->type, first), n);
    }
}

static int add_scaled_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    size_t pictures = n->in[0]->shape.dim[0], count = shape_elements(n->in[0]->shape);
    scaled w = { ((const loops *)s->kernel->variant)->add_scaled[n->in[0]->type], operand_at(s, in, n->in[0]), operand_at(s, in, n->in[1]),
                 operand_at(s, in, n->in[2]), out[0], n->in[0]->type, count / pictures, n->in[2]->shape.dim[0] > 1, n->in[1]->shape.dim[0] > 1 ? count / pictures : 0 };
    parallel_for(threads_for(s, count), pictures * ((w.each + BLOCK - 1) / BLOCK), scaled_part, &w);
    return 0;
}

/* ---- the tables -------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "silu/" #level, &op_silu, activation_match, operands_prepare, activation_run, NULL, &loops_##level }, \
        { "gelu/" #level, &op_gelu, activation_match, operands_prepare, activation_run, NULL, &loops_##level }, \
        { "quick_gelu/" #level, &op_quick_gelu, activation_match, operands_prepare, activation_run, NULL, &loops_##level }, \
        { "cast/" #level, &op_cast, cast_match, operands_prepare, activation_run, NULL, &loops_##level }, \
        { "geglu/" #level, &op_geglu, activation_match, operands_prepare, geglu_run, NULL, &loops_##level }, \
        { "add/" #level, &op_add, binary_match, operands_prepare, binary_run, NULL, &loops_##level }, \
        { "mul/" #level, &op_mul, binary_match, operands_prepare, binary_run, NULL, &loops_##level }, \
        { "add_scaled/" #level, &op_add_scaled, add_scaled_match, operands_prepare, add_scaled_run, NULL, &loops_##level }, \
    };
TABLE(avx2)
TABLE(avx512)
TABLE(avx512bf16)

const kernel *pointwise_kernels(cpu_level level, size_t *n) {
    *n = sizeof table_avx2 / sizeof *table_avx2;
    return level >= CPU_AVX512_BF16 ? table_avx512bf16 : level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
