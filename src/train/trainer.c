/* SPDX-License-Identifier: Apache-2.0 */
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"
#include "nn/plan_text.h"
#include "train/trainer_inside.h"

/* Every weight that may be trained; those that no path leads to keep no states (find_reached). */
static int list_trained(trainer *t) {
    size_t n = checkpoint_count(t->c);
    t->trained = arena_new(&t->memory, n + 1, sizeof *t->trained);
    if (!t->trained) return error_code();
    for (size_t i = 0; i < n; i++) {
        const parameter *p = checkpoint_parameter(t->c, i);
        if (trainer_trains(t, p)) t->trained[t->n_trained++].source = p;
    }
    return 0;
}

/* ---- the graph of a micro-batch ------------------------------------------------------------------------------------------ */

static trained *trained_of(trainer *t, const tensor *weight) {
    size_t i = 0;
    while (t->trained[i].weight != weight) i++;
    return &t->trained[i];
}

/* Of a graph that only asks. */
static void note_order(void *context, graph *g, tensor *weight) {
    trainer *t = context;
    (void)g;
    trained_of(t, weight)->order = t->ordered++;
}

/* A gradient is whole: it is used up at once. */
static void use_gradient(void *context, graph *g, tensor *weight) {
    trainer *t = context;
    trained *w = trained_of(t, weight);
    if (t->split) accumulate(g, trained_sum(g, w), weight->grad, t->first);
    else trained_update(t, g, w, weight, weight->grad, t->now, t->decay, NULL, t->loss);
}

/* Weights as states of their names, which model code finds; without memory where it is only asked what is reached. */
static int build_micro(trainer *t, bool ask) {
    graph *g = t->micro = graph_new();
    if (!g) return error_code();
    for (size_t i = 0; i < t->n_trained; i++) {
        trained *w = &t->trained[i];
        w->weight = trained_weight(t, g, w);
        if (w->weight) w->weight->trainable = true;
    }
    if (!ask) {
        t->now = graph_input(g, "now", NN_F32, shape1(ADAMW_NOW));
        t->decay = graph_input(g, "decay", NN_F32, shape1(1));
        t->first = graph_input(g, "first", NN_F32, shape1(1));
    }
    t->loss = graph_output(g, trainer_build(t, g));
    return graph_backward(g, t->loss, ask ? note_order : use_gradient, t);
}

/* Which weights a gradient reaches: with only_mid, the outer zero convolutions get none. */
static int find_reached(trainer *t) {
    int rc = build_micro(t, true);
    size_t n = 0;
    for (size_t i = 0; i < t->n_trained && rc == 0; i++)
        if (t->trained[i].weight->grad) t->trained[n++] = t->trained[i];
    graph_free(t->micro);
    t->micro = NULL;
    if (rc == 0) t->n_trained = n;
    return rc;
}

/* ---- the graph of an update, where gradients are summed first ------------------------------------------------------------ */

