/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of attention's kernels: cuts the work into groups, blocks and tasks by shape alone, so that neither the number of
 * threads nor who takes which task changes a bit of the result. */
#include "nn/cpu/attention.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/attention_isa.h"
#include "nn/ops.h"

/* Packed heads of a picture that stay in the second cache: then a token's heads, which share lines, are read and written together. */
enum { CACHE = 512 << 10 };

static size_t over(size_t n, size_t by) { return (n + by - 1) / by; }
static size_t lines(size_t bytes) { return over(bytes, 64) * 64; }

static bool attention_match(const kernel *k, const node *root, kernel_match *m) {
    const attention_isa *isa = k->variant;
    const tensor *log_sum = root->out[1];
    if (root->ordered || (isa->pair == 2 && root->in[0]->type != NN_BF16)) return false;
    for (int i = 0; i < 3; i++)
        if (root->in[i]->kind == TENSOR_PARAM) return false;
    match_node(m, root);
    for (int i = 0; i < 3; i++) match_in(m, root->in[i], (layout_need){ .strided = true });
    match_out(m, root->out[0], (layout_need){ 0 });
    if (log_sum->uses || log_sum->output) match_out(m, root->out[1], (layout_need){ 0 });
    return true;
}

/* Panels in groups: as many as registers hold where that comes out even, else the usual number. */
static attention_cut cut_panels(const attention_isa *isa, size_t n) {
    size_t panels = over(n, isa->lanes), by = panels <= isa->widest || panels % isa->widest == 0 ? isa->widest : isa->wide;
    return (attention_cut){ panels, over(panels, by) };
}

static void cut_work(attention_job *a, const attention_isa *isa) {
    a->scale = (float)(M_LOG2E / sqrt((double)a->d));
    a->words = over(a->d, isa->pair);
    a->keys = cut_panels(isa, a->S);
    a->columns = cut_panels(isa, a->d);
    a->key_words = a->keys.panels * isa->lanes / isa->pair;
    a->blocks = (attention_cut){ a->keys.groups, over(a->keys.panels * isa->lanes * 4, isa->block_bytes) };
    if (a->blocks.groups > a->keys.groups) a->blocks.groups = a->keys.groups;
    for (size_t b = 0; b < a->blocks.groups; b++) {
        size_t keys = (attention_begin(a->keys, attention_begin(a->blocks, b + 1)) - attention_begin(a->keys, attention_begin(a->blocks, b))) * isa->lanes;
        if (keys > a->block_keys) a->block_keys = keys;
    }
    a->rows = (attention_cut){ a->T, over(a->T, a->S <= 128 ? isa->rows_few : isa->rows_many) };
    a->block_rows = over(a->T, a->rows.groups);
    a->copy_q = a->d % isa->pair || (isa->pair == 1 && a->type != NN_F32);
}

/* As many heads for each thread, or so many that the last ones do not matter. */
static attention_order order_of(const attention_job *a, size_t threads) {
    size_t heads = a->n * a->heads;
    if (a->head_bytes * a->heads <= CACHE) return ATTENTION_BY_TOKENS;
    return heads % threads == 0 || heads >= 8 * threads ? ATTENTION_BY_HEADS : ATTENTION_BY_BLOCKS;
}

/* Packed heads first, then the scratch of each thread: scores [rows][block_keys] f32, sums [rows][columns] f32, copied queries
 * [rows][words], and of each row maxima, sum and factor. Rows of scores are a line longer than a power of two, which would crowd a few
 * sets of the first cache. */
int attention_plan(attention_job *a, const attention_isa *isa, int n_threads, size_t *scratch_bytes) {
    size_t lanes = isa->lanes, threads = n_threads > 1 ? (size_t)n_threads : 1, all;
    cut_work(a, isa);
    a->s_row = a->block_keys + 16;
    a->o_row = a->columns.panels * lanes;
    a->k_bytes = a->keys.panels * lanes * a->words * 4;
    a->head_bytes = lines(a->k_bytes + a->key_words * a->o_row * 4);
    a->thread_bytes = lines(a->block_rows * (a->s_row + a->o_row + a->words) * 4) + 4 * lines((a->block_rows + lanes) * 4);
    a->order = order_of(a, threads);
    if (__builtin_mul_overflow(a->head_bytes, a->order == ATTENTION_BY_HEADS ? threads : a->n * a->heads, &a->packed_bytes) ||
        __builtin_mul_overflow(a->thread_bytes, threads, &all) || __builtin_add_overflow(all, a->packed_bytes, &all))
        return error_set(ERR_LIMIT, "attention over %zu keys needs too much memory", a->S);
    *scratch_bytes = all;
    return 0;
}

