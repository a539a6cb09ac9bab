/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sorter.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/spool.h"

/* A record, in memory and on disk: two sizes, the key, the value. An entry points to one; `head` is how its key begins, so
 * that most comparisons need not look. */
enum { SIZES = 8, MOST_RECORD = 16 << 20, LEAST_MEMORY = 1 << 16, READ_AHEAD = 1 << 16, MOST_FAN = 64 };
typedef struct { uint64_t head; const uint8_t *record; } entry;   /* while records are added: their offset */
typedef struct { uint64_t begin, end; } run;                      /* of the spool, sorted */

/* A run that is being merged. */
typedef struct {
    uint64_t next, end;            /* what has not been read into the buffer */
    uint8_t *buffer;
    size_t room, at, filled;
    uint64_t head;                 /* of the record at `at` */
    size_t order;                  /* of equal keys the earlier run's come first */
} reader;

struct sorter {
    size_t memory, largest;        /* largest: a record */
    uint8_t *records;              /* `used` of `room` bytes */
    size_t used, room;
    entry *entries;
    size_t count, entry_room;
    spool *runs_file;
    run *runs;
    size_t n_runs, run_room;
    bool sorted;
    size_t next;                   /* entry, where there are no runs */
    reader *heap[MOST_FAN];        /* the least record's reader is heap[0] */
    size_t n_heap;
    bool taken;                    /* the record of heap[0] was handed out */
    char folder[];
};

int sorter_new(const char *folder, size_t memory, sorter **out) {
    sorter *s = calloc(1, sizeof *s + strlen(folder) + 1);
    if (!s) return error_memory(sizeof *s);
    strcpy(s->folder, folder);
    s->memory = memory < LEAST_MEMORY ? LEAST_MEMORY : memory;
    *out = s;
    return 0;
}

/* ---- records ------------------------------------------------------------------------------------------------------- */

static uint32_t size_at(const uint8_t *p) {
    uint32_t n;
    memcpy(&n, p, sizeof n);
    return n;
}
static size_t key_size_of(const uint8_t *record) { return size_at(record); }
static size_t value_size_of(const uint8_t *record) { return size_at(record + 4); }
static size_t record_size(const uint8_t *record) { return SIZES + key_size_of(record) + value_size_of(record); }

/* The first bytes of a key as a number that sorts as they do. A shorter key is padded with zeros: equal heads decide nothing. */
static uint64_t head_of(const uint8_t *record) {
    size_t n = key_size_of(record);
    uint64_t head = 0;
    for (size_t i = 0; i < 8; i++) head = head << 8 | (i < n ? record[SIZES + i] : 0);
    return head;
}

static int compare_keys(const uint8_t *a, const uint8_t *b) {
    size_t na = key_size_of(a), nb = key_size_of(b);
    int c = memcmp(a + SIZES, b + SIZES, na < nb ? na : nb);
    return c ? c : (na > nb) - (na < nb);
}

static int compare_entries(const void *left, const void *right) {
    const entry *a = left, *b = right;
    if (a->head != b->head) return a->head < b->head ? -1 : 1;
    int c = compare_keys(a->record, b->record);
    return c ? c : (a->record > b->record) - (a->record < b->record);   /* the order they were added in */
}

static void hand_out(const uint8_t *record, const void **key, size_t *key_size, const void **value, size_t *value_size) {
    *key_size = key_size_of(record);
    *value_size = value_size_of(record);
    *key = record + SIZES;
    *value = record + SIZES + *key_size;
}

/* ---- adding -------------------------------------------------------------------------------------------------------- */

static void sort_records(sorter *s) {
    for (size_t i = 0; i < s->count; i++) {
        s->entries[i].record = s->records + (uintptr_t)s->entries[i].record;
        s->entries[i].head = head_of(s->entries[i].record);
    }
    if (s->count) qsort(s->entries, s->count, sizeof *s->entries, compare_entries);
}

static int add_run(sorter *s, run r) {
    if (s->n_runs == s->run_room) {
        size_t room = s->run_room ? 2 * s->run_room : 64;
        run *more = realloc(s->runs, room * sizeof *more);
        if (!more) return error_memory(room * sizeof *more);
        s->runs = more;
        s->run_room = room;
    }
    s->runs[s->n_runs++] = r;
    return 0;
}

