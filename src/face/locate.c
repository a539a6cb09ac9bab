/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "face/locate.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/error.h"

/* Any one of the models tells the folder; that the other is missing is said by whoever opens it. */
static int has_models(const char *folder) {
    char file[PATH_MAX];
    int n = snprintf(file, sizeof file, "%s/face_detection_short_range.tflite", folder);
    return n > 0 && (size_t)n < sizeof file && access(file, R_OK) == 0;
}

static int answer(char *path, size_t size, const char *folder) {
    if (strlen(folder) >= size) return error_set(ERR_IO, "%s: the path is too long", folder);
    strcpy(path, folder);
    return 0;
}

/* The folder of the file that holds this code. For the program itself dladdr would give argv[0], which need not be a path. */
static int own_folder(char folder[PATH_MAX]) {
    Dl_info own, program;
    const char *file = NULL;
    void *headers = (void *)getauxval(AT_PHDR);   /* part of the program's mapping */
    if (dladdr((void *)locate_models, &own)) file = own.dli_fname;
    if (!file || (headers && dladdr(headers, &program) && program.dli_fbase == own.dli_fbase)) file = "/proc/self/exe";
    if (!realpath(file, folder)) return -1;
    char *slash = strrchr(folder, '/');
    if (slash) *(slash == folder ? slash + 1 : slash) = 0;
    return slash ? 0 : -1;
}

int locate_models(const char *chosen, char *path, size_t size) {
    if (chosen) return answer(path, size, chosen);
    const char *variable = getenv("MIEN_MODELS");
    if (variable && *variable) return answer(path, size, variable);

    /* bin/ and lib/, a multi-architecture lib/x86_64-linux-gnu/, build/, and one level below it */
    static const char *const places[] = { "../share/mien/models", "../../share/mien/models", "../third_party/models",
                                          "../../third_party/models" };
    char own[PATH_MAX];
    if (own_folder(own) < 0) return error_set(ERR_IO, "the face models: set MIEN_MODELS, the program cannot find itself");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char folder[PATH_MAX + 32], real[PATH_MAX];
        snprintf(folder, sizeof folder, "%s/%s", own, places[i]);
        if (realpath(folder, real) && has_models(real)) return answer(path, size, real);
    }
    return error_set(ERR_IO, "no face models in %s, nor in %s of the build tree (both seen from %s): run `make setup`, or set "
                     "MIEN_MODELS to the folder that has them", places[0], places[2], own);
}
