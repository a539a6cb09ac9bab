/* SPDX-License-Identifier: Apache-2.0
 *
 * Transfers: what is begun when, and what becomes of each answer. All on the caller's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/stop.h"
#include "data/download_inside.h"

/* Bodies that wait for a check are files: so many of them, of so many bytes. */
enum { CHECKING_MOST = 256, LOOK_AHEAD = 4096 };
#define CHECKING_BYTES ((uint64_t)512 << 20)

static const double turn_seconds = 0.1, full_seconds = 5, full_say_seconds = 60;
static const double wait_most = 300;           /* a server that asks for more patience than this gets it: until another run */
enum { REFUSALS_MOST = 3 };                    /* and then it is asked for nothing more in this one */

/* ---- items --------------------------------------------------------------------------------------------------------------- */

static int item_new(download *d, download_item **out) {
    if (d->unused) {
        *out = d->unused;
        d->unused = d->unused->next;
        return 0;
    }
    if (d->items == d->room) {
        size_t room = d->room ? d->room * 2 : 64;
        download_item **item = realloc(d->item, room * sizeof *item);
        if (!item) return error_memory(room * sizeof *item);
        d->item = item;
        d->room = room;
    }
    download_item *i = calloc(1, sizeof *i);
    if (!i) return error_memory(sizeof *i);
    i->kind = TRANSFER_ITEM;
    i->fd = -1;
    d->item[d->items++] = i;
    *out = i;
    return 0;
}

static void drop_file(download_item *i) {
    if (i->fd < 0) return;
    close(i->fd);
    unlink(i->temporary);
    i->fd = -1;
}

/* Its file, if it still has one, serves the next. */
static void item_end(download *d, download_item *i) {
    download_item_forget(i);
    if (i->dirty && i->fd >= 0 && ftruncate(i->fd, 0) < 0) drop_file(i);
    i->dirty = false;
    i->host = NULL;
    i->status = i->got_width = i->got_height = 0;
    i->bytes = 0;
    i->seconds = 0;
    i->sha256[0] = i->note[0] = i->why[0] = 0;
    i->rc = 0;
    i->next = d->unused;
    d->unused = i;
}

static void items_free(download *d) {
    for (size_t k = 0; k < d->items; k++) {
        download_item_forget(d->item[k]);
        drop_file(d->item[k]);
        free(d->item[k]);
    }
    free(d->item);
    d->item = NULL;
    d->items = d->room = 0;
}

/* ---- a full disk --------------------------------------------------------------------------------------------------------- */

static int disk_is_full(download *d, const char *why) {
    if (d->options->stop_when_full) return error_set(ERR_FULL, "%s", why);
    double now = clock_seconds();
    d->full = true;
    d->full_until = now + full_seconds;
    if (now - d->full_said < full_say_seconds && d->full_said > 0) return 0;
    char message[1300];
    snprintf(message, sizeof message, "%s: waiting for space, looking again every %.0f s (Ctrl-C stops, and nothing is lost)", why, full_seconds);
    download_say(d, MIEN_LOG_WARNING, NULL, message);
    d->full_said = now;
    return 0;
}

/* Whether something can be written again: tried, as quotas do not show in the disk's free space. */
static bool has_space(const download *d) {
    static const char block[1 << 16];
    char path[PATH_MAX + 16], temporary[PATH_MAX];
    snprintf(path, sizeof path, "%s/space.jpg", d->target);
    int fd = file_temporary(path, temporary);
    if (fd < 0) return false;
    bool fits = true;
    for (int k = 0; k < 16 && fits; k++) fits = write(fd, block, sizeof block) == (ssize_t)sizeof block;
    close(fd);
    unlink(temporary);
    return fits;
}

/* ---- what became of it --------------------------------------------------------------------------------------------------- */

static int record(download *d, download_item *i) {
    int rc = download_record(d, i);
    if (rc == 0) {
        item_end(d, i);
    } else if (rc == ERR_FULL) {
        i->next = d->kept;
        d->kept = i;
        rc = disk_is_full(d, error_message());
    }
    return rc;
}

