/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "train/events.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

#define NAME_BEGIN "events.out.tfevents."

struct events {
    int fd;
    bool torn;                 /* bytes behind `size` that could not be cut off yet */
    off_t size;
    uint32_t table[256];       /* of the checksum */
    char path[PATH_MAX];
};

/* ---- the checksum ------------------------------------------------------------------------------------------------------ */

static void make_table(uint32_t table[256]) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
        table[i] = c;
    }
}

static uint32_t crc_of(const uint32_t table[256], const void *data, size_t size) {
    const uint8_t *p = data;
    uint32_t c = ~0u;
    for (size_t i = 0; i < size; i++) c = table[(c ^ p[i]) & 255] ^ c >> 8;
    return ~c;
}

uint32_t events_crc(const void *data, size_t size) {
    uint32_t table[256];
    make_table(table);
    return crc_of(table, data, size);
}

/* As records have it: a checksum of bytes that hold their own checksum would be a constant. */
static uint32_t masked(const events *e, const void *data, size_t size) {
    uint32_t c = crc_of(e->table, data, size);
    return htole32((c >> 15 | c << 17) + 0xa282ead8u);
}

/* ---- protobuf: a key is field * 8 + kind ----------------------------------------------------------------------------------- */

enum { VARINT = 0, BITS64 = 1, BYTES = 2, BITS32 = 5 };

static void put_bytes(text *t, const void *data, size_t n) {
    char *to = n ? text_room(t, n) : NULL;
    if (!to) return;
    memcpy(to, data, n);
    text_grown(t, n);
}

static void put_varint(text *t, uint64_t x) {
    uint8_t b[10];
    size_t n = 0;
    for (; x > 127; x >>= 7) b[n++] = (uint8_t)(x | 128);
    b[n++] = (uint8_t)x;
    put_bytes(t, b, n);
}

static void put_key(text *t, int field, int kind) { put_varint(t, (uint64_t)(field * 8 + kind)); }

static void put_number(text *t, int field, uint64_t x) {
    put_key(t, field, VARINT);
    put_varint(t, x);
}

static void put_block(text *t, int field, const void *data, size_t n) {
    put_key(t, field, BYTES);
    put_varint(t, n);
    put_bytes(t, data, n);
}

static void put_double(text *t, int field, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = htole64(bits);
    put_key(t, field, BITS64);
    put_bytes(t, &bits, sizeof bits);
}

static void put_float(text *t, int field, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = htole32(bits);
    put_key(t, field, BITS32);
    put_bytes(t, &bits, sizeof bits);
}

/* ---- records ------------------------------------------------------------------------------------------------------------ */

