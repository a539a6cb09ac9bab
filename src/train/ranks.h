/* SPDX-License-Identifier: Apache-2.0
 *
 * Training by several processes, each with data of its own and the same weights (data-parallel): what they tell each
 * other. A thread of its own sends and receives, so that gradients travel while the backward pass still runs.
 *
 *     ranks_open(&r);                           NULL: this process works alone
 *     ranks_sums(r, ends, n, &sums);            gradients, in the order in which they will be whole
 *     for each step:
 *         ranks_whole(r, i)...                  behind the backward pass's step that ended the i-th
 *         ranks_reduce(r, &times);              now each has the sum over all ranks
 *
 * A sum is (...(x_0 + x_1) + ... + x_N-1), whatever arrives first: the same ranks give the same bits, and all ranks
 * have the same. What waits for others ends with ERR_*, and the message of the rank that failed, once any rank has
 * called ranks_fail; or once one that it waits for has ended. One thread at a time calls these. */
#ifndef TRAIN_RANKS_H
#define TRAIN_RANKS_H

#include <stddef.h>
#include <stdint.h>

#include "train/ranks_transport.h"

typedef struct ranks ranks;

/* How many processes this one was started with, as mpirun, mpiexec or srun say: 1 is alone. */
int  ranks_started(void);
/* All ranks come here before any goes on. *out is NULL if this process was started alone: then no library is opened and
 * nothing is looked at but the environment. ERR_UNSUPPORTED if there are others but no MPI to reach them by. */
int  ranks_open(ranks **out);
int  ranks_open_on(const ranks_transport *t, ranks **out);
/* All ranks come here before any goes on, and what they had sent of is their own again. NULL is fine. */
void ranks_close(ranks *r);

int  ranks_rank(const ranks *r);     /* 0..count-1; of NULL 0 */
int  ranks_count(const ranks *r);    /* of NULL 1 */

/* The machine that this rank runs on, with the others of the same name. All ranks call it. */
typedef struct {
    int ranks;                       /* here, this one among them */
    int cores;                       /* for this rank's computing: those that it may use, shared with the ranks that may use
                                      * them, too */
    int used, unused;                /* cores by all ranks here; that the starter might have given them, but did not (it may
                                      * tie each rank to one) */
} ranks_machine;
int  ranks_machine_of(ranks *r, ranks_machine *out);

/* All ranks give so many bytes, and each gets those of all, in order. Also how they wait for each other. Here as in
 * ranks_share the memory is the caller's again on return, after a failure too: what travels is a copy. */
int  ranks_gather(ranks *r, const void *mine, size_t bytes, void *all);
/* Rank 0's bytes to all. */
int  ranks_share(ranks *r, void *x, size_t bytes);
/* Tells the others that this rank can't go on (code: ERR_*), if it was not one of them that said so first. */
void ranks_fail(ranks *r, int code, const char *message);
/* The same with ERR_CANCELLED. stop: what this rank was told (a signal's number), which the others hear. */
void ranks_stop(ranks *r, int stop, const char *message);
/* The rank that failed; -1: none has. */
int  ranks_failed(ranks *r);
/* What that rank was told when it was stopped; 0: it was not. */
int  ranks_stopped_by(ranks *r);

/* Makes room for gradients, zeroed, until ranks_close: the i-th ends at sums[ends[i]], and begins where the one before
 * it ends. All ranks give the same list. Once in a life. Nobody else touches a gradient between ranks_whole and the end
 * of ranks_reduce, which has all of them whole. */
int  ranks_sums(ranks *r, const size_t *ends, size_t n, float **sums);
void ranks_whole(ranks *r, size_t i);
/* Bytes that all this takes, of n numbers. */
size_t ranks_bytes(const ranks *r, size_t n);
/* Of a step: bytes that this rank sent (and received as many), seconds from the first to the last that were under way,
 * and of these in ranks_reduce: not hidden behind computing. */
typedef struct { uint64_t bytes; double seconds, waited; } ranks_times;
int  ranks_reduce(ranks *r, ranks_times *times);

#endif
