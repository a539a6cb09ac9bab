/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operation x every kernel of every level this machine has, on random odd shapes, against the operation's own
 * reference. Each kernel is also tried alone, so that a better one in the table cannot hide it.
 *
 *     check_ops [--cases N] [--seed S] [--op NAME] [--case I] [--verbose] */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "face/ops.h"
#include "op_bounds.h"
#include "op_cases.h"

typedef struct { uint64_t seed; size_t cases, only_case; const char *op; bool verbose; } settings;

/* ---- running a case ----------------------------------------------------------------------------------------------------------------- */

/* The same seed gives the same graph; `positive` the one of absolute values. */
static void make_case(trial *t, int kind, uint64_t seed, bool positive) {
    trial_begin(t, seed);
    t->positive = positive;
    bool ordered = rng_chance(&t->r, 2);
    graph_set_ordered(t->g, ordered);
    const op *o = op_cases[kind].op;
    if (!ordered && op_bounded(o)) t->wild = false;   /* a bound of infinity would say nothing */
    graph_output(t->g, op_cases[kind].make(t));
    if (graph_check(t->g) < 0) {
        printf("check_ops: a bad case of %s (seed %" PRIu64 "): %s\n", op_cases[kind].op->name, seed, error_message());
        exit(1);
    }
}

typedef struct { const char *name; size_t used, failed; double worst; } tally;

/* Plans the case for d and runs it three times over different garbage. If `wanted` is given, a plan without that kernel
 * is not run. */
static bool try_device(const char *what, const trial *t, const device *d, const kernel *wanted, int threads,
                       float **truth, const tolerance *tol, tally *sum) {
    static const int garbage[] = { 0xff, 0x00, 0x55 };
    params *weights = params_new();
    plan *p = plan_new(t->g, d, weights, &(plan_options){ .threads = threads });
    bool refused = !p && trial_may_be_refused(t, d), good = p || refused, uses = !wanted && !refused;
    if (!good) printf("%s: %s\n", what, error_message());
    for (size_t i = 0; p && i < plan_steps(p); i++) uses |= plan_step(p, i)->kernel == wanted;
    workspace *w = p ? workspace_new(plan_bytes(p)) : NULL;
    for (int k = 0; k < 3 && w && uses && good; k++) {
        workspace_fill(w, plan_bytes(p), garbage[k]);
        trial_set_inputs(t, p, w);
        plan_run(p, w, NULL);
        good = trial_compare(what, t, p, w, truth, tol, &sum->worst);
    }
    sum->used += uses;
    sum->failed += !good;
    workspace_free(w);
    plan_free(p);
    params_free(weights);
    return good;
}

static void describe(const trial *t, int kind) {
    char shape[96];
    const node *n = graph_node(t->g, 0);
    printf("    %s %s%s:", op_cases[kind].op->name, n->ordered ? "ordered" : "not ordered", t->wild ? ", wild numbers" : "");
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i])
            printf(" %s %s %s,", n->in[i]->kind == TENSOR_PARAM ? "param" : n->in[i]->kind == TENSOR_STATE ? "state" : "input", nn_type_name(n->in[i]->type), shape_text(n->in[i]->shape, shape, sizeof shape));
    if (n->n_out) printf(" output %s", shape_text(n->out[0]->shape, shape, sizeof shape));
    printf("\n");
    if (n->op != &op_conv2d && n->op != &op_depthwise_conv2d) return;
    const conv2d_attr *a = n->attr;
    printf("    stride %d, padding top %d left %d bottom %d right %d, %s\n", a->stride, a->pad_top, a->pad_left,
           a->pad_bottom, a->pad_right, a->weights == WEIGHTS_OHWI ? "OHWI" : "OIHW");
}

typedef struct { device *d; device **alone; tally whole, *each; size_t n; } level;

static void level_open(level *l, cpu_level cap) {
    l->d = device_cpu(cap);
    if (!l->d || face_ops_add_kernels(l->d) < 0) abort();
    l->n = device_kernels(l->d);
    l->alone = calloc(l->n + 1, sizeof *l->alone);
    l->each = calloc(l->n + 1, sizeof *l->each);
    if (!l->alone || !l->each) abort();
    l->whole = (tally){ .name = cpu_level_name(cap), .worst = 0 };
    for (size_t i = 0; i < l->n; i++) {
        l->alone[i] = device_new(device_level(l->d));
        if (!l->alone[i] || device_add(l->alone[i], device_kernel(l->d, i)) < 0) abort();
        l->each[i].name = device_kernel(l->d, i)->name;
    }
}

static void level_close(level *l) {
    for (size_t i = 0; i < l->n; i++) device_free(l->alone[i]);
    device_free(l->d);
    free(l->alone);
    free(l->each);
}

