/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's multi interface over epoll: what a transfer costs does not grow with how many there are. An easy handle, with
 * all its settings, is used again; of each transfer only the URL is set. Time limits but that of connecting are kept here, by
 * one look over all transfers when the first of them may be due, since libcurl's cost a timer for each. */
#include <arpa/inet.h>
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CURL_DISABLE_TYPECHECK
#define CURL_DISABLE_DEPRECATION   /* CURLOPT_PROTOCOLS: all versions have it */
#include <curl/curl.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/http_inside.h"

/* ---- the library ------------------------------------------------------------------------------------------------------- */

#define FUNCTIONS(F)                                                                                                          \
    F(global_init) F(version_info) F(easy_init) F(easy_cleanup) F(easy_setopt) F(easy_getinfo) F(easy_strerror) F(multi_init) \
    F(multi_cleanup) F(multi_add_handle) F(multi_remove_handle) F(multi_setopt) F(multi_socket_action) F(multi_info_read)     \
    F(multi_strerror) F(url) F(url_set) F(url_get) F(url_cleanup) F(free)
#define DECLARE(f) __typeof__(curl_##f) *f;

/* One for the process, because its initialisation is; it stays until the process ends. */
static struct { FUNCTIONS(DECLARE) char why[256]; } curl;
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

enum { OLDEST = 0x075000 };   /* 7.80.0: CURLOPT_PREREQFUNCTION */

static void open_library(void) {
    static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4" };
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        error_set(ERR_UNSUPPORTED, "libcurl is needed for HTTP and cannot be opened: %s", dlerror());
        goto failed;
    }
