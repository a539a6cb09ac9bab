/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static int by_size(const void *a, const void *b) {
    const place_item *x = *(place_item *const *)a, *y = *(place_item *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : 1;   /* a total order: the same plan in every run */
}

static size_t room_of(const place_item *item) { return (item->bytes + 63) & ~(size_t)63; }

/* The lowest gap that is wide enough among those alive with it; placed: in order of their offsets. */
static size_t lowest_gap(const place_item *item, place_item *const *placed, size_t n) {
    size_t at = 0;
    for (size_t k = 0; k < n; k++) {
        const place_item *other = placed[k];
        if (other->first > item->last || other->last < item->first) continue;
        if (other->offset >= at + room_of(item)) break;
        size_t end = other->offset + room_of(other);
        if (end > at) at = end;
    }
    return at;
}

/* Where in the list an offset belongs, behind its equals. */
static size_t rank_of(size_t offset, place_item *const *placed, size_t n) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (placed[middle]->offset <= offset) low = middle + 1;
        else high = middle;
    }
    return low;
}

int place(place_item *items, size_t n, size_t *total) {
    place_item **order = calloc(2 * n + 1, sizeof(place_item *));
    if (!order) return error_memory(2 * n * sizeof(place_item *));
    place_item **placed = order + n;
    for (size_t i = 0; i < n; i++) order[i] = &items[i];
    qsort(order, n, sizeof *order, by_size);
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        place_item *item = order[i];
        item->offset = lowest_gap(item, placed, i);
        size_t at = rank_of(item->offset, placed, i);
        memmove(placed + at + 1, placed + at, (i - at) * sizeof *placed);
        placed[at] = item;
        if (item->offset + room_of(item) > *total) *total = item->offset + room_of(item);
    }
    free(order);
    return 0;
}
