/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients, in buckets. A bucket is cut into a part a rank; each rank gets the others' copies of its part, adds them
 * up in the order of the ranks, and sends the sum to all (reduce-scatter, then all-gather): a rank sends 2 (N-1)/N of
 * what there is, whatever N. */
#define _DEFAULT_SOURCE
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/error.h"
#include "train/ranks_inside.h"

/* Numbers: of a block that is added up at once; of a cache line; of a bucket. */
enum { BLOCK = 1024, LINE = 16, BUCKET = RANKS_BUCKET / sizeof(float) };

/* Part k of a bucket, in whole cache lines. */
static size_t part_at(const ranks *r, const ranks_bucket *b, int k) {
    size_t lines = (b->end - b->begin + LINE - 1) / LINE, count = (size_t)r->count;
    size_t at = lines / count * (size_t)k + lines % count * (size_t)k / count;
    return b->begin + at * LINE < b->end ? b->begin + at * LINE : b->end;
}

static size_t part_size(const ranks *r, const ranks_bucket *b, int k) { return part_at(r, b, k + 1) - part_at(r, b, k); }

/* ---- what is exchanged -------------------------------------------------------------------------------------------------- */

static int check_ends(const size_t *ends, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (ends[i] < ends[i - 1]) return error_set(ERR_USAGE, "gradients are listed in the order in which they lie");
    return n && ends[n - 1] ? 0 : error_set(ERR_USAGE, "there are no gradients");
}

/* Gradient i touches buckets first to last of the piece of memory that all lie in. */
static size_t first_of(const ranks *r, size_t i) { return (i ? r->ends[i - 1] : 0) / BUCKET; }
static size_t end_of(const ranks *r, size_t i) { return (r->ends[i] + BUCKET - 1) / BUCKET; }
static bool is_empty(const ranks *r, size_t i) { return r->ends[i] == (i ? r->ends[i - 1] : 0); }

static void fill_buckets(ranks *r, size_t n) {
    size_t all = r->ends[n - 1];
    for (size_t b = 0; b < r->buckets; b++)
        r->bucket[b] = (ranks_bucket){ .begin = b * BUCKET, .end = b + 1 < r->buckets ? (b + 1) * BUCKET : all };
    for (size_t i = 0; i < n; i++)
        for (size_t b = first_of(r, i); b < end_of(r, i) && !is_empty(r, i); b++) r->bucket[b].tensors++;
}

static int make_copies(ranks *r) {
    size_t count = (size_t)r->count, lines = (r->bucket[0].end + LINE - 1) / LINE, others = count - 1, bytes;
    /* Of a shorter bucket this rank's part may be one line more than of the first: no part is more than a count-th,
     * rounded up. */
    size_t most = r->part_room = (lines + count - 1) / count * LINE;
    if (__builtin_mul_overflow(most * sizeof(float), others * RANKS_FLIGHTS, &bytes)) return error_memory(SIZE_MAX);
    if (!(r->copies = malloc(bytes + 1))) return error_memory(bytes);
    for (size_t i = 0; i < RANKS_FLIGHTS; i++) r->flight[i].copies = r->copies + i * others * most;
    return 0;
}

size_t ranks_bytes(const ranks *r, size_t n) {
    size_t bucket = n < BUCKET ? n : BUCKET, count = (size_t)r->count;
    return (n + (bucket / count + LINE) * (count - 1) * RANKS_FLIGHTS) * sizeof(float);
}

static void open_buckets(ranks *r) {
    for (size_t b = 0; b < r->buckets; b++) r->bucket[b].open = r->bucket[b].tensors;
    r->reduced = 0;
}

/* Ranks that list others would wait for each other, or add up what does not belong together. */
static int compare_lists(ranks *r, const size_t *ends, size_t n) {
    uint64_t mine[2] = { n, 0xcbf29ce484222325 };                  /* FNV-1a */
    for (size_t i = 0; i < n; i++) mine[1] = (mine[1] ^ ends[i]) * 0x100000001b3;
    uint64_t (*all)[2] = malloc((size_t)r->count * sizeof *all);
    if (!all) return error_memory((size_t)r->count * sizeof *all);
    int rc = ranks_gather(r, mine, sizeof mine, all);
    for (int k = 0; k < r->count && rc == 0; k++)
        if (memcmp(all[k], mine, sizeof mine) != 0)
            rc = error_set(ERR_USAGE, "rank %d trains other weights than rank %d", k, r->rank);
    free(all);
    return rc;
}

