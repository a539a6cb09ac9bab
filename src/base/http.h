/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetching over HTTP: many transfers at once on one thread, by libcurl, which is opened when first needed (it brings thirty
 * libraries). Knows about one request: limits, addresses, what the answer's headers say. Redirects are not followed but
 * reported, so that whoever asks applies its rules to each hop. What a server sends is hostile. */
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct http http;

typedef struct {
    double connect_seconds, stall_seconds, total_seconds;   /* connect: with the name's look-up and TLS; stall: without a byte */
    size_t max_bytes;              /* of a body */
    const char *user_agent;
    bool insecure;                 /* certificates are not verified */
    bool allow_private;            /* addresses that are loopback, private, link-local, multicast, ... are not refused */
    bool ignore_opt_out;           /* an answer that opts out is read all the same; else only its headers are */
    size_t most_connections;       /* that are kept open for the next request to the same host; 0: 256 */
} http_options;

/* Proxies are taken from the environment, as curl does, and the certificates to trust from CURL_CA_BUNDLE or SSL_CERT_FILE,
 * if these are set. ERR_UNSUPPORTED if libcurl is not there.
 *
 * Which addresses are private is looked at when a connection is made, of the very address it is made to, so that neither
 * a name that resolves to something else the second time nor a redirect gets around it. Through a proxy it is the proxy
 * that looks names up, which nobody here can see: then only URLs are refused whose host is itself a private address or
 * `localhost`, or is not plain ASCII. */
int  http_open(const http_options *options, http **out);
void http_close(http *h);          /* breaks off what is under way */

typedef enum {
    HTTP_ANSWERED,      /* see status; if it is 200, the body is whole (none is read of what opts out) */
    HTTP_BAD_URL,       /* no http or https URL, or none at all */
    HTTP_PRIVATE,       /* its address is a private one */
    HTTP_DNS,           /* no such host */
    HTTP_CONNECT,       /* refused, unreachable */
    HTTP_TLS,
    HTTP_TIMEOUT,       /* connecting, stalled or in all */
    HTTP_CUT,           /* the connection broke, or the body is shorter than was said */
    HTTP_PROTOCOL,      /* no HTTP */
    HTTP_TOO_LARGE,
    HTTP_WRITE,         /* the body could not be written: `why` says so; full: nothing of ours is at fault */
    HTTP_DECLINED,      /* http_request.answered did not want it */
} http_outcome;

typedef struct {
    void *context;             /* of http_start */
    http_outcome outcome;
    bool full;                 /* HTTP_WRITE: no space left */
    int status;                /* 200, 404, ...; 0: none came */
    const char *location;      /* of a 3xx: the URL as absolute as it can be made, or NULL. Hostile: any scheme, any bytes */
    double retry_after;        /* seconds, from either form of the header; below 0: none */
    bool opted_out;            /* X-Robots-Tag noai, noimageai, noindex, noimageindex (or none), for all or for "mien"; tdm-reservation: 1 */
    const char *content_type;  /* control characters are escaped; or NULL */
    uint64_t bytes;            /* of the body, as far as it was written */
    double seconds;
    const char *etag;          /* as it stands; or NULL */
    const char *linked_etag;   /* X-Linked-ETag and X-Linked-Size of a redirect: what Hugging Face's hub says of the file that it leads to; */
    uint64_t linked_size;      /* or NULL and UINT64_MAX */
    const char *why;           /* one sentence, for outcomes that are failures; control characters are escaped */
} http_reply;                  /* its strings hold until the next http_next: they may be given to http_start */

/* Starts a GET; whatever is wrong with the URL is told by http_next. The body is written to fd (the caller's) from offset 0,
 * only if the status is 200; a body that is not wanted is not read (but for a little, which is cheaper than another
 * connection). Whatever an earlier try left in fd stays there: the caller truncates. */
int  http_start(http *h, const char *url, int fd, void *context);
/* The same for a file that is large, and that an earlier try may have begun. With `answered`, it is asked for as it is, without an encoding. */
typedef struct {
    int status;                /* 200: the body is the whole file; 206: the bytes from http_request.from on */
    uint64_t total;            /* bytes of the whole file; UINT64_MAX: not said */
    const char *etag;          /* or NULL */
    bool encoded;              /* gzip or the like, though it was not asked for: the bytes are not the file's */
} http_answer;
typedef struct {
    const char *url;
    int fd;
    void *context;
    uint64_t from;             /* above 0: the bytes from here on are asked for, and written there */
    const char *if_range;      /* ETag of what fd has: if the file has another one by now, all of it comes; NULL: whatever it is */
    bool (*answered)(void *context, const http_answer *answer);   /* before the first byte of a body that is kept; false: HTTP_DECLINED. May be NULL */
} http_request;
int  http_start_file(http *h, const http_request *request);
uint64_t http_received(const http *h);   /* bytes of the bodies that are under way */
/* The same, where the body comes as text: for robots.txt. One that is longer than `most` bytes is HTTP_TOO_LARGE, and its
 * beginning is there. */
int  http_start_text(http *h, const char *url, size_t most, void *context);
size_t http_running(const http *h);   /* started, and not yet told of by http_next */

/* Waits at most so long for a transfer to end: 1 and the reply, 0 if none did or http_wake was called, or ERR_*. */
int  http_next(http *h, double seconds, http_reply *reply);
const char *http_text(const http *h, size_t *size);   /* of the last reply, if it was started with http_start_text; terminated */
void http_wake(http *h);       /* from any thread */

/* ---- what headers, URLs and robots.txt say: no network ----------------------------------------------------------------- */

/* The value of one X-Robots-Tag or tdm-reservation header. */
bool http_header_opts_out(const char *name, const char *value);
/* Seconds from now, from "120" or an HTTP date; below 0 if it says nothing. `now`: Unix time. */
double http_retry_after(const char *value, int64_t now);
/* Whether robots.txt (RFC 9309: longest match wins, Allow at a tie, * and $) lets `agent` fetch a URL's path and query. */
bool http_robots_allow(const char *text, size_t size, const char *agent, const char *path);

/* Scheme, host, port of an absolute http or https URL; false if it is none, has credentials, or is longer than 8192 bytes.
 * host: lower case, IPv6 without brackets, no dot at its end; an IPv4 address in any of its forms (127.1, 0x7f000001) as
 * four numbers. path: in `url`, from the first / or ? on; "" if there is none (it means /). */
typedef struct { bool tls; char host[256]; int port; const char *path; } http_url;
bool http_url_read(const char *url, http_url *out);

#endif
