/* SPDX-License-Identifier: Apache-2.0
 *
 * Planning, in this order: cover the graph with kernels from its end; settle each tensor's layout, with a copy where
 * two kernels disagree; let the kernels prepare (pack parameters, ask for scratch); place everything in one block of
 * memory by lifetime (nn/place.h). */
#include "nn/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/error.h"
#include "nn/place.h"
#include "nn/reference/reference.h"

/* A tensor in one layout. */
typedef struct {
    const tensor *t;
    nn_layout layout;
    size_t alias;        /* index of the value whose memory it shares (a view), or its own */
    size_t offset;       /* of its first element, in bytes */
    int first, last;     /* steps between which it must be kept; first is where it is written */
    bool used;
} value;

typedef struct {
    kernel_step step;    /* first: callers see only this */
    size_t in[KERNEL_MAX_IN], out[KERNEL_MAX_OUT];   /* values */
    size_t scratch;      /* offset */
    double flops;
} planned_step;

/* Two values a tensor at most: as it is made, and a copy in the other layout. */
typedef struct { size_t made, copy; } tensor_values;

struct plan {
    const graph *g;
    int threads;
    planned_step *steps;
    size_t n_steps, steps_room;
    value *values;
    size_t n_values;
    tensor_values *of;      /* by tensor index; NONE where there is none */
    size_t bytes;
    double flops;
};

struct workspace {
    char *memory;
    size_t bytes;
    double *seconds;        /* by step, while profiling */
    const plan *profiled;
    size_t runs;
};

#define NONE ((size_t)-1)

/* ---- covering ---------------------------------------------------------------------------------------------------- */

static bool is_view(const node *n) { return n->op->view; }

/* A kernel's mistakes, never the graph's: too many operands, or a swallowed tensor that others want. */
static void check_match(const kernel_match *m, const node *root) {
    assert(m->n_nodes <= KERNEL_MAX_NODES && m->n_in <= KERNEL_MAX_IN && m->n_out <= KERNEL_MAX_OUT && m->n_param <= KERNEL_MAX_PARAM);
    for (int i = 0; i < m->n_nodes; i++)
        for (int k = 0; k < m->nodes[i]->n_out && m->nodes[i] != root; k++) assert(match_inner(m->nodes[i]->out[k]));
    (void)m, (void)root;
}

/* Puts the steps, in reverse order of computation, into p->steps. covered[node] is left true for all but views. */
static int cover(plan *p, const device *d, bool *needed, bool *covered) {
    const graph *g = p->g;
    for (size_t i = 0; i < graph_tensors(g); i++) needed[i] = graph_tensor(g, i)->output;
    for (size_t i = graph_nodes(g); i-- > 0;) {
        node *n = graph_node(g, i);
        bool wanted = false;
        for (int k = 0; k < n->n_out; k++) wanted |= needed[n->out[k]->index];
        if (!wanted || covered[i]) continue;
        if (is_view(n)) {
            needed[n->in[0]->index] = true;
            continue;
        }
        planned_step *s = &p->steps[p->n_steps++];
        bool found = false;
        for (size_t k = 0; k < device_kernels(d) && !found; k++) {
            const kernel *candidate = device_kernel(d, k);
            if (candidate->root != n->op) continue;
            s->step.match = (kernel_match){ 0 };
            if ((found = candidate->match(candidate, n, &s->step.match))) s->step.kernel = candidate;
        }
        if (!found) {
            s->step.match = (kernel_match){ 0 };
            reference_kernel.match(&reference_kernel, n, &s->step.match);
            s->step.kernel = &reference_kernel;
        }
        check_match(&s->step.match, n);
        for (int k = 0; k < s->step.match.n_nodes; k++) {
            const node *m = s->step.match.nodes[k];
            covered[m->index] = true;
            if (m->op->flops) s->flops += m->op->flops(m);
        }
        for (int k = 0; k < s->step.match.n_in; k++) needed[s->step.match.in[k]->index] = true;
    }
    for (size_t a = 0, b = p->n_steps; a + 1 < b; a++) {   /* into order */
        planned_step swap = p->steps[--b];
        p->steps[b] = p->steps[a];
        p->steps[a] = swap;
    }
    return 0;
}

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

