/* SPDX-License-Identifier: Apache-2.0
 *
 * A data set in tar files, as webdataset reads them: <key>.jpg (or .jpeg, .png, .webp, .gif, .bmp: the photo), <key>.map.png (or .map.jpg, .map.jpeg),
 * <key>.json (landmarks, and what is known of the item), <key>.txt (the prompt). An item's members follow each other. Readers cut names at
 * the first dot, so a key is the item's id with every byte but [A-Za-z0-9_-] as %XX. Of other members' names only the
 * last part counts, and unknown endings are left out. The index is 8 bytes an item and 8 to 16 to tell ids apart; members are found
 * again in their shard when they are read. */
#ifndef DATA_SHARDS_H
#define DATA_SHARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

typedef struct shards shards;

typedef enum { SHARD_MAP, SHARD_PHOTO, SHARD_FACES, SHARD_PROMPT, SHARD_PARTS } shard_part;   /* the first three as dataset_part */

typedef struct {
    /* A shard or a member that can't be used, and why: "DIR/00003.tar", "member x.jpg: ..."; may be NULL. */
    void (*left_out)(void *context, const char *shard, const char *message);
    void *context;
    const volatile int *stop;      /* may be NULL */
} shards_hooks;

/* Whether a folder holds any <name>.tar. */
bool shards_are_in(const char *folder);

/* Looks through all tar files of a folder, in the order of their names. ERR_USAGE if there is none, ERR_UNSUPPORTED without
 * libarchive, ERR_CANCELLED. A shard that is broken counts up to where it is. hooks may be NULL. */
int  shards_open(const char *folder, const shards_hooks *hooks, shards **out);
void shards_close(shards *s);
uint64_t shards_count(const shards *s);
uint64_t shards_left_out(const shards *s);         /* how often hooks->left_out was, or would have been, called */
uint64_t shards_fingerprint(const shards *s);      /* 64 bits of all names and sizes, in order */

/* Item i as a line of prompt.jsonl would name it: "<id>.png" (or .jpg), "<id>.jpg" (or what it is). What is not there has
 * that name too: `has` tells. Any thread. ERR_IO if the shard has changed since. The caller frees it. */
typedef struct {
    char *id, *source, *target, *prompt;
    bool has[SHARD_PARTS];
    const char *shard;             /* the file's name; holds as long as the shards are open */
} shard_item;
int  shards_read(const shards *s, uint64_t i, shard_item *out);
void shard_item_free(shard_item *item);

/* A part of item i, whole; the caller frees *data. SHARD_FACES is the landmarks JSON as it lay beside the map. ERR_IO if it isn't there. */
int  shards_load(const shards *s, uint64_t i, shard_part part, uint8_t **data, size_t *size);
/* Appends what is known of item i, an object as in metadata.json, on one line: 1, or 0 if the shard does not say. */
int  shards_metadata(const shards *s, uint64_t i, text *out);
/* Of that the url, appended; nothing if the shard does not say. */
int  shards_url(const shards *s, uint64_t i, text *out);
/* The item of an id: 1, 0 or ERR_*. */
int  shards_find(const shards *s, const char *id, uint64_t *i);

/* Takes items out of the shards of a folder: each shard that has one is written anew without it, put in its place in one
 * step; all else in it stays, byte for byte. A shard that becomes empty stays, so that the numbers have no gap. The folder is locked by the caller.
 * `remove` is asked for each item, in order: 1, 0 or ERR_*; it may read the item's parts (shards_load). *removed: how many were. */
typedef struct {
    void *context;
    int (*remove)(void *context, const shards *s, uint64_t i, const shard_item *item);
    const volatile int *stop;
} shards_removal;
int  shards_remove(const char *folder, const shards_removal *removal, uint64_t *removed);

#endif
