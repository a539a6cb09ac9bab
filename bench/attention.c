/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention at the shapes of Stable Diffusion through a plan on this machine's CPU: GFLOP/s (4 N H T S d a run, also where causal)
 * beside the peak of multiply-add chains in the same run, and the error of the plan's numbers. --gradient: its gradient (10 N H T S d),
 * --locked: the one of q alone.
 *
 *     attention [--threads N] [--cpu LEVEL] [--type bf16|f32] [--rounds N] [--pictures N] [--gradient] [--locked] [WORD]    shapes whose name has WORD in it; default: all
 *     attention --serve [...]    reads lines "n heads d T S causal", answers each "seconds peak"; for bench/attention.py
 *
 * The peak is measured before every shape. With one thread processor time is counted. Data are N(0,1). */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"
#include "nn/plan.h"
#include "peak.h"

typedef struct { const char *name; size_t n, heads, d, T, S; int causal; } shape;
static const shape shapes[] = {
    { "self 64^2, d 64 (SD 2.1)", 2, 5, 64, 4096, 4096, 0 },
    { "self 32^2, d 64", 2, 10, 64, 1024, 1024, 0 },
    { "self 16^2, d 64", 2, 20, 64, 256, 256, 0 },
    { "self 8^2, d 64", 2, 20, 64, 64, 64, 0 },
    { "cross 64^2, d 64", 2, 5, 64, 4096, 77, 0 },
    { "cross 32^2, d 64", 2, 10, 64, 1024, 77, 0 },
    { "cross 16^2, d 64", 2, 20, 64, 256, 77, 0 },
    { "self 64^2, d 40 (SD 1.5)", 2, 8, 40, 4096, 4096, 0 },
    { "self 32^2, d 80", 2, 8, 80, 1024, 1024, 0 },
    { "self 16^2, d 160", 2, 8, 160, 256, 256, 0 },
    { "self 8^2, d 160", 2, 8, 160, 64, 64, 0 },
    { "cross 64^2, d 40", 2, 8, 40, 4096, 77, 0 },
    { "cross 32^2, d 80", 2, 8, 80, 1024, 77, 0 },
    { "cross 16^2, d 160", 2, 8, 160, 256, 77, 0 },
    { "VAE 64^2, d 512", 1, 1, 512, 4096, 4096, 0 },
    { "CLIP L, d 64, causal", 2, 12, 64, 77, 77, 1 },
    { "CLIP H, d 64, causal", 2, 16, 64, 77, 77, 1 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct { int threads, rounds; cpu_level level; nn_type type; bool serve, gradient, locked; int pictures; } settings;

static uint64_t seed = 1;
static float uniform(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) * 0x1p-24 + 0x1p-25);
}
static void fill(void *out, nn_type type, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float x = sqrtf(-2 * logf(uniform())) * cosf(6.2831853f * uniform());
        nn_narrow((char *)out + i * nn_type_bytes(type), type, &x, 1);
    }
}

static float at(const void *x, nn_type type, size_t i) {
    float y;
    nn_widen(&y, (const char *)x + i * nn_type_bytes(type), type, 1);
    return y;
}

/* Relative root mean square of the error of some rows, against f64. */
static double error_of(const shape *s, nn_type type, const void *q, const void *k, const void *v, const void *y) {
    size_t C = s->heads * s->d;
    double off = 0, all = 0, *out = malloc(s->d * sizeof *out), *p = malloc(s->S * sizeof *p);
    for (int i = 0; i < 24 && out && p; i++) {
        size_t n = (size_t)(uniform() * (float)s->n), h = (size_t)(uniform() * (float)s->heads), t = (size_t)(uniform() * (float)s->T);
        size_t row = (n * s->T + t) * C + h * s->d, keys = s->causal ? t + 1 : s->S;
        double most = -INFINITY, sum = 0;
        for (size_t j = 0; j < keys; j++) {
            p[j] = 0;
            for (size_t e = 0; e < s->d; e++) p[j] += (double)at(q, type, row + e) * (double)at(k, type, (n * s->S + j) * C + h * s->d + e);
            p[j] /= sqrt((double)s->d);
            most = fmax(most, p[j]);
        }
        memset(out, 0, s->d * sizeof *out);
        for (size_t j = 0; j < keys; j++) {
            double w = exp(p[j] - most);
            sum += w;
            for (size_t e = 0; e < s->d; e++) out[e] += w * (double)at(v, type, (n * s->S + j) * C + h * s->d + e);
        }
        for (size_t e = 0; e < s->d; e++) {
            double want = out[e] / sum, got = (double)at(y, type, row + e);
            off += (got - want) * (got - want);
            all += want * want;
        }
    }
    free(out), free(p);
    return sqrt(off / all);
}

