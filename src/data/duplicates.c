/* SPDX-License-Identifier: Apache-2.0
 *
 * Near ones are found by bands: two hashes of 64 bits that differ in at most three agree in at least one of four bands of 16
 * bits. Pictures that agree in a band are compared in pairs if they are few; if they are many, their other 48 bits are
 * cut into four bands again, and so on: that stays complete, and far from quadratic. */
#define _GNU_SOURCE
#include "data/duplicates.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sorter.h"
#include "data/picture_hash.h"

enum {
    MEMORY = 2 << 20,              /* of each sorter */
    BANDS = 4,                     /* one more than the bits that may differ */
    FEW = 64,                      /* are compared in pairs */
    LEAST_BITS = 12,               /* to cut into bands: what agrees in all others is 2048 hashes at most */
};
_Static_assert((int)BANDS > (int)PICTURE_HASH_NEAR, "or pairs would be missed");

struct duplicates {
    sorter *bytes;                 /* sha256, number */
    sorter *looks;                 /* hash, number */
    sorter *bands;                 /* band and its bits: hash, number */
    sorter *pairs;                 /* number, how, earlier */
    uint8_t *gone;                 /* a bit a number: it is a duplicate */
    uint64_t end;
    char folder[];
};

/* In the order of the sorter: same bytes; same hash as a kept one or as a near-duplicate of a kept one; near. */
enum { PAIR_BYTES, PAIR_LOOK, PAIR_NEAR };

typedef struct { uint64_t hash, number; } look;

int duplicates_new(const char *folder, duplicates **out) {
    duplicates *d = calloc(1, sizeof *d + strlen(folder) + 1);
    if (!d) return error_memory(sizeof *d);
    strcpy(d->folder, folder);
    int rc = sorter_new(folder, MEMORY, &d->bytes);
    if (rc == 0) rc = sorter_new(folder, MEMORY, &d->looks);
    if (rc == 0) rc = sorter_new(folder, MEMORY, &d->bands);
    if (rc == 0) rc = sorter_new(folder, MEMORY, &d->pairs);
    if (rc < 0) duplicates_free(d);
    else *out = d;
    return rc;
}

void duplicates_free(duplicates *d) {
    if (!d) return;
    sorter_free(d->bytes);
    sorter_free(d->looks);
    sorter_free(d->bands);
    sorter_free(d->pairs);
    free(d->gone);
    free(d);
}

/* ---- numbers as keys ----------------------------------------------------------------------------------------------- */

static void put_number(uint8_t *to, uint64_t n) {
    for (int i = 7; i >= 0; i--, n >>= 8) to[i] = (uint8_t)n;
}

static uint64_t get_number(const uint8_t *from) {
    uint64_t n = 0;
    for (int i = 0; i < 8; i++) n = n << 8 | from[i];
    return n;
}

static bool is_gone(const duplicates *d, uint64_t number) { return d->gone[number / 8] >> number % 8 & 1; }
static void set_gone(duplicates *d, uint64_t number) { d->gone[number / 8] |= (uint8_t)(1 << number % 8); }

static int add_pair(duplicates *d, uint64_t number, int how, uint64_t earlier) {
    uint8_t key[17];
    put_number(key, number);
    key[8] = (uint8_t)how;
    put_number(key + 9, earlier);
    return sorter_add(d->pairs, key, sizeof key, NULL, 0);
}

int duplicates_add(duplicates *d, uint64_t number, const uint8_t digest[32], const uint64_t *hash) {
    uint8_t key[40];
    memcpy(key, digest, 32);
    put_number(key + 32, number);
    int rc = sorter_add(d->bytes, key, 40, NULL, 0);
    if (rc < 0 || !hash) return rc;
    put_number(key, *hash);
    put_number(key + 8, number);
    return sorter_add(d->looks, key, 16, NULL, 0);
}

/* ---- the same ------------------------------------------------------------------------------------------------------ */

