/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/norm_d.h"

#include <string.h>

#include "base/parallel.h"
#include "nn/cpu/norm_pictures.h"
#include "nn/gradient.h"

enum { X, GAMMA, DY };   /* inputs of both */
enum { DX, DGAMMA, DBETA };

static float *made_f32(const kernel_step *s, void *const out[], int i) { return operand_made(s, out, s->match.nodes[0]->out[i]); }

/* ---- layer_norm_d ------------------------------------------------------------------------------------------------------ */

static bool layer_norm_d_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    for (int i = 0; i < 3; i++) operand_give(m, root->out[i]);
    return !root->ordered && operand_take_value(m, l, root->in[X]) && operand_take(m, l, root->in[GAMMA]) && operand_take_value(m, l, root->in[DY]);
}

/* Threads have rows and sums of their own, which are added up in their order. */
typedef struct {
    const loops *l;
    const void *x, *dy;
    void *dx;
    nn_type type;
    const float *gamma;
    float epsilon;
    size_t rows, channels, parts;
    bool sums;                   /* dgamma or dbeta is wanted */
    double *sum;                 /* [part][dgamma, dbeta][channels] */
    float *work;                 /* [part][2][channels] */
} rows_job;

static size_t rows_parts(const kernel_step *s, size_t rows, size_t elements) {
    size_t parts = (size_t)threads_for(s, elements);
    return parts < 1 ? 1 : parts < rows ? parts : rows;
}

static int layer_norm_d_prepare(kernel_step *s, params *p) {
    const node *n = s->match.nodes[0];
    const nn_shape x = n->in[X]->shape;
    size_t channels = x.dim[x.rank - 1];
    s->scratch_bytes = rows_parts(s, shape_elements(x) / channels, shape_elements(x)) * 2 * channels * (sizeof(double) + sizeof(float)) + norm_vector_bytes(n->in[GAMMA]);
    return operands_prepare(s, p);
}

static void layer_norm_d_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const rows_job *j = context;
    for (size_t part = begin; part < end; part++) {
        size_t first = j->rows * part / j->parts, last = j->rows * (part + 1) / j->parts, at = first * j->channels;
        double *sum = j->sum + part * 2 * j->channels;
        memset(sum, 0, 2 * j->channels * sizeof *sum);
        j->l->layer_norm_d[j->type](element_at(j->x, j->type, at), element_at(j->dy, j->type, at), j->dx ? element_at(j->dx, j->type, at) : NULL, last - first, j->channels,
                                    j->gamma, j->epsilon, j->sums ? sum : NULL, sum + j->channels, j->work + part * 2 * j->channels);
    }
}

/* What is wanted of dgamma and dbeta: `n` sums for each, `step` apart. */
static void give_sums(const double *sum, size_t n, size_t step, size_t C, float *dgamma, float *dbeta) {
    float *to[2] = { dgamma, dbeta };
    for (size_t k = 0; k < 2; k++)
        for (size_t c = 0; to[k] && c < C; c++) {
            double all = 0;
            for (size_t i = 0; i < n; i++) all += sum[i * step + k * C + c];
            to[k][c] = (float)all;
        }
}

static int layer_norm_d_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = s->match.nodes[0];
    const nn_shape x = n->in[X]->shape;
    float *dgamma = made_f32(s, out, DGAMMA), *dbeta = made_f32(s, out, DBETA);
    size_t channels = x.dim[x.rank - 1], rows = shape_elements(x) / channels, parts = rows_parts(s, rows, shape_elements(x));
    double *sum = scratch;
    float *work = (float *)(sum + parts * 2 * channels);
    rows_job j = { s->kernel->variant, operand_at(s, in, n->in[X]), operand_at(s, in, n->in[DY]), operand_made(s, out, n->out[DX]), n->in[X]->type,
                   operand_f32(s, in, n->in[GAMMA], work + parts * 2 * channels), *(const float *)n->attr, rows, channels, parts, dgamma || dbeta, sum, work };
    parallel_for((int)parts, parts, layer_norm_d_part, &j);
    give_sums(sum, parts, 2 * channels, channels, dgamma, dbeta);
    return 0;
}

