/* SPDX-License-Identifier: Apache-2.0
 *
 * The job: from photos (or maps, or landmarks) and prompts to pictures. */
#ifndef GENERATE_GENERATE_H
#define GENERATE_GENERATE_H

#include "base/cpu.h"
#include "generate/job_line.h"
#include "mien.h"

typedef mien_generate_options generate_options;
typedef mien_generate_result generate_result;

/* The one job that options are, or what a batch's lines begin with. */
generate_job generate_defaults(const generate_options *options);

/* The options make sense: mien_generate has looked. cpu: theirs, as a level. *result may be NULL. */
int generate_run(const generate_options *options, cpu_level cpu, generate_result *result);

#endif
