/* SPDX-License-Identifier: Apache-2.0
 *
 * A list that can be looked into: its items lie in an unlinked file, their ids' hashes in memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/name_set.h"
#include "base/part.h"
#include "base/spool.h"
#include "base/stop.h"
#include "data/list.h"

enum { STRINGS = 5 };

/* Before the strings of an item: their sizes with the terminators, 0 for NULL. */
typedef struct { uint32_t size[STRINGS]; int width, height; double unsafe; uint64_t line; } record;

struct list_table {
    spool *spool;
    name_set names;
    record r;                   /* the one read last, */
    char *strings;              /* with its strings */
    size_t room;
    uint64_t wrong;
    char why[400];              /* of the first */
};

typedef struct { list_table *t; const char *id; int rc; } lookup;

/* Reads the item at a place. */
static int read_item(list_table *t, uint64_t place) {
    int rc = spool_read(t->spool, place, &t->r, sizeof t->r);
    size_t size = 0;
    for (int i = 0; i < STRINGS; i++) size += t->r.size[i];
    if (rc == 0 && size > t->room) {
        char *grown = realloc(t->strings, size);
        if (!grown) return error_memory(size);
        t->strings = grown;
        t->room = size;
    }
    return rc < 0 ? rc : spool_read(t->spool, place + sizeof t->r, t->strings, size);
}

static bool has_id(void *context, uint64_t place) {
    lookup *l = context;
    if (l->rc == 0) l->rc = read_item(l->t, place);
    return l->rc == 0 && strcmp(l->t->strings, l->id) == 0;
}

static int add_item(list_table *t, const list_item *item) {
    const char *const s[STRINGS] = { item->id, item->url, item->caption, item->nsfw, item->sha256 };
    record r = { .width = item->width, .height = item->height, .unsafe = item->unsafe, .line = item->line };
    for (int i = 0; i < STRINGS; i++) r.size[i] = s[i] ? (uint32_t)strlen(s[i]) + 1 : 0;
    lookup l = { t, item->id, 0 };
    uint64_t place, found;
    if (name_set_find(&t->names, part_hash(item->id), has_id, &l, &found) || l.rc < 0) return l.rc;   /* the first one counts */
    int rc = spool_append(t->spool, &r, sizeof r, &place);
    for (int i = 0; rc == 0 && i < STRINGS; i++)
        if (s[i]) rc = spool_append(t->spool, s[i], r.size[i], NULL);
    if (rc == 0) rc = spool_align(t->spool, 16);
    if (rc == 0) rc = name_set_add(&t->names, part_hash(item->id), place, has_id, &l, &found);
    return l.rc < 0 ? l.rc : rc;
}

static void note_wrong(list_table *t, const list_item *item) {
    char id[2 * 64];
    if (t->wrong++) return;
    snprintf(t->why, sizeof t->why, "\"%s\": %s", text_escape(id, sizeof id, item->id), item->wrong);
}

static int fill(list_table *t, const char *path, bool may_be_empty, const volatile int *stop) {
    list *l;
    list_item item;
    int rc = list_open_metadata(path, may_be_empty, &l);
    if (rc < 0) return rc;
    while ((rc = list_next(l, &item)) == 1) {
        if (stop_asked(stop) && (rc = error_set(ERR_CANCELLED, "stopped"))) break;
        if (item.wrong && !item.no_url) note_wrong(t, &item);
        else if ((rc = add_item(t, &item)) < 0) break;
    }
    list_close(l);
    return rc;
}

int list_table_open(const char *path, const char *folder, bool may_be_empty, const volatile int *stop, list_table **out) {
    list_table *t = calloc(1, sizeof *t);
    if (!t) return error_memory(sizeof *t);
    int rc = 0;
    if (access(path, F_OK) == 0 || errno != ENOENT) {
        rc = spool_new(folder, &t->spool);
        if (rc == 0) rc = fill(t, path, may_be_empty, stop);
    }
    if (rc < 0) list_table_close(t);
    else *out = t;
    return rc;
}

int list_table_find(list_table *t, const char *id, list_item *out) {
    lookup l = { t, id, 0 };
    uint64_t found;
    if (!name_set_find(&t->names, part_hash(id), has_id, &l, &found)) return l.rc;
    if (l.rc < 0) return l.rc;
    const char *s[STRINGS], *at = t->strings;
    for (int i = 0; i < STRINGS; i++) {
        s[i] = t->r.size[i] ? at : NULL;
        at += t->r.size[i];
    }
    *out = (list_item){ .id = s[0], .url = s[1], .caption = s[2], .nsfw = s[3], .sha256 = s[4],
                        .unsafe = t->r.unsafe, .width = t->r.width, .height = t->r.height, .line = t->r.line };
    return 1;
}

uint64_t list_table_count(const list_table *t) { return t->names.used; }

uint64_t list_table_wrong(const list_table *t) { return t->wrong; }

const char *list_table_why(const list_table *t) { return t->why; }

void list_table_close(list_table *t) {
    if (!t) return;
    spool_free(t->spool);
    name_set_free(&t->names);
    free(t->strings);
    free(t);
}
