/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of the kernels of attention's gradient (attention_d_isa.h says how the work is cut): neither the number of threads nor who
 * takes which task changes a bit of the result. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/attention.h"
#include "nn/cpu/attention_d_isa.h"
#include "nn/gradient.h"

/* Of the second cache, for the operands and sums of a block of keys, and as much for those of a block of queries. */
enum { CACHE = 300 << 10 };
enum { CHUNKS = 8, CHUNK = 512 };   /* at most so many chunks, of so many queries or keys at least */

static size_t over(size_t n, size_t by) { return (n + by - 1) / by; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t between(size_t n, size_t low, size_t high) { return n < low ? low : n > high ? high : n; }

static bool attention_d_match(const kernel *k, const node *root, kernel_match *m) {
    const attention_d_isa *isa = k->variant;
    if (root->ordered || (isa->pair == 2 && root->in[0]->type != NN_BF16)) return false;
    for (int i = 0; i < 6; i++)
        if (root->in[i]->kind == TENSOR_PARAM) return false;
    match_node(m, root);
    for (int i = 0; i < 6; i++) match_in(m, root->in[i], (layout_need){ .strided = i != 4 });
    for (int i = 0; i < 3; i++)
        if (root->out[i]->uses || root->out[i]->output) match_out(m, root->out[i], (layout_need){ 0 });
    return true;
}

/* Panels in groups: as many as registers hold where that comes out even, else the usual number. */
static attention_cut cut_panels(const attention_d_isa *isa, size_t n) {
    size_t panels = over(n, isa->lanes), by = panels <= isa->widest || panels % isa->widest == 0 ? isa->widest : isa->wide;
    return (attention_cut){ panels, over(panels, by) };
}

static size_t keys_before(const attention_d_job *a, const attention_d_isa *isa, size_t block) {
    return attention_begin(a->keys, attention_begin(a->blocks, block)) * isa->lanes;
}

/* Blocks so that what a key or a query has (packed operands and f32 sums) fits the cache; more rows a block are fewer passes over the sums of dk and dv. */
static void cut_work(attention_d_job *a, const attention_d_isa *isa) {
    a->scale = (float)(1 / sqrt((double)a->d));
    a->words = over(a->d, isa->pair);
    a->keys = cut_panels(isa, a->S);
    a->columns = cut_panels(isa, a->d);
    a->o_row = a->columns.panels * isa->lanes;
    a->key_words = a->keys.panels * isa->lanes / isa->pair;
    size_t keys = between(CACHE / (a->d * (12 / isa->pair + 8)), 4 * isa->lanes, 128), rows = between(CACHE / (a->d * (16 / isa->pair + 4)), 64, 128);
    a->blocks = (attention_cut){ a->keys.groups, least(a->keys.groups, over(a->keys.panels * isa->lanes, keys)) };
    a->rows = (attention_cut){ a->T, over(a->T, rows) };
    for (size_t b = 0; b < a->blocks.groups; b++) {
        size_t n = keys_before(a, isa, b + 1) - keys_before(a, isa, b);
        if (n > a->block_keys) a->block_keys = n;
    }
    a->block_rows = over(over(a->T, a->rows.groups), isa->pair) * isa->pair;
    size_t square = least(between(least(a->T, a->S) / CHUNK, 1, CHUNKS), a->blocks.groups);
    a->copies = between(a->T / CHUNK / square, 1, CHUNKS / square);
    while (a->copies > 1 && a->copies * square > a->rows.groups) a->copies--;
    a->key_chunks = (attention_cut){ a->blocks.groups, square };
    a->chunks = (attention_cut){ a->rows.groups, square * a->copies };
}

static size_t take(size_t *total, size_t bytes) {
    size_t at = *total;
    *total += over(bytes, 64) * 64;
    return at;
}

/* Rows of weights are a line longer than a power of two, which would crowd a few sets of the first cache. */
static void lay_out(attention_d_job *a, const attention_d_isa *isa) {
    size_t keys = a->keys.panels * isa->lanes, packed = keys * a->words * 4, row = a->o_row * 4, words = a->block_rows / isa->pair;
    a->word_row = a->block_keys * 4 + 64;
    a->key_row = isa->pair == 1 ? a->word_row : a->block_keys * 2 + 64;
    size_t room = 0, scratch = 0;
    take(&room, packed);
    a->at_values = take(&room, packed);
    a->at_pairs = take(&room, a->key_words * row);
    a->at_sums = take(&room, 2 * a->copies * keys * row);
    a->at_dq = take(&room, a->key_chunks.groups > 1 ? a->T * row : 0);
    a->head_bytes = room;
    take(&scratch, a->block_rows * a->words * 4);
    a->at_dy = take(&scratch, a->block_rows * a->words * 4);
    a->at_q_pairs = take(&scratch, words * row);
    a->at_dy_pairs = take(&scratch, words * row);
    a->at_o = take(&scratch, a->block_rows * row);
    a->at_weights = take(&scratch, words * a->word_row);
    a->at_slopes = take(&scratch, words * a->word_row);
    a->at_key_slopes = isa->pair == 1 ? a->at_slopes : take(&scratch, a->block_rows * a->key_row);
    a->at_mean = take(&scratch, a->block_rows * 4);
    a->at_log_sum = take(&scratch, a->block_rows * 4);
    a->thread_bytes = scratch;
}

int attention_d_plan(attention_d_job *a, const attention_d_isa *isa, int n_threads, size_t *scratch_bytes) {
    size_t threads = n_threads > 1 ? (size_t)n_threads : 1, heads = a->n * a->heads, rooms, all;
    cut_work(a, isa);
    lay_out(a, isa);
    a->by_heads = heads % threads == 0 || heads >= 8 * threads;
    for (a->wave = 1; a->wave < heads && a->wave * a->chunks.groups % threads && a->wave * a->chunks.groups < 8 * threads; a->wave++) {}
    if (__builtin_mul_overflow(a->head_bytes, a->by_heads ? threads : a->wave, &rooms) || __builtin_mul_overflow(a->thread_bytes, threads, &all) ||
        __builtin_add_overflow(all, rooms, &all))
        return error_set(ERR_LIMIT, "attention's gradient over %zu keys needs too much memory", a->S);
    *scratch_bytes = all;
    return 0;
}

static attention_operand operand(const kernel_step *s, int i) { return (attention_operand){ NULL, s->in_layout[i].stride[1], s->in_layout[i].stride[0] }; }

static int attention_d_prepare(kernel_step *s, params *p) {
    (void)p;
    const node *root = s->match.nodes[0];
    const attention_attr *attr = root->attr;
    nn_shape q = root->in[0]->shape;
    attention_d_job *a = calloc(1, sizeof *a);
    if (!a) return error_memory(sizeof *a);
    *a = (attention_d_job){ .type = root->in[0]->type, .n = q.dim[0], .heads = (size_t)attr->heads, .T = q.dim[1], .S = root->in[1]->shape.dim[1], .d = q.dim[2] / (size_t)attr->heads,
                            .causal = attr->causal, .q = operand(s, 0), .k = operand(s, 1), .v = operand(s, 2), .y = operand(s, 3), .dy = operand(s, 5) };
    s->state = a;
    int rc = attention_d_plan(a, s->kernel->variant, s->threads, &s->scratch_bytes);
    if (rc < 0) free(a), s->state = NULL;
    return rc;
}

static void attention_d_release(kernel_step *s) { free(s->state); }

typedef struct { const attention_d_isa *isa; const attention_d_job *a; char *rooms, *scratch; size_t first, step; } call;   /* first head of the wave */

static void pack_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const call *c = context;
    const attention_d_job *a = c->a;
    for (size_t i = begin; i < end; i++) {
        size_t in_wave = i / a->keys.groups, head = c->first + in_wave;
        c->isa->pack(a, head / a->heads, head % a->heads, i % a->keys.groups, c->rooms + in_wave * a->head_bytes);
    }
}

