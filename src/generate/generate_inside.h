/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the job: what one command's pictures share, and what each control map's have. */
#ifndef GENERATE_GENERATE_INSIDE_H
#define GENERATE_GENERATE_INSIDE_H

#include <limits.h>

#include "generate/control_map.h"
#include "generate/engine.h"
#include "generate/generate.h"
#include "generate/job_line.h"
#include "generate/parameters.h"

enum { COUNT_PICTURES, COUNT_CONTROL_STEPS, COUNTS };

typedef struct {
    const generate_options *o;
    cpu_level cpu;
    const generate_judge *judge;   /* NULL: nothing is checked */
    engine *e;
    map_maker maps;
    char base_hash[11], control_hash[11];
    generate_result result;
    size_t step_room;              /* of result.steps */
    mien_progress progress;
    double begin;
    bool no_previews;              /* one could not be written */
} generator;

/* A job with all that can be known before the UNet is there. */
typedef struct {
    generate_job j;
    char label[64];                /* of a batch: "line 3"; else "" */
    char path[PATH_MAX];           /* of its first picture; "": it is not written */
    control_map map;
    text prompt;                   /* with what is added */
    int steps;                     /* of its sampler */
    engine_shape shape;
    long long seed;                /* of its first picture */
    int writes;                    /* of j.count pictures so many are written: all, or the best of them */
    bool *there;                   /* [writes]: which of these are there already */
    int missing;                   /* how many are to be made: of a job that keeps the best, all or none */
} prepared_job;

void generate_say(generator *g, mien_log_kind kind, const char *path, const char *message);
void generate_tell(generator *g);                     /* progress */

int  generate_writes(const generate_options *o, const generate_job *j);   /* how many of a job's pictures are written */

/* j.path and j.label are set, and the job's own. batch: pictures that are there may be its own. */
int  prepare_job(generator *g, prepared_job *p, bool batch);
void prepared_free(prepared_job *p);
int  prepared_pictures(const prepared_job *p);        /* that are to be written */
uint64_t prepared_steps(const prepared_job *p);       /* of the pictures that are missing */
/* Its texts are encoded. last: nothing comes after it. */
int  run_job(generator *g, prepared_job *p, bool last);
/* The texts of n jobs. */
int  encode_jobs(generator *g, prepared_job *const jobs[], size_t n);

int  batch_run(generator *g);

#endif
