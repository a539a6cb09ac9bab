/* SPDX-License-Identifier: Apache-2.0 */
#include "train/draws.h"

/* splitmix64's finisher. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* MurmurHash3's finisher: one to one on 32 bits. */
static uint32_t scramble(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
}

/* One to one in the lower half of place, since MT19937 takes a seed of 32 bits only: with any hash, pairs of items
 * would share their noise after some 65,000. */
uint32_t draws_seed(uint64_t seed, uint64_t place) {
    uint64_t key = mix(seed + 0x9e3779b97f4a7c15u + mix(place >> 32));
    return scramble(scramble((uint32_t)place + (uint32_t)key) ^ (uint32_t)(key >> 32));
}

void draws_begin(noise_source *s, uint64_t seed, uint64_t place) { noise_seed(s, NOISE_TORCH_CPU, draws_seed(seed, place)); }

item_draws draws_choose(noise_source *s, const draws_settings *how) {
    float u[3];
    noise_uniform(s, u, 3);
    int t = (int)((double)u[0] * how->train_steps);
    return (item_draws){
        .timestep = t < how->train_steps ? t : how->train_steps - 1,
        .dropped = (double)u[1] < how->dropout,
        .mirrored = how->mirror && u[2] < 0.5f,
    };
}
