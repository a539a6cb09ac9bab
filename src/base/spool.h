/* SPDX-License-Identifier: Apache-2.0
 *
 * An unlinked file that holds what would be too much for memory. It is gone when the process is, however it ends. */
#ifndef BASE_SPOOL_H
#define BASE_SPOOL_H

#include <stddef.h>
#include <stdint.h>

typedef struct spool spool;

/* Every function but the last: 0, or ERR_IO and the like with a message that names the folder. One thread at a time. */
int  spool_new(const char *folder, spool **out);
int  spool_append(spool *s, const void *data, size_t size, uint64_t *place);   /* place may be NULL */
int  spool_align(spool *s, size_t multiple);                                   /* pads with zeros; at most 64 */
int  spool_read(spool *s, uint64_t place, void *data, size_t size);
int  spool_change(spool *s, uint64_t place, const void *data, size_t size);    /* of what is there */
/* What was appended reaches the file: a full disk is told of here, not at some later call. */
int  spool_flush(spool *s);
/* Forgets what was appended beyond `size`, where all before was flushed: then, after a failure, the spool is as it was. */
void spool_cut(spool *s, uint64_t size);
uint64_t spool_size(const spool *s);
void spool_free(spool *s);

#endif
