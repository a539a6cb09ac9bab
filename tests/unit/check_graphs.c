/* SPDX-License-Identifier: Apache-2.0
 *
 * Small random graphs, to shake the planner and the fused kernels: residual blocks like the face networks' and diffusion
 * models', their near misses, pools, pads, concatenations, views, slices, shared inputs, diamonds, several outputs. The truth comes from an
 * executor without a planner (trial.h). Then, at every level this machine has and with each kernel alone:
 *
 *   - the outputs are the truth, over workspaces full of different garbage, and again when run a second time;
 *   - two plans take turns in one workspace, each after the other's leftovers;
 *   - threads run one plan at the same time, each in its own workspace.
 *
 *     check_graphs [--cases N] [--seed S] [--case I] [--verbose]
 *
 * Most graphs are `ordered`: 0 differing bits. Others are not, and may be off by 1e-4 of an output's root mean square; or
 * they are bf16 and short, where a kernel that swallows a tensor does not round it: 2^-5 of the value and 2^-4 of the
 * root mean square. Those bounds are no promise; they only tell rounding from rubbish. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "trial.h"

enum { MOST_LIVE = 24, MOST_ELEMENTS = 30000 };

/* ---- random graphs ------------------------------------------------------------------------------------------------------ */

typedef struct { trial *t; tensor *live[MOST_LIVE]; int n; } garden;

static void plant(garden *d, tensor *x) {
    if (!x) return;
    if (d->n < MOST_LIVE) d->live[d->n++] = x;
    else d->live[rng_next(&d->t->r) % MOST_LIVE] = x;
}

static tensor *pick(garden *d) {   /* mostly a recent one, so that graphs grow long */
    size_t back = rng_chance(&d->t->r, 2) ? 0 : rng_next(&d->t->r) % (unsigned)d->n;
    return d->live[(size_t)d->n - 1 - back];
}

static tensor *pick_picture(garden *d) {
    for (int tries = 0; tries < 30; tries++) {
        tensor *x = pick(d);
        if (x->shape.rank == 4) return x;
    }
    return d->live[0];
}

static nn_type param_type(trial *t) { return rng_chance(&t->r, 6) ? NN_BF16 : rng_chance(&t->r, 2) ? NN_F16 : NN_F32; }

static tensor *maybe_bias(trial *t, size_t n) { return rng_chance(&t->r, 4) ? NULL : trial_param(t, param_type(t), shape1(n), 0.5f); }

static conv2d_attr same(const tensor *x, size_t kh, size_t kw, int stride) {
    conv2d_attr a = { .stride = stride };
    conv2d_same_padding(x->shape.dim[1], (int)kh, stride, &a.pad_top, &a.pad_bottom);
    conv2d_same_padding(x->shape.dim[2], (int)kw, stride, &a.pad_left, &a.pad_right);
    return a;
}

static tensor *make_depthwise(trial *t, tensor *x, size_t k, int stride) {
    size_t c = x->shape.dim[3];
    return depthwise_conv2d(t->g, x, trial_param(t, param_type(t), shape4(1, k, k, c), 0.4f), maybe_bias(t, c), same(x, k, k, stride));
}

static tensor *make_conv(trial *t, tensor *x, size_t c, size_t k, int stride, bool padded) {
    conv2d_attr a = padded ? same(x, k, k, stride) : (conv2d_attr){ .stride = stride };
    size_t ci = x->shape.dim[3];
    a.weights = rng_chance(&t->r, 4) ? WEIGHTS_OIHW : WEIGHTS_OHWI;
    tensor *w = trial_param(t, param_type(t), a.weights == WEIGHTS_OHWI ? shape4(c, k, k, ci) : shape4(c, ci, k, k), 1.0f / (float)(k * 4));
    return conv2d(t->g, x, w, maybe_bias(t, c), a);
}

static tensor *activate(trial *t, tensor *x) {
    size_t c = x->shape.dim[x->shape.rank - 1];
    switch (rng_next(&t->r) % 5) {
    case 0: return x;
    case 1: case 2: return relu(t->g, x);
    default: return prelu(t->g, x, trial_param(t, param_type(t), rng_chance(&t->r, 2) ? shape1(c) : shape3(1, 1, c), 1));
    }
}

