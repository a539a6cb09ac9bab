/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as text, the same in every locale and on every machine. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stddef.h>

enum { NUMBER_TEXT = 32 };   /* room for any of them, the terminator included */

/* What printf("%.9g") writes in the C locale: 9 significant digits, so that reading it back gives the same float. Six
 * times as fast. Returns the length. */
size_t number_f32(char out[NUMBER_TEXT], float x);

/* The fewest digits (up to 9 for a float, 17 for a double) that read back as the same number: 0.1 stays "0.1". */
size_t number_shortest_f32(char out[NUMBER_TEXT], float x);
size_t number_shortest_f64(char out[NUMBER_TEXT], double x);

#endif
