/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/update.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "nn/adamw8.h"
#include "nn/cpu/operand.h"
#include "nn/update.h"

/* Work is dealt out in blocks of this many elements, which keeps each thread's beginning on a line of the cache. */
enum { BLOCK = 4096 };

static size_t blocks_of(size_t n) { return (n + BLOCK - 1) / BLOCK; }

/* Inputs are read where they lie, but for `skip`. */
static bool take_inputs(const node *n, int skip, const loops *l, kernel_match *m) {
    for (int i = 0; i < n->n_in; i++) {
        tensor *t = n->in[i];
        if (!t || i == skip) continue;
        if (t->kind == TENSOR_PARAM || (nn_type_is_float(t->type) && !operand_number(l, t)) || m->n_in == KERNEL_MAX_IN) return false;
        match_in(m, t, (layout_need){ 0 });
    }
    return true;
}

bool adamw_take(const node *adamw, const loops *l, kernel_match *m) { return take_inputs(adamw, ADAMW_IN_DW, l, m); }

/* All inputs are read, and none but those that may be written is made. */
static bool update_match(const kernel *k, const node *root, kernel_match *m) {
    match_node(m, root);
    for (int i = 0; i < root->n_out; i++) match_out(m, root->out[i], (layout_need){ 0 });
    return take_inputs(root, -1, k->variant, m);
}

/* Of input i as it lies there; NULL if it was not given. */
static void *at(const kernel_step *s, const void *const in[], int i) {
    const tensor *t = s->match.nodes[0]->in[i];
    return t ? (void *)operand_at(s, in, t) : NULL;
}

/* ---- AdamW --------------------------------------------------------------------------------------------------------------- */

/* False where the gate is closed. */
static bool numbers_of(const kernel_step *s, const void *const in[], const adamw_attr *a, adamw_numbers *out) {
    const float *now = at(s, in, ADAMW_IN_NOW), *factor = at(s, in, ADAMW_IN_FACTOR), *gate = at(s, in, ADAMW_IN_GATE);
    *out = (adamw_numbers){ .keep = 1 - now[ADAMW_RATE] * a->decay, .step = now[ADAMW_RATE] / now[ADAMW_FIRST], .second = now[ADAMW_SECOND], .new_m = 1 - a->beta1,
                            .beta2 = a->beta2, .new_v = 1 - a->beta2, .epsilon = a->epsilon, .factor = factor ? *factor : 1 };
    return !gate || isfinite(*gate);
}

bool adamw_find(const kernel_step *s, const void *const in[], const loops *l, adamw_place *out) {
    const node *n = s->match.nodes[0];
    *out = (adamw_place){ .l = l, .weight = at(s, in, ADAMW_IN_WEIGHT), .type = n->in[ADAMW_IN_WEIGHT]->type, .low = at(s, in, ADAMW_IN_LOW), .m = at(s, in, ADAMW_IN_M),
                          .v = at(s, in, ADAMW_IN_V) };
    return numbers_of(s, in, n->attr, &out->a);
}

void adamw_apply(const adamw_place *p, size_t i, const float *dw, size_t n) {
    p->l->adamw(&p->a, element_at(p->weight, p->type, i), p->low ? p->low + i : NULL, p->m + i, p->v + i, dw, n);
}

typedef struct { adamw_place at; const float *dw; size_t n; } adamw_job;

static void adamw_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const adamw_job *j = context;
    size_t i = begin * BLOCK;
    adamw_apply(&j->at, i, j->dw + i, (end * BLOCK < j->n ? end * BLOCK : j->n) - i);
}

static int adamw_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)out, (void)scratch;
    adamw_job j = { .dw = at(s, in, ADAMW_IN_DW), .n = shape_elements(s->match.nodes[0]->in[ADAMW_IN_WEIGHT]->shape) };
    if (adamw_find(s, in, s->kernel->variant, &j.at)) parallel_for(threads_for(s, j.n), blocks_of(j.n), adamw_part, &j);
    return 0;
}

/* ---- adamw8 -------------------------------------------------------------------------------------------------------------- */

typedef struct { const loops *l; adamw_numbers a; char *weight; nn_type type; uint16_t *low; uint8_t *moments; float *scales; const float *dw; size_t n; uint32_t random; } adamw8_job;

