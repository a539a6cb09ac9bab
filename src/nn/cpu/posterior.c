/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/posterior.h"

#include "base/parallel.h"
#include "nn/cpu/operand.h"
#include "nn/gradient.h"

enum { BLOCK = 512 };   /* rows dealt out at a time, within a picture */

/* moments as pictures of blocks of rows. */
typedef struct {
    const loops *l;
    nn_type type;
    size_t pictures, rows, channels, blocks;   /* rows: of a picture */
    const void *moments, *dy;
    const float *noise, *weight;               /* weight: NULL or one a picture */
    float scale;
    void *out;
    double *sums;                              /* [pictures * blocks] */
} job;

static job job_of(const kernel_step *s) {
    const tensor *m = s->match.nodes[0]->in[0];
    const nn_shape shape = m->shape;
    size_t channels = shape.dim[shape.rank - 1] / 2, rows = shape_elements(shape) / (2 * channels) / shape.dim[0];
    return (job){ .l = s->kernel->variant, .type = m->type, .pictures = shape.dim[0], .rows = rows, .channels = channels, .blocks = (rows + BLOCK - 1) / BLOCK };
}

/* Block i: its first row of all, and how many. */
static size_t block_of(const job *j, size_t i, size_t *n) {
    size_t first = i % j->blocks * BLOCK;
    *n = j->rows - first < BLOCK ? j->rows - first : BLOCK;
    return i / j->blocks * j->rows + first;
}

static const void *moments_at(const job *j, size_t row) { return element_at(j->moments, j->type, row * 2 * j->channels); }

static bool take_all(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    if (root->ordered || !operand_take_value(m, l, root->in[0])) return false;
    for (int i = 1; i < root->n_in; i++)
        if (root->in[i] && !operand_take(m, l, root->in[i])) return false;
    return true;
}

static void deal(const kernel_step *s, job *j, void (*part)(void *context, size_t begin, size_t end, int thread)) {
    parallel_for(threads_for(s, j->pictures * j->rows * 2 * j->channels), j->pictures * j->blocks, part, j);
}

/* ---- a sample ------------------------------------------------------------------------------------------------------------ */

static void sample_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const job *j = context;
    for (size_t i = begin, n; i < end; i++) {
        size_t row = block_of(j, i, &n), at = row * j->channels;
        if (j->dy) j->l->sample_d[j->type](moments_at(j, row), j->noise + at, element_at(j->dy, j->type, at), element_at(j->out, j->type, 2 * at), n, j->channels);
        else j->l->sample[j->type](moments_at(j, row), j->noise + at, element_at(j->out, j->type, at), n, j->channels);
    }
}

static int sample_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    job j = job_of(s);
    j.moments = operand_at(s, in, n->in[0]);
    j.noise = operand_at(s, in, n->in[1]);
    j.dy = n->n_in > 2 ? operand_at(s, in, n->in[2]) : NULL;
    j.out = out[0];
    deal(s, &j, sample_part);
    return 0;
}

/* ---- the divergence ------------------------------------------------------------------------------------------------------ */

static int kl_prepare(kernel_step *s, params *p) {
    job j = job_of(s);
    s->scratch_bytes = j.pictures * j.blocks * sizeof *j.sums;
    return operands_prepare(s, p);
}

static void kl_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const job *j = context;
    for (size_t i = begin, n; i < end; i++) {
        size_t row = block_of(j, i, &n);
        j->sums[i] = j->l->divergence[j->type](moments_at(j, row), n, j->channels);
    }
}

static int kl_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = s->match.nodes[0];
    job j = job_of(s);
    double all = 0;
    j.moments = operand_at(s, in, n->in[0]);
    j.weight = operand_at(s, in, n->in[1]);
    j.sums = scratch;
    deal(s, &j, kl_part);
    for (size_t p = 0; p < j.pictures; p++) {
        double sum = 0;
        for (size_t b = 0; b < j.blocks; b++) sum += j.sums[p * j.blocks + b];
        all += (j.weight ? (double)j.weight[p] : 1) * 0.5 * sum;
    }
    *(float *)out[0] = (float)(all / (double)j.pictures);
    return 0;
}

static void kl_d_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const job *j = context;
    for (size_t i = begin, n; i < end; i++) {
        size_t row = block_of(j, i, &n);
        float scale = j->scale * (j->weight ? j->weight[i / j->blocks] : 1);
        j->l->divergence_d[j->type](moments_at(j, row), scale, element_at(j->out, j->type, row * 2 * j->channels), n, j->channels);
    }
}

static int kl_d_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const node *n = s->match.nodes[0];
    job j = job_of(s);
    j.moments = operand_at(s, in, n->in[0]);
    j.weight = operand_at(s, in, n->in[1]);
    j.scale = *(const float *)operand_at(s, in, n->in[2]) / (float)j.pictures;
    j.out = out[0];
    deal(s, &j, kl_d_part);
    return 0;
}

/* ---- the tables ---------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "posterior_sample/" #level, &op_posterior_sample, take_all, operands_prepare, sample_run, NULL, &loops_##level }, \
        { "posterior_sample_d/" #level, &op_posterior_sample_d, take_all, operands_prepare, sample_run, NULL, &loops_##level }, \
        { "posterior_kl/" #level, &op_posterior_kl, take_all, kl_prepare, kl_run, NULL, &loops_##level }, \
        { "posterior_kl_d/" #level, &op_posterior_kl_d, take_all, operands_prepare, kl_d_run, NULL, &loops_##level }, \
    };
TABLE(avx2)
TABLE(avx512)
TABLE(avx512bf16)

const kernel *posterior_kernels(cpu_level level, size_t *n) {
    *n = sizeof table_avx2 / sizeof *table_avx2;
    return level >= CPU_AVX512_BF16 ? table_avx512bf16 : level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
