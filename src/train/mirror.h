/* SPDX-License-Identifier: Apache-2.0
 *
 * A caption of a mirrored picture: "left" and "right" change places. */
#ifndef TRAIN_MIRROR_H
#define TRAIN_MIRROR_H

/* A copy, which the caller frees; NULL without memory. Whole words of ASCII letters only ("left-handed" has one,
 * "leftover" none), in the case they have: left, Left, LEFT. */
char *mirror_words(const char *caption);

#endif