/* The same of all rows of dq, and some of dk and dv, of the first head: the worst of the three. in: as attention_d has them. */
static double gradient_error_of(const shape *s, nn_type type, void *const in[6], const void *const out[3]) {
    size_t C = s->heads * s->d, step = s->S / 8 + 1;
    double off[3] = { 0 }, all[3] = { 0 }, *p = malloc(s->S * sizeof *p), *slope = malloc(s->S * sizeof *slope), *dq = malloc(s->d * sizeof *dq), *dk = calloc(16 * s->d, sizeof *dk);
    float *x[4], scale = 1 / sqrtf((float)s->d);   /* q, k, v, dy of the head, as f32 */
    for (int i = 0; i < 4; i++) {
        size_t tokens = i % 3 ? s->S : s->T;
        if (!(x[i] = malloc(tokens * s->d * sizeof **x)) || !p || !slope || !dq || !dk) exit(1);
        for (size_t t = 0; t < tokens; t++)
            for (size_t e = 0; e < s->d; e++) x[i][t * s->d + e] = at(in[i < 3 ? i : 5], type, t * C + e);
    }
    for (size_t t = 0; t < s->T; t++) {
        size_t keys = s->causal ? t + 1 : s->S;
        const float *q = x[0] + t * s->d, *dy = x[3] + t * s->d;
        double most = -INFINITY, sum = 0, mean = 0;
        for (size_t j = 0; j < keys; j++) {
            const float *k = x[1] + j * s->d, *v = x[2] + j * s->d;
            p[j] = slope[j] = 0;
            for (size_t e = 0; e < s->d; e++) p[j] += (double)q[e] * (double)k[e], slope[j] += (double)dy[e] * (double)v[e];
            p[j] /= sqrt((double)s->d);
            most = fmax(most, p[j]);
        }
        for (size_t j = 0; j < keys; j++) sum += p[j] = exp(p[j] - most);
        for (size_t j = 0; j < keys; j++) mean += (p[j] /= sum) * slope[j];
        memset(dq, 0, s->d * sizeof *dq);
        for (size_t j = 0; j < keys; j++) {
            double ds = p[j] * (slope[j] - mean) * (double)scale;
            for (size_t e = 0; e < s->d; e++) {
                dq[e] += ds * (double)x[1][j * s->d + e];
                if (j % step == 0) dk[2 * j / step * s->d + e] += ds * (double)q[e], dk[(2 * j / step + 1) * s->d + e] += p[j] * (double)dy[e];
            }
        }
        for (size_t e = 0; e < s->d; e++) off[0] += pow((double)at(out[0], type, t * C + e) - dq[e], 2), all[0] += dq[e] * dq[e];
    }
    for (size_t i = 0; i < 2 * ((s->S - 1) / step + 1); i++)
        for (size_t e = 0; e < s->d; e++) {
            double want = dk[i * s->d + e], got = (double)at(out[1 + i % 2], type, i / 2 * step * C + e);
            off[1 + i % 2] += (got - want) * (got - want), all[1 + i % 2] += want * want;
        }
    for (int i = 0; i < 4; i++) free(x[i]);
    free(p), free(slope), free(dq), free(dk);
    return sqrt(fmax(off[0] / all[0], fmax(off[1] / all[1], off[2] / all[2])));
}

