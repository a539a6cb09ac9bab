/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/norm.h"

#include "base/parallel.h"
#include "nn/cpu/norm_pictures.h"
#include "nn/ops.h"

/* Parameters or states: a frozen norm's factors and a trained one's. */
static bool take_vectors(kernel_match *m, const loops *l, const node *n) { return operand_take(m, l, n->in[1]) && operand_take(m, l, n->in[2]); }

/* Scratch for those that are bf16, behind `bytes` of other scratch. */
static int prepare_vectors(kernel_step *s, params *p, const node *n, size_t bytes) {
    s->scratch_bytes = bytes + norm_vector_bytes(n->in[1]) + norm_vector_bytes(n->in[2]);
    return operands_prepare(s, p);
}

typedef struct { const float *gamma, *beta; } vectors;

static vectors find_vectors(const kernel_step *s, const void *const in[], const node *n, void *room) {
    float *second = (float *)((char *)room + norm_vector_bytes(n->in[1]));
    return (vectors){ operand_f32(s, in, n->in[1], room), operand_f32(s, in, n->in[2], second) };
}

/* ---- layer_norm -------------------------------------------------------------------------------------------------------- */

static bool layer_norm_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    return !root->ordered && operand_take_value(m, l, root->in[0]) && take_vectors(m, l, root);
}

static int layer_norm_prepare(kernel_step *s, params *p) { return prepare_vectors(s, p, s->match.nodes[0], 0); }

typedef struct { const kernel_step *s; const void *x; void *y; nn_type type; size_t channels; vectors v; } rows_job;

static void layer_norm_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const rows_job *j = context;
    size_t first = begin * j->channels;
    const loops *l = j->s->kernel->variant;
    l->layer_norm[j->type](element_at(j->x, j->type, first), element_at(j->y, j->type, first), end - begin, j->channels, j->v.gamma, j->v.beta,
                           *(const float *)j->s->match.nodes[0]->attr);
}

static int layer_norm_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = s->match.nodes[0];
    const nn_shape x = n->in[0]->shape;
    size_t channels = x.dim[x.rank - 1], count = shape_elements(x);
    rows_job j = { s, operand_at(s, in, n->in[0]), out[0], n->in[0]->type, channels, find_vectors(s, in, n, scratch) };
    parallel_for(threads_for(s, count), count / channels, layer_norm_part, &j);
    return 0;
}

/* ---- group_norm -------------------------------------------------------------------------------------------------------- */

/* b is one number a channel, the same for all pictures or one row each, broadcast into x. */
static bool by_channel(nn_shape x, nn_shape b) {
    size_t channels = x.dim[x.rank - 1], count = shape_elements(b);
    if (b.dim[b.rank - 1] != channels) return false;
    return count == channels || (b.rank == x.rank && b.dim[0] == x.dim[0] && count == channels * x.dim[0]);
}

static bool group_norm_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    const node *n = root;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    if (n->op == &op_silu) {
        if (n->ordered || !match_inner(n->in[0])) return false;
        n = n->in[0]->producer;
        match_node(m, n);
    }
    if (n->op != &op_group_norm || n->ordered) return false;
    const node *sum = match_inner(n->in[0]) ? n->in[0]->producer : NULL;
    bool joined = sum && sum->op == &op_add && !sum->ordered && by_channel(sum->in[0]->shape, sum->in[1]->shape) &&
                  sum->in[0]->kind != TENSOR_PARAM && sum->in[1]->kind != TENSOR_PARAM && operand_number(l, sum->in[1]);
    if (joined) match_node(m, sum);
    if (!operand_take_value(m, l, joined ? sum->in[0] : n->in[0])) return false;
    if (joined) match_in(m, sum->in[1], (layout_need){ 0 });
    return take_vectors(m, l, n);
}

static const node *norm_of(const kernel_step *s) { return s->match.nodes[s->match.nodes[0]->op == &op_silu]; }

/* Of a channel-wise sum, or NULL. */
static const node *sum_of(const kernel_step *s) {
    const node *last = s->match.nodes[s->match.n_nodes - 1];
    return last->op == &op_add ? last : NULL;
}

