/* SPDX-License-Identifier: Apache-2.0
 *
 * metadata.json as it stands: what it says of an item is carried on with all its fields, known or not (data/list.h reads
 * those that mien knows). Entries whose key is an id that no file can have are left out. */
#ifndef DATA_METADATA_H
#define DATA_METADATA_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Calls entry for each entry, with the value's text, which is an object on one line. A file that isn't there has none. Ends early
 * with what entry returned other than 0. ERR_FORMAT where the file is broken. */
typedef int metadata_entry(void *context, const char *id, const char *object, size_t size);
int metadata_read(const char *path, metadata_entry *entry, void *context);

/* All of it, to look items up in; kept in an unlinked file in `folder`. Of two entries of one id the first counts. */
typedef struct metadata metadata;
int  metadata_open(const char *path, const char *folder, const volatile int *stop, metadata **out);
int  metadata_find(metadata *m, const char *id, text *out);   /* appends the object: 1, or 0, or ERR_* */
void metadata_close(metadata *m);                             /* NULL is fine */

/* A string field of such an object, its name in any case, appended; nothing if there is none. */
int metadata_field(const char *object, size_t size, const char *key, text *out);

#endif
