/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door to libarchive, which is opened when first needed: it brings a dozen libraries. */
#define _GNU_SOURCE
#include "base/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/archive_inside.h"
#include "base/error.h"

#define LIBRARY "libarchive.so.13"

#define FUNCTIONS(F) \
    F(error_string) F(filter_bytes) F(read_new) F(read_free) F(read_support_format_tar) F(read_set_callback_data) \
    F(read_set_read_callback) F(read_set_skip_callback) F(read_open1) F(read_next_header) F(read_header_position) \
    F(write_new) F(write_free) F(write_close) F(write_set_format_pax_restricted) F(write_set_bytes_per_block) \
    F(write_open) F(write_header) F(write_data) F(write_finish_entry) \
    F(entry_new) F(entry_free) F(entry_clear) F(entry_set_pathname) F(entry_set_size) F(entry_set_filetype) F(entry_set_perm) F(entry_set_mtime) \
    F(entry_pathname) F(entry_pathname_utf8) F(entry_filetype) F(entry_hardlink) F(entry_symlink) F(entry_size) F(entry_sparse_count)

struct tar_library {
    void *handle;
#define DECLARE(f) __typeof__(archive_##f) *f;
    FUNCTIONS(DECLARE)
};

static int find_functions(tar_library *l) {
    l->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!l->handle) return error_set(ERR_UNSUPPORTED, "libarchive is needed for tar files and cannot be opened: %s", dlerror());