/* ---- group_norm_d ------------------------------------------------------------------------------------------------------ */

static bool group_norm_d_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    match_node(m, root);
    for (int i = 0; i < 3; i++) operand_give(m, root->out[i]);
    return !root->ordered && operand_take_value(m, l, root->in[X]) && operand_take(m, l, root->in[GAMMA]) && operand_take_value(m, l, root->in[DY]);
}

/* n is the norm of the same x whose gradient the root is. */
static bool same_norm(const node *root, const node *n) {
    const group_norm_attr *a = root->attr, *b = n->attr;
    return n->op == &op_group_norm && !n->ordered && n->in[0] == root->in[X] && n->in[1] == root->in[GAMMA] && a->groups == b->groups && a->epsilon == b->epsilon;
}

static bool group_norm_silu_d_match(const kernel *k, const node *root, kernel_match *m) {
    const loops *l = k->variant;
    const node *slope = match_inner(root->in[DY]) ? root->in[DY]->producer : NULL;
    if (!slope || slope->op != &op_silu_dx || slope->ordered || root->ordered || !match_inner(slope->in[0])) return false;
    const node *norm = slope->in[0]->producer;
    if (!same_norm(root, norm)) return false;
    match_node(m, root);
    match_node(m, slope);
    match_node(m, norm);
    for (int i = 0; i < 3; i++) operand_give(m, root->out[i]);
    return operand_take_value(m, l, root->in[X]) && operand_take(m, l, root->in[GAMMA]) && operand_take(m, l, norm->in[2]) && operand_take_value(m, l, slope->in[1]);
}

/* gradient.h says what is computed; with e the gradient of the norm's output, sums by channel of e and e (x - centre) are all that dx, dgamma and dbeta need
 * besides the moments. Behind a silu e lies in dx's place in between. */
typedef struct {
    norm_pictures p;
    const void *dy;
    void *dx;
    const float *gamma, *beta;   /* beta: zeros without silu, where nothing depends on it */
    bool silu;
    group_moments *group;        /* [picture][groups] */
    double *sums;                /* [picture][part][e, e (x - centre)][channels]; settled: of dgamma, dbeta in part 0 */
    float *vectors;              /* [picture][5][channels]: channel_vectors */
    float *work;                 /* [thread][3][channels] */
} group_job;

/* Scratch, in the order of the fields. */
typedef struct { size_t moments, group, sums, vectors, work, beta, gamma_room, beta_room, all; } group_room;

static group_room room_of(const norm_pictures *p, const kernel_step *s) {
    size_t C = p->channels, groups = (size_t)((const group_norm_attr *)s->match.nodes[0]->attr)->groups;
    bool silu = s->match.n_nodes > 1;
    group_room r = { .moments = 0 };
    r.group = norm_moments_bytes(p);
    r.sums = r.group + p->pictures * groups * sizeof(group_moments);
    r.vectors = r.sums + norm_moments_bytes(p);
    r.work = r.vectors + p->pictures * 5 * C * sizeof(float);
    r.beta = r.work + (size_t)s->threads * 3 * C * sizeof(float);
    r.gamma_room = r.beta + (silu ? 0 : C * sizeof(float));
    r.beta_room = r.gamma_room + norm_vector_bytes(s->match.nodes[0]->in[GAMMA]);
    r.all = r.beta_room + (silu ? norm_vector_bytes(s->match.nodes[2]->in[2]) : 0);
    return r;
}

static int group_norm_d_prepare(kernel_step *s, params *p) {
    norm_pictures cut;
    norm_cut(&cut, s, s->match.in[0]->shape);
    s->scratch_bytes = room_of(&cut, s).all;
    return operands_prepare(s, p);
}

static channel_vectors vectors_of(const group_job *j, size_t picture) {
    const float *v = j->vectors + picture * 5 * j->p.channels;
    size_t C = j->p.channels;
    return (channel_vectors){ v, v + C, v + 2 * C, v + 3 * C, v + 4 * C };
}

