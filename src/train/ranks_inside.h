/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRAIN_RANKS_INSIDE_H
#define TRAIN_RANKS_INSIDE_H

#include <pthread.h>

#include "train/ranks.h"

enum {
    TAG_LAST = 1, TAG_GATHER, TAG_SHARE, TAG_SUMS,                /* of bucket b: TAG_SUMS + 2 b, and + 1 */
    RANKS_BUCKET = 25 << 20,                                      /* bytes, whole cache lines: messages are long enough for
                                                                   * any network, and the last is soon there */
    RANKS_FLIGHTS = 2,                                            /* buckets under way at once: while one is added up the
                                                                   * other travels */
    RANKS_PIECE = 1 << 22,                                        /* of what is shared */
};

/* A rank's last word. code 0: it is done. rank: the one that failed. last: it was heard. stop: what it was told, or 0. */
typedef struct { int code, rank, last, stop; char message[1008]; } ranks_failure;

/* Numbers [begin,end) of the sums. */
typedef struct {
    size_t begin, end;
    size_t open;                     /* gradients that touch it and are not whole yet */
    size_t tensors;                  /* that touch it */
} ranks_bucket;

typedef enum { FLIGHT_NONE, FLIGHT_OUT, FLIGHT_BACK } flight_phase;
typedef struct {
    flight_phase phase;
    size_t bucket;
    float *copies;                   /* [ranks - 1,part]: the others' of the part that this rank adds up */
    ranks_message *out, *in;         /* [ranks] */
} ranks_flight;

/* All ranks tell all others, or rank 0 does: one at a time, which the owner waits for. */
typedef enum { ASKED_NONE, ASKED_GATHER, ASKED_SHARE } ranks_asked;

struct ranks {
    const ranks_transport *t;
    int rank, count;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done;       /* for the thread; for the owner */

    /* Under the lock: */
    bool began, closing;
    ranks_asked asked;
    ranks_failure failure;           /* code 0: none */
    int failed;                      /* the rank that did */
    size_t whole;                    /* buckets, from the first on, that have all tensors */
    size_t reduced;                  /* buckets that are done */
    double first, last;              /* when the step's first bucket set out, when the last was there */

    /* The thread's; or the owner's while nothing is asked and no bucket is whole: */
    uint8_t *all;                    /* [count,bytes] gathered, [bytes] of this rank's; or [bytes], a piece that is shared:
                                      * copies, since messages may outlive the call */
    size_t bytes, room;
    bool started;                    /* what is asked is under way */
    ranks_message *out, *in;         /* [count]: of what is asked */
    ranks_message *fail_out, *fail_in;
    ranks_failure *heard, said;      /* [count] */
    double missed;                   /* since when it waits for one that has ended; 0: for none */

    float *sums;
    size_t buckets, next;            /* next: the first that has not set out in this step */
    size_t *ends;                    /* of each gradient */
    ranks_bucket *bucket;
    ranks_flight flight[RANKS_FLIGHTS];
    float *copies;
    size_t part_room;                /* numbers of this rank's part of any bucket, at most */
    ranks_message *messages;         /* all of the above */
};

/* ---- ranks_sums.c, by the thread ---- */

/* Whether anything came of it, 1 or 0; or ERR_*. `whole`: buckets that may set out. */
int  sums_advance(ranks *r, size_t whole);
bool sums_under_way(const ranks *r);
void sums_free(ranks *r);

/* ---- ranks.c ---- */

int  ranks_transport_failed(const ranks *r, int code);       /* what a call of the transport answered, as an error */
/* 1: all of [ranks] messages are done; 0: not yet. */
int  ranks_all_done(const ranks *r, ranks_message *m);
/* 0, or the failure that was noted as an error of this thread; under the lock. */
int  ranks_error_locked(const ranks *r);

#endif
