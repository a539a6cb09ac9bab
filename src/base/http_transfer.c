/* SPDX-License-Identifier: Apache-2.0
 *
 * One transfer: its settings, and what libcurl calls back. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/http_curl.h"

enum {
    BUFFER = 64 << 10,          /* libcurl's, of each transfer */
    UNWANTED_MOST = 64 << 10,   /* bytes of a body that is not wanted: what is longer costs more than a new connection */
    HEADERS_MOST = 256 << 10,
};

void transfer_end(transfer *t, http_outcome outcome, const char *format, ...) {
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

bool transfer_wanted(const transfer *t) {
    const http_head *head = &t->head;
    bool comes = head->status == 200 || (head->status == 206 && t->from && head->range_from == t->from);
    return comes && (t->text || t->h->options.ignore_opt_out || !head->opted_out);
}

/* The headers are complete. */
static bool begin_body(transfer *t) {
    const http_head *head = &t->head;
    t->written = head->status == 206 ? t->from : 0;
    if (!t->answered) return true;
    http_answer a = { head->status, head->status == 206 ? head->range_total : head->content_length, *head->etag ? head->etag : NULL, head->encoded };
    if (t->answered(t->context, &a)) return true;
    transfer_end(t, HTTP_DECLINED, "it was not wanted");
    return false;
}

/* As it comes, at most 16 KB: gathering more costs what it saves. */
static bool write_all(transfer *t, const char *data, size_t size) {
    while (size) {
        ssize_t n = pwrite(t->fd, data, size, (off_t)t->written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = EIO;
            t->full = errno == ENOSPC || errno == EDQUOT;
            error_errno("the body could not be written");
            transfer_end(t, HTTP_WRITE, "%s", error_message());
            return false;
        }
        data += n;
        size -= (size_t)n;
        t->written += (uint64_t)n;
    }
    return true;
}

static bool too_large(transfer *t) {
    transfer_end(t, HTTP_TOO_LARGE, "the body is longer than %zu bytes", t->most);
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
    } else if (!write_all(t, data, size)) {
        return false;
    }
    t->bytes += size;
    return !more || too_large(t);
}

static size_t on_body(char *data, size_t one, size_t n, void *context) {
    transfer *t = context;
    n *= one;
    t->last = t->h->now;
    if (transfer_wanted(t)) return keep(t, data, n) ? n : CURL_WRITEFUNC_ERROR;
    t->unwanted += n;
    return t->unwanted <= UNWANTED_MOST ? n : CURL_WRITEFUNC_ERROR;
}

static size_t on_header(char *line, size_t one, size_t n, void *context) {
    transfer *t = context;
    n *= one;
    bool was_complete = t->head.complete;
    t->last = t->h->now;
    http_head_line(&t->head, line, n, t->h->unix_now);
    if (t->head.complete && !was_complete && transfer_wanted(t) && !begin_body(t)) return 0;
    if (t->head.bytes > HEADERS_MOST) {
        transfer_end(t, HTTP_PROTOCOL, "the answer has more than %d KB of headers", HEADERS_MOST >> 10);
        return 0;
    }
    bool long_one = t->head.content_length != UINT64_MAX && t->head.content_length > UNWANTED_MOST;
    return t->head.complete && long_one && !transfer_wanted(t) ? 0 : n;
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
    if (fd < 0) {
        /* Any other reason is one of this address (a machine without IPv6); these would fail all that follow. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) t->h->failure = error_errno("HTTP: a connection");
        return CURL_SOCKET_BAD;
    }
    int rc = http_watch_opened(&t->h->watch, fd);
    if (rc == 0) return fd;
    t->h->failure = rc;
    close(fd);
    return CURL_SOCKET_BAD;
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

/* ---- settings -------------------------------------------------------------------------------------------------------------------- */

/* What all transfers have in common. */
static int set_up(transfer *t) {
    http *h = t->h;
    const http_options *o = &h->options;
    CURLcode rc = CURLE_OK;
#define SET(option, value) if (!rc) rc = h->curl->easy_setopt(t->easy, option, value)
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_USERAGENT, h->user_agent);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)ceil(fmin(o->connect_seconds, 1e6) * 1000));
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
    /* At the end of each transfer libcurl looks over all names it keeps: a minute of them (its default) is 30,000 when lists
     * of many hosts are fetched quickly. */
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 5L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_BUFFERSIZE, (long)BUFFER);
    SET(CURLOPT_SSL_VERIFYPEER, o->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, o->insecure ? 0L : 2L);
    SET(CURLOPT_PROXY, "");       /* none, unless http_start sets one: libcurl does not look for itself */
    SET(CURLOPT_NOPROXY, "");
    if (h->authority) SET(CURLOPT_CAINFO, h->authority);
#undef SET
    if (rc) return error_set(ERR_UNSUPPORTED, "libcurl: %s", h->curl->easy_strerror(rc));
    /* What is only for the better. */
#if LIBCURL_VERSION_NUM >= 0x075700
    h->curl->easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);   /* else the end of a transfer waits for its name's look-up */
#endif
    if (h->one_authority) h->curl->easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
    return 0;
}

void transfer_free(transfer *t) {
    if (t->easy) t->h->curl->easy_cleanup(t->easy);
    if (t->location) t->h->curl->free(t->location);
    t->h->curl->slist_free_all(t->headers);
    text_free(&t->head.location);
    text_free(&t->url);
    text_free(&t->body);
    free(t);
}

transfer *transfer_new(http *h) {
    transfer *t = h->free;
    if (t) {
        h->free = t->next;
        return t;
    }
    if (!(t = calloc(1, sizeof *t))) return error_memory(sizeof *t), NULL;
    t->h = h;
    t->unlimited = true;
    if (((t->easy = h->curl->easy_init()) ? set_up(t) : error_memory(1024)) == 0) return t;
    transfer_free(t);
    return NULL;
}