static double *sums_of_part(const group_job *j, size_t picture, size_t part) { return j->sums + (picture * j->p.parts + part) * 2 * j->p.channels; }

static void gather(const group_job *j, size_t picture, size_t part, int thread) { norm_gather(&j->p, picture, part, j->work + (size_t)thread * 3 * j->p.channels); }

/* The moments of a picture's groups. */
static void settle_moments(const group_job *j, size_t picture) {
    const norm_pictures *p = &j->p;
    size_t width = p->channels / p->groups;
    float *v = j->vectors + picture * 5 * p->channels;
    for (size_t g = 0; g < p->groups; g++) {
        group_moments m = j->group[picture * p->groups + g] = norm_group(p, picture, g * width, (g + 1) * width);
        norm_vectors(p, picture, g * width, (g + 1) * width, m, j->gamma, j->beta, v, v + p->channels, v + 2 * p->channels);
    }
}

static void gather_sums(const group_job *j, size_t picture, size_t part, int thread) {
    const norm_pictures *p = &j->p;
    size_t begin = norm_part_begin(p, part), at = (picture * p->pixels + begin) * p->channels;
    double *sum = sums_of_part(j, picture, part);
    channel_vectors v = vectors_of(j, picture);
    memset(sum, 0, 2 * p->channels * sizeof *sum);
    p->l->group_sums[p->type][j->silu](element_at(p->x, p->type, at), element_at(j->dy, p->type, at), norm_part_begin(p, part + 1) - begin, p->channels, &v, sum, sum + p->channels,
                                       j->work + (size_t)thread * 3 * p->channels, j->silu && j->dx ? element_at(j->dx, p->type, at) : NULL);
}

/* dx = factor (d - mean(d) - u mean(d u)), with d = e gamma and u = (x - mean) factor, as e scale + (x - centre) slope + offset. */
static void settle_group(const group_job *j, size_t picture, size_t g) {
    const norm_pictures *p = &j->p;
    size_t C = p->channels, width = C / p->groups;
    group_moments m = j->group[picture * p->groups + g];
    float *v = j->vectors + picture * 5 * C;
    double *total = sums_of_part(j, picture, 0), d = 0, du = 0, count = (double)p->pixels * (double)width;
    for (size_t c = g * width; c < (g + 1) * width; c++) {
        double e = 0, with = 0;
        for (size_t part = 0; part < p->parts; part++) {
            e += sums_of_part(j, picture, part)[c];
            with += sums_of_part(j, picture, part)[C + c];
        }
        double eu = m.factor * (with + ((double)v[c] - m.mean) * e);
        total[c] = eu;
        total[C + c] = e;
        d += e * (double)j->gamma[c];
        du += eu * (double)j->gamma[c];
    }
    double slope = -m.factor * m.factor * du / count;
    for (size_t c = g * width; c < (g + 1) * width; c++) {
        v[3 * C + c] = (float)slope;
        v[4 * C + c] = (float)(((double)v[c] - m.mean) * slope - m.factor * d / count);
    }
}

static void apply(const group_job *j, size_t picture, size_t part) {
    const norm_pictures *p = &j->p;
    size_t begin = norm_part_begin(p, part), at = (picture * p->pixels + begin) * p->channels;
    channel_vectors v = vectors_of(j, picture);
    p->l->group_dx[p->type](element_at(p->x, p->type, at), element_at(j->silu ? j->dx : j->dy, p->type, at), element_at(j->dx, p->type, at), norm_part_begin(p, part + 1) - begin, p->channels, &v);
}

static void settle_sums(const group_job *j, size_t picture) {
    for (size_t g = 0; g < j->p.groups; g++) settle_group(j, picture, g);
}

