/* SPDX-License-Identifier: Apache-2.0 */
#include "base/workers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/parallel.h"
#include "base/stop.h"

typedef struct {
    const workers_job *job;
    pthread_mutex_t mutex;
    pthread_cond_t changed;        /* a thread has ended */
    int working;
    int rc;                        /* what ended the job, with: */
    char why[1024];
} crew;

/* With the mutex held. The first reason counts. */
static void end_job(crew *c, int rc) {
    if (c->rc < 0) return;
    c->rc = rc;
    snprintf(c->why, sizeof c->why, "%s", error_message());
}

static bool next_item(crew *c, void *item) {
    pthread_mutex_lock(&c->mutex);
    if (c->rc == 0 && stop_asked(c->job->stop)) end_job(c, error_set(ERR_CANCELLED, "stopped"));
    int rc = c->rc < 0 ? 0 : c->job->next(c->job->context, item);
    if (rc < 0) end_job(c, rc);
    pthread_mutex_unlock(&c->mutex);
    return rc > 0;
}

static void count_item(crew *c, void *own, void *item, int rc) {
    pthread_mutex_lock(&c->mutex);
    rc = c->job->count(c->job->context, own, item, rc);
    if (rc < 0) end_job(c, rc);
    pthread_mutex_unlock(&c->mutex);
}

static void *work_through(void *context) {
    crew *c = context;
    const workers_job *j = c->job;
    void *item = calloc(1, j->item_size ? j->item_size : 1);
    int rc = item ? 0 : error_memory(j->item_size);
    void *own = rc == 0 && j->begin ? j->begin(j->context) : NULL;
    if (rc == 0 && j->begin && !own) rc = error_code();
    while (rc == 0 && next_item(c, item)) count_item(c, own, item, j->work(j->context, own, item));
    pthread_mutex_lock(&c->mutex);
    if (rc < 0) end_job(c, rc);
    if (own && j->end) j->end(j->context, own);
    c->working--;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    free(item);
    return NULL;
}

/* Ticks until all threads have ended. */
static void watch(crew *c) {
    pthread_mutex_lock(&c->mutex);
    while (c->working) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100 * 1000 * 1000;
        if (until.tv_nsec >= 1000 * 1000 * 1000) until.tv_nsec -= 1000 * 1000 * 1000, until.tv_sec++;
        int late = 0;
        while (c->working && !late) late = pthread_cond_timedwait(&c->changed, &c->mutex, &until);
        if (c->working && c->job->tick) c->job->tick(c->job->context);
    }
    pthread_mutex_unlock(&c->mutex);
}

/* The stack of a thread is as large as `ulimit -s` says: that can be too small for the lists of a search for faces. */
int workers_start_thread(pthread_t *thread, void *(*body)(void *context), void *context) {
    enum { LEAST_STACK = 1 << 20 };
    pthread_attr_t attr;
    size_t size = 0;
    int refused = pthread_attr_init(&attr);
    if (refused) return refused;
    if (pthread_attr_getstacksize(&attr, &size) == 0 && size < LEAST_STACK) pthread_attr_setstacksize(&attr, LEAST_STACK);
    refused = pthread_create(thread, &attr, body, context);
    pthread_attr_destroy(&attr);
    return refused;
}

static int run_threads(crew *c) {
    int wanted = c->job->jobs > 0 ? c->job->jobs : parallel_cores();
    if (c->job->most && (uint64_t)wanted > c->job->most) wanted = (int)c->job->most;
    pthread_t *thread = calloc((size_t)wanted, sizeof *thread);
    if (!thread) return error_memory((size_t)wanted * sizeof *thread);
    int started = 0, refused = 0;
    while (started < wanted && !refused) {
        pthread_mutex_lock(&c->mutex);
        c->working++;
        pthread_mutex_unlock(&c->mutex);
        refused = workers_start_thread(&thread[started], work_through, c);
        if (!refused) started++;
    }
    if (refused) {   /* the others do it all, if there are any */
        pthread_mutex_lock(&c->mutex);
        c->working--;
        if (!started) end_job(c, error_set(ERR_MEMORY, "no thread could be started: %s", strerror(refused)));
        pthread_mutex_unlock(&c->mutex);
    }
    watch(c);
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    free(thread);
    return c->rc < 0 ? error_set(c->rc, "%s", c->why) : 0;
}

int workers_run(const workers_job *job) {
    crew c = { .job = job };
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&c.changed, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&c.mutex, NULL);
    int rc = run_threads(&c);
    pthread_mutex_destroy(&c.mutex);
    pthread_cond_destroy(&c.changed);
    return rc;
}
