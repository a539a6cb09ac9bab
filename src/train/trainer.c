/* SPDX-License-Identifier: Apache-2.0 */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/unet.h"
#include "nn/gradient.h"
#include "nn/plan.h"
#include "nn/plan_text.h"

/* A weight that is trained. In bf16 the kernels read `weight`, of which `master` is the whole; vectors (biases, norms) are f32 in any case. */
typedef struct {
    const parameter *source;
    tensor *weight;               /* in the micro graph */
    void *master, *m, *v, *average, *sum, *rounded;
} trained;

struct trainer {
    trainer_options options;
    checkpoint *c;
    device *d;
    nn_type type;
    unet_config unet, control;
    arena memory;

    trained *trained;
    size_t n_trained;
    bool split;                   /* gradients are summed, and the update is a plan of its own */

    params *params;
    graph *micro, *update;
    plan *micro_plan, *update_plan;
    plan_profile *profile, *update_profile;                            /* NULL: not timed */
    workspace *ws;
    tensor *input[TRAINER_INPUTS], *now, *decay, *first, *loss;        /* of micro */
    tensor *update_now, *update_decay, *squares;                       /* of update */
    size_t states;
};

static nn_type kept_type(const trainer *t, const parameter *p) { return t->type == NN_BF16 && p->shape.rank > 1 ? NN_BF16 : NN_F32; }

/* ---- states -------------------------------------------------------------------------------------------------------------- */

/* Zeroed, with the 64 readable bytes that a state has behind it. */
static void *state_memory(trainer *t, const parameter *p, nn_type type) {
    size_t bytes = shape_elements(p->shape) * nn_type_bytes(type);
    size_t room = (bytes + 127) / 64 * 64;
    void *x = aligned_alloc(64, room);
    if (!x) return error_memory(room), NULL;
    memset(x, 0, room);
    t->states += bytes;
    return x;
}

static int make_states(trainer *t, trained *w) {
    const parameter *p = w->source;
    bool rounded = kept_type(t, p) == NN_BF16;
    bool room = (w->master = state_memory(t, p, NN_F32)) && (w->m = state_memory(t, p, NN_F32)) && (w->v = state_memory(t, p, NN_F32));
    room = room && (!rounded || (w->rounded = state_memory(t, p, NN_BF16))) && (!t->options.average || (w->average = state_memory(t, p, NN_F32)));
    room = room && (!t->split || (w->sum = state_memory(t, p, NN_F32)));
    if (!room) return error_code();
    size_t n = shape_elements(p->shape);
    nn_widen(w->master, p->data, p->type, n);
    if (w->average) memcpy(w->average, w->master, n * sizeof(float));
    if (w->rounded) nn_narrow(w->rounded, NN_BF16, w->master, n);
    checkpoint_drop(t->c, p->data, n * nn_type_bytes(p->type));
    return 0;
}

static bool is_below(const char *name, const char *root) { return strncmp(name, root, strlen(root)) == 0; }

static bool is_trained(const trainer *t, const parameter *p) {
    if (is_below(p->name, "control.")) return true;
    return t->options.unlock_decoder && (is_below(p->name, "unet.output_blocks.") || is_below(p->name, "unet.out."));
}

/* Every weight that may be trained; those that no path leads to keep no states (find_reached). */
static int list_trained(trainer *t) {
    size_t n = checkpoint_count(t->c);
    t->trained = arena_new(&t->memory, n + 1, sizeof *t->trained);
    if (!t->trained) return error_code();
    for (size_t i = 0; i < n; i++) {
        const parameter *p = checkpoint_parameter(t->c, i);
        if (is_trained(t, p)) t->trained[t->n_trained++].source = p;
    }
    return 0;
}

/* ---- the graph of a micro-batch ------------------------------------------------------------------------------------------ */

static tensor *state(graph *g, const trained *w, const char *kind, nn_type type, void *memory) {
    char name[256];
    snprintf(name, sizeof name, "%s.%s", kind, w->source->name);
    return memory ? graph_state(g, name, type, w->source->shape, memory) : NULL;
}

