/* SPDX-License-Identifier: Apache-2.0
 *
 * A hostile tar file is looked through; each member is found again from its own place, as it was. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/archive.h"

typedef struct { const tar_library *library; int fd; size_t size; uint64_t last; } job;

static int same(void *context, const tar_member *m) {
    const tar_member *want = context;
    if (m->at != want->at || m->offset != want->offset || m->size != want->size || strcmp(m->name, want->name) != 0) abort();
    return 1;
}

static int look(void *context, const tar_member *m) {
    job *j = context;
    if (m->offset < m->at + 512 || m->at + 1 <= j->last) abort();
    if (!m->wrong && (m->offset > j->size || m->size > j->size - m->offset || !*m->name || *m->name == '/')) abort();
    j->last = m->at + 1;
    tar_scan(j->library, j->fd, "again", m->at, same, (void *)m, NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    job j = { .size = size };
    tar_library *library;
    j.fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (j.fd < 0 || write(j.fd, data, size) != (ssize_t)size) abort();
    if (tar_library_open(&library) < 0) abort();
    j.library = library;
    uint64_t end;
    tar_scan(library, j.fd, "fuzz", 0, look, &j, &end);
    tar_library_close(library);
    close(j.fd);
    return 0;
}
