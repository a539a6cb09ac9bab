/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run will take, as the lines that are printed before its first step. Pure: numbers in, text out. */
#ifndef TRAIN_PLAN_LINES_H
#define TRAIN_PLAN_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

typedef struct {
    /* What was chosen, and by what: "bf16", "as --dtype says". NULL: not told, or the target has no such thing. */
    const char *numbers, *numbers_by, *prediction, *prediction_by;
    uint64_t program;                /* bytes of memory: the program, libraries, lists: what the start-up took */
    uint64_t weights;                /* what is only read */
    uint64_t states;                 /* what outlives steps: weights, moments, averages, summed gradients */
    uint64_t summed;                 /* of states: gradients that wait for clipping or accumulation; 0: none */
    uint64_t activations;
    uint64_t encoders;               /* while the cache lacks something, or there is none */
    bool turns;                      /* they are let go before each step, and activations while they work */
    uint64_t sheets;                 /* pictures are made now and then, while activations and encoders are let go */
    uint64_t sheets_stay;            /* of weights: what only they read */
    uint64_t data;                   /* items being prepared */
    uint64_t asked;                  /* --memory; 0: as much as it takes */
    double flops, flops_again;       /* of a step; of these for what is computed again */
    uint64_t trained;                /* weights, numbers */
    bool tells_steps;                /* false: a run's length is not told */
    uint64_t steps, from;            /* it shall have so many, 0: until it is stopped; so many are done */
    uint64_t batch, items;           /* pictures of a step, and of the data set */
    uint64_t checkpoint;             /* bytes of disk: one checkpoint */
    int keep;                        /* as save_options.keep */
    uint64_t due;                    /* checkpoints that will be there if none is removed, as far as steps say; 0: any number */
    double minutes;                  /* between two checkpoints at most; 0: as steps say */
    uint64_t cache, cached;          /* of the cache when it is full, and what of it is there */
    const char *cache_kind;          /* "none", "latents", "all" */
    uint64_t disk_free;              /* 0: unknown */
    int ranks;                       /* 0, 1: alone */
} plan_needs;

uint64_t plan_memory(const plan_needs *n);
/* Checkpoints that are there at once, at most, as far as steps say: one is written before another goes, and the best may be one more. */
uint64_t plan_checkpoints(const plan_needs *n);
/* Bytes of disk that are still to be written for these and the cache. `there`: bytes of checkpoints that are there already. */
uint64_t plan_disk(const plan_needs *n, uint64_t there);
/* Lines without indentation, each ended; memory first, then the disk, then what ranks tell each other. */
void plan_lines(const plan_needs *n, text *out);
/* "3.4 GB", "512 KB": powers of 1000, three digits. */
void plan_size(char out[32], uint64_t bytes);

#endif