static bool plain(const layout_need *n) { return n->border == 0 && n->channel_multiple <= 1; }

static void need_union(layout_need *into, const layout_need *n) {
    if (n->border > into->border) into->border = n->border;
    size_t a = into->channel_multiple ? into->channel_multiple : 1, b = n->channel_multiple ? n->channel_multiple : 1;
    size_t x = a, y = b;
    while (y) {   /* greatest common divisor */
        size_t r = x % y;
        x = y;
        y = r;
    }
    into->channel_multiple = a / x * b;
}

static int layout_make(const tensor *t, const layout_need *need, nn_layout *out) {
    const nn_shape s = t->shape;
    size_t multiple = need->channel_multiple ? need->channel_multiple : 1, b = s.rank == 4 ? need->border : 0;
    size_t c = (s.dim[s.rank - 1] + multiple - 1) / multiple * multiple;
    nn_layout l = { .border = b };
    l.stride[s.rank - 1] = 1;
    size_t step = s.rank > 1 ? c : s.dim[0];
    for (int i = s.rank - 2; i >= 0; i--) {
        l.stride[i] = step;
        size_t extent = s.dim[i] + (s.rank == 4 && i > 0 ? 2 * b : 0);
        if (__builtin_mul_overflow(step, extent, &step) || step > (size_t)1 << 48)
            return error_set(ERR_LIMIT, "tensor %s is too large", t->name);
    }
    if (b) l.lead = b * l.stride[1] + b * l.stride[2];
    l.elements = step;
    *out = l;
    return 0;
}

static bool satisfies(const tensor *t, const nn_layout *l, const layout_need *need) {
    if (!need->strided) return l->border == 0 && l->elements == shape_elements(t->shape);
    size_t pixel = t->shape.rank > 1 ? l->stride[t->shape.rank - 2] : t->shape.dim[0];
    return l->border >= need->border && (need->channel_multiple <= 1 || pixel % need->channel_multiple == 0);
}

static size_t value_add(plan *p, const tensor *t, const nn_layout *l) {
    p->values[p->n_values] = (value){ .t = t, .layout = *l, .alias = p->n_values, .first = -1, .last = -1 };
    return p->n_values++;
}

typedef struct {
    layout_need wish;      /* union of what strided readers ask for */
    bool plain_reader, padded_reader, strided_writer, live;
    layout_need writer;
} demand;

static void gather(plan *p, const bool *needed, const bool *covered, demand *of) {
    const graph *g = p->g;
    for (size_t i = 0; i < p->n_steps; i++) {
        const kernel_match *m = &p->steps[i].step.match;
        for (int k = 0; k < m->n_in; k++) {
            demand *d = &of[m->in[k]->index];
            d->live = true;
            if (!m->in_need[k].strided) d->plain_reader = true;
            else need_union(&d->wish, &m->in_need[k]);
            if (!plain(&m->in_need[k])) d->padded_reader = true;
        }
        for (int k = 0; k < m->n_out; k++) {
            demand *d = &of[m->out[k]->index];
            d->live = true;
            d->strided_writer = m->out_need[k].strided;
            d->writer = m->out_need[k];
        }
    }
    for (size_t i = 0; i < graph_nodes(g); i++) {
        const node *n = graph_node(g, i);
        if (!is_view(n) || covered[i] || !needed[n->out[0]->index]) continue;
        of[n->in[0]->index].live = of[n->in[0]->index].plain_reader = true;
        of[n->out[0]->index].live = true;
    }
    for (size_t i = 0; i < graph_tensors(g); i++) {
        if (graph_tensor(g, i)->output) of[i].live = of[i].plain_reader = true;
        else if (graph_tensor(g, i)->kind == TENSOR_INPUT) of[i].live = true;   /* the caller writes it, read or not */
    }
}

