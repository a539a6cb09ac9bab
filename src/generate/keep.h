/* SPDX-License-Identifier: Apache-2.0
 *
 * The best of a job's pictures: some are made, those that obey most are written, the others never reach the disk. */
#ifndef GENERATE_KEEP_H
#define GENERATE_KEEP_H

#include "generate/generate_inside.h"

typedef struct {
    image picture;
    mien_judgement judgement;
    mien_picture what;             /* its path and judgement are set when it is written */
} kept_picture;

typedef struct {
    int most, n;
    kept_picture *best;            /* [most]; n of them, the best first; of equal ones the earlier */
} keeper;

/* ERR_MEMORY. */
int  keeper_begin(keeper *k, int most);
/* Takes both over, or frees them. */
void keeper_offer(keeper *k, const mien_picture *what, image *picture, mien_judgement *judgement);
void keeper_end(keeper *k);

#endif
