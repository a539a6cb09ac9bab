/* SPDX-License-Identifier: Apache-2.0
 *
 * One file over HTTP, in as many tries as it takes. What a part is, is known by its URL and ETag, or by the SHA-256 that the whole
 * must have; a part of which neither is known begins again. */
#include "weights/pull.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/http.h"
#include "base/stop.h"
#include "weights/pull_part.h"

enum { HOPS = 10 };
static const double wait_most = 60;      /* seconds, of a Retry-After that is obeyed within a run */

typedef struct {
    const pull_options *o;
    pull_result *out;
    pull_paths paths;
    pull_state state;            /* of the part */
    http *h;
    char wanted[65];             /* the SHA-256 that it must have, or "" */
    pull_proof proof;            /* who says so */
    uint64_t before;             /* bytes that were there when the run began, and are still */
    uint64_t have;               /* of the part, when the request was sent */
    uint64_t came;               /* over the network, up to that request */
    uint64_t hub_size;           /* of the file, as the hub says; 0: it did not */
    uint64_t checked;
    double begin, told;
    bool joined;                 /* the part is of more than one answer */
    bool whole;                  /* ask for all: a part of another file came */
    int declined;                /* ERR_*, of the answer that was not wanted */
} fetch;

/* ---- telling ----------------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3)))
static void say(const fetch *f, const char *format, ...) {
    char line[1024];
    va_list args;
    if (!f->o->say) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    f->o->say(f->o->context, line);
}

static void tell(fetch *f, bool last) {
    double now = clock_seconds();
    if (!f->o->tell || (!last && now - f->told < 0.1)) return;
    f->told = now;
    uint64_t there = f->have + (f->h ? http_received(f->h) : 0);
    f->o->tell(f->o->context, &(pull_progress){ f->state.total, f->before, there - f->before, f->checked, now - f->begin });
}

/* By what a later run can know the part: the sum of the whole, or a strong tag (a weak one, W/"...", is no use for bytes). */
static bool has_sum(const fetch *f) { return *f->wanted && (!*f->state.sha256 || strcmp(f->state.sha256, f->wanted) == 0); }
static bool has_tag(const fetch *f) { return *f->state.etag == '"' && strcmp(f->state.url, f->o->url) == 0; }

static int stopped(const fetch *f) {
    uint64_t size = 0;
    if (f->paths.fd < 0 || pull_part_size(&f->paths, &size) < 0) return error_set(ERR_CANCELLED, "stopped");
    if (!has_sum(f) && !has_tag(f)) return error_set(ERR_CANCELLED, "stopped; the server does not say what its file is, so nothing is kept to go on from");
    return error_set(ERR_CANCELLED, "stopped: %" PRIu64 " bytes are kept in %s; the same line again goes on from there", size, f->paths.part);
}

/* ---- sums -------------------------------------------------------------------------------------------------------------------- */

static bool is_sum(const char *s) { return strlen(s) == 64 && strspn(s, "0123456789abcdefABCDEF") == 64; }

static void lower(char out[65], const char *s) {
    for (int i = 0; i < 65; i++) out[i] = s[i] >= 'A' && s[i] <= 'F' ? (char)(s[i] + 32) : s[i];
}

static int take_sum(fetch *f, int fd, const char *path, char hex[65]) {
    static const size_t block = 1 << 18;
    uint8_t buffer[1 << 18], digest[32];
    sha256_state s;
    sha256_begin(&s);
    f->checked = 0;
    for (;;) {
        ssize_t n = pread(fd, buffer, block, (off_t)f->checked);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_errno("%s", path);
        if (n == 0) break;
        sha256_add(&s, buffer, (size_t)n);
        f->checked += (uint64_t)n;
        tell(f, false);
        if (stop_asked(f->o->stop)) return stopped(f);
    }
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    return 0;
}

/* ---- an answer ----------------------------------------------------------------------------------------------------------------- */

static bool decline(fetch *f, int code) {
    f->declined = code;
    return false;
}

/* Whether there is room for what is to come. */
static bool room_for(fetch *f, uint64_t bytes) {
    struct statvfs disk;
    if (fstatvfs(f->paths.fd, &disk) < 0) return true;
    uint64_t room;
    if (__builtin_mul_overflow((uint64_t)disk.f_bavail, (uint64_t)disk.f_frsize, &room) || bytes <= room) return true;
    return decline(f, error_set(ERR_FULL, "%s: %.2f GB are still to come, but the disk has %.2f GB free", f->o->folder, (double)bytes / 1e9, (double)room / 1e9));
}