/* Makes the one or two values of every live tensor. */
static int settle(plan *p, const demand *of) {
    const graph *g = p->g;
    for (size_t i = 0; i < graph_tensors(g); i++) {
        const tensor *t = graph_tensor(g, i);
        const demand *d = &of[i];
        p->of[i] = (tensor_values){ NONE, NONE };
        if (!d->live) continue;
        if (t->kind == TENSOR_PARAM) return error_set(ERR_UNSUPPORTED, "tensor %s: a parameter cannot be an output or viewed", t->name);
        nn_layout flat, padded;
        layout_need wish = d->wish;
        if (d->strided_writer) need_union(&wish, &d->writer);
        int rc = layout_make(t, &(layout_need){ 0 }, &flat);
        if (rc == 0) rc = layout_make(t, &wish, &padded);
        if (rc < 0) return rc;
        /* One copy at most: a strided writer writes what its padded readers want, any other writes plain. */
        bool made_padded = d->strided_writer && padded.elements != flat.elements;
        p->of[i].made = value_add(p, t, made_padded ? &padded : &flat);
        if (made_padded && d->plain_reader) p->of[i].copy = value_add(p, t, &flat);
        if (!made_padded && d->padded_reader && padded.elements != flat.elements) p->of[i].copy = value_add(p, t, &padded);
    }
    return 0;
}

/* The value of t that meets the need. */
static size_t value_for(const plan *p, const tensor *t, const layout_need *need) {
    tensor_values v = p->of[t->index];
    if (satisfies(t, &p->values[v.made].layout, need)) return v.made;
    return v.copy;
}

static void copy_step(planned_step *s, plan *p, const tensor *t) {
    tensor_values v = p->of[t->index];
    *s = (planned_step){ .step.kernel = &relayout_kernel };
    s->step.match.in[0] = s->step.match.out[0] = (tensor *)t;
    s->step.match.n_in = s->step.match.n_out = 1;
    s->in[0] = v.made;
    s->out[0] = v.copy;
}

