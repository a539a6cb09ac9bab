/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/turned.h"

#include "base/parallel.h"

enum { LANES = 16, LINE = 64 };      /* of a panel; bytes of its words of one kind */

static size_t words_of(nn_type type) { return type == NN_BF16 ? LANES / 2 : LANES; }   /* in sixteen numbers */

panels panels_of(const blocked_layout *l, nn_type type) {
    size_t bytes = nn_type_bytes(type), lanes = l->across ? l->inputs : l->outputs;
    return (panels){ .outputs = l->outputs, .inputs = l->inputs, .taps = l->taps, .tap_step = l->tap_step * bytes, .type = type, .across = l->across, .n = 1,
                     .run = { { lanes / LANES, l->block / LANES, 0, l->block_step * bytes } } };
}

static size_t groups_of(const panels *p) {
    size_t n = 0;
    for (int i = 0; i < p->n; i++) n += (p->run[i].panels + p->run[i].width - 1) / p->run[i].width;
    return n;
}

typedef struct { size_t at, first, panels, width; } group;   /* first: panel */

static group group_at(const panels *p, size_t i) {
    const panel_run *r = p->run;
    size_t first = 0, here;
    for (; i >= (here = (r->panels + r->width - 1) / r->width); r++) i -= here, first += r->panels;
    size_t left = r->panels - i * r->width;
    return (group){ r->at + i * r->step, first + i * r->width, left < r->width ? left : r->width, r->width };
}

static bool has_whole_panels(const panels *p) {
    size_t lanes = 0;
    for (int i = 0; i < p->n; i++) lanes += p->run[i].panels * LANES;
    return lanes == (p->across ? p->inputs : p->outputs);
}

/* Whole panels both ways, and whole groups of those that are made, so that everything is written. */
static bool is_whole(const panels *from, const panels *to) {
    if (!has_whole_panels(from) || !has_whole_panels(to)) return false;
    for (int i = 0; i < to->n; i++)
        if (to->run[i].panels % to->run[i].width) return false;
    return true;
}

bool turning_find(turning *t, const kernel_step *s, const params *store, const tensor *w, const panels *to) {
    const panels *from;
    const void *packed = s->pack_once ? params_described(store, w, (const void **)&from) : NULL;
    if (!packed || from->across == to->across || from->type != to->type || from->outputs != to->outputs || from->inputs != to->inputs || from->taps != to->taps || !is_whole(from, to))
        return false;
    *t = (turning){ *from, *to, packed };
    return true;
}

typedef struct { const turning *t; char *to; size_t sources; bool stream; } turning_job;   /* to: where the first byte of all would lie */

/* Where the part of group `of` that belongs to group `to` begins. */
static size_t place(const group *of, const group *to, size_t line) { return of->at + to->first * line * of->width; }

static void turning_part(void *context, size_t begin, size_t end, int thread) {
    const turning_job *j = context;
    const turning *t = j->t;
    size_t line = words_of(t->to.type) * LINE;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        group from = group_at(&t->from, i % j->sources), to = group_at(&t->to, i / j->sources);
        size_t next = i + 1 < end ? i + 1 : i;
        group from_next = group_at(&t->from, next % j->sources), to_next = group_at(&t->to, next / j->sources);
        size_t at = place(&from, &to, line);
        turned_tile tile = { (const char *)t->packed + at, j->to + place(&to, &from, line), from.width, to.width, from.panels, to.panels, t->to.taps, t->from.tap_step, t->to.tap_step,
                             (ptrdiff_t)place(&from_next, &to_next, line) - (ptrdiff_t)(at + (t->to.taps - 1) * t->from.tap_step), j->stream };
        t->to.type == NN_BF16 ? turned_tile_bf16(&tile) : turned_tile_f32(&tile);
    }
}

void turning_make(const turning *t, void *to, int threads) {
    size_t bytes = t->to.outputs * t->to.inputs * t->to.taps * nn_type_bytes(t->to.type);
    turning_job j = { t, to, groups_of(&t->from), bytes >= BLOCKED_STREAM };
    parallel_for(threads, j.sources * groups_of(&t->to), turning_part, &j);
}

void turning_make_groups(const turning *t, size_t first, size_t groups, void *to) {
    turning_job j = { t, (char *)to - group_at(&t->to, first).at, groups_of(&t->from), false };
    turning_part(&j, j.sources * first, j.sources * (first + groups), 0);
}
