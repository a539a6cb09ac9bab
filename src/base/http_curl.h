/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside HTTP, with libcurl: http.c starts, waits and ends, http_transfer.c is one transfer as libcurl calls it back,
 * http_library.c opens the library. The only header that includes it; nobody else includes this. */
#ifndef BASE_HTTP_CURL_H
#define BASE_HTTP_CURL_H

#define CURL_DISABLE_TYPECHECK
#define CURL_DISABLE_DEPRECATION   /* CURLOPT_PROTOCOLS: all versions have it */
#include <curl/curl.h>

#include "base/http_inside.h"

#define HTTP_CURL_FUNCTIONS(F)                                                                                                \
    F(global_init) F(version_info) F(easy_init) F(easy_cleanup) F(easy_setopt) F(easy_getinfo) F(easy_strerror) F(multi_init) \
    F(multi_cleanup) F(multi_add_handle) F(multi_remove_handle) F(multi_setopt) F(multi_socket_action) F(multi_info_read)     \
    F(multi_strerror) F(url) F(url_set) F(url_get) F(url_cleanup) F(free)             \
    F(slist_append) F(slist_free_all)
#define HTTP_CURL_DECLARE(f) __typeof__(curl_##f) *f;
typedef struct { HTTP_CURL_FUNCTIONS(HTTP_CURL_DECLARE) } http_library;

/* Opened when first asked for, by whatever thread; NULL: ERR_UNSUPPORTED, set. */
const http_library *http_library_open(void);

typedef struct transfer transfer;
struct transfer {
    http *h;
    CURL *easy;
    transfer *next;             /* in a list: free ones, or those that are done */
    size_t at;                  /* in h->active */
    void *context;
    int fd;
    uint64_t from;              /* bytes that are not asked for */
    bool (*answered)(void *context, const http_answer *answer);
    struct curl_slist *headers; /* of a request for a part; or NULL */
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
    text url, body;
    double seconds;
    char *location;             /* curl's */
    char error[CURL_ERROR_SIZE];
    char why[512];
};

typedef struct { transfer *first, **last; } queue;

struct http {
    const http_library *curl;
    http_options options;
    char *user_agent, *authority;   /* the certificates to trust; or NULL */
    bool one_authority;         /* they are in one file */
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

/* ---- http_transfer.c ---- */

transfer *transfer_new(http *h);      /* NULL: ERR_*, set */
void transfer_free(transfer *t);
/* Ends a transfer for a reason of ours, unless it has one. */
void transfer_end(transfer *t, http_outcome outcome, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Whether the body is kept, as far as the headers are known. */
bool transfer_wanted(const transfer *t);

#endif
