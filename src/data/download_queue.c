/* SPDX-License-Identifier: Apache-2.0
 *
 * What waits to be fetched. The items' records lie in an unlinked file; an item that waits for its host costs 8 bytes of memory. Items
 * are looked at one after the other, and further ahead only while nothing can be started: so a list in which a slow host
 * comes in one long row keeps nobody waiting, and one of many hosts needs no memory. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/part.h"
#include "data/download_inside.h"

enum { STEP = 16, HOSTS_KEPT = 4096 };

typedef struct {
    uint16_t id_size, url_size, now_size;      /* with their terminators; now_size 0: it is the url */
    uint8_t attempt, hops, has_sha256, there, before, unused;
    uint32_t origin;
    int32_t width, height;
    uint8_t sha256[32];
} record;                                      /* followed by the strings */

/* ---- records ----------------------------------------------------------------------------------------------------------- */

static int append_record(download_queue *q, const download_item *i, uint32_t origin, uint32_t *place) {
    char buffer[sizeof(record) + ID_MOST + 2 * URL_MOST + 3];
    bool moved = i->now && i->now != i->url;
    record r = {
        .id_size = (uint16_t)(strlen(i->id) + 1), .url_size = (uint16_t)(strlen(i->url) + 1), .now_size = (uint16_t)(moved ? strlen(i->now) + 1 : 0),
        .attempt = i->attempt, .hops = i->hops, .has_sha256 = i->has_sha256, .there = i->there, .before = i->before, .width = i->width, .height = i->height,
    };
    int rc = spool_align(q->spool, STEP);
    uint64_t at = spool_size(q->spool) / STEP;
    if (rc < 0) return rc;
    if (at >= NO_PLACE) return error_set(ERR_LIMIT, "too many photos: their list would be larger than 64 GB");
    r.origin = origin == NO_PLACE ? (uint32_t)at : origin;
    memcpy(r.sha256, i->want_sha256, sizeof r.sha256);
    char *p = buffer;
    memcpy(p, &r, sizeof r);
    p += sizeof r;
    memcpy(p, i->id, r.id_size);
    p += r.id_size;
    memcpy(p, i->url, r.url_size);
    p += r.url_size;
    if (moved) memcpy(p, i->now, r.now_size);
    p += r.now_size;
    *place = (uint32_t)at;
    return spool_append(q->spool, buffer, (size_t)(p - buffer), NULL);
}

int download_queue_load(download_queue *q, uint32_t place, download_item *i) {
    record r;
    int rc = spool_read(q->spool, (uint64_t)place * STEP, &r, sizeof r);
    if (rc < 0) return rc;
    size_t size = (size_t)r.id_size + r.url_size + r.now_size;
    char *strings = malloc(size);
    if (!strings) return error_memory(size);
    rc = spool_read(q->spool, (uint64_t)place * STEP + sizeof r, strings, size);
    char *url = rc == 0 ? strdup(strings + r.id_size) : NULL, *now = rc == 0 && r.now_size ? strdup(strings + r.id_size + r.url_size) : NULL;
    if (rc == 0 && (!url || (r.now_size && !now))) rc = error_memory(size);
    if (rc < 0) {
        free(url);
        free(now);
        free(strings);
        return rc;
    }
    memcpy(i->id, strings, r.id_size);
    free(strings);
    i->place = place;
    i->origin = r.origin;
    i->url = url;
    i->now = now ? now : url;
    i->width = r.width;
    i->height = r.height;
    i->has_sha256 = r.has_sha256;
    i->there = r.there;
    i->attempt = r.attempt;
    i->hops = r.hops;
    i->before = r.before;
    memcpy(i->want_sha256, r.sha256, sizeof r.sha256);
    return 0;
}

int download_queue_enter(download_queue *q, const download_item *i) {
    uint32_t place;
    int rc = append_record(q, i, NO_PLACE, &place);
    if (rc < 0) return rc;
    q->end = spool_size(q->spool);
    q->items++;
    return 0;
}

int download_queue_entered(download_queue *q) { return spool_flush(q->spool); }

int download_queue_next(download_queue *q, download_item *i) {
    q->at = (q->at + STEP - 1) / STEP * STEP;
    if (q->at >= q->end) return 0;
    int rc = download_queue_load(q, (uint32_t)(q->at / STEP), i);
    if (rc < 0) return rc;
    q->at += sizeof(record) + strlen(i->id) + 1 + strlen(i->url) + 1;   /* those of the list have led nowhere yet */
    return 1;
}

/* ---- hosts ------------------------------------------------------------------------------------------------------------- */

