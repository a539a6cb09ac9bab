/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/pull_part.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

static bool join(char out[PULL_PATH], const char *folder, const char *file, const char *ending) {
    int n = snprintf(out, PULL_PATH, "%s/%s%s", folder, file, ending);
    return n > 0 && n < PATH_MAX;
}

int pull_paths_make(const char *folder, const char *file, pull_paths *out) {
    out->fd = -1;
    if (join(out->whole, folder, file, "") && join(out->part, folder, file, ".part") && join(out->state, folder, file, ".part.json") &&
        join(out->record, folder, file, ".pull.json"))
        return 0;
    return error_set(ERR_USAGE, "%s: the path is too long", folder);
}

/* A part that its owner renamed between our open and our lock is no part any more: again. */
int pull_part_open(pull_paths *p) {
    for (int attempt = 0; attempt < 100; attempt++) {
        struct stat ours, there;
        int fd = open(p->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666), rc;
        if (fd < 0) return error_errno("%s", p->part);
        while ((rc = flock(fd, LOCK_EX | LOCK_NB)) < 0 && errno == EINTR) {}
        bool held = rc < 0 && errno == EWOULDBLOCK;             /* a file system without locks: nothing is held */
        bool same = fstat(fd, &ours) == 0 && lstat(p->part, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
        if (held) return close(fd), error_set(ERR_EXISTS, "%s: another process is fetching it", p->part);
        if (same && !S_ISREG(ours.st_mode)) return close(fd), error_set(ERR_IO, "%s: is no file", p->part);
        if (same) return p->fd = fd, 0;
        close(fd);
    }
    return error_set(ERR_IO, "%s: it changes all the time", p->part);
}

void pull_part_close(pull_paths *p) {
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
}

int pull_part_size(const pull_paths *p, uint64_t *size) {
    struct stat st;
    if (fstat(p->fd, &st) < 0) return error_errno("%s", p->part);
    *size = (uint64_t)st.st_size;
    return 0;
}

int pull_part_cut(const pull_paths *p) { return ftruncate(p->fd, 0) < 0 ? error_errno("%s", p->part) : 0; }

/* ---- JSON ------------------------------------------------------------------------------------------------------------------ */

static void read_text(const json_at *root, const char *key, char *out, size_t room) {
    json_at at;
    const char *s;
    if (json_field(root, key, &at) && json_has_text(&at) && json_need_string(&at, &s) == 0 && strlen(s) < room) strcpy(out, s);
}

bool pull_state_read(const char *path, pull_state *out) {
    uint8_t *data;
    size_t size;
    json *doc;
    *out = (pull_state){ 0 };
    if (access(path, F_OK) != 0 || file_load(path, 1 << 20, &data, &size) < 0) return false;
    int rc = json_parse(path, data, size, 1 << 20, &doc);
    free(data);
    if (rc < 0) return false;
    json_at root = json_root(doc), at;
    long long number = 0, format = 0;
    bool good = json_need_object(&root) == 0 && json_field(&root, "format", &at) && json_need_integer(&at, 1, 1, &format) == 0;
    if (good) {
        read_text(&root, "url", out->url, sizeof out->url);
        read_text(&root, "etag", out->etag, sizeof out->etag);
        read_text(&root, "sha256", out->sha256, sizeof out->sha256);
        if (json_field(&root, "bytes", &at) && json_need_integer(&at, 0, 1LL << 60, &number) == 0) out->total = (uint64_t)number;
        /* It goes into a header. */
        for (const char *s = out->etag; *s; s++)
            if (*s <= ' ' || *s > '~') good = false;
    }
    json_free(doc);
    return good;
}

static void put(text *t, const char *key, const char *value) {
    if (!value || !*value) return;
    text_printf(t, ",\"%s\":", key);
    text_json_exact(t, value);
}

int pull_state_write(const char *path, const pull_state *s, const char *licence, const char *licence_url) {
    text t = { 0 };
    text_add(&t, "{\"format\":1");
    put(&t, "url", s->url);
    put(&t, "etag", s->etag);
    if (s->total) text_printf(&t, ",\"bytes\":%" PRIu64, s->total);
    put(&t, "sha256", s->sha256);
    put(&t, "licence", licence);
    put(&t, "licence_url", licence_url);
    text_add(&t, "}\n");
    int rc = text_check(&t);
    if (rc == 0) rc = file_save(path, t.data, t.size);
    text_free(&t);
    return rc;
}
