/* SPDX-License-Identifier: Apache-2.0
 *
 * One item made ready for training by the iterator's threads, as far as that can be without the encoders: the map's
 * square (from the file, or drawn from the landmarks), the photo's square or what the cache has of it, the prompt's
 * tokens or what the cache has of them, and all its draws. */
#ifndef TRAIN_BATCH_ITEM_H
#define TRAIN_BATCH_ITEM_H

#include "data/iterate.h"
#include "model/tokenizer.h"
#include "train/cache.h"
#include "train/draws.h"

enum { ITEM_CHANNELS = 16 };        /* of a latent, at most */
enum { ITEM_HINT = 1, ITEM_LATENT = 2, ITEM_PICTURE = 4, ITEM_TEXT = 8, ITEM_TOKENS = 16 };   /* what is wanted */

/* The beginning of an item's room. */
typedef struct {
    uint64_t place;
    item_draws draws;
    bool has_moments, has_text;      /* the cache had them */
    char latent[CACHE_NAME], text[CACHE_NAME];   /* their names in the cache, if it keeps such */
    int32_t ids[TOKENS];
    float offset[ITEM_CHANNELS];     /* normal numbers, one a channel */
} item_head;

/* Where the rest of it is, in bytes from the beginning. */
typedef struct { size_t hint, photo, moments, text, posterior, noise, bytes; } item_layout;

typedef struct {
    unsigned wants;
    sample_settings cut;
    int crop;                        /* of ITEM_PICTURE: a window of so many pixels, by chance; 0: the whole square */
    bool redraw;
    draws_settings draws;
    uint64_t seed;                   /* of the draws */
    const tokenizer *t;
    int32_t pad;
    const cache *cache;
    size_t side, channels, width;    /* of latents; of texts */
    item_layout at;
} item_maker;

/* Fills maker->at; ERR_MEMORY if no address reaches so far. */
int item_lay_out(item_maker *maker);
/* Pixels of a side of what ITEM_PICTURE gives. */
int item_side(const item_maker *maker);
/* iterator_maker's make, with an item_maker for context. An item without a place (replay) has no draws: they stay zero. */
int item_make(void *maker, const dataset *d, const dataset_item *item, uint64_t place, void *room, sample_fault *fault);
/* The map of --redraw, [size,size,3]: drawn from the landmarks beside the item's map. */
int item_redraw(const sample_settings *cut, const dataset *d, const dataset_item *item, uint8_t *hint);

#endif