/* With the 64 readable bytes that a state has behind it; on large pages, as other states are. */
static int make_sums(ranks *r, size_t n) {
    enum { PAGE = 2 << 20 };
    void *x;
    size_t bytes;
    if (__builtin_mul_overflow(n, sizeof(float), &bytes) || bytes > SIZE_MAX - 128) return error_memory(SIZE_MAX);
    size_t room = (bytes + 127) / 64 * 64;
    if (posix_memalign(&x, room < PAGE ? 64 : PAGE, room)) return error_memory(room);
    if (room >= PAGE) madvise(x, room, MADV_HUGEPAGE);   /* a wish */
    memset(x, 0, room);
    r->sums = x;
    return 0;
}

int ranks_sums(ranks *r, const size_t *ends, size_t n, float **sums) {
    int rc = check_ends(ends, n);
    if (rc == 0) rc = compare_lists(r, ends, n);
    if (rc < 0) return rc;
    r->buckets = (ends[n - 1] + BUCKET - 1) / BUCKET;
    r->bucket = calloc(r->buckets, sizeof *r->bucket);
    r->ends = calloc(n, sizeof *r->ends);
    if (!r->bucket || !r->ends) return error_memory(r->buckets * sizeof *r->bucket + n * sizeof *r->ends);
    memcpy(r->ends, ends, n * sizeof *ends);
    fill_buckets(r, n);
    open_buckets(r);
    rc = make_copies(r);
    if (rc == 0) rc = make_sums(r, ends[n - 1]);
    if (rc == 0) *sums = r->sums;
    return rc;
}

void sums_free(ranks *r) {
    free(r->sums);
    free(r->copies);
    free(r->bucket);
    free(r->ends);
}

/* ---- by the thread ------------------------------------------------------------------------------------------------------ */

static int send_part(ranks *r, const ranks_flight *f, int part, int to, int tag) {
    const ranks_bucket *b = &r->bucket[f->bucket];
    int rc = r->t->send(r->t->context, r->sums + part_at(r, b, part), part_size(r, b, part) * sizeof(float), to, tag, &f->out[to]);
    return rc ? ranks_transport_failed(r, rc) : 0;
}

static int receive_part(ranks *r, const ranks_flight *f, float *x, int part, int from, int tag) {
    int rc = r->t->receive(r->t->context, x, part_size(r, &r->bucket[f->bucket], part) * sizeof(float), from, tag, &f->in[from]);
    return rc ? ranks_transport_failed(r, rc) : 0;
}

static float *copy_of(const ranks *r, const ranks_flight *f, int from) {
    return f->copies + (size_t)(from - (from > r->rank)) * part_size(r, &r->bucket[f->bucket], r->rank);
}

static int set_out(ranks *r, ranks_flight *f, size_t bucket) {
    int tag = TAG_SUMS + 2 * (int)bucket, rc = 0;
    f->bucket = bucket;
    f->phase = FLIGHT_OUT;
    assert(part_size(r, &r->bucket[bucket], r->rank) <= r->part_room);
    for (int k = 0; k < r->count && rc == 0; k++)
        if (k != r->rank) rc = receive_part(r, f, copy_of(r, f, k), r->rank, k, tag);
    for (int i = 1; i < r->count && rc == 0; i++) {                /* not all to rank 0 first */
        int k = (r->rank + i) % r->count;
        rc = send_part(r, f, k, k, tag);
    }
    return rc;
}

static int come_back(ranks *r, ranks_flight *f) {
    int tag = TAG_SUMS + 2 * (int)f->bucket + 1, rc = 0;
    f->phase = FLIGHT_BACK;
    for (int k = 0; k < r->count && rc == 0; k++)
        if (k != r->rank) rc = receive_part(r, f, r->sums + part_at(r, &r->bucket[f->bucket], k), k, k, tag);
    for (int i = 1; i < r->count && rc == 0; i++) rc = send_part(r, f, r->rank, (r->rank + i) % r->count, tag);
    return rc;
}