static void add_update(const trainer *t, graph *g, const trained *w, tensor *rounded, tensor *dw, tensor *now, tensor *decay, tensor *factor, tensor *gate) {
    tensor *master = rounded && rounded->type == NN_F32 ? rounded : state(g, w, "master", NN_F32, w->master);
    adamw_states s = { master, state(g, w, "m", NN_F32, w->m), state(g, w, "v", NN_F32, w->v), master == rounded ? NULL : rounded };
    adamw(g, &s, dw, now, factor, gate, t->options.adamw);
    if (w->average) average(g, state(g, w, "average", NN_F32, w->average), master, decay);
}

static trained *trained_of(trainer *t, const tensor *weight) {
    size_t i = 0;
    while (t->trained[i].weight != weight) i++;
    return &t->trained[i];
}

/* A gradient is whole: it is used up at once. */
static void use_gradient(void *context, graph *g, tensor *weight) {
    trainer *t = context;
    trained *w = trained_of(t, weight);
    if (t->split) accumulate(g, state(g, w, "sum", NN_F32, w->sum), weight->grad, t->first);
    else add_update(t, g, w, weight, weight->grad, t->now, t->decay, NULL, t->loss);
}

static tensor *build_inputs(trainer *t, graph *g) {
    const trainer_options *o = &t->options;
    size_t n = (size_t)o->batch, h = o->height, w = o->width, c = t->unet.in_channels;
    t->input[TRAINER_LATENT] = graph_input(g, "latent", t->type, shape4(n, h, w, c));
    t->input[TRAINER_TIME] = graph_input(g, "time", NN_F32, shape1(n));
    t->input[TRAINER_CONTEXT] = graph_input(g, "context", t->type, shape3(n, o->tokens, t->unet.context_width));
    t->input[TRAINER_HINT] = graph_input(g, "hint", t->type, shape4(n, 8 * h, 8 * w, 3));
    t->input[TRAINER_TARGET] = graph_input(g, "target", NN_F32, shape4(n, h, w, c));
    t->input[TRAINER_WEIGHT] = graph_input(g, "weight", NN_F32, shape1(n));
    return t->input[TRAINER_LATENT];
}

static tensor *build_network(trainer *t, graph *g) {
    tensor *x = build_inputs(t, g), *time = t->input[TRAINER_TIME], *hint = controlnet_hint_build(g, t->c, &t->control, t->input[TRAINER_HINT]);
    cross_context kv, control_kv;
    control_outputs added;
    unet_context_build(g, t->c, &t->unet, t->input[TRAINER_CONTEXT], &kv);
    unet_context_build(g, t->c, &t->control, t->input[TRAINER_CONTEXT], &control_kv);
    if (graph_check(g) < 0) return NULL;
    controlnet_build(g, t->c, &t->control, x, hint, time, &control_kv, &added);
    return unet_build(g, t->c, &t->unet, x, time, &kv, &added, NULL, t->options.only_mid);
}

/* Weights as states of their names, which model code finds; without memory where it is only asked what is reached. */
static int build_micro(trainer *t, bool ask) {
    graph *g = t->micro = graph_new();
    if (!g) return error_code();
    for (size_t i = 0; i < t->n_trained; i++) {
        trained *w = &t->trained[i];
        nn_type type = kept_type(t, w->source);
        w->weight = graph_state(g, w->source->name, type, w->source->shape, type == NN_BF16 ? w->rounded : w->master);
        if (w->weight) w->weight->trainable = true;
    }
    if (!ask) {
        t->now = graph_input(g, "now", NN_F32, shape1(ADAMW_NOW));
        t->decay = graph_input(g, "decay", NN_F32, shape1(1));
        t->first = graph_input(g, "first", NN_F32, shape1(1));
    }
    tensor *y = build_network(t, g);
    t->loss = graph_output(g, mse(g, y, t->input[TRAINER_TARGET], t->input[TRAINER_WEIGHT]));
    return graph_backward(g, t->loss, ask ? NULL : use_gradient, t);
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
        sums[i] = state(g, &t->trained[i], "sum", NN_F32, t->trained[i].sum);
        tensor *s = sum_squares(g, sums[i]);
        squares = squares ? add(g, squares, s) : s;
    }
    t->squares = graph_output(g, squares);
    tensor *factor = t->options.clip > 0 ? clip_factor(g, squares, (float)t->options.clip) : NULL;
    for (size_t i = 0; i < t->n_trained; i++) {
        trained *w = &t->trained[i];
        tensor *rounded = w->rounded ? state(g, w, "rounded", NN_BF16, w->rounded) : state(g, w, "master", NN_F32, w->master);
        add_update(t, g, w, rounded, sums[i], t->update_now, t->update_decay, factor, squares);
    }
    return graph_check(g);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static void drop_pages(void *context, const void *data, size_t bytes) { checkpoint_drop(context, data, bytes); }

