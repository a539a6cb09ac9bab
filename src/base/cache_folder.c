/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cache_folder.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

int cache_folder(char path[PATH_MAX]) {
    const char *own = getenv("MIEN_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (own && *own) n = snprintf(path, PATH_MAX, "%s", own);
    else if (xdg && *xdg == '/') n = snprintf(path, PATH_MAX, "%s/mien", xdg);
    else if (home && *home) n = snprintf(path, PATH_MAX, "%s/.cache/mien", home);
    else return error_set(ERR_USAGE, "no folder to keep things in is known: set MIEN_CACHE or HOME");
    return n < PATH_MAX ? 0 : error_set(ERR_USAGE, "the path of the cache folder is too long");
}
