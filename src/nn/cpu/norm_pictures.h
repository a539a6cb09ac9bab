/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures [N,...,C] whose groups of channels are normalised together: how they are cut for threads, and their moments. For group_norm and
 * its gradient. */
#ifndef NN_CPU_NORM_PICTURES_H
#define NN_CPU_NORM_PICTURES_H

#include "nn/cpu/operand.h"

typedef struct {
    const loops *l;
    const void *x, *addend;      /* addend: NULL, or [1 or pictures][channels] to be added to x */
    nn_type type, addend_type;
    size_t pictures, pixels, channels, groups;
    size_t addend_step;          /* elements from picture to picture */
    size_t parts;                /* of a picture: a thread each */
    float epsilon;
    double *moments;             /* [picture][part][mean, squares][channels] */
} norm_pictures;

/* pictures, pixels, channels, parts. */
void   norm_cut(norm_pictures *p, const kernel_step *s, nn_shape x);
size_t norm_moments_bytes(const norm_pictures *p);
size_t norm_part_begin(const norm_pictures *p, size_t part);

/* The moments of one part's channels. work: 3 channels. */
void norm_gather(const norm_pictures *p, size_t picture, size_t part, float *work);

/* Of the channels [first, last) of a picture together, when all its parts are gathered: mean, and 1 / sqrt(variance + epsilon). */
typedef struct { double mean, factor; } group_moments;
group_moments norm_group(const norm_pictures *p, size_t picture, size_t first, size_t last);

/* (x + addend - mean) factor gamma + beta, as (x - centre) scale + shift with an f32 centre; shift takes up what it lacks. */
void norm_vectors(const norm_pictures *p, size_t picture, size_t first, size_t last, group_moments m, const float *gamma, const float *beta, float *centre, float *scale,
                  float *shift);

/* Bytes of an operand of C numbers that must be widened to f32; 0 if it is f32. */
size_t norm_vector_bytes(const tensor *t);

#endif
