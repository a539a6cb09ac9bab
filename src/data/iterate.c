/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of slots. Threads take places in order, each into the next free slot, and make them ready in any order; the
 * caller's thread uses them in order. Pictures wait as bytes, a quarter of what they are as floats. */
#include "data/iterate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/stop.h"
#include "base/workers.h"
#include "data/choice.h"
#include "data/order.h"
#include "data/sample.h"

typedef struct {
    bool ready;
    int rc;                        /* 0, or why it is left out: */
    int fault;                     /* a sample_fault or NOT_SELECTED */
    char why[1024];
    uint64_t line;
    dataset_item item;
    uint8_t *room;                 /* what was made of it */
} slot;

enum { NOT_SELECTED = SAMPLE_MISMATCHED + 1, FAULTS };
typedef struct { uint64_t done, fault[FAULTS], fruitless; } counts;   /* fruitless: left out since the last one that was not */

struct mien_iterator {
    mien_iterate_options o;
    dataset *data;
    choice *choice;
    uint64_t *chosen;              /* the lines it lets in, if lists are given; or NULL: they are asked about one by one */
    sample_settings settings;
    iterator_maker maker;
    uint64_t n, fingerprint;       /* n: items of an epoch */
    uint64_t log_until;            /* items at this place and later have been told of */
    uint64_t base, limit;          /* the place of the first item that threads were sent for; how many there are from it on */
    counts counts;
    double waited;
    slot *slot;
    uint8_t *rooms;
    pthread_t *thread;
    int running;

    pthread_mutex_t mutex;         /* guards all that follows, and which slots are whose */
    pthread_cond_t room, ready;
    bool ending;
    uint64_t taken, used;          /* numbers of items from `base` on: by the threads, by the caller */
};

static uint64_t square_of(int size) { return (uint64_t)size * (uint64_t)size * 3; }
static uint64_t square(const mien_iterator *it) { return square_of(it->o.size); }
static uint64_t place_of(const mien_iterator *it, uint64_t number) { return it->base + number * (uint64_t)it->o.ranks; }

/* Item i of an epoch that is not shuffled. */
static uint64_t chosen_line(const mien_iterator *it, uint64_t i) { return it->chosen ? it->chosen[i] : i; }

static uint64_t line_at(const mien_iterator *it, uint64_t place) {
    uint64_t epoch = place / it->n, i = place % it->n;
    if (!it->o.in_order) {
        order o = order_of(it->n, it->o.seed, epoch);
        i = order_at(&o, i);
    }
    return chosen_line(it, i);
}

/* ---- the threads --------------------------------------------------------------------------------------------------- */

static int read_item(const mien_iterator *it, slot *s) {
    s->fault = SAMPLE_BROKEN;
    return dataset_read(it->data, s->line, &s->item);
}

/* Lists have been asked already, but for what the photo's hash says. */
static int choose(const mien_iterator *it, slot *s) {
    if (it->chosen && !choice_needs_photo(it->choice)) return 0;
    uint8_t *photo = NULL;
    size_t size = 0;
    s->fault = SAMPLE_MISSING;
    int rc = choice_needs_photo(it->choice) ? dataset_load(it->data, &s->item, DATASET_TARGET, &photo, &size) : 0;
    if (rc < 0) return rc;
    rc = choice_asks(it->choice, &s->item, photo, size);
    free(photo);
    if (rc <= SELECTED) return rc;
    s->fault = NOT_SELECTED;
    return error_set(ERR_USAGE, "%s: %s", s->item.id, selection_word((selection_answer)rc));
}

/* The usual form: the map's square, then the photo's. */
static int make_pictures(void *context, const dataset *d, const dataset_item *item, uint64_t place, void *room, sample_fault *fault) {
    const sample_settings *settings = context;
    (void)place;
    return sample_load(d, item, settings, room, (uint8_t *)room + square_of(settings->size), fault);
}

static int make(const mien_iterator *it, uint64_t place, slot *s) {
    sample_fault fault = SAMPLE_BROKEN;
    int rc = it->maker.make(it->maker.context, it->data, &s->item, place, s->room, &fault);
    s->fault = (int)fault;
    return rc;
}

static void make_ready(const mien_iterator *it, uint64_t number, slot *s) {
    uint64_t place = place_of(it, number);
    s->line = line_at(it, place);
    s->rc = read_item(it, s);
    if (s->rc == 0) s->rc = choose(it, s);
    if (s->rc == 0) s->rc = make(it, place, s);
    snprintf(s->why, sizeof s->why, "%s", s->rc < 0 ? error_message() : "");
}

