/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run's folder is, or something in it, in lines for a person: which kind of run, how far it is, and which file to use.
 * Nothing is locked or changed, so it may be running. */
#ifndef TRAIN_RUN_DESCRIBE_H
#define TRAIN_RUN_DESCRIBE_H

#include <stddef.h>
#include <stdint.h>

typedef void run_line(void *context, const char *text);

/* Text from outside in the lines is not escaped. Both: 1; 0: it is nothing of a run; ERR_*. */
int run_describe_folder(const char *path, run_line *line, void *context);      /* RUN, or a checkpoint in it */
/* settings.json, log.jsonl or checkpoint.json by what is in it: hostile bytes. */
int run_describe_file(const char *path, const uint8_t *data, size_t size, run_line *line, void *context);

#endif
