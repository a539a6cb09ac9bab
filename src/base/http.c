/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's multi interface over epoll: what a transfer costs does not grow with how many there are. An easy handle, with
 * all its settings, is used again; of each transfer only the URL is set. Time limits but that of connecting are kept here, by
 * one look over all transfers when the first of them may be due, since libcurl's cost a timer for each. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/http_curl.h"

static void set_now(http *h) {
    h->now = clock_seconds();
    h->unix_now = (int64_t)time(NULL);
}

/* ---- what libcurl calls back ------------------------------------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *of_socket) {
    http *h = context;
    (void)easy, (void)of_socket;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    int rc = http_watch_set(&h->watch, fd, what == CURL_POLL_REMOVE ? 0 : events);
    if (rc < 0) h->failure = rc;
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *context) {
    http *h = context;
    (void)multi;
    h->timer = ms < 0 ? -1 : ms == 0 ? h->now : clock_seconds() + (double)ms / 1000;
    return 0;
}

/* With CURLOPT_NOSIGNAL, which threads need, some TLS libraries may raise SIGPIPE. */
typedef struct { sigset_t pipe, before; } signals;

static void pipe_block(signals *s) {
    sigemptyset(&s->pipe);
    sigaddset(&s->pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &s->pipe, &s->before);
}

static void pipe_restore(const signals *s) {
    static const struct timespec none;
    if (sigismember(&s->before, SIGPIPE)) return;
    while (sigtimedwait(&s->pipe, NULL, &none) < 0 && errno == EINTR) continue;
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}

/* ---- opening and closing ------------------------------------------------------------------------------------------------------- */

static char *copy_of(const char *s, int *rc) {
    char *copy = s && *s ? strdup(s) : NULL;
    if (s && *s && !copy) *rc = error_memory(strlen(s) + 1);
    return copy;
}

/* Idle connections may take a quarter of the descriptors that this process may have. */
static long most_connections(const http_options *o) {
    struct rlimit limit;
    size_t most = o->most_connections ? o->most_connections : 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && most > limit.rlim_cur / 4) most = limit.rlim_cur / 4;
    return most < 1 ? 1 : most > 65536 ? 65536 : (long)most;
}

int http_open(const http_options *options, http **out) {
    const http_library *curl = http_library_open();
    http *h = curl ? calloc(1, sizeof *h) : NULL;
    int rc = 0;
    if (!curl) return error_code();
    if (!h) return error_memory(sizeof *h);
    h->curl = curl;
    h->options = *options;
    h->done.last = &h->done.first;
    h->timer = -1;
    h->look = INFINITY;
    h->watch = (http_watch){ .epoll = -1, .wake = -1 };
    set_now(h);
    const char *authority = getenv("CURL_CA_BUNDLE");
    if (!authority || !*authority) authority = getenv("SSL_CERT_FILE");
    h->user_agent = copy_of(options->user_agent, &rc);
    h->authority = copy_of(authority, &rc);
    /* libcurl keeps what it has read of a file of certificates, but not where there is a folder of them too, as on Debian; and
     * reading the system's costs 30 ms, for each connection. (Before 7.87 it never keeps any; from 8.17 on it puts the folder
     * back.) */
    const char *of_system = curl->version_info(CURLVERSION_NOW)->cainfo;
    h->one_authority = h->authority || (of_system && access(of_system, R_OK) == 0);
    if (rc == 0) rc = http_proxies_read(&h->proxies);
    h->any_proxy = h->proxies.plain || h->proxies.tls;
    if (rc == 0) rc = http_watch_open(&h->watch);
    if (rc < 0) goto failed;
    if (!(h->multi = curl->multi_init())) {
        rc = error_memory(1024);
        goto failed;
    }
    CURLMcode set = curl->multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    if (!set) set = curl->multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    if (!set) set = curl->multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    if (!set) set = curl->multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    if (!set) set = curl->multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, most_connections(options));
    if (set) {
        rc = error_set(ERR_UNSUPPORTED, "libcurl: %s", curl->multi_strerror(set));
        goto failed;
    }
    *out = h;
    return 0;
failed:
    http_close(h);
    return rc;
}

static void list_free(transfer *t) {
    for (transfer *next; t; t = next) {
        next = t->next;
        transfer_free(t);
    }
}

