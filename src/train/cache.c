/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "train/cache.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

enum { BLOCK = 4096, FOLDERS = 256, HASH = 64 };

struct cache {
    char *folder;
    cache_shelf shelf[CACHE_PARTS];
    char name[CACHE_PARTS][64];      /* of the shelves' folders */
};

/* Beside the shelves, so that those a kill left are found in one place. */
static bool aside(const cache *c, char out[PATH_MAX]) { return snprintf(out, PATH_MAX, "%s/item", c->folder) < PATH_MAX; }

int cache_open(const char *folder, const cache_shelf shelves[CACHE_PARTS], cache **out) {
    static const char *const words[CACHE_PARTS] = { "latents", "texts" };
    cache *c = calloc(1, sizeof *c);
    if (!c || (folder && !(c->folder = strdup(folder)))) {
        cache_close(c);
        return error_memory(sizeof *c);
    }
    for (int i = 0; i < CACHE_PARTS; i++) {
        c->shelf[i] = shelves[i];
        if (shelves[i].kept)
            snprintf(c->name[i], sizeof c->name[i], "%s-%.16s-%.8s", words[i], shelves[i].model, shelves[i].computed);
    }
    char path[PATH_MAX];
    if (folder && aside(c, path)) file_remove_old_leftovers_of(path);   /* other machines may write there, too */
    *out = c;
    return 0;
}

void cache_close(cache *c) {
    if (!c) return;
    free(c->folder);
    free(c);
}

bool cache_keeps(const cache *c, cache_part part) { return c->shelf[part].kept; }

/* ---- names --------------------------------------------------------------------------------------------------------------- */

static void hash_hex(const void *data, size_t size, char hex[65]) {
    uint8_t digest[32];
    sha256(data, size, digest);
    sha256_hex(digest, hex);
}

void cache_name_photo(const uint8_t *photo, size_t bytes, int width, int height, int size, bool mirrored, char name[CACHE_NAME]) {
    char hex[65];
    hash_hex(photo, bytes, hex);
    snprintf(name, CACHE_NAME, "%s-%dx%d-%d%s", hex, width, height, size, mirrored ? "-mirrored" : "");
}

void cache_name_tokens(const int32_t *ids, size_t n, char name[CACHE_NAME]) { hash_hex(ids, n * sizeof *ids, name); }

/* ---- items --------------------------------------------------------------------------------------------------------------- */

static bool path_of(const cache *c, cache_part part, const char *name, char out[PATH_MAX]) {
    return snprintf(out, PATH_MAX, "%s/%s/%.2s/%s", c->folder, c->name[part], name, name) < PATH_MAX;
}

/* Encoder, type and item; whole: the hash of the encoder, of which the folder's name has the beginning. */
static cache_entry entry_of(const cache *c, cache_part part, const char *name, char whole[512]) {
    const cache_shelf *s = &c->shelf[part];
    snprintf(whole, 512, "%s %s %s", s->model, s->computed, name);
    return (cache_entry){ whole, s->type, s->count };
}

bool cache_find(const cache *c, cache_part part, const char *name, void *out) {
    char path[PATH_MAX], whole[512];
    uint8_t *data;
    size_t size;
    const void *numbers;
    if (!c->shelf[part].kept || !path_of(c, part, name, path) || access(path, F_OK) < 0) return false;
    cache_entry e = entry_of(c, part, name, whole);
    if (file_load(path, CACHE_ENTRY_HEADER + cache_entry_bytes(&e), &data, &size) < 0) return false;
    bool there = cache_entry_read(&e, data, size, &numbers) == 0;
    if (there) memcpy(out, numbers, cache_entry_bytes(&e));
    free(data);
    return there;
}

