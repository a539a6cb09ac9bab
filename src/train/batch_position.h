/* SPDX-License-Identifier: Apache-2.0
 *
 * Where training is in its data: nothing else need be kept to go on with equal bits. */
#ifndef TRAIN_BATCH_POSITION_H
#define TRAIN_BATCH_POSITION_H

#include "mien.h"

typedef struct {
    mien_position items;
    uint64_t draws;                  /* seed of the draws */
    uint64_t row;                    /* of the replay */
} batch_position;

/* As one line of text, without newline; it begins with its format. Read: ERR_FORMAT for anything else. */
enum { BATCH_POSITION_TEXT = 128 };
void batch_position_write(const batch_position *p, char out[BATCH_POSITION_TEXT]);
int  batch_position_read(const char *text, batch_position *out);

#endif
