/* SPDX-License-Identifier: Apache-2.0
 *
 * A job: one control picture, one set of settings, one or more pictures of it. A batch file has one a line, as JSON:
 *
 *     {"photo":"a.jpg","prompt":"a portrait","seed":1,"out":"first"}
 *
 * Keys: prompt, added, negative, sampler, rng, steps, cfg, eta, strength, start, end, guess, only_mid_control, seed, size ("640x512", or 512 for the
 * short side), count, photo, map, faces, face, max_faces, allow_empty, out. What a line does not tell is as the defaults say; where these have no
 * prompt (NULL), a line must. Other keys are refused, since they would be misspelt ones. */
#ifndef GENERATE_JOB_LINE_H
#define GENERATE_JOB_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "generate/settings.h"

enum { JOB_MOST_COUNT = 10000, JOB_LINE_MOST = 1 << 20, JOB_NAME = 208 };

typedef struct {
    picture_settings how;
    const char *photo, *map, *faces;       /* one of them, or none */
    int count, face, max_faces, allow_empty;
    bool alone;                            /* none of these: the base makes it by itself, without control */
    char name[JOB_NAME];                   /* of a line: [A-Za-z0-9._-]{1,200}, without ".png"; "" if it tells none */
    json *doc;                             /* where a line's texts are */
} generate_job;

/* What is common to lines and command line: ERR_USAGE. */
int  job_check(const generate_job *j);
/* A line of hostile bytes; `name` is for messages. The texts of *defaults must live as long as *out. */
int  job_line_read(const char *name, const char *line, size_t size, const generate_job *defaults, generate_job *out);
void job_free(generate_job *j);

#endif