typedef struct {
    norm_pictures p;
    vectors v;
    void *y;
    bool silu;
    float *work;                 /* [thread][3][channels] */
} group_job;

static size_t work_bytes(const norm_pictures *p, int threads) { return (size_t)threads * 3 * p->channels * sizeof(float); }

static int group_norm_prepare(kernel_step *s, params *p) {
    norm_pictures cut;
    norm_cut(&cut, s, s->match.in[0]->shape);
    return prepare_vectors(s, p, norm_of(s), norm_moments_bytes(&cut) + work_bytes(&cut, s->threads));
}

static float *work_of(const group_job *j, int thread) { return j->work + (size_t)thread * 3 * j->p.channels; }

static void apply(const group_job *j, size_t picture, size_t part, int thread) {
    const norm_pictures *p = &j->p;
    size_t C = p->channels, width = C / p->groups, begin = norm_part_begin(p, part), at = (picture * p->pixels + begin) * C;
    float *centre = work_of(j, thread), *scale = centre + C, *shift = scale + C;
    for (size_t c = 0; c < C; c += width) norm_vectors(p, picture, c, c + width, norm_group(p, picture, c, c + width), j->v.gamma, j->v.beta, centre, scale, shift);
    p->l->scale_shift[p->type][j->silu](element_at(p->x, p->type, at), element_at(j->y, p->type, at), norm_part_begin(p, part + 1) - begin, C, centre, scale, shift);
}

static void gather_part(void *context, size_t begin, size_t end, int thread) {
    const group_job *j = context;
    for (size_t i = begin; i < end; i++) norm_gather(&j->p, i / j->p.parts, i % j->p.parts, work_of(j, thread));
}

static void apply_part(void *context, size_t begin, size_t end, int thread) {
    const group_job *j = context;
    for (size_t i = begin; i < end; i++) apply(j, i / j->p.parts, i % j->p.parts, thread);
}

static void whole_pictures(void *context, size_t begin, size_t end, int thread) {
    for (size_t i = begin; i < end; i++) {
        gather_part(context, i, i + 1, thread);
        apply_part(context, i, i + 1, thread);
    }
}

static int group_norm_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = norm_of(s), *sum = sum_of(s);
    const group_norm_attr *a = n->attr;
    const tensor *x = s->match.in[0];
    group_job j = { .y = out[0], .silu = s->match.nodes[0]->op == &op_silu };
    norm_pictures *p = &j.p;
    *p = (norm_pictures){ .l = s->kernel->variant, .x = in[0], .type = x->type, .groups = (size_t)a->groups, .epsilon = a->epsilon, .moments = scratch };
    norm_cut(p, s, x->shape);
    j.work = (float *)((char *)scratch + norm_moments_bytes(p));
    j.v = find_vectors(s, in, n, (char *)j.work + work_bytes(p, s->threads));
    if (sum) {
        const tensor *addend = s->match.in[1];
        p->addend = in[1];
        p->addend_type = addend->type;
        p->addend_step = shape_elements(addend->shape) > p->channels ? p->channels : 0;
    }
    int threads = threads_for(s, shape_elements(x->shape));
    if (p->parts == 1) {
        parallel_for(threads, p->pictures, whole_pictures, &j);
        return 0;
    }
    parallel_for(threads, p->pictures * p->parts, gather_part, &j);
    parallel_for(threads, p->pictures * p->parts, apply_part, &j);
    return 0;
}

/* ---- the tables -------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "layer_norm/" #level, &op_layer_norm, layer_norm_match, layer_norm_prepare, layer_norm_run, NULL, &loops_##level }, \
        { "group_norm/" #level, &op_group_norm, group_norm_match, group_norm_prepare, group_norm_run, NULL, &loops_##level }, \
        { "group_norm+silu/" #level, &op_silu, group_norm_match, group_norm_prepare, group_norm_run, NULL, &loops_##level }, \
    };
TABLE(avx2)
TABLE(avx512)
TABLE(avx512bf16)

const kernel *norm_kernels(cpu_level level, size_t *n) {
    *n = sizeof table_avx2 / sizeof *table_avx2;
    return level >= CPU_AVX512_BF16 ? table_avx512bf16 : level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
