/* SPDX-License-Identifier: Apache-2.0
 *
 * Which found face answers which wanted one: the assignment with the least sum of measure_distance, in which a wanted face
 * without an answer costs `most`, and none is answered by a face farther than that (Kuhn 1955; Munkres 1957). */
#ifndef EVAL_MATCH_H
#define EVAL_MATCH_H

#include "face/face.h"

/* 1: a face that is one inter-ocular distance off in the mean, about half its width, is another one. */
extern const double match_most;

/* pair[i]: the number of the found face that answers wanted face i, or -1; room for wanted->count. Returns how many are answered,
 * or ERR_MEMORY. */
int match_faces(const faces *wanted, const faces *found, double most, int *pair);
/* The same by distances [n][m], row by row. */
int match_distances(const double *distance, int n, int m, double most, int *pair);

#endif