/* act(shortcut + conv1x1(depthwise(x))), and what looks much like it but may not be fused in the same way. */
static tensor *make_block(garden *d, tensor *x) {
    trial *t = d->t;
    bool halve = rng_chance(&t->r, 3) && x->shape.dim[1] % 2 == 0 && x->shape.dim[2] % 2 == 0;
    size_t c = x->shape.dim[3], wide = rng_chance(&t->r, 2) ? c : c + rng_between(&t->r, 1, 40), k = rng_chance(&t->r, 8) ? 5 : 3;
    tensor *inner = make_depthwise(t, x, k, halve ? 2 : 1);
    if (rng_chance(&t->r, 10)) inner = relu(t->g, inner);
    if (rng_chance(&t->r, 12)) graph_output(t->g, inner);
    tensor *main = make_conv(t, inner, wide, rng_chance(&t->r, 12) ? 3 : 1, 1, true), *side = x;
    if (rng_chance(&t->r, 12)) plant(d, main);   /* read once more, perhaps */
    bool pad_first = rng_chance(&t->r, 5);
    if (pad_first && wide > c) side = pad_channels(t->g, side, wide - c);
    if (halve) side = max_pool2d(t->g, side, rng_chance(&t->r, 10) ? 1 : 2, 2);
    if (!pad_first && wide > c) side = pad_channels(t->g, side, wide - c);
    if (rng_chance(&t->r, 15)) side = relu(t->g, side);
    tensor *sum = rng_chance(&t->r, 2) ? add(t->g, side, main) : add(t->g, main, side);
    if (rng_chance(&t->r, 10)) plant(d, sum);
    return activate(t, sum);
}

static tensor *make_view(trial *t, tensor *x) {
    nn_shape s = x->shape, to = { 1, { shape_elements(s) } };
    switch (rng_next(&t->r) % 3) {
    case 0: break;
    case 1: to = shape2(shape_elements(s) / s.dim[s.rank - 1], s.dim[s.rank - 1]); break;
    default: to = s.rank == 4 ? shape4(s.dim[0], s.dim[2], s.dim[1], s.dim[3]) : shape4(1, 1, s.dim[0], shape_elements(s) / s.dim[0]);
    }
    return reshape(t->g, x, to);
}

static tensor *make_slice(trial *t, tensor *x) {
    nn_shape s = x->shape, to = s;
    size_t begin[NN_MAX_RANK] = { 0 };
    for (int i = 0; i < s.rank; i++) {
        to.dim[i] = rng_chance(&t->r, 2) ? s.dim[i] : rng_between(&t->r, 1, s.dim[i]);
        begin[i] = rng_between(&t->r, 0, s.dim[i] - to.dim[i]);
    }
    return slice(t->g, x, begin, to);
}

static tensor *make_concat(garden *d, tensor *x) {
    tensor *parts[4] = { x };
    int n = 1, axis = (int)(rng_next(&d->t->r) % (unsigned)x->shape.rank);
    for (int i = 0; i < 20 && n < 4; i++) {
        tensor *y = pick(d);
        nn_shape a = x->shape, b = y->shape;
        if (a.rank == b.rank) a.dim[axis] = b.dim[axis];
        if (shape_equal(a, b)) parts[n++] = y;
    }
    return n > 1 ? concat(d->t->g, parts, n, axis) : NULL;
}

static tensor *make_pair(garden *d, tensor *x) {
    trial *t = d->t;
    tensor *(*build)(graph *g, tensor *a, tensor *b) = rng_chance(&t->r, 3) ? mul : add;
    for (int i = 0; i < 20; i++) {
        tensor *y = pick(d);
        if (shape_equal(y->shape, x->shape)) return build(t->g, x, y);
    }
    return build(t->g, x, trial_param(t, param_type(t), rng_chance(&t->r, 2) ? x->shape : shape1(x->shape.dim[x->shape.rank - 1]), 1));
}

/* act(f(x) + y) with f a sum that keeps the shape. */
static tensor *make_sum(garden *d, tensor *x) {
    trial *t = d->t;
    tensor *y = pick(d), *f;
    size_t c = x->shape.dim[x->shape.rank - 1];
    if (x->shape.rank == 4 && rng_chance(&t->r, 2)) f = rng_chance(&t->r, 2) ? make_depthwise(t, x, 3, 1) : make_conv(t, x, c, rng_chance(&t->r, 2) ? 3 : 1, 1, true);
    else f = linear(t->g, x, trial_param(t, param_type(t), shape2(c, c), 0.3f), maybe_bias(t, c));
    if (!shape_equal(x->shape, y->shape)) y = x;
    if (rng_chance(&t->r, 4)) return activate(t, f);
    return activate(t, rng_chance(&t->r, 2) ? add(t->g, f, y) : add(t->g, y, f));
}

