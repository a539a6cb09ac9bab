/* SPDX-License-Identifier: Apache-2.0
 *
 * Each kernel of attention by itself against sums in f64 over the same (rounded) inputs: any T, S and d, causal or not, tokens any
 * stride apart, on 1 to 4 threads. What lies between the operands' numbers is NaN, so that reading one of them shows.
 *
 * Bounds, relative root mean square of a whole output. f32: 1e-6 for N(0,1) inputs; where queries are larger, the f32 rounding of a score is
 * an error of its exponential: 2^-24 times the score, of which there are up to 100 sigma. bf16: 3e-3, of which 1.7e-3 are the output's own rounding
 * and as much each exponential's (which averages out); outputs of few numbers may have twice the largest rounding, 2^-8 each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/cpu/attention.h"
#include "nn/cpu/attention_d_isa.h"
#include "nn/gradient.h"
#include "nn/plan.h"

static const struct { const attention_isa *isa; cpu_level level; const char *name; } kernels[] = {
    { &attention_avx2, CPU_AVX2, "avx2" }, { &attention_avx512, CPU_AVX512, "avx512" }, { &attention_avx512bf16, CPU_AVX512_BF16, "avx512bf16" },
};
enum { KERNELS = sizeof kernels / sizeof *kernels };

static uint64_t seed = 1;
static uint32_t draw(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}
static size_t between(size_t a, size_t b) { return a + draw() % (b - a + 1); }
static float normal(void) {
    double u = (draw() + 0.5) / 0x1p31, v = (draw() + 0.5) / 0x1p31;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* ---- a case ------------------------------------------------------------------------------------------------------------ */

typedef struct { size_t n, heads, T, S, d, gap; bool causal; nn_type type; } shape;   /* gap: elements between tokens that are not theirs */

/* Numbers as f32, [n][tokens][heads d], and the same as an operand of the type, with gaps. */
typedef struct { float *x; void *raw; size_t count, row, tokens; } operand;

typedef struct { shape s; operand q, k, v; double *y, *log_sum; } example;

static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(p);
    return p;
}

static operand operand_new(const shape *s, size_t tokens) {
    size_t C = s->heads * s->d;
    operand o = { .count = s->n * tokens * C, .row = C + s->gap, .tokens = s->n * tokens };
    o.x = room(o.count * sizeof *o.x);
    o.raw = room(o.tokens * o.row * 4 + 64);
    for (size_t i = 0; i < o.count; i++) o.x[i] = normal();
    return o;
}

static void operand_write(operand *o, nn_type type) {
    size_t size = nn_type_bytes(type), C = o->count / o->tokens;
    memset(o->raw, 0xff, o->tokens * o->row * 4 + 64);
    for (size_t t = 0; t < o->tokens; t++) {
        nn_narrow((char *)o->raw + t * o->row * size, type, o->x + t * C, C);
        nn_widen(o->x + t * C, (char *)o->raw + t * o->row * size, type, C);
    }
}

static void operand_free(operand *o) { free(o->x), free(o->raw); }

static example example_new(shape s) {
    example e = { .s = s, .q = operand_new(&s, s.T), .k = operand_new(&s, s.S), .v = operand_new(&s, s.S) };
    e.y = room(e.q.count * sizeof *e.y);
    e.log_sum = room(s.n * s.heads * s.T * sizeof *e.log_sum);
    return e;
}

static void example_free(example *e) {
    operand_free(&e->q), operand_free(&e->k), operand_free(&e->v);
    free(e->y), free(e->log_sum);
}