static void add_up(ranks *r, const ranks_flight *f) {
    const ranks_bucket *b = &r->bucket[f->bucket];
    float *own = r->sums + part_at(r, b, r->rank), sum[BLOCK];
    size_t n = part_size(r, b, r->rank);
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t some = n - at < BLOCK ? n - at : BLOCK;
        memcpy(sum, (r->rank ? copy_of(r, f, 0) : own) + at, some * sizeof *sum);
        for (int k = 1; k < r->count; k++) {
            const float *x = (k == r->rank ? own : copy_of(r, f, k)) + at;
            for (size_t i = 0; i < some; i++) sum[i] += x[i];
        }
        memcpy(own + at, sum, some * sizeof *sum);
    }
}

static int arrived(ranks *r, ranks_flight *f) {
    f->phase = FLIGHT_NONE;
    pthread_mutex_lock(&r->lock);
    r->last = clock_seconds();
    if (++r->reduced == r->buckets) {
        r->whole = r->next = 0;      /* of the next step */
        pthread_cond_signal(&r->done);
    }
    pthread_mutex_unlock(&r->lock);
    return 1;
}

/* 1: it went on, 0: not yet. */
static int advance_flight(ranks *r, ranks_flight *f) {
    int in = ranks_all_done(r, f->in), out = ranks_all_done(r, f->out);
    if (in < 0 || out < 0) return ERR_IO;
    if (!in || !out) return 0;
    if (f->phase == FLIGHT_BACK) return arrived(r, f);
    add_up(r, f);
    int rc = come_back(r, f);
    return rc < 0 ? rc : 1;
}

bool sums_under_way(const ranks *r) {
    for (size_t i = 0; i < RANKS_FLIGHTS; i++)
        if (r->flight[i].phase) return true;
    return false;
}

static int set_out_next(ranks *r, ranks_flight *f) {
    if (r->next == 0) {
        pthread_mutex_lock(&r->lock);
        r->first = clock_seconds();
        pthread_mutex_unlock(&r->lock);
    }
    return set_out(r, f, r->next++);
}

int sums_advance(ranks *r, size_t whole) {
    int any = 0;
    for (size_t i = 0; i < RANKS_FLIGHTS; i++) {
        ranks_flight *f = &r->flight[i];
        size_t before = r->next;
        int rc = f->phase ? advance_flight(r, f) : 0;
        if (r->next < before) return 1;                            /* all are there: `whole` was of that step */
        if (rc >= 0 && !f->phase && r->next < whole) rc = set_out_next(r, f), any = 1;
        if (rc < 0) return rc;
        any |= rc > 0;
    }
    return any;
}

/* ---- by the owner ------------------------------------------------------------------------------------------------------- */

void ranks_whole(ranks *r, size_t i) {
    pthread_mutex_lock(&r->lock);
    for (size_t b = first_of(r, i); b < end_of(r, i) && !is_empty(r, i); b++) r->bucket[b].open--;
    size_t before = r->whole;
    while (r->whole < r->buckets && !r->bucket[r->whole].open) r->whole++;
    if (r->whole != before) pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
}

int ranks_reduce(ranks *r, ranks_times *times) {
    double begin = clock_seconds();
    pthread_mutex_lock(&r->lock);
    while (r->reduced < r->buckets && !r->failure.code) pthread_cond_wait(&r->done, &r->lock);
    int rc = r->reduced < r->buckets ? ranks_error_locked(r) : 0;
    *times = (ranks_times){ .seconds = r->last - r->first, .waited = clock_seconds() - begin };
    for (size_t b = 0; b < r->buckets; b++) {
        size_t n = r->bucket[b].end - r->bucket[b].begin, own = part_size(r, &r->bucket[b], r->rank);
        times->bytes += (n - own + own * (size_t)(r->count - 1)) * sizeof(float);
    }
    if (rc == 0) open_buckets(r);
    pthread_mutex_unlock(&r->lock);
    return rc;
}
