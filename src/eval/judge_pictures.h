/* SPDX-License-Identifier: Apache-2.0
 *
 * The job: some pictures against one set of wanted faces. */
#ifndef EVAL_JUDGE_PICTURES_H
#define EVAL_JUDGE_PICTURES_H

#include "eval/summary.h"

typedef mien_judge_options judge_options;

/* *result and *total may be NULL. 0 if it came to its end, though pictures failed. */
int judge_pictures(const face_mesh *mesh, const judge_options *options, mien_progress *result, summary *total);

#endif