static int fail(download *d, download_item *i, download_reason reason, const char *why) {
    i->reason = reason;
    snprintf(i->why, sizeof i->why, "%s", why ? why : "");
    return record(d, i);
}

static double jitter(download *d) {
    d->dice = d->dice * 6364136223846793005u + 1442695040888963407u;
    return (double)(d->dice >> 40) / (double)(1 << 24);
}

/* After 1, 4, 16 ... s, a quarter of it more or less; and not before the server says. */
static double patience(download *d, int attempt, double retry_after) {
    double s = d->options->retry_seconds;
    for (int k = 0; k < attempt && s < wait_most; k++) s *= 4;
    if (s > wait_most) s = wait_most;
    s *= 0.75 + 0.5 * jitter(d);
    return s > retry_after ? s : retry_after + jitter(d);
}

static int try_again_or_fail(download *d, download_item *i, download_reason reason, double retry_after, const char *why) {
    if (!download_can_heal(reason) || i->attempt >= d->options->retries || retry_after > wait_most) return fail(d, i, reason, why);
    int rc = download_queue_again(&d->queue, i, clock_seconds() + patience(d, i->attempt, retry_after));
    item_end(d, i);
    return rc;
}

/* The disk was full under it: it is fetched anew, and that was no try. */
static int fetch_anew(download *d, download_item *i) {
    int rc = download_queue_anew(&d->queue, i);
    item_end(d, i);
    return rc;
}

/* ---- answers ------------------------------------------------------------------------------------------------------------- */

static int redirected(download *d, download_item *i, const http_reply *r) {
    http_url parts;
    char why[700], shown[600];
    if (!r->location) return fail(d, i, GOT_OTHER_STATUS, "a redirect to nowhere");
    snprintf(why, sizeof why, "a redirect to %s", text_escape(shown, sizeof shown, r->location));
    if (!http_url_read(r->location, &parts)) return fail(d, i, GOT_BAD_URL, why);
    if (i->hops >= d->options->redirects) return fail(d, i, GOT_REDIRECTS, "too many of them");
    int rc = download_queue_moved(&d->queue, i, r->location);
    if (rc == ERR_FULL) {
        rc = disk_is_full(d, error_message());
        return rc < 0 ? rc : fetch_anew(d, i);
    }
    item_end(d, i);
    return rc;
}

/* The host waits as long as it asks to. If that is for another run, one answer may be about one photo, several are not. */
static void put_off(host *h, download_reason reason, double retry_after) {
    if (!h || retry_after <= 0) return;
    if (retry_after <= wait_most) download_queue_pause(h, clock_seconds() + retry_after);
    else if (++h->refusals >= REFUSALS_MOST) h->refuses = reason;
}

static int answered(download *d, download_item *i, const http_reply *r) {
    i->status = r->status;
    i->bytes = r->bytes;
    if (r->opted_out && (r->status == 200 || download_is_redirect(r->status)) && !d->options->ignore_opt_outs)
        return fail(d, i, GOT_OPTED_OUT, "its headers ask not to be used");
    if (download_is_redirect(r->status)) return redirected(d, i, r);
    if (r->status == 200) {
        if (i->host) i->host->refusals = 0;
        d->checking_bytes += i->fetched_bytes = i->bytes;
        checker_add(d->checker, i);
        return 0;
    }
    i->bytes = 0;
    if (r->status == 429 || r->status == 503) put_off(i->host, download_reason_of_status(r->status), r->retry_after);
    return try_again_or_fail(d, i, download_reason_of_status(r->status), r->retry_after, NULL);
}

static int transfer_ended(download *d, const http_reply *r) {
    double now = clock_seconds();
    d->running--;
    if (*(transfer_kind *)r->context == TRANSFER_ROBOTS) return download_robots_answer(d, r->context, r, now);
    download_item *i = r->context;
    host *h = i->host;
    i->seconds = r->seconds;
    i->dirty = r->status == 200 || r->outcome != HTTP_ANSWERED;
    int rc;
    if (r->outcome == HTTP_ANSWERED) {
        rc = answered(d, i, r);
    } else if (r->outcome == HTTP_WRITE) {
        char why[1024];
        snprintf(why, sizeof why, "%s", r->why ? r->why : "a photo could not be written");
        rc = r->full ? disk_is_full(d, why) : error_set(ERR_IO, "%s", why);
        if (rc == 0) rc = fetch_anew(d, i);
    } else {
        i->status = r->status;
        char why[1024];
        snprintf(why, sizeof why, "%s", r->why ? r->why : "");
        rc = try_again_or_fail(d, i, download_reason_of_outcome(r->outcome), 0, why);
    }
    return rc < 0 ? rc : download_queue_ended(&d->queue, h, now);
}