static int find_same_bytes(duplicates *d) {
    uint8_t first[40];
    bool any = false;
    const void *key, *value;
    size_t key_size, value_size;
    int rc;
    while ((rc = sorter_next(d->bytes, &key, &key_size, &value, &value_size)) > 0) {
        uint64_t number = get_number((const uint8_t *)key + 32);
        assert(number < d->end);
        if (any && memcmp(key, first, 32) == 0) {
            set_gone(d, number);
            if ((rc = add_pair(d, number, PAIR_BYTES, get_number(first + 32))) < 0) return rc;
        } else {
            memcpy(first, key, sizeof first);
            any = true;
        }
    }
    return rc;
}

static int add_to_bands(duplicates *d, look l) {
    int rc = 0;
    for (int b = 0; rc == 0 && b < BANDS; b++) {
        uint16_t bits = (uint16_t)(l.hash >> 16 * b);
        uint8_t key[3] = { (uint8_t)b, (uint8_t)(bits >> 8), (uint8_t)bits };
        rc = sorter_add(d->bands, key, sizeof key, &l, sizeof l);
    }
    return rc;
}

/* Of those that have one hash the first stands for all: otherwise they would be compared with each other again and again. */
static int find_same_looks(duplicates *d) {
    look first = { 0 };
    bool any = false;
    const void *key, *value;
    size_t key_size, value_size;
    int rc;
    while ((rc = sorter_next(d->looks, &key, &key_size, &value, &value_size)) > 0) {
        look l = { get_number(key), get_number((const uint8_t *)key + 8) };
        if (is_gone(d, l.number)) continue;
        if (any && l.hash == first.hash) {
            rc = add_pair(d, l.number, PAIR_LOOK, first.number);
        } else {
            first = l;
            any = true;
            rc = add_to_bands(d, l);
        }
        if (rc < 0) return rc;
    }
    return rc;
}

/* ---- the near ------------------------------------------------------------------------------------------------------ */

/* A group of looks that agree in the bits that are not in `other`. Pairs that agree in any of `seen` were met before. */
typedef struct { uint64_t other, seen[7 * (BANDS - 1)]; int n_seen; } group;   /* 64 48 36 27 21 16 12 bits */

static bool near(const group *g, uint64_t a, uint64_t b) {
    uint64_t differ = a ^ b, rest = differ;
    for (int i = 0; i < PICTURE_HASH_NEAR; i++) rest &= rest - 1;   /* less its lowest bit */
    if (rest) return false;
    for (int i = 0; i < g->n_seen; i++)
        if (!(differ & g->seen[i])) return false;
    return true;
}

