/* SPDX-License-Identifier: Apache-2.0
 *
 * Many pictures' judgements in a few numbers, each with its interval. */
#ifndef EVAL_SUMMARY_H
#define EVAL_SUMMARY_H

#include "eval/judge.h"
#include "eval/statistics.h"

/* One picture. Pictures of one cluster (of one map) are no independent witnesses. */
typedef struct {
    uint64_t cluster;
    int wanted, found, matched;
    double error[ERRORS];            /* the means over its matched faces */
} summary_item;

typedef mien_summary summary;

summary_item summary_item_of(const judgement *j, uint64_t cluster);
/* ERR_MEMORY. */
int summarize(const summary_item *item, size_t n, const bootstrap *how, summary *out);

#endif
