/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "face/annotate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/inputs.h"
#include "base/lock.h"
#include "base/workers.h"
#include "face/annotate_item.h"
#include "image/image.h"

enum { COUNT_WITH_FACES, COUNT_WITHOUT_FACES, COUNT_FACES, COUNTS };
static const char *const count_names[COUNTS] = { "with_faces", "without_faces", "faces" };

typedef struct {
    const face_mesh *mesh;
    const annotate_options *options;
    folder_lock lock;
    const char *suffixes[ANNOTATE_OUTPUTS + 1];
    double begin;
    char why[1024];
    /* While the workers run, theirs: under their lock. */
    inputs *list;
    annotate_progress progress;
    annotate_times times;
} job;

static void say(job *j, mien_log_kind kind, const char *path, const char *message) {
    if (j->options->hooks.log) j->options->hooks.log(j->options->hooks.context, kind, path, message);
}

static void tell_progress(void *context) {
    job *j = context;
    j->progress.seconds = clock_seconds() - j->begin;
    if (j->options->hooks.progress) j->options->hooks.progress(j->options->hooks.context, &j->progress);
}

/* ---- listing ------------------------------------------------------------------------------------------------------- */

static void say_failed(job *j, const char *path, const char *message) { say(j, MIEN_LOG_ITEM_FAILED, path, error_without_path(message, path)); }

static void not_listed(void *context, const char *path, const char *message) {
    job *j = context;
    j->progress.total++;
    j->progress.failed++;
    say_failed(j, path, message);
}

static void enter_folder(void *context, const char *id) {
    job *j = context;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s/", j->options->output, id);
    if ((size_t)n < sizeof path && folder_check_links(j->options->output, path) == 0) file_remove_leftovers(path, !j->options->parts);
    j->progress.total = j->progress.failed + inputs_count(j->list);
    tell_progress(j);
}

/* Whatever is wrong with what the caller named is said at once, before the output folder is made. */
static int check_inputs(job *j) {
    const annotate_options *o = j->options;
    int wrong = 0;
    struct stat out;
    if (stat(o->output, &out) == 0 ? !S_ISDIR(out.st_mode) : errno == ENOTDIR) return error_set(ERR_USAGE, "%s: is not a folder", o->output);
    for (int i = 0; i < o->n_inputs; i++) {
        struct stat st;
        bool list = strcmp(o->inputs[i], "-") == 0;
        if (list && fstat(STDIN_FILENO, &st) == 0 && S_ISDIR(st.st_mode)) error_set(ERR_USAGE, "standard input is a folder: a list of paths was expected");
        else if (list || stat(o->inputs[i], &st) == 0) continue;
        else error_errno("%s", o->inputs[i]);
        if (wrong++) say(j, MIEN_LOG_WARNING, NULL, j->why);
        snprintf(j->why, sizeof j->why, "%s", error_message());
    }
    return wrong ? error_set(ERR_USAGE, "%s", j->why) : 0;
}

static int list_inputs(job *j) {
    const annotate_options *o = j->options;
    annotate_suffixes(o, j->suffixes);
    inputs_options how = {
        .output = o->output, .suffixes = j->suffixes, .wanted = image_name_known, .part = o->part, .parts = o->parts,
        .stop = o->hooks.stop, .failed = not_listed, .folder = enter_folder, .context = j,
    };
    int rc = inputs_new(&how, &j->list);
    for (int i = 0; rc == 0 && i < o->n_inputs; i++) {
        rc = strcmp(o->inputs[i], "-") == 0 ? inputs_add_list(j->list, STDIN_FILENO) : inputs_add(j->list, o->inputs[i]);
        j->progress.total = j->progress.failed + inputs_count(j->list);
    }
    return rc;
}

/* ---- working ------------------------------------------------------------------------------------------------------- */

static int next_item(void *context, void *item) { return inputs_next(((job *)context)->list, item); }

static void *begin_worker(void *context) {
    job *j = context;
    annotate_worker *w = malloc(sizeof *w);
    if (!w) return error_memory(sizeof *w), NULL;
    *w = annotate_worker_of(j->mesh, j->options);
    return w;
}

typedef struct { inputs_item input; item_result result; } item;

static int work_item(void *context, void *own, void *one) {
    (void)context;
    item *i = one;
    return annotate_item(own, &i->input, &i->result);
}

static int count_item(void *context, void *own, void *one, int rc) {
    job *j = context;
    const annotate_worker *w = own;
    const item *i = one;
    annotate_progress *p = &j->progress;
    if (rc == ERR_FULL) return rc;
    if (rc < 0) {
        p->failed++;
        say_failed(j, i->input.path, error_message());
    } else if (i->result == ITEM_THERE) {
        p->skipped++;
    } else {
        p->done++;
        p->count[COUNT_FACES].n += w->faces;
        p->count[w->faces ? COUNT_WITH_FACES : COUNT_WITHOUT_FACES].n++;
        if (w->faces == 0) say(j, MIEN_LOG_INFO, i->input.path, "no face was found: the map is empty");
    }
    return 0;
}

static void add_times(annotate_times *to, const annotate_times *t) {
    to->read += t->read;
    to->decode += t->decode;
    to->find += t->find;
    to->detect += t->detect;
    to->landmarks += t->landmarks;
    to->draw += t->draw;
    to->encode += t->encode;
    to->write += t->write;
}

static void end_worker(void *context, void *own) {
    annotate_worker *w = own;
    add_times(&((job *)context)->times, &w->maker.times);
    annotate_worker_free(w);
    free(w);
}

static int run_workers(job *j) {
    uint64_t count = inputs_count(j->list);
    if (!count) return 0;
    return workers_run(&(workers_job){
        .jobs = j->options->jobs, .most = count, .item_size = sizeof(item), .stop = j->options->hooks.stop, .next = next_item,
        .work = work_item, .count = count_item, .begin = begin_worker, .end = end_worker, .tick = tell_progress, .context = j,
    });
}

static int run(job *j) {
    const annotate_options *o = j->options;
    int rc = check_inputs(j);
    if (rc == 0) rc = folder_make(o->output);
    if (rc == 0) rc = folder_lock_take(o->output, o->part, o->parts, &j->lock);
    if (rc == 0 && j->lock.missing) say(j, MIEN_LOG_WARNING, o->output, "cannot be locked here: see that no other process writes there");
    if (rc == 0) rc = list_inputs(j);
    return rc < 0 ? rc : run_workers(j);
}

int annotate_run(const face_mesh *mesh, const annotate_options *options, annotate_progress *result) {
    job j = { .mesh = mesh, .options = options, .lock = FOLDER_UNLOCKED, .begin = clock_seconds(), .progress.n_counts = COUNTS };
    for (int i = 0; i < COUNTS; i++) j.progress.count[i].name = count_names[i];
    int rc = run(&j);
    inputs_free(j.list);
    folder_lock_release(&j.lock);
    tell_progress(&j);
    if (result) *result = j.progress;
    if (options->times) *options->times = j.times;
    return rc;
}
