/* SPDX-License-Identifier: Apache-2.0 */
#include "data/choice.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/stop.h"
#include "data/list.h"
#include "data/shards.h"

struct choice {
    selection *selection;
    bool only;                     /* such a list was given */
    const shards *shards;          /* which say themselves where their photos are from, or NULL; */
    list_table *urls;              /* else this knows, or NULL; the mutex is its own */
    pthread_mutex_t mutex;
};

/* The table's file is made beside the data, or, where nothing can be written there, where temporary files go. */
static int open_urls(choice *c, const dataset *d, const volatile int *stop) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/metadata.json", dataset_path(d));
    if (n < 0 || n >= PATH_MAX) return error_set(ERR_IO, "%s: the path is too long", dataset_path(d));
    int rc = list_table_open(path, dataset_path(d), false, stop, &c->urls);
    const char *elsewhere = getenv("TMPDIR");
    return rc == ERR_FULL || rc == ERR_IO ? list_table_open(path, elsewhere && *elsewhere ? elsewhere : "/tmp", false, stop, &c->urls) : rc;
}

int choice_open(const dataset *d, const char *only, const char *exclude, const volatile int *stop, choice **out) {
    choice *c = calloc(1, sizeof *c);
    if (!c) return error_memory(sizeof *c);
    pthread_mutex_init(&c->mutex, NULL);
    c->only = only;
    int rc = selection_new(only, exclude, dataset_path(d), &c->selection);
    if (rc == 0 && selection_needs_url(c->selection)) {
        c->shards = dataset_shards(d);
        rc = c->shards ? 0 : open_urls(c, d, stop);
    }
    if (rc < 0) choice_close(c);
    else *out = c;
    return rc;
}

void choice_close(choice *c) {
    if (!c) return;
    list_table_close(c->urls);
    selection_free(c->selection);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

bool choice_takes_all(const choice *c) { return selection_takes_all(c->selection); }
bool choice_needs_photo(const choice *c) { return selection_needs_sha256(c->selection); }

static int asks_shard(const choice *c, const dataset_item *item, const char *hash) {
    text url = { 0 };
    int rc = shards_url(c->shards, item->index, &url);
    if (rc == 0) rc = (int)selection_asks(c->selection, item->id, url.data, hash);
    text_free(&url);
    return rc;
}

/* The table's strings hold until it is asked again: so under the lock. */
static int asks(choice *c, const dataset_item *item, const char *hash) {
    if (c->shards) return asks_shard(c, item, hash);
    if (!c->urls) return (int)selection_asks(c->selection, item->id, NULL, hash);
    list_item known;
    pthread_mutex_lock(&c->mutex);
    int rc = list_table_find(c->urls, item->id, &known);
    if (rc >= 0) rc = (int)selection_asks(c->selection, item->id, rc ? known.url : NULL, hash);
    pthread_mutex_unlock(&c->mutex);
    return rc;
}

int choice_asks(choice *c, const dataset_item *item, const uint8_t *photo, size_t size) {
    char hex[65];
    uint8_t digest[32];
    if (photo) {
        sha256(photo, size, digest);
        sha256_hex(digest, hex);
    }
    int rc = asks(c, item, photo ? hex : NULL);
    return rc == NOT_ONLY && !photo && choice_needs_photo(c) ? SELECTED : rc;
}

/* Whether item i comes into question: 1, 0 or ERR_*. */
static int comes(choice *c, const dataset *d, uint64_t i) {
    dataset_item item;
    int rc = dataset_read(d, i, &item);
    if (rc < 0) return rc == ERR_MEMORY ? rc : !c->only;
    rc = choice_asks(c, &item, NULL, 0);
    dataset_item_free(&item);
    return rc < 0 ? rc : rc == SELECTED;
}

int choice_items(choice *c, const dataset *d, const volatile int *stop, uint64_t **out, uint64_t *n) {
    uint64_t *list = NULL, all = dataset_count(d);
    size_t used = 0, room = 0;
    int rc = 0;
    for (uint64_t i = 0; rc >= 0 && i < all; i++) {
        rc = stop_asked(stop) ? error_set(ERR_CANCELLED, "stopped") : comes(c, d, i);
        if (rc <= 0) continue;
        if (used == room) {
            uint64_t *grown = realloc(list, (room = room ? 2 * room : 1024) * sizeof *grown);
            if (!grown) rc = error_memory(room * sizeof *grown);
            else list = grown;
        }
        if (rc > 0) list[used++] = i;
    }
    if (rc < 0) {
        free(list);
        return rc;
    }
    *out = list;
    *n = used;
    return 0;
}