static void add_part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    const attention_d_job *a = c->a;
    for (size_t i = begin; i < end; i++) {
        size_t in_wave = i / a->chunks.groups, head = c->first + in_wave;
        c->isa->add(a, head / a->heads, head % a->heads, i % a->chunks.groups, c->step, c->rooms + in_wave * a->head_bytes, c->scratch + (size_t)thread * a->thread_bytes);
    }
}

static void finish_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const call *c = context;
    const attention_d_job *a = c->a;
    for (size_t i = begin; i < end; i++) {
        size_t in_wave = i / a->keys.groups, head = c->first + in_wave;
        c->isa->finish(a, head / a->heads, head % a->heads, i % a->keys.groups, c->rooms + in_wave * a->head_bytes);
    }
}

static void head_part(void *context, size_t begin, size_t end, int thread) {
    const call *c = context;
    const attention_d_job *a = c->a;
    char *room = c->rooms + (size_t)thread * a->head_bytes, *scratch = c->scratch + (size_t)thread * a->thread_bytes;
    for (size_t i = begin; i < end; i++) {
        size_t picture = i / a->heads, head = i % a->heads;
        for (size_t g = 0; g < a->keys.groups; g++) c->isa->pack(a, picture, head, g, room);
        for (size_t step = 0; step < a->key_chunks.groups; step++)
            for (size_t chunk = 0; chunk < a->chunks.groups; chunk++) c->isa->add(a, picture, head, chunk, step, room, scratch);
        for (size_t g = 0; g < a->keys.groups; g++) c->isa->finish(a, picture, head, g, room);
    }
}

