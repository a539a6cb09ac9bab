/* SPDX-License-Identifier: Apache-2.0
 *
 * What ranks tell each other, with ranks that are threads of this process and messages that arrive in any order (as far as MPI allows it): sums and their bits, gathering,
 * sharing, failures. Under mpirun itself: tests/cli/train_ranks.sh. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <pthread.h>

#include "base/error.h"
#include "train/ranks.h"

/* ---- a post office between threads ----------------------------------------------------------------------------------------- */

enum { MOST = 6, TAGS = 64, LETTERS = 65536 };

typedef struct { int from, to, tag; size_t bytes; const void *x; bool taken; } letter;
typedef struct { bool sending; int from, to, tag; void *x; size_t bytes, slot; int wait; } request;

typedef struct {
    pthread_mutex_t lock;
    int count, next;
    letter *letters;
    request *requests;               /* all that there ever were: those of a rank that failed end with the office */
    size_t n, n_requests;
    uint32_t chance;
    int broken;                      /* this many more messages can be sent; -1: any */
} office;
/* own: of the owner, which messages may not lie in. */
typedef struct { office *o; int rank; const char *own; size_t own_bytes; bool lent; } seat;

static int begin(void *context, int *mine, int *ranks, char why[256]) {
    seat *s = context;
    (void)why;
    *mine = s->rank;
    *ranks = s->o->count;
    return 0;
}

static int end(void *context) { return (void)context, 0; }

static uint32_t draw(office *o) { return o->chance = o->chance * 1664525 + 1013904223, o->chance >> 16; }

static int post(void *context, bool sending, void *x, size_t bytes, int from, int to, int tag, ranks_message *m) {
    seat *s = context;
    office *o = s->o;
    if ((const char *)x >= s->own && (const char *)x < s->own + s->own_bytes) s->lent = true;
    pthread_mutex_lock(&o->lock);
    assert_true(o->n_requests < 2 * LETTERS);
    request *q = &o->requests[o->n_requests++];
    *q = (request){ sending, from, to, tag, x, bytes, o->n, (int)(draw(o) % 5) };
    bool broken = sending && o->broken == 0;
    if (sending && o->broken > 0) o->broken--;
    assert_true(o->n < LETTERS);
    if (sending && !broken) o->letters[o->n++] = (letter){ from, to, tag, bytes, x, false };
    pthread_mutex_unlock(&o->lock);
    if (broken) return 7;
    m->opaque[0] = q;
    return 0;
}

static int send_(void *context, const void *x, size_t bytes, int to, int tag, ranks_message *m) {
    return post(context, true, (void *)(uintptr_t)x, bytes, ((seat *)context)->rank, to, tag, m);
}

static int receive(void *context, void *x, size_t bytes, int from, int tag, ranks_message *m) {
    return post(context, false, x, bytes, from, ((seat *)context)->rank, tag, m);
}

static bool find_letter(office *o, const request *q) {
    for (size_t i = 0; i < o->n; i++) {
        letter *l = &o->letters[i];
        if (l->taken || l->from != q->from || l->to != q->to || l->tag != q->tag) continue;
        assert_int_equal(l->bytes, q->bytes);
        memcpy(q->x, l->x, q->bytes);
        l->taken = true;
        return true;
    }
    return false;
}

static int test(void *context, ranks_message *m, bool *done) {
    office *o = ((seat *)context)->o;
    request *q = m->opaque[0];
    *done = true;
    if (!q) return 0;
    pthread_mutex_lock(&o->lock);
    bool broken = o->broken == 0;
    if (broken) *done = false;
    else if (q->wait > 0) q->wait--, *done = false;
    else *done = q->sending ? o->letters[q->slot].taken : find_letter(o, q);
    pthread_mutex_unlock(&o->lock);
    if (*done) m->opaque[0] = NULL;
    return broken ? 7 : 0;
}

static void cancel(void *context, ranks_message *m) {
    (void)context;
    m->opaque[0] = NULL;
}

static void reason(void *context, int code, char why[256]) { (void)context, (void)code, strcpy(why, "the line is cut"); }

/* ---- ranks ------------------------------------------------------------------------------------------------------------------- */

typedef struct member member;
struct member {
    seat s;
    void (*body)(member *m);
    ranks *r;
    size_t n;
    float *x;
    int rc;
    char message[256];
};

static void *live(void *context) {
    member *m = context;
    ranks_transport t = { RANKS_TRANSPORT, &m->s, begin, end, send_, receive, test, cancel, reason };
    m->rc = ranks_open_on(&t, &m->r);
    if (m->rc == 0) m->body(m);
    strncpy(m->message, m->rc < 0 ? error_message() : "", sizeof m->message - 1);
    ranks_close(m->r);
    return NULL;
}

