/* SPDX-License-Identifier: Apache-2.0
 *
 * Planning, in this order: cover the graph with kernels from its end; settle each tensor's layout, with a copy where
 * two kernels disagree; let the kernels prepare (pack parameters, ask for scratch); place everything in one block of
 * memory by lifetime (nn/place.h). plan_run.c runs what comes out. */
#include "nn/plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/stop.h"
#include "nn/place.h"
#include "nn/plan_parts.h"
#include "nn/reference/reference.h"

/* ---- covering ---------------------------------------------------------------------------------------------------- */

static bool is_view(const node *n) { return n->op->view; }

static bool exported(const kernel_match *m, const tensor *t) {
    for (int i = 0; i < m->n_out; i++)
        if (m->out[i] == t) return true;
    return false;
}

static bool swallowed(const kernel_match *m, const node *n) {
    for (int i = 0; i < m->n_nodes; i++)
        if (m->nodes[i] == n) return true;
    return false;
}

/* Whether all readers of t that are not swallowed come after the root, where the kernel runs. */
static bool read_after(const graph *g, const kernel_match *m, const tensor *t, const node *root) {
    for (size_t i = t->producer->index + 1; i < root->index; i++) {
        const node *n = graph_node(g, i);
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] == t && !swallowed(m, n)) return false;
    }
    return true;
}

/* Whether node n, which the kernel computes when it runs at root, reads no state that a node between the two rewrites. */
static bool reads_in_time(const graph *g, const node *n, const node *root) {
    for (size_t i = n->index + 1; i < root->index; i++) {
        const node *w = graph_node(g, i);
        for (int k = 0; w->op->writes && k < w->n_in; k++)
            for (int j = 0; (w->op->writes >> k & 1) && j < n->n_in; j++)
                if (w->in[k] && w->in[k] == n->in[j]) return false;
    }
    return true;
}

/* What a covered node makes must be the kernel's own affair, or nobody's, or one of its outputs that is not wanted before
 * the kernel runs. The first is the kernel's duty to know (match_inner); the last it cannot know, and is not taken here. */
static bool match_holds(const graph *g, const kernel_match *m, const node *root) {
    assert(m->n_nodes <= KERNEL_MAX_NODES && m->n_in <= KERNEL_MAX_IN && m->n_out <= KERNEL_MAX_OUT && m->n_param <= KERNEL_MAX_PARAM);
    for (int i = 0; i < m->n_nodes; i++) {
        if (!reads_in_time(g, m->nodes[i], root)) return false;
        for (int k = 0; k < m->nodes[i]->n_out; k++) {
            const tensor *t = m->nodes[i]->out[k];
            bool out = exported(m, t);
            assert(out || match_inner(t) || (t->uses == 0 && !t->output));
            if (out && !read_after(g, m, t, root)) return false;
        }
    }
    return true;
}

static int no_kernel(const node *n, cpu_level level) {
    char text[512], shape[96];
    size_t at = 0;
    for (int i = 0; i < n->n_in && at < sizeof text; i++)
        if (n->in[i])
            at += (size_t)snprintf(text + at, sizeof text - at, "%s %s %s %s", i ? "," : "", nn_type_name(n->in[i]->type), n->in[i]->name,
                                   shape_text(n->in[i]->shape, shape, sizeof shape));
    return error_set(ERR_UNSUPPORTED, "node %zu, %s of%s: no kernel of level %s computes it", n->index, n->op->name, text, cpu_level_name(level));
}

/* Asks the kernels, best first, for the node and what it wants of those before it; else the reference. */
static int choose_kernel(const plan *p, const device *d, const node *n, planned_step *s) {
    const graph *g = p->g;
    for (size_t k = 0; k < device_kernels(d); k++) {
        s->step.kernel = device_kernel(d, k);
        if (s->step.kernel->root != n->op) continue;
        s->step.match = (kernel_match){ 0 };
        if (s->step.kernel->match(s->step.kernel, n, &s->step.match) && match_holds(g, &s->step.match, n)) return 0;
    }
    if (p->no_reference) return no_kernel(n, device_level(d));
    s->step.kernel = &reference_kernel;
    s->step.match = (kernel_match){ 0 };
    reference_kernel.match(&reference_kernel, n, &s->step.match);
    return 0;
}

