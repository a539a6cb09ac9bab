/* SPDX-License-Identifier: Apache-2.0
 *
 * How a job over many items shows itself on stderr: a bar on a terminal, a line now and then elsewhere, JSON lines, or
 * nothing; and one line for every item that fails. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/cli.h"
#include "mien.h"

enum { PROGRESS_WINDOW = 64 };

/* How amounts are told: items a second, with all counts; seconds an item, with the first count alone; or bytes, where the first count is of what is checked
 * and not fetched. */
typedef enum { PROGRESS_ITEMS, PROGRESS_SLOW, PROGRESS_BYTES } progress_kind;

typedef struct {
    const common_options *common;
    const char *unit;
    progress_kind kind;
    bool notes;                               /* show what is only of note, one a photo, in words too */
    bool endless;                             /* it goes on until it is stopped: nothing is left of it, and a total of 0 is no reason to be silent */
    char note[128];                           /* instead of counts, if it is not empty; set in the thread that tells of progress */
    bool terminal, shown;                     /* a bar is on the screen */
    double next;                              /* when to show something again */
    struct { double seconds; uint64_t items; } window[PROGRESS_WINDOW];   /* for the rate of the last seconds */
    int samples;
    pthread_mutex_t mutex;
} progress;

/* unit: what is counted, "photos". */
void progress_begin(progress *p, const common_options *common, const char *unit);
/* What a job is given to tell of itself and to be stopped by signals (cli.h, catch_signals). */
mien_hooks progress_hooks(progress *p);
void progress_log(void *context, mien_log_kind kind, const char *path, const char *message);   /* the context is the progress */
void progress_clear(progress *p);             /* before something is printed on stdout: a bar would stand in it */
void progress_end(progress *p);               /* clears the bar */

/* {"event":EVENT,"total":...}, with all that the job counts. */
void progress_json(FILE *to, const char *event, const mien_progress *n);

#endif
