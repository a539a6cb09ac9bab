/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/synth.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/part.h"
#include "base/stop.h"
#include "base/workers.h"
#include "synth/item.h"

enum { COUNT_REPLACED, COUNTS };

typedef struct {
    const mien_synth_options *options;
    item_job items;
    folder_lock lock;
    double begin;
    /* While the workers run, theirs: under their lock. */
    uint64_t next;                 /* how many of the numbers were looked at */
    mien_progress progress;
    mien_synth_times times;
} job;

static void say(job *j, mien_log_kind kind, const char *path, const char *message) {
    if (j->options->hooks.log) j->options->hooks.log(j->options->hooks.context, kind, path, message);
}

static void tell_progress(void *context) {
    job *j = context;
    j->progress.seconds = clock_seconds() - j->begin;
    if (j->options->hooks.progress) j->options->hooks.progress(j->options->hooks.context, &j->progress);
}

static bool is_mine(const job *j, uint64_t number) {
    char id[SYNTH_ID];
    if (!j->options->parts) return true;
    synth_id(j->options->seed, number, id);
    return part_has(id, j->options->part, j->options->parts);
}

static int count_all(job *j) {
    const mien_synth_options *o = j->options;
    if (!o->parts) return j->progress.total = o->count, 0;
    for (uint64_t i = 0; i < o->count; i++) {
        if (i % 65536 == 0 && stop_asked(o->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
        j->progress.total += is_mine(j, o->first + i);
    }
    return 0;
}

/* ---- working ------------------------------------------------------------------------------------------------------------ */

typedef struct { uint64_t number; item_result result; } item;

static int next_item(void *context, void *one) {
    job *j = context;
    while (j->next < j->options->count) {
        ((item *)one)->number = j->options->first + j->next++;
        if (is_mine(j, ((item *)one)->number)) return 1;
    }
    return 0;
}

static void *begin_worker(void *context) {
    (void)context;
    mien_synth_times *own = calloc(1, sizeof *own);
    return own ? own : (error_memory(sizeof *own), NULL);
}

static int work_item(void *context, void *own, void *one) {
    item *i = one;
    return synth_item(&((job *)context)->items, i->number, own, &i->result);
}

static int count_item(void *context, void *own, void *one, int rc) {
    job *j = context;
    const item *i = one;
    char path[PATH_MAX], id[SYNTH_ID];
    (void)own;
    if (rc == ERR_FULL || rc == ERR_MEMORY) return rc;
    if (rc < 0) {
        j->progress.failed++;
        synth_id(j->options->seed, i->number, id);
        if ((size_t)snprintf(path, sizeof path, "%s/%s", j->options->output, id) >= sizeof path) path[0] = 0;
        say(j, MIEN_LOG_ITEM_FAILED, path, error_message());
    } else if (i->result == ITEM_THERE) {
        j->progress.skipped++;
    } else {
        j->progress.done++;
        j->progress.count[COUNT_REPLACED].n += i->result == ITEM_REPLACED;
    }
    return 0;
}

static void end_worker(void *context, void *own) {
    mien_synth_times *to = &((job *)context)->times;
    const mien_synth_times *t = own;
    to->draw += t->draw;
    to->render += t->render;
    to->encode += t->encode;
    to->write += t->write;
    free(own);
}

static int run(job *j) {
    const mien_synth_options *o = j->options;
    struct stat st;
    if (stat(o->output, &st) == 0 ? !S_ISDIR(st.st_mode) : errno == ENOTDIR)
        return error_set(ERR_USAGE, "%s: is not a folder", o->output);
    int rc = folder_make(o->output);
    if (rc == 0) rc = folder_lock_take(o->output, o->part, o->parts, &j->lock);
    if (rc == 0 && j->lock.missing)
        say(j, MIEN_LOG_WARNING, o->output, "cannot be locked here: see that no other process writes there");
    if (rc == 0) file_remove_leftovers(o->output, !o->parts);
    if (rc == 0) rc = count_all(j);
    if (rc < 0 || !j->progress.total) return rc;
    return workers_run(&(workers_job){
        .jobs = o->jobs, .most = j->progress.total, .item_size = sizeof(item), .stop = o->hooks.stop, .next = next_item,
        .work = work_item, .count = count_item,
        .begin = begin_worker, .end = end_worker, .tick = tell_progress, .context = j,
    });
}

int synth_run(const mien_synth_options *options, mien_progress *result) {
    job j = { .options = options, .lock = FOLDER_UNLOCKED, .begin = clock_seconds(), .progress.n_counts = COUNTS };
    j.progress.count[COUNT_REPLACED].name = "replaced";
    synth_item_job(options, &j.items);
    int rc = run(&j);
    folder_lock_release(&j.lock);
    tell_progress(&j);
    if (result) *result = j.progress;
    if (options->times) *options->times = j.times;
    return rc;
}