static size_t bucket_of(const download_queue *q, const char *name, int port) { return (size_t)(part_hash(name) + (uint64_t)port) & (q->buckets - 1); }

static bool is_idle(const host *h, double now) { return h->first == NO_PLACE && !h->active && !h->ready && !h->timed && h->robots != ROBOTS_ASKED && h->next <= now; }

static void free_host(host *h) {
    free(h->robots_text);
    free(h);
}

/* Hosts that nothing is left to do for are forgotten once there are many. */
static void forget_hosts(download_queue *q, double now) {
    for (size_t b = 0; b < q->buckets; b++)
        for (host **at = &q->bucket[b]; *at;) {
            host *h = *at;
            if (!is_idle(h, now)) {
                at = &h->next_same;
                continue;
            }
            *at = h->next_same;
            q->hosts--;
            free_host(h);
        }
}

static int grow_buckets(download_queue *q) {
    size_t n = q->buckets ? q->buckets * 2 : 1024;
    host **bucket = calloc(n, sizeof *bucket), **old = q->bucket;
    if (!bucket) return error_memory(n * sizeof *bucket);
    size_t was = q->buckets;
    q->bucket = bucket;
    q->buckets = n;
    for (size_t b = 0; b < was; b++)
        for (host *h = old[b], *next; h; h = next) {
            next = h->next_same;
            host **to = &bucket[bucket_of(q, h->name, h->port)];
            h->next_same = *to;
            *to = h;
        }
    free(old);
    return 0;
}

static int find_host(download_queue *q, const http_url *url, host **out) {
    if (q->hosts >= q->buckets) {
        if (q->hosts >= HOSTS_KEPT) forget_hosts(q, clock_seconds());
        int rc = q->hosts >= q->buckets / 2 ? grow_buckets(q) : 0;
        if (rc < 0) return rc;
    }
    size_t b = bucket_of(q, url->host, url->port), n = strlen(url->host) + 1;
    for (host *h = q->bucket[b]; h; h = h->next_same)
        if (h->port == url->port && h->tls == url->tls && strcmp(h->name, url->host) == 0) return *out = h, 0;
    host *h = calloc(1, sizeof *h + n);
    if (!h) return error_memory(sizeof *h + n);
    memcpy(h->name, url->host, n);
    h->port = url->port;
    h->tls = url->tls;
    h->first = h->last = NO_PLACE;
    h->next_same = q->bucket[b];
    q->bucket[b] = h;
    q->hosts++;
    *out = h;
    return 0;
}

/* ---- times ------------------------------------------------------------------------------------------------------------- */

static int heap_push(download_queue *q, timed t) {
    if (q->heap_used == q->heap_room) {
        size_t room = q->heap_room ? q->heap_room * 2 : 256;
        timed *heap = realloc(q->heap, room * sizeof *heap);
        if (!heap) return error_memory(room * sizeof *heap);
        q->heap = heap;
        q->heap_room = room;
    }
    size_t i = q->heap_used++;
    for (; i && q->heap[(i - 1) / 2].due > t.due; i = (i - 1) / 2) q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = t;
    return 0;
}

static timed heap_pop(download_queue *q) {
    timed top = q->heap[0], last = q->heap[--q->heap_used];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < q->heap_used; i = child) {
        if (child + 1 < q->heap_used && q->heap[child + 1].due < q->heap[child].due) child++;
        if (q->heap[child].due >= last.due) break;
        q->heap[i] = q->heap[child];
    }
    if (q->heap_used) q->heap[i] = last;
    return top;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------------- */

static bool may_begin(const download_queue *q, const host *h) {
    return h->first != NO_PLACE && h->robots != ROBOTS_ASKED && (!q->host_connections || h->active < q->host_connections);
}

int download_queue_look(download_queue *q, host *h, double now) {
    if (h->ready || h->timed || !may_begin(q, h)) return 0;
    if (h->next > now) {
        h->timed = true;
        return heap_push(q, (timed){ h->next, NO_PLACE, h });
    }
    h->ready = true;
    h->next_ready = NULL;
    if (q->ready_last) q->ready_last->next_ready = h;
    else q->ready = h;
    q->ready_last = h;
    return 0;
}

static int new_entry(download_queue *q, uint32_t *out) {
    if (q->unused != NO_PLACE) {
        *out = q->unused;
        q->unused = q->entry[q->unused].next;
        return 0;
    }
    if (q->entries == q->entry_room) {
        uint64_t room = q->entry_room ? (uint64_t)q->entry_room + q->entry_room / 2 : 4096;
        void *entry = room < NO_PLACE ? realloc(q->entry, (size_t)room * sizeof *q->entry) : NULL;
        if (!entry) return error_memory(room * sizeof *q->entry);
        q->entry = entry;
        q->entry_room = (uint32_t)room;
    }
    *out = q->entries++;
    return 0;
}