/* Binds operands to values and inserts the copies behind their writers. */
static int bind(plan *p) {
    const graph *g = p->g;
    planned_step *all = calloc(p->n_steps + graph_tensors(g) + 1, sizeof *all);
    if (!all) return error_memory((p->n_steps + graph_tensors(g)) * sizeof *all);
    size_t n = 0;
    /* Views share memory with what they view; a view's copy is made where the viewed tensor is. */
    for (size_t i = 0; i < graph_nodes(g); i++) {
        const node *v = graph_node(g, i);
        if (!is_view(v) || p->of[v->out[0]->index].made == NONE) continue;
        size_t from = value_for(p, v->in[0], &(layout_need){ 0 });
        p->values[p->of[v->out[0]->index].made].alias = p->values[from].alias;
    }
    bool *written = calloc(graph_tensors(g) + 1, sizeof *written);
    if (!written) {
        free(all);
        return error_memory(graph_tensors(g));
    }
    for (size_t i = 0; i <= p->n_steps; i++) {
        /* Copies of inputs, of views and of what the last step wrote: as soon as the values are there. */
        for (size_t t = 0; t < graph_tensors(g); t++) {
            const tensor *x = graph_tensor(g, t), *root = x;
            if (p->of[t].copy == NONE || written[t]) continue;
            while (root->kind == TENSOR_VALUE && is_view(root->producer)) root = root->producer->in[0];
            bool ready = root->kind == TENSOR_INPUT;
            for (size_t k = 0; k < i && !ready; k++)
                for (int o = 0; o < p->steps[k].step.match.n_out; o++) ready |= p->steps[k].step.match.out[o] == root;
            if (!ready) continue;
            copy_step(&all[n++], p, x);
            written[t] = true;
        }
        if (i == p->n_steps) break;
        planned_step *s = &all[n++];
        *s = p->steps[i];
        kernel_match *m = &s->step.match;
        for (int k = 0; k < m->n_in; k++) s->in[k] = value_for(p, m->in[k], &m->in_need[k]);
        for (int k = 0; k < m->n_out; k++) s->out[k] = p->of[m->out[k]->index].made;
    }
    free(written);
    free(p->steps);
    p->steps = all;
    p->n_steps = n;
    for (size_t i = 0; i < n; i++) {
        planned_step *s = &all[i];
        s->step.threads = p->threads;
        for (int k = 0; k < s->step.match.n_in; k++) s->step.in_layout[k] = p->values[s->in[k]].layout;
        for (int k = 0; k < s->step.match.n_out; k++) s->step.out_layout[k] = p->values[s->out[k]].layout;
    }
    return 0;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void keep(plan *p, size_t v, int step) {
    value *root = &p->values[p->values[v].alias];
    if (!root->used || step < root->first) root->first = step;
    if (!root->used || step > root->last) root->last = step;
    root->used = true;
}

static int place_all(plan *p) {
    int end = (int)p->n_steps;
    for (size_t i = 0; i < p->n_steps; i++) {
        for (int k = 0; k < p->steps[i].step.match.n_in; k++) keep(p, p->steps[i].in[k], (int)i);
        for (int k = 0; k < p->steps[i].step.match.n_out; k++) keep(p, p->steps[i].out[k], (int)i);
    }
    for (size_t i = 0; i < graph_tensors(p->g); i++) {
        const tensor *t = graph_tensor(p->g, i);
        if (p->of[i].made == NONE) continue;
        if (t->kind == TENSOR_INPUT) keep(p, p->of[i].made, -1);
        if (t->output) keep(p, value_for(p, t, &(layout_need){ 0 }), end);
    }
    place_item *items = calloc(p->n_values + p->n_steps + 1, sizeof *items);
    if (!items) return error_memory((p->n_values + p->n_steps) * sizeof *items);
    size_t n = 0;
    for (size_t i = 0; i < p->n_values; i++) {
        value *v = &p->values[i];
        if (v->alias != i || !v->used) continue;
        items[n++] = (place_item){ v->layout.elements * nn_type_bytes(v->t->type) + 64, v->first, v->last, 0 };
    }
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].step.scratch_bytes) items[n++] = (place_item){ p->steps[i].step.scratch_bytes, (int)i, (int)i, 0 };
    int rc = place(items, n, &p->bytes);
    n = 0;
    for (size_t i = 0; i < p->n_values && rc == 0; i++) {
        value *v = &p->values[i];
        if (v->alias == i && v->used) v->offset = items[n++].offset + v->layout.lead * nn_type_bytes(v->t->type);
    }
    for (size_t i = 0; i < p->n_values && rc == 0; i++) p->values[i].offset = p->values[p->values[i].alias].offset;
    for (size_t i = 0; i < p->n_steps && rc == 0; i++)
        if (p->steps[i].step.scratch_bytes) p->steps[i].scratch = items[n++].offset;
    free(items);
    return rc;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static int build(plan *p, const device *d, params *weights) {
    const graph *g = p->g;
    size_t tensors = graph_tensors(g), nodes = graph_nodes(g);
    arena scratch = { 0 };
    bool *needed = arena_new(&scratch, tensors + 1, 1), *covered = arena_new(&scratch, nodes + 1, 1);
    demand *demands = arena_new(&scratch, tensors + 1, sizeof *demands);
    p->steps = calloc(nodes + 1, sizeof *p->steps);
    p->of = calloc(tensors + 1, sizeof *p->of);
    p->values = calloc(2 * tensors + 1, sizeof *p->values);
    int rc = 0;
    if (!needed || !covered || !demands || !p->steps || !p->of || !p->values) rc = error_memory(nodes * sizeof *p->steps);
    if (rc == 0) rc = cover(p, d, needed, covered);
    if (rc == 0) gather(p, needed, covered, demands);
    if (rc == 0) rc = settle(p, demands);
    if (rc == 0) rc = bind(p);
    arena_free(&scratch);
    for (size_t i = 0; i < p->n_steps && rc == 0; i++) {
        rc = p->steps[i].step.kernel->prepare(&p->steps[i].step, weights);
        p->flops += p->steps[i].flops;
    }
    return rc < 0 ? rc : place_all(p);
}

plan *plan_new(const graph *g, const device *d, params *weights, const plan_options *options) {
    if (graph_check(g) < 0) return NULL;
    plan *p = calloc(1, sizeof *p);
    if (!p) return error_memory(sizeof *p), NULL;
    p->g = g;
    p->threads = options && options->threads > 1 ? options->threads : 1;
    if (build(p, d, weights) < 0) {
        plan_free(p);
        return NULL;
    }
    return p;
}

