/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/inputs_inside.h"
#include "base/stop.h"

static int add_line(inputs *in, const char *line, size_t size, bool too_long) {
    if (stop_asked(in->options.stop)) return error_set(ERR_CANCELLED, "stopped");
    if (!too_long) return size ? inputs_add(in, line) : 0;
    error_set(ERR_IO, "the path is too long");
    inputs_failed(in, line);
    return 0;
}

static ssize_t read_some(int fd, char *buffer, size_t room, bool fill, const volatile int *stop) {
    size_t used = 0;
    for (;;) {
        /* Waits for no longer than a moment: a signal that comes just before the wait does not end it. */
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        if (stop_asked(stop)) return error_set(ERR_CANCELLED, "stopped");
        int waited = poll(&ready, 1, 100);
        if (waited == 0 || (waited < 0 && errno == EINTR)) continue;
        ssize_t n = read(fd, buffer + used, room - used);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) return error_errno("the list of paths");
        if (n == 0) break;
        used += (size_t)n;
        if (!fill || used == room) break;
    }
    return (ssize_t)used;
}

int inputs_add_list(inputs *in, int fd) {
    enum { BLOCK = PATH_MAX };      /* no path is longer, so a list that ends its paths with NUL shows one in the first block */
    char block[BLOCK], line[PATH_MAX];
    size_t used = 0;
    bool too_long = false;
    ssize_t n = read_some(fd, block, BLOCK, true, in->options.stop);
    char end = n > 0 && memchr(block, 0, (size_t)n) ? 0 : '\n';
    int rc = 0;
    for (; rc == 0 && n > 0; n = rc < 0 ? 0 : read_some(fd, block, BLOCK, false, in->options.stop)) {
        for (ssize_t i = 0; rc == 0 && i < n; i++) {
            if (block[i] == end) {
                line[used] = 0;
                rc = add_line(in, line, used, too_long);
                used = 0;
                too_long = false;
            } else if (used + 1 < sizeof line) {
                line[used++] = block[i];
            } else {
                too_long = true;
            }
        }
    }
    line[used] = 0;
    if (rc == 0 && n < 0) rc = (int)n;
    return rc < 0 ? rc : add_line(in, line, used, too_long);
}
