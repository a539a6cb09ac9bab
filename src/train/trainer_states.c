/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "nn/halves.h"
#include "train/trainer_inside.h"

static nn_type kept_type(const trainer *t, const parameter *p) {
    return t->type == NN_BF16 && p->shape.rank > 1 ? NN_BF16 : NN_F32;
}

static nn_shape moments_shape(const trained *w) { return shape2(2, shape_elements(w->source->shape)); }
static nn_shape scales_shape(const trained *w) { return shape2(2, adamw8_scales(shape_elements(w->source->shape))); }

/* A huge page: an update goes through more than small pages' addresses are kept for, and takes 15% less time with these. */
enum { LARGE = 2 << 20 };

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

/* Where states lie of which only the bytes are asked: nobody reads it. */
static const _Alignas(64) char nowhere[64];

/* Zeroed, with the 64 readable bytes that a state has behind it. */
static void state_memory(trainer *t, nn_shape shape, nn_type type, void **out) {
    size_t bytes = shape_elements(shape) * nn_type_bytes(type);
    *out = t->block ? t->block + t->block_used : (char *)nowhere;
    t->block_used += (bytes + 127) / 64 * 64;
    t->states += bytes;
}

/* With ranks they have the sums, and count them. */
static void sum_memory(trainer *t, trained *w) {
    if (!t->options.ranks) state_memory(t, w->source->shape, NN_F32, &w->sum);
    else if (t->options.counting) w->sum = (char *)nowhere;
}

static void all_memory(trainer *t, trained *w) {
    const nn_shape s = w->source->shape;
    nn_type type = kept_type(t, w->source);
    state_memory(t, s, type, &w->numbers);
    if (type == NN_BF16) state_memory(t, s, NN_U16, &w->low);
    if (t->options.adamw8) {
        state_memory(t, moments_shape(w), NN_U8, &w->moments);
        state_memory(t, scales_shape(w), NN_F32, &w->scales);
    }
    else state_memory(t, s, NN_F32, &w->m), state_memory(t, s, NN_F32, &w->v);
    if (t->options.average) state_memory(t, s, NN_F32, &w->average);
    if (t->split) sum_memory(t, w);
}

static void place_all(trainer *t) {
    t->states = t->block_used = 0;
    for (size_t i = 0; i < t->n_trained; i++) all_memory(t, &t->trained[i]);
}

static void take_numbers(trainer *t, trained *w) {
    enum { PIECE = 1024 };
    float x[PIECE];
    const parameter *p = w->source;
    size_t n = shape_elements(p->shape), size = nn_type_bytes(p->type);
    for (size_t at = 0, k; at < n; at += k) {
        k = n - at < PIECE ? n - at : PIECE;
        nn_widen(x, (const char *)p->data + at * size, p->type, k);
        if (w->low) halves_split(x, (uint16_t *)w->numbers + at, (uint16_t *)w->low + at, k);
        else memcpy((float *)w->numbers + at, x, k * sizeof *x);
        if (w->average) memcpy((float *)w->average + at, x, k * sizeof *x);
    }
    checkpoint_drop(t->c, p->data, n * size);
}

/* One block for all of them, in huge pages without holes. */
int trained_make(trainer *t) {
    place_all(t);
    if (t->options.counting || !t->block_used) return 0;
    size_t page = t->block_used < LARGE ? 4096 : LARGE;
    t->block_bytes = (t->block_used + page - 1) / page * page;
    if (!(t->block = aligned_alloc(page, t->block_bytes))) return error_memory(t->block_bytes);
    madvise(t->block, t->block_bytes, MADV_HUGEPAGE);   /* a wish */
    memset(t->block, 0, t->block_bytes);
    place_all(t);
    for (size_t i = 0; i < t->n_trained; i++) take_numbers(t, &t->trained[i]);
    return 0;
}

void trained_free(trainer *t) { free(t->block); }

/* ---- as tensors of a graph ----------------------------------------------------------------------------------------------- */

tensor *trained_weight(const trainer *t, graph *g, const trained *w) {
    return graph_state(g, w->source->name, kept_type(t, w->source), w->source->shape, w->numbers);
}

static tensor *state(graph *g, const trained *w, const char *kind, nn_type type, nn_shape shape, void *memory) {
    char name[256];
    snprintf(name, sizeof name, "%s.%s", kind, w->source->name);
    return memory ? graph_state(g, name, type, shape, memory) : NULL;
}

static tensor *like(graph *g, const trained *w, const char *kind, nn_type type, void *memory) {
    return state(g, w, kind, type, w->source->shape, memory);
}

tensor *trained_sum(graph *g, const trained *w) { return like(g, w, "sum", NN_F32, w->sum); }

void trained_update(const trainer *t, graph *g, const trained *w, tensor *weight, tensor *dw, tensor *now, tensor *decay,
                    tensor *factor, tensor *gate) {
    tensor *low = like(g, w, "low", NN_U16, w->low);
    if (t->options.adamw8) {
        adamw8_states s = { weight, low, state(g, w, "moments", NN_U8, moments_shape(w), w->moments),
                            state(g, w, "scales", NN_F32, scales_shape(w), w->scales) };
        adamw8(g, &s, dw, now, factor, gate, (adamw8_attr){ t->options.adamw, (uint32_t)(w - t->trained) });
    } else {
        adamw_states s = { weight, low, like(g, w, "m", NN_F32, w->m), like(g, w, "v", NN_F32, w->v) };
        adamw(g, &s, dw, now, factor, gate, t->options.adamw);
    }
    if (w->average) average(g, like(g, w, "average", NN_F32, w->average), weight, low, decay, gate);
}

/* ---- what outlives them -------------------------------------------------------------------------------------------------- */

/* No sums: between steps they mean nothing. */
enum { KINDS = 6 };

static trainer_state state_of(const trainer *t, const trained *w, int kind) {
    const nn_shape s = w->source->shape;
    const trainer_state all[KINDS] = {
        { NULL, "weight", s, kept_type(t, w->source), w->numbers, w->low },
        { NULL, "m", s, NN_F32, w->m, NULL },
        { NULL, "v", s, NN_F32, w->v, NULL },
        { NULL, "moments", moments_shape(w), NN_U8, w->moments, NULL },
        { NULL, "scales", scales_shape(w), NN_F32, w->scales, NULL },
        { NULL, "average", s, NN_F32, w->average, NULL },
    };
    trainer_state out = all[kind];
    out.name = w->source->name;
    return out;
}

/* The kinds that there are, of which a weight has all: numbers in front of KINDS. */
static int kinds_kept(const trainer *t, int kept[KINDS]) {
    int n = 0;
    for (int k = 0; k < KINDS && t->n_trained; k++)
        if (state_of(t, t->trained, k).data) kept[n++] = k;
    return n;
}

size_t trainer_states(const trainer *t) {
    int kept[KINDS];
    return t->n_trained * (size_t)kinds_kept(t, kept);
}

trainer_state trainer_state_at(const trainer *t, size_t i) {
    int kept[KINDS], n = kinds_kept(t, kept);
    return state_of(t, &t->trained[i / (size_t)n], kept[i % (size_t)n]);
}

void trainer_add_states(const trainer *t, graph *g) {
    for (size_t i = 0; i < t->n_trained; i++) trained_weight(t, g, &t->trained[i]);
}
