/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the tar shards: shards.c keeps the index and reads, shards_remove.c writes them anew. Nobody else includes this. */
#ifndef DATA_SHARDS_INSIDE_H
#define DATA_SHARDS_INSIDE_H

#include <limits.h>
#include <sys/stat.h>

#include "base/archive.h"
#include "base/name_set.h"
#include "data/shard_name.h"

typedef struct {
    char *name;
    struct stat as_it_was;
    uint64_t first;                /* its first item */
} shard_file;

struct shards {
    tar_library *library;
    char folder[PATH_MAX];
    shard_file *files;
    size_t n_files;
    uint64_t *items, count, room;  /* file << 40 | place of the first header / 512 */
    name_set ids;                  /* place: the item's number * 16 */
    uint64_t left_out, fingerprint;
};

static inline size_t shards_file_of(const shards *s, uint64_t i) { return (size_t)(s->items[i] >> 40); }
/* Opens a shard for reading; ERR_IO if it isn't the one that was looked through. *path is filled in any case. */
int  shards_open_file(const shards *s, size_t file, char path[PATH_MAX]);

#endif
