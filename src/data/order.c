/* SPDX-License-Identifier: Apache-2.0 */
#include "data/order.h"

#include <assert.h>

static const uint64_t golden = 0x9e3779b97f4a7c15u;   /* 2^64 over the golden ratio: successive multiples lie far apart */

/* splitmix64's finisher: a bijection whose every output bit depends on all of the input's. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

order order_of(uint64_t n, uint64_t seed, uint64_t epoch) {
    assert(n);
    order o = { .n = n, .bits = 1 };
    while (o.bits < 32 && (n - 1) >> (2 * o.bits)) o.bits++;
    uint64_t state = mix(mix(seed + golden) + golden * (epoch + 1));
    for (int i = 0; i < ORDER_ROUNDS; i++) o.key[i] = mix(state + golden * (uint64_t)(i + 1));
    return o;
}

uint64_t order_at(const order *o, uint64_t i) {
    assert(i < o->n);
    uint64_t mask = ((uint64_t)1 << o->bits) - 1;
    do {
        uint64_t left = i >> o->bits, right = i & mask;
        for (int round = 0; round < ORDER_ROUNDS; round++) {
            uint64_t next = left ^ (mix(right + o->key[round]) & mask);
            left = right;
            right = next;
        }
        i = left << o->bits | right;
    } while (i >= o->n);
    return i;
}
