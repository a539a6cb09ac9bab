/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention at the shapes of Stable Diffusion through a plan on this machine's CPU: GFLOP/s (4 N H T S d a run, also where causal)
 * beside the peak of multiply-add chains in the same run, and the error of the plan's numbers.
 *
 *     attention [--threads N] [--cpu LEVEL] [--type bf16|f32] [--rounds N] [WORD]    shapes whose name has WORD in it; default: all
 *     attention --serve [...]    reads lines "n heads d T S causal", answers each "seconds peak"; for bench/attention.py
 *
 * The peak is measured before every shape. With one thread processor time is counted. Data are N(0,1). */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nn/ops.h"
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

typedef struct { int threads, rounds; cpu_level level; nn_type type; bool serve; } settings;

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

typedef struct { double seconds, peak, error; char kernel[48]; } result;

static result measure(const shape *s, const settings *o, const device *d) {
    size_t C = s->heads * s->d;
    result r = { .seconds = INFINITY, .peak = 0 };
    graph *g = graph_new();
    params *store = params_new();
    tensor *q = graph_input(g, "q", o->type, shape3(s->n, s->T, C)), *k = graph_input(g, "k", o->type, shape3(s->n, s->S, C));
    tensor *v = graph_input(g, "v", o->type, shape3(s->n, s->S, C)), *y = attention(g, q, k, v, (attention_attr){ (int)s->heads, s->causal }, NULL);
    graph_output(g, y);
    plan *p = plan_new(g, d, store, &(plan_options){ .threads = o->threads });
    workspace *w = p ? workspace_new(plan_bytes(p)) : NULL;
    tensor *in[] = { q, k, v };
    void *copy[3] = { 0 };
    if (!w) {
        fprintf(stderr, "%s: %s\n", s->name, error_message());
        exit(1);
    }
    for (int i = 0; i < 3; i++) {
        size_t n = shape_elements(in[i]->shape), bytes = n * nn_type_bytes(o->type);
        if (!(copy[i] = malloc(bytes))) exit(1);
        fill(copy[i], o->type, n);
    }
    /* Many short runs, or few long ones: rounds of about 20 ms, and the inputs written anew before each run. */
    int runs = (int)(1e9 / plan_flops(p)) + 1;
    for (int i = 0; i < o->rounds; i++) {
        double peak = peak_now(o->type, o->level, o->threads);
        if (peak > r.peak) r.peak = peak;
        for (int j = 0; j < runs; j++) {
            for (int c = 0; c < 3; c++) memcpy(plan_tensor(p, w, in[c]), copy[c], shape_elements(in[c]->shape) * nn_type_bytes(o->type));
            double t = peak_clock(o->threads);
            plan_run(p, w, NULL);
            t = peak_clock(o->threads) - t;
            if (t < r.seconds) r.seconds = t;
        }
    }
    r.error = o->serve ? 0 : error_of(s, o->type, copy[0], copy[1], copy[2], plan_tensor(p, w, y));
    snprintf(r.kernel, sizeof r.kernel, "%s", plan_step(p, 0)->kernel->name);
    for (int i = 0; i < 3; i++) free(copy[i]);
    workspace_free(w);
    plan_free(p);
    params_free(store);
    graph_free(g);
    return r;
}

static double flops(const shape *s) { return 4.0 * (double)(s->n * s->heads * s->T) * (double)(s->S * s->d); }

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
    settings o = { parallel_cores(), 7, cpu_level_here(), NN_BF16, false };
    static const struct option options[] = { { "threads", 1, NULL, 't' }, { "cpu", 1, NULL, 'c' }, { "type", 1, NULL, 'y' }, { "rounds", 1, NULL, 'r' },
                                             { "serve", 0, NULL, 's' }, { NULL, 0, NULL, 0 } };
    bool good = true;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't') good &= (o.threads = atoi(optarg)) > 0;
        else if (c == 'r') good &= (o.rounds = atoi(optarg)) > 0;
        else if (c == 'c') good &= cpu_level_parse(optarg, &o.level);
        else if (c == 'y') o.type = strcmp(optarg, "f32") == 0 ? NN_F32 : NN_BF16;
        else if (c == 's') o.serve = true;
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
        result r = measure(&shapes[i], &o, d);
        double rate = flops(&shapes[i]) / r.seconds * 1e-9;
        printf("  %-26s %12.3f %10.1f %7.1f %% %9.1e   %s\n", shapes[i].name, r.seconds * 1e3, rate, rate / r.peak * 100, r.error, r.kernel);
        fflush(stdout);
    }
    device_free(d);
    return 0;
}
