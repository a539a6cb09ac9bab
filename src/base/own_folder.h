/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the program lies, so that no path need be compiled in: an installed prefix may be moved. */
#ifndef BASE_OWN_FOLDER_H
#define BASE_OWN_FOLDER_H

#include <limits.h>
#include <stddef.h>

/* The folder of the library that holds this code, or of the program if it is linked in. 0, or -1 without a message. */
int own_folder(char folder[PATH_MAX]);

/* The first of the folders, as seen from there, that has a readable `file`: 0 and its real path, or -1 without a message. */
int own_folder_find(const char *const places[], size_t n, const char *file, char folder[PATH_MAX]);

#endif
