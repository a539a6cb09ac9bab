/* SPDX-License-Identifier: Apache-2.0
 *
 * Behind mien.h's iterator. The order goes over all lines (or all that a list selects) without a look at the pictures, and
 * over all epochs as one row of places: place p is item p % n of epoch p / n, and rank r of R has the places r, r + R, ...
 * So every position is one number, and what is left out changes nothing for anybody else. */
#ifndef DATA_ITERATE_H
#define DATA_ITERATE_H

#include "mien.h"

/* Complete options: size, ranks, threads, ahead and max_pixels are set. */
int  iterator_open(const mien_iterate_options *options, mien_iterator **out);
void iterator_close(mien_iterator *it);
uint64_t iterator_count(const mien_iterator *it);
int  iterator_next(mien_iterator *it, int n, float *hint, float *target, mien_item *items);
int  iterator_sample(const mien_iterator *it, uint64_t line, float *hint, float *target, mien_item *item);
mien_position iterator_position(const mien_iterator *it);
int  iterator_restore(mien_iterator *it, const mien_position *position);
void iterator_progress(const mien_iterator *it, mien_progress *out);

#endif