static void *work_ahead(void *context) {
    mien_iterator *it = context;
    uint64_t slots = (uint64_t)it->o.ahead;
    pthread_mutex_lock(&it->mutex);
    for (;;) {
        while (!it->ending && (it->taken - it->used >= slots || it->taken >= it->limit)) pthread_cond_wait(&it->room, &it->mutex);
        if (it->ending) break;
        uint64_t number = it->taken++;
        slot *s = &it->slot[number % slots];
        pthread_mutex_unlock(&it->mutex);
        make_ready(it, number, s);
        pthread_mutex_lock(&it->mutex);
        s->ready = true;
        pthread_cond_signal(&it->ready);
    }
    pthread_mutex_unlock(&it->mutex);
    return NULL;
}

static int start_threads(mien_iterator *it) {
    int refused = 0;
    while (it->running < it->o.threads && !refused) {
        refused = workers_start_thread(&it->thread[it->running], work_ahead, it);
        if (!refused) it->running++;
    }
    return it->running ? 0 : error_set(ERR_MEMORY, "no thread could be started: %s", strerror(refused));
}

static void stop_threads(mien_iterator *it) {
    pthread_mutex_lock(&it->mutex);
    it->ending = true;
    pthread_cond_broadcast(&it->room);
    pthread_mutex_unlock(&it->mutex);
    while (it->running) pthread_join(it->thread[--it->running], NULL);
    it->ending = false;
}

/* ---- the caller ---------------------------------------------------------------------------------------------------- */

/* From this place on; the threads start when an item is asked for. */
static void go_to(mien_iterator *it, uint64_t place) {
    stop_threads(it);
    for (int i = 0; i < it->o.ahead; i++) {
        dataset_item_free(&it->slot[i].item);
        it->slot[i].ready = false;
    }
    uint64_t end = UINT64_MAX, ranks = (uint64_t)it->o.ranks;
    if (it->o.epochs) end = it->n * it->o.epochs;   /* fits: iterator_open looked */
    it->base = place;
    it->limit = place >= end ? 0 : (end - place - 1) / ranks + 1;
    it->taken = it->used = 0;
}

/* The next slot, when it is ready. */
static int wait_for(mien_iterator *it, slot **out) {
    slot *s = &it->slot[it->used % (uint64_t)it->o.ahead];
    double begin = clock_seconds();
    pthread_mutex_lock(&it->mutex);
    while (!s->ready && !stop_asked(it->o.hooks.stop)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100 * 1000 * 1000;
        if (until.tv_nsec >= 1000 * 1000 * 1000) until.tv_nsec -= 1000 * 1000 * 1000, until.tv_sec++;
        pthread_cond_timedwait(&it->ready, &it->mutex, &until);
    }
    pthread_mutex_unlock(&it->mutex);
    it->waited += clock_seconds() - begin;
    *out = s;
    return stop_asked(it->o.hooks.stop) ? error_set(ERR_CANCELLED, "stopped") : 0;
}

static void give_back(mien_iterator *it, slot *s) {
    dataset_item_free(&s->item);
    pthread_mutex_lock(&it->mutex);
    s->ready = false;
    it->used++;
    pthread_cond_signal(&it->room);
    pthread_mutex_unlock(&it->mutex);
}

static int give_names(mien_item *out, uint64_t line, uint64_t epoch, const dataset_item *item) {
    *out = (mien_item){ .line = line, .epoch = epoch, .id = strdup(item->id), .prompt = strdup(sample_prompt(item)) };
    if (out->id && out->prompt) return 0;
    mien_item_free(out);
    return error_memory(strlen(item->id) + strlen(item->prompt));
}

/* Where n items go: as numbers, or as they were made. */
typedef struct { float *hint, *target; uint8_t *rooms; } places;

static void unpack(const mien_iterator *it, const uint8_t *room, const places *to, size_t i) {
    size_t at = i * square(it);
    if (to->rooms) {
        memcpy(to->rooms + i * it->maker.bytes, room, it->maker.bytes);
        return;
    }
    sample_hint(room, square(it), to->hint + at);
    sample_photo(room + square(it), square(it), to->target + at);
}

static int deliver(mien_iterator *it, const slot *s, const places *to, int i, mien_item *out) {
    int rc = give_names(out, s->line, place_of(it, it->used) / it->n, &s->item);
    if (rc < 0) return rc;
    unpack(it, s->room, to, (size_t)i);
    it->counts.done++;
    it->counts.fruitless = 0;
    return 0;
}

