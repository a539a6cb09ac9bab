/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/own_folder.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* For the program itself dladdr would give argv[0], which need not be a path. */
int own_folder(char folder[PATH_MAX]) {
    Dl_info own, program;
    const char *file = NULL;
    void *headers = (void *)getauxval(AT_PHDR);   /* part of the program's mapping */
    if (dladdr((void *)own_folder, &own)) file = own.dli_fname;
    if (!file || (headers && dladdr(headers, &program) && program.dli_fbase == own.dli_fbase)) file = "/proc/self/exe";
    if (!realpath(file, folder)) return -1;
    char *slash = strrchr(folder, '/');
    if (slash) *(slash == folder ? slash + 1 : slash) = 0;
    return slash ? 0 : -1;
}

int own_folder_find(const char *const places[], size_t n, const char *file, char folder[PATH_MAX]) {
    char own[PATH_MAX];
    if (own_folder(own) < 0) return -1;
    for (size_t i = 0; i < n; i++) {
        char place[PATH_MAX + 64], path[PATH_MAX + 64];
        snprintf(place, sizeof place, "%s/%s", own, places[i]);
        if (!realpath(place, folder)) continue;
        int length = snprintf(path, sizeof path, "%s/%s", folder, file);
        if (length > 0 && (size_t)length < sizeof path && access(path, R_OK) == 0) return 0;
    }
    return -1;
}