/* A graph with its plan and copies of its inputs. */
typedef struct { graph *g; params *store; plan *p; workspace *w; tensor *in[6]; void *copy[6]; int n_in; } job;

static job job_new(const shape *s, const settings *o, bool gradient, tensor *out[3]) {
    size_t C = s->heads * s->d;
    nn_shape queries = shape3(s->n, s->T, C), keys = shape3(s->n, s->S, C);
    attention_attr attr = { (int)s->heads, s->causal };
    job j = { .g = graph_new(), .store = params_new(), .n_in = gradient ? 6 : 3 };
    for (int i = 0; i < 3; i++) j.in[i] = graph_input(j.g, "x", o->type, i ? keys : queries);
    if (gradient) {
        j.in[3] = graph_input(j.g, "y", o->type, queries), j.in[4] = graph_input(j.g, "log_sum", NN_F32, shape3(s->n, s->heads, s->T)), j.in[5] = graph_input(j.g, "dy", o->type, queries);
        attention_d(j.g, j.in[0], j.in[1], j.in[2], j.in[3], j.in[4], j.in[5], attr, out);
    } else {
        out[0] = attention(j.g, j.in[0], j.in[1], j.in[2], attr, &out[1]);
        out[2] = NULL;
    }
    return j;
}

static void job_plan(job *j, const shape *s, const settings *o, const device *d) {
    j->p = plan_new(j->g, d, j->store, &(plan_options){ .threads = o->threads });
    j->w = j->p ? workspace_new(plan_bytes(j->p)) : NULL;
    if (!j->w) {
        fprintf(stderr, "%s: %s\n", s->name, error_message());
        exit(1);
    }
    for (int i = 0; i < j->n_in; i++) {
        size_t n = shape_elements(j->in[i]->shape), bytes = n * nn_type_bytes(j->in[i]->type);
        if (!(j->copy[i] = malloc(bytes))) exit(1);
        fill(j->copy[i], j->in[i]->type, n);
    }
}

static void job_write(job *j) {
    for (int i = 0; i < j->n_in; i++) memcpy(plan_tensor(j->p, j->w, j->in[i]), j->copy[i], shape_elements(j->in[i]->shape) * nn_type_bytes(j->in[i]->type));
}

static void job_free(job *j) {
    for (int i = 0; i < j->n_in; i++) free(j->copy[i]);
    workspace_free(j->w);
    plan_free(j->p);
    params_free(j->store);
    graph_free(j->g);
}

typedef struct { double seconds, peak, error; char kernel[48]; } result;

/* Many short runs, or few long ones: rounds of about 20 ms, and the inputs written anew before each run. */
static result time_job(job *j, const settings *o) {
    result r = { .seconds = INFINITY, .peak = 0 };
    int runs = (int)(1e9 / plan_flops(j->p)) + 1;
    for (int i = 0; i < o->rounds; i++) {
        double peak = peak_now(o->type, o->level, o->threads);
        if (peak > r.peak) r.peak = peak;
        for (int k = 0; k < runs; k++) {
            job_write(j);
            double t = peak_clock(o->threads);
            plan_run(j->p, j->w, NULL);
            t = peak_clock(o->threads) - t;
            if (t < r.seconds) r.seconds = t;
        }
    }
    snprintf(r.kernel, sizeof r.kernel, "%s", plan_step(j->p, 0)->kernel->name);
    return r;
}

