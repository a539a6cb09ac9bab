/* SPDX-License-Identifier: Apache-2.0
 *
 * Which items are measured, and what earlier runs and other parts have done of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/part.h"
#include "base/stop.h"
#include "data/order.h"
#include "eval/eval_inside.h"

/* ---- choosing -------------------------------------------------------------------------------------------------------- */

/* Where lists name photos by their hashes, the photo itself decides: 1, 0 or ERR_*. */
static int comes(evaluation *v, choice *c, uint64_t line) {
    dataset_item item;
    uint8_t *photo;
    size_t size;
    if (!choice_needs_photo(c)) return 1;
    if (dataset_read(v->d, line, &item) < 0) return 1;   /* that is told later */
    int rc = dataset_load(v->d, &item, DATASET_TARGET, &photo, &size);
    if (rc == 0) {
        rc = choice_asks(c, &item, photo, size);
        free(photo);
    }
    dataset_item_free(&item);
    return rc < 0 ? rc == ERR_MEMORY ? rc : 0 : rc == SELECTED;
}

static int add_item(evaluation *v, uint64_t line, sha256_state *s) {
    eval_item *i = &v->item[v->n];
    dataset_item read = { 0 };
    char number[32];
    int rc = dataset_read(v->d, line, &read);
    if (rc == ERR_MEMORY) return rc;
    *i = (eval_item){ .line = line, .id = strdup(rc == 0 ? read.id : ""), .state = calloc(eval_slots(v), 1) };
    v->n++;
    if (rc == 0) dataset_item_free(&read);
    if (!i->id || !i->state) return error_memory(eval_slots(v));
    snprintf(number, sizeof number, "%" PRIu64 "\n", line);
    i->mine = part_has(*i->id ? i->id : number, v->o->part, v->o->parts);
    sha256_add(s, number, strlen(number));
    return 0;
}

static int take(evaluation *v, choice *c, const uint64_t *candidate, uint64_t candidates) {
    size_t want = (size_t)v->o->count < candidates ? (size_t)v->o->count : (size_t)candidates;
    uint8_t digest[32];
    sha256_state s;
    int rc = 0;
    if (!(v->item = calloc(want + 1, sizeof *v->item))) return error_memory(want * sizeof *v->item);
    if (!candidates) return error_set(ERR_USAGE, "%s: no item is left to be measured", v->o->data);
    order o = order_of(candidates, (uint64_t)v->o->picture.seed, 0);
    sha256_begin(&s);
    for (uint64_t i = 0; i < candidates && v->n < want && rc == 0; i++) {
        uint64_t at = order_at(&o, i), line = candidate ? candidate[at] : at;
        if (stop_asked(v->o->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
        rc = comes(v, c, line);
        if (rc == 1) rc = add_item(v, line, &s);
    }
    sha256_end(&s, digest);
    sha256_hex(digest, v->chosen);
    return rc < 0 ? rc : v->n ? 0 : error_set(ERR_USAGE, "%s: no item is left to be measured", v->o->data);
}

int eval_choose(evaluation *v) {
    choice *c = NULL;
    uint64_t *candidate = NULL, n = 0;
    int rc = dataset_open_told(v->o->data, &v->o->hooks, &v->d);
    if (rc == 0) rc = choice_open(v->d, v->o->only, v->o->exclude, v->o->hooks.stop, &c);
    if (rc == 0) n = dataset_count(v->d);
    if (rc == 0 && !choice_takes_all(c)) rc = choice_items(c, v->d, v->o->hooks.stop, &candidate, &n);
    if (rc == 0) rc = take(v, c, candidate, n);
    free(candidate);
    choice_close(c);
    return rc;
}

void eval_forget(evaluation *v) {
    for (size_t i = 0; i < v->n; i++) {
        free(v->item[i].id);
        free(v->item[i].state);
    }
    free(v->item);
    v->item = NULL;
    v->n = 0;
    dataset_close(v->d);
    v->d = NULL;
}

/* ---- pictures of an item --------------------------------------------------------------------------------------------- */

size_t eval_slot(const evaluation *v, eval_kind kind, int k) {
    return kind == EVAL_PHOTO ? 0 : kind == EVAL_CONTROL ? 1 + (size_t)k : 1 + (size_t)v->seeds + (size_t)k;
}

size_t eval_slots(const evaluation *v) { return 1 + 2 * (size_t)v->seeds; }

bool eval_slot_used(const evaluation *v, size_t slot, eval_kind *kind, int *k) {
    *kind = slot == 0 ? EVAL_PHOTO : slot <= (size_t)v->seeds ? EVAL_CONTROL : EVAL_FREE;
    *k = slot == 0 ? 0 : (int)((slot - 1) % (size_t)v->seeds);
    return v->has[*kind];
}

long long eval_seed(const evaluation *v, const eval_item *i, eval_kind kind, int k) {
    char name[64];
    if (kind == EVAL_PHOTO) return 0;
    snprintf(name, sizeof name, "%016" PRIx64 " %lld %d", part_hash(i->id), v->o->picture.seed, k);
    return (long long)(part_hash(name) & 0x7fffffff);
}

/* ---- what is done ---------------------------------------------------------------------------------------------------- */

typedef struct { uint64_t line; size_t at; } place;
typedef struct { evaluation *v; place *by_line; } look;

static int by_line(const void *a, const void *b) {
    const place *x = a, *y = b;
    return (x->line > y->line) - (x->line < y->line);
}

static eval_item *find_item(const look *l, uint64_t line) {
    place key = { line, 0 };
    const place *p = bsearch(&key, l->by_line, l->v->n, sizeof key, by_line);
    return p ? &l->v->item[p->at] : NULL;
}

static void note_picture(const evaluation *v, eval_item *i, const eval_record *r) {
    for (int k = 0; k < v->seeds; k++) {
        uint8_t *s = &i->state[eval_slot(v, r->kind, k)];
        if (eval_seed(v, i, r->kind, k) != r->seed) continue;
        if (r->what == EVAL_LINE_PICTURE) *s = PICTURE_MEASURED;
        else if (*s == PICTURE_MISSING) *s = PICTURE_FAILED;
        if (r->kind == EVAL_PHOTO) return;
    }
}

static int note(void *context, const json_at *line) {
    const look *l = context;
    eval_record r;
    int rc = eval_record_read(line, true, &r);
    eval_item *i = rc == 0 && r.what != EVAL_LINE_OTHER ? find_item(l, r.line) : NULL;
    if (!i) return rc;
    if (r.what == EVAL_LINE_ITEM) i->known = true;
    else if (r.kind == EVAL_KINDS) i->failed = true;
    else note_picture(l->v, i, &r);
    return 0;
}

int eval_look(evaluation *v) {
    look l = { v, malloc((v->n + 1) * sizeof *l.by_line) };
    if (!l.by_line) return error_memory(v->n * sizeof *l.by_line);
    for (size_t i = 0; i < v->n; i++) {
        v->item[i].known = v->item[i].failed = false;
        memset(v->item[i].state, PICTURE_MISSING, eval_slots(v));
        l.by_line[i] = (place){ v->item[i].line, i };
    }
    qsort(l.by_line, v->n, sizeof *l.by_line, by_line);
    int rc = journal_read(v->o->output, EVAL_JOURNAL, note, &l);
    free(l.by_line);
    for (size_t i = 0; i < v->n; i++)
        if (v->item[i].known) v->item[i].failed = false;
    return rc;
}