static void gather_part(void *context, size_t begin, size_t end, int thread) {
    const group_job *j = context;
    for (size_t i = begin; i < end; i++) gather(j, i / j->p.parts, i % j->p.parts, thread);
}
static void moments_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    for (size_t i = begin; i < end; i++) settle_moments(context, i);
}
static void sums_part(void *context, size_t begin, size_t end, int thread) {
    const group_job *j = context;
    for (size_t i = begin; i < end; i++) gather_sums(j, i / j->p.parts, i % j->p.parts, thread);
}
static void settle_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    for (size_t i = begin; i < end; i++) settle_sums(context, i);
}
static void apply_part(void *context, size_t begin, size_t end, int thread) {
    const group_job *j = context;
    (void)thread;
    for (size_t i = begin; i < end; i++) apply(j, i / j->p.parts, i % j->p.parts);
}

static void whole_pictures(void *context, size_t begin, size_t end, int thread) {
    const group_job *j = context;
    for (size_t i = begin; i < end; i++) {
        gather(j, i, 0, thread);
        settle_moments(j, i);
        gather_sums(j, i, 0, thread);
        settle_sums(j, i);
        if (j->dx) apply(j, i, 0);
    }
}

static int group_norm_d_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = s->match.nodes[0];
    const group_norm_attr *a = n->attr;
    const nn_shape x = n->in[X]->shape;
    group_job j = { .silu = s->match.n_nodes > 1, .dx = operand_made(s, out, n->out[DX]) };
    norm_pictures *p = &j.p;
    *p = (norm_pictures){ .l = s->kernel->variant, .x = operand_at(s, in, n->in[X]), .type = n->in[X]->type, .groups = (size_t)a->groups, .epsilon = a->epsilon };
    norm_cut(p, s, x);
    group_room r = room_of(p, s);
    char *room = scratch;
    p->moments = (double *)(room + r.moments);
    j.group = (group_moments *)(room + r.group);
    j.sums = (double *)(room + r.sums);
    j.vectors = (float *)(room + r.vectors);
    j.work = (float *)(room + r.work);
    j.gamma = operand_f32(s, in, n->in[GAMMA], (float *)(room + r.gamma_room));
    if (j.silu) {
        j.dy = operand_at(s, in, s->match.nodes[1]->in[1]);
        j.beta = operand_f32(s, in, s->match.nodes[2]->in[2], (float *)(room + r.beta_room));
    } else {
        j.dy = operand_at(s, in, n->in[DY]);
        j.beta = memset(room + r.beta, 0, p->channels * sizeof(float));
    }
    int threads = threads_for(s, shape_elements(x));
    if (p->parts == 1) parallel_for(threads, p->pictures, whole_pictures, &j);
    else {
        size_t parts = p->pictures * p->parts;
        parallel_for(threads, parts, gather_part, &j);
        parallel_for(threads, p->pictures, moments_part, &j);
        parallel_for(threads, parts, sums_part, &j);
        parallel_for(threads, p->pictures, settle_part, &j);
        if (j.dx) parallel_for(threads, parts, apply_part, &j);
    }
    give_sums(j.sums, p->pictures, p->parts * 2 * p->channels, p->channels, made_f32(s, out, DGAMMA), made_f32(s, out, DBETA));
    return 0;
}

/* ---- the tables -------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "layer_norm_d/" #level, &op_layer_norm_d, layer_norm_d_match, layer_norm_d_prepare, layer_norm_d_run, NULL, &loops_##level }, \
        { "group_norm_d/" #level, &op_group_norm_d, group_norm_d_match, group_norm_d_prepare, group_norm_d_run, NULL, &loops_##level }, \
        { "silu+group_norm_d/" #level, &op_group_norm_d, group_norm_silu_d_match, group_norm_d_prepare, group_norm_d_run, NULL, &loops_##level }, \
    };
TABLE(avx2)
TABLE(avx512)
TABLE(avx512bf16)

const kernel *norm_d_kernels(cpu_level level, size_t *n) {
    *n = sizeof table_avx2 / sizeof *table_avx2;
    return level >= CPU_AVX512_BF16 ? table_avx512bf16 : level >= CPU_AVX512 ? table_avx512 : table_avx2;
}