void plan_free(plan *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].step.kernel->release) p->steps[i].step.kernel->release(&p->steps[i].step);
    free(p->steps);
    free(p->of);
    free(p->values);
    free(p);
}

size_t plan_bytes(const plan *p) { return p->bytes; }
size_t plan_steps(const plan *p) { return p->n_steps; }
const kernel_step *plan_step(const plan *p, size_t i) { return &p->steps[i].step; }
double plan_flops(const plan *p) { return p->flops; }

/* ---- running ----------------------------------------------------------------------------------------------------- */

workspace *workspace_new(size_t bytes) {
    workspace *w = calloc(1, sizeof *w);
    size_t room = (bytes + 4095) & ~(size_t)4095;
    if (w && room >= bytes) w->memory = aligned_alloc(4096, room ? room : 4096);
    if (!w || !w->memory) {
        free(w);
        return error_memory(bytes), NULL;
    }
    w->bytes = room;
    return w;
}

void workspace_free(workspace *w) {
    if (!w) return;
    free(w->memory);
    free(w->seconds);
    free(w);
}

void *plan_tensor(const plan *p, workspace *w, const tensor *t) {
    if (p->of[t->index].made == NONE) return NULL;
    return w->memory + p->values[value_for(p, t, &(layout_need){ 0 })].offset;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void plan_run(const plan *p, workspace *w) {
    bool profile = w->profiled == p;
    double before = profile ? now() : 0;
    for (size_t i = 0; i < p->n_steps; i++) {
        const planned_step *s = &p->steps[i];
        const void *in[KERNEL_MAX_IN];
        void *out[KERNEL_MAX_OUT];
        for (int k = 0; k < s->step.match.n_in; k++) in[k] = w->memory + p->values[s->in[k]].offset;
        for (int k = 0; k < s->step.match.n_out; k++) out[k] = w->memory + p->values[s->out[k]].offset;
        s->step.kernel->run(&s->step, in, out, w->memory + s->scratch);
        if (profile) {
            double after = now();
            w->seconds[i] += after - before;
            before = after;
        }
    }
    w->runs += profile;
}

int workspace_profile(workspace *w, const plan *p) {
    free(w->seconds);
    w->profiled = NULL;
    w->runs = 0;
    w->seconds = calloc(p->n_steps + 1, sizeof *w->seconds);
    if (!w->seconds) return error_memory(p->n_steps * sizeof *w->seconds);
    w->profiled = p;
    return 0;
}

static double step_bytes(const plan *p, const planned_step *s) {
    double bytes = 0;
    for (int k = 0; k < s->step.match.n_in; k++) bytes += (double)(p->values[s->in[k]].layout.elements * nn_type_bytes(s->step.match.in[k]->type));
    for (int k = 0; k < s->step.match.n_out; k++) bytes += (double)(p->values[s->out[k]].layout.elements * nn_type_bytes(s->step.match.out[k]->type));
    for (int k = 0; k < s->step.match.n_param; k++)
        bytes += (double)(shape_elements(s->step.match.param[k]->shape) * nn_type_bytes(s->step.match.param[k]->type));
    return bytes;
}

void workspace_profile_print(const workspace *w, FILE *out) {
    const plan *p = w->profiled;
    if (!p || !w->runs) return;
    fprintf(out, "%-36s %6s %10s %10s %10s\n", "kernel", "steps", "ms/run", "GFLOP/s", "GB/s");
    for (size_t i = 0; i < p->n_steps; i++) {
        const kernel *k = p->steps[i].step.kernel;
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) seen = p->steps[j].step.kernel == k;
        if (seen) continue;
        double seconds = 0, flops = 0, bytes = 0;
        int steps = 0;
        for (size_t j = i; j < p->n_steps; j++) {
            if (p->steps[j].step.kernel != k) continue;
            steps++;
            seconds += w->seconds[j];
            flops += p->steps[j].flops;
            bytes += step_bytes(p, &p->steps[j]);
        }
        double each = seconds / (double)w->runs;
        fprintf(out, "%-36s %6d %10.4f %10.1f %10.1f\n", k->name, steps, each * 1e3, each > 0 ? flops / each * 1e-9 : 0, each > 0 ? bytes / each * 1e-9 : 0);
    }
}
