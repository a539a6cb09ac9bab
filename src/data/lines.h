/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of lines written anew without some of them: what stays, stays byte for byte. */
#ifndef DATA_LINES_H
#define DATA_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "base/hash.h"

enum { LINES_MOST = (1 << 20) + 1 };

typedef struct {
    file_writer *to;               /* NULL: nothing is written, only counted */
    sha256_state was, is;          /* of what was read and written, for whoever wants them */
    uint64_t lines, dropped;
} lines_copy;

void lines_begin(lines_copy *c, file_writer *to);
int  lines_write(lines_copy *c, const void *data, size_t size);

/* A line without its newline, numbered from 0; of one longer than LINES_MOST only the beginning. 1: it stays; 0: it doesn't, and what
 * is to stand in its place was written; or ERR_*. */
typedef int lines_take(void *context, uint64_t number, const char *text, size_t size);
int  lines_filter(lines_copy *c, int fd, const char *name, lines_take *take, void *context);

/* Bytes as they are, all of the file. */
int  lines_append_file(lines_copy *c, int fd, const char *name);

#endif
