/* SPDX-License-Identifier: Apache-2.0
 *
 * epoll, with what the kernel knows of each descriptor kept here: a connection that rests between two requests stays
 * known to it, so that the next request costs no call. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/http_inside.h"

/* Of a descriptor. KNOWN_*: what the kernel waits for. OWN: http_watch_closed will be told. RESTS: nobody wants its events. */
enum { KNOWN_IN = 1, KNOWN_OUT = 2, OWN = 4, RESTS = 8, KNOWN = KNOWN_IN | KNOWN_OUT };

static int add(http_watch *w, int fd, int call, uint32_t events) {
    struct epoll_event e = { .events = events, .data.fd = fd };
    return epoll_ctl(w->epoll, call, fd, &e);
}

int http_watch_open(http_watch *w) {
    *w = (http_watch){ .epoll = epoll_create1(EPOLL_CLOEXEC), .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    if (w->epoll >= 0 && w->wake >= 0 && add(w, w->wake, EPOLL_CTL_ADD, EPOLLIN) == 0) return 0;
    int rc = error_errno("HTTP: waiting for connections");
    http_watch_close(w);
    return rc;
}

void http_watch_close(http_watch *w) {
    if (w->epoll >= 0) close(w->epoll);
    if (w->wake >= 0) close(w->wake);
    free(w->watched);
    *w = (http_watch){ .epoll = -1, .wake = -1 };
}

static int need_room(http_watch *w, int fd) {
    if ((size_t)fd < w->room) return 0;
    size_t room = w->room ? w->room : 1024;
    while (room <= (size_t)fd) room *= 2;
    uint8_t *watched = realloc(w->watched, room);
    if (!watched) return error_memory(room);
    memset(watched + w->room, 0, room - w->room);
    w->watched = watched;
    w->room = room;
    return 0;
}

int http_watch_opened(http_watch *w, int fd) {
    int rc = need_room(w, fd);
    if (rc == 0) w->watched[fd] = OWN;
    return rc;
}

void http_watch_closed(http_watch *w, int fd) {
    if ((size_t)fd < w->room) w->watched[fd] = 0;
}

int http_watch_set(http_watch *w, int fd, uint32_t events) {
    int rc = need_room(w, fd);
    if (rc < 0) return rc;
    uint8_t had = w->watched[fd], want = (uint8_t)((events & EPOLLIN ? KNOWN_IN : 0) | (events & EPOLLOUT ? KNOWN_OUT : 0));
    if (!want) {
        if (had & OWN) {
            w->watched[fd] |= RESTS;
            return 0;
        }
        if (had & KNOWN) add(w, fd, EPOLL_CTL_DEL, 0);      /* it may be closed already: then it is gone anyway */
        w->watched[fd] = 0;
        return 0;
    }
    w->watched[fd] = (had & OWN) | want;
    if ((had & KNOWN) == want) return 0;
    if (add(w, fd, had & KNOWN ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, events) == 0) return 0;
    /* Closed without a word, and opened anew: the kernel knows the other thing. */
    if ((errno == ENOENT && add(w, fd, EPOLL_CTL_ADD, events) == 0) || (errno == EEXIST && add(w, fd, EPOLL_CTL_MOD, events) == 0)) return 0;
    w->watched[fd] = had & OWN;
    return error_errno("HTTP: waiting for a connection");
}

int http_watch_wait(http_watch *w, struct epoll_event *events, int most, double seconds, bool *woken) {
    int n, wanted = 0;
    int wait = seconds <= 0 ? 0 : seconds > 3600 ? 3600000 : (int)ceil(seconds * 1000);
    n = epoll_wait(w->epoll, events, most, wait);
    if (n < 0 && errno != EINTR) return error_errno("HTTP: waiting for connections");
    if (n < 0) *woken = true;      /* a signal: whoever waits looks whether it was to stop */
    for (int i = 0; i < n; i++) {
        int fd = events[i].data.fd;
        uint64_t count;
        if (fd == w->wake) {
            *woken = true;
            while (read(fd, &count, sizeof count) > 0) continue;
        } else if ((size_t)fd < w->room && (w->watched[fd] & RESTS)) {
            add(w, fd, EPOLL_CTL_DEL, 0);      /* its server has closed it: whoever wants it next will see */
            w->watched[fd] &= OWN | RESTS;
        } else {
            events[wanted++] = events[i];
        }
    }
    return wanted;
}

void http_watch_wake(http_watch *w) {
    uint64_t one = 1;
    while (write(w->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
}