#define FIND(f)                                                            \
    if (!(curl.f = (__typeof__(curl.f))dlsym(library, "curl_" #f))) {      \
        error_set(ERR_UNSUPPORTED, "libcurl has no curl_" #f);             \
        goto failed;                                                       \
    }
    FUNCTIONS(FIND)
    const curl_version_info_data *v = curl.version_info(CURLVERSION_NOW);
    CURLcode rc;
    if (v->version_num < OLDEST) error_set(ERR_UNSUPPORTED, "libcurl is %s: 7.80 or later is needed", v->version);
    else if ((rc = curl.global_init(CURL_GLOBAL_DEFAULT))) error_set(ERR_UNSUPPORTED, "libcurl: %s", curl.easy_strerror(rc));
    else return;
failed:
    strncpy(curl.why, error_message(), sizeof curl.why - 1);
}

static int need_library(void) {
    pthread_once(&curl_once, open_library);
    return *curl.why ? error_set(ERR_UNSUPPORTED, "%s", curl.why) : 0;
}

/* ---- what there is ------------------------------------------------------------------------------------------------------- */

enum {
    PIECE = 64 << 10,           /* bytes of a body that are gathered, and then written at once */
    UNWANTED_MOST = 64 << 10,   /* bytes of a body that is not wanted: what is longer costs more than a new connection */
    HEADERS_MOST = 256 << 10,
};

typedef struct transfer transfer;
struct transfer {
    http *h;
    CURL *easy;
    transfer *next;             /* in a list: free ones, or those that are done */
    size_t at;                  /* in h->active */
    void *context;
    int fd;
    bool text, unlimited;       /* unlimited: libcurl does not look at the length that is said */
    bool proxied;
    bool connected;             /* the request is about to be sent */
    bool private;               /* a private address was refused */
    bool ended, full;           /* ended: for the reason of ours that is in outcome and why */
    http_outcome outcome;
    double begin, last;         /* last: when bytes came */
    http_head head;
    size_t most;                /* of the body */
    uint64_t bytes, written, unwanted;
    uint8_t *piece;             /* room for PIECE bytes, of which `gathered` wait to be written */
    size_t gathered;
    text url, body;
    double seconds;
    char *location;             /* curl's */
    char error[CURL_ERROR_SIZE];
    char why[512];
};

typedef struct { transfer *first, **last; } queue;

struct http {
    http_options options;
    char *user_agent, *authority;   /* the certificates to trust; or NULL */
    http_proxies proxies;
    bool any_proxy;
    CURLM *multi;
    http_watch watch;
    int failure;                /* ERR_*, of a callback that has no other way to say so */
    double timer;               /* when libcurl wants to be called; below 0: never */
    double look;                /* when the first transfer may be due */
    double now;                 /* as of the last wait */
    int64_t unix_now;
    transfer **active;
    size_t n_active, room_active;
    queue done;
    size_t n_done;
    transfer *free, *told;      /* told: what http_next said last */
};

static void set_now(http *h) {
    h->now = clock_seconds();
    h->unix_now = (int64_t)time(NULL);
}

/* Ends a transfer for a reason of ours. */
static void end_with(transfer *t, http_outcome outcome, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void end_with(transfer *t, http_outcome outcome, const char *format, ...) {
    if (t->ended) return;
    char raw[sizeof t->why];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    text_escape(t->why, sizeof t->why, raw);
    t->ended = true;
    t->outcome = outcome;
}

/* ---- the body -------------------------------------------------------------------------------------------------------------- */

static bool wanted(const transfer *t) { return t->head.status == 200 && (t->text || t->h->options.ignore_opt_out || !t->head.opted_out); }

static bool write_all(transfer *t, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t n = pwrite(t->fd, data, size, (off_t)t->written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = EIO;
            t->full = errno == ENOSPC || errno == EDQUOT;
            end_with(t, HTTP_WRITE, "the body could not be written: %s", strerror(errno));
            return false;
        }
        data += n;
        size -= (size_t)n;
        t->written += (uint64_t)n;
    }
    return true;
}

static bool flush(transfer *t) {
    size_t n = t->gathered;
    t->gathered = 0;
    return n == 0 || write_all(t, t->piece, n);
}

/* libcurl hands over 16 KB at a time; a call of the system for each would cost more than the copy. */
static bool gather(transfer *t, const uint8_t *data, size_t size) {
    if (!t->piece && !(t->piece = malloc(PIECE))) return write_all(t, data, size);
    while (size) {
        size_t n = PIECE - t->gathered < size ? PIECE - t->gathered : size;
        memcpy(t->piece + t->gathered, data, n);
        t->gathered += n;
        data += n;
        size -= n;
        if (t->gathered == PIECE && !flush(t)) return false;
    }
    return true;
}

static bool too_large(transfer *t) {
    end_with(t, HTTP_TOO_LARGE, "the body is longer than %zu bytes", t->most);
    return false;
}

static bool keep(transfer *t, const char *data, size_t size) {
    bool more = size > t->most - t->bytes;
    if (t->text) {
        if (more) size = t->most - t->bytes;
        char *to = text_room(&t->body, size);
        if (!to) {
            t->h->failure = error_memory(t->body.size + size);
            return false;
        }
        memcpy(to, data, size);
        text_grown(&t->body, size);
    } else if (more) {
        return too_large(t);
    } else if (!gather(t, (const uint8_t *)data, size)) {
        return false;
    }
    t->bytes += size;
    return !more || too_large(t);
}

static size_t on_body(char *data, size_t one, size_t n, void *context) {
    transfer *t = context;
    n *= one;
    t->last = t->h->now;
    if (wanted(t)) return keep(t, data, n) ? n : CURL_WRITEFUNC_ERROR;
    t->unwanted += n;
    return t->unwanted <= UNWANTED_MOST ? n : CURL_WRITEFUNC_ERROR;
}

static size_t on_header(char *line, size_t one, size_t n, void *context) {
    transfer *t = context;
    n *= one;
    t->last = t->h->now;
    http_head_line(&t->head, line, n, t->h->unix_now);
    if (t->head.bytes > HEADERS_MOST) {
        end_with(t, HTTP_PROTOCOL, "the answer has more than %d KB of headers", HEADERS_MOST >> 10);
        return 0;
    }
    bool long_one = t->head.content_length != UINT64_MAX && t->head.content_length > UNWANTED_MOST;
    return t->head.complete && long_one && !wanted(t) ? 0 : n;
}

/* ---- connecting -------------------------------------------------------------------------------------------------------------- */

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *to) {
    transfer *t = context;
    const struct sockaddr *a = &to->addr;
    const uint8_t *bytes = NULL;
    size_t size = 0;
    if (a->sa_family == AF_INET) bytes = (const uint8_t *)&((const struct sockaddr_in *)(const void *)a)->sin_addr, size = 4;
    if (a->sa_family == AF_INET6) bytes = (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, size = 16;
    if (!t->proxied && !t->h->options.allow_private && (purpose != CURLSOCKTYPE_IPCXN || http_address_private(bytes, size))) {
        char shown[INET6_ADDRSTRLEN] = "it";
        if (bytes) inet_ntop(a->sa_family, bytes, shown, sizeof shown);
        snprintf(t->why, sizeof t->why, "%s is a private address", shown);
        t->private = true;
        return CURL_SOCKET_BAD;
    }
    int fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
    if (fd >= 0 && http_watch_opened(&t->h->watch, fd) < 0) {
        close(fd);
        fd = -1;
    }
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int on_close(void *context, curl_socket_t fd) {
    http *h = context;
    http_watch_closed(&h->watch, fd);
    return close(fd);
}

static int on_request(void *context, char *to, char *from, int to_port, int from_port) {
    transfer *t = context;
    (void)to, (void)from, (void)to_port, (void)from_port;
    t->connected = true;
    t->last = t->h->now;
    return CURL_PREREQFUNC_OK;
}

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
    int rc = need_library();
    if (rc < 0) return rc;
    http *h = calloc(1, sizeof *h);
    if (!h) return error_memory(sizeof *h);
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
    if (rc == 0) rc = http_proxies_read(&h->proxies);
    h->any_proxy = h->proxies.plain || h->proxies.tls;
    if (rc == 0) rc = http_watch_open(&h->watch);
    if (rc < 0) goto failed;
    if (!(h->multi = curl.multi_init())) {
        rc = error_memory(1024);
        goto failed;
    }
    CURLMcode set = curl.multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    if (!set) set = curl.multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    if (!set) set = curl.multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    if (!set) set = curl.multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    if (!set) set = curl.multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, most_connections(options));
    if (set) {
        rc = error_set(ERR_UNSUPPORTED, "libcurl: %s", curl.multi_strerror(set));
        goto failed;
    }
    *out = h;
    return 0;
failed:
    http_close(h);
    return rc;
}

static void transfer_free(transfer *t) {
    if (t->easy) curl.easy_cleanup(t->easy);
    if (t->location) curl.free(t->location);
    text_free(&t->head.location);
    text_free(&t->url);
    text_free(&t->body);
    free(t->piece);
    free(t);
}

static void list_free(transfer *t) {
    for (transfer *next; t; t = next) {
        next = t->next;
        transfer_free(t);
    }
}

void http_close(http *h) {
    if (!h) return;
    for (size_t i = 0; i < h->n_active; i++) {
        curl.multi_remove_handle(h->multi, h->active[i]->easy);
        transfer_free(h->active[i]);
    }
    list_free(h->done.first);
    list_free(h->free);
    if (h->told) transfer_free(h->told);
    if (h->multi) curl.multi_cleanup(h->multi);   /* closes what rests, by on_close */
    http_watch_close(&h->watch);
    http_proxies_free(&h->proxies);
    free(h->active);
    free(h->user_agent);
    free(h->authority);
    free(h);
}

/* What all transfers have in common. */
static int set_up(transfer *t) {
    http *h = t->h;
    const http_options *o = &h->options;
    CURLcode rc = CURLE_OK;
#define SET(option, value) if (!rc) rc = curl.easy_setopt(t->easy, option, value)
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_USERAGENT, h->user_agent);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)ceil(o->connect_seconds * 1000));
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(CURLOPT_CLOSESOCKETDATA, h);
    SET(CURLOPT_PREREQFUNCTION, on_request);
    SET(CURLOPT_PREREQDATA, t);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_BUFFERSIZE, (long)PIECE);
    SET(CURLOPT_SSL_VERIFYPEER, o->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, o->insecure ? 0L : 2L);
    SET(CURLOPT_PROXY, "");       /* none, unless http_start sets one: libcurl does not look for itself */
    SET(CURLOPT_NOPROXY, "");
    if (h->authority) SET(CURLOPT_CAINFO, h->authority);
