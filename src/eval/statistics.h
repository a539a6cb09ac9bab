/* SPDX-License-Identifier: Apache-2.0
 *
 * Means, medians, rates and correlations with 95% bootstrap intervals. What is drawn again are clusters, not values: pictures of
 * one map by several seeds are no independent witnesses, so all values of a map are drawn together, or none (Davison and Hinkley
 * 1997, 3.8). Intervals are BCa (Efron 1987), with the jackknife over clusters; where that is not defined, percentiles. The same
 * values, in the same order, and the same seed give the same bits. */
#ifndef EVAL_STATISTICS_H
#define EVAL_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mien.h"

typedef struct {
    int draws;                        /* 0: 2000 */
    uint64_t seed;
    double level;                     /* 0: 0.95 */
} bootstrap;

/* low and high are NaN, too, if there is one cluster alone; n counts what is there, NaNs apart. */
typedef mien_estimate estimate;

/* n values; cluster[i] (NULL: each its own) is any number: equal ones belong together. All return 0 or ERR_MEMORY. */
int statistics_mean  (const double *x, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out);
int statistics_median(const double *x, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out);
/* Of zeroes and ones (NaN: not asked). The interval is never narrower than Wilson's (1927) of as many trials as there are
 * clusters: 500 of 500 is not "for certain". */
int statistics_rate  (const double *x, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out);
/* Of pairs, both values being there: mean(a) - mean(b), mean(a) / mean(b), Pearson's r, and the slope of y over x. */
int statistics_difference (const double *a, const double *b, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out);
int statistics_ratio      (const double *a, const double *b, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out);
int statistics_correlation(const double *x, const double *y, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out);
int statistics_slope      (const double *x, const double *y, const uint64_t *cluster, size_t n, const bootstrap *how, estimate *out);

/* Whether the intervals have a value in common; true, too, where one is not known. */
bool statistics_overlap(const estimate *a, const estimate *b);

#endif