static int attention_prepare(kernel_step *s, params *p) {
    (void)p;
    const attention_isa *isa = s->kernel->variant;
    const node *root = s->match.nodes[0];
    const attention_attr *attr = root->attr;
    nn_shape q = root->in[0]->shape;
    attention_job *a = calloc(1, sizeof *a);
    if (!a) return error_memory(sizeof *a);
    *a = (attention_job){ .type = root->in[0]->type, .n = q.dim[0], .heads = (size_t)attr->heads, .T = q.dim[1], .S = root->in[1]->shape.dim[1],
                          .d = q.dim[2] / (size_t)attr->heads, .causal = attr->causal, .y_row = q.dim[2], .y_picture = q.dim[1] * q.dim[2] };
    a->q_picture = s->in_layout[0].stride[0], a->q_row = s->in_layout[0].stride[1];
    a->k_picture = s->in_layout[1].stride[0], a->k_row = s->in_layout[1].stride[1];
    a->v_picture = s->in_layout[2].stride[0], a->v_row = s->in_layout[2].stride[1];
    s->state = a;
    int rc = attention_plan(a, isa, s->threads, &s->scratch_bytes);
    if (rc < 0) free(a), s->state = NULL;
    return rc;
}

static void attention_release(kernel_step *s) { free(s->state); }

typedef struct { const attention_isa *isa; const attention_job *a; char *packed, *scratch; } call;

static void pack_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const call *c = context;
    const attention_job *a = c->a;
    for (size_t i = begin; i < end; i++) {   /* all heads of some tokens, then of the next */
        size_t group = i / a->heads, picture = group / a->keys.groups, head = i % a->heads;
        c->isa->pack(a, picture, head, group % a->keys.groups, c->packed + (picture * a->heads + head) * a->head_bytes);
    }
}

static void attend_part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    const attention_job *a = c->a;
    for (size_t i = begin; i < end; i++) {
        size_t picture, head, block;
        attention_task(a, i, &picture, &head, &block);
        c->isa->attend(a, i, c->packed + (picture * a->heads + head) * a->head_bytes, c->scratch + (size_t)thread * a->thread_bytes);
    }
}

static void head_part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    const attention_job *a = c->a;
    char *packed = c->packed + (size_t)thread * a->head_bytes, *scratch = c->scratch + (size_t)thread * a->thread_bytes;
    for (size_t i = begin; i < end; i++) {
        for (size_t g = 0; g < a->keys.groups; g++) c->isa->pack(a, i / a->heads, i % a->heads, g, packed);
        for (size_t b = 0; b < a->rows.groups; b++) c->isa->attend(a, i * a->rows.groups + b, packed, scratch);
    }
}

void attention_compute(const attention_job *a, const attention_isa *isa, int threads, void *scratch) {
    call c = { isa, a, scratch, (char *)scratch + a->packed_bytes };
    size_t heads = a->n * a->heads;
    if (a->order == ATTENTION_BY_HEADS) {
        parallel_for(threads, heads, head_part, &c);
    } else {
        parallel_for(threads, heads * a->keys.groups, pack_part, &c);
        parallel_for(threads, heads * a->rows.groups, attend_part, &c);
    }
}

static int attention_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    attention_job a = *(const attention_job *)s->state;
    a.q = in[0], a.k = in[1], a.v = in[2], a.y = out[0];
    a.log_sum = s->match.n_out > 1 ? out[1] : NULL;
    attention_compute(&a, s->kernel->variant, s->threads, scratch);
    return 0;
}

#define ROW(isa) { "attention/" #isa, &op_attention, attention_match, attention_prepare, attention_run, attention_release, &attention_##isa }

static const kernel table_avx2[] = { ROW(avx2) }, table_avx512[] = { ROW(avx512), ROW(avx512bf16) };

const kernel *attention_kernels(cpu_level level, size_t *n) {
    *n = level >= CPU_AVX512_BF16 ? 2 : level >= CPU_AVX2;
    return level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
