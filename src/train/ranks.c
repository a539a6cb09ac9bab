/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread that sends and receives, and what is small or rare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/workers.h"
#include "train/ranks_inside.h"

/* How long the thread sleeps, in ns: while messages are under way (MPI moves them only while it is called), and while
 * none is but another rank may fail. A message that is awaited is looked at a few times before that. */
enum { NAP = 50000, REST = 5000000, LOOKS = 16 };
/* Seconds: for last words after a failure; for what a rank that has ended sent before that. */
enum { PATIENCE = 10, GRACE = 3 };

static void nap(void) { nanosleep(&(struct timespec){ .tv_nsec = NAP }, NULL); }

int ranks_transport_failed(const ranks *r, int code) {
    char why[256] = "";
    r->t->reason(r->t->context, code, why);
    return error_set(ERR_IO, "MPI: %s", *why ? why : "it does not say why");
}

int ranks_all_done(const ranks *r, ranks_message *m) {
    bool all = true;
    for (int k = 0; k < r->count; k++) {
        bool done = true;
        int rc = r->t->test(r->t->context, &m[k], &done);
        if (rc) return ranks_transport_failed(r, rc);
        all &= done;
    }
    return all;
}

/* ---- failures ------------------------------------------------------------------------------------------------------------ */

/* The first one counts: the rest follow from it. */
static void note_failure(ranks *r, int rank, int code, int stop, const char *message) {
    pthread_mutex_lock(&r->lock);
    if (!r->failure.code) {
        r->failure.code = code;
        r->failure.stop = stop;
        r->failed = rank;
        snprintf(r->failure.message, sizeof r->failure.message, "%s", message);
    }
    pthread_cond_signal(&r->done);
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
}

static int listen(ranks *r) {
    for (int k = 0; k < r->count; k++) {
        if (k == r->rank) continue;
        int rc = r->t->receive(r->t->context, &r->heard[k], sizeof *r->heard, k, TAG_LAST, &r->fail_in[k]);
        if (rc) return ranks_transport_failed(r, rc);
    }
    return 0;
}

/* 1: all others have said that they end; 0: not yet. */
static int hear(ranks *r) {
    bool all = true;
    for (int k = 0; k < r->count; k++) {
        bool done = true;
        if (k == r->rank || r->heard[k].last) continue;
        int rc = r->t->test(r->t->context, &r->fail_in[k], &done);
        if (rc) return ranks_transport_failed(r, rc);
        all &= done;
        if (!done) continue;
        ranks_failure *f = &r->heard[k];
        f->last = true;
        f->message[sizeof f->message - 1] = 0;
        if (f->code < 0 && f->rank >= 0 && f->rank < r->count) note_failure(r, f->rank, f->code, f->stop, f->message);
    }
    return all;
}

static bool under_way(const ranks_message *m) { return m->opaque[0] || m->opaque[1]; }

static bool waits_for(const ranks *r, int k) {
    bool waits = under_way(&r->in[k]);
    for (size_t i = 0; i < RANKS_FLIGHTS; i++) waits |= under_way(&r->flight[i].in[k]);
    return waits;
}

/* One that has ended sends nothing more: who waits for it would do so for ever. What it had sent may still be on its way. */
static void miss_ended(ranks *r) {
    int ended = -1;
    for (int k = 0; k < r->count && ended < 0; k++)
        if (k != r->rank && r->heard[k].last && r->heard[k].code == 0 && waits_for(r, k)) ended = k;
    if (ended < 0) r->missed = 0;
    else if (r->missed == 0) r->missed = clock_seconds();
    else if (clock_seconds() - r->missed > GRACE) note_failure(r, ended, ERR_IO, 0, "it has ended, and others wait for it");
}

/* Each rank's last word, to all: that it has failed, has heard of a failure, or is done. All stay until all have said
 * it, so that each hears of it whatever else is under way (MPI moves messages only while it is called), but not for
 * long after a failure: those that are dead say nothing. */
static void say_last(ranks *r) {
    double until = 0;
    int heard = 0, sent = 0;
    pthread_mutex_lock(&r->lock);
    r->said = r->failure;
    r->said.rank = r->failed;
    pthread_mutex_unlock(&r->lock);
    for (int k = 0; k < r->count; k++)
        if (k != r->rank && r->t->send(r->t->context, &r->said, sizeof r->said, k, TAG_LAST, &r->fail_out[k])) return;
    while (!heard || !sent) {
        heard = hear(r), sent = ranks_all_done(r, r->fail_out);
        if (heard < 0 || sent < 0) return;
        pthread_mutex_lock(&r->lock);
        if (r->failure.code && until == 0) until = clock_seconds() + PATIENCE;
        pthread_mutex_unlock(&r->lock);
        if (until > 0 && clock_seconds() > until) return;
        nap();
    }
}

void ranks_fail(ranks *r, int code, const char *message) {
    if (r) note_failure(r, r->rank, code, 0, message);
}

