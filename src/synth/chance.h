/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers by chance that follow from a seed, a number and a name alone: what is drawn under one name changes nothing that is
 * drawn under another, and no thread, part or order of work shows in them. Arithmetic only, so they are the same on every
 * machine. */
#ifndef SYNTH_CHANCE_H
#define SYNTH_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct { uint64_t at; } chance;

chance   chance_begin(uint64_t seed, uint64_t number, const char *name);
uint64_t chance_bits(chance *c);
double   chance_unit(chance *c);                                  /* 0 <= x < 1 */
double   chance_between(chance *c, double least, double most);
double   chance_bell(chance *c);                                  /* mean 0, deviation 1, within -3..3: the sum of three units */
bool     chance_of(chance *c, double probability);
/* Which of n, each as probable as its weight in proportion to the others'. */
int      chance_pick(chance *c, const double *weight, int n);

#endif
