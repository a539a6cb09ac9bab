/* SPDX-License-Identifier: Apache-2.0
 *
 * How a job over many photos shows itself on stderr: a bar on a terminal, a line now and then elsewhere, JSON lines, or
 * nothing; and one line for every item that fails. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>

#include "cli/cli.h"
#include "mien.h"

enum { PROGRESS_WINDOW = 64 };

typedef struct {
    const common_options *common;
    bool terminal, shown;                     /* a bar is on the screen */
    double next;                              /* when to show something again */
    struct { double seconds; uint64_t items; } window[PROGRESS_WINDOW];   /* for the rate of the last seconds */
    int samples;
    pthread_mutex_t mutex;
} progress;

void progress_begin(progress *p, const common_options *common);
/* The callbacks of mien_annotate; the context is the progress. */
void progress_tell(void *context, const mien_progress *now);
void progress_log(void *context, mien_log_kind kind, const char *path, const char *message);
void progress_end(progress *p);               /* clears the bar */

#endif
