/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "train/trainer_inside.h"

static nn_type kept_type(const trainer *t, const parameter *p) { return t->type == NN_BF16 && p->shape.rank > 1 ? NN_BF16 : NN_F32; }

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

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

int trained_make(trainer *t, trained *w) {
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

void trained_free(trained *w) {
    void *all[] = { w->master, w->m, w->v, w->average, w->sum, w->rounded };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);
}

/* ---- as tensors of a graph ----------------------------------------------------------------------------------------------- */

tensor *trained_weight(const trainer *t, graph *g, const trained *w) {
    nn_type type = kept_type(t, w->source);
    return graph_state(g, w->source->name, type, w->source->shape, type == NN_BF16 ? w->rounded : w->master);
}

static tensor *state(graph *g, const trained *w, const char *kind, nn_type type, void *memory) {
    char name[256];
    snprintf(name, sizeof name, "%s.%s", kind, w->source->name);
    return memory ? graph_state(g, name, type, w->source->shape, memory) : NULL;
}

tensor *trained_sum(graph *g, const trained *w) {
    return state(g, w, "sum", NN_F32, w->sum);
}

void trained_update(const trainer *t, graph *g, const trained *w, tensor *weight, tensor *dw, tensor *now, tensor *decay, tensor *factor, tensor *gate) {
    tensor *master = weight && weight->type == NN_F32 ? weight : state(g, w, "master", NN_F32, w->master);
    adamw_states s = { master, state(g, w, "m", NN_F32, w->m), state(g, w, "v", NN_F32, w->v), master == weight ? NULL : weight };
    adamw(g, &s, dw, now, factor, gate, t->options.adamw);
    if (w->average) average(g, state(g, w, "average", NN_F32, w->average), master, decay);
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

void trainer_add_states(const trainer *t, graph *g) {
    for (size_t i = 0; i < t->n_trained; i++) {
        trained_weight(t, g, &t->trained[i]);
    }
}
