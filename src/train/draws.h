/* SPDX-License-Identifier: Apache-2.0
 *
 * What chance decides about an item: timestep, whether its prompt is dropped, whether it is mirrored, and its normal
 * numbers. Every place of the shuffled order (data/iterate.h) has a generator of its own, so there is no state beside
 * seed and place: nothing depends on threads, on what is made ready in advance, on items that were left out, or on how
 * the places are shared among ranks.
 *
 *     noise_source s;
 *     draws_begin(&s, seed, place);
 *     item_draws d = draws_choose(&s, &settings);
 *     noise_pictures(&s, 1, h, w, 4, posterior);      in this order
 *     noise_pictures(&s, 1, h, w, 4, noise);
 *     noise_normal(&s, offset, 4);
 *     noise_uniform(&s, place, 2);                    of a crop, for a VAE, behind its posterior
 *
 * torch.Generator().manual_seed(draws_seed(seed, place)), then rand(3), randn(4,h,w), randn(4,h,w), randn(4) give the same. */
#ifndef TRAIN_DRAWS_H
#define TRAIN_DRAWS_H

#include "diffusion/noise.h"

typedef struct {
    int train_steps;       /* timesteps are 0 ... train_steps - 1 */
    double dropout;        /* 0..1 */
    bool mirror;           /* half of them are */
} draws_settings;

typedef struct { int timestep; bool dropped, mirrored; } item_draws;

/* No two of 2^32 places that follow one another have the same under one seed. */
uint32_t   draws_seed(uint64_t seed, uint64_t place);
void       draws_begin(noise_source *s, uint64_t seed, uint64_t place);
/* Takes three numbers whatever is asked for: a setting changes no other draw. */
item_draws draws_choose(noise_source *s, const draws_settings *how);

#endif