/* After the numbers were changed: rounds them to the type and computes the truth. */
static void example_set(example *e) {
    const shape *s = &e->s;
    size_t C = s->heads * s->d;
    double *p = room(s->S * sizeof *p);
    operand_write(&e->q, s->type), operand_write(&e->k, s->type), operand_write(&e->v, s->type);
    for (size_t row = 0; row < s->n * s->heads * s->T; row++) {
        size_t n = row / (s->heads * s->T), h = row / s->T % s->heads, t = row % s->T, keys = s->causal ? t + 1 : s->S;
        const float *q = e->q.x + (n * s->T + t) * C + h * s->d, *k = e->k.x + n * s->S * C + h * s->d, *v = e->v.x + n * s->S * C + h * s->d;
        double most = -INFINITY, sum = 0, *y = e->y + (n * s->T + t) * C + h * s->d;
        for (size_t j = 0; j < keys; j++) {
            p[j] = 0;
            for (size_t i = 0; i < s->d; i++) p[j] += (double)q[i] * (double)k[j * C + i];
            p[j] /= sqrt((double)s->d);
            most = fmax(most, p[j]);
        }
        for (size_t i = 0; i < s->d; i++) y[i] = 0;
        for (size_t j = 0; j < keys; j++) {
            double w = exp(p[j] - most);
            sum += w;
            for (size_t i = 0; i < s->d; i++) y[i] += w * (double)v[j * C + i];
        }
        for (size_t i = 0; i < s->d; i++) y[i] /= sum;
        e->log_sum[row] = most + log(sum);
    }
    free(p);
}

/* ---- running it -------------------------------------------------------------------------------------------------------- */

typedef struct { float *y, *log_sum; void *raw; size_t bytes; } answer;

static bool serves(int kernel, nn_type type) { return kernels[kernel].level <= cpu_level_here() && kernels[kernel].isa->pair <= (type == NN_BF16 ? 2 : 1); }

static answer run(const example *e, int kernel, int threads, bool want_log_sum) {
    const shape *s = &e->s;
    size_t C = s->heads * s->d, size = nn_type_bytes(s->type), scratch_bytes;
    attention_job a = { .type = s->type, .n = s->n, .heads = s->heads, .T = s->T, .S = s->S, .d = s->d, .causal = s->causal, .q = e->q.raw, .k = e->k.raw, .v = e->v.raw,
                        .q_row = e->q.row, .k_row = e->k.row, .v_row = e->v.row, .y_row = e->q.row, .q_picture = s->T * e->q.row, .k_picture = s->S * e->k.row,
                        .v_picture = s->S * e->v.row, .y_picture = s->T * e->q.row };
    assert_int_equal(attention_plan(&a, kernels[kernel].isa, threads, &scratch_bytes), 0);
    char *scratch = room(scratch_bytes + 64);
    memset(scratch, 0xff, scratch_bytes + 64);
    answer r = { .y = room(e->q.count * 4), .log_sum = room(s->n * s->heads * s->T * 4), .bytes = s->n * s->T * e->q.row * size };
    a.y = r.raw = room(r.bytes);
    memset(r.raw, 0xcd, r.bytes);
    a.log_sum = want_log_sum ? r.log_sum : NULL;
    attention_compute(&a, kernels[kernel].isa, threads, scratch);
    for (size_t i = 0; i < 64; i++) assert_int_equal((uint8_t)scratch[scratch_bytes + i], 0xff);
    for (size_t t = 0; t < s->n * s->T; t++) {
        const char *row = (const char *)r.raw + t * e->q.row * size;
        nn_widen(r.y + t * C, row, s->type, C);
        for (size_t i = C * size; i < e->q.row * size; i++) assert_int_equal((uint8_t)row[i], 0xcd);   /* the gap is not ours */
    }
    free(scratch);
    return r;
}

static void answer_free(answer *r) { free(r->y), free(r->log_sum), free(r->raw); }

static void check(const example *e, int kernel, double bound, double log_bound) {
    const shape *s = &e->s;
    answer r = run(e, kernel, 1, true);
    double off = 0, all = 0, worst = 0;
    for (size_t i = 0; i < e->q.count; i++) off += pow((double)r.y[i] - e->y[i], 2), all += e->y[i] * e->y[i];
    for (size_t i = 0; i < s->n * s->heads * s->T; i++) worst = fmax(worst, fabs((double)r.log_sum[i] - e->log_sum[i]) / (1 + fabs(e->log_sum[i])));
    if (!(sqrt(off) <= bound * sqrt(all)) || !(worst <= log_bound))
        fail_msg("%s, %s, n %zu, heads %zu, T %zu, S %zu, d %zu, gap %zu%s: error %.3g (bound %.3g), of log_sum %.3g (bound %.3g)", kernels[kernel].name,
                 nn_type_name(s->type), s->n, s->heads, s->T, s->S, s->d, s->gap, s->causal ? ", causal" : "", sqrt(off / all), bound, worst, log_bound);
    answer_free(&r);
}