void http_close(http *h) {
    if (!h) return;
    signals s;
    pipe_block(&s);
    for (size_t i = 0; i < h->n_active; i++) {
        h->curl->multi_remove_handle(h->multi, h->active[i]->easy);
        transfer_free(h->active[i]);
    }
    list_free(h->done.first);
    list_free(h->free);
    if (h->told) transfer_free(h->told);
    if (h->multi) h->curl->multi_cleanup(h->multi);   /* closes what rests, by on_close */
    pipe_restore(&s);
    http_watch_close(&h->watch);
    http_proxies_free(&h->proxies);
    free(h->active);
    free(h->user_agent);
    free(h->authority);
    free(h);
}

/* ---- starting ------------------------------------------------------------------------------------------------------------------ */

static void finish(transfer *t, http_outcome outcome) {
    http *h = t->h;
    t->outcome = outcome;
    t->seconds = clock_seconds() - t->begin;
    t->next = NULL;
    *h->done.last = t;
    h->done.last = &t->next;
    h->n_done++;
}

static int activate(transfer *t) {
    http *h = t->h;
    if (h->n_active == h->room_active) {
        size_t room = h->room_active ? 2 * h->room_active : 64;
        transfer **active = realloc(h->active, room * sizeof *active);
        if (!active) return error_memory(room * sizeof *active);
        h->active = active;
        h->room_active = room;
    }
    CURLMcode rc = h->curl->multi_add_handle(h->multi, t->easy);
    if (rc) return error_set(rc == CURLM_OUT_OF_MEMORY ? ERR_MEMORY : ERR_IO, "HTTP: %s", h->curl->multi_strerror(rc));
    t->at = h->n_active;
    h->active[h->n_active++] = t;
    double due = t->begin + fmin(h->options.stall_seconds, h->options.total_seconds);
    if (due < h->look) h->look = due;
    return 0;
}

/* What does not ask for a connection: false, and the reason is set. */
static bool may_be_asked(transfer *t, const char *url) {
    http *h = t->h;
    http_url u;
    if (!http_url_read(url, &u)) {
        transfer_end(t, HTTP_BAD_URL, "this is no http or https URL that can be asked for");
        return false;
    }
    const char *proxy = h->any_proxy ? http_proxy_for(&h->proxies, &u) : NULL;
    if (proxy && !h->options.allow_private && http_host_private(u.host)) {
        transfer_end(t, HTTP_PRIVATE, "%s is, or may be, a private address", u.host);
        return false;
    }
    if (h->any_proxy) h->curl->easy_setopt(t->easy, CURLOPT_PROXY, proxy ? proxy : "");
    t->proxied = proxy != NULL;
    return true;
}

/* Accept-Encoding, Range and If-Range, or none of an earlier use. */
static int ask_for(transfer *t, const http_request *r) {
    const http_library *curl = t->h->curl;
    char line[256];
    bool added = true;
    if (t->headers) {
        curl->easy_setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
        curl->slist_free_all(t->headers);
        t->headers = NULL;
    }
    if (!r->from && !r->answered) return 0;
    if (r->answered) added = (t->headers = curl->slist_append(NULL, "Accept-Encoding: identity")) != NULL;
    if (added && r->from) {
        snprintf(line, sizeof line, "Range: bytes=%" PRIu64 "-", r->from);
        struct curl_slist *more = curl->slist_append(t->headers, line);
        added = more != NULL;
        if (more) t->headers = more;
    }
    if (added && r->from && r->if_range) {
        int n = snprintf(line, sizeof line, "If-Range: %s", r->if_range);
        if (n < 0 || (size_t)n >= sizeof line || strpbrk(r->if_range, "\r\n")) return error_set(ERR_USAGE, "this is no ETag");
        added = curl->slist_append(t->headers, line) != NULL;
    }
    return added && curl->easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK ? 0 : error_memory(sizeof line);
}

