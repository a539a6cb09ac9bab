/* SPDX-License-Identifier: Apache-2.0
 *
 * ranks_try WHAT [RANK]: what processes under mpirun tell each other (train/ranks.h), for tests and to be timed.
 *
 *   sum N       three steps of N numbers in tensors of several sizes; prints a checksum of the sums, and whether they are right
 *   time N      the same, with the time that it takes
 *   fail RANK   that rank fails while the others wait for its sums
 *   die RANK    it kills itself
 *   cores       what each may use */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "train/ranks.h"

enum { STEPS = 3, MOST = 4096 };

/* A number of its own for each rank, place and step, which f32 sums depend on the order of. */
static float number(int rank, size_t i, int step) {
    uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15 + (uint64_t)rank * 0xbf58476d1ce4e5b9 + (uint64_t)step * 0x94d049bb133111eb;
    x = (x ^ x >> 31) * 0xd6e8feb86659fd93;
    return (float)(int64_t)(x ^ x >> 29) * 0x1p-50f;
}

/* Tensors of 1, 3, 9, ... numbers and again, as far as there are. */
static size_t cut(size_t n, size_t *ends) {
    size_t k = 0, at = 0, each = 1;
    while (at < n && k < MOST) {
        at = n - at < each || k == MOST - 1 ? n : at + each;
        ends[k++] = at;
        each = each > n / 4 + 1000 ? 1 : each * 3;
    }
    return k;
}

static int sum(ranks *r, size_t n, bool timed) {
    float *x = NULL;
    size_t *ends = calloc(MOST, sizeof *ends), tensors;
    uint64_t all = 0, wrong = 0;
    if (!ends) return error_memory(MOST * sizeof *ends);
    tensors = cut(n, ends);
    int rc = ranks_sums(r, ends, tensors, &x);
    for (int step = 0; step < STEPS && rc == 0; step++) {
        for (size_t i = 0; i < n; i++) x[i] = number(ranks_rank(r), i, step);
        /* Not in their order, as different machines may have it. */
        for (size_t i = 0; i < tensors; i++) ranks_whole(r, i ^ (i + 1 - i % 2 < tensors && ranks_rank(r) == 1));
        ranks_times t;
        rc = ranks_reduce(r, &t);
        for (size_t i = 0; i < n && rc == 0; i++) {
            float want = number(0, i, step);
            for (int k = 1; k < ranks_count(r); k++) want += number(k, i, step);
            uint32_t bits;
            memcpy(&bits, &x[i], sizeof bits);
            all = (all ^ bits) * 0x100000001b3;
            wrong += memcmp(&want, &x[i], sizeof want) != 0;
        }
        if (timed && rc == 0 && ranks_rank(r) == 0) printf("%" PRIu64 " bytes sent in %.4f s, %.4f s waited\n", t.bytes, t.seconds, t.waited);
    }
    if (rc == 0) printf("sums %016" PRIx64 ", %" PRIu64 " wrong\n", all, wrong);
    free(ends);
    return rc;
}

static int fail(ranks *r, int which, bool die) {
    float *x;
    const size_t ends[] = { 500000, 1000000 };
    ranks_times t;
    int rc = ranks_sums(r, ends, 2, &x);
    if (rc < 0) return rc;
    ranks_whole(r, 0);
    if (ranks_rank(r) == which) {
        usleep(200000);
        if (die) raise(SIGKILL);
        ranks_fail(r, ERR_LIMIT, "the disk is on fire");
        return error_set(ERR_LIMIT, "the disk is on fire");
    }
    ranks_whole(r, 1);
    return ranks_reduce(r, &t);
}

static int cores(ranks *r) {
    ranks_machine m;
    int rc = ranks_machine_of(r, &m);
    if (rc == 0) printf("rank %d of %d: %d cores, %d used, %d unused\n", ranks_rank(r), ranks_count(r), m.cores, m.used, m.unused);
    return rc;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    long long n = argc > 2 ? atoll(argv[2]) : 1000;
    ranks *r = NULL;
    int rc = ranks_open(&r);
    if (rc == 0 && !r) printf("alone\n");
    else if (rc == 0 && strcmp(what, "cores") == 0) rc = cores(r);
    else if (rc == 0 && (strcmp(what, "fail") == 0 || strcmp(what, "die") == 0)) rc = fail(r, (int)n, *what == 'd');
    else if (rc == 0) rc = sum(r, (size_t)n, strcmp(what, "time") == 0);
    if (rc < 0) fprintf(stderr, "%s\n", error_message());
    fflush(NULL);
    ranks_close(r);
    return rc < 0;
}