/* Puts the steps, in reverse order of computation, into p->steps. covered[node] is left true for all but views. */
static int cover(plan *p, const device *d, bool *needed, bool *covered) {
    const graph *g = p->g;
    for (size_t i = 0; i < graph_tensors(g); i++) needed[i] = graph_tensor(g, i)->output;
    for (size_t i = graph_nodes(g); i-- > 0;) {
        node *n = graph_node(g, i);
        bool wanted = n->op->writes != 0;
        for (int k = 0; k < n->n_out; k++) wanted |= needed[n->out[k]->index];
        if (!wanted || covered[i]) continue;
        if (is_view(n)) {
            needed[n->in[0]->index] = true;
            continue;
        }
        planned_step *s = &p->steps[p->n_steps++];
        int rc = choose_kernel(p, d, n, s);
        if (rc < 0) return p->n_steps--, rc;
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
    size_t step = c;
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
    size_t pixel = t->shape.rank > 1 ? l->stride[t->shape.rank - 2] : l->elements;
    return l->border >= (t->shape.rank == 4 ? need->border : 0) && (need->channel_multiple <= 1 || pixel % need->channel_multiple == 0);
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
        p->of[i] = (tensor_values){ NO_VALUE, NO_VALUE };
        if (!d->live) continue;
        if (t->kind == TENSOR_PARAM) return error_set(ERR_UNSUPPORTED, "tensor %s: a parameter cannot be an output or viewed", t->name);
        if (t->kind == TENSOR_STATE && d->padded_reader) return error_set(ERR_UNSUPPORTED, "tensor %s: no kernel can want another layout of a state", t->name);
        if (t->kind == TENSOR_STATE && !t->state) p->counted = true;
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
size_t plan_value(const plan *p, const tensor *t, const layout_need *need) {
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

/* Views share memory with what they view (its plain value). */
static void bind_views(plan *p) {
    for (size_t i = 0; i < graph_nodes(p->g); i++) {
        const node *v = graph_node(p->g, i);
        if (!is_view(v) || p->of[v->out[0]->index].made == NO_VALUE) continue;
        size_t from = plan_value(p, v->in[0], &(layout_need){ 0 });
        p->values[p->of[v->out[0]->index].made].alias = p->values[from].alias;
    }
}

/* after[t]: how many steps must have run before tensor t is there; 0 for inputs. */
static void when_written(const plan *p, size_t *after) {
    for (size_t i = 0; i < p->n_steps; i++)
        for (int k = 0; k < p->steps[i].step.match.n_out; k++) after[p->steps[i].step.match.out[k]->index] = i + 1;
    for (size_t i = 0; i < graph_nodes(p->g); i++) {
        const node *v = graph_node(p->g, i);
        if (is_view(v)) after[v->out[0]->index] = after[v->in[0]->index];
    }
}

/* Puts each copy as soon as what it copies is there: the steps are written anew into `all`. A view's copy comes behind the
 * copy that it views, for tensors are in building order. Lists by step: head[i] is the first tensor, next[t] the one after t. */
static void insert_copies(plan *p, planned_step *all, const size_t *after, size_t *head, size_t *next) {
    size_t n = 0, steps = p->n_steps;
    for (size_t i = 0; i <= steps; i++) head[i] = NO_VALUE;
    for (size_t t = graph_tensors(p->g); t-- > 0;) {
        if (p->of[t].copy == NO_VALUE) continue;
        next[t] = head[after[t]];
        head[after[t]] = t;
    }
    for (size_t i = 0; i <= steps; i++) {
        for (size_t t = head[i]; t != NO_VALUE; t = next[t]) copy_step(&all[n++], p, graph_tensor(p->g, t));
        if (i < steps) all[n++] = p->steps[i];
    }
    free(p->steps);
    p->steps = all;
    p->n_steps = n;
}

static void bind_operands(plan *p) {
    for (size_t i = 0; i < p->n_steps; i++) {
        planned_step *s = &p->steps[i];
        const kernel_match *m = &s->step.match;
        bool copy = s->step.kernel == &relayout_kernel;   /* is bound already */
        s->step.threads = p->threads;
        s->step.pack_once = p->pack_once;
        for (int k = 0; k < m->n_in; k++) {
            if (!copy) s->in[k] = plan_value(p, m->in[k], &m->in_need[k]);
            s->step.in_layout[k] = p->values[s->in[k]].layout;
        }
        for (int k = 0; k < m->n_out; k++) {
            if (!copy) s->out[k] = p->of[m->out[k]->index].made;
            s->step.out_layout[k] = p->values[s->out[k]].layout;
        }
    }
}

/* Binds operands to values and inserts the copies. */
static int bind(plan *p) {
    size_t tensors = graph_tensors(p->g);
    arena scratch = { 0 };
    size_t *after = arena_new(&scratch, tensors + 1, sizeof *after), *next = arena_new(&scratch, tensors + 1, sizeof *next);
    size_t *head = arena_new(&scratch, p->n_steps + 1, sizeof *head);
    planned_step *all = calloc(p->n_steps + tensors + 1, sizeof *all);
    bool room = after && next && head && all;
    if (room) {
        bind_views(p);
        when_written(p, after);
        insert_copies(p, all, after, head, next);
        bind_operands(p);
    } else {
        free(all);
    }
    arena_free(&scratch);
    return room ? 0 : error_memory((p->n_steps + tensors) * sizeof *all);
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

enum { PACK_AHEAD = 6 };   /* steps whose weights are fetched from the file meanwhile */

static void expect_params(const plan *p, size_t step, const params *weights) {
    if (step >= p->n_steps) return;
    const kernel_match *m = &p->steps[step].step.match;
    for (int k = 0; k < m->n_param; k++)
        if (!m->in_place[k]) params_expect(weights, m->param[k]);
}

static int build(plan *p, const device *d, params *weights, const plan_options *options) {
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
        if (stop_asked(options->stop)) {
            rc = error_set(ERR_CANCELLED, "stopped");
            break;
        }
        expect_params(p, i + PACK_AHEAD, weights);
        rc = p->steps[i].step.kernel->prepare(&p->steps[i].step, weights);
        p->flops += p->steps[i].flops;
    }
    if (rc == 0) rc = plan_place(p);
    p->bytes_kept = p->bytes;
    return rc == 0 && options->memory && p->bytes > options->memory ? plan_recompute(p, options->memory) : rc;
}

plan *plan_new(const graph *g, const device *d, params *weights, const plan_options *options) {
    if (graph_check(g) < 0) return NULL;
    plan *p = calloc(1, sizeof *p);
    if (!p) return error_memory(sizeof *p), NULL;
    plan_options how = options ? *options : (plan_options){ 0 };
    p->g = g;
    p->threads = how.threads > 1 ? how.threads : 1;
    p->no_reference = how.no_reference;
    p->pack_once = how.pack_once;
    p->counted = params_counts(weights);
    if (build(p, d, weights, &how) < 0) {
        plan_free(p);
        return NULL;
    }
    return p;
}

void plan_free(plan *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].step.kernel->release && !p->steps[i].again) p->steps[i].step.kernel->release(&p->steps[i].step);
    free(p->steps);
    free(p->of);
    free(p->values);
    free(p);
}

size_t plan_bytes(const plan *p) { return p->bytes; }
size_t plan_steps(const plan *p) { return p->n_steps; }
const kernel_step *plan_step(const plan *p, size_t i) { return &p->steps[i].step; }
double plan_flops(const plan *p) { return p->flops; }
plan_again plan_recomputed(const plan *p) { return (plan_again){ p->steps_again, p->flops_again, p->bytes_kept }; }
