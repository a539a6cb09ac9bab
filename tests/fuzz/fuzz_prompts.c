/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of prompt.jsonl from hostile bytes; what is read is written and read again: the same item. */
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"

static void line(const char *data, size_t size) {
    dataset_item a, b;
    if (dataset_parse("fuzz", data, size, &a) < 0) return;
    if (!*a.source || !*a.target || strchr(a.source, '/') || strchr(a.target, '/') || !strcmp(a.target, "..") || !strcmp(a.source, ".")) abort();
    text t = { 0 };
    dataset_line(a.source, a.target, a.prompt, &t);
    if (text_check(&t) < 0 || (t.size <= DATASET_LINE_MOST && dataset_parse("again", t.data, t.size, &b) < 0)) abort();
    if (t.size <= DATASET_LINE_MOST) {
        if (strcmp(a.source, b.source) || strcmp(a.target, b.target) || strcmp(a.prompt, b.prompt) || strcmp(a.id, b.id)) abort();
        dataset_item_free(&b);
    }
    text_free(&t);
    dataset_item_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (const char *at = (const char *)data, *end = at + size; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        line(at, (size_t)(stop - at));
        at = stop + 1;
    }
    return 0;
}
