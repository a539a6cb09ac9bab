/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of names that are kept elsewhere: for each a few bits of its hash and the place where the name can be read, 8
 * bytes in all. */
#ifndef BASE_NAME_SET_H
#define BASE_NAME_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { uint64_t *slots; size_t room, used; } name_set;   /* zeroed is empty */

/* True if the place holds the name that is looked for. */
typedef bool name_set_same(void *context, uint64_t place);

/* Adds a name unless it is there already: *found is its place, or that of the one there. Places are multiples of 16
 * below 64 GB. ERR_MEMORY, ERR_LIMIT. */
int  name_set_add(name_set *s, uint64_t hash, uint64_t place, name_set_same *same, void *context, uint64_t *found);
bool name_set_find(const name_set *s, uint64_t hash, name_set_same *same, void *context, uint64_t *found);
void name_set_free(name_set *s);

#endif
