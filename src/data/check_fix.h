/* SPDX-License-Identifier: Apache-2.0
 *
 * Bad lines move from prompt.jsonl to prompt.rejected.jsonl, each with its reason: {"format": 1, "reason": "duplicate", "detail": "...",
 * "files": {...}, then what the line had}, or "text" for a line that is no such object. The old prompt.jsonl stays as prompt.jsonl.bak; what
 * is there stays as it is, the next is .bak.2, and so on.
 *
 * Both new files are written aside, first .mien-fix.prompt.jsonl, then .mien-fix.prompt.rejected.jsonl. Putting the former in its place decides: where only the
 * latter is left, the fix has happened and is to be finished; where the former is there, it has not, and is undone. If build wrote the old
 * prompt.jsonl, its journal has the new one's hash before that: it goes on being build's. */
#ifndef DATA_CHECK_FIX_H
#define DATA_CHECK_FIX_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/sorter.h"

/* Whether a fix was broken off here. */
bool check_fix_pending(const char *folder);
/* Finishes or undoes it. The folder is locked by the caller. */
int  check_fix_recover(const char *folder);

/* Where the lines lie that were taken out, be a fix finished or not. Nothing need be there. */
int  check_fix_rejected(const char *folder, char path[PATH_MAX]);

/* Lines to move, in any order. files: which they were about (data/rejected.h), as JSON; NULL: nothing is said of that. */
int  check_fix_add(sorter *lines, uint64_t line, const char *reason, const char *detail, const char *files);
enum { CHECK_BACKUP = 32 };
/* Moves them. `was`: prompt.jsonl as it was when its lines were numbered; ERR_IO if it is another by now. backup: the
 * old one's new name, "" if there was nothing to move. The folder is locked by the caller. */
int  check_fix(const char *folder, const struct stat *was, sorter *lines, uint64_t *moved, char backup[CHECK_BACKUP]);

#endif
