/* SPDX-License-Identifier: Apache-2.0
 *
 * Between remove.c (who goes) and remove_lists.c (their lines and entries). */
#ifndef DATA_REMOVE_INSIDE_H
#define DATA_REMOVE_INSIDE_H

#include <stdbool.h>

#include "base/name_set.h"
#include "base/spool.h"
#include "data/remove.h"
#include "data/selection.h"

struct removal {
    const char *folder, *room;
    const mien_check_options *options;
    mien_check_result *result;
    selection *chosen, *known;     /* known: what removed.jsonl said in the beginning */
    spool *ids;                    /* of those that go; and "id\nhash" of what was remembered of them */
    name_set names;
    bool found_all;                /* by id and URL */
    uint64_t found;                /* whose traces are not yet gone */
    char broken[512];              /* what is wrong with a metadata.json: it is told once all else is gone; "": nothing */
};

void removal_say(const removal *r, const char *path, const char *format, ...) __attribute__((format(printf, 3, 4)));
int  removal_path(const removal *r, const char *name, char *out, size_t room);   /* <folder>/<name> */

/* Whether an item goes: 1, 0, or ERR_*. */
int  removal_has(const removal *r, const char *id);
/* It goes if the lists say so; what is unknown is NULL. */
int  removal_ask(removal *r, const char *id, const char *url, const char *sha256);

/* Asks for each item that a list names. */
int  removal_ask_lists(removal *r);
/* Takes those that go out of all lists. */
int  removal_lists(removal *r);
/* Calls found for each map that a line of one that goes names, by another name than its own, and no other line does. */
int  removal_other_maps(removal *r, int (*found)(removal *r, const char *source));

#endif
