/* SPDX-License-Identifier: Apache-2.0
 *
 * Files, whole or mapped. Every function that fails has named the file and the reason. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { const uint8_t *data; size_t size; } file_map;   /* read-only, private mapping */

/* Maps a regular file (size 0 gives data NULL). The caller closes it. A file that another process truncates while it is
 * mapped kills the reader by SIGBUS: map only what is ours to keep (models), read everything else. */
int  file_map_open(const char *path, file_map *out);
void file_map_close(file_map *map);

/* Reads a whole file of at most `limit` bytes into a buffer that the caller frees with free(). Directories, devices and
 * FIFOs are refused (ERR_IO), a larger file gives ERR_LIMIT. */
int file_load(const char *path, size_t limit, uint8_t **data, size_t *size);

/* The SHA-256 of a regular file, of any size. 1; 0 if it is not there; or ERR_*. */
int file_hash(const char *path, char hex[65]);
/* With a flag (base/stop.h; may be NULL) that is looked at meanwhile: ERR_CANCELLED. */
int file_hash_until(const char *path, const volatile int *stop, char hex[65]);

/* Writes a file so that a reader, or the next run after kill -9, sees either nothing (or what was there) or all of it:
 * temporary name in the same folder (".<name>.mien-tmp-<pid>-<n>"), rename. Nothing is synced: a power failure may leave
 * a file without bytes. */
int file_save(const char *path, const void *data, size_t size);
int file_save_new(const char *path, const void *data, size_t size);   /* ERR_EXISTS if something is there by now */

/* The same for a file that is written piece by piece. */
typedef struct file_writer file_writer;
int  file_create(const char *path, file_writer **out);
int  file_write(file_writer *w, const void *data, size_t size);
int  file_change(file_writer *w, uint64_t place, const void *data, size_t size);   /* of what was written */
int  file_commit(file_writer *w, bool replace);            /* frees it; unless replace, ERR_EXISTS if something is there by now */
void file_abandon(file_writer *w);                         /* nothing stays; NULL is fine */

/* The steps alone, for bytes that others write: an empty file under a temporary name in the folder of `path` (its descriptor, to read and
 * write, or ERR_*), and its true name, where ERR_EXISTS says that something is there already. */
int  file_temporary(const char *path, char temporary[PATH_MAX]);
int  file_rename_new(const char *temporary, const char *path);

/* A hard link to a file, links followed; replace: whatever file is there gives way at once. ERR_EXISTS, or ERR_UNSUPPORTED where the file
 * systems differ or have no links. */
int  file_link(const char *from, const char *path, bool replace);

/* Removes from a folder what file_save left there of pictures and JSON when its process was killed: our user's plain
 * files of such names. `alone`: no other process writes there now,
 * so whatever belongs to no living process goes; else only what is an hour old too. A folder that is not there is fine. */
void file_remove_leftovers(const char *folder, int alone);
/* The same for one file of whatever name, or folder (of a model), which no other process on this machine is writing. */
void file_remove_leftovers_of(const char *path);
/* The same of a file that others may be writing, on other machines too: only what is an hour old. */
void file_remove_old_leftovers_of(const char *path);

/* Whether two paths are one name in one folder, be something there or not. */
bool file_same_place(const char *a, const char *b);
/* Whether what is open is (still) what a path leads to. */
bool file_is_at(int fd, const char *path);

/* The next entry of a folder that is open: 1, 0 at its end, or ERR_IO where it can't be read on: whoever would stop there as at its end
 * would miss files. `path` is for the message. */
int folder_next(DIR *dir, const char *path, const struct dirent **out);

/* Makes a folder and its parents; it is fine if they exist. */
int folder_make(const char *path);

/* ERR_EXISTS if a folder on the way to `path`, which begins with "<root>/", is a link: what is mirrored below root must not
 * leave it. root itself may be one, and what is not there is none. */
int folder_check_links(const char *root, const char *path);

#endif
