/* SPDX-License-Identifier: Apache-2.0
 *
 * Recomputation (Griewank and Walther 2000; Chen et al. 2016, "sublinear memory"): what the forward pass made and the
 * backward pass reads is dropped in between and made again. It works on steps, after kernels are chosen: a repeated
 * step is the same kernel with the same state on equal inputs, so that bits do not depend on how much is repeated, and
 * what was fused stays fused.
 *
 * Steps that end in an addition are not repeated: in residual networks these are the stream between branches, and from
 * them any branch can be made again without the one before it. The others are taken in order of what they cost for the
 * memory they free. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "nn/ops.h"
#include "nn/plan_parts.h"

typedef struct {
    plan *p;
    arena memory;
    planned_step *first;        /* the plan without repetition */
    size_t n_first, n_values, forward;
    size_t *writer;             /* by root value: the step that makes it, or NO_VALUE */
    double *cost;               /* by forward step: seconds a byte; below 0: never repeated */
    bool *chosen;
    /* Of one attempt: */
    size_t *version;            /* by value of the first plan: the value that stands for it now */
    bool *rewritten;            /* by root value: states that have been */
    size_t offender;            /* a chosen step whose state was rewritten before it could be repeated */
} job;

static size_t root_of(const plan *p, size_t v) { return p->values[v].alias; }

/* ---- what may be repeated, and what it costs ----------------------------------------------------------------------------- */

static const op *root_op(const planned_step *s) { return s->step.match.n_nodes ? s->step.match.nodes[0]->op : NULL; }

static bool writes_state(const planned_step *s) {
    for (int i = 0; i < s->step.match.n_nodes; i++)
        if (s->step.match.nodes[i]->op->writes) return true;
    return false;
}

static size_t value_bytes(const plan *p, size_t v) { return p->values[v].layout.elements * nn_type_bytes(p->values[v].t->type); }

/* Orders of magnitude are enough: it is for comparing. */
static double seconds_of(const plan *p, const planned_step *s) {
    double bytes = 0;
    for (int k = 0; k < s->step.match.n_in; k++) bytes += (double)value_bytes(p, s->in[k]);
    for (int k = 0; k < s->step.match.n_out; k++) bytes += (double)value_bytes(p, s->out[k]);
    return s->flops / 4e11 + bytes / 2e10;
}

/* Root values that are read in the backward pass. */
static void mark_late(const job *j, bool *late) {
    for (size_t i = j->forward; i < j->n_first; i++)
        for (int k = 0; k < j->first[i].step.match.n_in; k++) late[root_of(j->p, j->first[i].in[k])] = true;
}

/* Values and their views of which somebody outside the plan reads. */
static void mark_outputs(const job *j, bool *out) {
    for (size_t v = 0; v < j->n_values; v++)
        if (j->p->values[v].t->output) out[root_of(j->p, v)] = true;
}

static void rate(job *j, const bool *late, const bool *out) {
    for (size_t i = 0; i < j->forward; i++) {
        const planned_step *s = &j->first[i];
        double bytes = 0;
        bool may = root_op(s) && root_op(s) != &op_add && !writes_state(s);
        for (int k = 0; k < s->step.match.n_out && may; k++) {
            size_t root = root_of(j->p, s->out[k]);
            may = !out[root];
            if (late[root]) bytes += (double)value_bytes(j->p, root);
        }
        j->cost[i] = may && bytes > 0 ? seconds_of(j->p, s) / bytes : -1;
    }
}

/* ---- one attempt --------------------------------------------------------------------------------------------------------- */

/* The value that stands for v, a view if v is one. */
static size_t current(job *j, size_t v) {
    plan *p = j->p;
    size_t root = root_of(p, v), now = j->version[root];
    if (v == root || now == root) return v == root ? now : v;
    if (j->version[v] != v && root_of(p, j->version[v]) == now) return j->version[v];
    p->values[p->n_values] = p->values[v];
    p->values[p->n_values].alias = now;
    return j->version[v] = p->n_values++;
}

/* Makes what step s reads, as far as it has to be repeated, and then s with its operands as they are now. */
static int append(job *j, const planned_step *s);

static int append_again(job *j, size_t step) {
    plan *p = j->p;
    planned_step copy = j->first[step];
    copy.again = true;
    for (int k = 0; k < copy.step.match.n_in; k++) {
        size_t root = root_of(p, copy.in[k]);
        if (j->rewritten[root]) return j->offender = step, ERR_LIMIT;
    }
    int rc = append(j, &copy);
    if (rc < 0) return rc;
    planned_step *made = &p->steps[p->n_steps - 1];
    for (int k = 0; k < made->step.match.n_out; k++) {
        size_t v = made->out[k];   /* outputs are roots: a view has no writer */
        p->values[p->n_values] = p->values[v];
        p->values[p->n_values].alias = p->n_values;
        j->version[v] = made->out[k] = p->n_values++;
    }
    p->flops_again += made->flops;
    p->steps_again++;
    return 0;
}

static int append(job *j, const planned_step *s) {
    plan *p = j->p;
    planned_step made = *s;
    for (int k = 0; k < s->step.match.n_in; k++) {
        size_t root = root_of(p, s->in[k]), writer = j->writer[root];
        if (writer != NO_VALUE && j->chosen[writer] && j->version[root] == root) {
            int rc = append_again(j, writer);
            if (rc < 0) return rc;
        }
        made.in[k] = current(j, s->in[k]);
    }
    p->steps[p->n_steps++] = made;
    return 0;
}

static void note_writes(job *j, const planned_step *s) {
    for (int i = 0; i < s->step.match.n_nodes; i++) {
        const node *n = s->step.match.nodes[i];
        for (int k = 0; k < n->n_in; k++)
            if ((n->op->writes >> k & 1) && n->in[k]) j->rewritten[root_of(j->p, j->p->of[n->in[k]->index].made)] = true;
    }
}