static double bound_of(const example *e) { return e->s.type == NN_F32 ? 1e-6 : e->q.count >= 2000 ? 3e-3 : 0x1p-7; }
static double log_bound_of(const example *e, int kernel) { return e->s.type == NN_F32 || kernels[kernel].isa->pair == 1 ? 2e-6 : 6e-6; }

/* ---- the tests --------------------------------------------------------------------------------------------------------- */

static void test_random_shapes(void **state) {
    (void)state;
    static const size_t widths[] = { 8, 40, 64, 80, 160, 512 };
    for (int i = 0; i < 120; i++) {
        seed = 1000 + (uint64_t)i;
        shape s = { .n = between(1, 2), .heads = between(1, 3), .T = between(1, 140), .S = between(1, 300), .d = i % 2 ? widths[draw() % 6] : between(1, 200),
                    .gap = draw() % 3 ? between(0, 70) : 0, .causal = draw() % 3 == 0, .type = draw() % 2 ? NN_BF16 : NN_F32 };
        if (draw() % 4 == 0) s.S = 77;
        while (s.n * s.heads * s.T * s.S * s.d > 1500000 && s.T > 1) s.T = (s.T + 1) / 2;
        if (s.causal && s.S < s.T) s.S = s.T;
        example e = example_new(s);
        example_set(&e);
        for (int k = 0; k < KERNELS; k++)
            if (serves(k, s.type)) check(&e, k, bound_of(&e), log_bound_of(&e, k));
        example_free(&e);
    }
}

/* More keys than a block has, more rows than a task: neither the number of threads nor whether log_sum is wanted changes a bit. */
static void test_threads(void **state) {
    (void)state;
    static const shape shapes[] = { { 2, 3, 150, 1100, 40, 5, false, NN_BF16 }, { 1, 2, 200, 700, 64, 0, true, NN_F32 }, { 1, 1, 133, 77, 97, 1, false, NN_BF16 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        seed = 7 + i;
        example e = example_new(shapes[i]);
        example_set(&e);
        for (int k = 0; k < KERNELS; k++) {
            if (!serves(k, shapes[i].type)) continue;
            check(&e, k, bound_of(&e), log_bound_of(&e, k));
            answer one = run(&e, k, 1, true);
            for (int threads = 1; threads <= 4; threads++) {
                answer more = run(&e, k, threads, threads % 2 == 0);
                assert_memory_equal(one.raw, more.raw, one.bytes);
                if (threads % 2 == 0) assert_memory_equal(one.log_sum, more.log_sum, shapes[i].n * shapes[i].heads * shapes[i].T * 4);
                answer_free(&more);
            }
            answer_free(&one);
        }
        example_free(&e);
    }
}

/* Queries 8 and 40 times as large: most of a row's weight is on one key or a few, whichever block they are in. */
static void test_peaky(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        seed = 70 + (uint64_t)i;
        float by = i & 1 ? 40 : 8;
        example e = example_new((shape){ 1, 1, 40, 1500, 64, 0, false, i & 2 ? NN_BF16 : NN_F32 });
        for (size_t j = 0; j < e.q.count; j++) e.q.x[j] *= by;
        example_set(&e);
        for (int k = 0; k < KERNELS; k++)
            if (serves(k, e.s.type)) check(&e, k, e.s.type == NN_F32 ? 1e-6 * (double)by : 3e-3, log_bound_of(&e, k));
        example_free(&e);
    }
}

