/* SPDX-License-Identifier: Apache-2.0
 *
 * A list becomes the data set's metadata.json, or is added to it: there build finds the captions, and a later run the URLs.
 * What stands there stays as it is, byte for byte; the file before is kept as metadata.json.bak. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_stream.h"
#include "base/part.h"
#include "base/stop.h"
#include "data/download_inside.h"
#include "data/list.h"

enum { ENTRY_MOST = 1 << 20 };

typedef struct {
    download *d;
    download_before ids;           /* those of metadata.json, then of the list too */
    char path[PATH_MAX];
    int old;                       /* descriptor of metadata.json as it was; -1: there was none */
    bool old_empty;
    file_writer *out;              /* NULL: nothing new so far */
} merge;

static long read_old(void *context, void *buffer, size_t size) {
    const merge *m = context;
    ssize_t n = read(m->old, buffer, size);
    return n < 0 ? error_errno("%s", m->path) : (long)n;
}

static int take_old_ids(merge *m) {
    json_stream *s;
    int rc = json_stream_new(m->path, ENTRY_MOST, read_old, m, &s);
    if (rc < 0) return rc;
    const char *key;
    m->old_empty = true;
    while ((rc = json_stream_next(s, &key, NULL)) > 0) {
        uint8_t *mark;
        m->old_empty = false;
        if (!list_id_fits(key)) continue;
        if ((rc = download_before_find(&m->ids, key, &mark)) < 0) break;
        *mark = BEFORE_SEEN;
        if (stop_asked(m->d->options->hooks.stop) && (rc = error_set(ERR_CANCELLED, "stopped"))) break;
    }
    json_stream_free(s);
    return rc;
}

/* Where the object's last brace stands, less the space before it: what comes before stays as it is. */
static int find_end(const merge *m, off_t *end) {
    struct stat st;
    if (fstat(m->old, &st) < 0) return error_errno("%s", m->path);
    bool brace = false;
    char c;
    for (off_t at = st.st_size; at-- > 0;) {
        if (pread(m->old, &c, 1, at) != 1) return error_errno("%s", m->path);
        if (strchr(" \t\r\n", c) && c) continue;
        if (!brace && c == '}') {
            brace = true;
            continue;
        }
        *end = at + 1;
        return brace ? 0 : error_set(ERR_FORMAT, "%s: does not end with }", m->path);
    }
    return error_set(ERR_FORMAT, "%s: no JSON object", m->path);
}

static int copy_old(const merge *m, off_t end, file_writer *out) {
    char buffer[1 << 16];
    int rc = 0;
    for (off_t at = 0; rc == 0 && at < end;) {
        size_t want = end - at < (off_t)sizeof buffer ? (size_t)(end - at) : sizeof buffer;
        ssize_t n = pread(m->old, buffer, want, at);
        if (n <= 0) return n < 0 ? error_errno("%s", m->path) : error_set(ERR_IO, "%s: has shrunk", m->path);
        rc = file_write(out, buffer, (size_t)n);
        at += n;
    }
    return rc;
}

static int begin_new(merge *m) {
    off_t end = 0;
    int rc = file_create(m->path, &m->out);
    if (rc < 0) return rc;
    if (m->old < 0) return file_write(m->out, "{\n", 2);
    rc = find_end(m, &end);
    if (rc == 0) rc = copy_old(m, end, m->out);
    if (rc == 0) rc = file_write(m->out, m->old_empty ? "\n" : ",\n", m->old_empty ? 1 : 2);
    return rc;
}

static int take_item(merge *m, const list *l, const list_item *item) {
    uint8_t *mark;
    int rc = download_before_find(&m->ids, item->id, &mark);
    if (rc < 0 || *mark & BEFORE_SEEN) return rc;
    *mark = BEFORE_SEEN;
    bool first = !m->out;
    if (first && (rc = begin_new(m)) < 0) return rc;
    text entry = { 0 };
    if (!first) text_add(&entry, ",\n");
    list_entry_write(l, item, &entry);
    rc = text_check(&entry);
    if (rc == 0) rc = file_write(m->out, entry.data, entry.size);
    text_free(&entry);
    return rc;
}

/* In every part: each tells of its own. */
void download_refuse(download *d, const list_item *item) {
    const char *id = item->id ? item->id : "";
    char message[700], shown[600];
    if (!part_has(id, d->options->part, d->options->parts)) return;
    snprintf(message, sizeof message, "line %llu: %s", (unsigned long long)item->line, text_escape(shown, sizeof shown, item->wrong));
    d->progress.total++;
    download_count(d, list_id_fits(id) ? GOT_BAD_URL : GOT_BAD_ID, false, false);
    download_say(d, MIEN_LOG_ITEM_FAILED, *id ? id : NULL, message);
}

static int take_new(merge *m, const char *path) {
    list *l;
    list_item item;
    int rc = list_open(path, &l);
    if (rc < 0) return rc;
    while ((rc = list_next(l, &item)) > 0) {
        if (item.wrong) download_refuse(m->d, &item);
        else if ((rc = take_item(m, l, &item)) < 0) break;
        if (stop_asked(m->d->options->hooks.stop) && (rc = error_set(ERR_CANCELLED, "stopped"))) break;
        download_tell(m->d);
    }
    list_close(l);
    return rc;
}

static int keep_old(const merge *m) {
    char backup[PATH_MAX + 8];
    struct stat st;
    snprintf(backup, sizeof backup, "%s.bak", m->path);
    int rc = file_link(m->path, backup, true);
    if (rc != ERR_UNSUPPORTED) return rc;
    file_writer *out;
    if (fstat(m->old, &st) < 0) return error_errno("%s", m->path);
    if ((rc = file_create(backup, &out)) < 0) return rc;
    rc = copy_old(m, st.st_size, out);
    if (rc == 0) return file_commit(out, true);
    file_abandon(out);
    return rc;
}

static int save(merge *m) {
    int rc = file_write(m->out, "\n}\n", 3);
    if (rc == 0 && m->old >= 0) rc = keep_old(m);
    if (rc == 0) {
        rc = file_commit(m->out, m->old >= 0);
        m->out = NULL;
    }
    return rc;
}

int download_take_list(download *d, const char *path) {
    merge m = { .d = d, .old = -1 };
    if (snprintf(m.path, sizeof m.path, "%s/metadata.json", d->folder) >= (int)sizeof m.path) return error_set(ERR_IO, "%s: the path is too long", d->folder);
    int lock = open(d->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0) flock(lock, LOCK_EX);       /* parts that begin at once do it one after the other; where there are no locks, each writes the same */
    int rc = download_before_load(&m.ids, d->folder, false);
    m.old = open(m.path, O_RDONLY | O_CLOEXEC);
    if (rc == 0 && m.old >= 0) rc = take_old_ids(&m);
    if (rc == 0) rc = take_new(&m, path);
    if (rc == 0 && m.out) rc = save(&m);
    file_abandon(m.out);
    download_before_free(&m.ids);
    if (m.old >= 0) close(m.old);
    if (lock >= 0) close(lock);
    return rc;
}