#define FIND(f) \
    if (!(l->f = (__typeof__(l->f))dlsym(l->handle, "archive_" #f))) return error_set(ERR_UNSUPPORTED, LIBRARY " has no archive_" #f);
    FUNCTIONS(FIND)
    return 0;
}

int tar_library_open(tar_library **out) {
    tar_library *l = calloc(1, sizeof *l);
    int rc = l ? find_functions(l) : error_memory(sizeof *l);
    if (rc < 0) tar_library_close(l);
    else *out = l;
    return rc;
}

void tar_library_close(tar_library *l) {
    if (!l) return;
    if (l->handle) dlclose(l->handle);
    free(l);
}

/* ---- writing tar ----------------------------------------------------------------------------------------------------- */

struct tar_state {
    tar_library *library;
    struct archive *archive;
    struct archive_entry *entry;
    int rc;                        /* of what it wrote through us; the message is the thread's last one */
};

/* libarchive isn't told of a failure: it would not close what it has opened then. */
static la_ssize_t tar_put(struct archive *archive, void *context, const void *data, size_t size) {
    (void)archive;
    archive_writer *a = context;
    if (a->tar->rc == 0) a->tar->rc = archive_put(a, data, size);
    return (la_ssize_t)size;
}

static int tar_check(const archive_writer *a, la_ssize_t rc) {
    const tar_state *t = a->tar;
    if (t->rc < 0) return t->rc;
    return rc >= ARCHIVE_WARN ? 0 : error_set(ERR_IO, "libarchive: %s", t->library->error_string(t->archive));
}

static void tar_free(tar_state *t) {
    if (!t) return;
    if (t->rc == 0) t->rc = ERR_CANCELLED;   /* closing writes what is left over: to nobody */
    if (t->entry) t->library->entry_free(t->entry);
    if (t->archive) t->library->write_free(t->archive);
    tar_library_close(t->library);
    free(t);
}

static int tar_open(archive_writer *a) {
    tar_state *t = a->tar = calloc(1, sizeof *t);
    if (!t) return error_memory(sizeof *t);
    int rc = tar_library_open(&t->library);
    if (rc < 0) return rc;
    t->archive = t->library->write_new();
    t->entry = t->library->entry_new();
    if (!t->archive || !t->entry) return error_memory(1024);
    t->library->write_set_format_pax_restricted(t->archive);
    t->library->write_set_bytes_per_block(t->archive, 0);   /* we have a buffer, and want to know how much was written */
    return tar_check(a, t->library->write_open(t->archive, a, NULL, tar_put, NULL));
}

static int tar_add(archive_writer *a, const char *name, const void *data, size_t size) {
    const tar_library *l = a->tar->library;
    struct archive_entry *e = a->tar->entry;
    l->entry_clear(e);
    l->entry_set_pathname(e, name);
    l->entry_set_size(e, (la_int64_t)size);
    l->entry_set_filetype(e, AE_IFREG);
    l->entry_set_perm(e, 0644);
    l->entry_set_mtime(e, 0, 0);
    int rc = tar_check(a, l->write_header(a->tar->archive, e));
    if (rc == 0 && size) rc = tar_check(a, l->write_data(a->tar->archive, data, size));
    return rc < 0 ? rc : tar_check(a, l->write_finish_entry(a->tar->archive));
}

/* ---- archives --------------------------------------------------------------------------------------------------------- */

int archive_put(archive_writer *a, const void *data, size_t size) {
    int rc = file_write(a->file, data, size);
    if (rc == 0) a->bytes += size;
    return rc;
}

int archive_create(const char *path, archive_kind kind, archive_writer **out) {
    archive_writer *a = calloc(1, sizeof *a);
    if (!a) return error_memory(sizeof *a);
    int rc = file_create(path, &a->file);
    if (rc == 0) rc = kind == ARCHIVE_ZIP ? zip_open(path, a) : tar_open(a);
    if (rc < 0) archive_abandon(a);
    else *out = a;
    return rc;
}

int archive_add(archive_writer *a, const char *name, const void *data, size_t size) {
    return a->zip ? zip_add(a, name, data, size) : tar_add(a, name, data, size);
}

int archive_begin(archive_writer *a, const char *name) {
    assert(a->zip);
    return zip_begin(a, name);
}
int archive_write(archive_writer *a, const void *data, size_t size) { return zip_write(a, data, size); }
int archive_end(archive_writer *a) { return zip_end(a); }

uint64_t archive_bytes(const archive_writer *a) { return a->bytes; }

static void free_all(archive_writer *a) {
    zip_free(a->zip);
    tar_free(a->tar);
    file_abandon(a->file);
    free(a);
}

int archive_finish(archive_writer *a, int replace) {
    int rc = a->zip ? zip_finish(a) : tar_check(a, a->tar->library->write_close(a->tar->archive));
    file_writer *file = a->file;
    if (rc == 0) {
        rc = file_commit(file, replace);
        a->file = NULL;
    }
    free_all(a);
    return rc;
}

void archive_abandon(archive_writer *a) {
    if (a) free_all(a);
}

/* ---- looking through tar ---------------------------------------------------------------------------------------------- */

typedef struct {
    int fd;
    uint64_t place, file_size;
    int error;                     /* of read */
    uint8_t buffer[1 << 14];
} source;

static la_ssize_t read_source(struct archive *archive, void *context, const void **data) {
    (void)archive;
    source *s = context;
    *data = s->buffer;
    ssize_t n;
    do n = pread(s->fd, s->buffer, sizeof s->buffer, (off_t)s->place);
    while (n < 0 && errno == EINTR);
    if (n < 0) s->error = errno;
    else s->place += (uint64_t)n;
    return n < 0 ? ARCHIVE_FATAL : n;
}

static la_int64_t skip_source(struct archive *archive, void *context, la_int64_t bytes) {
    (void)archive;
    source *s = context;
    uint64_t rest = s->place < s->file_size ? s->file_size - s->place : 0;
    if (bytes < 0) return 0;
    if ((uint64_t)bytes > rest) bytes = (la_int64_t)rest;
    s->place += (uint64_t)bytes;
    return bytes;
}

static bool goes_up(const char *name) {
    for (const char *s = name; *s;) {
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.') return true;
        s += n + (s[n] == '/');
    }
    return false;
}

static const char *what_is_wrong(const tar_library *l, struct archive_entry *e, const tar_member *m, uint64_t file_size) {
    if (l->entry_hardlink(e) || l->entry_symlink(e)) return "is a link";
    if (l->entry_filetype(e) != AE_IFREG) return "is no file";
    if (l->entry_sparse_count(e) > 0) return "is stored with holes";
    if (!*m->name) return "has no name";
    if (m->name[0] == '/') return "has an absolute name";
    if (goes_up(m->name)) return "has \"..\" in its name";
    if (m->offset > file_size || m->size > file_size - m->offset) return "reaches over the end of the file";
    return NULL;
}

static int scan_failed(const tar_library *l, struct archive *a, const source *s, const char *name, uint64_t from) {
    if (s->error) {
        errno = s->error;
        return error_errno("%s", name);
    }
    const char *why = l->error_string(a);
    la_int64_t at = l->read_header_position(a);
    return error_set(ERR_FORMAT, "%s: byte %llu: %s", name, (unsigned long long)from + (at > 0 ? (unsigned long long)at : 0), why ? why : "is no tar file");
}

static int tell(const tar_library *l, struct archive *a, struct archive_entry *e, const source *s, uint64_t from,
                int (*member)(void *context, const tar_member *m), void *context) {
    if (l->entry_filetype(e) == AE_IFDIR) return 0;
    tar_member m = { .name = l->entry_pathname(e) };
    if (!m.name) m.name = l->entry_pathname_utf8(e);   /* the locale cannot say it */
    if (!m.name) m.name = "";
    la_int64_t size = l->entry_size(e);
    m.at = from + (uint64_t)l->read_header_position(a);
    m.offset = from + (uint64_t)l->filter_bytes(a, 0);
    m.size = size > 0 ? (uint64_t)size : 0;
    m.wrong = what_is_wrong(l, e, &m, s->file_size);
    return member(context, &m);
}

static int scan(const tar_library *l, struct archive *a, source *s, const char *name, uint64_t from, int (*member)(void *context, const tar_member *m),
                void *context, uint64_t *end) {
    l->read_support_format_tar(a);
    l->read_set_callback_data(a, s);
    l->read_set_read_callback(a, read_source);
    l->read_set_skip_callback(a, skip_source);
    if (l->read_open1(a) != ARCHIVE_OK) return scan_failed(l, a, s, name, from);
    struct archive_entry *e;
    for (int rc, got; (got = l->read_next_header(a, &e)) != ARCHIVE_EOF;) {
        if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return scan_failed(l, a, s, name, from);
        if ((rc = tell(l, a, e, s, from, member, context)) != 0) return rc;
    }
    if (end) *end = from + (uint64_t)l->read_header_position(a);
    return 0;
}

int tar_scan(const tar_library *l, int fd, const char *name, uint64_t from, int (*member)(void *context, const tar_member *m), void *context,
             uint64_t *end) {
    struct stat st;
    if (fstat(fd, &st) < 0) return error_errno("%s", name);
    source *s = malloc(sizeof *s);
    struct archive *a = s ? l->read_new() : NULL;
    int rc;
    if (!a) rc = error_memory(sizeof *s);
    else {
        s->fd = fd;
        s->place = from;
        s->file_size = (uint64_t)st.st_size;
        s->error = 0;
        rc = scan(l, a, s, name, from, member, context, end);
        l->read_free(a);
    }
    free(s);
    return rc;
}
