/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of slots, as the iterator's: threads take items in order and read them in any; the job takes them in order. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/parallel.h"
#include "base/workers.h"
#include "data/package_inside.h"

enum { MOST_THREADS = 64, SLOTS_A_THREAD = 4 };

typedef struct { bool ready; package_item item; } slot;

struct package_ahead {
    package_job *job;
    package_files files;
    uint64_t from, count;
    size_t n_slots;
    slot *slot;
    pthread_t thread[MOST_THREADS];
    int threads;
    pthread_mutex_t mutex;         /* guards what follows, and which slots are whose */
    pthread_cond_t room, ready;
    bool ending;
    uint64_t taken, used;          /* of `count`: by the threads, by the job */
};

static void *read_ahead(void *context) {
    package_ahead *a = context;
    pthread_mutex_lock(&a->mutex);
    while (!a->ending && a->taken < a->count) {
        if (a->taken - a->used == a->n_slots) {
            pthread_cond_wait(&a->room, &a->mutex);
            continue;
        }
        uint64_t i = a->taken++;
        slot *s = &a->slot[i % a->n_slots];
        pthread_mutex_unlock(&a->mutex);
        package_read(a->job, a->from + i, a->files, &s->item);
        pthread_mutex_lock(&a->mutex);
        s->ready = true;
        pthread_cond_broadcast(&a->ready);
    }
    pthread_mutex_unlock(&a->mutex);
    return NULL;
}

static int start_threads(package_ahead *a, int threads) {
    int refused = 0;
    while (a->threads < threads && !refused) {
        refused = workers_start_thread(&a->thread[a->threads], read_ahead, a);
        if (!refused) a->threads++;
    }
    return a->threads ? 0 : error_set(ERR_MEMORY, "no thread could be started: %s", strerror(refused));
}

int package_ahead_open(package_job *j, uint64_t from, uint64_t to, package_files files, package_ahead **out) {
    int threads = j->options->jobs > 0 ? j->options->jobs : parallel_cores();
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    package_ahead *a = calloc(1, sizeof *a);
    if (a) {
        a->n_slots = (size_t)threads * SLOTS_A_THREAD;
        a->slot = calloc(a->n_slots, sizeof *a->slot);
    }
    if (!a || !a->slot) {
        free(a);
        return error_memory(sizeof *a);
    }
    a->job = j;
    a->files = files;
    a->from = from;
    a->count = to > from ? to - from : 0;
    pthread_mutex_init(&a->mutex, NULL);
    pthread_cond_init(&a->room, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&a->ready, &clock);
    pthread_condattr_destroy(&clock);
    int rc = start_threads(a, threads);
    if (rc < 0) package_ahead_close(a);
    else *out = a;
    return rc;
}

/* Waits no longer than until progress should be told of again. */
static void wait_a_little(package_ahead *a) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 100 * 1000 * 1000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&a->ready, &a->mutex, &until);
}

int package_ahead_next(package_ahead *a, package_item *out) {
    if (a->used == a->count) return 0;
    slot *s = &a->slot[a->used % a->n_slots];
    int rc = package_tick(a->job);
    pthread_mutex_lock(&a->mutex);
    while (rc == 0 && !s->ready) {
        wait_a_little(a);
        pthread_mutex_unlock(&a->mutex);
        rc = package_tick(a->job);
        pthread_mutex_lock(&a->mutex);
    }
    if (rc == 0) {
        *out = s->item;
        s->ready = false;
        s->item = (package_item){ .index = 0 };
        a->used++;
        pthread_cond_signal(&a->room);
    }
    pthread_mutex_unlock(&a->mutex);
    return rc < 0 ? rc : 1;
}

void package_ahead_close(package_ahead *a) {
    if (!a) return;
    pthread_mutex_lock(&a->mutex);
    a->ending = true;
    pthread_cond_broadcast(&a->room);
    pthread_mutex_unlock(&a->mutex);
    for (int i = 0; i < a->threads; i++) pthread_join(a->thread[i], NULL);
    for (size_t i = 0; i < a->n_slots; i++) package_item_free(&a->slot[i].item);
    pthread_mutex_destroy(&a->mutex);
    pthread_cond_destroy(&a->room);
    pthread_cond_destroy(&a->ready);
    free(a->slot);
    free(a);
}