/* The error bound's sums by absolute value are only needed where summation may be reordered. */
static bool try_case(int kind, uint64_t seed, level *levels, int n_levels, bool verbose) {
    trial t, absolute;
    make_case(&t, kind, seed, false);
    make_case(&absolute, kind, seed, true);
    const node *n = graph_node(t.g, 0);
    float **truth = trial_truth(&t), **bound = trial_truth(&absolute);
    tolerance tol = op_tolerance(n, truth, bound);
    if (verbose) {
        printf("seed %" PRIu64 "\n", seed);
        describe(&t, kind);
    }
    bool good = true;
    for (int l = 0; l < n_levels; l++) {
        char what[256];
        int threads = 1 + (int)(seed % 3);
        snprintf(what, sizeof what, "%s at level %s, %d threads", op_cases[kind].op->name, levels[l].whole.name, threads);
        good &= try_device(what, &t, levels[l].d, NULL, threads, truth, &tol, &levels[l].whole);
        for (size_t k = 0; k < levels[l].n; k++) {
            const kernel *only = device_kernel(levels[l].d, k);
            if (only->root != n->op) continue;
            snprintf(what, sizeof what, "%s of level %s alone, %d threads", only->name, levels[l].whole.name, threads);
            good &= try_device(what, &t, levels[l].alone[k], only, threads, truth, &tol, &levels[l].each[k]);
        }
    }
    if (!good) describe(&t, kind);
    truth_free(&t, truth);
    truth_free(&absolute, bound);
    trial_end(&t);
    trial_end(&absolute);
    return good;
}

/* ---- all of it --------------------------------------------------------------------------------------------------------- */

static int misuse(void) {
    fprintf(stderr, "usage: check_ops [--cases N] [--seed S] [--op NAME] [--case I] [--verbose]\n");
    return 2;
}

static bool number(const char *text, unsigned long long *out) {
    char *end;
    *out = strtoull(text, &end, 0);
    return *text && !*end;
}

static int parse(int argc, char **argv, settings *s) {
    static const struct option options[] = { { "cases", 1, NULL, 'c' }, { "seed", 1, NULL, 's' }, { "op", 1, NULL, 'o' }, { "case", 1, NULL, 'i' },
                                             { "verbose", 0, NULL, 'v' }, { NULL, 0, NULL, 0 } };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned long long x = 0;
        if (c == '?' || (optarg && c != 'o' && !number(optarg, &x))) return misuse();
        if (c == 'c') s->cases = x;
        if (c == 's') s->seed = x;
        if (c == 'i') s->only_case = x;
        if (c == 'o') s->op = optarg;
        if (c == 'v') s->verbose = true;
    }
    return optind < argc ? misuse() : 0;
}

/* A kernel for an operation that has no generator would go untested. */
static int unknown_roots(const device *d) {
    int unknown = 0;
    for (size_t k = 0; k < device_kernels(d); k++) {
        bool known = false;
        for (int i = 0; i < op_cases_count; i++) known |= op_cases[i].op == device_kernel(d, k)->root;
        if (!known)
            printf("check_ops makes no cases of %s, which %s computes\n", device_kernel(d, k)->root->name,
                   device_kernel(d, k)->name);
        unknown += !known;
    }
    return unknown;
}

int main(int argc, char **argv) {
    settings s = { .seed = 1, .cases = 40, .only_case = SIZE_MAX };
    int rc = parse(argc, argv, &s), failed = 0, n_levels = 0;
    if (rc) return rc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    level levels[4];
    for (int cap = CPU_REFERENCE; cap <= (int)cpu_level_here(); cap++) level_open(&levels[n_levels++], (cpu_level)cap);
    printf("check_ops --seed %" PRIu64 " --cases %zu\n", s.seed, s.cases);
    failed += unknown_roots(levels[n_levels - 1].d);
    for (int kind = 0; kind < op_cases_count; kind++) {
        if (s.op && strcmp(s.op, op_cases[kind].op->name)) continue;
        for (size_t i = 0; i < s.cases; i++) {
            if (s.only_case != SIZE_MAX && i != s.only_case) continue;
            uint64_t seed = s.seed * 1000003 + (uint64_t)kind * 1000000007 + i;
            if (try_case(kind, seed, levels, n_levels, s.verbose)) continue;
            printf("    again: check_ops --seed %" PRIu64 " --cases %zu --op %s --case %zu\n", s.seed, s.cases,
                   op_cases[kind].op->name, i);
            if (++failed > 20) break;
        }
    }
    for (int l = 0; l < n_levels; l++) {
        printf("level %-12s %6zu cases, %zu failed, largest error %.3f of the bound\n", levels[l].whole.name,
               levels[l].whole.used, levels[l].whole.failed, levels[l].whole.worst);
        for (size_t k = 0; k < levels[l].n; k++)
            printf("    %-32s %6zu cases, %zu failed, largest error %.3f of the bound\n", levels[l].each[k].name,
                   levels[l].each[k].used, levels[l].each[k].failed, levels[l].each[k].worst);
        level_close(&levels[l]);
    }
    printf("%d failed\n", failed);
    return failed != 0;
}
