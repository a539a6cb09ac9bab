/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers that follow from the step alone, so that a resumed run has them to the bit: learning rates, the decay of the
 * weights' average, and the loss as it is shown. */
#ifndef TRAIN_RATES_H
#define TRAIN_RATES_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { RATE_CONSTANT, RATE_LINEAR, RATE_COSINE, RATE_SHAPES } rate_shape;
extern const char *const rate_names[RATE_SHAPES + 1];     /* "constant", "linear", "cosine"; NULL ends them */

typedef struct {
    rate_shape shape;
    double base;                     /* the highest */
    double floor;                    /* what LINEAR and COSINE end with, as a part of base: 0..1 */
    uint64_t warmup;                 /* steps over which it rises from base/warmup to base; 0: none */
    uint64_t steps;                  /* of the run; behind it the last one's rate stays */
} rate_schedule;

/* The rate of a step, from 1. Step `warmup` is the first with base; the last step's is base * floor exactly. */
double rate_at(const rate_schedule *s, uint64_t step);

/* The decay by which the average of the weights takes step `step` (from 1) in: (1 + n) / (10 + n) with n steps before
 * this one, at most `most`, so that the average forgets what it began with (Tensorflow's ExponentialMovingAverage,
 * num_updates). */
double average_decay(double most, uint64_t step);

/* An exponential mean that knows how little it has seen: zeroed is ready. Plain data, kept in checkpoints. */
typedef struct { double sum, weight; } smooth;
void   smooth_add(smooth *s, double x, double decay);     /* decay as 0.98: about the last 50 count */
double smooth_value(const smooth *s);                     /* NaN before the first */

#endif
