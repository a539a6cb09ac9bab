/* SPDX-License-Identifier: Apache-2.0 
 *
 * What check_ops tries: of each operation that a kernel computes, random graphs of one node. */
#ifndef TESTS_OP_CASES_H
#define TESTS_OP_CASES_H

#include "trial.h"

typedef struct { const op *op; tensor *(*make)(trial *t); } op_case;      /* make: of numbers that t->r draws */

extern const op_case op_cases[];
extern const int op_cases_count;

#endif
