/* SPDX-License-Identifier: Apache-2.0
 *
 * Where mien keeps what it can get again: models that were pulled, hashes that were taken. */
#ifndef BASE_CACHE_FOLDER_H
#define BASE_CACHE_FOLDER_H

#include <limits.h>

/* MIEN_CACHE, or mien in XDG_CACHE_HOME, or in ~/.cache; made by nobody here. ERR_USAGE if none of these is set. */
int cache_folder(char path[PATH_MAX]);

#endif
