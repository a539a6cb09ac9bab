/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that look at what came: is it a picture, is it the one that the list means; then it gets its name. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "data/dataset.h"
#include "data/download_inside.h"
#include "image/image.h"

enum { BUFFER_KEPT = 4 << 20, MAP_MOST = 64 << 20, STACK = 1 << 20 };

typedef struct { download_item *first, *last; size_t count; } row;

struct checker {
    checker_options o;
    pthread_mutex_t mutex;
    pthread_cond_t more, done_more;
    row todo, done;
    size_t pending;
    bool ending;
    mien_download_times times;
    pthread_t *thread;
    int threads;
};

typedef struct {
    checker *c;
    uint8_t *buffer;
    size_t room;
    mien_download_times times;
} worker;

static void row_add(row *r, download_item *i) {
    i->next = NULL;
    if (r->last) r->last->next = i;
    else r->first = i;
    r->last = i;
    r->count++;
}

static download_item *row_take(row *r) {
    download_item *i = r->first;
    if (!i) return NULL;
    r->first = i->next;
    if (!r->first) r->last = NULL;
    r->count--;
    return i;
}

/* ---- one photo ----------------------------------------------------------------------------------------------------------- */

static int give_up(download_item *i, download_reason reason, const char *why) {
    i->reason = reason;
    snprintf(i->why, sizeof i->why, "%s", why);
    return 0;
}

/* The machine failed, with the thread's last message. */
static int machine_failed(download_item *i, int rc) {
    i->rc = rc;
    snprintf(i->why, sizeof i->why, "%s", error_message());
    return rc;
}

static int make_room(worker *w, size_t size) {
    if (size <= w->room && w->buffer) return 0;
    free(w->buffer);
    w->room = size < 1 << 16 ? 1 << 16 : size;
    w->buffer = malloc(w->room);
    return w->buffer ? 0 : (w->room = 0, error_memory(size));
}

