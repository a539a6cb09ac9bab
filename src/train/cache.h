/* SPDX-License-Identifier: Apache-2.0
 *
 * What the frozen encoders have made of pictures and prompts, kept on disk from run to run: one file an item
 * (train/cache_entry.h), below
 *
 *     FOLDER/latents-<model>-<type>/ab/<SHA-256 of the photo>-<what of it>        moments, f32
 *     FOLDER/texts-<model>-<type>/ab/<SHA-256 of the tokens>                      f16
 *
 * One file an item, because then there is no index to be torn, to be held in memory or to be agreed on: ranks and runs
 * share a folder without a lock, a kill leaves an item or none, and what was made of a photo that must go can be found
 * by its hash and deleted. 256 folders keep each of them small (100,000 items: 400 in each). The price is the file
 * system's: blocks of 4 KiB, and two inodes an item. */
#ifndef TRAIN_CACHE_H
#define TRAIN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "train/cache_entry.h"

typedef enum { CACHE_LATENTS, CACHE_TEXTS, CACHE_PARTS } cache_part;
enum { CACHE_NAME = 160 };           /* of an item, with its end */

typedef struct {
    bool kept;                       /* false: nothing is found, nothing kept */
    char model[65];                  /* hash of the encoder and all that it computes by */
    const char *computed;            /* "bf16", "f32" */
    cache_entry_type type;
    size_t count;                    /* numbers of an item */
} cache_shelf;

typedef struct cache cache;

/* The folder is made when something is kept; what a killed process left half written goes. folder may be NULL if no
 * shelf is kept. */
int  cache_open(const char *folder, const cache_shelf shelves[CACHE_PARTS], cache **out);
void cache_close(cache *c);          /* NULL is fine */
bool cache_keeps(const cache *c, cache_part part);

/* Names of items. photo, ids: bytes that are hashed. width x height is what the photo is resized to before its middle
 * square of `size` is cut out. */
void cache_name_photo(const uint8_t *photo, size_t bytes, int width, int height, int size, bool mirrored, char name[CACHE_NAME]);
void cache_name_tokens(const int32_t *ids, size_t n, char name[CACHE_NAME]);

/* Whether it is there, and whole; fills out. Any thread. What is broken is as good as not there, and is written again. */
bool cache_find(const cache *c, cache_part part, const char *name, void *out);
/* Writes it aside and renames it. ERR_* are no reason to stop training. */
int  cache_keep(const cache *c, cache_part part, const char *name, const void *numbers);

/* Bytes on disk: of all that `items` lines could need (mirror: each twice), of what is there for these encoders, and
 * what is free. */
typedef struct { uint64_t all, there, free; } cache_space;
int  cache_measure(const cache *c, uint64_t items, bool mirror, cache_space *out);
/* Bytes that are still to be written, at most. */
uint64_t cache_space_needed(const cache_space *s);
/* ERR_FULL, with what would help, if that and `beside` (what else is to be written to the same disk) is more than is free. */
int  cache_space_check(const cache_space *s, const char *folder, uint64_t beside);

/* Bytes free where `path` will be: of the nearest folder above that exists. */
int  cache_disk_free(const char *path, uint64_t *bytes);

#endif