#undef SET
    if (rc) return error_set(ERR_UNSUPPORTED, "libcurl: %s", curl.easy_strerror(rc));
    /* What is only for the better. */
#if LIBCURL_VERSION_NUM >= 0x075700
    curl.easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);   /* else the end of a transfer waits for its name's look-up */
#endif
    /* libcurl keeps what it has read of a file of certificates, but not if there is a folder of them too. Reading them takes
     * 10 ms, for each connection. */
    if (h->authority || curl.version_info(CURLVERSION_NOW)->cainfo) curl.easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
    return 0;
}

/* NULL: ERR_*, set. */
static transfer *transfer_new(http *h) {
    transfer *t = h->free;
    if (t) {
        h->free = t->next;
        return t;
    }
    if (!(t = calloc(1, sizeof *t))) return error_memory(sizeof *t), NULL;
    t->h = h;
    t->unlimited = true;
    if (((t->easy = curl.easy_init()) ? set_up(t) : error_memory(1024)) == 0) return t;
    transfer_free(t);
    return NULL;
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
    CURLMcode rc = curl.multi_add_handle(h->multi, t->easy);
    if (rc) return error_set(rc == CURLM_OUT_OF_MEMORY ? ERR_MEMORY : ERR_IO, "HTTP: %s", curl.multi_strerror(rc));
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
        end_with(t, HTTP_BAD_URL, "this is no http or https URL that can be asked for");
        return false;
    }
    const char *proxy = h->any_proxy ? http_proxy_for(&h->proxies, &u) : NULL;
    if (proxy && !h->options.allow_private && http_host_private(u.host)) {
        end_with(t, HTTP_PRIVATE, "%s is, or may be, a private address", u.host);
        return false;
    }
    if (h->any_proxy) curl.easy_setopt(t->easy, CURLOPT_PROXY, proxy ? proxy : "");
    t->proxied = proxy != NULL;
    return true;
}

