/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/chance.h"

#define GOLDEN 0x9e3779b97f4a7c15ULL

/* splitmix64: a counter, and its finaliser. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

chance chance_begin(uint64_t seed, uint64_t number, const char *name) {
    uint64_t h = 0xcbf29ce484222325ULL;   /* FNV-1a of the name */
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 0x100000001b3ULL;
    return (chance){ mix(mix(mix(seed + GOLDEN) ^ number) + h) };
}

uint64_t chance_bits(chance *c) { return mix(c->at += GOLDEN); }

double chance_unit(chance *c) { return (double)(chance_bits(c) >> 11) * 0x1p-53; }

double chance_between(chance *c, double least, double most) { return least + (most - least) * chance_unit(c); }

double chance_bell(chance *c) {
    double sum = chance_unit(c);
    sum += chance_unit(c);
    sum += chance_unit(c);
    return 2 * sum - 3;   /* each unit's variance is 1/12 */
}

bool chance_of(chance *c, double probability) { return chance_unit(c) < probability; }

int chance_pick(chance *c, const double *weight, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += weight[i];
    double x = chance_unit(c) * sum;
    for (int i = 0; i + 1 < n; i++)
        if ((x -= weight[i]) < 0) return i;
    while (n > 1 && weight[n - 1] == 0) n--;   /* rounding: the last that can be */
    return n - 1;
}