static int leave_out(mien_iterator *it, const slot *s) {
    if (s->rc == ERR_MEMORY) return error_set(s->rc, "%s", s->why);   /* says nothing about the item */
    it->counts.fault[s->fault]++;
    uint64_t place = place_of(it, it->used);
    if (place < it->log_until && s->fault != NOT_SELECTED && it->o.hooks.log) it->o.hooks.log(it->o.hooks.context, MIEN_LOG_ITEM_FAILED, NULL, s->why);
    if (++it->counts.fruitless / 2 < it->n) return 0;   /* in shuffled epochs, this many in a row are at least one whole epoch */
    return error_set(ERR_FORMAT, "%s: there seems to be no item that can be used; the last one: %s", it->o.data, s->why);
}

static int fill(mien_iterator *it, int n, const places *to, mien_item *items, int *filled) {
    int rc = it->running ? 0 : start_threads(it);
    while (rc == 0 && *filled < n && it->used < it->limit) {
        slot *s;
        rc = wait_for(it, &s);
        if (rc < 0) break;
        if (s->rc < 0) rc = leave_out(it, s);
        else rc = deliver(it, s, to, *filled, &items[*filled]);
        if (rc < 0) break;
        if (s->rc == 0) ++*filled;
        give_back(it, s);
    }
    return rc;
}

static int next(mien_iterator *it, int n, const places *to, mien_item *items) {
    counts before = it->counts;
    uint64_t begin = place_of(it, it->used);
    int filled = 0, rc = fill(it, n, to, items, &filled);
    if (rc == 0) return filled;
    while (filled) mien_item_free(&items[--filled]);
    go_to(it, begin);
    it->counts = before;
    return rc;
}

int iterator_next(mien_iterator *it, int n, float *hint, float *target, mien_item *items) { return next(it, n, &(places){ .hint = hint, .target = target }, items); }
int iterator_next_made(mien_iterator *it, int n, void *rooms, mien_item *items) { return next(it, n, &(places){ .rooms = rooms }, items); }

void mien_item_free(mien_item *item) {
    if (!item) return;
    free(item->id);
    free(item->prompt);
    *item = (mien_item){ 0 };
}

static int sample_line(const mien_iterator *it, uint64_t line, bool any, void *room, mien_item *out) {
    slot s = { .line = line, .room = room };
    int rc = read_item(it, &s);
    if (rc == 0 && !any) rc = choose(it, &s);
    if (rc == 0) rc = make(it, ITERATOR_NO_PLACE, &s);
    if (rc == 0) rc = give_names(out, line, 0, &s.item);
    dataset_item_free(&s.item);
    return rc;
}

int iterator_sample_made(const mien_iterator *it, uint64_t line, void *room, mien_item *out) { return sample_line(it, line, true, room, out); }
int iterator_sample_chosen(const mien_iterator *it, uint64_t i, void *room, mien_item *out) { return sample_line(it, chosen_line(it, i), false, room, out); }

int iterator_sample(const mien_iterator *it, uint64_t line, float *hint, float *target, mien_item *out) {
    uint8_t *room = malloc(it->maker.bytes);
    if (!room) return error_memory(it->maker.bytes);
    int rc = sample_line(it, line, true, room, out);
    if (rc == 0) unpack(it, room, &(places){ .hint = hint, .target = target }, 0);
    free(room);
    return rc;
}

uint64_t iterator_lines(const mien_iterator *it) { return dataset_count(it->data); }
uint64_t iterator_count(const mien_iterator *it) { return it->n; }

void iterator_progress(const mien_iterator *it, mien_progress *out) {
    const uint64_t *fault = it->counts.fault;
    uint64_t all = it->n * it->o.epochs, rank = (uint64_t)it->o.rank, ranks = (uint64_t)it->o.ranks;
    *out = (mien_progress){ .total = all > rank ? (all - rank - 1) / ranks + 1 : 0, .done = it->counts.done, .seconds = it->waited, .n_counts = FAULTS,
                            .count = { { "missing", fault[SAMPLE_MISSING] }, { "broken", fault[SAMPLE_BROKEN] }, { "mismatched", fault[SAMPLE_MISMATCHED] },
                                       { "not_selected", fault[NOT_SELECTED] } } };
    for (int i = 0; i < NOT_SELECTED; i++) out->failed += fault[i];
}

/* ---- positions ----------------------------------------------------------------------------------------------------- */

mien_position iterator_position(const mien_iterator *it) {
    uint64_t place = place_of(it, it->used);
    return (mien_position){ .seed = it->o.seed, .epoch = place / it->n, .index = place % it->n, .data = it->fingerprint };
}

