/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/norm.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/loops.h"
#include "nn/ops.h"

enum { ALONE = 16384 };   /* elements up to which one thread does it all */

static bool number_type(const tensor *t) { return t->type == NN_F32 || t->type == NN_BF16; }

static bool norm_fits(const node *n) {
    const tensor *x = n->in[0], *gamma = n->in[1], *beta = n->in[2];
    return !n->ordered && x->kind != TENSOR_PARAM && number_type(x) && gamma->kind == TENSOR_PARAM && beta->kind == TENSOR_PARAM &&
           nn_type_is_float(gamma->type) && nn_type_is_float(beta->type);
}

static int norm_prepare(kernel_step *s, params *p) {
    for (int i = 0; i < s->match.n_param; i++)
        if (!(s->packed[i] = params_f32(p, s->match.param[i]))) return error_code();
    return 0;
}

/* ---- layer_norm -------------------------------------------------------------------------------------------------------- */

static bool layer_norm_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    if (!norm_fits(root)) return false;
    match_node(m, root);
    match_in(m, root->in[0], (layout_need){ 0 });
    match_param(m, root->in[1]);
    match_param(m, root->in[2]);
    match_out(m, root->out[0], (layout_need){ 0 });
    return true;
}

typedef struct { const kernel_step *s; const void *x; void *y; nn_type type; size_t channels; } rows_job;

static void layer_norm_part(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const rows_job *j = context;
    size_t first = begin * j->channels * nn_type_bytes(j->type);
    const loops *l = j->s->kernel->variant;
    l->layer_norm[j->type]((const char *)j->x + first, (char *)j->y + first, end - begin, j->channels, j->s->packed[0], j->s->packed[1],
                           *(const float *)j->s->match.nodes[0]->attr);
}

static int layer_norm_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const nn_shape x = s->match.in[0]->shape;
    size_t channels = x.dim[x.rank - 1], count = shape_elements(x);
    rows_job j = { s, in[0], out[0], s->match.in[0]->type, channels };
    parallel_for(count <= ALONE ? 1 : s->threads, count / channels, layer_norm_part, &j);
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
    (void)k;
    const node *n = root;
    match_node(m, root);
    match_out(m, root->out[0], (layout_need){ 0 });
    if (n->op == &op_silu) {
        if (n->ordered || !match_inner(n->in[0])) return false;
        n = n->in[0]->producer;
        match_node(m, n);
    }
    if (n->op != &op_group_norm || !norm_fits(n)) return false;
    const node *sum = match_inner(n->in[0]) ? n->in[0]->producer : NULL;
    bool joined = sum && sum->op == &op_add && !sum->ordered && by_channel(sum->in[0]->shape, sum->in[1]->shape) &&
                  sum->in[0]->kind != TENSOR_PARAM && sum->in[1]->kind != TENSOR_PARAM && number_type(sum->in[1]);
    if (joined) match_node(m, sum);
    match_in(m, joined ? sum->in[0] : n->in[0], (layout_need){ 0 });
    if (joined) match_in(m, sum->in[1], (layout_need){ 0 });
    match_param(m, n->in[1]);
    match_param(m, n->in[2]);
    return true;
}

typedef struct {
    const kernel_step *s;
    const loops *l;
    const void *x, *addend;      /* addend: NULL, [1 or pictures][channels] */
    void *y;
    nn_type type, addend_type;
    size_t pictures, pixels, channels, groups;
    size_t addend_step;          /* elements from picture to picture */
    size_t parts;                /* of a picture: a thread each */
    float epsilon;
    bool silu;
    double *moments;             /* [picture][part][mean, squares][channels] */
    float *work;                 /* [thread][3][channels] */
} group_job;

static size_t part_begin(const group_job *j, size_t part) { return j->pixels * part / j->parts; }

static size_t moments_bytes(const group_job *j) { return j->pictures * j->parts * 2 * j->channels * sizeof(double); }

static void job_shapes(group_job *j, const kernel_step *s) {
    const nn_shape x = s->match.in[0]->shape;
    j->pictures = x.dim[0];
    j->channels = x.dim[x.rank - 1];
    j->pixels = shape_elements(x) / j->pictures / j->channels;
    bool small = shape_elements(x) <= ALONE;
    j->parts = small || s->threads <= 1 || j->pictures % (size_t)s->threads == 0 ? 1 : (size_t)s->threads;
    if (j->parts > j->pixels) j->parts = j->pixels;
}

static int group_norm_prepare(kernel_step *s, params *p) {
    group_job j;
    job_shapes(&j, s);
    s->scratch_bytes = moments_bytes(&j) + (size_t)s->threads * 3 * j.channels * sizeof(float);
    return norm_prepare(s, p);
}

static channel_moments moments_of(const group_job *j, size_t picture, size_t part) {
    double *at = j->moments + (picture * j->parts + part) * 2 * j->channels;
    return (channel_moments){ at, at + j->channels, part_begin(j, part + 1) - part_begin(j, part) };
}

