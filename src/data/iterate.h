/* SPDX-License-Identifier: Apache-2.0
 *
 * Behind mien.h's iterator. The order goes over all lines (or all that a list selects) without a look at the pictures, and
 * over all epochs as one row of places: place p is item p % n of epoch p / n, and rank r of R has the places r, r + R, ...
 * So every position is one number, and what is left out changes nothing for anybody else. */
#ifndef DATA_ITERATE_H
#define DATA_ITERATE_H

#include "data/sample.h"
#include "mien.h"

/* Complete options: size, ranks, threads, ahead and max_pixels are set. */
int  iterator_open(const mien_iterate_options *options, mien_iterator **out);
void iterator_close(mien_iterator *it);
uint64_t iterator_count(const mien_iterator *it);
int  iterator_next(mien_iterator *it, int n, float *hint, float *target, mien_item *items);
int  iterator_sample(const mien_iterator *it, uint64_t line, float *hint, float *target, mien_item *item);
mien_position iterator_position(const mien_iterator *it);
int  iterator_restore(mien_iterator *it, const mien_position *position);

/* An item made ready in another form than as two pictures, by the iterator's threads: make fills `bytes` bytes (aligned to 16) of an item at a place of the order
 * (ITERATOR_NO_PLACE: asked for by its line); 0, or why the item is left out, with *fault set. What it calls is safe on any thread. */
#define ITERATOR_NO_PLACE UINT64_MAX
typedef struct {
    size_t bytes;                  /* a multiple of 16 */
    int (*make)(void *context, const dataset *d, const dataset_item *item, uint64_t place, void *room, sample_fault *fault);
    void *context;
} iterator_maker;
int  iterator_open_made(const mien_iterate_options *options, const iterator_maker *maker, mien_iterator **out);
/* As next and sample: rooms of n items, one behind the other. */
int  iterator_next_made(mien_iterator *it, int n, void *rooms, mien_item *items);
int  iterator_sample_made(const mien_iterator *it, uint64_t line, void *room, mien_item *item);
/* The same of item i (below iterator_count) of an epoch in the data's order, wherever the iterator is: ERR_* for one that next would leave out, by a list,
 * removed for good or of no use. (An iterator without a maker makes the map's square, then the photo's, as bytes.) */
int  iterator_sample_chosen(const mien_iterator *it, uint64_t i, void *room, mien_item *item);
uint64_t iterator_lines(const mien_iterator *it);      /* of the data set, selected or not */

void iterator_progress(const mien_iterator *it, mien_progress *out);

#endif
