/* SPDX-License-Identifier: Apache-2.0
 *
 * A few items, measured by an engine that is open: how well a model that is being trained obeys by now. By the same weights the
 * same pictures as those of the job by the same options; nothing stays of it in the output folder. */
#ifndef EVAL_EVAL_FEW_H
#define EVAL_EVAL_FEW_H

#include "eval/eval.h"
#include "eval/statistics.h"
#include "generate/engine.h"

typedef struct {
    size_t items;                        /* that were measured: what cannot be used is left out */
    estimate found;                      /* wanted faces that are found at their places */
    estimate score, landmarks, gaze_x, gaze_y;
} eval_figures;

/* Of o count: data, count, seeds, only, exclude, picture (all but its size by default), redraw, models, hooks.stop. With the
 * engine's ControlNet. */
int eval_few(const eval_options *o, cpu_level cpu, engine *e, eval_figures *out);

#endif
