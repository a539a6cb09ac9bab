/* SPDX-License-Identifier: Apache-2.0
 *
 * The two kinds of archives behind base/archive.h. */
#ifndef BASE_ARCHIVE_INSIDE_H
#define BASE_ARCHIVE_INSIDE_H

#include <stdbool.h>

#include "base/archive.h"
#include "base/file.h"

typedef struct zip_state zip_state;
typedef struct tar_state tar_state;

struct archive_writer {
    file_writer *file;
    uint64_t bytes;                /* written */
    zip_state *zip;                /* one of these */
    tar_state *tar;
};

/* Every byte of an archive comes this way. */
int  archive_put(archive_writer *a, const void *data, size_t size);

/* base/archive_zip.c: the members, and at the end their list */
int  zip_open(const char *path, archive_writer *a);      /* a->zip; path: for the folder of what is set aside */
int  zip_add(archive_writer *a, const char *name, const void *data, size_t size);
int  zip_begin(archive_writer *a, const char *name);
int  zip_write(archive_writer *a, const void *data, size_t size);
int  zip_end(archive_writer *a);
int  zip_finish(archive_writer *a);
void zip_free(zip_state *z);

#endif