static int write_all(int fd, const void *data, size_t size) {
    for (const char *p = data; size;) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

/* One write: a kill between two would leave a torn record, behind which readers see nothing. */
static int put_record(events *e, const text *message) {
    text record = { 0 };
    int rc = text_check(message);
    if (rc < 0) return rc;
    uint64_t size = htole64(message->size);
    uint32_t head = masked(e, &size, sizeof size), body = masked(e, message->data, message->size);
    put_bytes(&record, &size, sizeof size);
    put_bytes(&record, &head, sizeof head);
    put_bytes(&record, message->data, message->size);
    put_bytes(&record, &body, sizeof body);
    rc = text_check(&record);
    if (rc == 0 && e->torn && ftruncate(e->fd, e->size) < 0) rc = error_errno("%s", e->path);
    else if (rc == 0) e->torn = false;
    if (rc == 0 && write_all(e->fd, record.data, record.size) < 0) {
        rc = error_errno("%s", e->path);
        e->torn = ftruncate(e->fd, e->size) < 0;
    } else if (rc == 0) e->size += (off_t)record.size;
    text_free(&record);
    return rc;
}

/* Event: 1 wall_time, 2 step, then one of 3 file_version, 5 summary, 7 session_log. */
static int put_event(events *e, uint64_t step, double now, int field, const void *data, size_t size) {
    text event = { 0 };
    put_double(&event, 1, now);
    if (step) put_number(&event, 2, step);
    put_block(&event, field, data, size);
    int rc = put_record(e, &event);
    text_free(&event);
    return rc;
}

/* ---- the file ----------------------------------------------------------------------------------------------------------- */

/* The latest time in the names that are there. */
static int latest(const char *folder, long long *out) {
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    if (!dir) return error_errno("%s", folder);
    int rc;
    *out = 0;
    while ((rc = folder_next(dir, folder, &entry)) == 1) {
        const char *digits = entry->d_name + strlen(NAME_BEGIN);
        if (strncmp(entry->d_name, NAME_BEGIN, strlen(NAME_BEGIN)) != 0 || strspn(digits, "0123456789") != 10) continue;
        long long t = strtoll(digits, NULL, 10);
        if (t > *out && t < 9999999999) *out = t;
    }
    closedir(dir);
    return rc;
}

static int create(events *e, const char *folder, double now) {
    long long last = 0, t;
    int rc = latest(folder, &last);
    if (rc < 0) return rc;
    t = now > 0 && now < 9e9 ? (long long)now : 0;
    if (t <= last) t = last + 1;
    int n = snprintf(e->path, sizeof e->path, "%s/" NAME_BEGIN "%010lld.mien", folder, t);
    if (n < 0 || (size_t)n >= sizeof e->path) return error_set(ERR_IO, "%s: the path is too long", folder);
    e->fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
    return e->fd < 0 ? error_errno("%s", e->path) : 0;
}

int events_open(const char *folder, uint64_t step, double now, events **out) {
    static const char version[] = "brain.Event:2";
    static const uint8_t start[] = { 1 << 3 | VARINT, 1 };        /* SessionLog: 1 status START */
    events *e = malloc(sizeof *e);
    if (!e) return error_memory(sizeof *e);
    *e = (events){ .fd = -1 };
    make_table(e->table);
    int rc = create(e, folder, now);
    if (rc == 0) rc = put_event(e, 0, now, 3, version, sizeof version - 1);
    /* Of a new run as well: TensorBoard takes the first that it sees for a beginning, and only those behind it for
     * restarts, which drop events from that step on (plugin_event_accumulator.py, _CheckForRestartAndMaybePurge). */
    if (rc == 0) rc = put_event(e, step + 1, now, 7, start, sizeof start);
    if (rc < 0) {
        if (e->fd >= 0) unlink(e->path);
        events_close(e);
    } else *out = e;
    return rc;
}

int events_follow(events **e, const char *folder, uint64_t step, double now) {
    char path[PATH_MAX];
    events *anew;
    int n = snprintf(path, sizeof path, "%s%s", folder, strrchr((*e)->path, '/'));
    if (n < 0 || (size_t)n >= sizeof path) return error_set(ERR_IO, "%s: the path is too long", folder);
    if (file_is_at((*e)->fd, path)) return memcpy((*e)->path, path, sizeof path), 0;
    int rc = events_open(folder, step, now, &anew);
    if (rc < 0) return rc;
    events_close(*e);
    *e = anew;
    return 1;
}

/* Summary: 1 value, any number of them. Value: 1 tag, 2 simple_value, 4 image. */
static void put_value(text *summary, const text *value) {
    if (value->failed) summary->failed = true;
    else put_block(summary, 1, value->data, value->size);
}

int events_scalars(events *e, uint64_t step, double now, const event_scalar *s, size_t n) {
    text summary = { 0 };
    for (size_t i = 0; i < n; i++) {
        text value = { 0 };
        if (!isfinite(s[i].value)) continue;
        put_block(&value, 1, s[i].tag, strlen(s[i].tag));
        put_float(&value, 2, (float)s[i].value);
        put_value(&summary, &value);
        text_free(&value);
    }
    int rc = text_check(&summary);
    if (rc == 0 && summary.size) rc = put_event(e, step, now, 5, summary.data, summary.size);
    text_free(&summary);
    return rc;
}

int events_picture(events *e, uint64_t step, double now, const char *tag, const uint8_t *png, size_t size, int width, int height) {
    text summary = { 0 }, value = { 0 }, picture = { 0 };
    put_number(&picture, 1, (uint64_t)height);
    put_number(&picture, 2, (uint64_t)width);
    put_number(&picture, 3, 3);                                    /* RGB */
    put_block(&picture, 4, png, size);
    put_block(&value, 1, tag, strlen(tag));
    if (picture.failed) value.failed = true;
    else put_block(&value, 4, picture.data, picture.size);
    put_value(&summary, &value);
    int rc = text_check(&summary);
    if (rc == 0) rc = put_event(e, step, now, 5, summary.data, summary.size);
    text_free(&picture);
    text_free(&value);
    text_free(&summary);
    return rc;
}

const char *events_path(const events *e) { return e->path; }

void events_close(events *e) {
    if (!e) return;
    if (e->fd >= 0) close(e->fd);
    free(e);
}
