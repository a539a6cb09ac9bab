/* SPDX-License-Identifier: Apache-2.0
 *
 * A hostile shard: indexed, every item read and found by its id, every other one taken out. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/shards.h"

static char folder[64], path[80];

static void clean_up(void) {
    unlink(path);
    rmdir(folder);
}

static void make_folder(void) {
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/mien-fuzz-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/0.tar", folder);
    atexit(clean_up);
}

static int every_other(void *context, const shards *s, uint64_t i, const shard_item *item) {
    (void)context, (void)s, (void)item;
    return i % 2 == 0;
}

static void read_item(const shards *s, uint64_t i) {
    shard_item item;
    if (shards_read(s, i, &item) < 0) return;
    uint64_t found;
    if (strchr(item.id, '/') || !*item.id || *item.id == '.' || shards_find(s, item.id, &found) != 1 || found != i) abort();
    shard_item_free(&item);
    text known = { 0 };
    if (shards_metadata(s, i, &known) > 0 && (known.data[0] != '{' || known.data[known.size - 1] != '}' || strchr(known.data, '\n'))) abort();
    text_free(&known);
    for (int part = 0; part < SHARD_PARTS; part++) {
        uint8_t *data;
        size_t size;
        if (shards_load(s, i, (shard_part)part, &data, &size) == 0) free(data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!*folder) make_folder();
    if (file_save(path, data, size) < 0) abort();
    shards *s;
    if (shards_open(folder, NULL, &s) < 0) return 0;
    uint64_t count = shards_count(s), removed;
    for (uint64_t i = 0; i < count; i++) read_item(s, i);
    shards_close(s);
    if (shards_remove(folder, &(shards_removal){ .remove = every_other }, &removed) < 0) return 0;
    if (shards_open(folder, NULL, &s) < 0 || shards_count(s) + removed < count) abort();
    shards_close(s);
    return 0;
}
