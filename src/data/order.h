/* SPDX-License-Identifier: Apache-2.0
 *
 * A shuffled order that takes no memory: item i of it is computed, by a cipher on the numbers below the next power of 4
 * (Feistel's network), applied again as long as its answer is n or more (so that it permutes 0..n-1). Each epoch of each
 * seed has its own. What it is for given numbers never changes: a training that is resumed goes by it. */
#ifndef DATA_ORDER_H
#define DATA_ORDER_H

#include <stdint.h>

enum { ORDER_ROUNDS = 8 };
typedef struct { uint64_t n, key[ORDER_ROUNDS]; int bits; } order;   /* bits: half of the cipher's */

order    order_of(uint64_t n, uint64_t seed, uint64_t epoch);   /* n >= 1 */
uint64_t order_at(const order *o, uint64_t i);                  /* i < n; so is the answer */

#endif
