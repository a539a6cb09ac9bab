/* SPDX-License-Identifier: Apache-2.0
 *
 * The header lines of an answer from hostile bytes. What may be shown is free of control characters. */
#include <stdlib.h>
#include <string.h>

#include "base/http_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    http_head head = { 0 };
    http_head_begin(&head);
    const char *at = (const char *)data;
    for (size_t left = size; left;) {
        const char *end = memchr(at, '\n', left);
        size_t n = end ? (size_t)(end - at) + 1 : left;
        char *line = malloc(n);      /* a copy of exactly this length: a byte too far is then seen */
        if (!line) abort();
        memcpy(line, at, n);
        http_head_line(&head, line, n, 1700000000);
        free(line);
        at += n;
        left -= n;
    }
    if (head.bytes != size || (head.complete && head.status < 200)) abort();
    if (head.location.size > HTTP_URL_MOST || head.retry_after > 1e12) abort();
    for (const char *c = head.content_type; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) abort();
    if (strpbrk(head.etag, "\r\n ") || strpbrk(head.linked_etag, "\r\n ")) abort();
    if (head.range_from != UINT64_MAX && head.range_total <= head.range_from) abort();
    text_free(&head.location);
    return 0;
}