static int by_number(const void *left, const void *right) {
    const look *a = left, *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

static int compare_all(duplicates *d, const group *g, look *l, size_t n) {
    qsort(l, n, sizeof *l, by_number);
    for (size_t k = 1; k < n; k++)
        for (size_t i = 0; i < k; i++) {
            int rc = near(g, l[i].hash, l[k].hash) ? add_pair(d, l[k].number, PAIR_NEAR, l[i].number) : 0;
            if (rc < 0) return rc;
        }
    return 0;
}

/* Whether each pair of a group was met before, since all agree in one of the bands seen: otherwise looks that are crowded in a few
 * bits would be gone through for each of the others. */
static bool was_seen(const group *g, const look *l, size_t n) {
    uint64_t vary = 0;
    for (size_t i = 1; i < n; i++) vary |= l[i].hash ^ l[0].hash;
    for (int i = 0; i < g->n_seen; i++)
        if (!(vary & g->seen[i])) return true;
    return false;
}

static int by_masked_hash(const void *left, const void *right, void *context) {
    const look *a = left, *b = right;
    uint64_t mask = *(const uint64_t *)context;
    return ((a->hash & mask) > (b->hash & mask)) - ((a->hash & mask) < (b->hash & mask));
}

static uint64_t lowest_bits(uint64_t mask, int n) {
    uint64_t left = mask;
    while (n-- > 0) left &= left - 1;
    return mask & ~left;
}

static int compare_group(duplicates *d, const group *g, look *l, size_t n) {
    int bits = __builtin_popcountll(g->other);
    if (n <= FEW || bits < LEAST_BITS) return compare_all(d, g, l, n);
    if (was_seen(g, l, n)) return 0;
    group part = *g;
    uint64_t left = g->other;
    for (int b = 0; b < BANDS; b++) {
        uint64_t band = b == BANDS - 1 ? left : lowest_bits(left, bits / BANDS);
        left &= ~band;
        part.other = g->other & ~band;
        qsort_r(l, n, sizeof *l, by_masked_hash, &band);
        for (size_t from = 0, to; from < n; from = to) {
            for (to = from + 1; to < n && ((l[to].hash ^ l[from].hash) & band) == 0; to++) {}
            int rc = to - from > 1 ? compare_group(d, &part, l + from, to - from) : 0;
            if (rc < 0) return rc;
        }
        if (b < BANDS - 1) part.seen[part.n_seen++] = band;
    }
    return 0;
}

/* The looks of one band's value, while they are gathered. */
typedef struct { look *l; size_t n, room; uint8_t key[3]; } bucket;

static int add_to_bucket(bucket *b, const look *l) {
    if (b->n == b->room) {
        size_t room = b->room ? 2 * b->room : 256;
        look *more = realloc(b->l, room * sizeof *more);
        if (!more) return error_memory(room * sizeof *more);
        b->l = more;
        b->room = room;
    }
    b->l[b->n++] = *l;
    return 0;
}

static int compare_bucket(duplicates *d, bucket *b) {
    group g = { .n_seen = b->key[0] };
    for (int i = 0; i < g.n_seen; i++) g.seen[i] = (uint64_t)0xffff << 16 * i;
    g.other = ~((uint64_t)0xffff << 16 * b->key[0]);
    int rc = b->n > 1 ? compare_group(d, &g, b->l, b->n) : 0;
    b->n = 0;
    return rc;
}

static int find_near(duplicates *d) {
    bucket b = { 0 };
    const void *key, *value;
    size_t key_size, value_size;
    int rc;
    while ((rc = sorter_next(d->bands, &key, &key_size, &value, &value_size)) > 0) {
        if (b.n && memcmp(key, b.key, sizeof b.key) != 0) rc = compare_bucket(d, &b);
        memcpy(b.key, key, sizeof b.key);
        look l;
        memcpy(&l, value, sizeof l);
        if (rc >= 0) rc = add_to_bucket(&b, &l);
        if (rc < 0) break;
    }
    if (rc == 0 && b.n) rc = compare_bucket(d, &b);
    free(b.l);
    return rc;
}

/* ---- what goes ----------------------------------------------------------------------------------------------------- */

/* By number, and of a number the same first. What has the hash of an earlier one goes in any case: either that one was
 * kept, or the one that was kept in its place is as near. */
static int tell(duplicates *d, duplicate_found *found, void *context) {
    const void *key, *value;
    size_t key_size, value_size;
    uint64_t told = UINT64_MAX;
    int rc;
    while ((rc = sorter_next(d->pairs, &key, &key_size, &value, &value_size)) > 0) {
        uint64_t number = get_number(key), earlier = get_number((const uint8_t *)key + 9);
        int how = ((const uint8_t *)key)[8];
        if (number == told || (how == PAIR_NEAR && is_gone(d, earlier))) continue;
        told = number;
        set_gone(d, number);
        if ((rc = found(context, number, earlier, how == PAIR_BYTES ? DUPLICATE_SAME : DUPLICATE_NEAR)) < 0) return rc;
    }
    return rc;
}

int duplicates_find(duplicates *d, uint64_t end, duplicate_found *found, void *context) {
    d->end = end;
    d->gone = calloc(1, (size_t)(end / 8 + 1));
    if (!d->gone) return error_memory(end / 8 + 1);
    int rc = find_same_bytes(d);
    if (rc == 0) rc = find_same_looks(d);
    if (rc == 0) rc = find_near(d);
    return rc < 0 ? rc : tell(d, found, context);
}
