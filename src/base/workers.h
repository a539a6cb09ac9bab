/* SPDX-License-Identifier: Apache-2.0
 *
 * A job over many items, done by threads that take one at a time. Whatever the job counts or lists is touched under its one
 * lock only; nothing is computed under it. */
#ifndef BASE_WORKERS_H
#define BASE_WORKERS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int jobs;                     /* threads; 0: all cores that this process may use */
    uint64_t most;                /* no more threads than items are known to be; 0: that is not known */
    size_t item_size;             /* of what `next` fills; each thread has one of these, zeroed once */
    const volatile int *stop;     /* set: ends with ERR_CANCELLED; may be NULL */

    /* Under the lock. The next item: 1; 0: there are no more; ERR_*: that ends the job. */
    int  (*next)(void *context, void *item);
    /* Any thread, without the lock: does an item. What it returns goes to `count`, with the thread's last message. */
    int  (*work)(void *context, void *own, void *item);
    /* Under the lock: what came of an item. Below 0 ends the job (with the thread's last message). */
    int  (*count)(void *context, void *own, void *item, int rc);
    /* A thread's own, from its beginning to its end (under the lock); each may be NULL. `begin`: NULL means ERR_*, set. */
    void *(*begin)(void *context);
    void (*end)(void *context, void *own);
    /* Under the lock, on the calling thread, ten times a second; may be NULL. */
    void (*tick)(void *context);
    void *context;
} workers_job;

/* Returns when all threads have ended: 0, or what ended the job first, with its message. */
int workers_run(const workers_job *job);

/* Starts a thread of any other kind, with room enough on its stack whatever `ulimit -s` says. 0, or an errno. */
int workers_start_thread(pthread_t *thread, void *(*body)(void *context), void *context);

#endif