/* Scores of -1000 to -1100 (their exponentials are 0 in f32), of +-10,000, and rising from key to key, so that every block has a new maximum. */
static void test_far_from_zero(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        seed = 80 + (uint64_t)i;
        example e = example_new((shape){ 1, 2, 33, 1300, 16, 0, false, i & 1 ? NN_BF16 : NN_F32 });
        for (size_t j = 0; j < e.q.count; j++) e.q.x[j] = j % 16 == 0 ? 64 : 0;
        for (size_t j = 0; j < e.k.count; j++) {
            size_t key = j / 32;
            if (j % 16 == 0) e.k.x[j] = i < 2 ? -65 - (float)(draw() % 16) / 4 : i < 4 ? (draw() % 2 ? 625 : -625) : (float)(key / 8);
        }
        example_set(&e);
        for (int k = 0; k < KERNELS; k++)
            if (serves(k, e.s.type)) check(&e, k, e.s.type == NN_F32 ? 1e-5 : 3e-3, 6e-6);
        example_free(&e);
    }
}

/* Equal scores, values 1 in the first half and 0 in the second: exactly 1/2, for the sums of earlier blocks are kept as they are
 * where the maximum has not changed. */
static void test_equal_scores(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        example e = example_new((shape){ 1, 1, 7, 2048, 24, 0, false, i & 1 ? NN_BF16 : NN_F32 });
        for (size_t j = 0; j < e.q.count; j++) e.q.x[j] = i & 2 ? 0.7f : 0;
        for (size_t j = 0; j < e.k.count; j++) e.k.x[j] = -1.3f, e.v.x[j] = j < e.k.count / 2;
        example_set(&e);
        for (int k = 0; k < KERNELS; k++) {
            if (!serves(k, e.s.type)) continue;
            answer r = run(&e, k, 1, true);
            for (size_t j = 0; j < e.q.count; j++) assert_true(r.y[j] == 0.5f);
            for (size_t t = 0; t < e.s.T; t++) assert_true(fabs((double)r.log_sum[t] - e.log_sum[t]) < 1e-5);
            answer_free(&r);
        }
        example_free(&e);
    }
}

/* A NaN stays visible, in its own row and nowhere else. */
static void test_not_a_number(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        example e = example_new((shape){ 1, 1, 50, 90, 40, 0, true, i ? NN_BF16 : NN_F32 });
        e.q.x[3 * 40 + 7] = NAN;
        operand_write(&e.q, e.s.type), operand_write(&e.k, e.s.type), operand_write(&e.v, e.s.type);
        for (int k = 0; k < KERNELS; k++) {
            if (!serves(k, e.s.type)) continue;
            answer r = run(&e, k, 1, true);
            for (size_t j = 0; j < e.q.count; j++) assert_true(isnan(r.y[j]) == (j / 40 == 3));
            answer_free(&r);
        }
        example_free(&e);
    }
}

/* No plan of a level with kernels leaves attention to the reference, and log_sum is an output only of those that read it. */
static void test_plans(void **state) {
    (void)state;
    for (cpu_level level = CPU_AVX2; level <= cpu_level_here(); level++)
        for (int i = 0; i < 4; i++) {
            nn_type type = i & 1 ? NN_BF16 : NN_F32;
            graph *g = graph_new();
            params *store = params_new();
            device *d = device_cpu(level);
            tensor *q = graph_input(g, "q", type, shape3(1, 5, 24)), *k = graph_input(g, "k", type, shape3(1, 9, 24)), *log_sum;
            graph_output(g, attention(g, q, k, k, (attention_attr){ 3, false }, &log_sum));
            if (i & 2) graph_output(g, log_sum);
            plan *p = plan_new(g, d, store, &(plan_options){ .threads = 2 });
            assert_non_null(p);
            assert_int_equal(plan_steps(p), 1);
            const kernel_step *s = plan_step(p, 0);
            assert_string_equal(s->kernel->name, level == CPU_AVX2 ? "attention/avx2" : level == CPU_AVX512_BF16 && type == NN_BF16 ? "attention/avx512bf16" : "attention/avx512");
            assert_int_equal(s->match.n_out, i & 2 ? 2 : 1);
            plan_free(p);
            device_free(d);
            params_free(store);
            graph_free(g);
        }
}

/* ---- the gradient -------------------------------------------------------------------------------------------------------- */

/* Bounds of dq, dk and dv, relative root mean square. f32: 3e-6, of which most is slopes' cancellation (dy v - dy y). bf16: 4e-3: 1.7e-3 are the result's
 * rounding, as much each weight's and slope's and that of y, which the mean slope is taken from; of few numbers twice the largest rounding and more. */
