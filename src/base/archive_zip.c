/* SPDX-License-Identifier: Apache-2.0
 *
 * Zip files, after PKWARE's APPNOTE 6.3: stored members, their sizes and checksums in front of them; the central directory is
 * set aside in an unlinked file as it grows. */
#include <assert.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/archive_inside.h"
#include "base/error.h"
#include "base/spool.h"

enum {
    END64 = 56,                                                    /* bytes of the large end record */
    EXTRA64 = 20,
    MOST_NAME = 4096,
    PLAIN = 20, ZIP64 = 45,                                         /* versions needed to read a member */
    UNIX = 3 << 8,
    DAY_ONE = 1 << 5 | 1,                                           /* 1980-01-01, the first there is */
    UTF8 = 1 << 11,
};
#define MOST32 UINT32_MAX
#define FILE_MODE ((uint32_t)0100644 << 16)

struct zip_state {
    spool *directory;
    uint64_t members;
    /* The member that is open. */
    char name[MOST_NAME + 1];
    uint64_t at, size;
    uint32_t crc;
    bool open, large;              /* large: it has a zip64 field in front */
};

typedef struct { uint8_t data[96 + MOST_NAME]; size_t size; } record;

static void put(record *r, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) r->data[r->size++] = (uint8_t)(value >> 8 * i);
}

static void put_bytes(record *r, const char *s, size_t n) {
    memcpy(r->data + r->size, s, n);
    r->size += n;
}

static uint32_t or_most32(uint64_t n) { return n < MOST32 ? (uint32_t)n : MOST32; }
static uint16_t or_most16(uint64_t n) { return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX; }

int zip_open(const char *path, archive_writer *a) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    zip_state *z = folder ? calloc(1, sizeof *z) : NULL;
    int rc = z ? spool_new(folder, &z->directory) : error_memory(sizeof *z);
    free(folder);
    if (rc < 0) free(z);
    else a->zip = z;
    return rc;
}

void zip_free(zip_state *z) {
    if (!z) return;
    spool_free(z->directory);
    free(z);
}

/* What the headers in front of the member and in the directory have in common, from "version needed" to the sizes. */
static void put_member(record *r, const zip_state *z, uint32_t size) {
    bool ascii = true;
    for (const char *s = z->name; *s; s++) ascii &= (*s & 0x80) == 0;
    put(r, z->large || z->at >= MOST32 ? ZIP64 : PLAIN, 2);
    put(r, ascii ? 0 : UTF8, 2);
    put(r, 0, 2);                  /* stored */
    put(r, 0, 2);                  /* midnight */
    put(r, DAY_ONE, 2);
    put(r, z->crc, 4);
    put(r, size, 4);               /* as stored */
    put(r, size, 4);
    put(r, strlen(z->name), 2);
}

static void put_local(record *r, const zip_state *z) {
    put(r, 0x04034b50, 4);
    put_member(r, z, z->large ? MOST32 : (uint32_t)z->size);
    put(r, z->large ? EXTRA64 : 0, 2);
    put_bytes(r, z->name, strlen(z->name));
    if (!z->large) return;
    put(r, 1, 2);
    put(r, EXTRA64 - 4, 2);
    put(r, z->size, 8);
    put(r, z->size, 8);
}

static int begin(archive_writer *a, const char *name) {
    zip_state *z = a->zip;
    assert(!z->open);
    if (strlen(name) > MOST_NAME) return error_set(ERR_LIMIT, "%.100s...: a name in a zip has at most %d bytes", name, MOST_NAME);
    strcpy(z->name, name);
    z->at = a->bytes;
    z->open = true;
    record r = { .size = 0 };
    put_local(&r, z);
    return archive_put(a, r.data, r.size);
}

