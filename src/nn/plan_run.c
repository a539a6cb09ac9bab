/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/stop.h"
#include "nn/plan_parts.h"

struct workspace { char *memory; size_t bytes; };

/* From here on huge pages of 2 MB: short rows at long strides, as heads of tokens are, cost a page table walk each with small ones. */
enum { LARGE = 4 << 20 };

struct plan_profile {
    const plan *p;
    size_t runs;
    double seconds[];       /* by step */
};

workspace *workspace_new(size_t bytes) {
    workspace *w = calloc(1, sizeof *w);
    size_t page = bytes < LARGE ? 4096 : LARGE / 2, room = (bytes + page - 1) / page * page;
    if (w && room >= bytes) w->memory = aligned_alloc(page, room ? room : page);
    if (!w || !w->memory) {
        free(w);
        return error_memory(bytes), NULL;
    }
    w->bytes = room;
    if (page > 4096) madvise(w->memory, room, MADV_HUGEPAGE);   /* a wish */
    return w;
}

void workspace_rest(workspace *w) {
    if (w->bytes >= LARGE) madvise(w->memory, w->bytes, MADV_DONTNEED);
}

void workspace_free(workspace *w) {
    if (!w) return;
    free(w->memory);
    free(w);
}

/* Of a value's first element. */
static void *address(const plan *p, const workspace *w, size_t v) {
    const tensor *root = p->values[p->values[v].alias].t;
    return root->kind == TENSOR_STATE ? root->state : w->memory + p->values[v].offset;
}

void *plan_tensor(const plan *p, workspace *w, const tensor *t) {
    assert(t->kind == TENSOR_INPUT || t->output);
    return address(p, w, plan_value(p, t, &(layout_need){ 0 }));
}

static int run_step(const plan *p, workspace *w, const planned_step *s) {
    const void *in[KERNEL_MAX_IN];
    void *out[KERNEL_MAX_OUT];
    for (int k = 0; k < s->step.match.n_in; k++) in[k] = address(p, w, s->in[k]);
    for (int k = 0; k < s->step.match.n_out; k++) out[k] = address(p, w, s->out[k]);
    return s->step.kernel->run(&s->step, in, out, w->memory + s->scratch);
}

int plan_run(const plan *p, workspace *w, const plan_run_options *options) {
    static const plan_run_options plain;
    const plan_run_options *o = options ? options : &plain;
    if (p->counted) return error_set(ERR_USAGE, "this plan's parameters were counted, not packed");
    int rc = 0;
    double before = o->profile ? clock_seconds() : 0;
    for (size_t i = 0; i < p->n_steps && rc == 0; i++) {
        rc = stop_asked(o->stop) ? error_set(ERR_CANCELLED, "stopped") : run_step(p, w, &p->steps[i]);
        if (o->profile) {
            double after = clock_seconds();
            o->profile->seconds[i] += after - before;
            before = after;
        }
        if (o->after && rc == 0) rc = o->after(o->context, i);
    }
    if (o->profile && rc == 0) o->profile->runs++;
    return rc;
}

/* ---- is it finite? ----------------------------------------------------------------------------------------------- */

/* Dimensions from `at` on. */
static bool part_finite(const char *x, const value *v, int at) {
    const nn_shape *s = &v->t->shape;
    if (at == s->rank - 1) return nn_finite(x, v->t->type, s->dim[at]);
    for (size_t i = 0; i < s->dim[at]; i++)
        if (!part_finite(x + i * v->layout.stride[at] * nn_type_bytes(v->t->type), v, at + 1)) return false;
    return true;
}

static bool value_finite(const plan *p, const workspace *w, size_t v) {
    nn_type type = p->values[v].t->type;
    return (type != NN_F32 && type != NN_BF16) || part_finite(address(p, w, v), &p->values[v], 0);
}

bool plan_step_finite(const plan *p, const workspace *w, size_t step) {
    const planned_step *s = &p->steps[step];
    for (int k = 0; k < s->step.match.n_out; k++)
        if (!value_finite(p, w, s->out[k])) return false;
    for (int k = 0; k < s->step.match.n_in; k++)   /* states that it read, and may have rewritten */
        if (s->step.match.in[k]->kind == TENSOR_STATE && !value_finite(p, w, s->in[k])) return false;
    return true;
}

/* ---- profile ----------------------------------------------------------------------------------------------------- */

plan_profile *plan_profile_new(const plan *p) {
    plan_profile *t = calloc(1, sizeof *t + p->n_steps * sizeof *t->seconds);
    if (!t) return error_memory(p->n_steps * sizeof *t->seconds), NULL;
    t->p = p;
    return t;
}

void plan_profile_free(plan_profile *t) { free(t); }

void plan_profile_add(plan_profile *into, const plan_profile *from) {
    assert(into->p == from->p);
    into->runs += from->runs;
    for (size_t i = 0; i < into->p->n_steps; i++) into->seconds[i] += from->seconds[i];
}

size_t plan_profile_runs(const plan_profile *t) { return t->runs; }

static double step_bytes(const plan *p, const planned_step *s) {
    const kernel_match *m = &s->step.match;
    size_t bytes = 0;
    for (int k = 0; k < m->n_in; k++) bytes += p->values[s->in[k]].layout.elements * nn_type_bytes(m->in[k]->type);
    for (int k = 0; k < m->n_out; k++) bytes += p->values[s->out[k]].layout.elements * nn_type_bytes(m->out[k]->type);
    for (int k = 0; k < m->n_param; k++) bytes += shape_elements(m->param[k]->shape) * nn_type_bytes(m->param[k]->type);
    return (double)bytes;
}

size_t plan_profile_rows(const plan_profile *t, plan_profile_row *rows, size_t room) {
    const plan *p = t->p;
    size_t n = 0;
    for (size_t i = 0; i < p->n_steps; i++) {
        const planned_step *s = &p->steps[i];
        size_t at = 0;
        while (at < n && strcmp(rows[at].kernel, s->step.kernel->name)) at++;
        if (at == room) continue;
        if (at == n) rows[n++] = (plan_profile_row){ .kernel = s->step.kernel->name };
        rows[at].steps++;
        rows[at].seconds += t->seconds[i];
        rows[at].flops += s->flops * (double)t->runs;
        rows[at].bytes += step_bytes(p, s) * (double)t->runs;
    }
    return n;
}
