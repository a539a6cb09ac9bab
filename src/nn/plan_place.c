/* SPDX-License-Identifier: Apache-2.0
 *
 * Lifetimes of a plan's values and scratch, and their places in one block. */
#include <stdlib.h>

#include "base/error.h"
#include "nn/place.h"
#include "nn/plan_parts.h"

static void keep(plan *p, size_t v, int step) {
    value *root = &p->values[p->values[v].alias];
    if (!root->used || step < root->first) root->first = step;
    if (!root->used || step > root->last) root->last = step;
    root->used = true;
}

static void set_lives(plan *p) {
    int end = (int)p->n_steps;
    for (size_t i = 0; i < p->n_values; i++) p->values[i].used = false;
    for (size_t i = 0; i < p->n_steps; i++) {
        for (int k = 0; k < p->steps[i].step.match.n_in; k++) keep(p, p->steps[i].in[k], (int)i);
        for (int k = 0; k < p->steps[i].step.match.n_out; k++) keep(p, p->steps[i].out[k], (int)i);
    }
    for (size_t i = 0; i < graph_tensors(p->g); i++) {
        const tensor *t = graph_tensor(p->g, i);
        if (p->of[i].made == NO_VALUE) continue;
        if (t->kind == TENSOR_INPUT) keep(p, p->of[i].made, -1);
        if (t->output) keep(p, plan_value(p, t, &(layout_need){ 0 }), end);
    }
}

/* Whether value i has a place of its own: a view lies where its root does, a state in the caller's memory. */
static bool has_place(const plan *p, size_t i) {
    const value *v = &p->values[i];
    return v->alias == i && v->used && v->t->kind != TENSOR_STATE;
}

int plan_place(plan *p) {
    set_lives(p);
    place_item *items = calloc(p->n_values + p->n_steps + 1, sizeof *items);
    if (!items) return error_memory((p->n_values + p->n_steps) * sizeof *items);
    size_t n = 0;
    for (size_t i = 0; i < p->n_values; i++) {
        const value *v = &p->values[i];
        if (has_place(p, i)) items[n++] = (place_item){ v->layout.elements * nn_type_bytes(v->t->type) + 64, v->first, v->last, 0 };
    }
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].step.scratch_bytes) items[n++] = (place_item){ p->steps[i].step.scratch_bytes, (int)i, (int)i, 0 };
    int rc = place(items, n, &p->bytes);
    n = 0;
    for (size_t i = 0; i < p->n_values && rc == 0; i++) {
        value *v = &p->values[i];
        if (has_place(p, i)) v->offset = items[n++].offset + v->layout.lead * nn_type_bytes(v->t->type);
    }
    for (size_t i = 0; i < p->n_values && rc == 0; i++) p->values[i].offset = p->values[p->values[i].alias].offset;
    for (size_t i = 0; i < p->n_steps && rc == 0; i++)
        if (p->steps[i].step.scratch_bytes) p->steps[i].scratch = items[n++].offset;
    free(items);
    return rc;
}
