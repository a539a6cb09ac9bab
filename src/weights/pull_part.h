/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fetch leaves on disk: the part that has come, and two small JSON files, of the part and of the whole. */
#ifndef WEIGHTS_PULL_PART_H
#define WEIGHTS_PULL_PART_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum { PULL_PATH = PATH_MAX };

typedef struct {
    char whole[PULL_PATH], part[PULL_PATH], state[PULL_PATH], record[PULL_PATH];
    int fd;                          /* of the part; locked. -1: none */
} pull_paths;

/* Of what the part is. Empty strings: not known. */
typedef struct {
    char url[8200], etag[128], sha256[65];
    uint64_t total;                  /* 0: not known */
} pull_state;

int  pull_paths_make(const char *folder, const char *file, pull_paths *out);
/* Opens the part, made if needed; ERR_EXISTS if another process has it. */
int  pull_part_open(pull_paths *p);
void pull_part_close(pull_paths *p);
int  pull_part_size(const pull_paths *p, uint64_t *size);
int  pull_part_cut(const pull_paths *p);                         /* to nothing */

/* What was written of the part, or of the whole (record). false: nothing, or nothing that can be used. */
bool pull_state_read(const char *path, pull_state *out);
/* the last two may be NULL */
int  pull_state_write(const char *path, const pull_state *s, const char *licence, const char *licence_url);

#endif
