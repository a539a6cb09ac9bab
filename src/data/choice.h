/* SPDX-License-Identifier: Apache-2.0
 *
 * Which items of a data set --only and --exclude let in, and what was removed for good: data/selection.h, asked with all that is known of
 * an item (its URL is in metadata.json, or in its shard). */
#ifndef DATA_CHOICE_H
#define DATA_CHOICE_H

#include <stdbool.h>

#include "data/dataset.h"
#include "data/selection.h"

typedef struct choice choice;

/* Either list may be NULL, and stop. */
int  choice_open(const dataset *d, const char *only, const char *exclude, const volatile int *stop, choice **out);
void choice_close(choice *c);                  /* NULL is fine */
bool choice_takes_all(const choice *c);        /* nothing is left out */
bool choice_needs_photo(const choice *c);      /* some list has a hash */

/* A selection_answer or ERR_*. photo: the bytes of the item's target, or NULL (then none is unwanted that may be wanted by
 * its hash). Any thread. */
int  choice_asks(choice *c, const dataset_item *item, const uint8_t *photo, size_t size);

/* The numbers of all items that come into question, 8 bytes each; the caller frees them. A line that is no item does, unless only
 * some are asked for: whoever reads it reports it. */
int  choice_items(choice *c, const dataset *d, const volatile int *stop, uint64_t **item, uint64_t *n);

#endif
