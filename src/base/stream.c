/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

enum { BLOCK = 1 << 16 };

struct stream {
    int fd;                        /* -1: `block` is the caller's memory */
    bool own_fd, end;
    const uint8_t *block;
    uint8_t *own;                  /* the block's memory */
    size_t at, used;
    uint64_t bytes, lines;
    text line;
    char name[];
};

static stream *new_stream(const char *name) {
    stream *r = calloc(1, sizeof *r + strlen(name) + 1);
    if (r) strcpy(r->name, name);
    else error_memory(sizeof *r + strlen(name) + 1);
    return r;
}

int stream_open_memory(const char *name, const void *data, size_t size, stream **out) {
    stream *r = new_stream(name);
    if (!r) return ERR_MEMORY;
    *r = (stream){ .fd = -1, .end = true, .block = data, .used = size };
    strcpy(r->name, name);
    *out = r;
    return 0;
}

static int open_stream(const char *path, bool standard, bool file, stream **out) {
    stream *r = new_stream(standard ? "standard input" : path);
    if (!r) return ERR_MEMORY;
    r->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | (file ? O_NONBLOCK : 0));
    r->own_fd = !standard && r->fd >= 0;
    struct stat st;
    int rc = r->fd < 0 || fstat(r->fd, &st) < 0 ? error_errno("%s", r->name) : 0;
    if (rc == 0 && S_ISDIR(st.st_mode)) rc = error_set(ERR_IO, "%s: is a folder", r->name);
    else if (rc == 0 && file && !S_ISREG(st.st_mode)) rc = error_set(ERR_IO, "%s: is not a regular file", r->name);
    if (rc == 0 && !(r->block = r->own = malloc(BLOCK))) rc = error_memory(BLOCK);
    if (rc < 0) stream_close(r);
    else *out = r;
    return rc;
}

int stream_open(const char *path, stream **out) { return open_stream(path, strcmp(path, "-") == 0, false, out); }
int stream_open_file(const char *path, stream **out) { return open_stream(path, false, true, out); }

void stream_close(stream *r) {
    if (!r) return;
    if (r->own_fd) close(r->fd);
    free(r->own);
    text_free(&r->line);
    free(r);
}

/* Reads once, behind what the block still has. A block full of it is left alone. */
static int fill(stream *r) {
    if (r->end) return 0;
    r->used -= r->at;
    if (r->at && r->used) memmove(r->own, r->own + r->at, r->used);
    r->at = 0;
    if (r->used == BLOCK) return 0;
    ssize_t n = read(r->fd, r->own + r->used, BLOCK - r->used);
    if (n < 0 && errno == EINTR) return error_set(ERR_CANCELLED, "stopped");
    if (n < 0) return error_errno("%s", r->name);
    r->used += (size_t)n;
    r->end = n == 0;
    return 0;
}

static void take(stream *r, size_t n) {
    r->at += n;
    r->bytes += n;
}

long stream_read(stream *r, void *buffer, size_t size) {
    int rc = r->at == r->used ? fill(r) : 0;
    if (rc < 0) return rc;
    size_t n = r->used - r->at < size ? r->used - r->at : size;
    if (n) memcpy(buffer, r->block + r->at, n);
    take(r, n);
    return (long)n;
}

int stream_peek(stream *r, const uint8_t **data, size_t *size) {
    int rc = 0;
    while (rc == 0 && !r->end && r->used - r->at < BLOCK) rc = fill(r);
    *data = r->block + r->at;
    *size = r->used - r->at < BLOCK ? r->used - r->at : BLOCK;
    return rc;
}

int stream_line(stream *r, size_t most, stream_text *out) {
    bool ended = false, any = false, too_long = false;
    r->line.size = 0;
    while (!ended) {
        int rc = r->at == r->used ? fill(r) : 0;
        if (rc < 0) return rc;
        if (r->at == r->used) break;
        const uint8_t *from = r->block + r->at, *end = memchr(from, '\n', r->used - r->at);
        size_t n = end ? (size_t)(end - from) : r->used - r->at;
        any = true;
        ended = end;
        too_long |= n > most || r->line.size > most - n;
        char *to = too_long ? NULL : text_room(&r->line, n);
        if (to) memcpy(to, from, n), text_grown(&r->line, n);
        take(r, n + ended);
    }
    if (!any) return 0;
    r->lines++;
    if (too_long) return error_set(ERR_LIMIT, "%s: line %llu is longer than %zu bytes", r->name, (unsigned long long)r->lines, most);
    int rc = text_check(&r->line);
    if (rc < 0) return rc;
    bool cr = ended && r->line.size && r->line.data[r->line.size - 1] == '\r';
    if (cr) r->line.data[--r->line.size] = 0;
    *out = (stream_text){ r->line.data, r->line.size, ended, cr };
    return 1;
}

const char *stream_name(const stream *r) { return r->name; }
uint64_t stream_bytes(const stream *r) { return r->bytes; }
uint64_t stream_lines(const stream *r) { return r->lines; }
