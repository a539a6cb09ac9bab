/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "face/annotate.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/inputs.h"
#include "base/lock.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "base/text.h"
#include "face/annotate_item.h"
#include "image/image.h"

typedef struct {
    const face_mesh *mesh;
    const annotate_options *options;
    folder_lock lock;
    const char *suffixes[ANNOTATE_OUTPUTS + 1];
    inputs *list;
    double begin;
    pthread_mutex_t mutex;         /* guards all below, the list, and the log */
    pthread_cond_t  changed;       /* a worker has ended */
    annotate_progress progress;
    annotate_times times;
    int working;
    int rc;                        /* what stopped the job, with: */
    char why[1024];
} job;

static void say(job *j, mien_log_kind kind, const char *path, const char *message) {
    if (j->options->log) j->options->log(j->options->context, kind, path, message);
}

static void tell_progress(job *j) {
    if (!j->options->progress) return;
    pthread_mutex_lock(&j->mutex);
    j->progress.seconds = clock_seconds() - j->begin;
    annotate_progress p = j->progress;
    pthread_mutex_unlock(&j->mutex);
    j->options->progress(j->options->context, &p);
}

/* ---- listing ------------------------------------------------------------------------------------------------------- */

/* The reason without the path that it may begin with: both are shown. */
static void say_failed(job *j, const char *path, const char *message) {
    char shown[1024];
    size_t n = strlen(text_escape(shown, sizeof shown, path));
    if (strncmp(message, shown, n) == 0 && strncmp(message + n, ": ", 2) == 0) message += n + 2;
    say(j, MIEN_LOG_ITEM_FAILED, path, message);
}

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
        .stop = o->stop, .failed = not_listed, .folder = enter_folder, .context = j,
    };
    int rc = inputs_new(&how, &j->list);
    for (int i = 0; rc == 0 && i < o->n_inputs; i++) {
        rc = strcmp(o->inputs[i], "-") == 0 ? inputs_add_list(j->list, STDIN_FILENO) : inputs_add(j->list, o->inputs[i]);
        j->progress.total = j->progress.failed + inputs_count(j->list);
    }
    return rc;
}

/* ---- working ------------------------------------------------------------------------------------------------------- */

/* Stops the job: with the mutex held. The first reason counts. */
static void stop_job(job *j, int rc) {
    if (j->rc < 0) return;
    j->rc = rc;
    snprintf(j->why, sizeof j->why, "%s", error_message());
}

static bool next_item(job *j, inputs_item *item) {
    pthread_mutex_lock(&j->mutex);
    if (j->rc == 0 && stop_asked(j->options->stop)) stop_job(j, error_set(ERR_CANCELLED, "stopped"));
    int rc = j->rc < 0 ? 0 : inputs_next(j->list, item);
    if (rc < 0) stop_job(j, rc);
    pthread_mutex_unlock(&j->mutex);
    return rc > 0;
}

static void count_item(job *j, const annotate_worker *w, const inputs_item *item, int rc, item_result result) {
    pthread_mutex_lock(&j->mutex);
    annotate_progress *p = &j->progress;
    if (rc == ERR_FULL) {
        stop_job(j, rc);
    } else if (rc < 0) {
        p->failed++;
        say_failed(j, item->path, error_message());
    } else if (result == ITEM_THERE) {
        p->skipped++;
    } else {
        p->done++;
        p->faces += w->faces;
        p->with_faces += w->faces > 0;
        p->without_faces += w->faces == 0;
        if (w->faces == 0) say(j, MIEN_LOG_INFO, item->path, "no face was found: the map is empty");
    }
    pthread_mutex_unlock(&j->mutex);
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

static void *work_through(void *context) {
    job *j = context;
    annotate_worker w = annotate_worker_of(j->mesh, j->options);
    inputs_item *item = malloc(sizeof *item);
    item_result result;
    while (item && next_item(j, item)) {
        int rc = annotate_item(&w, item, &result);
        count_item(j, &w, item, rc, result);
    }
    pthread_mutex_lock(&j->mutex);
    if (!item) stop_job(j, error_memory(sizeof *item));
    add_times(&j->times, &w.times);
    j->working--;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->mutex);
    annotate_worker_free(&w);
    free(item);
    return NULL;
}

/* Tells of the progress until all workers have ended. */
static void watch(job *j) {
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100 * 1000 * 1000;
        if (until.tv_nsec >= 1000 * 1000 * 1000) until.tv_nsec -= 1000 * 1000 * 1000, until.tv_sec++;
        pthread_mutex_lock(&j->mutex);
        int late = 0;
        while (j->working && !late) late = pthread_cond_timedwait(&j->changed, &j->mutex, &until);
        bool over = j->working == 0;
        pthread_mutex_unlock(&j->mutex);
        if (over) return;
        tell_progress(j);
    }
}

/* The stack of a thread is as large as `ulimit -s` says: that can be too small for the lists of a search. */
static int start_worker(job *j, pthread_t *thread) {
    enum { LEAST_STACK = 1 << 20 };
    pthread_attr_t attr;
    size_t size = 0;
    int refused = pthread_attr_init(&attr);
    if (refused) return refused;
    if (pthread_attr_getstacksize(&attr, &size) == 0 && size < LEAST_STACK) pthread_attr_setstacksize(&attr, LEAST_STACK);
    refused = pthread_create(thread, &attr, work_through, j);
    pthread_attr_destroy(&attr);
    return refused;
}

static int run_workers(job *j) {
    uint64_t count = inputs_count(j->list);
    int wanted = j->options->jobs > 0 ? j->options->jobs : parallel_cores();
    if ((uint64_t)wanted > count) wanted = (int)count;
    pthread_t *thread = calloc((size_t)wanted + 1, sizeof *thread);
    if (!thread) return error_memory((size_t)wanted * sizeof *thread);
    int started = 0, refused = 0;
    while (started < wanted && !refused) {
        pthread_mutex_lock(&j->mutex);
        j->working++;
        pthread_mutex_unlock(&j->mutex);
        refused = start_worker(j, &thread[started]);
        if (!refused) started++;
    }
    if (refused) {
        pthread_mutex_lock(&j->mutex);
        j->working--;
        if (!started) stop_job(j, error_set(ERR_MEMORY, "no thread could be started: %s", strerror(refused)));
        pthread_mutex_unlock(&j->mutex);
    }
    watch(j);
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    free(thread);
    return j->rc < 0 ? error_set(j->rc, "%s", j->why) : 0;
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
    job j = { .mesh = mesh, .options = options, .lock = FOLDER_UNLOCKED, .begin = clock_seconds() };
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&j.changed, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&j.mutex, NULL);
    int rc = run(&j);
    inputs_free(j.list);
    folder_lock_release(&j.lock);
    tell_progress(&j);
    j.progress.seconds = clock_seconds() - j.begin;
    pthread_mutex_destroy(&j.mutex);
    pthread_cond_destroy(&j.changed);
    if (result) *result = j.progress;
    if (options->times) *options->times = j.times;
    return rc;
}