static tensor *make_norm(trial *t, tensor *x) {
    size_t c = x->shape.dim[x->shape.rank - 1], groups = c % 4 == 0 ? 4 : 1;
    tensor *gamma = trial_param(t, param_type(t), shape1(c), 1), *beta = trial_param(t, param_type(t), shape1(c), 1);
    /* A large epsilon: of nearly equal numbers a norm would make much of nothing but rounding. */
    return x->shape.rank > 1 && rng_chance(&t->r, 2) ? group_norm(t->g, x, gamma, beta, (int)groups, 0.1f) : x->shape.rank > 1 ? layer_norm(t->g, x, gamma, beta, 0.1f) : x;
}

/* silu(group_norm(conv(x) + time)), time a vector of each picture or of all, or something in their shape that must not be taken for one. */
static tensor *make_timed(garden *d, tensor *x) {
    trial *t = d->t;
    size_t c = x->shape.dim[3], n = x->shape.dim[0];
    tensor *h = rng_chance(&t->r, 2) ? make_conv(t, x, c, rng_chance(&t->r, 2) ? 3 : 1, 1, true) : x;
    nn_shape s = rng_chance(&t->r, 8) ? shape4(1, x->shape.dim[1], 1, c) : rng_chance(&t->r, 2) ? shape4(n, 1, 1, c) : shape4(1, 1, 1, c);
    size_t begin[NN_MAX_RANK] = { 0 };
    tensor *time = rng_chance(&t->r, 4) ? trial_param(t, param_type(t), s, 1) : slice(t->g, x, begin, s);
    if (rng_chance(&t->r, 4)) time = silu(t->g, time);
    h = add(t->g, h, time);
    if (rng_chance(&t->r, 10)) plant(d, h);
    h = make_norm(t, h);
    if (rng_chance(&t->r, 10)) graph_output(t->g, h);
    return rng_chance(&t->r, 4) ? h : silu(t->g, h);
}

/* linear, and an activation behind it; geglu wants many rows before it is fused. */
static tensor *make_activated(trial *t, tensor *x) {
    static tensor *(*const functions[])(graph *g, tensor *x) = { silu, gelu, quick_gelu, geglu, geglu };
    size_t k = rng_next(&t->r) % 5, c = x->shape.dim[x->shape.rank - 1];
    if (rng_chance(&t->r, 5)) return functions[k % 3](t->g, x);
    size_t wide = 2 * rng_channels(&t->r, 20);
    tensor *y = linear(t->g, x, trial_param(t, param_type(t), shape2(wide, c), 0.3f), maybe_bias(t, wide));
    return functions[k](t->g, y);
}

static tensor *grow(garden *d) {
    trial *t = d->t;
    tensor *p = pick_picture(d), *x = pick(d);
    size_t h = p->shape.dim[1], w = p->shape.dim[2], side = h < w ? h : w;
    switch (rng_next(&t->r) % 22) {
    case 16: case 17: return make_timed(d, p);
    case 18: return make_norm(t, x);
    case 19: return make_activated(t, x);
    case 20: return h < 30 && w < 30 ? upsample_nearest(t->g, p, rng_chance(&t->r, 2) ? 2 * h : h + 1, 2 * w) : NULL;
    case 21: return add_scaled(t->g, x, x, trial_param(t, NN_F32, shape1(1), 1));
    case 0: case 1: case 2: case 3: case 4: return make_block(d, p);
    case 14: case 15: return make_sum(d, x);
    case 5: return activate(t, make_conv(t, p, rng_channels(&t->r, 50), side >= 3 && rng_chance(&t->r, 2) ? 3 : 1, (int)rng_between(&t->r, 1, 2), rng_chance(&t->r, 2)));
    case 6: return activate(t, make_depthwise(t, p, 3, (int)rng_between(&t->r, 1, 2)));
    case 7: return side > 1 ? max_pool2d(t->g, p, 2, rng_chance(&t->r, 4) ? 1 : 2) : relu(t->g, p);
    case 8: return pad_channels(t->g, x, rng_between(&t->r, 1, 20));
    case 9: return make_concat(d, x);
    case 10: return make_view(t, x);
    case 11: return make_slice(t, x);
    case 12: return make_pair(d, x);
    default:
        if (rng_chance(&t->r, 2)) return activate(t, x);
        return linear(t->g, x, trial_param(t, param_type(t), shape2(rng_channels(&t->r, 40), x->shape.dim[x->shape.rank - 1]), 0.3f), NULL);
    }
}

