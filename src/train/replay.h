/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of draws, to compare training with another program step by step: safetensors with items [S,B] and timesteps
 * [S,B] int64, noise and posterior [S,B,c,h,w] f32, standard normal numbers in NCHW. A row is one micro-batch; items
 * are lines of prompt.jsonl, from 0. */
#ifndef TRAIN_REPLAY_H
#define TRAIN_REPLAY_H

#include <stddef.h>
#include <stdint.h>

typedef struct { size_t batch, channels, h, w; uint64_t lines; int train_steps; } replay_shape;

typedef struct replay replay;

/* ERR_FORMAT, which says what was expected, for what does not fit; every item and timestep is looked at. */
int      replay_open(const char *path, const replay_shape *shape, replay **out);
void     replay_close(replay *r);                     /* NULL is fine */
uint64_t replay_rows(const replay *r);

/* Picture `k` of row `row`. */
uint64_t replay_item(const replay *r, uint64_t row, size_t k);
int      replay_timestep(const replay *r, uint64_t row, size_t k);
/* [h,w,c], channels last; either may be NULL. */
void     replay_normals(const replay *r, uint64_t row, size_t k, float *posterior, float *noise);

#endif
