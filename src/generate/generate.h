/* SPDX-License-Identifier: Apache-2.0
 *
 * The job: from photos (or maps, or landmarks) and prompts to pictures. */
#ifndef GENERATE_GENERATE_H
#define GENERATE_GENERATE_H

#include <stdbool.h>

#include "base/cpu.h"
#include "face/face.h"
#include "generate/job_line.h"
#include "image/image.h"
#include "mien.h"

typedef mien_generate_options generate_options;
typedef mien_generate_result generate_result;

/* Whether the base makes its pictures alone: the options name no ControlNet and nothing that a map could be made of. */
bool generate_is_alone(const generate_options *options);
/* The one job that options are, or what a batch's lines begin with. */
generate_job generate_defaults(const generate_options *options);

/* Who says how far a picture is from the faces that it was to show (eval/ stands above this room). */
typedef struct {
    /* The faces of a map that is there; ERR_USAGE, with the reason, if they are not known. The caller frees out->face. */
    int (*wanted)(void *context, const char *map, faces *out);
    /* wanted: in fractions of the picture. The caller frees out->face. */
    int (*judge)(void *context, const faces *wanted, const image *picture, mien_judgement *out);
    void *context;
} generate_judge;

/* The options make sense: mien_generate has looked. cpu: theirs, as a level. judge: where they ask for a check, else NULL. *result may be NULL. */
int generate_run(const generate_options *options, cpu_level cpu, const generate_judge *judge, generate_result *result);

#endif
