/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/error.h"
#include "train/trainer_inside.h"

typedef struct {
    const plan *p;
    const workspace *ws;
    const char *weight;      /* the last that a step read */
    char *out;
    size_t size;
} search;

/* A parameter, or a state: moments and sums have names made of their weight's. */
static const char *weight_of(const kernel_match *m) {
    if (m->n_param) return m->param[0]->name;
    for (int k = 0; k < m->n_in; k++)
        if (m->in[k]->kind == TENSOR_STATE) return m->in[k]->name;
    return NULL;
}

static int note_if_lost(void *context, size_t i) {
    search *s = context;
    const kernel_step *step = plan_step(s->p, i);
    const char *weight = weight_of(&step->match);
    if (weight) s->weight = weight;
    if (plan_step_finite(s->p, s->ws, i)) return 0;
    snprintf(s->out, s->size, "%s%s%s", step->kernel->name, weight ? " with " : s->weight ? " behind " : "", s->weight ? s->weight : "");
    return ERR_LIMIT;
}

static bool weight_lost(const trainer *t, char *out, size_t size) {
    for (size_t i = 0; i < t->n_trained; i++) {
        const tensor *w = t->trained[i].weight;
        if (nn_finite(w->state, w->type, shape_elements(w->shape))) continue;
        snprintf(out, size, "the weight %s", w->name);
        return true;
    }
    return false;
}

bool trainer_finite(const trainer *t, char *out, size_t size) {
    for (size_t i = 0; i < trainer_states(t); i++) {
        trainer_state s = trainer_state_at(t, i);
        if (!nn_type_is_float(s.type) || nn_finite(s.data, s.type, shape_elements(s.shape))) continue;
        snprintf(out, size, "%s of %s", s.kind, s.name);
        return false;
    }
    return true;
}

void trainer_find_lost(trainer *t, char *out, size_t size) {
    const plan *p = t->lost_in_update ? t->update_plan : t->micro_plan;
    search s = { .p = p, .ws = t->ws, .out = out, .size = size };
    *out = 0;
    /* Nothing is updated by it: the loss, or the gradients, are as they were, and the updates' gates closed. */
    if (!weight_lost(t, out, size)) plan_run(p, t->ws, &(plan_run_options){ .after = note_if_lost, .context = &s });
}