static int make_plans(trainer *t) {
    const trainer_options *o = &t->options;
    plan_options how = { .threads = o->threads, .memory = o->memory, .stop = o->stop };
    if (!(t->micro_plan = plan_new(t->micro, t->d, t->params, &how))) return error_code();
    size_t bytes = plan_bytes(t->micro_plan);
    how.memory = 0;
    if (t->split && !(t->update_plan = plan_new(t->update, t->d, t->params, &how))) return error_code();
    if (t->split && plan_bytes(t->update_plan) > bytes) bytes = plan_bytes(t->update_plan);
    if (!(t->ws = workspace_new(bytes))) return error_code();
    if (!o->profile) return 0;
    t->profile = plan_profile_new(t->micro_plan);
    t->update_profile = t->split ? plan_profile_new(t->update_plan) : NULL;
    return t->profile && (t->update_profile || !t->split) ? 0 : error_code();
}

static int open_all(trainer *t, cpu_level cpu) {
    int rc = unet_configure(t->c, "unet", &t->unet);
    if (rc == 0) rc = unet_configure(t->c, "control", &t->control);
    if (rc == 0 && !(t->d = device_cpu(cpu))) rc = error_code();
    if (rc == 0 && !(t->params = params_new())) rc = error_code();
    if (rc < 0) return rc;
    t->type = t->options.bf16 ? NN_BF16 : NN_F32;
    params_on_packed(t->params, drop_pages, t->c);
    rc = list_trained(t);
    if (rc == 0) rc = find_reached(t);
    for (size_t i = 0; i < t->n_trained && rc == 0; i++) rc = make_states(t, &t->trained[i]);
    if (rc == 0) rc = build_micro(t, false);
    if (rc == 0 && t->split) rc = build_update(t);
    return rc < 0 ? rc : make_plans(t);
}

int trainer_open(const trainer_options *options, checkpoint *c, cpu_level cpu, trainer **out) {
    trainer *t = calloc(1, sizeof *t);
    if (!t) return error_memory(sizeof *t);
    t->options = *options;
    if (t->options.accumulate < 1) t->options.accumulate = 1;
    t->split = t->options.accumulate > 1 || t->options.clip > 0;
    t->c = c;
    int rc = open_all(t, cpu);
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
    for (size_t i = 0; i < t->n_trained; i++) {
        trained *w = &t->trained[i];
        void *all[] = { w->master, w->m, w->v, w->average, w->sum, w->rounded };
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);
    }
    arena_free(&t->memory);
    free(t);
}

/* ---- steps --------------------------------------------------------------------------------------------------------------- */

size_t trainer_input_count(const trainer *t, trainer_input which) { return shape_elements(t->input[which]->shape); }

void trainer_set(trainer *t, trainer_input which, const float *x) {
    const tensor *in = t->input[which];
    nn_narrow(plan_tensor(t->micro_plan, t->ws, in), in->type, x, shape_elements(in->shape));
}

/* The mean over the micro-batches of a step is the sum of their losses, each with a part of the weight. */
static void share_weight(trainer *t) {
    float *w = plan_tensor(t->micro_plan, t->ws, t->input[TRAINER_WEIGHT]);
    for (int i = 0; i < t->options.batch; i++) w[i] /= (float)t->options.accumulate;
}

