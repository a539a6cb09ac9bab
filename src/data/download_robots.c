/* SPDX-License-Identifier: Apache-2.0
 *
 * robots.txt, asked for once a host before anything else, as RFC 9309 says: up to five redirects, wherever they lead; none
 * there (4xx) allows everything, one that can't be had (5xx, no connection) forbids everything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "data/download_inside.h"

enum { ROBOTS_MOST = 500 << 10, HOPS_MOST = 5 };

bool download_robots_allow(const host *h, const char *url) {
    http_url parts;
    if (!h->robots_text) return true;
    return http_url_read(url, &parts) && http_robots_allow(h->robots_text, h->robots_size, "mien", *parts.path ? parts.path : "/");
}

static int start(download *d, robots_fetch *f, const char *url) {
    int rc = download_open_http(d);
    if (rc == 0) rc = http_start_text(d->http, url, ROBOTS_MOST, f);
    if (rc == 0) d->running++;
    return rc;
}

int download_robots_ask(download *d, host *h, double now) {
    char url[400];
    h->fetch = (robots_fetch){ .kind = TRANSFER_ROBOTS, .host = h };
    bool v6 = strchr(h->name, ':') != NULL;
    snprintf(url, sizeof url, "%s://%s%s%s:%d/robots.txt", h->tls ? "https" : "http", v6 ? "[" : "", h->name, v6 ? "]" : "", h->port);
    h->robots = ROBOTS_ASKED;
    int rc = start(d, &h->fetch, url);
    return rc < 0 ? rc : download_queue_begun(&d->queue, h, now);
}

static int keep(download *d, host *h) {
    size_t size;
    const char *body = http_text(d->http, &size);
    if (!body || !size) return 0;
    h->robots_text = malloc(size);
    if (!h->robots_text) return error_memory(size);
    memcpy(h->robots_text, body, size);
    h->robots_size = size;
    return 0;
}

/* What all items of the host get; or it is asked for again, when the host's next turn comes. */
static void settle(download *d, host *h, download_reason reason, double retry_after, double now) {
    if (download_can_heal(reason) && h->robots_attempt < d->options->retries && retry_after <= 300) {
        double s = d->options->retry_seconds;
        for (int k = 0; k < h->robots_attempt && k < 3; k++) s *= 4;
        h->robots_attempt++;
        h->robots = ROBOTS_UNKNOWN;
        download_queue_pause(h, now + (s > retry_after ? s : retry_after));
        return;
    }
    h->robots = ROBOTS_FAILED;
    h->robots_reason = reason == GOT_5XX || reason == GOT_429 || reason == GOT_OTHER_STATUS || reason == GOT_TOO_LARGE || reason == GOT_BAD_URL ? GOT_ROBOTS : reason;
}

int download_robots_answer(download *d, void *context, const http_reply *r, double now) {
    robots_fetch *f = context;
    host *h = f->host;
    int rc = 0;
    if (r->outcome == HTTP_ANSWERED && download_is_redirect(r->status) && r->location && f->hops < HOPS_MOST) {
        f->hops++;
        return start(d, f, r->location);
    }
    h->robots = ROBOTS_KNOWN;
    if (r->outcome == HTTP_TOO_LARGE && r->status == 200) rc = keep(d, h);   /* what came of it counts */
    else if (r->outcome != HTTP_ANSWERED) settle(d, h, download_reason_of_outcome(r->outcome), -1, now);
    else if (r->status >= 200 && r->status < 300) rc = keep(d, h);
    else if (r->status == 429 || r->status >= 500) settle(d, h, download_reason_of_status(r->status), r->retry_after, now);
    /* else, 4xx or too many redirects: as if there were none */
    return rc < 0 ? rc : download_queue_ended(&d->queue, h, now);
}
