/* SPDX-License-Identifier: Apache-2.0 */
#include "data/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/part.h"
#include "base/stop.h"
#include "data/dataset.h"
#include "data/download_inside.h"

static const double mean_guess = 80e3;         /* bytes: of LAION's photos */
static const double tell_every = 0.1;          /* seconds */

void download_say(download *d, mien_log_kind kind, const char *id, const char *message) {
    const mien_hooks *h = &d->options->hooks;
    if (h->log) h->log(h->context, kind, id, message);
}

static void tell_now(download *d) {
    const mien_hooks *h = &d->options->hooks;
    d->progress.seconds = clock_seconds() - d->begin;
    if (h->progress) h->progress(h->context, &d->progress);
}

void download_tell(download *d) {
    double now = clock_seconds();
    if (now - d->told < tell_every) return;
    d->told = now;
    tell_now(d);
}

/* ---- the plan ------------------------------------------------------------------------------------------------------------ */

typedef enum { FETCH, CHECK, LEAVE } deed;

static bool is_there(int target, const char *id) {
    char name[ID_MOST + 8];
    struct stat st;
    snprintf(name, sizeof name, "%s.jpg", id);
    return fstatat(target, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* before: what an earlier run made of it + 1. */
static deed what_to_do(const download *d, bool there, uint8_t before) {
    const download_options *o = d->options;
    download_reason r = (download_reason)(before - 1);
    if (there) return before && download_is_success(r) ? LEAVE : CHECK;
    if (!before || download_is_success(r)) return FETCH;
    bool again = o->retry_failed && (!o->retry_reason || strcmp(o->retry_reason, download_reason_names[r]) == 0);
    return again ? FETCH : LEAVE;
}

static void fill(download_item *i, const list_item *item, uint8_t before, bool there) {
    i->before = before;
    i->there = there;
    snprintf(i->id, sizeof i->id, "%s", item->id);
    i->width = item->width;
    i->height = item->height;
    i->has_sha256 = item->sha256 != NULL;
    for (int k = 0; k < 32 && item->sha256; k++) {
        unsigned v = 0;
        sscanf(item->sha256 + 2 * k, "%2x", &v);
        i->want_sha256[k] = (uint8_t)v;
    }
}

/* An item that there is something to do for. */
static int enter(download *d, const list_item *item, uint8_t before, bool there) {
    download_item i = { 0 };
    http_url parts;
    fill(&i, item, before, there);
    d->progress.total++;
    bool sound = strlen(item->url) <= URL_MOST && http_url_read(item->url, &parts);
    i.url = i.now = sound ? strdup(item->url) : strndup(item->url, URL_MOST);
    if (!i.url) return error_memory(strlen(item->url));
    int rc;
    if (sound || there) {
        d->to_look_at += there;
        rc = download_queue_enter(&d->queue, &i);
    } else {
        char shown[600];
        i.reason = GOT_BAD_URL;
        snprintf(i.why, sizeof i.why, "no http or https URL: %s", text_escape(shown, sizeof shown, item->url));
        rc = download_record(d, &i);
    }
    free(i.url);
    return rc;
}

static int plan_item(download *d, int target, const list_item *item) {
    const download_options *o = d->options;
    if (item->wrong) return download_refuse(d, item), 0;
    if (!part_has(item->id, o->part, o->parts)) return 0;
    selection_answer a = selection_asks(d->selection, item->id, item->url, item->sha256);
    if (a == NOT_ONLY) return 0;
    uint8_t *mark;
    int rc = download_before_find(&d->before, item->id, &mark);
    if (rc < 0) return rc;
    bool again = *mark & BEFORE_SEEN;
    uint8_t before = *mark & (uint8_t)~BEFORE_SEEN;
    *mark |= BEFORE_SEEN;
    if (again || a != SELECTED) return download_count(d, again ? GOT_DUPLICATE : a == REMOVED ? GOT_REMOVED : GOT_EXCLUDED, true, false), 0;
    bool there = is_there(target, item->id);
    deed do_it = what_to_do(d, there, before);
    if (do_it != LEAVE) return enter(d, item, before, do_it == CHECK);
    download_count(d, (download_reason)(before - 1), true, false);
    return 0;
}

static int plan_list(download *d) {
    char path[PATH_MAX + 16];
    list *l;
    list_item item;
    snprintf(path, sizeof path, "%s/metadata.json", d->folder);
    if (access(path, F_OK) < 0 && errno == ENOENT) return d->options->list ? error_set(ERR_USAGE, "%s: there is no photo in it", d->options->list)
                                                                                        : error_set(ERR_USAGE, "%s is not there: give a list of photos (--list)", path);
    int rc = list_open(path, &l);
    if (rc < 0) return rc;
    int target = open(d->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target < 0) rc = error_errno("%s", d->target);
    while (rc == 0 && (rc = list_next(l, &item)) > 0) {
        rc = stop_asked(d->options->hooks.stop) ? error_set(ERR_CANCELLED, "stopped") : plan_item(d, target, &item);
        download_tell(d);
    }
    if (target >= 0) close(target);
    list_close(l);
    return rc;
}

static void tell_plan(download *d) {
    const download_before *b = &d->before;
    struct statvfs disk;
    mien_download_plan p = { .items = d->queue.items - d->to_look_at, .there = d->to_look_at, .before = d->progress.skipped, .mean_is_guess = !b->ok_count };
    p.mean_bytes = b->ok_count ? (double)b->ok_bytes / (double)b->ok_count : mean_guess;
    p.bytes = p.mean_bytes * (double)p.items;
    p.free_bytes = statvfs(d->target, &disk) == 0 ? (double)disk.f_bavail * (double)disk.f_frsize : -1;
    if (d->options->plan) d->options->plan(d->options->hooks.context, &p);
}

/* ---- the job ------------------------------------------------------------------------------------------------------------- */

/* A transfer needs a socket and a file, and may need a third while names are looked up. */
static void limit_connections(download *d) {
    struct rlimit r;
    d->connections = d->options->connections;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY) return;
    long most = ((long)r.rlim_cur - 400) / 3;
    if (most < 8) most = 8;
    if (d->connections <= most) return;
    char message[200];
    snprintf(message, sizeof message, "%ld connections at once instead of %d: this process may open %llu files (ulimit -n)", most, d->connections,
             (unsigned long long)r.rlim_cur);
    download_say(d, MIEN_LOG_WARNING, NULL, message);
    d->connections = (int)most;
}

/* Whether a list can be read is known before anything is made. */
static int check_list(const char *path) {
    list *l;
    if (!path || strcmp(path, "-") == 0) return 0;
    int rc = list_open(path, &l);
    if (rc == 0) list_close(l);
    return rc == ERR_IO || rc == ERR_FORMAT ? error_set(ERR_USAGE, "%s", error_message()) : rc;
}

static int prepare(download *d) {
    const download_options *o = d->options;
    int rc = dataset_folder(o->data, d->folder);
    if (rc == 0 && snprintf(d->target, sizeof d->target, "%s/target", d->folder) >= (int)sizeof d->target) rc = error_set(ERR_IO, "%s: the path is too long", d->folder);
    if (rc == 0) rc = check_list(o->list);
    if (rc == 0) rc = selection_new(o->only, o->exclude, d->folder, &d->selection);
    if (rc == 0) rc = folder_make(d->target);
    limit_connections(d);
    snprintf(d->user_agent, sizeof d->user_agent, "mien/" MIEN_VERSION "%s%s%s", o->contact ? " (+" : "", o->contact ? o->contact : "", o->contact ? ")" : "");
    return rc;
}

static int work(download *d) {
    const download_options *o = d->options;
    file_remove_leftovers(d->folder, !o->parts);
    file_remove_leftovers(d->target, !o->parts);
    int rc = journal_open(d->folder, "download", o->part, o->parts, &d->journal);
    if (rc == 0 && o->parts) rc = journal_mark(d->journal, "begin", o->part, o->parts);
    if (rc == 0 && o->list) rc = download_take_list(d, o->list);
    if (rc == 0) rc = download_before_load(&d->before, d->folder, true);
    if (rc == 0) rc = download_queue_new(o, d->folder, &d->queue);
    if (rc == 0) rc = plan_list(d);
    if (rc == 0) rc = download_queue_entered(&d->queue);
    if (rc < 0) return rc;
    tell_plan(d);
    download_before_free(&d->before);          /* all is in the queue now */
    if (d->queue.items) rc = download_fetch_all(d);
    bool mark = rc == 0 && (o->parts || journal_lines(d->journal));
    return mark ? journal_mark(d->journal, "end", o->part, o->parts) : rc;
}

static int run(download *d) {
    folder_lock lock = FOLDER_UNLOCKED;
    int rc = prepare(d);
    if (rc == 0) rc = folder_lock_take(d->folder, d->options->part, d->options->parts, &lock);
    if (rc == 0 && lock.missing) download_say(d, MIEN_LOG_WARNING, d->folder, "cannot be locked here: see that no other process writes there");
    if (rc == 0) rc = work(d);
    journal_close(d->journal);
    download_before_free(&d->before);
    download_queue_free(&d->queue);
    selection_free(d->selection);
    folder_lock_release(&lock);
    return rc;
}

int download_run(const download_options *options, mien_progress *result) {
    download *d = calloc(1, sizeof *d);
    if (!d) return error_memory(sizeof *d);
    d->options = options;
    d->begin = clock_seconds();
    d->progress.n_counts = GOT_REASONS;
    for (int i = 0; i < GOT_REASONS; i++) d->progress.count[i].name = download_reason_names[i];
    int rc = run(d);
    tell_now(d);
    if (result) *result = d->progress;
    if (options->times) *options->times = d->times;
    free(d);
    return rc;
}