static result measure(const shape *s, const settings *o, const device *d) {
    tensor *out[3], *d_out[3];
    job forward = job_new(s, o, false, out);
    graph_output(forward.g, out[0]);
    if (o->gradient) graph_output(forward.g, out[1]);
    job_plan(&forward, s, o, d);
    if (!o->gradient) {
        result r = time_job(&forward, o);
        r.error = o->serve ? 0 : error_of(s, o->type, forward.copy[0], forward.copy[1], forward.copy[2], plan_tensor(forward.p, forward.w, out[0]));
        job_free(&forward);
        return r;
    }
    job back = job_new(s, o, true, d_out);
    for (int i = o->locked ? 0 : 2; i >= 0; i--) graph_output(back.g, d_out[i]);
    job_plan(&back, s, o, d);
    job_write(&forward);
    plan_run(forward.p, forward.w, NULL);
    for (int i = 0; i < 5; i++) {
        const tensor *t = back.in[i];
        memcpy(back.copy[i], i < 3 ? forward.copy[i] : plan_tensor(forward.p, forward.w, out[i - 3]), shape_elements(t->shape) * nn_type_bytes(t->type));
    }
    job_free(&forward);
    result r = time_job(&back, o);
    if (!o->serve && !o->locked && s->d <= 160)   /* or it would take too long */
        r.error = gradient_error_of(s, o->type, back.copy, (const void *[]){ plan_tensor(back.p, back.w, d_out[0]), plan_tensor(back.p, back.w, d_out[1]), plan_tensor(back.p, back.w, d_out[2]) });
    job_free(&back);
    return r;
}

static double flops(const shape *s, const settings *o) { return (o->gradient ? 10.0 : 4.0) * (double)(s->n * s->heads * s->T) * (double)(s->S * s->d); }

static int serve(const settings *o, const device *d) {
    shape s = { .name = "asked" };
    while (scanf("%zu %zu %zu %zu %zu %d", &s.n, &s.heads, &s.d, &s.T, &s.S, &s.causal) == 6) {
        result r = measure(&s, o, d);
        printf("%.9g %.9g\n", r.seconds, r.peak);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    settings o = { .threads = parallel_cores(), .rounds = 7, .level = cpu_level_here(), .type = NN_BF16 };
    static const struct option options[] = { { "threads", 1, NULL, 't' }, { "cpu", 1, NULL, 'c' }, { "type", 1, NULL, 'y' }, { "rounds", 1, NULL, 'r' },
                                             { "serve", 0, NULL, 's' }, { "gradient", 0, NULL, 'g' }, { "locked", 0, NULL, 'l' }, { "pictures", 1, NULL, 'p' }, { NULL, 0, NULL, 0 } };
    bool good = true;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't') good &= (o.threads = atoi(optarg)) > 0;
        else if (c == 'r') good &= (o.rounds = atoi(optarg)) > 0;
        else if (c == 'c') good &= cpu_level_parse(optarg, &o.level);
        else if (c == 'y') o.type = strcmp(optarg, "f32") == 0 ? NN_F32 : NN_BF16;
        else if (c == 's') o.serve = true;
        else if (c == 'g') o.gradient = true;
        else if (c == 'l') o.gradient = o.locked = true;
        else if (c == 'p') good &= (o.pictures = atoi(optarg)) > 0;
        else good = false;
    }
    if (o.level > cpu_level_here()) o.level = cpu_level_here();
    device *d = good && o.level >= CPU_AVX2 ? device_cpu(o.level) : NULL;
    if (!d) {
        fprintf(stderr, "attention: needs AVX2, and options of its own (see bench/attention.c)\n");
        return 2;
    }
    if (o.serve) return serve(&o, d);
    printf("%s, %d threads, %s, %d rounds\n  %-26s %12s %10s %9s %9s\n", nn_type_name(o.type), o.threads, cpu_level_name(o.level), o.rounds, "", "ms", "GFLOP/s", "of peak", "error");
    for (int i = 0; i < SHAPES; i++) {
        if (optind < argc && !strstr(shapes[i].name, argv[optind])) continue;
        shape s = shapes[i];
        if (o.pictures) s.n = (size_t)o.pictures;
        result r = measure(&s, &o, d);
        double rate = flops(&s, &o) / r.seconds * 1e-9;
        printf("  %-26s %12.3f %10.1f %7.1f %% %9.1e   %s\n", shapes[i].name, r.seconds * 1e3, rate, rate / r.peak * 100, r.error, r.kernel);
        fflush(stdout);
    }
    device_free(d);
    return 0;
}
