/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/place.h"

#include <stdlib.h>

#include "base/error.h"

static int by_size(const void *a, const void *b) {
    const place_item *x = *(place_item *const *)a, *y = *(place_item *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : 1;   /* a total order: the same plan in every run */
}

static int by_offset(const void *a, const void *b) {
    const place_item *x = *(place_item *const *)a, *y = *(place_item *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int place(place_item *items, size_t n, size_t *total) {
    place_item **order = calloc(2 * n + 1, sizeof(place_item *));
    if (!order) return error_memory(2 * n * sizeof(place_item *));
    place_item **rivals = order + n;
    for (size_t i = 0; i < n; i++) order[i] = &items[i];
    qsort(order, n, sizeof *order, by_size);
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        place_item *item = order[i];
        size_t count = 0, at = 0, bytes = (item->bytes + 63) & ~(size_t)63;
        for (size_t k = 0; k < i; k++)
            if (order[k]->first <= item->last && order[k]->last >= item->first) rivals[count++] = order[k];
        qsort(rivals, count, sizeof *rivals, by_offset);
        for (size_t k = 0; k < count; k++) {   /* the lowest gap that is wide enough */
            if (rivals[k]->offset >= at + bytes) break;
            size_t end = rivals[k]->offset + ((rivals[k]->bytes + 63) & ~(size_t)63);
            if (end > at) at = end;
        }
        item->offset = at;
        if (at + bytes > *total) *total = at + bytes;
    }
    free(order);
    return 0;
}