static int read_body(worker *w, download_item *i) {
    size_t size = (size_t)i->bytes, at = 0;
    int rc = make_room(w, size);
    while (rc == 0 && at < size) {
        ssize_t n = pread(i->fd, w->buffer + at, size - at, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = error_errno("%s", i->temporary);
        else if (n == 0) rc = error_set(ERR_IO, "%s: has shrunk", i->temporary);
        else at += (size_t)n;
    }
    return rc < 0 ? machine_failed(i, rc) : 0;
}

/* A file that is there already: what can't be read of it is its own fault. */
static int read_there(worker *w, download_item *i, const char *path) {
    uint8_t *data;
    size_t size;
    int rc = file_load(path, IMAGE_MAX_BYTES, &data, &size);
    if (rc == ERR_MEMORY) return machine_failed(i, rc);
    if (rc < 0) return give_up(i, GOT_BROKEN_FILE, error_message()), rc;
    free(w->buffer);
    w->buffer = data;
    w->room = i->bytes = size;
    return 0;
}

typedef struct { int width, height; const char *said; } expected;

/* The size of the map that was drawn from the photo, if there is one. */
static bool map_size(const checker *c, const char *id, expected *out) {
    static const char *const endings[] = { "png", "jpg" };
    char path[PATH_MAX];
    for (int k = 0; k < 2; k++) {
        uint8_t *data;
        size_t size;
        if ((size_t)snprintf(path, sizeof path, "%s/source/%s.%s", c->o.folder, id, endings[k]) >= sizeof path || access(path, F_OK) < 0) continue;
        if (file_load(path, MAP_MOST, &data, &size) < 0) continue;
        int rc = image_verify(data, size, true, NULL, &out->width, &out->height);
        free(data);
        out->said = "its map";
        if (rc == 0) return true;
    }
    return false;
}

/* Whether it is the picture that was meant: GOT_OK, GOT_RESCALED or GOT_REPLACED, and why. */
static download_reason compare(const checker *c, download_item *i, const uint8_t digest[32]) {
    if (i->has_sha256 && memcmp(digest, i->want_sha256, 32) == 0) return GOT_OK;
    expected e[2];
    int n = 0;
    if (i->width > 0 && i->height > 0) e[n++] = (expected){ i->width, i->height, "the list" };
    if (map_size(c, i->id, &e[n])) n++;
    download_reason r = GOT_OK;
    for (int k = 0; k < n; k++) {
        if (i->got_width == e[k].width && i->got_height == e[k].height) continue;
        bool same = dataset_same_shape(i->got_width, i->got_height, e[k].width, e[k].height);
        snprintf(same ? i->note : i->why, sizeof i->note, "%s%dx%d, by %s it was %dx%d", same ? "rescaled: " : "", i->got_width, i->got_height, e[k].said,
                 e[k].width, e[k].height);
        if (!same) return i->note[0] = 0, GOT_REPLACED;
        r = GOT_RESCALED;
    }
    if (r == GOT_OK && i->has_sha256) {        /* other bytes */
        if (!n) return snprintf(i->why, sizeof i->why, "other bytes than the list's sha256 says"), GOT_REPLACED;
        snprintf(i->note, sizeof i->note, "rescaled: other bytes than the list's sha256 says, of the same size");
        r = GOT_RESCALED;
    }
    return r;
}

static int judge(worker *w, download_item *i) {
    const checker *c = w->c;
    uint8_t digest[32];
    double begin = clock_seconds();
    sha256(w->buffer, (size_t)i->bytes, digest);
    sha256_hex(digest, i->sha256);
    double hashed = clock_seconds();
    w->times.hash += hashed - begin;
    image_options how = { .max_pixels = c->o.options->max_pixels };
    int rc = image_verify(w->buffer, (size_t)i->bytes, c->o.options->check == MIEN_CHECK_HEADER, &how, &i->got_width, &i->got_height);
    w->times.verify += clock_seconds() - hashed;
    if (rc == ERR_MEMORY) return machine_failed(i, rc);
    if (rc < 0) return give_up(i, i->there ? GOT_BROKEN_FILE : rc == ERR_LIMIT ? GOT_TOO_LARGE : GOT_NO_PICTURE, error_message());
    selection_answer a = selection_asks(c->o.selection, i->id, i->url, i->sha256);
    if (a == EXCLUDED || a == REMOVED) return give_up(i, a == REMOVED ? GOT_REMOVED : GOT_EXCLUDED, "by its sha256");
    i->reason = compare(c, i, digest);
    return 0;
}

static bool target_path(const checker *c, const download_item *i, char out[PATH_MAX]) {
    return (size_t)snprintf(out, PATH_MAX, "%s/target/%s.jpg", c->o.folder, i->id) < PATH_MAX;
}

static void check_there(worker *w, download_item *i, const char *path) {
    double begin = clock_seconds();
    int rc = read_there(w, i, path);
    w->times.read += clock_seconds() - begin;
    if (rc < 0 || judge(w, i) < 0) return;
    if (i->reason == GOT_OK) snprintf(i->note, sizeof i->note, "was there");
}

static void check_fetched(worker *w, download_item *i, const char *path) {
    double begin = clock_seconds();
    int rc = read_body(w, i);
    w->times.read += clock_seconds() - begin;
    if (rc < 0 || judge(w, i) < 0 || !download_is_success(i->reason)) return;
    begin = clock_seconds();
    rc = file_rename_new(i->temporary, path);
    w->times.write += clock_seconds() - begin;
    if (rc == 0) {
        close(i->fd);
        i->fd = -1;
    } else if (rc == ERR_EXISTS) {             /* another's: it counts if it is a picture */
        i->there = true;
        i->note[0] = i->sha256[0] = 0;
        check_there(w, i, path);
    } else {
        machine_failed(i, rc);
    }
}

static void check(worker *w, download_item *i) {
    char path[PATH_MAX];
    i->rc = 0;
    i->reason = GOT_OK;
    i->why[0] = i->note[0] = i->sha256[0] = 0;
    i->got_width = i->got_height = 0;
    if (!target_path(w->c, i, path)) machine_failed(i, error_set(ERR_IO, "%s: the path is too long", w->c->o.folder));
    else if (i->there) check_there(w, i, path);
    else check_fetched(w, i, path);
    if (w->room > BUFFER_KEPT) {
        free(w->buffer);
        w->buffer = NULL;
        w->room = 0;
    }
}

/* ---- the threads --------------------------------------------------------------------------------------------------------- */

static void *work(void *context) {
    checker *c = context;
    worker w = { .c = c };
    pthread_mutex_lock(&c->mutex);
    for (;;) {
        download_item *i = c->ending ? NULL : row_take(&c->todo);
        if (c->ending) break;
        if (!i) {
            pthread_cond_wait(&c->more, &c->mutex);
            continue;
        }
        pthread_mutex_unlock(&c->mutex);
        check(&w, i);
        pthread_mutex_lock(&c->mutex);
        bool first = !c->done.first;
        row_add(&c->done, i);
        pthread_cond_signal(&c->done_more);
        if (first && c->o.wake) c->o.wake(c->o.context);
    }
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0) c->times.check_cpu += (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    c->times.read += w.times.read;
    c->times.hash += w.times.hash;
    c->times.verify += w.times.verify;
    c->times.write += w.times.write;
    pthread_mutex_unlock(&c->mutex);
    free(w.buffer);
    return NULL;
}

void checker_add(checker *c, download_item *i) {
    pthread_mutex_lock(&c->mutex);
    c->pending++;
    row_add(&c->todo, i);
    pthread_cond_signal(&c->more);
    pthread_mutex_unlock(&c->mutex);
}

download_item *checker_take(checker *c, double seconds) {
    pthread_mutex_lock(&c->mutex);
    if (!c->done.first && seconds > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        double at = (double)until.tv_nsec * 1e-9 + seconds;
        until.tv_sec += (time_t)at;
        until.tv_nsec = (long)((at - (double)(time_t)at) * 1e9);
        int late = 0;
        while (!c->done.first && !late) late = pthread_cond_timedwait(&c->done_more, &c->mutex, &until);
    }
    download_item *i = row_take(&c->done);
    if (i) c->pending--;
    pthread_mutex_unlock(&c->mutex);
    return i;
}

size_t checker_pending(const checker *c) { return c->pending; }   /* only the thread that adds and takes changes it */

static int start(checker *c, int wanted) {
    c->thread = calloc((size_t)wanted, sizeof *c->thread);
    if (!c->thread) return error_memory((size_t)wanted * sizeof *c->thread);
    pthread_attr_t attr;
    size_t size = 0;
    int refused = pthread_attr_init(&attr);
    if (!refused && pthread_attr_getstacksize(&attr, &size) == 0 && size < STACK) pthread_attr_setstacksize(&attr, STACK);
    while (!refused && c->threads < wanted)
        if (!(refused = pthread_create(&c->thread[c->threads], &attr, work, c))) c->threads++;
    pthread_attr_destroy(&attr);
    return c->threads ? 0 : error_set(ERR_MEMORY, "no thread could be started: %s", strerror(refused));
}

int checker_new(const checker_options *o, checker **out) {
    checker *c = calloc(1, sizeof *c);
    if (!c) return error_memory(sizeof *c);
    c->o = *o;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->more, NULL);
    pthread_cond_init(&c->done_more, &clock);
    pthread_condattr_destroy(&clock);
    int rc = start(c, o->options->jobs > 0 ? o->options->jobs : parallel_cores());
    if (rc < 0) checker_free(c, NULL);
    else *out = c;
    return rc;
}

void checker_stop(checker *c) {
    pthread_mutex_lock(&c->mutex);
    c->ending = true;
    pthread_cond_broadcast(&c->more);
    pthread_mutex_unlock(&c->mutex);
    for (int k = 0; k < c->threads; k++) pthread_join(c->thread[k], NULL);
    c->threads = 0;
}

void checker_free(checker *c, mien_download_times *times) {
    if (!c) return;
    checker_stop(c);
    if (times) {
        double network = times->network_cpu;
        *times = c->times;
        times->network_cpu = network;
    }
    pthread_cond_destroy(&c->more);
    pthread_cond_destroy(&c->done_more);
    pthread_mutex_destroy(&c->mutex);
    free(c->thread);
    free(c);
}