static void make_graph(trial *t, uint64_t seed, tolerance *tol) {
    trial_begin(t, seed);
    garden d = { .t = t };
    bool ordered = !rng_chance(&t->r, 3), bf16 = !ordered && rng_chance(&t->r, 2);
    if (!ordered) *tol = bf16 ? (tolerance){ .relative = 0x1p-5, .of_rms = 0x1p-4 } : (tolerance){ .of_rms = 1e-4 };
    else *tol = (tolerance){ 0 };
    t->wild = t->wild && ordered;
    graph_set_ordered(t->g, ordered);
    for (size_t i = rng_between(&t->r, 1, 2); i--;)
        plant(&d, trial_input(t, bf16 ? NN_BF16 : NN_F32, shape4(rng_chance(&t->r, 6) ? 2 : 1, rng_between(&t->r, 1, 16), rng_between(&t->r, 1, 16), rng_channels(&t->r, 40))));
    tensor *last = NULL;
    for (size_t steps = rng_between(&t->r, 2, bf16 ? 5 : 16); steps;) {
        tensor *y = grow(&d);
        if (graph_failed(t->g)) break;
        if (!y) continue;
        steps--;
        last = y;
        if (shape_elements(y->shape) > MOST_ELEMENTS) continue;   /* an end: too large to go on from */
        plant(&d, y);
        if (rng_chance(&t->r, 7)) graph_output(t->g, y);
    }
    graph_output(t->g, last);
    if (graph_check(t->g) == 0) return;
    printf("check_graphs: a bad graph (seed %" PRIu64 "): %s\n", seed, error_message());
    exit(1);
}

static void describe(const trial *t) {
    for (size_t i = 0; i < graph_nodes(t->g); i++) {
        char shape[96];
        const node *n = graph_node(t->g, i);
        printf("    %3zu %-18s", n->out[0]->index, n->op->name);
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k]) printf(" %zu:%s%s", n->in[k]->index, n->in[k]->kind == TENSOR_PARAM ? "param " : n->in[k]->kind == TENSOR_INPUT ? "input " : "", shape_text(n->in[k]->shape, shape, sizeof shape));
        printf(" -> %s%s\n", shape_text(n->out[0]->shape, shape, sizeof shape), n->out[0]->output ? " output" : "");
    }
}

/* ---- running them ------------------------------------------------------------------------------------------------------- */

typedef struct { const char *what; const trial *t; const plan *p; float **truth; tolerance tol; bool good; } runner;

static bool run_once(const runner *r, workspace *w) {
    double worst = 0;
    trial_set_inputs(r->t, r->p, w);
    plan_run(r->p, w, NULL);
    return trial_compare(r->what, r->t, r->p, w, r->truth, &r->tol, &worst);
}

static bool over_garbage(const runner *r) {
    static const int garbage[] = { 0xff, 0x55 };
    workspace *w = workspace_new(plan_bytes(r->p));
    bool good = w != NULL;
    for (int k = 0; k < 2 && good; k++) {
        workspace_fill(w, plan_bytes(r->p), garbage[k]);
        good = run_once(r, w) && run_once(r, w);
    }
    workspace_free(w);
    return good;
}

static bool take_turns(const runner *a, const runner *b) {
    size_t bytes = plan_bytes(a->p) > plan_bytes(b->p) ? plan_bytes(a->p) : plan_bytes(b->p);
    workspace *w = workspace_new(bytes);
    if (!w) return false;
    workspace_fill(w, bytes, 0xff);
    bool good = run_once(a, w) && run_once(b, w) && run_once(a, w) && run_once(b, w);
    workspace_free(w);
    return good;
}

static void *run_thread(void *context) {
    runner *r = context;
    workspace *w = workspace_new(plan_bytes(r->p));
    r->good = w != NULL;
    for (int i = 0; i < 4 && r->good; i++) r->good = run_once(r, w);
    workspace_free(w);
    return NULL;
}

static bool at_once(const runner *r) {
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    runner each[THREADS];
    bool good = true;
    for (int i = 0; i < THREADS; i++) {
        each[i] = *r;
        if (pthread_create(&threads[i], NULL, run_thread, &each[i])) abort();
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        good &= each[i].good;
    }
    return good;
}

typedef struct { const char *level, *kernel; device *d; size_t used; } column;   /* a level, or one of its kernels alone */

/* The kernels of all levels, each by itself on its level, behind the whole levels. */
static size_t make_columns(column *columns, size_t room) {
    size_t n = 0;
    for (int cap = CPU_REFERENCE; cap <= (int)cpu_level_here(); cap++) columns[n++] = (column){ cpu_level_name((cpu_level)cap), "", device_cpu((cpu_level)cap), 0 };
    for (size_t l = 0, levels = n; l < levels; l++)
        for (size_t k = 0; k < device_kernels(columns[l].d) && n < room; k++) {
            const kernel *only = device_kernel(columns[l].d, k);
            bool known = false;   /* levels share kernels */
            for (size_t i = levels; i < n; i++) known |= device_kernel(columns[i].d, 0) == only;
            if (known) continue;
            columns[n] = (column){ columns[l].level, only->name, device_new(device_level(columns[l].d)), 0 };
            if (!columns[n].d || device_add(columns[n].d, only) < 0) abort();
            n++;
        }
    return n;
}

