/* SPDX-License-Identifier: Apache-2.0
 *
 * Training's data, micro-batch by micro-batch: what train/trainer.h's inputs are set to. Items come in the iterator's
 * shuffled order, made ready by its threads (train/batch_item.h); what the cache lacks is encoded by the caller's
 * thread, with all of its cores, and kept.
 *
 *     batch_open(&options, c, &b);
 *     batch_restore(b, &position, false);       of a run that goes on
 *     while ((rc = batch_next(b, &m)) > 0)
 *         trainer_set(t, TRAINER_LATENT, m.latent); ...
 *
 * The same options and position give the same bits: cold or warm cache, any number of threads that read ahead, and with
 * R ranks of B items what one rank of R B items has (as long as none is left out). */
#ifndef TRAIN_BATCH_H
#define TRAIN_BATCH_H

#include "base/cpu.h"
#include "mien.h"
#include "train/batch_item.h"
#include "train/batch_position.h"
#include "train/cache_encoders.h"
#include "weights/checkpoint.h"

typedef struct {
    mien_iterate_options items;      /* complete, as mien_iterator_open fills it; without end (epochs 0). The seed is that
                                      * of the draws, too */
    int batch;
    unsigned wants;                  /* ITEM_*: HINT, LATENT and TEXT for a ControlNet; HINT left out for the base; PICTURE
                                      * for the VAE */
    int crop;                        /* of PICTURE: windows of so many pixels, by chance; 0: the whole square */
    bool redraw;                     /* maps are drawn at the training's size, from the landmarks beside them */
    bool mirror;                     /* half of the items, by chance */
    double prompt_dropout;           /* 0..1: so many prompts are empty */
    double min_snr, noise_offset;    /* 0: none */
    bool predicts_v;
    bool keep_latents, keep_texts;   /* --cache: latents, and all */
    const char *cache;               /* its folder */
    bool bf16;                       /* of the encoders */
    int threads;                     /* of the encoders */
    cpu_level cpu;
    const char *replay;              /* a file of draws (train/replay.h), or NULL */
} batch_options;                     /* what it points to, the hooks' context too, lives as long as the source */

typedef struct batch_source batch_source;

/* ERR_USAGE for what makes no sense together. c stays open as long as this. */
int  batch_open(const batch_options *options, checkpoint *c, batch_source **out);
void batch_close(batch_source *b);   /* NULL is fine */

/* f32, channels last; what was not wanted is NULL. Valid until the next call. */
typedef struct {
    int n;
    const float *latent;             /* [n,h,w,c]: noised */
    const float *time;               /* [n] */
    const float *context;            /* [n,TOKENS,width] */
    const float *hint;               /* [n,size,size,3], 0..1 */
    const float *target;             /* [n,h,w,c] */
    const float *weight;             /* [n] */
    const float *picture;            /* [n,size,size,3], -1..1; size is the crop's, if there is one */
    const float *posterior;          /* [n,h,w,c], with pictures: normal numbers */
    const int32_t *ids;              /* [n,TOKENS] */
    const mien_item *items;          /* which they are */
    const item_draws *draws;
} micro_batch;

/* 1; 0 at the end of a replay; or ERR_* (ERR_CANCELLED, ERR_MEMORY, ERR_FORMAT if no item is of use): then nothing was taken. */
int  batch_next(batch_source *b, micro_batch *out);

batch_position batch_position_of(const batch_source *b);
/* ERR_USAGE if the data are others than they were, unless that is fine; then it goes on with the next epoch if it has
 * not as many items. */
int  batch_restore(batch_source *b, const batch_position *p, bool changed_is_fine);

/* From now on the encoders are let go at the end of each batch_next, and before the first of them wakes begin(context)
 * is told: where memory does not suffice for them beside the rest. */
void batch_take_turns(batch_source *b, void (*begin)(void *context), void *context);
void batch_rest(batch_source *b);    /* lets the encoders go */

uint64_t batch_items(const batch_source *b);           /* of an epoch, of all ranks, with those that will be left out */
uint64_t batch_rows(const batch_source *b);            /* of the replay; 0: there is none */

typedef struct {
    mien_progress items;             /* as mien_iterator_progress */
    double waited;                   /* seconds that batch_next waited for items */
    double encoding;                 /* and encoded what was not kept */
    uint64_t pictures, texts;        /* encoded */
    uint64_t not_kept;               /* of these, items that could not be written */
} batch_progress;
void batch_progress_of(const batch_source *b, batch_progress *out);

/* Before the first step. memory: of what is read ahead. encoders: while all that are used are awake, or 0 if none ever is. */
typedef struct { cache_space disk; size_t memory, encoders; } batch_needs;
int  batch_needed(const batch_source *b, batch_needs *out);

#endif
