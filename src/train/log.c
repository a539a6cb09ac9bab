/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "train/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_fields.h"
#include "base/number.h"
#include "base/stream.h"
#include "base/text.h"

enum { LINE_MOST = 1 << 16 };

struct train_log {
    int fd;
    off_t size;
    bool torn;                 /* bytes behind `size` that could not be cut off yet */
    char path[PATH_MAX];
};

/* ---- what is there --------------------------------------------------------------------------------------------------- */

static void take_step(void *context, const char *key, json_field_kind kind, const char *text, size_t size) {
    uint64_t *step = context, n = 0;
    if (strcmp(key, "step") != 0) return;
    *step = 0;
    if (kind != FIELD_NUMBER || size > 18) return;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *step = n;
}

static uint64_t step_of(json_fields *f, const char *line, size_t size) {
    uint64_t step = 0;
    return json_fields_read(f, line, size, take_step, &step) < 0 ? 0 : step;
}

uint64_t train_log_step(const char *line, size_t size) {
    json_fields *f = json_fields_new();
    uint64_t step = f ? step_of(f, line, size) : 0;
    json_fields_free(f);
    return step;
}

typedef struct { uint64_t later, broken; bool torn; } cuts;

/* Copies the lines that stay. A step that comes twice was computed twice; the first is as good. */
static int keep_lines(stream *r, uint64_t step, file_writer *w, cuts *n) {
    json_fields *f = json_fields_new();
    if (!f) return ERR_MEMORY;
    stream_text line;
    uint64_t last = 0;
    int rc;
    while ((rc = stream_line(r, LINE_MOST, &line)) != 0) {
        if (rc == ERR_LIMIT) {
            n->broken++;
            continue;
        }
        if (rc < 0) break;
        uint64_t at = line.ended ? step_of(f, line.text, line.size) : 0;
        if (!line.ended) n->torn = true;
        else if (at == 0) n->broken++;
        else if (at > step || at <= last) n->later++;
        else {
            last = at;
            rc = file_write(w, line.text, line.size);
            if (rc == 0) rc = file_write(w, "\n", 1);
            if (rc < 0) break;
        }
    }
    json_fields_free(f);
    return rc;
}

static void tell(const mien_hooks *hooks, const char *path, uint64_t step, const cuts *n) {
    char line[256];
    if (!hooks || !hooks->log) return;
    if (n->later) {
        snprintf(line, sizeof line, "log.jsonl: %" PRIu64 " line%s behind step %" PRIu64 " cut off: %s computed again",
                 n->later, n->later == 1 ? "" : "s", step, n->later == 1 ? "it is" : "they are");
        hooks->log(hooks->context, MIEN_LOG_INFO, NULL, line);
    }
    if (n->broken) {
        snprintf(line, sizeof line, "%" PRIu64 " line%s could not be read and %s left out", n->broken,
                 n->broken == 1 ? "" : "s", n->broken == 1 ? "is" : "are");
        hooks->log(hooks->context, MIEN_LOG_WARNING, path, line);
    }
}

static int cut_off(const char *path, uint64_t step, const mien_hooks *hooks) {
    stream *r;
    file_writer *w = NULL;
    cuts n = { 0 };
    file_remove_leftovers_of(path);
    int rc = stream_open_file(path, &r);
    if (rc < 0) return rc;
    rc = file_create(path, &w);
    if (rc == 0) rc = keep_lines(r, step, w, &n);
    stream_close(r);
    if (rc < 0 || !(n.later || n.broken || n.torn)) file_abandon(w);
    else if ((rc = file_commit(w, true)) == 0) tell(hooks, path, step, &n);
    return rc;
}

/* ---- appending ------------------------------------------------------------------------------------------------------- */

