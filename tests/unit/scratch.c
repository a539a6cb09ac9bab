/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char entered[64];

int scratch_new(char folder[64]) {
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, 64, "%.40s/mien-test-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st, (void)type, (void)where;
    return remove(path);
}

int scratch_delete(const char *folder) { return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

int scratch_enter(void **state) {
    (void)state;
    return scratch_new(entered) < 0 ? -1 : chdir(entered);
}

int scratch_leave(void **state) {
    (void)state;
    return chdir("/") < 0 ? -1 : scratch_delete(entered);
}

const char *scratch_folder(void) { return entered; }