/* Before the first byte: is this the file that was begun? If it is another, what was there goes. */
static bool answered(void *context, const http_answer *a) {
    fetch *f = context;
    pull_state *s = &f->state;
    uint64_t total = a->total == UINT64_MAX ? f->hub_size : a->total;
    if (a->encoded) return decline(f, error_set(ERR_FORMAT, "%s: comes packed (Content-Encoding), though it was asked for as it is: it is not taken", f->o->url));
    if (f->hub_size && total != f->hub_size)
        return decline(f, error_set(ERR_FORMAT, "%s: a file of %" PRIu64 " bytes comes, where the hub speaks of %" PRIu64, f->o->url, total, f->hub_size));
    if (a->status == 206 && ((s->total && total && total != s->total) || (*s->etag && a->etag && strcmp(s->etag, a->etag)))) {
        f->whole = true;         /* a server that does not know If-Range */
        return decline(f, 0);
    }
    if (a->status == 200) {
        if (f->have) say(f, "the server has another file by now, or gives no parts: all of it is fetched");
        if (pull_part_cut(&f->paths) < 0) return decline(f, error_code());
        f->before = f->have = 0;
        s->total = 0;
        f->joined = false;
    } else {
        f->joined = true;
    }
    if (total) s->total = total;
    snprintf(s->etag, sizeof s->etag, "%s", a->etag ? a->etag : "");
    snprintf(s->url, sizeof s->url, "%s", f->o->url);
    snprintf(s->sha256, sizeof s->sha256, "%s", f->wanted);
    if (total && !room_for(f, total - f->have)) return false;
    int rc = pull_state_write(f->paths.state, s, NULL, NULL);
    return rc < 0 ? decline(f, rc) : true;
}

/* Where a redirect may lead: no further down than where it began. */
static int check_hop(const fetch *f, const char *from, const char *to) {
    if (!to) return error_set(ERR_IO, "%s: is moved, to nowhere", from);
    bool tls = strncasecmp(to, "https://", 8) == 0, plain = strncasecmp(to, "http://", 7) == 0;
    if (tls || (plain && f->o->insecure)) return 0;
    return error_set(ERR_IO, "%s: is moved to %s, which is not https", from, to);
}

/* What the hub says of the file that its redirect leads to. */
static int heed_hub(fetch *f, const http_reply *r) {
    char sum[65], bare[80] = "";
    if (r->linked_etag && r->linked_size != UINT64_MAX) f->hub_size = r->linked_size;
    if (r->linked_etag) snprintf(bare, sizeof bare, "%s", r->linked_etag + (*r->linked_etag == '"'));
    bare[strcspn(bare, "\"")] = 0;
    if (!is_sum(bare)) return 0;
    lower(sum, bare);
    if (f->proof == PULL_AS_ASKED && strcmp(sum, f->wanted) != 0)
        return error_set(ERR_FORMAT, "%s: is another file there than the known one: its SHA-256 is %s, and %s is wanted. Nothing was fetched", f->o->url, sum, f->wanted);
    if (f->proof == PULL_AS_ASKED) return 0;
    if (*f->wanted && strcmp(sum, f->wanted) != 0) f->whole = true;      /* of an earlier run */
    strcpy(f->wanted, sum);
    f->proof = PULL_AS_HUB_SAYS;
    return 0;
}

static int no_such(const fetch *f, const http_reply *r) {
    const char *why = r->status == 401 || r->status == 403 ? "the server wants an account for it, or has it no more"
                      : r->status == 404 || r->status == 410 ? "the server has no such file"
                                                             : "the server refuses";
    return error_set(ERR_IO, "%s: %s (HTTP %d)%s%s", f->o->url, why, r->status, f->o->withdrawn ? ". " : "", f->o->withdrawn ? f->o->withdrawn : "");
}

static bool heals(const http_reply *r) {
    if (r->outcome == HTTP_ANSWERED) return r->status >= 500 || r->status == 408 || r->status == 429;
    return r->outcome == HTTP_DNS || r->outcome == HTTP_CONNECT || r->outcome == HTTP_TIMEOUT || r->outcome == HTTP_CUT;
}

