/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a job's output may be written where its user says: asked before any work, by every command in one way. */
#ifndef BASE_OUTPUT_H
#define BASE_OUTPUT_H

#include <stdbool.h>

typedef struct {
    bool folder;                     /* a folder is made, not a file */
    bool force;                      /* what is there may be overwritten */
    const char *const *inputs;       /* paths, NULLs among them: never written, forced or not */
    int n_inputs;
    bool apart;                      /* nor may it lie in an input that is a folder, or hold one */
} output_rules;

/* 0. ERR_EXISTS: something is there (a link to nothing, too), and force was not said. ERR_USAGE: it is an input, a folder, a pipe; or the folder that it would
 * lie in is not there, or can't be written. */
int output_refuse(const char *path, const output_rules *rules);

/* Whether `path`, or the folder that it would be made in, is the folder `root` or lies below it. False if they are not there. */
bool output_lies_in(const char *path, const char *root);

#endif