typedef struct { example e; operand y, dy; float *log_sum; double *want[3]; } backward;

static const char *const names[3] = { "dq", "dk", "dv" };

/* After the inputs were changed: rounds them, attends in f64, and computes the true gradient from what was not rounded. */
static void backward_set(backward *b) {
    example *e = &b->e;
    const shape *s = &e->s;
    size_t C = s->heads * s->d;
    example_set(e);
    for (size_t i = 0; i < e->q.count; i++) b->y.x[i] = (float)e->y[i];
    for (size_t i = 0; i < s->n * s->heads * s->T; i++) b->log_sum[i] = (float)e->log_sum[i];
    operand_write(&b->y, s->type), operand_write(&b->dy, s->type);
    for (int i = 0; i < 3; i++) memset(b->want[i], 0, (i ? e->k.count : e->q.count) * sizeof(double));
    for (size_t row = 0; row < s->n * s->heads * s->T; row++) {
        size_t n = row / (s->heads * s->T), h = row / s->T % s->heads, t = row % s->T, keys = s->causal ? t + 1 : s->S;
        size_t at = (n * s->T + t) * C + h * s->d, from = n * s->S * C + h * s->d;
        const float *q = e->q.x + at, *dy = b->dy.x + at;
        double mean = 0, scale = 1 / sqrt((double)s->d);
        for (size_t i = 0; i < s->d; i++) mean += (double)dy[i] * e->y[at + i];
        for (size_t j = 0; j < keys; j++, from += C) {
            const float *k = e->k.x + from, *v = e->v.x + from;
            double score = 0, slope = 0;
            for (size_t i = 0; i < s->d; i++) score += (double)q[i] * (double)k[i], slope += (double)dy[i] * (double)v[i];
            double p = exp(score * scale - e->log_sum[row]), ds = p * (slope - mean) * scale;
            for (size_t i = 0; i < s->d; i++) {
                b->want[0][at + i] += ds * (double)k[i];
                b->want[1][from + i] += ds * (double)q[i];
                b->want[2][from + i] += p * (double)dy[i];
            }
        }
    }
}

static backward backward_new(shape s) {
    backward b = { .e = example_new(s), .y = operand_new(&s, s.T), .dy = operand_new(&s, s.T), .log_sum = room(s.n * s.heads * s.T * 4) };
    for (int i = 0; i < 3; i++) b.want[i] = room((i ? b.e.k.count : b.e.q.count) * sizeof(double));
    return b;
}

static void backward_free(backward *b) {
    example_free(&b->e);
    operand_free(&b->y), operand_free(&b->dy);
    free(b->log_sum);
    for (int i = 0; i < 3; i++) free(b->want[i]);
}

static const attention_d_isa *const isa_d[KERNELS] = { &attention_d_avx2, &attention_d_avx512, &attention_d_avx512bf16 };

static attention_operand operand_of(const operand *o, const shape *s) { return (attention_operand){ o->raw, o->row, o->tokens / s->n * o->row }; }

typedef struct { void *raw[3]; size_t bytes[3]; } gradients;

/* wanted: bits of dq, dk, dv. */
static gradients run_backward(const backward *b, int kernel, int threads, int wanted) {
    const shape *s = &b->e.s;
    size_t scratch_bytes;
    attention_d_job a = { .type = s->type, .n = s->n, .heads = s->heads, .T = s->T, .S = s->S, .d = s->d, .causal = s->causal, .q = operand_of(&b->e.q, s), .k = operand_of(&b->e.k, s),
                          .v = operand_of(&b->e.v, s), .y = operand_of(&b->y, s), .dy = operand_of(&b->dy, s), .log_sum = b->log_sum };
    assert_int_equal(attention_d_plan(&a, isa_d[kernel], threads, &scratch_bytes), 0);
    char *scratch = room(scratch_bytes + 64);
    memset(scratch, 0xff, scratch_bytes + 64);
    gradients g;
    for (int i = 0; i < 3; i++) {
        g.bytes[i] = (i ? b->e.k.count : b->e.q.count) * nn_type_bytes(s->type);
        g.raw[i] = room(g.bytes[i] + 64);
        memset(g.raw[i], 0xcd, g.bytes[i] + 64);
    }
    a.dq = wanted & 1 ? g.raw[0] : NULL, a.dk = wanted & 2 ? g.raw[1] : NULL, a.dv = wanted & 4 ? g.raw[2] : NULL;
    attention_d_compute(&a, isa_d[kernel], threads, scratch);
    for (size_t i = 0; i < 64; i++) assert_int_equal((uint8_t)scratch[scratch_bytes + i], 0xff);
    for (int i = 0; i < 3; i++)
        for (size_t j = wanted & 1 << i ? g.bytes[i] : 0; j < g.bytes[i] + 64; j++) assert_int_equal(((uint8_t *)g.raw[i])[j], 0xcd);
    free(scratch);
    return g;
}