/* What is left of a block, in a whole one that zeros fill up. */
static void last_block(const adamw8_job *j, adamw8_block b, size_t n) {
    _Alignas(64) float weight[ADAMW8_BLOCK] = { 0 }, dw[ADAMW8_BLOCK] = { 0 };
    uint16_t low[ADAMW8_BLOCK] = { 0 };
    uint8_t m[ADAMW8_BLOCK] = { 0 }, root[ADAMW8_BLOCK] = { 0 };
    adamw8_block whole = { weight, b.low ? low : NULL, m, root, b.m_scale, b.root_scale, dw, b.random };
    memcpy(weight, b.weight, n * nn_type_bytes(j->type));
    if (b.low) memcpy(low, b.low, n * sizeof *low);
    memcpy(m, b.m, n);
    memcpy(root, b.root, n);
    memcpy(dw, b.dw, n * sizeof *dw);
    j->l->adamw8(&j->a, &whole);
    memcpy(b.weight, weight, n * nn_type_bytes(j->type));
    if (b.low) memcpy(b.low, low, n * sizeof *low);
    memcpy(b.m, m, n);
    memcpy(b.root, root, n);
}

static void adamw8_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const adamw8_job *j = context;
    size_t blocks = adamw8_scales(j->n), last = end * BLOCK < j->n ? end * BLOCK : j->n;
    for (size_t i = begin * BLOCK; i < last; i += ADAMW8_BLOCK) {
        float *scale = j->scales + i / ADAMW8_BLOCK;
        adamw8_block b = { element_at(j->weight, j->type, i), j->low ? j->low + i : NULL, j->moments + i, j->moments + j->n + i, scale, scale + blocks, j->dw + i,
                           j->random + (uint32_t)i };
        if (last - i >= ADAMW8_BLOCK) j->l->adamw8(&j->a, &b);
        else last_block(j, b, last - i);
    }
}

static int adamw8_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)out, (void)scratch;
    const node *n = s->match.nodes[0];
    const adamw8_attr *a = n->attr;
    const tensor *weight = n->in[ADAMW_IN_WEIGHT];
    adamw8_job j = { .l = s->kernel->variant, .weight = at(s, in, ADAMW_IN_WEIGHT), .type = weight->type, .low = at(s, in, ADAMW_IN_LOW),
                     .moments = at(s, in, ADAMW8_IN_MOMENTS), .scales = at(s, in, ADAMW8_IN_SCALES), .dw = at(s, in, ADAMW_IN_DW), .n = shape_elements(weight->shape) };
    j.random = adamw8_seed(a->key, (uint32_t)((const float *)at(s, in, ADAMW_IN_NOW))[ADAMW_STEP]);
    if (numbers_of(s, in, &a->adamw, &j.a)) parallel_for(threads_for(s, j.n), blocks_of(j.n), adamw8_part, &j);
    return 0;
}

/* ---- sums and averages --------------------------------------------------------------------------------------------------- */

typedef struct { const loops *l; float *into; const void *x; nn_type type; const uint16_t *low; float number; bool average; size_t n; } into_job;

static void into_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const into_job *j = context;
    size_t i = begin * BLOCK, n = (end * BLOCK < j->n ? end * BLOCK : j->n) - i;
    const void *x = element_at(j->x, j->type, i);
    if (j->average) j->l->average(j->into + i, x, j->low ? j->low + i : NULL, 1 - j->number, n);
    else if (j->number != 0) memcpy(j->into + i, x, n * sizeof *j->into);
    else j->l->accumulate(j->into + i, x, n);
}

static int into_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)out, (void)scratch;
    const node *n = s->match.nodes[0];
    bool mean = n->op == &op_average;
    const float *gate = mean ? at(s, in, AVERAGE_IN_GATE) : NULL;
    if (gate && !isfinite(*gate)) return 0;
    into_job j = { s->kernel->variant, at(s, in, 0), at(s, in, 1), n->in[1]->type, mean ? at(s, in, AVERAGE_IN_LOW) : NULL, *(const float *)at(s, in, 2), mean,
                   shape_elements(n->in[0]->shape) };
    parallel_for(threads_for(s, j.n), blocks_of(j.n), into_part, &j);
    return 0;
}

static int clip_factor_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    n->op->reference(n, in, out);
    return 0;
}

/* ---- the tables ---------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "adamw/" #level, &op_adamw, update_match, operands_prepare, adamw_run, NULL, &loops_##level }, \
        { "adamw8/" #level, &op_adamw8, update_match, operands_prepare, adamw8_run, NULL, &loops_##level }, \
        { "accumulate/" #level, &op_accumulate, update_match, operands_prepare, into_run, NULL, &loops_##level }, \
        { "average/" #level, &op_average, update_match, operands_prepare, into_run, NULL, &loops_##level }, \
        { "clip_factor/plain", &op_clip_factor, update_match, operands_prepare, clip_factor_run, NULL, &loops_##level }, \
    };
TABLE(avx2)
TABLE(avx512)
TABLE(avx512bf16)

const kernel *update_kernels(cpu_level level, size_t *n) {
    *n = sizeof table_avx2 / sizeof *table_avx2;
    return level >= CPU_AVX512_BF16 ? table_avx512bf16 : level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
