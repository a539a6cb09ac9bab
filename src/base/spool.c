/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

enum { WINDOW = 1 << 16 };

/* What is appended waits in `tail`; what is read comes through `head`, so that a walk in order costs few calls. */
struct spool {
    int fd;
    uint64_t flushed;              /* bytes in the file; the tail follows them */
    size_t tail_used, head_used;
    uint64_t head_at;
    uint8_t tail[WINDOW], head[WINDOW];
    char folder[];
};

int spool_new(const char *folder, spool **out) {
    char name[PATH_MAX];
    int n = snprintf(name, sizeof name, "%s/.inputs.mien-tmp-%ld-0", folder, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof name) return error_set(ERR_IO, "%s: the path is too long", folder);
    spool *s = malloc(sizeof *s + strlen(folder) + 1);
    if (!s) return error_memory(sizeof *s);
    unlink(name);                  /* left behind by an earlier process of our number */
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        free(s);
        return error_errno("%s", folder);
    }
    unlink(name);
    s->fd = fd;
    s->flushed = s->head_at = 0;
    s->tail_used = s->head_used = 0;
    strcpy(s->folder, folder);
    *out = s;
    return 0;
}

void spool_free(spool *s) {
    if (!s) return;
    close(s->fd);
    free(s);
}

uint64_t spool_size(const spool *s) { return s->flushed + s->tail_used; }

static int write_at(spool *s, uint64_t place, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t n = pwrite(s->fd, data, size, (off_t)place);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_errno("%s: the list of inputs", s->folder);
        data += n;
        place += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static int flush(spool *s) {
    int rc = write_at(s, s->flushed, s->tail, s->tail_used);
    if (rc < 0) return rc;
    s->flushed += s->tail_used;
    s->tail_used = 0;
    return 0;
}

int spool_append(spool *s, const void *data, size_t size, uint64_t *place) {
    assert(size <= WINDOW);
    int rc = size > WINDOW - s->tail_used ? flush(s) : 0;
    if (rc < 0) return rc;
    if (place) *place = spool_size(s);
    memcpy(s->tail + s->tail_used, data, size);
    s->tail_used += size;
    return 0;
}

int spool_align(spool *s, size_t multiple) {
    static const char zeros[64];
    size_t rest = (size_t)(spool_size(s) % multiple);
    return rest ? spool_append(s, zeros, multiple - rest, NULL) : 0;
}

/* Fills the head from `place` on, up to what was flushed. */
static int look(spool *s, uint64_t place) {
    size_t used = 0, want = s->flushed - place < WINDOW ? (size_t)(s->flushed - place) : WINDOW;
    while (used < want) {
        ssize_t n = pread(s->fd, s->head + used, want - used, (off_t)(place + used));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_errno("%s: the list of inputs", s->folder);
        if (n == 0) return error_set(ERR_IO, "%s: the list of inputs has shrunk", s->folder);
        used += (size_t)n;
    }
    s->head_at = place;
    s->head_used = used;
    return 0;
}

int spool_read(spool *s, uint64_t place, void *data, size_t size) {
    assert(size <= WINDOW && place + size <= spool_size(s));
    if (place >= s->flushed) {
        memcpy(data, s->tail + (place - s->flushed), size);
        return 0;
    }
    int rc = place + size > s->flushed ? flush(s) : 0;
    if (rc == 0 && (place < s->head_at || place + size > s->head_at + s->head_used)) rc = look(s, place);
    if (rc == 0) memcpy(data, s->head + (place - s->head_at), size);
    return rc;
}

int spool_change(spool *s, uint64_t place, const void *data, size_t size) {
    assert(place + size <= spool_size(s));
    if (place >= s->flushed) {
        memcpy(s->tail + (place - s->flushed), data, size);
        return 0;
    }
    int rc = place + size > s->flushed ? flush(s) : 0;
    if (rc == 0) rc = write_at(s, place, data, size);
    s->head_used = 0;   /* it may have shown the old bytes */
    return rc;
}