/* In the end each has what body left in m[rank]. */
static void together(int count, void (*body)(member *), size_t n, int broken, member m[MOST]) {
    office o = { .count = count, .letters = calloc(LETTERS, sizeof(letter)), .requests = calloc(2 * LETTERS, sizeof(request)), .chance = 1, .broken = broken };
    pthread_t thread[MOST];
    pthread_mutex_init(&o.lock, NULL);
    for (int k = 0; k < count; k++) {
        m[k] = (member){ .s = { .o = &o, .rank = k }, .body = body, .n = n };
        assert_int_equal(pthread_create(&thread[k], NULL, live, &m[k]), 0);
    }
    for (int k = 0; k < count; k++) pthread_join(thread[k], NULL);
    pthread_mutex_destroy(&o.lock);
    free(o.letters);
    free(o.requests);
}

static float number(int rank, size_t i, int step) {
    uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15 + (uint64_t)rank * 0xbf58476d1ce4e5b9 + (uint64_t)step * 0x94d049bb133111eb;
    x = (x ^ x >> 31) * 0xd6e8feb86659fd93;
    return (float)(int64_t)(x ^ x >> 29) * 0x1p-50f;
}

/* Five tensors, the last of which is whole first at odd ranks; three steps. The sums stay in m->x. */
static void sum(member *m) {
    size_t n = m->n, ends[] = { n / 7, n / 7, n / 3, n - n / 4, n };
    ranks_times t;
    float *x;
    m->x = calloc(n, sizeof *m->x);
    m->rc = ranks_sums(m->r, ends, 5, &x);
    for (int step = 0; step < 3 && m->rc == 0; step++) {
        for (size_t i = 0; i < n; i++) x[i] = number(m->s.rank, i, step);
        for (size_t i = 0; i < 5; i++) ranks_whole(m->r, m->s.rank % 2 ? 4 - i : i);
        m->rc = ranks_reduce(m->r, &t);
        for (size_t i = 0; i < n && m->rc == 0; i++) {
            float want = number(0, i, step);
            for (int k = 1; k < m->s.o->count; k++) want += number(k, i, step);
            if (memcmp(&want, &x[i], sizeof want) != 0) m->rc = error_set(ERR_FORMAT, "step %d, number %zu: %.9g, %.9g was expected", step, i, (double)x[i], (double)want);
        }
    }
    if (m->rc == 0) memcpy(m->x, x, n * sizeof *x);
}

static void sums_of_all(void **state) {
    (void)state;
    static const size_t sizes[] = { 1, 3, 17, 1000, 7777777 };     /* the last is three buckets */
    for (int count = 2; count <= MOST; count++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            member m[MOST];
            if (count > 3 && sizes[i] > 1000000) continue;
            together(count, sum, sizes[i], -1, m);
            for (int k = 0; k < count; k++) {
                assert_string_equal(m[k].message, "");
                assert_memory_equal(m[k].x, m[0].x, sizes[i] * sizeof(float));
            }
            for (int k = 0; k < count; k++) free(m[k].x);
        }
}

/* One step, with sums that are exact. */
static void sum_long(member *m) {
    size_t n = m->n;
    int count = m->s.o->count;
    ranks_times t;
    float *x;
    if ((m->rc = ranks_sums(m->r, &n, 1, &x)) < 0) return;
    for (size_t i = 0; i < n; i++) x[i] = (float)(i % 1021 + (size_t)m->s.rank);
    ranks_whole(m->r, 0);
    m->rc = ranks_reduce(m->r, &t);
    for (size_t i = 0; i < n && m->rc == 0; i++)
        if (x[i] != (float)(i % 1021 * (size_t)count + (size_t)(count * (count - 1) / 2))) m->rc = error_set(ERR_FORMAT, "number %zu: %.9g", i, (double)x[i]);
}

/* Of six ranks, rank 3 has a larger part of the last bucket than of the first, which is one line longer. */
static void shorter_bucket_with_a_larger_part(void **state) {
    (void)state;
    member m[MOST];
    together(6, sum_long, 2 * 6553600 - 16, -1, m);
    for (int k = 0; k < 6; k++) assert_string_equal(m[k].message, "");
}

static void gather_and_share(member *m) {
    int all[MOST] = { 0 }, mine = 100 + m->s.rank;
    size_t bytes = 20000001;
    char *x = calloc(bytes, 1);
    m->rc = ranks_gather(m->r, &mine, sizeof mine, all);
    for (int k = 0; k < m->s.o->count && m->rc == 0; k++)
        if (all[k] != 100 + k) m->rc = error_set(ERR_FORMAT, "rank %d said %d", k, all[k]);
    if (m->s.rank == 0) memset(x, 'x', bytes);
    m->s.own = x, m->s.own_bytes = bytes;
    if (m->rc == 0) m->rc = ranks_share(m->r, x, bytes);
    for (size_t i = 0; i < bytes && m->rc == 0; i++)
        if (x[i] != 'x') m->rc = error_set(ERR_FORMAT, "byte %zu was not shared", i);
    if (m->rc == 0 && m->s.lent) m->rc = error_set(ERR_FORMAT, "a message lies in the owner's memory");
    ranks_machine here = { 0 };
    if (m->rc == 0) m->rc = ranks_machine_of(m->r, &here);
    if (m->rc == 0 && (here.cores < 1 || here.used < 1 || here.ranks != 4)) m->rc = error_set(ERR_FORMAT, "%d ranks, %d cores", here.ranks, here.cores);
    free(x);
}

