/* SPDX-License-Identifier: Apache-2.0
 *
 * The plugin: MPI behind train/ranks_transport.h. A shared object of its own, opened under mpirun only, so that MPI and
 * the dozens of libraries that it brings cost an ordinary start nothing, and a program that was built with them runs
 * where they are not. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "train/ranks_transport.h"

_Static_assert(sizeof(MPI_Request) <= sizeof(ranks_message), "");

typedef struct { MPI_Comm all; bool begun_here; } state;

/* MPI's own state is the process's, and so is this. */
static state here;

static void reason(void *context, int code, char why[256]) {
    char text[MPI_MAX_ERROR_STRING];
    int n = 0;
    (void)context;
    if (MPI_Error_string(code, text, &n) != MPI_SUCCESS) n = 0;
    snprintf(why, 256, "%.*s", n, text);
}

static int begin(void *context, int *mine, int *ranks, char why[256]) {
    state *s = context;
    int there = 0, over = 0, level = MPI_THREAD_FUNNELED, rc;
    MPI_Initialized(&there);
    MPI_Finalized(&over);
    if (over) return snprintf(why, 256, "MPI begins once in a process, and it has ended"), 1;
    rc = there ? MPI_Query_thread(&level) : MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    /* A thread of ours makes the calls: the program that called us may make its own at the same time. */
    if (rc == MPI_SUCCESS && level < (there ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED))
        return snprintf(why, 256, "MPI was begun without MPI_THREAD_MULTIPLE"), 1;
    s->begun_here = !there;
    if (rc == MPI_SUCCESS) rc = MPI_Comm_dup(MPI_COMM_WORLD, &s->all);
    if (rc == MPI_SUCCESS) rc = MPI_Comm_set_errhandler(s->all, MPI_ERRORS_RETURN);
    if (rc == MPI_SUCCESS) rc = MPI_Comm_rank(s->all, mine);
    if (rc == MPI_SUCCESS) rc = MPI_Comm_size(s->all, ranks);
    if (rc != MPI_SUCCESS) reason(context, rc, why);
    return rc;
}

static int end(void *context) {
    state *s = context;
    return s->begun_here ? MPI_Finalize() : MPI_Comm_free(&s->all);
}

static int keep(int rc, MPI_Request q, ranks_message *m) {
    memcpy(m, &q, sizeof q);
    return rc;
}

static int send_(void *context, const void *x, size_t bytes, int to, int tag, ranks_message *m) {
    MPI_Request q = MPI_REQUEST_NULL;
    int rc = MPI_Isend(x, (int)bytes, MPI_BYTE, to, tag, ((state *)context)->all, &q);
    return keep(rc, q, m);
}

static int receive(void *context, void *x, size_t bytes, int from, int tag, ranks_message *m) {
    MPI_Request q = MPI_REQUEST_NULL;
    int rc = MPI_Irecv(x, (int)bytes, MPI_BYTE, from, tag, ((state *)context)->all, &q);
    return keep(rc, q, m);
}

static bool is_none(const ranks_message *m) { return !m->opaque[0] && !m->opaque[1]; }

static int test(void *context, ranks_message *m, bool *done) {
    MPI_Request q;
    int flag = 1, rc = MPI_SUCCESS;
    (void)context;
    if (!is_none(m)) {
        memcpy(&q, m, sizeof q);
        rc = MPI_Test(&q, &flag, MPI_STATUS_IGNORE);
        if (flag) memset(m, 0, sizeof *m);
    }
    *done = flag;
    return rc;
}

static void cancel(void *context, ranks_message *m) {
    MPI_Request q;
    (void)context;
    if (is_none(m)) return;
    memcpy(&q, m, sizeof q);
    MPI_Cancel(&q);
    MPI_Request_free(&q);
    memset(m, 0, sizeof *m);
}

__attribute__((visibility("default"))) const ranks_transport mien_ranks_mpi = {
    .version = RANKS_TRANSPORT,
    .context = &here,
    .begin = begin,
    .end = end,
    .send = send_,
    .receive = receive,
    .test = test,
    .cancel = cancel,
    .reason = reason,
};
