/* SPDX-License-Identifier: Apache-2.0
 *
 * What `mien check --fix` took out of prompt.jsonl, for `build`, which would put it there again. Each line of
 * prompt.rejected.jsonl says which files it was about: "files": {"photo": SHA-256 or null if it was not there, "map": ...,
 * "landmarks": ...}. A line stays out while
 *
 *     a duplicate              its photo is the same, whatever became of map and landmarks; so do lines of reasons that mien doesn't know
 *     faces_differ             photo, map and landmarks are the same
 *     source_..., target_..., landmarks_..., aspect_changed: the files' fault
 *                              all three are still what they were; build makes them anew, and if others come of it the line is back
 *
 * and a file of which nothing is said counts as the same. broken_line is no item's: build writes its own lines. */
#ifndef DATA_REJECTED_H
#define DATA_REJECTED_H

#include <stdbool.h>

#include "base/text.h"

/* Hashes in hex; "": unknown; "-": it is not there. */
typedef struct { char photo[65], map[65], landmarks[65]; } rejected_files;

/* What lies there now; the photo alone, or all. What can't be read is unknown. */
void rejected_look(const char *folder, const char *source, const char *target, bool all, rejected_files *out);
/* Appends {"photo": ..., ...}: what is known. */
void rejected_write(const rejected_files *f, text *out);

typedef struct rejected rejected;

/* Reads prompt.rejected.jsonl, if there is one: also where a fix that was broken off has left it. Lines that are not ours are
 * passed over. Memory is 8 to 16 bytes a line. */
int  rejected_open(const char *folder, rejected **out);
void rejected_close(rejected *r);                  /* NULL is fine */

typedef enum { REJECTED_NOT, REJECTED_LINE, REJECTED_FILES } rejected_answer;   /* FILES: by the fault of files that are still as they were */
/* Whether a line stays out; sha256: of its photo, as build knows it. Any thread. An answer or ERR_*. */
int  rejected_asks(rejected *r, const char *source, const char *target, const char *sha256);

#endif