static int failure(const fetch *f, const http_reply *r) {
    if (r->outcome == HTTP_ANSWERED) return r->status >= 500 || r->status == 429 ? error_set(ERR_IO, "%s: the server has trouble (HTTP %d)", f->o->url, r->status) : no_such(f, r);
    if (r->outcome == HTTP_PRIVATE)
        return error_set(ERR_IO, "%s: %s; with --allow-private it is asked all the same", f->o->url, r->why);
    if (r->outcome == HTTP_WRITE)
        return error_set(r->full ? ERR_FULL : ERR_IO, "%s: %s. %s", f->paths.part, r->why,
                         has_sum(f) || has_tag(f) ? "What came is kept, and the same line again goes on from there"
                                                  : "What came is thrown away: the server does not say what its file is, so it can't be gone on with");
    if (r->outcome == HTTP_DNS || r->outcome == HTTP_CONNECT) return error_set(ERR_IO, "%s: cannot be reached: %s", f->o->url, r->why);
    return error_set(ERR_IO, "%s: %s", f->o->url, r->why);
}

/* ---- a try --------------------------------------------------------------------------------------------------------------------- */

static int wait_for(fetch *f, http_reply *r) {
    for (;;) {
        int rc = http_next(f->h, 0.1, r);
        if (rc != 0) return rc;
        tell(f, false);
        if (stop_asked(f->o->stop)) return stopped(f);
    }
}

/* Whether the part can be gone on with, and if so by which tag. */
static bool goes_on(fetch *f, const char **if_range) {
    *if_range = has_tag(f) ? f->state.etag : NULL;
    return !f->whole && f->have && (has_sum(f) || has_tag(f));
}

/* One request and the redirects it meets. 1: the file is whole; 0: it may be tried again (*r says why it ended); or ERR_*. */
static int try_once(fetch *f, http_reply *r) {
    char url[8200];
    snprintf(url, sizeof url, "%s", f->o->url);
    for (int hop = 0; hop <= HOPS; hop++) {
        const char *if_range;
        int rc = pull_part_size(&f->paths, &f->have);
        if (rc < 0) return rc;
        if (!goes_on(f, &if_range)) f->have = 0;
        else if (f->state.total && f->have == f->state.total) return 1;
        f->declined = 0;
        rc = http_start_file(f->h, &(http_request){ url, f->paths.fd, f, f->have, if_range, answered });
        if (rc < 0) return rc;
        rc = wait_for(f, r);
        if (rc < 0) return rc;
        f->came += r->bytes;
        if (r->outcome == HTTP_DECLINED) return f->declined;
        if (r->outcome != HTTP_ANSWERED) return 0;
        if (r->status == 200 || r->status == 206) {
            /* 206 of another place than asked for: as if it were nothing. */
            if (r->status == 206 && !r->bytes) f->whole = true;
            else return 1;
            return 0;
        }
        if (r->status == 416) {
            f->whole = true;
            return 0;
        }
        if (r->status < 300 || r->status >= 400 || r->status == 304) return 0;
        rc = check_hop(f, url, r->location);
        if (rc == 0) rc = heed_hub(f, r);
        if (rc < 0) return rc;
        if (strlen(r->location) >= sizeof url) return error_set(ERR_IO, "%s: is moved to a URL that is too long", f->o->url);
        strcpy(url, r->location);
    }
    return error_set(ERR_IO, "%s: leads through more than %d redirects", f->o->url, HOPS);
}

/* 0, or ERR_CANCELLED. */
static int rest(fetch *f, double seconds) {
    for (double end = clock_seconds() + seconds, now; (now = clock_seconds()) < end;) {
        if (stop_asked(f->o->stop)) return stopped(f);
        usleep((useconds_t)((end - now < 0.1 ? end - now : 0.1) * 1e6));
    }
    return stop_asked(f->o->stop) ? stopped(f) : 0;
}