static int build_update(trainer *t) {
    graph *g = t->update = graph_new();
    if (!g) return error_code();
    t->update_now = graph_input(g, "now", NN_F32, shape1(ADAMW_NOW));
    t->update_decay = graph_input(g, "decay", NN_F32, shape1(1));
    tensor **sums = arena_new(&t->memory, t->n_trained + 1, sizeof *sums), *squares = NULL;
    if (!sums) return error_code();
    for (size_t i = 0; i < t->n_trained; i++) {
        sums[i] = trained_sum(g, &t->trained[i]);
        tensor *s = sum_squares(g, sums[i]);
        squares = squares ? add(g, squares, s) : s;
    }
    t->squares = graph_output(g, squares);
    tensor *factor = t->options.clip > 0 ? clip_factor(g, squares, (float)t->options.clip) : NULL;
    for (size_t i = 0; i < t->n_trained; i++) {
        trained *w = &t->trained[i];
        trained_update(t, g, w, trained_weight(t, g, w), sums[i], t->update_now, t->update_decay, factor, squares);
    }
    return graph_check(g);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static void drop_pages(void *context, const void *data, size_t bytes) { checkpoint_drop(context, data, bytes); }

/* One workspace serves both plans. */
static size_t activations(const trainer *t) {
    size_t micro = plan_bytes(t->micro_plan), update = t->update_plan ? plan_bytes(t->update_plan) : 0;
    return micro > update ? micro : update;
}

static int find_least(trainer *t) {
    int rc = plan_least(t->micro_plan, &t->least);
    size_t update = t->update_plan ? plan_bytes(t->update_plan) : 0;
    if (t->least < update) t->least = update;
    return rc;
}

static int make_plans(trainer *t) {
    const trainer_options *o = &t->options;
    plan_options how = { .threads = o->threads, .memory = o->memory, .stop = o->stop, .pack_once = true };
    if (!(t->micro_plan = plan_new(t->micro, t->d, t->params, &how))) return error_code();
    how.memory = 0;
    if (t->split && !(t->update_plan = plan_new(t->update, t->d, t->params, &how))) return error_code();
    if (o->counting) return o->memory ? 0 : find_least(t);
    if (!(t->ws = workspace_new(activations(t)))) return error_code();
    if (o->ranks && trainer_ranks_steps(t) < 0) return error_code();
    if (!o->profile) return 0;
    t->profile = plan_profile_new(t->micro_plan);
    t->update_profile = t->split ? plan_profile_new(t->update_plan) : NULL;
    return t->profile && (t->update_profile || !t->split) ? 0 : error_code();
}

static int build_trainer(trainer *t, cpu_level cpu) {
    int rc = trainer_configure(t);
    if (rc == 0 && !(t->d = device_cpu(cpu))) rc = error_code();
    if (rc == 0 && !(t->params = t->options.counting ? params_new_counting() : params_new())) rc = error_code();
    if (rc < 0) return rc;
    t->type = t->options.bf16 ? NN_BF16 : NN_F32;
    params_on_packed(t->params, drop_pages, t->c);
    rc = list_trained(t);
    if (rc == 0) rc = find_reached(t);
    if (rc == 0) rc = trained_make(t);
    if (rc == 0 && t->options.ranks) rc = trainer_ranks_sums(t);
    if (rc == 0) rc = build_micro(t, false);
    if (rc == 0 && t->split) rc = build_update(t);
    return rc < 0 ? rc : make_plans(t);
}

int trainer_open(const trainer_options *options, checkpoint *c, cpu_level cpu, trainer **out) {
    trainer *t = calloc(1, sizeof *t);
    if (!t) return error_memory(sizeof *t);
    t->options = *options;
    if (t->options.accumulate < 1) t->options.accumulate = 1;
    t->split = t->options.accumulate > 1 || t->options.clip > 0 || t->options.ranks;
    t->c = c;
    int rc = build_trainer(t, cpu);
    if (rc < 0) trainer_close(t);
    else *out = t;
    return rc;
}

static void tell_profile(const trainer *t, plan_profile *p, const char *name) {
    if (p && plan_profile_runs(p)) plan_profile_tell(p, name, t->options.profile, t->options.context);
    plan_profile_free(p);
}

void trainer_close(trainer *t) {
    if (!t) return;
    tell_profile(t, t->profile, t->split ? "forward and backward" : "forward, backward and update");
    tell_profile(t, t->update_profile, "update");
    workspace_free(t->ws);
    plan_free(t->micro_plan);
    plan_free(t->update_plan);
    graph_free(t->micro);
    graph_free(t->update);
    params_free(t->params);
    device_free(t->d);
    trained_free(t);
    arena_free(&t->memory);
    free(t);
}

/* ---- steps --------------------------------------------------------------------------------------------------------------- */

size_t trainer_input_count(const trainer *t, trainer_input which) {
    return t->input[which] ? shape_elements(t->input[which]->shape) : 0;
}

void trainer_set(trainer *t, trainer_input which, const float *x) {
    const tensor *in = t->input[which];
    if (!in) return;
    nn_narrow(plan_tensor(t->micro_plan, t->ws, in), in->type, x, shape_elements(in->shape));
}

void trainer_set_ids(trainer *t, const int32_t *ids) {
    memcpy(plan_tensor(t->micro_plan, t->ws, t->input[TRAINER_IDS]), ids, trainer_input_count(t, TRAINER_IDS) * sizeof *ids);
}

/* Micro-batches of a step, those of other ranks, too. */
static int parts_of_loss(const trainer *t) { return t->options.accumulate * ranks_count(t->options.ranks); }

/* The mean over the micro-batches of a step is the sum of their losses, each with a part of the weight. */
static void weigh_part(trainer *t) {
    float *w = plan_tensor(t->micro_plan, t->ws, t->input[TRAINER_WEIGHT]);
    for (int i = 0; i < t->options.batch; i++) w[i] /= (float)parts_of_loss(t);
}

static int update(trainer *t, const float now[ADAMW_NOW], float decay, trainer_report *report) {
    memcpy(plan_tensor(t->update_plan, t->ws, t->update_now), now, ADAMW_NOW * sizeof *now);
    memcpy(plan_tensor(t->update_plan, t->ws, t->update_decay), &decay, sizeof decay);
    int rc = plan_run(t->update_plan, t->ws, &(plan_run_options){ .profile = t->update_profile });
    if (rc < 0) return rc;
    report->norm = sqrtf(*(const float *)plan_tensor(t->update_plan, t->ws, t->squares));
    report->lost = t->lost_in_update = !isfinite(report->norm);
    return t->lost_in_update ? error_set(ERR_LIMIT, "the gradients are not finite") : 0;
}

static void take_loss(trainer *t, int micro, trainer_report *report) {
    float loss = *(const float *)plan_tensor(t->micro_plan, t->ws, t->loss), divergence = 0;
    if (t->divergence) divergence = *(const float *)plan_tensor(t->micro_plan, t->ws, t->divergence);
    report->loss = loss * (float)parts_of_loss(t);
    report->divergence = divergence * (float)parts_of_loss(t);
    t->mean_loss = (micro ? t->mean_loss : 0) + loss;
    t->mean_divergence = (micro ? t->mean_divergence : 0) + divergence;
}

int trainer_step(trainer *t, const trainer_now *how, int micro, trainer_report *report) {
    float now[ADAMW_NOW], decay = (float)how->average, first = micro == 0;
    *report = (trainer_report){ 0 };
    t->lost_in_update = false;
    adamw_now(&t->options.adamw, how->rate, how->step, now);
    memcpy(plan_tensor(t->micro_plan, t->ws, t->now), now, sizeof now);
    memcpy(plan_tensor(t->micro_plan, t->ws, t->decay), &decay, sizeof decay);
    memcpy(plan_tensor(t->micro_plan, t->ws, t->first), &first, sizeof first);
    weigh_part(t);
    /* Not until a flag is set: an update that is left in the middle would be neither step. */
    bool last = micro == t->options.accumulate - 1;
    plan_run_options run = { .profile = t->profile, .after = t->options.ranks && last ? trainer_ranks_after : NULL, .context = t };
    int rc = plan_run(t->micro_plan, t->ws, &run);
    if (rc < 0) return rc;
    take_loss(t, micro, report);
    report->lost = !isfinite(report->loss);
    if (report->lost) return error_set(ERR_LIMIT, "the loss is not finite");
    if (last && t->options.ranks && (rc = trainer_ranks_reduce(t, report)) < 0) return rc;
    return last && t->split ? update(t, now, decay, report) : 0;
}

params *trainer_params(const trainer *t) { return t->params; }
void trainer_rest(trainer *t) { workspace_rest(t->ws); }

trainer_plan trainer_planned(const trainer *t) {
    plan_again again = plan_recomputed(t->micro_plan);
    uint64_t trained = 0;
    for (size_t i = 0; i < t->n_trained; i++) trained += shape_elements(t->trained[i].source->shape);
    return (trainer_plan){
        .weights = params_bytes(t->params),
        .states = t->states,
        .summed = t->split ? trained * sizeof(float) : 0,
        .activations = activations(t),
        .kept = again.bytes,
        .least = t->least,
        .flops = plan_flops(t->micro_plan),
        .flops_again = again.flops,
        .trained = trained,
    };
}