void attention_d_compute(const attention_d_job *a, const attention_d_isa *isa, int n_threads, void *scratch) {
    size_t threads = n_threads > 1 ? (size_t)n_threads : 1, heads = a->n * a->heads;
    call c = { .isa = isa, .a = a, .rooms = scratch, .scratch = (char *)scratch + a->head_bytes * (a->by_heads ? threads : a->wave) };
    if (a->by_heads) {
        parallel_for(n_threads, heads, head_part, &c);
        return;
    }
    for (; c.first < heads; c.first += a->wave) {
        size_t n = least(a->wave, heads - c.first);
        parallel_for(n_threads, n * a->keys.groups, pack_part, &c);
        for (c.step = 0; c.step < a->key_chunks.groups; c.step++) parallel_for(n_threads, n * a->chunks.groups, add_part, &c);
        parallel_for(n_threads, n * a->keys.groups, finish_part, &c);
    }
}

static int attention_d_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    attention_d_job a = *(const attention_d_job *)s->state;
    const node *root = s->match.nodes[0];
    a.q.at = in[0], a.k.at = in[1], a.v.at = in[2], a.y.at = in[3], a.log_sum = in[4], a.dy.at = in[5];
    for (int i = 0; i < s->match.n_out; i++) *(s->match.out[i] == root->out[0] ? &a.dq : s->match.out[i] == root->out[1] ? &a.dk : &a.dv) = out[i];
    attention_d_compute(&a, s->kernel->variant, s->threads, scratch);
    return 0;
}

#define ROW(isa) { "attention_d/" #isa, &op_attention_d, attention_d_match, attention_d_prepare, attention_d_run, attention_d_release, &attention_d_##isa }

static const kernel table_avx2[] = { ROW(avx2) }, table_avx512[] = { ROW(avx512), ROW(avx512bf16) };

const kernel *attention_d_kernels(cpu_level level, size_t *n) {
    *n = level >= CPU_AVX512_BF16 ? 2 : level >= CPU_AVX2;
    return level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