static void gather(const group_job *j, size_t picture, size_t part, int thread) {
    channel_moments m = moments_of(j, picture, part);
    size_t pixels = m.count, at = (picture * j->pixels + part_begin(j, part)) * j->channels;
    memset(m.mean, 0, 2 * j->channels * sizeof *m.mean);
    m.count = 0;
    j->l->moments[j->type]((const char *)j->x + at * nn_type_bytes(j->type), pixels, j->channels, &m, j->work + (size_t)thread * 3 * j->channels);
}

static double addend_of(const group_job *j, size_t picture, size_t c) {
    if (!j->addend) return 0;
    size_t i = picture * j->addend_step + c;
    return j->addend_type == NN_F32 ? (double)((const float *)j->addend)[i] : (double)nn_bf16_to_f32(((const uint16_t *)j->addend)[i]);
}

/* y = (x + a - mean) factor gamma + beta, as (x - centre) scale + shift with an f32 centre; shift takes up what it lacks. */
static void group_vectors(const group_job *j, size_t picture, size_t first, size_t last, float *centre, float *scale, float *shift) {
    const float *gamma = j->s->packed[0], *beta = j->s->packed[1];
    double sum = 0, squares = 0, width = (double)(last - first), count = (double)j->pixels;
    for (size_t part = 0; part < j->parts; part++) {
        channel_moments m = moments_of(j, picture, part);
        for (size_t c = first; c < last; c++) sum += (m.mean[c] + addend_of(j, picture, c)) * (double)m.count;
    }
    double mean = sum / (count * width);
    for (size_t part = 0; part < j->parts; part++) {
        channel_moments m = moments_of(j, picture, part);
        for (size_t c = first; c < last; c++) {
            double d = m.mean[c] + addend_of(j, picture, c) - mean;
            squares += m.squares[c] + d * d * (double)m.count;
        }
    }
    double factor = 1 / sqrt(squares / (count * width) + (double)j->epsilon);
    for (size_t c = first; c < last; c++) {
        double exact = mean - addend_of(j, picture, c), f = factor * (double)gamma[c];
        centre[c] = (float)exact;
        scale[c] = (float)f;
        shift[c] = (float)((double)beta[c] - (exact - (double)centre[c]) * f);
    }
}

static void apply(const group_job *j, size_t picture, size_t part, int thread) {
    size_t C = j->channels, width = C / j->groups, begin = part_begin(j, part), at = (picture * j->pixels + begin) * C * nn_type_bytes(j->type);
    float *centre = j->work + (size_t)thread * 3 * C, *scale = centre + C, *shift = scale + C;
    for (size_t c = 0; c < C; c += width) group_vectors(j, picture, c, c + width, centre, scale, shift);
    j->l->scale_shift[j->type][j->silu]((const char *)j->x + at, (char *)j->y + at, part_begin(j, part + 1) - begin, C, centre, scale, shift);
}

static void gather_part(void *context, size_t begin, size_t end, int thread) {
    const group_job *j = context;
    for (size_t i = begin; i < end; i++) gather(j, i / j->parts, i % j->parts, thread);
}

static void apply_part(void *context, size_t begin, size_t end, int thread) {
    const group_job *j = context;
    for (size_t i = begin; i < end; i++) apply(j, i / j->parts, i % j->parts, thread);
}

static void whole_pictures(void *context, size_t begin, size_t end, int thread) {
    for (size_t i = begin; i < end; i++) {
        gather_part(context, i, i + 1, thread);
        apply_part(context, i, i + 1, thread);
    }
}

static int group_norm_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const node *n = s->match.nodes[0];
    bool silu = n->op == &op_silu;
    const group_norm_attr *a = (silu ? s->match.nodes[1] : n)->attr;
    group_job j = { .s = s, .l = s->kernel->variant, .x = in[0], .y = out[0], .type = s->match.in[0]->type, .groups = (size_t)a->groups,
                    .epsilon = a->epsilon, .silu = silu, .moments = scratch };
    job_shapes(&j, s);
    j.work = (float *)((char *)scratch + moments_bytes(&j));
    if (s->match.n_in > 1) {
        const tensor *addend = s->match.in[1];
        j.addend = in[1];
        j.addend_type = addend->type;
        j.addend_step = shape_elements(addend->shape) > j.channels ? j.channels : 0;
    }
    int threads = shape_elements(s->match.in[0]->shape) <= ALONE ? 1 : s->threads;
    if (j.parts == 1) {
        parallel_for(threads, j.pictures, whole_pictures, &j);
        return 0;
    }
    parallel_for(threads, j.pictures * j.parts, gather_part, &j);
    parallel_for(threads, j.pictures * j.parts, apply_part, &j);
    return 0;
}

/* ---- the tables -------------------------------------------------------------------------------------------------------- */

#define TABLE(level) \
    static const kernel table_##level[] = { \
        { "layer_norm/" #level, &op_layer_norm, layer_norm_match, norm_prepare, layer_norm_run, NULL, &loops_##level }, \
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
