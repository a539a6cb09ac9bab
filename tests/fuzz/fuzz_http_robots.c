/* SPDX-License-Identifier: Apache-2.0
 *
 * robots.txt from hostile bytes: the first line is the path that is asked for. What it says of everybody it says of
 * each agent that it does not name. */
#include <stdlib.h>
#include <string.h>

#include "base/http_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[HTTP_URL_MOST + 1];
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t n = end ? (size_t)(end - data) : 0;
    if (n > HTTP_URL_MOST) return 0;
    memcpy(path, data, n);
    path[n] = 0;
    if (end) n++;
    char *text = malloc(size - n + 1);
    if (!text) abort();
    memcpy(text, data + n, size - n);
    bool allowed = http_robots_allow(text, size - n, "mien", path);
    if (n == size && !allowed) abort();
    /* No group's name has a digit in it. */
    if (http_robots_allow(text, size - n, "nobody1", path) != http_robots_allow(text, size - n, "nobody2", path)) abort();
    free(text);
    return 0;
}