static int open_file(train_log *l) {
    struct stat st;
    l->fd = open(l->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (l->fd < 0 && errno == ELOOP) return error_set(ERR_IO, "%s: is a link", l->path);
    if (l->fd < 0 || fstat(l->fd, &st) < 0) return error_errno("%s", l->path);
    l->size = st.st_size;
    return S_ISREG(st.st_mode) ? 0 : error_set(ERR_IO, "%s: is not a regular file", l->path);
}

static int log_path(const char *folder, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/log.jsonl", folder);
    return n < 0 || n >= PATH_MAX ? error_set(ERR_IO, "%s: the path is too long", folder) : 0;
}

int train_log_open(const char *folder, uint64_t step, const mien_hooks *hooks, train_log **out) {
    train_log *l = malloc(sizeof *l);
    struct stat st;
    if (!l) return error_memory(sizeof *l);
    *l = (train_log){ .fd = -1 };
    int rc = log_path(folder, l->path);
    if (rc == 0 && lstat(l->path, &st) == 0 && S_ISREG(st.st_mode)) rc = cut_off(l->path, step, hooks);
    if (rc == 0) rc = open_file(l);
    if (rc < 0) train_log_close(l);
    else *out = l;
    return rc;
}

int train_log_follow(train_log **l, const char *folder, uint64_t step, const mien_hooks *hooks) {
    char path[PATH_MAX];
    train_log *anew;
    int rc = log_path(folder, path);
    if (rc < 0) return rc;
    if (file_is_at((*l)->fd, path)) return memcpy((*l)->path, path, sizeof path), 0;
    if ((rc = train_log_open(folder, step, hooks, &anew)) < 0) return rc;
    train_log_close(*l);
    *l = anew;
    return 1;
}

static int put(train_log *l, const char *s, size_t size) {
    if (l->torn && ftruncate(l->fd, l->size) < 0) return error_errno("%s", l->path);
    l->torn = false;
    for (size_t done = 0; done < size;) {
        ssize_t n = write(l->fd, s + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            int rc = error_errno("%s", l->path);
            l->torn = ftruncate(l->fd, l->size) < 0;
            return rc;
        }
        done += (size_t)n;                     /* a disk that is full but for a few bytes takes these first */
    }
    l->size += (off_t)size;
    return 0;
}

static void number(text *t, const char *name, double x) {
    char s[NUMBER_TEXT];
    if (!isfinite(x)) return;
    number_shortest_f64(s, x);
    text_printf(t, ",\"%s\":%s", name, s);
}

/* Durations and the like: digits that nobody measures are left out. */
static void measure(text *t, const char *name, double x) {
    char s[NUMBER_TEXT];
    if (!isfinite(x) || fabs(x) > 1e30) return;
    number_shortest_f32(s, (float)x);
    text_printf(t, ",\"%s\":%s", name, s);
}

int train_log_add(train_log *l, const log_line *n) {
    text t = { 0 };
    text_printf(&t, "{\"step\":%" PRIu64, n->step);
    if (n->epoch) text_printf(&t, ",\"epoch\":%" PRIu64, n->epoch);
    number(&t, "loss", n->loss);
    number(&t, "smoothed", n->smoothed);
    number(&t, "lr", n->rate);
    number(&t, "grad_norm", n->norm);
    number(&t, "divergence", n->divergence);
    measure(&t, "seconds", n->seconds);
    measure(&t, "images_per_second", n->images_per_second);
    measure(&t, "wait", n->wait);
    measure(&t, "exchange", n->exchange);
    if (n->figures.measured) {
        number(&t, "eval_found", n->figures.found);
        number(&t, "eval_score", n->figures.score);
        number(&t, "eval_score_low", n->figures.score_low);
        number(&t, "eval_score_high", n->figures.score_high);
        number(&t, "eval_landmarks", n->figures.landmarks);
        number(&t, "eval_gaze_x", n->figures.gaze_x);
        number(&t, "eval_gaze_y", n->figures.gaze_y);
    }
    if (n->peak_bytes) text_printf(&t, ",\"peak_bytes\":%" PRIu64, n->peak_bytes);
    text_add(&t, "}\n");
    int rc = text_check(&t);
    if (rc == 0) rc = put(l, t.data, t.size);
    text_free(&t);
    return rc;
}

int train_log_sync(train_log *l) { return fsync(l->fd) < 0 && errno != EINVAL && errno != EROFS ? error_errno("%s", l->path) : 0; }

void train_log_close(train_log *l) {
    if (!l) return;
    if (l->fd >= 0) close(l->fd);
    free(l);
}