static void gradients_free(gradients *g) {
    for (int i = 0; i < 3; i++) free(g->raw[i]);
}

static double error_bound(const shape *s) { return s->type == NN_F32 ? 3e-6 : s->n * s->heads * (s->T < s->S ? s->T : s->S) * s->d >= 2000 ? 4e-3 : 0x1p-6; }

/* Errors relative to the outputs, which for few keys are differences of larger numbers: one key alone has the weight 1, and dq and dk are 0. So
 * the length they are compared with is at least a quarter of dv's. */
static void check_backward(const backward *b, int kernel, double bound) {
    const shape *s = &b->e.s;
    gradients g = run_backward(b, kernel, 1, 7);
    double least = 0;
    for (int i = 2; i >= 0; i--) {
        size_t count = i ? b->e.k.count : b->e.q.count;
        float *got = room(count * 4);
        double off = 0, all = 0;
        nn_widen(got, g.raw[i], s->type, count);
        for (size_t j = 0; j < count; j++) off += pow((double)got[j] - b->want[i][j], 2), all += b->want[i][j] * b->want[i][j];
        if (i == 2) least = sqrt(all / (double)count) / 4;
        if (!(sqrt(off / (double)count) <= bound * fmax(sqrt(all / (double)count), least)))
            fail_msg("%s, %s, n %zu, heads %zu, T %zu, S %zu, d %zu, gap %zu%s: error of %s %.3g (bound %.3g)", kernels[kernel].name, nn_type_name(s->type), s->n, s->heads, s->T, s->S,
                     s->d, s->gap, s->causal ? ", causal" : "", names[i], sqrt(off / all), bound);
        free(got);
    }
    gradients_free(&g);
}

static void test_gradient_random_shapes(void **state) {
    (void)state;
    static const size_t widths[] = { 8, 40, 64, 80, 160, 512 };
    for (int i = 0; i < 120; i++) {
        seed = 5000 + (uint64_t)i;
        shape s = { .n = between(1, 2), .heads = between(1, 3), .T = between(1, 300), .S = between(1, 300), .d = i % 2 ? widths[draw() % 6] : between(1, 200),
                    .gap = draw() % 3 ? between(0, 70) : 0, .causal = draw() % 3 == 0, .type = draw() % 2 ? NN_BF16 : NN_F32 };
        if (draw() % 4 == 0) s.S = 77;
        while (s.n * s.heads * s.T * s.S * s.d > 1000000 && s.T > 1) s.T = (s.T + 1) / 2;
        if (s.causal && s.S < s.T) s.S = s.T;
        backward b = backward_new(s);
        backward_set(&b);
        for (int k = 0; k < KERNELS; k++)
            if (serves(k, s.type)) check_backward(&b, k, error_bound(&s));
        backward_free(&b);
    }
}