static int wait_at(download_queue *q, const char *url, uint32_t place, bool front) {
    http_url parts;
    host *h = NULL;
    uint32_t e = 0;
    if (!http_url_read(url, &parts)) return error_set(ERR_USAGE, "no http or https URL");
    int rc = find_host(q, &parts, &h);
    if (rc == 0) rc = new_entry(q, &e);
    if (rc < 0) return rc;
    q->entry[e].place = place;
    q->entry[e].next = front ? h->first : NO_PLACE;
    if (h->first == NO_PLACE) h->first = h->last = e;
    else if (front) h->first = e;
    else q->entry[h->last].next = e, h->last = e;
    q->waiting++;
    return download_queue_look(q, h, clock_seconds());
}

int download_queue_wait(download_queue *q, const download_item *i, bool front) { return wait_at(q, i->now, i->place, front); }

int download_queue_anew(download_queue *q, const download_item *i) { return wait_at(q, i->url, i->origin, true); }

uint32_t download_queue_take(download_queue *q, host *h) {
    uint32_t e = h->first, place = q->entry[e].place;
    h->first = q->entry[e].next;
    if (h->first == NO_PLACE) h->last = NO_PLACE;
    q->entry[e].next = q->unused;
    q->unused = e;
    q->waiting--;
    return place;
}

int download_queue_moved(download_queue *q, const download_item *i, const char *url) {
    download_item moved = *i;
    uint32_t place;
    uint64_t before = spool_size(q->spool);
    moved.now = (char *)url;
    moved.hops++;
    int rc = append_record(q, &moved, i->origin, &place);
    if (rc == 0) rc = spool_flush(q->spool);
    if (rc < 0) return spool_cut(q->spool, before), rc;
    return wait_at(q, url, place, true);
}

int download_queue_again(download_queue *q, const download_item *i, double due) {
    uint8_t attempt = (uint8_t)(i->attempt + 1);
    int rc = spool_change(q->spool, (uint64_t)i->origin * STEP + offsetof(record, attempt), &attempt, 1);
    if (rc == 0) rc = heap_push(q, (timed){ due, i->origin, NULL });
    if (rc == 0) q->tries++;
    return rc;
}

int download_queue_turn(download_queue *q, double now, double *look_again) {
    int rc = 0;
    while (rc == 0 && q->heap_used && q->heap[0].due <= now) {
        timed t = heap_pop(q);
        if (t.host) {
            t.host->timed = false;
            rc = download_queue_look(q, t.host, now);
            continue;
        }
        download_item i = { 0 };
        q->tries--;
        rc = download_queue_load(q, t.place, &i);
        if (rc == 0) rc = download_queue_wait(q, &i, true);
        download_item_forget(&i);
    }
    if (q->heap_used && q->heap[0].due < *look_again) *look_again = q->heap[0].due;
    return rc;
}

int download_queue_ready(download_queue *q, double now, host **out) {
    int rc = 0;
    *out = NULL;
    while (rc == 0 && !*out && q->ready) {
        host *h = q->ready;
        q->ready = h->next_ready;
        if (!q->ready) q->ready_last = NULL;
        h->ready = false;
        if (may_begin(q, h) && h->next <= now) *out = h;
        else rc = download_queue_look(q, h, now);   /* paused since */
    }
    return rc;
}

int download_queue_begun(download_queue *q, host *h, double now) {
    h->active++;
    if (h->next < now) h->next = now;
    h->next += q->host_interval;
    return download_queue_look(q, h, now);
}

int download_queue_ended(download_queue *q, host *h, double now) {
    h->active--;
    return download_queue_look(q, h, now);
}

void download_queue_pause(host *h, double until) {
    if (h->next < until) h->next = until;
}

int download_queue_new(const download_options *o, const char *folder, download_queue *q) {
    *q = (download_queue){ .unused = NO_PLACE, .host_connections = o->host_connections, .host_interval = o->host_rate > 0 ? 1 / o->host_rate : 0 };
    return spool_new(folder, &q->spool);
}

void download_queue_free(download_queue *q) {
    for (size_t b = 0; b < q->buckets; b++)
        for (host *h = q->bucket[b], *next; h; h = next) {
            next = h->next_same;
            free_host(h);
        }
    free(q->bucket);
    free(q->entry);
    free(q->heap);
    spool_free(q->spool);
    *q = (download_queue){ 0 };
}