/* What was added so far becomes a run. */
static int flush(sorter *s) {
    sort_records(s);
    int rc = s->runs_file ? 0 : spool_new(s->folder, &s->runs_file);
    run r = { rc == 0 ? spool_size(s->runs_file) : 0, 0 };
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        rc = spool_append(s->runs_file, s->entries[i].record, record_size(s->entries[i].record), NULL);
    if (rc < 0) return rc;
    r.end = spool_size(s->runs_file);
    s->used = s->count = 0;
    return add_run(s, r);
}

/* Twice as large, or as large as the memory allows, or as one record needs. */
static size_t grown(size_t room, size_t least, size_t start, size_t most) {
    size_t to = room ? 2 * room : start;
    if (to > most) to = most;
    return to < least ? least : to;
}

static int make_room(sorter *s, size_t size) {
    if (s->used + size > s->room) {
        size_t room = grown(s->room, s->used + size, 4096, s->memory);
        uint8_t *more = realloc(s->records, room);
        if (!more) return error_memory(room);
        s->records = more;
        s->room = room;
    }
    if (s->count == s->entry_room) {
        size_t room = grown(s->entry_room, s->count + 1, 64, s->memory / sizeof(entry) + 1);
        entry *more = realloc(s->entries, room * sizeof *more);
        if (!more) return error_memory(room * sizeof *more);
        s->entries = more;
        s->entry_room = room;
    }
    return 0;
}

int sorter_add(sorter *s, const void *key, size_t key_size, const void *value, size_t value_size) {
    assert(!s->sorted);
    if (key_size > MOST_RECORD || value_size > MOST_RECORD - key_size) return error_set(ERR_LIMIT, "a record to sort is larger than 16 MB");
    size_t size = SIZES + key_size + value_size;
    bool full = s->used + size + (s->count + 1) * sizeof(entry) > s->memory;
    int rc = full && s->count ? flush(s) : 0;
    if (rc == 0) rc = make_room(s, size);
    if (rc < 0) return rc;
    uint32_t sizes[2] = { (uint32_t)key_size, (uint32_t)value_size };
    uint8_t *to = s->records + s->used;
    memcpy(to, sizes, SIZES);
    if (key_size) memcpy(to + SIZES, key, key_size);
    if (value_size) memcpy(to + SIZES + key_size, value, value_size);
    s->entries[s->count++].record = (const uint8_t *)(uintptr_t)s->used;
    s->used += size;
    if (size > s->largest) s->largest = size;
    return 0;
}

/* ---- merging ------------------------------------------------------------------------------------------------------- */

/* Sees that `need` bytes from the reader's record on are in its buffer. */
static int fill(sorter *s, reader *r, size_t need) {
    size_t have = r->filled - r->at;
    if (have >= need) return 0;
    if (need > r->room) {
        uint8_t *more = realloc(r->buffer, need);
        if (!more) return error_memory(need);
        r->buffer = more;
        r->room = need;
    }
    memmove(r->buffer, r->buffer + r->at, have);
    r->at = 0;
    r->filled = have;
    size_t n = r->room - have;
    if (n > r->end - r->next) n = (size_t)(r->end - r->next);
    int rc = spool_read(s->runs_file, r->next, r->buffer + have, n);
    if (rc < 0) return rc;
    r->next += n;
    r->filled += n;
    return 0;
}

/* 1: there is a record, whole in the buffer; 0: the run is over. */
static int load(sorter *s, reader *r) {
    if (r->at == r->filled && r->next == r->end) return 0;
    int rc = fill(s, r, SIZES);
    if (rc == 0) rc = fill(s, r, record_size(r->buffer + r->at));
    if (rc < 0) return rc;
    r->head = head_of(r->buffer + r->at);
    return 1;
}

static bool before(const reader *a, const reader *b) {
    if (a->head != b->head) return a->head < b->head;
    int c = compare_keys(a->buffer + a->at, b->buffer + b->at);
    return c ? c < 0 : a->order < b->order;
}

static void sift_down(sorter *s, size_t i) {
    for (;;) {
        size_t least = i, left = 2 * i + 1;
        for (size_t k = left; k < left + 2 && k < s->n_heap; k++)
            if (before(s->heap[k], s->heap[least])) least = k;
        if (least == i) return;
        reader *swap = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = swap;
        i = least;
    }
}

