/* SPDX-License-Identifier: Apache-2.0
 *
 * A job over many items, split among processes that know nothing of each other: an item belongs to the part that a
 * stable hash of its id names. */
#ifndef BASE_PART_H
#define BASE_PART_H

#include <stdbool.h>
#include <stdint.h>

/* 64 well-mixed bits of a string; the same on every machine and in every version (work that was split stays split). */
uint64_t part_hash(const char *id);

/* True if the item is part `part` (1..parts) of `parts`; parts 0: always. */
bool part_has(const char *id, int part, int parts);

/* The part that the launcher gave this process: its rank under mpirun, or its task of a Slurm job array. 1, or 0 if there
 * is none (or only one), or ERR_USAGE if the array's ids do not say which of how many this is. */
int part_from_environment(int *part, int *parts);

#endif
