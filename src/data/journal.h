/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of a job in a data set's folder: what became of each item, appended as it ends, so that a later run goes on
 * from there, whichever parts it is cut into. JSON lines, the first of them {"format":1,"kind":"download"}; <kind>.jsonl
 * belongs to a process that works alone, <kind>.<I>-of-<N>.jsonl to a part. */
#ifndef DATA_JOURNAL_H
#define DATA_JOURNAL_H

#include "base/json.h"
#include "base/stream.h"
#include "base/text.h"

enum { JOURNAL_LINE = 1 << 20 };   /* the longest line */

typedef struct journal journal;

/* Opens this process's journal for appending, made if needed; parts 0: alone. What a kill or a full disk left of a last line is
 * cut off. The folder is locked by the caller (base/lock.h). ERR_FORMAT for a file that is no journal of that kind, or of
 * an unknown format: it is not touched. */
int  journal_open(const char *folder, const char *kind, int part, int parts, journal **out);
/* Appends a line (without its newline) by a single write; after ERR_FULL nothing of it stays. One thread at a time. */
int  journal_append(journal *j, const text *line);
void journal_close(journal *j);

/* A run of a part says where it begins and, when all is done, that it has ended; parts 0: alone, which needs no beginning. */
int  journal_mark(journal *j, const char *mark, int part, int parts);   /* "begin", "end" */
uint64_t journal_lines(const journal *j);                              /* appended since it was opened */
/* Calls say for what is missing of any number of parts that work was begun by, "build: part 2 of 3 did not finish ...", unless
 * another number of parts has done it since. *out: how many parts those are. */
int  journal_unfinished(const char *folder, const char *kind, void (*say)(void *context, const char *message), void *context, int *out);

/* A line of a journal: ends the reading with what it returns below 0. */
typedef int journal_entry(void *context, const json_at *line);

/* Calls entry for each line of all journals of a kind that lie in the folder, the merged one first, then the parts' in the
 * order of their names; each in the order it was written. Between files there is no such order: where an item may have several
 * lines, these say themselves which of them counts. A torn last line is left out. A folder without any is fine. */
int  journal_read(const char *folder, const char *kind, journal_entry *entry, void *context);
/* The same for the bytes of one. */
int  journal_read_from(stream *r, const char *kind, journal_entry *entry, void *context);

/* Makes one <kind>.jsonl of them all, atomically, and removes the parts'. *merged: how many there were. The folder is locked.
 * Killed at any moment, no line is lost, and none is there twice for journal_read or the next merge. */
int  journal_merge(const char *folder, const char *kind, int *merged);

#endif
