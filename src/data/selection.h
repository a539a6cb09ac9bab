/* SPDX-License-Identifier: Apache-2.0
 *
 * Which items of a data set a command works on: --only LIST, --exclude LIST, and what was removed for good (removed.jsonl
 * in the data set's folder). A LIST has one item a line: an id, a URL, a domain ("example.com" means its sub-domains too),
 * or the SHA-256 of a picture in hex; lines that begin with # are remarks. What could be several of these ("example.com" is a
 * possible id too) is all of them. Further words may stand behind
 * a hash (sha256sum writes the file's name there), and a URL may have blanks; any other line of several words is refused. */
#ifndef DATA_SELECTION_H
#define DATA_SELECTION_H

#include <stdbool.h>

#include "base/stream.h"

typedef struct selection selection;

/* Each path may be NULL. `dataset` is the folder that may hold removed.jsonl. Memory: about 40 bytes a line. A list that
 * can't be read, or has a line that is none of these, is ERR_USAGE: nobody should believe it was obeyed. */
int  selection_new(const char *only, const char *exclude, const char *dataset, selection **out);
void selection_free(selection *s);

typedef enum { SELECTED, NOT_ONLY, EXCLUDED, REMOVED } selection_answer;
/* What is unknown of an item is NULL. An item is left out if anything that is known of it is excluded or removed, and
 * if --only was given and nothing that is known is in it. Any number of threads may ask. */
selection_answer selection_asks(const selection *s, const char *id, const char *url, const char *sha256);
bool selection_takes_all(const selection *s);        /* there is no line, and no --only */
bool selection_needs_url(const selection *s);      /* some line is a URL or a domain: worth looking up */
bool selection_needs_sha256(const selection *s);   /* some line is a hash */
const char *selection_word(selection_answer a);    /* "selected", "not in --only", "excluded", "removed" */

/* Remembers in removed.jsonl of a folder that an item must not come back. NULL: unknown. The folder is locked. */
int  selection_remember(const char *dataset, const char *id, const char *url, const char *sha256);

/* A photo's hash that was removed by now: asked for once selection_count_in was called, which no thread may do while others ask. */
int  selection_removed_later(selection *s, const char *sha256);
int  selection_count_in(selection *s);
/* What `from` knows to be removed, `to` knows too. */
int  selection_share(const selection *from, selection *to);

/* Calls found for each line of the lists that none of the questions so far was about, nor any to another selection by the same
 * --exclude (may be NULL), and that was not removed before. Lists that are no files can't be read again: nothing is said of them. */
typedef void selection_unused(void *context, const char *list, const char *line);
int  selection_each_unused(const selection *s, const selection *other, selection_unused *found, void *context);

/* A selection whose --only is the lines of a stream, which is closed. For tests. */
int  selection_of(stream *only, selection **out);

#endif
