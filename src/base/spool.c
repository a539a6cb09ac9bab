/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

enum { BUFFER = 1 << 16 };   /* what is written in order, or read in order, costs few calls */

struct spool {
    FILE *file;
    uint64_t size, at;             /* at: where the file is */
    bool writing;
    char folder[];
};

/* Without a name where the file system can; else it has one for a moment, and a process that is killed in it leaves it. */
static int open_unlinked(const char *folder) {
    char name[PATH_MAX];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
    int n = snprintf(name, sizeof name, "%s/.spool.mien-tmp-%ld-0", folder, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof name) return errno = ENAMETOOLONG, -1;
    unlink(name);                  /* left behind by an earlier process of our number */
    fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) unlink(name);
    return fd;
}

int spool_new(const char *folder, spool **out) {
    spool *s = calloc(1, sizeof *s + strlen(folder) + 1);
    if (!s) return error_memory(sizeof *s);
    strcpy(s->folder, folder);
    int fd = open_unlinked(folder), rc = 0;
    if (fd < 0 || !(s->file = fdopen(fd, "w+"))) rc = error_errno("%s", folder);
    if (rc < 0) {
        if (fd >= 0) close(fd);
        free(s);
        return rc;
    }
    setvbuf(s->file, NULL, _IOFBF, BUFFER);
    *out = s;
    return 0;
}

void spool_free(spool *s) {
    if (!s) return;
    fclose(s->file);
    free(s);
}

uint64_t spool_size(const spool *s) { return s->size; }

static int failed(spool *s) {
    s->at = UINT64_MAX;            /* nobody knows */
    return error_errno("%s: what is set aside there", s->folder);
}

/* Between reading and writing stdio wants to be told where, even if it is there. */
static int go_to(spool *s, uint64_t place, bool writing) {
    if (s->at == place && s->writing == writing) return 0;
    if (fseeko(s->file, (off_t)place, SEEK_SET) < 0) return failed(s);
    s->at = place;
    s->writing = writing;
    return 0;
}

static int write_at(spool *s, uint64_t place, const void *data, size_t size) {
    int rc = go_to(s, place, true);
    if (rc == 0 && fwrite(data, 1, size, s->file) != size) rc = failed(s);
    if (rc == 0) s->at += size;
    return rc;
}

int spool_append(spool *s, const void *data, size_t size, uint64_t *place) {
    int rc = write_at(s, s->size, data, size);
    if (rc < 0) return rc;
    if (place) *place = s->size;
    s->size += size;
    return 0;
}

int spool_align(spool *s, size_t multiple) {
    static const char zeros[64];
    size_t rest = (size_t)(s->size % multiple);
    return rest ? spool_append(s, zeros, multiple - rest, NULL) : 0;
}

int spool_flush(spool *s) { return fflush(s->file) == 0 ? 0 : failed(s); }

void spool_cut(spool *s, uint64_t size) {
    assert(size <= s->size);
    __fpurge(s->file);
    clearerr(s->file);
    s->at = UINT64_MAX;
    s->size = size;
}

int spool_read(spool *s, uint64_t place, void *data, size_t size) {
    assert(place + size <= s->size);
    int rc = go_to(s, place, false);
    if (rc < 0) return rc;
    if (fread(data, 1, size, s->file) != size)
        return ferror(s->file) ? failed(s) : error_set(ERR_IO, "%s: what was set aside there has shrunk", s->folder);
    s->at += size;
    return 0;
}

int spool_change(spool *s, uint64_t place, const void *data, size_t size) {
    assert(place + size <= s->size);
    return write_at(s, place, data, size);
}
