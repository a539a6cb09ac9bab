/* SPDX-License-Identifier: Apache-2.0
 *
 * A file, or standard input, read in order: as bytes or as lines. Memory is a block and the longest line. */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct stream stream;

/* A file, a FIFO, or "-" for standard input. ERR_IO, also for a folder. */
int  stream_open(const char *path, stream **out);
/* A regular file only: what else may lie in a folder would hold us up, or never end. */
int  stream_open_file(const char *path, stream **out);
/* Bytes in memory, which must live as long; `name` is what errors call them. */
int  stream_open_memory(const char *name, const void *data, size_t size, stream **out);
void stream_close(stream *r);

/* How many bytes were put in buffer[size]: 0 at the end, or ERR_IO; ERR_CANCELLED if a signal ended the wait for them. */
long stream_read(stream *r, void *buffer, size_t size);
/* What comes next, up to 64 KB, without taking it: less at the end only. */
int  stream_peek(stream *r, const uint8_t **data, size_t *size);

/* A line without its end, be that LF or CR LF; it is terminated and holds until the next call, and may have NULs inside. */
typedef struct {
    char *text;
    size_t size;
    bool ended, cr;            /* not ended: a last line that has no end; cr: it ended with CR LF */
} stream_text;
/* 1; 0 at the end; ERR_LIMIT for one longer than `most`, of which nothing is kept: the next call gives the one after it. */
int  stream_line(stream *r, size_t most, stream_text *out);

const char *stream_name(const stream *r);        /* for messages */
uint64_t stream_bytes(const stream *r);          /* taken so far */
uint64_t stream_lines(const stream *r);          /* given so far, those too long as well: the last one's number, from 1 */

#endif
