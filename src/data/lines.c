/* SPDX-License-Identifier: Apache-2.0 */
#include "data/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

enum { CHUNK = 1 << 16 };

/* Of the line that is being read: nothing is known yet; it is written as it comes; it is not. */
typedef enum { HELD, PASSED, DROPPED } fate;

typedef struct {
    lines_copy *copy;
    lines_take *take;
    void *context;
    char *line;
    size_t size;
    fate fate;
} filter;

void lines_begin(lines_copy *c, file_writer *to) {
    *c = (lines_copy){ .to = to };
    sha256_begin(&c->was);
    sha256_begin(&c->is);
}

int lines_write(lines_copy *c, const void *data, size_t size) {
    sha256_add(&c->is, data, size);
    return c->to ? file_write(c->to, data, size) : 0;
}

static int decide(filter *f) {
    int rc = f->take(f->context, f->copy->lines, f->line, f->size);
    if (rc < 0) return rc;
    f->fate = rc ? PASSED : DROPPED;
    f->copy->dropped += !rc;
    return rc ? lines_write(f->copy, f->line, f->size) : 0;
}

/* A piece of a line, without its end. */
static int add_piece(filter *f, const char *data, size_t size) {
    int rc = 0;
    if (f->fate == HELD) {
        size_t n = size < LINES_MOST - f->size ? size : LINES_MOST - f->size;
        memcpy(f->line + f->size, data, n);
        f->size += n;
        data += n;
        size -= n;
        if (size) rc = decide(f);
    }
    return rc == 0 && size && f->fate == PASSED ? lines_write(f->copy, data, size) : rc;
}

static int end_line(filter *f, bool newline) {
    int rc = f->fate == HELD ? decide(f) : 0;
    if (rc == 0 && newline && f->fate == PASSED) rc = lines_write(f->copy, "\n", 1);
    f->copy->lines++;
    f->size = 0;
    f->fate = HELD;
    return rc;
}

static int add_chunk(filter *f, const char *chunk, size_t n) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n;) {
        const char *end = memchr(chunk + i, '\n', n - i);
        size_t to = end ? (size_t)(end - chunk) : n;
        rc = add_piece(f, chunk + i, to - i);
        if (rc == 0 && end) rc = end_line(f, true);
        i = end ? to + 1 : n;
    }
    return rc;
}

static ssize_t read_chunk(lines_copy *c, int fd, const char *name, char chunk[CHUNK]) {
    ssize_t n;
    while ((n = read(fd, chunk, CHUNK)) < 0 && errno == EINTR) {}
    if (n < 0) return error_errno("%s", name);
    sha256_add(&c->was, chunk, (size_t)n);
    return n;
}

int lines_filter(lines_copy *c, int fd, const char *name, lines_take *take, void *context) {
    char *chunk = malloc(CHUNK), *line = malloc(LINES_MOST + 1);
    filter f = { c, take, context, line, 0, HELD };
    int rc = chunk && line ? 0 : error_memory(CHUNK + LINES_MOST);
    bool inside = false;
    for (ssize_t n; rc == 0 && (n = read_chunk(c, fd, name, chunk)) != 0;) {
        rc = n < 0 ? (int)n : add_chunk(&f, chunk, (size_t)n);
        inside = n > 0 && chunk[n - 1] != '\n';
    }
    if (rc == 0 && inside) rc = end_line(&f, false);
    free(line);
    free(chunk);
    return rc;
}

int lines_append_file(lines_copy *c, int fd, const char *name) {
    char *chunk = malloc(CHUNK);
    int rc = chunk ? 0 : error_memory(CHUNK);
    for (ssize_t n; rc == 0 && (n = read_chunk(c, fd, name, chunk)) != 0;) rc = n < 0 ? (int)n : lines_write(c, chunk, (size_t)n);
    free(chunk);
    return rc;
}