int iterator_restore(mien_iterator *it, const mien_position *p) {
    uint64_t place, ranks = (uint64_t)it->o.ranks, rank = (uint64_t)it->o.rank;
    if (p->data && p->data != it->fingerprint)
        return error_set(ERR_USAGE, "%s: the data or lists are not those that the position was taken in", it->o.data);
    if (p->index >= it->n || __builtin_mul_overflow(p->epoch, it->n, &place) || __builtin_add_overflow(place, p->index, &place) || place > UINT64_MAX - ranks)
        return error_set(ERR_USAGE, "%s: there is no item %llu of epoch %llu", it->o.data, (unsigned long long)p->index, (unsigned long long)p->epoch);
    go_to(it, place + (rank + ranks - place % ranks) % ranks);   /* taken in by another number of ranks: our first one from there on */
    it->o.seed = p->seed;
    it->log_until = it->base > UINT64_MAX - it->n ? UINT64_MAX : it->base + it->n;
    it->counts.fruitless = 0;
    return 0;
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

static int open_slots(mien_iterator *it) {
    size_t slots = (size_t)it->o.ahead, bytes;
    if (__builtin_mul_overflow(slots, it->maker.bytes, &bytes)) return error_memory(SIZE_MAX);
    it->slot = calloc(slots, sizeof *it->slot);
    it->rooms = malloc(bytes);
    it->thread = calloc((size_t)it->o.threads, sizeof *it->thread);
    if (!it->slot || !it->rooms || !it->thread) return error_memory(bytes);
    for (size_t i = 0; i < slots; i++) it->slot[i].room = it->rooms + i * it->maker.bytes;
    return 0;
}

static int open_choice(mien_iterator *it) {
    int rc = choice_open(it->data, it->o.only, it->o.exclude, it->o.hooks.stop, &it->choice);
    if (rc < 0 || !(it->o.only || it->o.exclude)) return rc;
    rc = choice_items(it->choice, it->data, it->o.hooks.stop, &it->chosen, &it->n);
    for (uint64_t i = 0; rc == 0 && i < it->n; i++) {
        it->fingerprint = (it->fingerprint ^ it->chosen[i]) * 0x9e3779b97f4a7c15u;
        it->fingerprint ^= it->fingerprint >> 29;
    }
    return rc;
}

static int open_data(mien_iterator *it) {
    uint64_t all;
    int rc = dataset_open_told(it->o.data, &it->o.hooks, &it->data);
    if (rc < 0) return rc;
    it->o.data = dataset_path(it->data);
    it->n = dataset_count(it->data);
    it->fingerprint = dataset_fingerprint(it->data);
    rc = open_choice(it);
    if (rc < 0) return rc;
    if (!it->n) return error_set(ERR_USAGE, "%s: there is nothing in the data set%s", it->o.data, dataset_count(it->data) ? " that is selected" : "");
    if (__builtin_mul_overflow(it->n, it->o.epochs, &all)) return error_set(ERR_USAGE, "%llu epochs: too many", (unsigned long long)it->o.epochs);
    return 0;
}

int iterator_open(const mien_iterate_options *options, mien_iterator **out) { return iterator_open_made(options, NULL, out); }

int iterator_open_made(const mien_iterate_options *options, const iterator_maker *maker, mien_iterator **out) {
    mien_iterator *it = calloc(1, sizeof *it);
    if (!it) return error_memory(sizeof *it);
    it->o = *options;
    it->settings = (sample_settings){ options->size, options->stretch, options->max_pixels, cpu_level_here() };
    it->maker = maker ? *maker : (iterator_maker){ 2 * square(it), make_pictures, &it->settings };
    pthread_mutex_init(&it->mutex, NULL);
    pthread_cond_init(&it->room, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&it->ready, &clock);
    pthread_condattr_destroy(&clock);
    int rc = open_data(it);
    if (rc == 0) rc = open_slots(it);
    if (rc < 0) {
        iterator_close(it);
        return rc;
    }
    go_to(it, (uint64_t)options->rank);
    it->log_until = it->n;
    *out = it;
    return 0;
}

void iterator_close(mien_iterator *it) {
    if (!it) return;
    if (it->running) stop_threads(it);
    for (int i = 0; it->slot && i < it->o.ahead; i++) dataset_item_free(&it->slot[i].item);
    pthread_cond_destroy(&it->ready);
    pthread_cond_destroy(&it->room);
    pthread_mutex_destroy(&it->mutex);
    choice_close(it->choice);
    dataset_close(it->data);
    free(it->chosen);
    free(it->slot);
    free(it->rooms);
    free(it->thread);
    free(it);
}
