/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorts more records than memory holds: runs of `memory` bytes are sorted and put in an unlinked file, then merged. */
#ifndef BASE_SORTER_H
#define BASE_SORTER_H

#include <stddef.h>

typedef struct sorter sorter;

/* `folder` is where the unlinked file lies (base/spool.h). Records are a key and a value of at most 16 MB together. */
int  sorter_new(const char *folder, size_t memory, sorter **out);
int  sorter_add(sorter *s, const void *key, size_t key_size, const void *value, size_t value_size);

/* Ends adding. Records come in the order of their keys' bytes (memcmp, the shorter first), those of equal keys as they were
 * added. 1 with pointers that hold until the next call, 0 at the end, or ERR_*. */
int  sorter_next(sorter *s, const void **key, size_t *key_size, const void **value, size_t *value_size);
void sorter_free(sorter *s);

#endif
