/* SPDX-License-Identifier: Apache-2.0
 *
 * What a picture looks like, in 64 bits: of 8 rows of 9 fields of mean grey, which fields are brighter than their left
 * neighbours. Scaled and recompressed copies differ in few bits or in none. */
#ifndef DATA_PICTURE_HASH_H
#define DATA_PICTURE_HASH_H

#include "image/image.h"

/* Two pictures of at most so many different bits are near-duplicates. */
enum { PICTURE_HASH_NEAR = 3 };

/* False if the picture is too plain to say: it would look like every other plain one. */
bool picture_hash(const image *img, uint64_t *out);

#endif