static int start(http *h, const http_request *r, bool is_text, size_t most) {
    transfer *t = transfer_new(h);
    const char *url = r->url;
    int rc = 0;
    if (!t) return error_code();
    t->context = r->context;
    t->fd = r->fd;
    t->from = r->from;
    t->answered = r->answered;
    t->text = is_text;
    t->most = most;
    t->connected = t->private = t->ended = t->full = false;
    t->bytes = t->written = t->unwanted = 0;
    text_free(&t->body);
    *t->why = *t->error = 0;
    http_head_begin(&t->head);
    h->now = clock_seconds();
    t->begin = t->last = h->now;
    if (!may_be_asked(t, url)) {
        finish(t, t->outcome);
        return 0;
    }
    t->url.size = 0;
    http_url_encode(&t->url, url);
    rc = text_check(&t->url);
    if (rc == 0 && h->curl->easy_setopt(t->easy, CURLOPT_URL, t->url.data)) rc = error_memory(t->url.size);
    /* The length that is said is looked at before anything comes; of a text the beginning is wanted all the same. */
    if (rc == 0 && t->unlimited != is_text) h->curl->easy_setopt(t->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(is_text ? 0 : h->options.max_bytes));
    t->unlimited = is_text;
    if (rc == 0) rc = ask_for(t, r);
    if (rc == 0) rc = activate(t);
    if (rc < 0) {
        t->next = h->free;
        h->free = t;
    }
    return rc;
}

int http_start_file(http *h, const http_request *r) { return start(h, r, false, h->options.max_bytes); }
int http_start(http *h, const char *url, int fd, void *context) { return http_start_file(h, &(http_request){ .url = url, .fd = fd, .context = context }); }
int http_start_text(http *h, const char *url, size_t most, void *context) {
    return start(h, &(http_request){ .url = url, .fd = -1, .context = context }, true, most);
}
uint64_t http_received(const http *h) {
    uint64_t sum = 0;
    for (size_t i = 0; i < h->n_active; i++) sum += h->active[i]->bytes;
    return sum;
}
size_t http_running(const http *h) { return h->n_active + h->n_done; }

/* ---- ending -------------------------------------------------------------------------------------------------------------------- */

static void remove_active(transfer *t) {
    http *h = t->h;
    transfer *last = h->active[--h->n_active];
    h->active[t->at] = last;
    last->at = t->at;
    h->curl->multi_remove_handle(h->multi, t->easy);
}

static http_outcome outcome_of(const transfer *t, CURLcode code) {
    switch (code) {
    case CURLE_OK: return HTTP_ANSWERED;
    case CURLE_URL_MALFORMAT: return HTTP_BAD_URL;
    case CURLE_COULDNT_RESOLVE_HOST: return HTTP_DNS;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_FAILED_INIT:
    case CURLE_INTERFACE_FAILED: return HTTP_CONNECT;
    case CURLE_COULDNT_CONNECT: return t->private ? HTTP_PRIVATE : HTTP_CONNECT;
    case CURLE_OPERATION_TIMEDOUT: return HTTP_TIMEOUT;
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2_STREAM: return HTTP_CUT;
    case CURLE_FILESIZE_EXCEEDED: return HTTP_TOO_LARGE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS: return HTTP_TLS;
    default: return HTTP_PROTOCOL;   /* CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL (HTTP/0.9), CURLE_HTTP2, ... */
    }
}

/* The absolute URL of a redirect: resolved here, since libcurl does so only if it has read the whole of a body that nobody
 * wants. */
