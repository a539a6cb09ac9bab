/* SPDX-License-Identifier: Apache-2.0
 *
 * One picture of the job. Only src/synth/synth.c uses this. */
#ifndef SYNTH_ITEM_H
#define SYNTH_ITEM_H

#include "base/cpu.h"
#include "mien.h"
#include "synth/draw.h"

/* What all pictures of a job have in common. */
typedef struct {
    const mien_synth_options *options;
    synth_draw_settings draw;
    cpu_level cpu;
    char settings[17];                 /* a hash of all that the files follow from besides seed, number and version */
} item_job;

typedef enum { ITEM_MADE, ITEM_REPLACED, ITEM_THERE } item_result;

enum { SYNTH_ID = 64 };
void synth_id(uint64_t seed, uint64_t number, char out[SYNTH_ID]);

void synth_item_job(const mien_synth_options *options, item_job *out);
/* 0, or ERR_*: that item failed. */
int  synth_item(const item_job *job, uint64_t number, mien_synth_times *times, item_result *result);

#endif