/* The steps with what is chosen repeated, and their places. ERR_LIMIT, with the offender, if a state is in the way. */
static int attempt(job *j) {
    plan *p = j->p;
    p->n_values = j->n_values;
    p->n_steps = 0;
    p->steps_again = 0;
    p->flops_again = 0;
    for (size_t v = 0; v < j->n_values; v++) {
        j->version[v] = v;
        j->rewritten[v] = false;
    }
    for (size_t i = 0; i < j->n_first; i++) {
        if (i < j->forward) p->steps[p->n_steps++] = j->first[i];
        else {
            int rc = append(j, &j->first[i]);
            if (rc < 0) return rc;
        }
        note_writes(j, &j->first[i]);
    }
    return plan_place(p);
}

static int attempt_without_offenders(job *j) {
    int rc;
    j->offender = NO_VALUE;
    while ((rc = attempt(j)) == ERR_LIMIT && j->offender != NO_VALUE) {
        j->chosen[j->offender] = false;
        j->cost[j->offender] = -1;
        j->offender = NO_VALUE;
    }
    return rc;
}

/* ---- choosing ------------------------------------------------------------------------------------------------------------ */

typedef struct { double cost; size_t step; } candidate;

static int by_cost(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    return x->step < y->step ? -1 : 1;
}

static int try_first(job *j, const candidate *list, size_t n) {
    memset(j->chosen, 0, j->n_first * sizeof *j->chosen);
    for (size_t i = 0; i < n; i++)
        if (j->cost[list[i].step] >= 0) j->chosen[list[i].step] = true;
    return attempt_without_offenders(j);
}

enum { LEVELS = 24 };   /* amounts of repetition that are tried */

/* *least: of what was tried, if none will do. */
static int choose(job *j, size_t limit, size_t *least) {
    candidate *list = arena_new(&j->memory, j->n_first + 1, sizeof *list);
    size_t n = 0;
    *least = j->p->bytes_kept;
    if (!list) return error_memory(j->n_first * sizeof *list);
    for (size_t i = 0; i < j->forward; i++)
        if (j->cost[i] >= 0) list[n++] = (candidate){ j->cost[i], i };
    qsort(list, n, sizeof *list, by_cost);
    for (size_t level = 1, before = 0; level <= LEVELS; level++) {
        size_t take = n * level / LEVELS;
        if (take == before) continue;
        before = take;
        int rc = try_first(j, list, take);
        if (rc < 0) return rc;
        if (j->p->bytes < *least) *least = j->p->bytes;
        if (j->p->bytes <= limit) return 0;
    }
    return error_set(ERR_LIMIT,
                     "%.2f GB of memory are needed for what the backward pass reads and %.2f GB may be used; "
                     "with recomputation it is %.2f GB at least",
                     (double)j->p->bytes_kept * 1e-9, (double)limit * 1e-9, (double)*least * 1e-9);
}

static size_t forward_steps(const plan *p) {
    size_t i = 0;
    for (; i < p->n_steps; i++) {
        const kernel_match *m = &p->steps[i].step.match;
        if (m->n_nodes && m->nodes[0]->index >= graph_forward(p->g)) break;
    }
    return i;
}

static int recompute(plan *p, size_t limit, size_t *least) {
    job j = { .p = p, .first = p->steps, .n_first = p->n_steps, .n_values = p->n_values, .forward = forward_steps(p) };
    /* Each value at most once more. */
    planned_step *steps = calloc(2 * j.n_first + 1, sizeof *steps);
    value *values = realloc(p->values, (2 * j.n_values + 1) * sizeof *values);
    if (values) p->values = values;
    bool *late = arena_new(&j.memory, j.n_values + 1, 1), *out = arena_new(&j.memory, j.n_values + 1, 1);
    j.writer = arena_new(&j.memory, j.n_values + 1, sizeof *j.writer);
    j.version = arena_new(&j.memory, j.n_values + 1, sizeof *j.version);
    j.rewritten = arena_new(&j.memory, j.n_values + 1, 1);
    j.cost = arena_new(&j.memory, j.n_first + 1, sizeof *j.cost);
    j.chosen = arena_new(&j.memory, j.n_first + 1, 1);
    if (!steps || !values || !late || !out || !j.writer || !j.version || !j.rewritten || !j.cost || !j.chosen) {
        free(steps);
        arena_free(&j.memory);
        return error_memory(2 * j.n_first * sizeof *steps);
    }
    for (size_t v = 0; v < j.n_values; v++) j.writer[v] = NO_VALUE;
    for (size_t i = 0; i < j.forward; i++)
        for (int k = 0; k < j.first[i].step.match.n_out; k++) j.writer[j.first[i].out[k]] = i;
    mark_late(&j, late);
    mark_outputs(&j, out);
    rate(&j, late, out);
    p->steps = steps;
    int rc = choose(&j, limit, least);
    if (rc < 0) {   /* back to what it was */
        free(steps);
        p->steps = j.first;
        p->n_steps = j.n_first;
        p->n_values = j.n_values;
        p->steps_again = 0;
        p->flops_again = 0;
        if (plan_place(p) < 0) rc = error_code();
    } else {
        free(j.first);
    }
    arena_free(&j.memory);
    return rc;
}

int plan_recompute(plan *p, size_t limit) {
    size_t least;
    return recompute(p, limit, &least);
}

int plan_least(plan *p, size_t *bytes) {
    *bytes = p->bytes;
    if (p->steps_again || forward_steps(p) == p->n_steps) return 0;
    int rc = recompute(p, 0, bytes);
    return rc == ERR_LIMIT ? 0 : rc;
}