static bool uses_own_kernel(const plan *p, const device *d) {
    for (size_t i = 0; i < plan_steps(p); i++)
        for (size_t k = 0; k < device_kernels(d); k++)
            if (plan_step(p, i)->kernel == device_kernel(d, k)) return true;
    return false;
}

static bool try_column(column *c, const trial *a, const trial *b, float **truth_a, float **truth_b, const tolerance *tol_a, const tolerance *tol_b, uint64_t seed) {
    char what[160];
    plan_options options = { .threads = 1 + (int)(seed % 3) };
    snprintf(what, sizeof what, "%s %s, %d threads", c->level, c->kernel, options.threads);
    params *weights = params_new();
    plan *pa = plan_new(a->g, c->d, weights, &options), *pb = plan_new(b->g, c->d, weights, &options);
    bool good = (pa && pb) || (!pa && trial_may_be_refused(a, c->d)) || trial_may_be_refused(b, c->d);
    if (!good) printf("%s: %s\n", what, error_message());
    else if (pa && pb && (!device_kernels(c->d) || uses_own_kernel(pa, c->d))) {
        runner ra = { what, a, pa, truth_a, *tol_a, true }, rb = { what, b, pb, truth_b, *tol_b, true };
        c->used++;
        good = over_garbage(&ra) && take_turns(&ra, &rb) && (seed % 4 || at_once(&ra));
    }
    plan_free(pa);
    plan_free(pb);
    params_free(weights);
    return good;
}

/* Graph `seed` at every column, with the next seed's graph as its partner. */
static bool try_case(uint64_t seed, column *columns, size_t n, bool verbose) {
    trial a, b;
    tolerance tol_a, tol_b;
    bool good = true;
    make_graph(&a, seed, &tol_a);
    make_graph(&b, seed + 1, &tol_b);
    float **truth_a = trial_truth(&a), **truth_b = trial_truth(&b);
    if (verbose) {
        printf("seed %" PRIu64 "%s%s\n", seed, tol_a.of_rms > 0 ? "" : ", ordered", a.wild ? ", wild numbers" : "");
        describe(&a);
    }
    for (size_t i = 0; i < n; i++) good &= try_column(&columns[i], &a, &b, truth_a, truth_b, &tol_a, &tol_b, seed);
    if (!good) describe(&a);
    truth_free(&a, truth_a);
    truth_free(&b, truth_b);
    trial_end(&a);
    trial_end(&b);
    return good;
}

/* ---- all of it ---------------------------------------------------------------------------------------------------------- */

static int misuse(void) {
    fprintf(stderr, "usage: check_graphs [--cases N] [--seed S] [--case I] [--verbose]\n");
    return 2;
}

int main(int argc, char **argv) {
    static const struct option options[] = { { "cases", 1, NULL, 'c' }, { "seed", 1, NULL, 's' }, { "case", 1, NULL, 'i' }, { "verbose", 0, NULL, 'v' }, { NULL, 0, NULL, 0 } };
    uint64_t seed = 1, cases = 60, only = UINT64_MAX;
    bool verbose = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        char *end = NULL;
        uint64_t x = optarg ? strtoull(optarg, &end, 0) : 0;
        if (c == '?' || (optarg && (*end || !*optarg))) return misuse();
        if (c == 'c') cases = x;
        if (c == 's') seed = x;
        if (c == 'i') only = x;
        if (c == 'v') verbose = true;
    }
    if (optind < argc) return misuse();
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("check_graphs --seed %" PRIu64 " --cases %" PRIu64 "\n", seed, cases);
    column columns[256];
    size_t n = make_columns(columns, sizeof columns / sizeof *columns), failed = 0;
    for (uint64_t i = 0; i < cases && failed < 10; i++) {
        if ((only != UINT64_MAX && i != only) || try_case(seed * 1000003 + i, columns, n, verbose)) continue;
        printf("    again: check_graphs --seed %" PRIu64 " --cases %" PRIu64 " --case %" PRIu64 "\n", seed, cases, i);
        failed++;
    }
    for (size_t i = 0; i < n; i++) {
        printf("%-12s %-36s %6zu graphs\n", columns[i].level, columns[i].kernel, columns[i].used);
        device_free(columns[i].d);
    }
    printf("%zu failed\n", failed);
    return failed != 0;
}
