/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside HTTP: http.c transfers, the other files of this name read what comes in, without a network. Nobody else includes
 * this, but for tests. */
#ifndef BASE_HTTP_INSIDE_H
#define BASE_HTTP_INSIDE_H

#include <sys/epoll.h>

#include "base/http.h"
#include "base/text.h"

enum { HTTP_URL_MOST = 8192 };

/* ---- http_headers.c ---- */

/* What an answer's headers say, so far. */
typedef struct {
    int status;                /* 0: no status line was read yet */
    bool complete;             /* the empty line came */
    bool opted_out;
    bool encoded;              /* Content-Encoding: another than identity */
    double retry_after;        /* below 0: none */
    uint64_t content_length;   /* UINT64_MAX: not said */
    uint64_t range_from, range_total;   /* Content-Range; UINT64_MAX: not said */
    uint64_t linked_size;      /* UINT64_MAX: not said */
    size_t bytes;              /* of all header lines */
    char etag[128], linked_etag[128];   /* "": not said, longer, or not printable */
    char content_type[128];    /* escaped, maybe cut; "": not said */
    text location;             /* empty: not said */
} http_head;                   /* text_free(&head.location) */

void http_head_begin(http_head *head);
/* One line, maybe with its line end. A status line forgets what came before it: that was of an interim answer. */
void http_head_line(http_head *head, const char *line, size_t size, int64_t now);

/* ---- http_url.c ---- */

/* The URL as it is sent: spaces and bytes that are not ASCII, in path and query, as %XX; without a fragment. The URL is one
 * that http_url_read took. */
void http_url_encode(text *out, const char *url);

/* ---- http_address.c ---- */

/* Whether this IPv4 (4 bytes) or IPv6 (16 bytes) address is anything but one of the public internet. */
bool http_address_private(const uint8_t *bytes, size_t size);
/* Whether a host as http_url_read gives it must be refused where its address cannot be known: localhost, a private address,
 * or not plain ASCII (which may mean either in the end). */
bool http_host_private(const char *host);

/* ---- http_proxy.c ---- */

typedef struct { char *plain, *tls, *none; } http_proxies;   /* for http, for https, and the hosts that need none; or NULL */

/* The environment's, by curl's rules: http_proxy (not HTTP_PROXY), https_proxy, all_proxy, no_proxy. */
int  http_proxies_read(http_proxies *out);
void http_proxies_free(http_proxies *p);
/* The proxy for a URL, or NULL. */
const char *http_proxy_for(const http_proxies *p, const http_url *url);
/* Whether a no_proxy list names this host: "*"; a domain, which means its sub-domains too; an address, or a range 10.0.0.0/8. */
bool http_proxy_unneeded(const char *list, const char *host);

/* ---- http_watch.c: which descriptors are waited for ---- */

typedef struct {
    int epoll, wake;           /* wake: an eventfd */
    uint8_t *watched;          /* of each descriptor: the events that the kernel knows of, and flags */
    size_t room;
} http_watch;

int  http_watch_open(http_watch *w);
void http_watch_close(http_watch *w);
/* A socket that the owner opens and closes itself, telling so here: the kernel need not be told that it is idle for now. */
int  http_watch_opened(http_watch *w, int fd);
void http_watch_closed(http_watch *w, int fd);
/* What to wait for: EPOLLIN, EPOLLOUT, both or nothing. */
int  http_watch_set(http_watch *w, int fd, uint32_t events);
/* Waits; the number of events (of descriptors that are wanted), or ERR_IO. *woken: http_watch_wake was called. */
int  http_watch_wait(http_watch *w, struct epoll_event *events, int most, double seconds, bool *woken);
void http_watch_wake(http_watch *w);   /* any thread */

#endif