static int update(trainer *t, const float now[ADAMW_NOW], float decay, trainer_report *report) {
    memcpy(plan_tensor(t->update_plan, t->ws, t->update_now), now, ADAMW_NOW * sizeof *now);
    memcpy(plan_tensor(t->update_plan, t->ws, t->update_decay), &decay, sizeof decay);
    int rc = plan_run(t->update_plan, t->ws, t->update_profile);
    if (rc < 0) return rc;
    report->norm = sqrtf(*(const float *)plan_tensor(t->update_plan, t->ws, t->squares));
    return isfinite(report->norm) ? 0 : error_set(ERR_LIMIT, "the gradients are not finite");
}

int trainer_step(trainer *t, const trainer_now *how, int micro, trainer_report *report) {
    float now[ADAMW_NOW], decay = (float)how->average, first = micro == 0;
    *report = (trainer_report){ 0 };
    adamw_now(&t->options.adamw, how->rate, how->step, now);
    memcpy(plan_tensor(t->micro_plan, t->ws, t->now), now, sizeof now);
    memcpy(plan_tensor(t->micro_plan, t->ws, t->decay), &decay, sizeof decay);
    memcpy(plan_tensor(t->micro_plan, t->ws, t->first), &first, sizeof first);
    share_weight(t);
    /* Not until a flag is set: an update that is left in the middle would be neither step. */
    int rc = plan_run(t->micro_plan, t->ws, t->profile);
    if (rc < 0) return rc;
    report->loss = *(const float *)plan_tensor(t->micro_plan, t->ws, t->loss) * (float)t->options.accumulate;
    if (!isfinite(report->loss)) return error_set(ERR_LIMIT, "the loss is not finite");
    return t->split && micro == t->options.accumulate - 1 ? update(t, now, decay, report) : 0;
}

/* ---- what outlives them -------------------------------------------------------------------------------------------------- */

enum { KINDS = 5 };

static trainer_state state_of(const trained *w, int kind) {
    void *const data[KINDS] = { w->master, w->m, w->v, w->average, w->sum };
    static const char *const kinds[KINDS] = { "weight", "m", "v", "average", "sum" };
    return (trainer_state){ w->source->name, kinds[kind], w->source->shape, NN_F32, data[kind] };
}

/* The kinds that there are, of which a weight has all: numbers in front of KINDS. */
static int kinds_kept(const trainer *t, int kept[KINDS]) {
    int n = 0;
    for (int k = 0; k < KINDS && t->n_trained; k++)
        if (state_of(t->trained, k).data) kept[n++] = k;
    return n;
}

size_t trainer_states(const trainer *t) {
    int kept[KINDS];
    return t->n_trained * (size_t)kinds_kept(t, kept);
}

trainer_state trainer_state_at(const trainer *t, size_t i) {
    int kept[KINDS], n = kinds_kept(t, kept);
    return state_of(&t->trained[i / (size_t)n], kept[i % (size_t)n]);
}

void trainer_restored(trainer *t) {
    for (size_t i = 0; i < t->n_trained; i++)
        if (t->trained[i].rounded) nn_narrow(t->trained[i].rounded, NN_BF16, t->trained[i].master, shape_elements(t->trained[i].source->shape));
}

params *trainer_params(const trainer *t) { return t->params; }

void trainer_add_states(const trainer *t, graph *g) {
    for (size_t i = 0; i < t->n_trained; i++) {
        const trained *w = &t->trained[i];
        nn_type type = kept_type(t, w->source);
        graph_state(g, w->source->name, type, w->source->shape, type == NN_BF16 ? w->rounded : w->master);
    }
}

trainer_plan trainer_planned(const trainer *t) {
    plan_again again = plan_recomputed(t->micro_plan);
    uint64_t trained = 0;
    for (size_t i = 0; i < t->n_trained; i++) trained += shape_elements(t->trained[i].source->shape);
    return (trainer_plan){ .weights = params_bytes(t->params), .states = t->states, .summed = t->split ? trained * sizeof(float) : 0, .activations = plan_bytes(t->micro_plan), .kept = again.bytes,
                           .flops = plan_flops(t->micro_plan), .flops_again = again.flops, .trained = trained };
}
