/* SPDX-License-Identifier: Apache-2.0
 *
 * One kept item as bytes: 64 of a header, then the numbers. The checksum goes over the item's whole name, too, so that
 * what lies under a wrong name, or was torn by a power failure, is not taken. */
#ifndef TRAIN_CACHE_ENTRY_H
#define TRAIN_CACHE_ENTRY_H

#include <stddef.h>
#include <stdint.h>

enum { CACHE_ENTRY_HEADER = 64 };
typedef enum { CACHE_ENTRY_F32 = 1, CACHE_ENTRY_F16 = 2 } cache_entry_type;

typedef struct {
    const char *name;          /* all that the numbers follow from */
    cache_entry_type type;
    size_t count;
} cache_entry;

size_t cache_entry_bytes(const cache_entry *e);                    /* of the numbers */
/* To out[CACHE_ENTRY_HEADER + cache_entry_bytes]. */
void cache_entry_write(const cache_entry *e, const void *numbers, uint8_t *out);
/* The numbers within data (of any alignment); ERR_FORMAT if this is another item, or no whole one. */
int  cache_entry_read(const cache_entry *e, const uint8_t *data, size_t size, const void **numbers);

#endif
