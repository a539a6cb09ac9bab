/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "generate/model_hash.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cache_folder.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

enum { SHORT = 10, LONG = 64 };

static void add_stat(sha256_state *s, const struct stat *st) {
    char line[256];
    int n = snprintf(line, sizeof line, "%llu %llu %lld %lld.%09ld %lld.%09ld\n", (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
                     (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    sha256_add(s, line, (size_t)n);
}

/* Where the hash of the files as they are now is remembered; false if nowhere. */
static bool cache_path(const checkpoint *c, bool control, char out[PATH_MAX]) {
    char cache[PATH_MAX], hex[65];
    uint8_t digest[32];
    sha256_state s;
    if (cache_folder(cache) < 0) return false;
    sha256_begin(&s);
    for (size_t i = 0; i < checkpoint_files(c, control); i++) {
        struct stat st;
        if (stat(checkpoint_file(c, control, i), &st) < 0) return false;
        add_stat(&s, &st);
    }
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    return (size_t)snprintf(out, PATH_MAX, "%s/hashes/%s", cache, hex) < PATH_MAX;
}

static bool remembered(const char *path, char hex[LONG + 1]) {
    uint8_t *data;
    size_t size;
    struct stat st;
    if (stat(path, &st) < 0 || file_load(path, 256, &data, &size) < 0) return false;
    bool right = size == LONG + 1 && data[LONG] == '\n';
    for (size_t i = 0; i < LONG && right; i++) right = data[i] && strchr("0123456789abcdef", data[i]);
    if (right) memcpy(hex, data, LONG), hex[LONG] = 0;
    free(data);
    return right;
}

/* Failing to is no failure: it will be taken again. */
static void remember(char *path, const char *hex) {
    char line[LONG + 2], *slash = strrchr(path, '/');
    snprintf(line, sizeof line, "%s\n", hex);
    *slash = 0;
    int rc = folder_make(path);
    *slash = '/';
    if (rc == 0) file_save(path, line, LONG + 1);
}

int model_hash(const checkpoint *c, bool control, const volatile int *stop, char out[11]) {
    char place[PATH_MAX], hex[65];
    bool has_place = cache_path(c, control, place);
    if (!(has_place && remembered(place, hex))) {
        int rc = checkpoint_hash(c, control, stop, hex);
        if (rc < 0) return rc;
        if (has_place) remember(place, hex);
    }
    memcpy(out, hex, SHORT);
    out[SHORT] = 0;
    return 0;
}
