/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of what to select from hostile bytes; each of its lines is then selected, or the list was refused. */
#include <stdlib.h>
#include <string.h>

#include "data/selection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    stream *s;
    stream_text line;
    selection *only;
    if (stream_open_memory("fuzz", data, size, &s) < 0 || selection_of(s, &only) < 0) return 0;
    if (stream_open_memory("fuzz", data, size, &s) < 0) abort();
    while (stream_line(s, 1 << 16, &line) == 1) {
        char *from = line.text + strspn(line.text, " \t\v\f\r");
        size_t n = strlen(from);
        while (n && strchr(" \t\v\f\r", from[n - 1])) from[--n] = 0;
        if (!n || *from == '#' || (unsigned char)*from == 0xef) continue;
        char *url = malloc(n + 10);
        if (!url) abort();
        strcpy(stpcpy(url, "http://"), from);
        bool below = *from == '*' || *from == '.';   /* "*.example.com": the URL's host isn't that */
        if (!below && selection_asks(only, from, from, from) != SELECTED && selection_asks(only, NULL, url, NULL) != SELECTED) abort();
        free(url);
    }
    stream_close(s);
    selection_free(only);
    return 0;
}
