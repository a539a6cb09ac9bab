/* SPDX-License-Identifier: Apache-2.0
 *
 * The trainer as one of many: its gradients' sums lie in one piece of memory in the order in which the backward pass ends them, and set out from there as soon as they
 * are whole. Behind them lies the loss, so that none updates before all have been heard. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "train/trainer_inside.h"

enum { LINE = 16 };   /* numbers of a cache line */

static size_t room_of(const trained *w) { return (shape_elements(w->source->shape) + LINE - 1) / LINE * LINE; }

int trainer_ranks_sums(trainer *t) {
    size_t n = t->n_trained, at = 0;
    size_t *ends = arena_new(&t->memory, n + 1, sizeof *ends);
    trained **in_order = arena_new(&t->memory, n + 1, sizeof *in_order);
    if (!ends || !in_order) return error_code();
    for (size_t i = 0; i < n; i++) in_order[t->trained[i].order] = &t->trained[i];
    for (size_t i = 0; i < n; i++) ends[i] = at += room_of(in_order[i]);
    ends[n] = at + LINE;
    t->states += ranks_bytes(t->options.ranks, ends[n]);
    if (t->options.counting) return 0;
    int rc = ranks_sums(t->options.ranks, ends, n + 1, &t->sums);
    for (size_t i = 0; i < n && rc == 0; i++) in_order[i]->sum = t->sums + (i ? ends[i - 1] : 0);
    t->loss_at = at;
    return rc;
}

/* The weight whose sum this step has added to; NULL: of none. */
static const trained *sum_of(const trainer *t, const kernel_step *step) {
    for (int k = 0; k < step->match.n_nodes; k++) {
        const node *n = step->match.nodes[k];
        for (size_t i = 0; i < t->n_trained && n->op == &op_accumulate; i++)
            if (n->in[0]->state == t->trained[i].sum) return &t->trained[i];
    }
    return NULL;
}

int trainer_ranks_steps(trainer *t) {
    size_t steps = plan_steps(t->micro_plan);
    t->whole = arena_new(&t->memory, steps + 1, sizeof *t->whole);
    if (!t->whole) return error_code();
    for (size_t i = 0; i < steps; i++) {
        const trained *w = sum_of(t, plan_step(t->micro_plan, i));
        t->whole[i] = w ? w->order + 1 : 0;
    }
    return 0;
}

int trainer_ranks_after(void *context, size_t step) {
    trainer *t = context;
    if (t->whole[step]) ranks_whole(t->options.ranks, t->whole[step] - 1);
    return 0;
}

int trainer_ranks_reduce(trainer *t, trainer_report *report) {
    float *all = t->sums + t->loss_at;
    memset(all, 0, LINE * sizeof *all);
    all[0] = t->mean_loss;
    all[1] = t->mean_divergence;
    ranks_whole(t->options.ranks, t->n_trained);
    int rc = ranks_reduce(t->options.ranks, &report->exchange);
    if (rc < 0) return rc;
    report->mean_loss = all[0];
    report->mean_divergence = all[1];
    /* A rank whose own loss is not finite has told so instead of coming here: this is their sum. */
    report->lost = !isfinite(all[0]);
    return report->lost ? error_set(ERR_LIMIT, "the loss is not finite") : 0;
}