static void resolve_location(transfer *t) {
    const http_library *curl = t->h->curl;
    CURLU *u = curl->url();
    if (t->location) curl->free(t->location);
    t->location = NULL;
    if (u && curl->url_set(u, CURLUPART_URL, t->url.data, 0) == CURLUE_OK &&
        curl->url_set(u, CURLUPART_URL, t->head.location.data, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) == CURLUE_OK &&
        curl->url_get(u, CURLUPART_URL, &t->location, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
        t->location = NULL;
    if (u) curl->url_cleanup(u);
}

static void end_transfer(transfer *t, CURLcode code) {
    int status = t->head.status;
    remove_active(t);
    if (status >= 300 && status < 400 && t->head.location.size) resolve_location(t);
    /* Whatever comes after the headers of an answer that is not kept changes nothing. */
    bool answered = status >= 200 && !transfer_wanted(t) && (t->head.complete || code == CURLE_FILESIZE_EXCEEDED);
    if (!answered && !t->ended) {
        t->outcome = outcome_of(t, code);
        const char *why = *t->error ? t->error : t->h->curl->easy_strerror(code);
        /* The same code for both: libcurl's own buffer for a header's line holds 100 KB. */
        if (code == CURLE_OUT_OF_MEMORY) why = "a header is too long, or there is no memory";
        if (t->outcome != HTTP_PRIVATE && t->outcome != HTTP_ANSWERED) text_escape(t->why, sizeof t->why, why);
    } else if (answered) {
        t->outcome = HTTP_ANSWERED;
    }
    finish(t, t->outcome);
}

static void collect(http *h) {
    const CURLMsg *m;
    int left;
    while ((m = h->curl->multi_info_read(h->multi, &left))) {
        char *private = NULL;
        if (m->msg != CURLMSG_DONE || h->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private)) continue;
        end_transfer((transfer *)(void *)private, m->data.result);
    }
}

/* Ends what has taken too long, and says when to look again. */
static void end_late(http *h) {
    double stall = h->options.stall_seconds, total = h->options.total_seconds;
    h->look = INFINITY;
    for (size_t i = h->n_active; i-- > 0;) {
        transfer *t = h->active[i];
        /* While a connection is made, libcurl's limit holds. */
        double stalls = t->connected ? t->last + stall : INFINITY, ends = t->begin + total;
        if (h->now < stalls && h->now < ends) {
            h->look = fmin(h->look, fmin(t->connected ? stalls : h->now + stall, ends));
            continue;
        }
        if (h->now >= ends) transfer_end(t, HTTP_TIMEOUT, "it was not done after %g s", total);
        else transfer_end(t, HTTP_TIMEOUT, "no byte came for %g s", stall);
        end_transfer(t, CURLE_OPERATION_TIMEDOUT);
    }
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------------- */

static int act(http *h, curl_socket_t fd, int events) {
    int running;
    CURLMcode rc = h->curl->multi_socket_action(h->multi, fd, events, &running);
    if (rc == CURLM_OUT_OF_MEMORY) return error_set(ERR_MEMORY, "HTTP: out of memory");
    return rc == CURLM_OK || rc == CURLM_BAD_SOCKET ? 0 : error_set(ERR_IO, "HTTP: %s", h->curl->multi_strerror(rc));
}

/* Does what is due, waits once, does what came. */
static int step(http *h, double until, bool *woken) {
    struct epoll_event events[64];
    int rc = 0;
    if (h->timer >= 0 && h->now >= h->timer) {
        h->timer = -1;
        rc = act(h, CURL_SOCKET_TIMEOUT, 0);
    }
    if (h->now >= h->look) end_late(h);
    collect(h);
    if (rc < 0) return rc;
    double next = fmin(fmin(until, h->look), h->timer < 0 ? INFINITY : h->timer);
    int n = http_watch_wait(&h->watch, events, sizeof events / sizeof *events, h->done.first ? 0 : next - h->now, woken);
    set_now(h);
    for (int i = 0; i < n && rc == 0; i++) {
        uint32_t e = events[i].events;
        int what = (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        rc = act(h, events[i].data.fd, what);
    }
    collect(h);
    return n < 0 ? n : rc < 0 ? rc : h->failure;
}

static void tell(http *h, http_reply *reply) {
    transfer *t = h->done.first;
    h->done.first = t->next;
    if (!h->done.first) h->done.last = &h->done.first;
    h->n_done--;
    h->told = t;
    const http_head *head = &t->head;
    bool redirect = head->status >= 300 && head->status < 400 && head->location.size;
    *reply = (http_reply){
        .context = t->context, .outcome = t->outcome, .full = t->full, .status = head->status,
        .location = redirect ? t->location ? t->location : head->location.data : NULL,
        .retry_after = head->retry_after, .opted_out = head->opted_out,
        .content_type = *head->content_type ? head->content_type : NULL, .bytes = t->bytes, .seconds = t->seconds,
        .etag = *head->etag ? head->etag : NULL, .linked_etag = *head->linked_etag ? head->linked_etag : NULL, .linked_size = head->linked_size,
        .why = t->outcome == HTTP_ANSWERED ? NULL : t->why,
    };
}

int http_next(http *h, double seconds, http_reply *reply) {
    if (h->told) {
        h->told->next = h->free;
        h->free = h->told;
        h->told = NULL;
    }
    if (!h->done.first) {
        signals s;
        bool woken = false;
        int rc;
        pipe_block(&s);
        set_now(h);
        double until = h->now + seconds;
        do rc = step(h, until, &woken);
        while (rc == 0 && !h->done.first && !woken && h->now < until);
        pipe_restore(&s);
        if (rc < 0) return rc;
        if (!h->done.first) return 0;
    }
    tell(h, reply);
    return 1;
}

const char *http_text(const http *h, size_t *size) {
    assert(h->told && h->told->text);
    const text *body = &h->told->body;
    *size = body->size;
    return body->data ? body->data : "";
}

void http_wake(http *h) { http_watch_wake(&h->watch); }