static void reader_free(reader *r) {
    if (r) free(r->buffer);
    free(r);
}

static int open_reader(sorter *s, run from, size_t order, size_t room) {
    reader *r = calloc(1, sizeof *r);
    if (!r) return error_memory(sizeof *r);
    *r = (reader){ .next = from.begin, .end = from.end, .room = room, .order = order, .buffer = malloc(room) };
    s->heap[s->n_heap++] = r;
    return r->buffer ? load(s, r) : error_memory(room);
}

static void close_readers(sorter *s) {
    while (s->n_heap) reader_free(s->heap[--s->n_heap]);
}

static int open_readers(sorter *s, size_t first, size_t n) {
    size_t room = s->memory / n < READ_AHEAD ? s->memory / n : READ_AHEAD;
    int rc = 0;
    s->taken = false;
    for (size_t i = 0; rc >= 0 && i < n; i++) rc = open_reader(s, s->runs[first + i], i, room < SIZES ? SIZES : room);
    for (size_t i = s->n_heap; rc >= 0 && i-- > 0;) sift_down(s, i);
    return rc < 0 ? rc : 0;
}

/* 1 and the least record of those that have not been taken, until the next call. */
static int merge_next(sorter *s, const uint8_t **record) {
    if (s->taken) {
        reader *r = s->heap[0];
        r->at += record_size(r->buffer + r->at);
        int rc = load(s, r);
        if (rc < 0) return rc;
        if (rc == 0) {
            reader_free(r);
            s->heap[0] = s->heap[--s->n_heap];
        }
        sift_down(s, 0);
        s->taken = false;
    }
    if (!s->n_heap) return 0;
    *record = s->heap[0]->buffer + s->heap[0]->at;
    s->taken = true;
    return 1;
}

static int merge_group(sorter *s, size_t first, size_t n, spool *to, run *out) {
    const uint8_t *record;
    out->begin = spool_size(to);
    int rc = open_readers(s, first, n);
    while (rc == 0 && (rc = merge_next(s, &record)) > 0) rc = spool_append(to, record, record_size(record), NULL);
    close_readers(s);
    out->end = spool_size(to);
    return rc;
}

/* Each group of `fan` neighbours becomes one run of a new file. */
static int merge_pass(sorter *s, size_t fan) {
    spool *to;
    int rc = spool_new(s->folder, &to);
    if (rc < 0) return rc;
    size_t made = 0;
    for (size_t i = 0; rc == 0 && i < s->n_runs; i += fan) {
        run r;
        rc = merge_group(s, i, s->n_runs - i < fan ? s->n_runs - i : fan, to, &r);
        s->runs[made++] = r;
    }
    spool_free(rc < 0 ? to : s->runs_file);
    if (rc == 0) s->runs_file = to, s->n_runs = made;
    return rc;
}

static int end_adding(sorter *s) {
    s->sorted = true;
    if (!s->n_runs) return sort_records(s), 0;
    int rc = s->count ? flush(s) : 0;
    free(s->records);
    free(s->entries);
    s->records = NULL;
    s->entries = NULL;
    /* So many at a time that their buffers fit. */
    size_t ahead = s->largest > READ_AHEAD / 4 ? s->largest : READ_AHEAD / 4, fan = s->memory / ahead;
    fan = fan < 2 ? 2 : fan > MOST_FAN ? MOST_FAN : fan;
    while (rc == 0 && s->n_runs > fan) rc = merge_pass(s, fan);
    return rc < 0 ? rc : open_readers(s, 0, s->n_runs);
}

int sorter_next(sorter *s, const void **key, size_t *key_size, const void **value, size_t *value_size) {
    int rc = s->sorted ? 0 : end_adding(s);
    if (rc < 0) return rc;
    const uint8_t *record;
    if (s->n_runs) {
        rc = merge_next(s, &record);
        if (rc <= 0) return rc;
    } else if (s->next < s->count) {
        record = s->entries[s->next++].record;
    } else {
        return 0;
    }
    hand_out(record, key, key_size, value, value_size);
    return 1;
}

void sorter_free(sorter *s) {
    if (!s) return;
    close_readers(s);
    free(s->records);
    free(s->entries);
    free(s->runs);
    spool_free(s->runs_file);
    free(s);
}
