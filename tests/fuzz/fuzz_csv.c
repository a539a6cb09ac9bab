/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV from hostile bytes, under a header of ours: the captions are written as a CSV again, which reads back as the same. */
#include <stdlib.h>
#include <string.h>

#include "data/list.h"

static void write_csv(const text *csv, text *out) {
    stream *s;
    list *l;
    list_item item;
    if (stream_open_memory("fuzz", csv->data, csv->size, &s) < 0 || list_open_stream(s, &l) < 0) return;   /* a NUL */
    text_add(out, "caption,url\n");
    while (list_next(l, &item) == 1) {
        if (item.wrong) continue;
        text_add(out, "\"");
        for (const char *c = item.caption ? item.caption : ""; *c; c++) text_printf(out, *c == '"' ? "\"\"" : "%c", *c);
        text_add(out, "\",\"");
        for (const char *c = item.url; *c; c++) text_printf(out, *c == '"' ? "\"\"" : "%c", *c);
        text_add(out, "\"\n");
    }
    list_close(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char separators[] = ",\t;|";
    text csv = { 0 }, a = { 0 }, b = { 0 };
    if (size == 0) return 0;
    text_printf(&csv, "url%ccaption\n", separators[data[0] % 4]);
    char *to = text_room(&csv, size - 1);
    memcpy(to, data + 1, size - 1);
    text_grown(&csv, size - 1);
    write_csv(&csv, &a);
    if (a.size) write_csv(&a, &b);
    if (a.size != b.size || (a.size && memcmp(a.data, b.data, a.size) != 0)) abort();
    text_free(&csv), text_free(&a), text_free(&b);
    return 0;
}
