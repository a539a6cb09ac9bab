/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a journal. (Reading and merging: journal_read.c.) */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "data/journal_inside.h"

struct journal {
    int fd;
    bool torn;                 /* bytes behind `size` that could not be cut off yet */
    off_t size;
    uint64_t lines;            /* appended */
    char path[PATH_MAX];
};

void journal_head(const char *kind, text *out) { text_printf(out, "{\"format\":%d,\"kind\":\"%s\"}", JOURNAL_FORMAT, kind); }

static int path_of(const char *folder, const char *kind, int part, int parts, char out[PATH_MAX]) {
    int n = parts > 0 ? snprintf(out, PATH_MAX, "%s/%s.%d-of-%d.jsonl", folder, kind, part, parts)
                      : snprintf(out, PATH_MAX, "%s/%s.jsonl", folder, kind);
    return n < 0 || n >= PATH_MAX ? error_set(ERR_IO, "%s: the path is too long", folder) : 0;
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

static int open_file(journal *j, struct stat *st) {
    j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (j->fd < 0 && errno == ELOOP) return error_set(ERR_IO, "%s: is a link", j->path);
    if (j->fd < 0 || fstat(j->fd, st) < 0) return error_errno("%s", j->path);
    return S_ISREG(st->st_mode) ? 0 : error_set(ERR_IO, "%s: is not a regular file", j->path);
}

/* The size up to the end of the last whole line: 0 if there is none. */
static int whole_lines(journal *j, off_t size, off_t *out) {
    char block[1 << 14];
    while (size > 0) {
        size_t n = size < (off_t)sizeof block ? (size_t)size : sizeof block;
        ssize_t got = pread(j->fd, block, n, size - (off_t)n);
        if (got < 0 || (size_t)got != n) return error_errno("%s", j->path);
        const char *end = memrchr(block, '\n', n);
        if (end) {
            *out = size - (off_t)n + (end - block) + 1;
            return 0;
        }
        size -= (off_t)n;
    }
    *out = 0;
    return 0;
}

static int cut(journal *j) {
    j->torn = ftruncate(j->fd, j->size) < 0;
    return j->torn ? error_errno("%s", j->path) : 0;
}

static int write_line(journal *j, const char *line, size_t size) {
    int rc = j->torn ? cut(j) : 0;
    if (rc < 0) return rc;
    struct iovec part[2] = { { (void *)line, size }, { "\n", 1 } };
    size_t done = 0;
    while (done <= size) {
        ssize_t n = writev(j->fd, part, 2);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            rc = error_errno("%s", j->path);
            j->torn = true;
            if (ftruncate(j->fd, j->size) == 0) j->torn = false;   /* else before the next line */
            return rc;
        }
        done += (size_t)n;                                          /* a disk that is full but for a few bytes takes these first */
        size_t head = done < size ? done : size;
        part[0] = (struct iovec){ (char *)line + head, size - head };
        part[1].iov_len = done <= size;
    }
    j->size += (off_t)size + 1;
    return 0;
}

static int begin(journal *j, const char *kind) {
    text head = { 0 };
    journal_head(kind, &head);
    int rc = text_check(&head);
    j->size = 0;
    if (rc == 0) rc = cut(j);
    if (rc == 0) rc = write_line(j, head.data, head.size);
    text_free(&head);
    return rc;
}

static int check_head(journal *j, const char *kind) {
    stream *r;
    int rc = stream_open(j->path, &r);
    if (rc < 0) return rc;
    rc = journal_check_head(r, kind);
    stream_close(r);
    return rc;
}

/* A merge that was killed has left this part's journal, whose lines are in the merged one: 1. */
static int was_merged(const char *folder, const char *kind, const char *path) {
    journal_merged merged;
    int rc = journal_merged_load(folder, kind, &merged);
    if (rc == 0) rc = journal_merged_has(&merged, path);
    journal_merged_free(&merged);
    return rc;
}

static int prepare(journal *j, const char *folder, const char *kind, bool of_part) {
    struct stat st;
    int rc = open_file(j, &st);
    if (rc == 0) rc = check_head(j, kind);
    if (rc <= 0) return rc < 0 ? rc : begin(j, kind);
    rc = of_part ? was_merged(folder, kind, j->path) : 0;
    if (rc != 0) return rc < 0 ? rc : begin(j, kind);
    rc = whole_lines(j, st.st_size, &j->size);
    return rc == 0 && j->size < st.st_size ? cut(j) : rc;
}

int journal_open(const char *folder, const char *kind, int part, int parts, journal **out) {
    journal *j = malloc(sizeof *j);
    if (!j) return error_memory(sizeof *j);
    *j = (journal){ .fd = -1 };
    int rc = path_of(folder, kind, part, parts, j->path);
    if (rc == 0) rc = prepare(j, folder, kind, parts > 0);
    if (rc < 0) journal_close(j);
    else *out = j;
    return rc;
}

int journal_append(journal *j, const text *line) {
    int rc = text_check(line);
    if (rc < 0) return rc;
    assert(line->size && !memchr(line->data, '\n', line->size));
    if (line->size > JOURNAL_LINE) return error_set(ERR_LIMIT, "%s: a line of %zu bytes", j->path, line->size);
    rc = write_line(j, line->data, line->size);
    j->lines += rc == 0;
    return rc;
}

uint64_t journal_lines(const journal *j) { return j->lines; }

void journal_close(journal *j) {
    if (!j) return;
    if (j->fd >= 0) close(j->fd);
    free(j);
}
