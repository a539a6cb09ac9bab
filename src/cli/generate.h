/* SPDX-License-Identifier: Apache-2.0
 *
 * mien generate: its command line (generate.c), and how its work shows itself (generate_show.c). */
#ifndef CLI_GENERATE_H
#define CLI_GENERATE_H

#include <stdbool.h>

#include "cli/cli.h"
#include "mien.h"

typedef struct {
    common_options common;
    mien_generate_options job;
    const char *like;
    double confidence;
    int sampler, rng, size[2], search, dtype, prediction;   /* dtype: -1 if it was not said */
} generate_arguments;

bool generate_is_png(const char *path);
/* like_note: what --like could not take over, or NULL. Returns the exit status. */
int  generate_job_run(generate_arguments *a, const char *like_note, double begin);

#endif
