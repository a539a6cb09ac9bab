/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of a flat list. They are found in rounds, each over the whole list: all inputs that share a name go up a level,
 * until no two share one. So the names do not depend on the order of the list. */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/inputs_inside.h"
#include "base/part.h"
#include "base/stop.h"

enum { MOST_ROUNDS = 16 };   /* three or four are enough but for names that were made to need more */

void inputs_flat_name(const inputs *in, const entry *e, char out[INPUTS_NAME]) {
    in->options.flatten(in->options.context, e->path + e->r.id_at, e->r.level, out);
}

typedef struct { inputs *in; const char *name; int rc; } lookup;

/* Leaves the entry in in->other. */
static bool has_name(void *context, uint64_t place) {
    lookup *l = context;
    char name[INPUTS_NAME];
    if (l->rc < 0 || (l->rc = inputs_entry_read(l->in, place, l->in->other)) < 0) return false;
    inputs_flat_name(l->in, l->in->other, name);
    return strcmp(name, l->name) == 0;
}

static int mark_up(inputs *in, uint64_t place, entry *e, uint64_t other) {
    in->any_up = true;
    if (e->r.up) return 0;
    e->r.up = 1;
    e->r.clash = other + 1;
    return spool_change(in->spool, place, &e->r, sizeof e->r);
}

int inputs_flat_enter(inputs *in, uint64_t place) {
    char name[INPUTS_NAME];
    uint64_t found;
    inputs_flat_name(in, in->entry, name);
    if (!*name) return 0;
    lookup l = { in, name, 0 };
    int rc = name_set_add(&in->names, part_hash(name), place, has_name, &l, &found);
    if (l.rc < 0) rc = l.rc;
    if (rc < 0 || found == place) return rc;
    rc = mark_up(in, found, in->other, place);
    return rc < 0 ? rc : mark_up(in, place, in->entry, found);
}

/* Up a level, unless it is the last; whether it still shares its name there is seen next. */
static int go_up(inputs *in, uint64_t place) {
    record *r = &in->entry->r;
    if (!r->up) return 0;
    if (r->level + 1 < INPUTS_LEVELS) r->level++, in->any_rose = true;
    r->up = 0;
    r->clash = 0;
    return spool_change(in->spool, place, r, sizeof *r);
}

static int for_each(inputs *in, int (*visit)(inputs *in, uint64_t place)) {
    int rc = 0;
    for (uint64_t at = 0, next; rc == 0 && at < spool_size(in->spool); at = next) {
        if (stop_asked(in->options.stop)) return error_set(ERR_CANCELLED, "stopped");
        rc = inputs_entry_read(in, at, in->entry);
        next = at + inputs_entry_bytes(in->entry);
        if (rc == 0) rc = visit(in, at);
    }
    return rc;
}

int inputs_flat_settle(inputs *in) {
    int rc = 0;
    in->any_rose = true;
    for (int round = 0; rc == 0 && in->any_up && in->any_rose && round < MOST_ROUNDS; round++) {
        in->any_up = in->any_rose = false;
        rc = for_each(in, go_up);
        name_set_free(&in->names);
        if (rc == 0) rc = for_each(in, inputs_flat_enter);
    }
    return rc;
}
