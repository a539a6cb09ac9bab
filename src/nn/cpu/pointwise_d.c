/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/pointwise_d.h"

#include "base/parallel.h"
#include "nn/cpu/operand.h"
#include "nn/gradient.h"

enum { BLOCK = 4096 };   /* elements dealt out at a time */

/* x and dy of one type. */
static bool slope_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    return !root->ordered && operand_take_value(m, l, root->in[0]) && operand_take_value(m, l, root->in[1]);
}

typedef struct { binary_loop *loop; const void *x, *dy; void *dx; nn_type type; size_t n; } slope;

static void slope_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const slope *j = context;
    size_t i = begin * BLOCK, last = end * BLOCK < j->n ? end * BLOCK : j->n;
    j->loop(element_at(j->x, j->type, i), element_at(j->dy, j->type, i), element_at(j->dx, j->type, i), last - i);
}

static int slope_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const loops *l = s->kernel->variant;
    const node *n = s->match.nodes[0];
    nn_type type = n->in[0]->type;
    size_t count = shape_elements(n->in[0]->shape);
    binary_loop *loop = n->op == &op_silu_dx ? l->silu_dx[type] : n->op == &op_gelu_dx ? l->gelu_dx[type] : l->quick_gelu_dx[type];
    slope j = { loop, operand_at(s, in, n->in[0]), operand_at(s, in, n->in[1]), out[0], type, count };
    parallel_for(threads_for(s, count), (count + BLOCK - 1) / BLOCK, slope_part, &j);
    return 0;
}

typedef struct { const loops *l; const void *x, *dy; void *dx; nn_type type; size_t width; } halves;

static void geglu_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const halves *j = context;
    for (size_t r = begin; r < end; r++) {
        size_t w = j->width;
        const char *x = element_at(j->x, j->type, 2 * r * w), *dy = element_at(j->dy, j->type, r * w);
        char *dx = element_at(j->dx, j->type, 2 * r * w);
        j->l->geglu_dx[j->type](x, element_at(x, j->type, w), dy, dx, element_at(dx, j->type, w), w);
    }
}

static int geglu_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    const nn_shape y = n->in[1]->shape;
    size_t width = y.dim[y.rank - 1], count = shape_elements(y);
    halves j = { s->kernel->variant, operand_at(s, in, n->in[0]), operand_at(s, in, n->in[1]), out[0], n->in[0]->type, width };
    parallel_for(threads_for(s, count), count / width, geglu_part, &j);
    return 0;
}

/* ---- mse_dx, mae_dx ------------------------------------------------------------------------------------------------------------ */

enum { X, TARGET, WEIGHT, DY };

static bool loss_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    return operand_take_value(m, l, root->in[X]) && operand_take(m, l, root->in[TARGET]) && (!root->in[WEIGHT] || operand_take(m, l, root->in[WEIGHT])) &&
           operand_take(m, l, root->in[DY]);
}

typedef struct {
    void (*loop)(const void *x, const float *target, float scale, float weight, void *dx, size_t n);
    const void *x;
    const float *target, *weight;
    void *dx;
    float scale;
    nn_type type;
    size_t each, blocks;
} distances;

static void loss_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const distances *j = context;
    for (size_t i = begin; i < end; i++) {
        size_t picture = i / j->blocks, first = i % j->blocks * BLOCK, n = j->each - first < BLOCK ? j->each - first : BLOCK, at = picture * j->each + first;
        j->loop(element_at(j->x, j->type, at), j->target + at, j->scale, j->weight ? j->weight[picture] : 1, element_at(j->dx, j->type, at), n);
    }
}

static int loss_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    size_t count = shape_elements(n->in[X]->shape), pictures = n->in[X]->shape.dim[0], each = count / pictures;
    const loops *l = s->kernel->variant;
    nn_type type = n->in[X]->type;
    bool squares = n->op == &op_mse_dx;
    float dy = *(const float *)operand_at(s, in, n->in[DY]);
    distances j = { squares ? l->distance_dx[type] : l->absolute_dx[type], operand_at(s, in, n->in[X]), operand_at(s, in, n->in[TARGET]), n->in[WEIGHT] ? operand_at(s, in, n->in[WEIGHT]) : NULL, out[0],
                    (squares ? 2 * dy : dy) / (float)count, type, each, (each + BLOCK - 1) / BLOCK };
    parallel_for(threads_for(s, count), pictures * j.blocks, loss_part, &j);
    return 0;
}

/* ---- the tables -------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "silu_dx/" #level, &op_silu_dx, slope_match, operands_prepare, slope_run, NULL, &loops_##level }, \
        { "gelu_dx/" #level, &op_gelu_dx, slope_match, operands_prepare, slope_run, NULL, &loops_##level }, \
        { "quick_gelu_dx/" #level, &op_quick_gelu_dx, slope_match, operands_prepare, slope_run, NULL, &loops_##level }, \
        { "geglu_dx/" #level, &op_geglu_dx, slope_match, operands_prepare, geglu_run, NULL, &loops_##level }, \
        { "mse_dx/" #level, &op_mse_dx, loss_match, operands_prepare, loss_run, NULL, &loops_##level }, \
        { "mae_dx/" #level, &op_mae_dx, loss_match, operands_prepare, loss_run, NULL, &loops_##level }, \
    };
TABLE(avx2)
TABLE(avx512)
TABLE(avx512bf16)

const kernel *pointwise_d_kernels(cpu_level level, size_t *n) {
    *n = sizeof table_avx2 / sizeof *table_avx2;
    return level >= CPU_AVX512_BF16 ? table_avx512bf16 : level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