static int fetch_all(fetch *f) {
    double wait = f->o->retry_seconds;
    uint64_t furthest = f->before;
    for (int left = f->o->retries, wholes = 2;;) {
        http_reply r = { 0 };
        bool whole = f->whole;
        int rc = try_once(f, &r);
        if (rc != 0) return rc < 0 ? rc : 0;
        if (f->whole && !whole && wholes-- > 0) {
            say(f, "the part that is there is of another file: all of it is fetched");
            if ((rc = pull_part_cut(&f->paths)) < 0) return rc;
            f->before = f->have = 0;
            f->state = (pull_state){ 0 };
            continue;
        }
        f->whole = false;
        bool reached = f->came || (r.outcome != HTTP_DNS && r.outcome != HTTP_CONNECT);
        if (f->have + r.bytes > furthest) {      /* whoever gives more each time may go on for ever */
            furthest = f->have + r.bytes;
            left = f->o->retries;
            wait = f->o->retry_seconds;
        }
        if (!heals(&r) || left-- <= 0 || !reached || r.retry_after > wait_most) return failure(f, &r);
        double seconds = r.retry_after > wait ? r.retry_after : wait;
        failure(f, &r);
        say(f, "%s; trying again in %g s", error_message(), seconds);
        if ((rc = rest(f, seconds)) < 0) return rc;
        wait = wait < wait_most / 2 ? 2 * wait : wait_most;
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------ */

static int keep_record(fetch *f) {
    pull_state s = { .total = f->out->bytes };
    snprintf(s.url, sizeof s.url, "%s", f->o->url);
    strcpy(s.sha256, f->out->sha256);
    return pull_state_write(f->paths.record, &s, f->o->licence, f->o->licence_url);
}

/* What stands under the file's name already. 1: it is the one; 0: there is none; or ERR_*. */
static int look_there(fetch *f) {
    struct stat st;
    pull_state s;
    if (stat(f->paths.whole, &st) < 0) return 0;
    if (!S_ISREG(st.st_mode)) return error_set(ERR_EXISTS, "%s: is there and is no file", f->paths.whole);
    f->out->bytes = (uint64_t)st.st_size;
    f->out->there = true;
    bool known = pull_state_read(f->paths.record, &s) && s.total == f->out->bytes && is_sum(s.sha256);
    if (known && (*f->wanted ? strcmp(s.sha256, f->wanted) == 0 : strcmp(s.url, f->o->url) == 0)) {
        strcpy(f->out->sha256, s.sha256);
        return 1;
    }
    if (!*f->wanted) return error_set(ERR_EXISTS, "%s: is there, and nothing says what it is: move it away, or choose another --to", f->paths.whole);
    say(f, "%s is there: its SHA-256 is taken", f->paths.whole);
    char hex[65];
    int fd = open(f->paths.whole, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_errno("%s", f->paths.whole);
    f->state.total = f->before = f->have = f->out->bytes;
    int rc = take_sum(f, fd, f->paths.whole, hex);
    close(fd);
    if (rc < 0) return rc;
    if (strcmp(hex, f->wanted) != 0)
        return error_set(ERR_EXISTS, "%s: is there and is another file (SHA-256 %s): move it away, or choose another --to", f->paths.whole, hex);
    strcpy(f->out->sha256, hex);
    rc = keep_record(f);
    return rc < 0 ? rc : 1;
}

/* What comes from a hub where one must log in, or for the address of a page about the file. */
static bool is_web_page(int fd) {
    static const char *const begins[] = { "<!doctype", "<html", "<?xml" };
    char head[65] = "";
    ssize_t n = pread(fd, head, sizeof head - 1, 0);
    const char *at = head + (n > 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    at += strspn(at, " \t\r\n");
    for (int i = 0; i < 3; i++)
        if (strncasecmp(at, begins[i], strlen(begins[i])) == 0) return true;
    return false;
}

/* The part is as long as it should be: is it the file? 1: yes. 0: no, but it was put together of pieces, and is gone now. */
static int check_whole(fetch *f) {
    int rc = pull_part_size(&f->paths, &f->out->bytes);
    f->have = f->out->bytes;
    if (rc == 0) rc = take_sum(f, f->paths.fd, f->paths.part, f->out->sha256);
    if (rc < 0) return rc;
    bool page = !*f->wanted && is_web_page(f->paths.fd), complete = !f->state.total || f->out->bytes == f->state.total;
    if (!f->out->bytes) return error_set(ERR_FORMAT, "%s: an empty file came, which is no model", f->o->url);
    if (complete && !page && (!*f->wanted || strcmp(f->out->sha256, f->wanted) == 0)) return 1;
    bool again = !page && (f->joined || f->before);
    rc = pull_part_cut(&f->paths);
    if (rc == 0 && again) {
        say(f, "what was put together of several tries is not the file: it is fetched again from its beginning");
        f->before = f->have = 0;
        f->state = (pull_state){ 0 };
        return 0;
    }
    unlink(f->paths.part);
    unlink(f->paths.state);
    if (rc == 0 && page) rc = error_set(ERR_FORMAT, "%s: a web page came, which is no model: is it the file's own address, and may anyone fetch it?", f->o->url);
    if (rc == 0 && !complete) rc = error_set(ERR_FORMAT, "%s: %" PRIu64 " bytes came, of %" PRIu64 ": they were thrown away", f->o->url, f->out->bytes, f->state.total);
    return rc < 0 ? rc : error_set(ERR_FORMAT, "%s: what came has the SHA-256 %s, and %s is right%s: it was thrown away", f->o->url, f->out->sha256, f->wanted,
                                   f->proof == PULL_AS_HUB_SAYS ? ", says the hub" : "");
}

/* Nothing has come, or what came can't be gone on with: nothing stays. The message is kept. */
static int leave(fetch *f, int rc) {
    struct stat st;
    if ((fstat(f->paths.fd, &st) == 0 && st.st_size == 0) || (!has_sum(f) && !has_tag(f))) {
        unlink(f->paths.part);
        unlink(f->paths.state);
    }
    return rc;
}

static int run(fetch *f) {
    int rc = look_there(f);
    if (rc != 0) return rc < 0 ? rc : 0;
    f->out->there = false;
    if ((rc = pull_part_open(&f->paths)) < 0) return rc;
    if (!pull_state_read(f->paths.state, &f->state)) f->state = (pull_state){ 0 };
    if ((rc = pull_part_size(&f->paths, &f->before)) < 0) return rc;
    bool asked = f->proof == PULL_AS_ASKED;
    if (!asked && is_sum(f->state.sha256) && strcmp(f->state.url, f->o->url) == 0) strcpy(f->wanted, f->state.sha256), f->proof = PULL_AS_HUB_SAYS;
    const char *tag;
    f->have = f->before;
    if (f->state.total && f->before > f->state.total) f->whole = true;
    if (!goes_on(f, &tag)) {
        if (f->before && (rc = pull_part_cut(&f->paths)) < 0) return rc;
        f->before = 0;
        f->whole = false;
        f->state = (pull_state){ 0 };
    } else say(f, "goes on after %.2f GB", (double)f->before / 1e9);
    for (int round = 0; rc == 0 && round < 2; round++) {
        rc = fetch_all(f);
        if (rc == 0) rc = check_whole(f);
    }
    if (rc == 0) rc = error_set(ERR_IO, "%s: it is another file each time", f->o->url);
    tell(f, true);
    if (rc < 0) return leave(f, rc);
    f->out->fetched = f->came;
    if (fsync(f->paths.fd) < 0) return error_errno("%s", f->paths.part);
    rc = file_rename_new(f->paths.part, f->paths.whole);
    if (rc == 0) rc = keep_record(f);
    unlink(f->paths.state);
    return rc;
}

int pull_file(const pull_options *o, pull_result *out) {
    char name[208];
    fetch f = { .o = o, .out = out, .begin = clock_seconds(), .paths.fd = -1 };
    *out = (pull_result){ 0 };
    if (o->file) snprintf(name, sizeof name, "%s", o->file);
    int rc = o->file ? 0 : pull_file_name(o->url, name);
    if (rc == 0 && strlen(o->url) > 8192) rc = error_set(ERR_USAGE, "the URL is too long");
    if (rc == 0 && strncasecmp(o->url, "https://", 8) != 0 && !(o->insecure && strncasecmp(o->url, "http://", 7) == 0))
        rc = error_set(ERR_USAGE, "%s: https is wanted (http with --insecure only)", o->url);
    if (rc == 0 && o->sha256 && !is_sum(o->sha256)) rc = error_set(ERR_USAGE, "%s: a SHA-256 has 64 hex digits", o->sha256);
    if (rc == 0) rc = folder_make(o->folder);
    if (rc == 0) rc = pull_paths_make(o->folder, name, &f.paths);
    if (rc < 0) return rc;
    if (o->sha256) lower(f.wanted, o->sha256), f.proof = PULL_AS_ASKED;
    const http_options how = {
        .connect_seconds = o->connect_seconds, .stall_seconds = o->stall_seconds, .total_seconds = 1e8, .max_bytes = (size_t)1 << 60,
        .user_agent = "mien/" MIEN_VERSION, .insecure = o->insecure, .allow_private = o->allow_private, .ignore_opt_out = true, .most_connections = 4,
    };
    rc = http_open(&how, &f.h);
    if (rc == 0) rc = run(&f);
    http_close(f.h);
    f.h = NULL;
    pull_part_close(&f.paths);
    strcpy(out->path, f.paths.whole);
    out->proof = out->there ? PULL_AS_ASKED : f.proof;
    if (out->there && !*f.wanted) out->proof = PULL_UNVERIFIED;
    return rc;
}
