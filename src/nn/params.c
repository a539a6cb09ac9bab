/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "nn/params.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22   /* Linux 5.14 */
#endif

typedef struct block {
    struct block *next;    /* in its bucket */
    const void *source;    /* tensor.data */
    nn_type type;
    nn_shape shape;        /* two views of the same bytes are two parameters */
    char *tag;
    void *data, *description;
} block;

/* Blocks lie in slabs that are mapped, since the system's fresh pages are zero already: huge ones, where it has them, for
 * packing a gigabyte would otherwise fault 250,000 times. A slab is as large as all before it, within these bounds; small ones, of the
 * face networks, take no huge pages that they would not fill. */
enum { BUCKETS = 1024, SLAB_LEAST = 1 << 20, SLAB_MOST = 64 << 20, PAGE = 2 << 20, HUGE_FROM = 4 * PAGE, LARGE = 1 << 20 };

typedef struct slab {
    struct slab *next;
    char *data;
    size_t bytes, used;
} slab;

struct params {
    block *bucket[BUCKETS];
    slab *slabs;
    size_t bytes;
    bool counting;
    params_packed *packed;
    void *context;
};

static void *map_slab(size_t bytes) {
    if (bytes < HUGE_FROM) {
        void *small = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return small == MAP_FAILED ? NULL : small;
    }
    char *all = mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return NULL;
    size_t before = (PAGE - (uintptr_t)all % PAGE) % PAGE;
    if (before) munmap(all, before);
    munmap(all + before + bytes, PAGE - before);
    madvise(all + before, bytes, MADV_HUGEPAGE);   /* a wish */
    return all + before;
}

static slab *new_slab(params *p, size_t least) {
    size_t bytes = p->bytes < SLAB_LEAST ? SLAB_LEAST : p->bytes > SLAB_MOST ? SLAB_MOST : p->bytes;
    bytes = bytes < least ? least : bytes;
    size_t page = bytes < HUGE_FROM ? (size_t)sysconf(_SC_PAGESIZE) : PAGE;   /* so that a huge page begins and ends a large slab */
    bytes = (bytes + page - 1) / page * page;
    slab *s = calloc(1, sizeof *s);
    if (s) *s = (slab){ p->slabs, map_slab(bytes), bytes, 0 };
    if (s && s->data) return p->slabs = s;
    free(s);
    return NULL;
}

/* Zeroed. bytes: a multiple of 64. */
static void *new_data(params *p, size_t bytes) {
    slab *s = p->slabs;
    if ((!s || s->bytes - s->used < bytes) && !(s = new_slab(p, bytes))) return NULL;
    s->used += bytes;
    return s->data + s->used - bytes;
}

params *params_new(void) {
    params *p = calloc(1, sizeof *p);
    if (!p) error_memory(sizeof *p);
    return p;
}

params *params_new_counting(void) {
    params *p = params_new();
    if (p) p->counting = true;
    return p;
}

bool params_counts(const params *p) { return p->counting; }

void params_on_packed(params *p, params_packed *packed, void *context) {
    p->packed = packed;
    p->context = context;
}

void params_free(params *p) {
    if (!p) return;
    for (int i = 0; i < BUCKETS; i++)
        for (block *b = p->bucket[i], *next; b; b = next) {
            next = b->next;
            free(b->tag);
            free(b->description);
            free(b);
        }
    for (slab *s = p->slabs, *next; s; s = next) {
        next = s->next;
        munmap(s->data, s->bytes);
        free(s);
    }
    free(p);
}

size_t params_bytes(const params *p) { return p->bytes; }

static size_t bucket_of(const void *source) {
    uint64_t h = (uint64_t)(uintptr_t)source * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 54) % BUCKETS;
}

/* The whole pages of a large parameter; their place in memory, or NULL. */
static void *pages_of(const tensor *t, size_t *bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)t->data / page * page, last = (uintptr_t)t->data + shape_elements(t->shape) * nn_type_bytes(t->type);
    *bytes = last - first;
    return t->data && *bytes >= LARGE ? (void *)first : NULL;
}

static bool is_packed(const params *p, const void *source) {
    for (const block *b = p->bucket[bucket_of(source)]; b; b = b->next)
        if (b->source == source) return true;
    return false;
}

void params_expect(const params *p, const tensor *t) {
    size_t bytes;
    void *pages = p->counting || is_packed(p, t->data) ? NULL : pages_of(t, &bytes);
    if (pages) madvise(pages, bytes, MADV_WILLNEED);
}

static bool is_of(const block *b, const tensor *t) { return b->source == t->data && b->type == t->type && shape_equal(b->shape, t->shape); }

const void *params_pack(params *p, const tensor *t, const char *tag, size_t bytes, params_packer *pack, const void *context) {
    block **head = &p->bucket[bucket_of(t->data)];
    for (block *b = *head; b; b = b->next)
        if (is_of(b, t) && strcmp(b->tag, tag) == 0) return b->data;
    if (bytes > (size_t)1 << 44) return error_memory(bytes), NULL;
    size_t room = (bytes + 127) & ~(size_t)63;   /* whole lines, and 64 readable bytes behind */
    block *b = calloc(1, sizeof *b);
    if (b) *b = (block){ *head, t->data, t->type, t->shape, strdup(tag), p->counting ? p : new_data(p, room), NULL };
    bool packed = false;
    if (!b || !b->tag || !b->data) error_memory(room);
    else {
        size_t pages_bytes;
        void *pages = p->counting ? NULL : pages_of(t, &pages_bytes);
        if (pages) madvise(pages, pages_bytes, MADV_POPULATE_READ);   /* in one go instead of thousands of faults; older systems refuse */
        packed = p->counting || pack(b->data, t, context) == 0;
    }
    if (!packed) {
        if (b && b->data && !p->counting) p->slabs->used -= room, memset(b->data, 0, room);   /* as it was */
        if (b) free(b->tag);
        free(b);
        return NULL;
    }
    *head = b;
    p->bytes += room;
    if (p->packed && !p->counting) p->packed(p->context, t->data, shape_elements(t->shape) * nn_type_bytes(t->type));
    return b->data;
}

int params_describe(params *p, const tensor *t, const void *packed, const void *description, size_t bytes) {
    for (block *b = p->bucket[bucket_of(t->data)]; b; b = b->next) {
        if (!is_of(b, t) || b->data != packed || b->description) continue;
        if (!(b->description = malloc(bytes))) return error_memory(bytes);
        memcpy(b->description, description, bytes);
        return 0;
    }
    return 0;
}

const void *params_described(const params *p, const tensor *t, const void **description) {
    for (const block *b = p->bucket[bucket_of(t->data)]; b; b = b->next)
        if (is_of(b, t) && b->description) return *description = b->description, b->data;
    return NULL;
}

static int pack_f32(void *dst, const tensor *t, const void *context) {
    (void)context;
    nn_widen(dst, t->data, t->type, shape_elements(t->shape));
    return 0;
}

const float *params_f32(params *p, const tensor *t) {
    return params_pack(p, t, "f32", shape_elements(t->shape) * sizeof(float), pack_f32, NULL);
}
