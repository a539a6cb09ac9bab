/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a data set's folder that no line names. Only the check job uses this. */
#ifndef DATA_CHECK_UNNAMED_H
#define DATA_CHECK_UNNAMED_H

#include <stdbool.h>

typedef struct check_unnamed check_unnamed;

/* all: overlays too, and what lines of prompt.rejected.jsonl name is named. `room` is where unlinked files lie. */
int  check_unnamed_new(const char *folder, const char *room, bool all, check_unnamed **out);
void check_unnamed_free(check_unnamed *u);

/* What a line names; "": nothing. */
int  check_unnamed_line(check_unnamed *u, const char *id, const char *source, const char *landmarks, const char *target);
/* Reads prompt.rejected.jsonl, if all was asked for. *why (unless it is told already): a line there can't be read, and could name any
 * file, so that nothing should be deleted. */
int  check_unnamed_prepare(check_unnamed *u, const char **why);
/* Calls found for each file, "target/x.jpg", in the order of the names; ends with what that returns below 0. Once. */
int  check_unnamed_each(check_unnamed *u, int (*found)(void *context, const char *name), void *context);

/* 1 if photos of target/ are not copies: download put them there, or build took them from there, and may have left some out; 0; or
 * ERR_*. */
int  check_unnamed_photos_stay(const char *folder);

#endif