static int checked(download *d, download_item *i) {
    d->checking_bytes -= i->fetched_bytes;
    i->fetched_bytes = 0;
    if (i->rc == 0) return record(d, i);
    if (i->rc != ERR_FULL) return error_set(i->rc, "%s: %s", i->id, i->why);
    int rc = disk_is_full(d, i->why);
    return rc < 0 ? rc : fetch_anew(d, i);
}

/* ---- beginning ----------------------------------------------------------------------------------------------------------- */

int download_open_http(download *d) {
    const download_options *o = d->options;
    if (d->http) return 0;
    http *opened;
    int rc = http_open(&(http_options){
        .connect_seconds = o->connect_seconds, .stall_seconds = o->stall_seconds, .total_seconds = o->total_seconds, .max_bytes = o->max_bytes,
        .user_agent = d->user_agent, .insecure = o->insecure, .allow_private = o->allow_private,
        .ignore_opt_out = o->ignore_opt_outs, .most_connections = (size_t)d->connections * 2,
    }, &opened);
    if (rc == 0) __atomic_store_n(&d->http, opened, __ATOMIC_RELEASE);   /* the checking threads wake it */
    return rc;
}

static int give_file(download *d, download_item *i) {
    char path[PATH_MAX + 16];
    if (i->fd >= 0) return 0;
    snprintf(path, sizeof path, "%s/download.jpg", d->target);
    i->fd = file_temporary(path, i->temporary);
    return i->fd < 0 ? i->fd : 0;
}

/* What a URL gets without being asked for, or GOT_OK. */
static download_reason refusal(const host *h, const char *url, const char **why) {
    *why = "its server asks to be left alone for longer than a run waits";
    if (h->refuses != GOT_OK) return h->refuses;
    *why = h->robots_reason == GOT_ROBOTS ? "robots.txt was refused" : "robots.txt could not be asked for";
    if (h->robots == ROBOTS_FAILED) return h->robots_reason;
    *why = "robots.txt forbids it";
    return h->robots == ROBOTS_KNOWN && !download_robots_allow(h, url) ? GOT_ROBOTS : GOT_OK;
}

/* A request to a host that one may go to now. */
static int begin(download *d, host *h, double now) {
    download_item *i;
    if (d->options->robots && h->robots == ROBOTS_UNKNOWN) return download_robots_ask(d, h, now);
    int rc = item_new(d, &i);
    if (rc < 0) return rc;
    rc = give_file(d, i);
    if (rc < 0) {
        item_end(d, i);
        if (rc == ERR_FULL) rc = disk_is_full(d, error_message());
        return rc < 0 ? rc : download_queue_look(&d->queue, h, now);
    }
    rc = download_queue_load(&d->queue, download_queue_take(&d->queue, h), i);
    if (rc < 0) return rc;
    i->host = h;
    const char *why;
    download_reason refused = refusal(h, i->now, &why);
    if (refused != GOT_OK) {
        rc = fail(d, i, refused, why);
        return rc < 0 ? rc : download_queue_look(&d->queue, h, now);
    }
    rc = download_open_http(d);
    if (rc == 0) rc = http_start(d->http, i->now, i->fd, i);
    if (rc < 0) return rc;
    d->running++;
    return download_queue_begun(&d->queue, h, now);
}

/* The next item of the list: it waits for its host, or is there and only to be checked. */
static int look_ahead(download *d, bool *more) {
    download_item *i;
    int rc = item_new(d, &i);
    if (rc < 0) return rc;
    rc = download_queue_next(&d->queue, i);
    *more = rc > 0;
    if (rc > 0 && i->there) {
        checker_add(d->checker, i);
        return 0;
    }
    if (rc > 0) rc = download_queue_wait(&d->queue, i, false);
    item_end(d, i);
    return rc;
}

