/* SPDX-License-Identifier: Apache-2.0
 *
 * What train/ranks.h needs of MPI, as a table: that of the plugin that is built against MPI (train/ranks_mpi.c), or a
 * test's own. One thread makes all calls, and none of them waits but begin and end. Messages between two ranks with one
 * tag arrive in the order in which they were sent. */
#ifndef TRAIN_RANKS_TRANSPORT_H
#define TRAIN_RANKS_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

/* A message under way; zeroed is none. */
typedef struct { void *opaque[2]; } ranks_message;

typedef struct {
    int version;                     /* RANKS_TRANSPORT */
    void *context;
    /* 0; or not, and then `why` is for error. mine: 0..ranks-1. */
    int  (*begin)(void *context, int *mine, int *ranks, char why[256]);
    int  (*end)(void *context);      /* all ranks do; a message that is still under way is lost */
    /* The memory stays as it is until the message is done. */
    int  (*send)(void *context, const void *x, size_t bytes, int to, int tag, ranks_message *m);
    int  (*receive)(void *context, void *x, size_t bytes, int from, int tag, ranks_message *m);
    int  (*test)(void *context, ranks_message *m, bool *done);      /* of none: done */
    void (*cancel)(void *context, ranks_message *m);                /* of one that is received */
    void (*reason)(void *context, int code, char why[256]);         /* what a call answered, if not 0 */
} ranks_transport;

enum { RANKS_TRANSPORT = 1, RANKS_MOST_BYTES = 1 << 30 };           /* of a message */

/* Of the plugin. */
#define RANKS_PLUGIN "mien_mpi.so"
#define RANKS_SYMBOL "mien_ranks_mpi"

#endif
