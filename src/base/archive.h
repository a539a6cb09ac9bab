/* SPDX-License-Identifier: Apache-2.0
 *
 * Zip and tar files, by libarchive (opened when first needed). What is written depends on names and bytes only: no times, no
 * owners, the order as added. */
#ifndef BASE_ARCHIVE_H
#define BASE_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

typedef enum { ARCHIVE_ZIP, ARCHIVE_TAR } archive_kind;   /* zip: stored, since maps are compressed already; tar: ustar, pax for long names */

typedef struct archive_writer archive_writer;
/* Writes <path> under a temporary name beside it until archive_finish renames it. */
int  archive_create(const char *path, archive_kind kind, archive_writer **out);
int  archive_add(archive_writer *a, const char *name, const void *data, size_t size);
int  archive_add_file(archive_writer *a, const char *name, const char *path);   /* streamed */
int  archive_finish(archive_writer *a, int replace);   /* ERR_EXISTS unless replace; frees it in any case */
void archive_abandon(archive_writer *a);               /* nothing stays; NULL is fine */

/* Members of a tar file, by place: so that they can be read in any order later. Links, devices and folders are left out; a
 * name that is absolute or has ".." is refused. */
typedef struct { const char *name; uint64_t offset, size; } archive_member;   /* the name holds until the next */
int  archive_scan_tar(const char *path, int (*member)(void *context, const archive_member *m), void *context);

#endif