static bool can_begin(const download *d) {
    return !d->full && !d->kept && checker_pending(d->checker) < CHECKING_MOST && d->checking_bytes < CHECKING_BYTES;
}

static int begin_some(download *d, double now) {
    bool more = true;
    for (int ahead = 0; d->running < d->connections && can_begin(d) && ahead < LOOK_AHEAD;) {
        host *h;
        int rc = download_queue_ready(&d->queue, now, &h);
        if (rc == 0 && h) rc = begin(d, h, now);
        else if (rc == 0 && !more) break;
        else if (rc == 0) rc = look_ahead(d, &more), ahead++;
        if (rc < 0) return rc;
    }
    d->behind = more;
    return 0;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------ */

static bool is_over(const download *d) {
    return !d->running && !d->behind && !d->queue.waiting && !d->queue.tries && !checker_pending(d->checker) && !d->kept;
}

/* Lines that the disk had no room for; then all may go on. */
static int go_on(download *d, double now) {
    if (!d->full && !d->kept) return 0;
    if (now < d->full_until) return 0;
    if (!has_space(d)) return disk_is_full(d, "the disk is full");
    d->full = false;
    while (d->kept) {
        download_item *i = d->kept;
        d->kept = i->next;
        int rc = record(d, i);
        if (rc < 0 || d->full) return rc;
    }
    return 0;
}

/* Waits for something to happen, and does what it asks for, until nothing more has happened. */
static int wait_for_some(download *d, double seconds) {
    for (int n = 0; n < 256; n++, seconds = 0) {
        http_reply r;
        download_item *i = checker_take(d->checker, d->http ? 0 : seconds);
        int rc = i ? checked(d, i) : 0, ended = 0;
        if (rc == 0 && d->http) rc = ended = http_next(d->http, i ? 0 : seconds, &r);
        if (ended > 0) rc = transfer_ended(d, &r);
        if (rc < 0 || (!i && !ended)) return rc;
    }
    return 0;
}

static int turn(download *d) {
    double now = clock_seconds(), look_again = now + turn_seconds;
    int rc = go_on(d, now);
    if (rc == 0) rc = download_queue_turn(&d->queue, now, &look_again);
    if (rc == 0) rc = begin_some(d, now);
    if (rc == 0 && !is_over(d)) {
        bool hurry = d->behind && !d->queue.ready && d->running < d->connections && can_begin(d);   /* there is more to look at */
        rc = wait_for_some(d, hurry ? 0 : look_again - now);
    }
    download_tell(d);
    return rc;
}

static int until_over(download *d) {
    int rc = 0;
    d->behind = true;
    while (rc == 0 && !is_over(d)) rc = stop_asked(d->options->hooks.stop) ? error_set(ERR_CANCELLED, "stopped") : turn(d);
    return rc;
}

static double cpu_seconds(void) {
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0 ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec : 0;
}

static void wake(void *context) {
    http *h = __atomic_load_n(&((download *)context)->http, __ATOMIC_ACQUIRE);
    if (h) http_wake(h);
}

int download_fetch_all(download *d) {
    double begin = cpu_seconds();
    char why[1024];
    checker_options how = { .folder = d->folder, .options = d->options, .selection = d->selection, .wake = wake, .context = d };
    d->dice = (uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid();
    int rc = checker_new(&how, &d->checker);
    if (rc == 0) rc = until_over(d);
    snprintf(why, sizeof why, "%s", error_message());
    /* What was finished is kept, however it ends. */
    if (d->checker) checker_stop(d->checker);
    if (rc < 0)
        for (download_item *i; d->checker && (i = checker_take(d->checker, 0));)
            if (i->rc == 0 && download_record(d, i) < 0) break;
    http_close(d->http);
    d->http = NULL;
    checker_free(d->checker, &d->times);
    d->checker = NULL;
    items_free(d);
    d->times.network_cpu += cpu_seconds() - begin;
    return rc < 0 ? error_set(rc, "%s", why) : 0;
}
