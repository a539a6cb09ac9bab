/* SPDX-License-Identifier: Apache-2.0
 *
 * Zip files to write; tar files to write and to look through, by libarchive, which is opened when first needed. What is written depends
 * on names and bytes only: no times, no owners, the order as added. */
#ifndef BASE_ARCHIVE_H
#define BASE_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

/* zip: stored, since maps are compressed already; zip64 where it must be. libarchive isn't used for it: it keeps 112 bytes a member in memory, and its stored
 * members have no sizes in front, which readers of streams refuse. tar: ustar, pax for long names. */
typedef enum { ARCHIVE_ZIP, ARCHIVE_TAR } archive_kind;

typedef struct archive_writer archive_writer;
/* Writes <path> under a temporary name beside it until archive_finish renames it. */
int  archive_create(const char *path, archive_kind kind, archive_writer **out);
/* Names are UTF-8, at most 4096 bytes, and not looked at: the caller sees that they differ. After any error nothing but abandon helps. */
int  archive_add(archive_writer *a, const char *name, const void *data, size_t size);
/* Of a zip: a member whose size is not known yet. */
int  archive_begin(archive_writer *a, const char *name);
int  archive_write(archive_writer *a, const void *data, size_t size);
int  archive_end(archive_writer *a);
uint64_t archive_bytes(const archive_writer *a);       /* written so far; a tar's end adds 1024 */
int  archive_finish(archive_writer *a, int replace);   /* ERR_EXISTS unless replace; frees it in any case */
void archive_abandon(archive_writer *a);               /* nothing stays; NULL is fine */

/* The opened library, to look through tar files by any number of threads. ERR_UNSUPPORTED if it is not there. */
typedef struct tar_library tar_library;
int  tar_library_open(tar_library **out);
void tar_library_close(tar_library *l);                /* NULL is fine */

/* A member of a tar file, by place, so that it can be read again later: its header at `at` (an extended header's, if
 * there is one), its bytes at `offset`. Folders are no members. */
typedef struct {
    const char *name;          /* of hostile bytes, not empty; holds until the next */
    uint64_t at, offset, size;
    const char *wrong;         /* NULL, or why it must not be used: "is a link", "an absolute name", "reaches over the file's end" ... */
} tar_member;

/* Calls member for each member from a header's place on, until it returns other than 0. Returns that, 0 at the end (*end, which may be
 * NULL, is then where no more members are), or ERR_FORMAT ("NAME: byte B: ..."), ERR_IO. */
int tar_scan(const tar_library *l, int fd, const char *name, uint64_t from, int (*member)(void *context, const tar_member *m), void *context,
             uint64_t *end);

#endif
