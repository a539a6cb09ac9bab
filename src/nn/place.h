/* SPDX-License-Identifier: Apache-2.0
 *
 * Placing blocks with known lifetimes in one piece of memory (offline dynamic storage allocation, greedy by size). */
#ifndef NN_PLACE_H
#define NN_PLACE_H

#include <stddef.h>

typedef struct {
    size_t bytes;
    int first, last;    /* steps, both included */
    size_t offset;      /* the answer: a multiple of 64 */
} place_item;

/* Sets every offset so that no two blocks alive in the same step overlap; *total is the memory needed. */
int place(place_item *items, size_t n, size_t *total);

#endif