static int write_all(int fd, const uint8_t *data, size_t size, const char *path) {
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_errno("%s", path);
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* The folder of a file, with those above it. */
static int make_folder_of(char *path) {
    char *slash = strrchr(path, '/');
    *slash = 0;
    int rc = folder_make(path);
    *slash = '/';
    return rc;
}

static int put(const cache *c, const uint8_t *data, size_t size, char *path) {
    char near[PATH_MAX], temporary[PATH_MAX];
    if (!aside(c, near)) return error_set(ERR_IO, "%s: the path is too long", path);
    int fd = file_temporary(near, temporary);
    if (fd < 0) return fd;
    int rc = write_all(fd, data, size, path);
    if (close(fd) < 0 && rc == 0) rc = error_errno("%s", path);
    if (rc == 0 && rename(temporary, path) < 0) rc = error_errno("%s", path);
    if (rc < 0) unlink(temporary);
    return rc;
}

int cache_keep(const cache *c, cache_part part, const char *name, const void *numbers) {
    char path[PATH_MAX], whole[512];
    if (!c->shelf[part].kept) return 0;
    if (!path_of(c, part, name, path)) return error_set(ERR_IO, "%s: the path is too long", c->folder);
    cache_entry e = entry_of(c, part, name, whole);
    size_t size = CACHE_ENTRY_HEADER + cache_entry_bytes(&e);
    uint8_t *data = malloc(size);
    if (!data) return error_memory(size);
    cache_entry_write(&e, numbers, data);
    int rc = make_folder_of(path);
    if (rc == 0) rc = put(c, data, size, path);
    free(data);
    return rc;
}

/* ---- space --------------------------------------------------------------------------------------------------------------- */

static uint64_t bytes_on_disk(const cache_shelf *s) {
    cache_entry e = { "", s->type, s->count };
    return (CACHE_ENTRY_HEADER + cache_entry_bytes(&e) + BLOCK - 1) / BLOCK * BLOCK;
}

static uint64_t count_files(const char *path) {
    DIR *dir = opendir(path);
    uint64_t n = 0;
    for (const struct dirent *e; dir && (e = readdir(dir));) n += strlen(e->d_name) >= HASH;
    if (dir) closedir(dir);
    return n;
}

static uint64_t count_items(const cache *c, cache_part part) {
    char path[PATH_MAX];
    uint64_t n = 0;
    for (int i = 0; i < FOLDERS; i++)
        if (snprintf(path, sizeof path, "%s/%s/%02x", c->folder, c->name[part], i) < PATH_MAX) n += count_files(path);
    return n;
}

int cache_disk_free(const char *path, uint64_t *bytes) {
    char at[PATH_MAX];
    struct statvfs s;
    if (snprintf(at, sizeof at, "%s", path) >= PATH_MAX) return error_set(ERR_IO, "%s: the path is too long", path);
    while (statvfs(*at ? at : ".", &s) < 0) {
        if (errno != ENOENT || !*at) return error_errno("%s", path);
        char *slash = strrchr(at, '/');
        if (slash == at && at[1]) slash++;   /* the root itself */
        if (slash) *slash = 0;
        else *at = 0;
    }
    *bytes = (uint64_t)s.f_bavail * s.f_frsize;
    return 0;
}

int cache_measure(const cache *c, uint64_t items, bool mirror, cache_space *out) {
    *out = (cache_space){ 0 };
    for (int i = 0; i < CACHE_PARTS; i++) {
        const cache_shelf *s = &c->shelf[i];
        uint64_t all;
        if (!s->kept) continue;
        if (__builtin_mul_overflow(items, (mirror ? 2 : 1) * bytes_on_disk(s), &all) ||
            __builtin_add_overflow(out->all, all, &out->all))
            return error_memory(UINT64_MAX);
        uint64_t there = count_items(c, (cache_part)i) * bytes_on_disk(s);
        out->there += there < all ? there : all;
    }
    return c->folder ? cache_disk_free(c->folder, &out->free) : 0;
}

uint64_t cache_space_needed(const cache_space *s) { return s->all - s->there; }

int cache_space_check(const cache_space *s, const char *folder, uint64_t beside) {
    uint64_t needed = cache_space_needed(s);
    if (needed <= s->free && beside <= s->free - needed) return 0;
    return error_set(ERR_FULL,
                     "%s: the cache may take %.2f GB more and other files %.2f GB, but %.2f GB are free "
                     "(--cache latents keeps no texts, --cache none nothing)",
                     folder, (double)needed * 1e-9, (double)beside * 1e-9, (double)s->free * 1e-9);
}