void ranks_stop(ranks *r, int stop, const char *message) {
    if (r) note_failure(r, r->rank, ERR_CANCELLED, stop, message);
}

int ranks_stopped_by(ranks *r) {
    if (!r) return 0;
    pthread_mutex_lock(&r->lock);
    int stop = r->failure.code == ERR_CANCELLED ? r->failure.stop : 0;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

int ranks_failed(ranks *r) {
    if (!r) return -1;
    pthread_mutex_lock(&r->lock);
    int failed = r->failure.code ? r->failed : -1;
    pthread_mutex_unlock(&r->lock);
    return failed;
}

int ranks_error_locked(const ranks *r) {
    if (!r->failure.code) return 0;
    if (r->failed == r->rank) return error_set(r->failure.code, "%s", r->failure.message);
    return error_set(r->failure.code, "rank %d: %s", r->failed, r->failure.message);
}

/* ---- what all tell all, or rank 0 does ------------------------------------------------------------------------------------- */

static int start_gather(ranks *r) {
    for (int k = 0; k < r->count; k++) {
        if (k == r->rank) continue;
        int rc = r->t->receive(r->t->context, r->all + (size_t)k * r->bytes, r->bytes, k, TAG_GATHER, &r->in[k]);
        if (rc == 0) rc = r->t->send(r->t->context, r->all + (size_t)r->count * r->bytes, r->bytes, k, TAG_GATHER, &r->out[k]);
        if (rc) return ranks_transport_failed(r, rc);
    }
    return 0;
}

static int start_piece(ranks *r) {
    int rc = r->rank ? r->t->receive(r->t->context, r->all, r->bytes, 0, TAG_SHARE, &r->in[0]) : 0;
    for (int k = 1; k < r->count && !r->rank && rc == 0; k++)
        rc = r->t->send(r->t->context, r->all, r->bytes, k, TAG_SHARE, &r->out[k]);
    return rc ? ranks_transport_failed(r, rc) : 0;
}

/* 1: it is done; 0: not yet. */
static int advance_asked(ranks *r, ranks_asked asked) {
    int rc = 0;
    if (!r->started) {
        rc = asked == ASKED_GATHER ? start_gather(r) : start_piece(r);
        if (rc < 0) return rc;
        r->started = true;
    }
    int in = ranks_all_done(r, r->in), out = ranks_all_done(r, r->out);
    if (in < 0 || out < 0) return ERR_IO;
    if (!in || !out) return 0;
    r->started = false;
    pthread_mutex_lock(&r->lock);
    r->asked = ASKED_NONE;
    pthread_cond_signal(&r->done);
    pthread_mutex_unlock(&r->lock);
    return 1;
}

/* ---- the thread ------------------------------------------------------------------------------------------------------------ */

/* Until there is something to do, or it is time to hear whether another has failed. */
static void rest(ranks *r) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += REST;
    if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
    pthread_cond_timedwait(&r->work, &r->lock, &until);
}

/* Begin takes as long as the last rank does. */
static bool begin(ranks *r) {
    char why[256] = "";
    int rank = 0, count = 0, rc = r->t->begin(r->t->context, &rank, &count, why);
    pthread_mutex_lock(&r->lock);
    if (rc) {
        r->failure.code = ERR_UNSUPPORTED;
        snprintf(r->failure.message, sizeof r->failure.message, "MPI: %s", *why ? why : "it does not begin");
    }
    r->rank = r->failed = rank;
    r->count = count;
    r->began = true;
    pthread_cond_signal(&r->done);
    while (rc == 0 && !r->closing && !r->messages) pthread_cond_wait(&r->work, &r->lock);     /* ranks_open_on makes room */
    bool goes_on = rc == 0 && r->messages;
    pthread_mutex_unlock(&r->lock);
    if (rc == 0 && !goes_on) r->t->end(r->t->context);
    return goes_on;
}

static int advance_all(ranks *r, ranks_asked asked, size_t whole) {
    int rc = hear(r) < 0 ? ERR_IO : 0, done = 0;
    if (rc == 0 && asked) rc = done = advance_asked(r, asked);
    if (rc >= 0) rc = sums_advance(r, whole);
    if (rc == 0 && !done) miss_ended(r);
    else r->missed = 0;
    return rc < 0 ? rc : rc | done;
}

