/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target over its kept corpus (tests/fuzz/corpus/<target>/, or the files named), without a fuzzer: each file
 * whole, then cut short at a few places. A finding ends the process, which is how the test fails. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
    uint8_t *data;
    size_t size;
    if (file_load(path, (size_t)64 << 20, &data, &size) < 0) {
        fprintf(stderr, "%s\n", error_message());
        return -1;
    }
    for (int i = 0; i <= 8; i++) {
        /* A copy of exactly this length: a byte too far is then seen by AddressSanitizer. */
        size_t part = size / 8 * (size_t)i;
        if (i == 8) part = size;
        uint8_t *copy = malloc(part ? part : 1);
        if (!copy) abort();
        memcpy(copy, data, part);
        LLVMFuzzerTestOneInput(copy, part);
        free(copy);
    }
    free(data);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            if (replay(argv[i]) < 0) return 1;
        return 0;
    }
    const char *name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    if (strncmp(name, "replay_", 7) == 0) name += 7;
    char folder[512];
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", name);
    DIR *d = opendir(folder);
    if (!d) {
        printf("skipped: no %s\n", folder);
        return 77;
    }
    int files = 0, rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d));) {
        char path[1024];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        rc = replay(path);
        files++;
    }
    closedir(d);
    printf("%s: %d files\n", folder, files);
    return rc < 0 || files == 0;
}
