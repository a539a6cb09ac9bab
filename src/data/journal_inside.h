/* SPDX-License-Identifier: Apache-2.0
 *
 * Between journal.c and journal_read.c: heads, and which parts' journals a merge has taken. */
#ifndef DATA_JOURNAL_INSIDE_H
#define DATA_JOURNAL_INSIDE_H

#include "data/journal.h"

enum { JOURNAL_FORMAT = 1 };

void journal_head(const char *kind, text *out);

/* Takes the first line: 1 if it is the head, 0 if there is none but perhaps the beginning of one, or ERR_*. */
int journal_check_head(stream *r, const char *kind);

/* The journals that were merged last, as the merged one's head tells: the parts' files are removed after it has taken their place, so
 * a kill may leave some. */
typedef struct { size_t count; char (*sha256)[65]; } journal_merged;
int  journal_merged_load(const char *folder, const char *kind, journal_merged *out);
int  journal_merged_has(const journal_merged *m, const char *path);   /* 1, 0, or ERR_* */
void journal_merged_free(journal_merged *m);

#endif