static int start(http *h, const char *url, int fd, bool is_text, size_t most, void *context) {
    transfer *t = transfer_new(h);
    int rc = 0;
    if (!t) return error_code();
    t->context = context;
    t->fd = fd;
    t->text = is_text;
    t->most = most;
    t->connected = t->private = t->ended = t->full = false;
    t->bytes = t->written = t->unwanted = 0;
    t->gathered = 0;
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
    if (rc == 0 && curl.easy_setopt(t->easy, CURLOPT_URL, t->url.data)) rc = error_memory(t->url.size);
    /* The length that is said is looked at before anything comes; of a text the beginning is wanted all the same. */
    if (rc == 0 && t->unlimited != is_text) curl.easy_setopt(t->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(is_text ? 0 : h->options.max_bytes));
    t->unlimited = is_text;
    if (rc == 0) rc = activate(t);
    if (rc < 0) {
        t->next = h->free;
        h->free = t;
    }
    return rc;
}

int http_start(http *h, const char *url, int fd, void *context) { return start(h, url, fd, false, h->options.max_bytes, context); }
int http_start_text(http *h, const char *url, size_t most, void *context) { return start(h, url, -1, true, most, context); }
size_t http_running(const http *h) { return h->n_active + h->n_done; }

/* ---- ending -------------------------------------------------------------------------------------------------------------------- */

static void remove_active(transfer *t) {
    http *h = t->h;
    transfer *last = h->active[--h->n_active];
    h->active[t->at] = last;
    last->at = t->at;
    curl.multi_remove_handle(h->multi, t->easy);
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
    CURLU *u = curl.url();
    if (t->location) curl.free(t->location);
    t->location = NULL;
    if (u && curl.url_set(u, CURLUPART_URL, t->url.data, 0) == CURLUE_OK &&
        curl.url_set(u, CURLUPART_URL, t->head.location.data, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) == CURLUE_OK &&
        curl.url_get(u, CURLUPART_URL, &t->location, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
        t->location = NULL;
    if (u) curl.url_cleanup(u);
}

static void end_transfer(transfer *t, CURLcode code) {
    int status = t->head.status;
    remove_active(t);
    if (status >= 300 && status < 400 && t->head.location.size) resolve_location(t);
    /* Whatever comes after the headers of an answer that is not kept changes nothing. */
    bool answered = status >= 200 && !wanted(t) && (t->head.complete || code == CURLE_FILESIZE_EXCEEDED) && !(t->ended && t->outcome == HTTP_PROTOCOL);
    if (!answered && !t->ended && (code != CURLE_OK || flush(t))) {
        t->outcome = outcome_of(t, code);
        const char *why = *t->error ? t->error : curl.easy_strerror(code);
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
    while ((m = curl.multi_info_read(h->multi, &left))) {
        char *private = NULL;
        if (m->msg != CURLMSG_DONE || curl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private)) continue;
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
        if (h->now >= ends) end_with(t, HTTP_TIMEOUT, "it was not done after %g s", total);
        else end_with(t, HTTP_TIMEOUT, "no byte came for %g s", stall);
        end_transfer(t, CURLE_OPERATION_TIMEDOUT);
    }
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------------- */

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

static int act(http *h, curl_socket_t fd, int events) {
    int running;
    CURLMcode rc = curl.multi_socket_action(h->multi, fd, events, &running);
    if (rc == CURLM_OUT_OF_MEMORY) return error_set(ERR_MEMORY, "HTTP: out of memory");
    return rc == CURLM_OK || rc == CURLM_BAD_SOCKET ? 0 : error_set(ERR_IO, "HTTP: %s", curl.multi_strerror(rc));
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
