/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pictures are there twice: the same bytes, or nearly the same look (data/picture_hash.h). Memory does not grow with
 * their number, but for a bit each, and 16 bytes for each of those that share a quarter of their hash. */
#ifndef DATA_DUPLICATES_H
#define DATA_DUPLICATES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct duplicates duplicates;

/* `folder` is where unlinked files lie (base/sorter.h). */
int  duplicates_new(const char *folder, duplicates **out);
void duplicates_free(duplicates *d);

/* A picture, in any order; each number once. hash NULL: it is too plain to have a look. */
int  duplicates_add(duplicates *d, uint64_t number, const uint8_t sha256[32], const uint64_t *hash);

typedef enum { DUPLICATE_SAME, DUPLICATE_NEAR } duplicate_kind;
/* Below 0 ends the search. */
typedef int duplicate_found(void *context, uint64_t number, uint64_t earlier, duplicate_kind kind);

/* Ends adding. Goes through the pictures by number, all below `end`, and keeps each that is not like one it has kept: what it doesn't
 * keep is told, in order, with an earlier one that it is like. Near is whatever is at most PICTURE_HASH_NEAR bits apart.
 * What is kept has no duplicates among itself. */
int  duplicates_find(duplicates *d, uint64_t end, duplicate_found *found, void *context);

#endif