static void *run(void *context) {
    ranks *r = context;
    if (!begin(r)) return NULL;
    int rc = listen(r), looks = 0;
    bool closing = false, failed = false;
    while (!closing && !failed) {
        pthread_mutex_lock(&r->lock);
        bool idle = !r->asked && r->next >= r->whole && !sums_under_way(r);
        if (idle && !r->closing && !r->failure.code) rest(r);
        ranks_asked asked = r->asked;
        size_t whole = r->whole;
        closing = r->closing;
        failed = r->failure.code != 0;
        pthread_mutex_unlock(&r->lock);
        if (closing || failed) break;
        if (rc == 0) rc = advance_all(r, asked, whole);
        if (rc < 0) note_failure(r, r->rank, rc, 0, error_message());
        looks = rc > 0 ? 0 : looks + 1;
        if (rc >= 0 && looks >= LOOKS && !idle) nap();
        if (rc > 0) rc = 0;
    }
    say_last(r);
    for (int k = 0; k < r->count; k++) r->t->cancel(r->t->context, &r->fail_in[k]);
    pthread_mutex_lock(&r->lock);
    while (!r->closing) pthread_cond_wait(&r->work, &r->lock);
    pthread_mutex_unlock(&r->lock);
    r->t->end(r->t->context);
    return NULL;
}

/* ---- the owner ---------------------------------------------------------------------------------------------------------- */

int ranks_rank(const ranks *r) { return r ? r->rank : 0; }
int ranks_count(const ranks *r) { return r ? r->count : 1; }

static int make_room(ranks *r) {
    size_t n = (size_t)r->count, each = 4 + 2 * RANKS_FLIGHTS;
    ranks_message *m = calloc(n * each, sizeof *m);
    r->heard = calloc(n, sizeof *r->heard);
    if (!m || !r->heard) return free(m), error_memory(n * each * sizeof *m);
    r->out = m, r->in = m + n, r->fail_out = m + 2 * n, r->fail_in = m + 3 * n;
    for (int i = 0; i < RANKS_FLIGHTS; i++)
        r->flight[i].out = m + (4 + 2 * (size_t)i) * n, r->flight[i].in = m + (5 + 2 * (size_t)i) * n;
    pthread_mutex_lock(&r->lock);
    r->messages = m;
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
    return 0;
}

static void free_all(ranks *r) {
    sums_free(r);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->done);
    free(r->messages);
    free(r->heard);
    free(r->all);
    free(r);
}

int ranks_open_on(const ranks_transport *t, ranks **out) {
    ranks *r = calloc(1, sizeof *r);
    if (!r) return error_memory(sizeof *r);
    r->t = t;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->done, NULL);
    int rc = workers_start_thread(&r->thread, run, r);
    if (rc) {
        free_all(r);
        return error_set(ERR_MEMORY, "no thread can be started: %s", strerror(rc));
    }
    pthread_mutex_lock(&r->lock);
    while (!r->began) pthread_cond_wait(&r->done, &r->lock);
    rc = ranks_error_locked(r);
    pthread_mutex_unlock(&r->lock);
    if (rc == 0) rc = make_room(r);
    if (rc < 0) ranks_close(r);
    else *out = r;
    return rc;
}

void ranks_close(ranks *r) {
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->closing = true;
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    free_all(r);
}

static int ask(ranks *r, ranks_asked what) {
    pthread_mutex_lock(&r->lock);
    r->asked = what;
    pthread_cond_signal(&r->work);
    while (r->asked && !r->failure.code) pthread_cond_wait(&r->done, &r->lock);
    int rc = r->asked ? ranks_error_locked(r) : 0;
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* Room for what is asked. After a failure it stays as it is until the end: messages may still come into it, and the
 * others read of it. */
static int make_copy_room(ranks *r, size_t room) {
    pthread_mutex_lock(&r->lock);
    int rc = ranks_error_locked(r);
    pthread_mutex_unlock(&r->lock);
    if (rc < 0 || room <= r->room) return rc;
    uint8_t *more = realloc(r->all, room);
    if (!more) return error_memory(room);
    r->all = more, r->room = room;
    return 0;
}

int ranks_gather(ranks *r, const void *mine, size_t bytes, void *all) {
    size_t count = (size_t)r->count, room;
    if (bytes > RANKS_MOST_BYTES || __builtin_mul_overflow(bytes, count + 1, &room))
        return error_set(ERR_LIMIT, "%zu bytes are too many to be gathered", bytes);
    int rc = make_copy_room(r, room);
    if (rc < 0) return rc;
    memcpy(r->all + count * bytes, mine, bytes);
    memcpy(r->all + (size_t)r->rank * bytes, mine, bytes);
    r->bytes = bytes;
    if ((rc = ask(r, ASKED_GATHER)) < 0) return rc;
    memcpy(all, r->all, count * bytes);
    return 0;
}

int ranks_share(ranks *r, void *x, size_t bytes) {
    char *piece = x;
    int rc = 0;
    for (size_t left = bytes; left && rc == 0; left -= r->bytes, piece += r->bytes) {
        size_t some = left < RANKS_PIECE ? left : RANKS_PIECE;
        if ((rc = make_copy_room(r, some)) < 0) return rc;
        r->bytes = some;
        if (!r->rank) memcpy(r->all, piece, some);
        rc = ask(r, ASKED_SHARE);
        if (rc == 0 && r->rank) memcpy(piece, r->all, some);
    }
    return rc;
}