static void gathering(void **state) {
    (void)state;
    member m[MOST];
    together(4, gather_and_share, 0, -1, m);
    for (int k = 0; k < 4; k++) assert_string_equal(m[k].message, "");
}

/* The others wait for rank 1's sums. */
static void fail_one(member *m) {
    ranks_times t;
    sum(m);
    if (m->rc < 0) return;
    if (m->s.rank == 1) {
        m->rc = error_set(ERR_LIMIT, "the loss is not finite");
        ranks_fail(m->r, m->rc, error_message());
        return;
    }
    for (size_t i = 0; i < 5; i++) ranks_whole(m->r, i);
    m->rc = ranks_reduce(m->r, &t);
}

static void failing(void **state) {
    (void)state;
    for (int count = 2; count <= MOST; count++) {
        member m[MOST];
        together(count, fail_one, 1000, -1, m);
        for (int k = 0; k < count; k++) {
            assert_int_equal(m[k].rc, ERR_LIMIT);
            assert_string_equal(m[k].message, k == 1 ? "the loss is not finite" : "rank 1: the loss is not finite");
            free(m[k].x);
        }
    }
}

static void wait_after_failure(member *m) {
    int mine = 0, all[MOST];
    fail_one(m);
    int rc = ranks_gather(m->r, &mine, sizeof mine, all);
    if (rc != m->rc) m->rc = 0;
    if (ranks_failed(m->r) != 1) m->rc = 0;
}

static void after_failure_nothing_waits(void **state) {
    (void)state;
    member m[MOST];
    together(3, wait_after_failure, 100, -1, m);
    for (int k = 0; k < 3; k++) assert_int_equal(m[k].rc, ERR_LIMIT), free(m[k].x);
}

/* Rank 1 takes its leave with no word, while the others wait for it. */
static void end_early(member *m) {
    int mine = 0, all[MOST];
    if (m->s.rank != 1) m->rc = ranks_gather(m->r, &mine, sizeof mine, all);
}

static void end_before_sums(member *m) {
    size_t n = 1000;
    ranks_times t;
    float *x;
    if ((m->rc = ranks_sums(m->r, &n, 1, &x)) < 0 || m->s.rank == 1) return;
    ranks_whole(m->r, 0);
    m->rc = ranks_reduce(m->r, &t);
}

static void nobody_waits_for_one_that_has_ended(void **state) {
    (void)state;
    void (*const bodies[])(member *) = { end_early, end_before_sums };
    for (int i = 0; i < 2; i++) {
        member m[MOST];
        together(3, bodies[i], 0, -1, m);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(m[k].rc, k == 1 ? 0 : ERR_IO);
            assert_string_equal(m[k].message, k == 1 ? "" : "rank 1: it has ended, and others wait for it");
        }
    }
}

static void differ(member *m) {
    float *x;
    size_t ends[] = { 4, m->s.rank ? 7 : 8 };
    m->rc = ranks_sums(m->r, ends, 2, &x);
}

static void others_weights(void **state) {
    (void)state;
    member m[MOST];
    together(2, differ, 0, -1, m);
    assert_int_equal(m[0].rc, ERR_USAGE);
    assert_string_equal(m[0].message, "rank 1 trains other weights than rank 0");
    assert_string_equal(m[1].message, "rank 0 trains other weights than rank 1");
}

static void one_line(member *m) {
    int mine = 0, all[MOST];
    for (int i = 0; i < 100 && m->rc == 0; i++) m->rc = ranks_gather(m->r, &mine, sizeof mine, all);
}

static void broken_line(void **state) {
    (void)state;
    member m[MOST];
    together(2, one_line, 0, 9, m);
    for (int k = 0; k < 2; k++) assert_string_equal(m[k].message, "MPI: the line is cut");
}

static void alone(void **state) {
    (void)state;
    ranks *r = (ranks *)&r;
    unsetenv("OMPI_COMM_WORLD_SIZE"), unsetenv("PMI_SIZE"), unsetenv("SLURM_STEP_NUM_TASKS");
    assert_int_equal(ranks_started(), 1);
    assert_int_equal(ranks_open(&r), 0);
    assert_null(r);
    assert_int_equal(ranks_count(r), 1);
    assert_int_equal(ranks_rank(r), 0);
    ranks_close(r);
    setenv("PMI_SIZE", "3", 1);
    assert_int_equal(ranks_started(), 3);
    setenv("PMI_SIZE", "3x", 1);
    assert_int_equal(ranks_started(), 1);
    setenv("OMPI_COMM_WORLD_SIZE", "-2", 1);
    assert_int_equal(ranks_started(), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_all), cmocka_unit_test(shorter_bucket_with_a_larger_part), cmocka_unit_test(gathering), cmocka_unit_test(failing), cmocka_unit_test(after_failure_nothing_waits),
        cmocka_unit_test(nobody_waits_for_one_that_has_ended), cmocka_unit_test(others_weights), cmocka_unit_test(broken_line), cmocka_unit_test(alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
