/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan's profile as lines of a table, for people. */
#ifndef NN_PLAN_TEXT_H
#define NN_PLAN_TEXT_H

#include "nn/plan.h"

/* A heading, then a line for each kind of kernel: its time a run, GFLOP/s and GB/s. */
void plan_profile_tell(const plan_profile *t, const char *name, void (*line)(void *context, const char *text), void *context);

#endif