/* The directory's entry. Sizes and places of 4 GB and more stand in a field of their own. */
static int list(zip_state *z) {
    record r = { .size = 0 };
    uint64_t wide[3];
    int n = 0;
    if (z->size >= MOST32) wide[n++] = z->size, wide[n++] = z->size;
    if (z->at >= MOST32) wide[n++] = z->at;
    put(&r, 0x02014b50, 4);
    put(&r, UNIX | ZIP64, 2);
    put_member(&r, z, or_most32(z->size));
    put(&r, n ? 4 + 8 * n : 0, 2);
    put(&r, 0, 2);                 /* no remark */
    put(&r, 0, 2);                 /* the first disk */
    put(&r, 0, 2);
    put(&r, FILE_MODE, 4);
    put(&r, or_most32(z->at), 4);
    put_bytes(&r, z->name, strlen(z->name));
    if (n) put(&r, 1, 2), put(&r, 8 * n, 2);
    for (int i = 0; i < n; i++) put(&r, wide[i], 8);
    z->open = false;
    z->members++;
    return spool_append(z->directory, r.data, r.size, NULL);
}

int zip_add(archive_writer *a, const char *name, const void *data, size_t size) {
    zip_state *z = a->zip;
    z->crc = size ? libdeflate_crc32(0, data, size) : 0;
    z->size = size;
    z->large = size >= MOST32;
    int rc = begin(a, name);
    if (rc == 0 && size) rc = archive_put(a, data, size);
    return rc < 0 ? rc : list(z);
}

/* Its size is not known, and may be 4 GB and more: the header has room for that, and is written again at the end. */
int zip_begin(archive_writer *a, const char *name) {
    zip_state *z = a->zip;
    z->crc = 0;
    z->size = 0;
    z->large = true;
    return begin(a, name);
}

int zip_write(archive_writer *a, const void *data, size_t size) {
    zip_state *z = a->zip;
    assert(z->open);
    if (!size) return 0;
    z->crc = libdeflate_crc32(z->crc, data, size);
    z->size += size;
    return archive_put(a, data, size);
}

int zip_end(archive_writer *a) {
    zip_state *z = a->zip;
    assert(z->open);
    record r = { .size = 0 };
    put_local(&r, z);
    int rc = file_change(a->file, z->at, r.data, r.size);
    return rc < 0 ? rc : list(z);
}

static int put_end(archive_writer *a, uint64_t at, uint64_t bytes) {
    uint64_t members = a->zip->members;
    record r = { .size = 0 };
    if (members >= UINT16_MAX || at >= MOST32 || bytes >= MOST32) {
        uint64_t here = a->bytes;
        put(&r, 0x06064b50, 4);
        put(&r, END64 - 12, 8);
        put(&r, UNIX | ZIP64, 2);
        put(&r, ZIP64, 2);
        put(&r, 0, 4);
        put(&r, 0, 4);
        put(&r, members, 8);
        put(&r, members, 8);
        put(&r, bytes, 8);
        put(&r, at, 8);
        put(&r, 0x07064b50, 4);    /* the locator of what stands before */
        put(&r, 0, 4);
        put(&r, here, 8);
        put(&r, 1, 4);
    }
    put(&r, 0x06054b50, 4);
    put(&r, 0, 2);
    put(&r, 0, 2);
    put(&r, or_most16(members), 2);
    put(&r, or_most16(members), 2);
    put(&r, or_most32(bytes), 4);
    put(&r, or_most32(at), 4);
    put(&r, 0, 2);
    return archive_put(a, r.data, r.size);
}

int zip_finish(archive_writer *a) {
    zip_state *z = a->zip;
    assert(!z->open);
    uint8_t buffer[1 << 14];
    uint64_t at = a->bytes, bytes = spool_size(z->directory);
    int rc = 0;
    for (uint64_t done = 0; rc == 0 && done < bytes;) {
        size_t n = bytes - done < sizeof buffer ? (size_t)(bytes - done) : sizeof buffer;
        rc = spool_read(z->directory, done, buffer, n);
        if (rc == 0) rc = archive_put(a, buffer, n);
        done += n;
    }
    return rc < 0 ? rc : put_end(a, at, bytes);
}