/* Several chunks of queries and keys, copies of sums, whole heads and waves of them: neither the number of threads nor what else is wanted changes a bit. */
static void test_gradient_threads(void **state) {
    (void)state;
    static const shape shapes[] = {
        { 1, 1, 1100, 1030, 16, 3, false, NN_BF16 }, { 1, 3, 1030, 77, 40, 0, false, NN_BF16 }, { 1, 1, 1025, 1090, 8, 0, true, NN_F32 },
        { 2, 3, 150, 333, 33, 5, false, NN_F32 },    { 1, 3, 301, 301, 24, 0, true, NN_BF16 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        seed = 17 + i;
        backward b = backward_new(shapes[i]);
        backward_set(&b);
        for (int k = 0; k < KERNELS; k++) {
            if (!serves(k, shapes[i].type)) continue;
            check_backward(&b, k, error_bound(&shapes[i]));
            gradients one = run_backward(&b, k, 1, 7);
            for (int threads = 1; threads <= 4; threads++) {
                int wanted = threads == 1 ? 1 : threads == 2 ? 7 : threads == 3 ? 4 : 3;
                gradients more = run_backward(&b, k, threads, wanted);
                for (int j = 0; j < 3; j++)
                    if (wanted & 1 << j) assert_memory_equal(one.raw[j], more.raw[j], one.bytes[j]);
                gradients_free(&more);
            }
            gradients_free(&one);
        }
        backward_free(&b);
    }
}

/* Scores of about -1000, so that a key behind the last one would weigh exp(1000); and weights on few keys. Keys have so much in common that dq, which is
 * about their differences, is mostly the rounding of slopes, of y and of log_sum. */
static void test_gradient_far_from_zero(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        seed = 90 + (uint64_t)i;
        backward b = backward_new((shape){ 1, 2, 33, 77, 16, 0, i == 3, i & 1 ? NN_BF16 : NN_F32 });
        for (size_t j = 0; j < b.e.q.count; j++) b.e.q.x[j] = j % 16 == 0 ? 64 : i < 2 ? 0 : 8 * b.e.q.x[j];
        for (size_t j = 0; j < b.e.k.count; j++)
            if (j % 16 == 0) b.e.k.x[j] = -65 - (float)(draw() % 16) / 8;
        backward_set(&b);
        for (int k = 0; k < KERNELS; k++)
            if (serves(k, b.e.s.type)) check_backward(&b, k, b.e.s.type == NN_F32 ? 1e-2 : 0.3);
        backward_free(&b);
    }
}

/* A plan takes the best kernel and leaves out what nobody reads. */
static void test_gradient_plans(void **state) {
    (void)state;
    for (cpu_level level = CPU_AVX2; level <= cpu_level_here(); level++)
        for (int wanted = 1; wanted < 8; wanted++) {
            nn_type type = wanted & 1 ? NN_BF16 : NN_F32;
            graph *g = graph_new();
            params *store = params_new();
            device *dev = device_cpu(level);
            nn_shape queries = shape3(1, 5, 24), keys = shape3(1, 9, 24);
            tensor *q = graph_input(g, "q", type, queries), *k = graph_input(g, "k", type, keys), *y = graph_input(g, "y", type, queries), *d[3];
            assert_true(attention_d(g, q, k, k, y, graph_input(g, "log_sum", NN_F32, shape3(1, 3, 5)), y, (attention_attr){ 3, false }, d));
            int count = 0;
            for (int i = 0; i < 3; i++)
                if (wanted & 1 << i) graph_output(g, d[i]), count++;
            plan *p = plan_new(g, dev, store, &(plan_options){ .threads = 2, .no_reference = true });
            assert_non_null(p);
            const kernel_step *s = plan_step(p, 0);
            assert_string_equal(s->kernel->name, level == CPU_AVX2 ? "attention_d/avx2" : level == CPU_AVX512_BF16 && type == NN_BF16 ? "attention_d/avx512bf16" : "attention_d/avx512");
            assert_int_equal(s->match.n_out, count);
            plan_free(p);
            device_free(dev);
            params_free(store);
            graph_free(g);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_shapes), cmocka_unit_test(test_threads), cmocka_unit_test(test_peaky), cmocka_unit_test(test_far_from_zero),
        cmocka_unit_test(test_equal_scores), cmocka_unit_test(test_not_a_number), cmocka_unit_test(test_plans),
        cmocka_unit_test(test_gradient_random_shapes), cmocka_unit_test(test_gradient_threads), cmocka_unit_test(test_gradient_far_from_zero), cmocka_unit_test(test_gradient_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
