/* SPDX-License-Identifier: Apache-2.0
 *
 * What the journals of `build` say when a run begins: the last line of each photo, which files of the set are ours. It is
 * kept in an unlinked file; memory is 8 to 16 bytes a photo. */
#ifndef DATA_BUILD_STATE_H
#define DATA_BUILD_STATE_H

#include "data/build_record.h"

typedef struct build_state build_state;

/* The folder is locked by the caller. */
int  build_state_load(const char *folder, build_state **out);
void build_state_free(build_state *s);
uint64_t build_state_run(const build_state *s);     /* the number of the run that begins */

/* Reads a line; the strings live as long as *doc, which the caller frees. ERR_FORMAT if it is no photo's. */
int  build_line_parse(const char *line, size_t size, json **doc, build_record *r);

/* The last line of a photo, by its escaped path. 1 and the line (appended), 0, or ERR_*. Any thread. */
int  build_state_find(build_state *s, const char *photo, text *line);
/* Goes through the last lines of all photos, or through all of their lines, in no order; ends early with what `visit` returned
 * below 0. One thread at a time. */
typedef int build_visit(void *context, const build_record *r, const text *line);
int  build_state_each(build_state *s, bool all, build_visit *visit, void *context);

/* Whether a file of the set ("prompt.jsonl") holds what build once wrote there. 1, 0 or ERR_*; *there: it is there; hash (may
 * be NULL): its own. */
bool build_state_wrote(const build_state *s, const char *name, const char *hash);
/* Notes that it does, before the file is put in place: then whatever a kill leaves is known to be ours. */
int  build_state_note(const char *folder, uint64_t run, const char *name, const char *hash);
/* The same for a job that writes anew what build wrote, if build wrote what was there. The folder is locked. */
int  build_state_hand_on(const char *folder, const char *name, const char *was, const char *is);
int  build_state_owns(const build_state *s, const char *folder, const char *name, bool *there, char hash[65]);

#endif
