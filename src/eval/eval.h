/* SPDX-License-Identifier: Apache-2.0
 *
 * The job: pictures of a data set's items, the faces in them found again, and a report on how far they are from those that were
 * wanted.
 *
 *     REPORT/settings.json              what the results follow from (eval/eval_settings.h)
 *     REPORT/eval.jsonl                 a line a picture (eval/eval_record.h); eval.I-of-N.jsonl of a part
 *     REPORT/pictures/                  000012-anna-control-7.png, ...-free-7.png, ...-photo.png
 *     REPORT/report.json, report.html   once all is measured */
#ifndef EVAL_EVAL_H
#define EVAL_EVAL_H

#include "base/cpu.h"
#include "mien.h"

typedef mien_eval_options eval_options;
typedef mien_eval_result eval_result;

/* The options make sense: mien_eval has looked. cpu: theirs, as a level. */
int eval_run(const eval_options *options, cpu_level cpu, eval_result *result);

#endif
