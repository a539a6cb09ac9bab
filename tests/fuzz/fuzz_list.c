/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of any kind from hostile bytes. What is taken from it is written as a metadata.json, which reads back as the same. */
#include <stdlib.h>
#include <string.h>

#include "data/list.h"

static void check(const list_item *item) {
    if (item->wrong) {
        if (!item->id || item->url || (item->caption && !item->no_url)) abort();
        return;
    }
    if (!list_id_fits(item->id) || !*item->url || item->width < 0 || item->height < 0) abort();
    if (item->sha256 && strspn(item->sha256, "0123456789abcdef") != 64) abort();
}

static void write_all(const void *data, size_t size, bool whole, text *out) {
    stream *s;
    list *l;
    list_item item;
    if (stream_open_memory("fuzz", data, size, &s) < 0 || list_open_stream(s, &l) < 0) return;
    text_add(out, "{");
    while (list_next(l, &item) == 1) {
        check(&item);
        if (item.wrong) continue;
        if (out->size > 1) text_add(out, ", ");
        if (whole) list_entry_write(l, &item, out);
        else list_item_write(&item, out);
    }
    text_add(out, "}");
    list_close(l);
}

/* With what is known of each item, or with all that the list says. */
static void check_written(const uint8_t *data, size_t size, bool whole) {
    text a = { 0 }, b = { 0 };
    write_all(data, size, whole, &a);
    if (a.size) {
        write_all(a.data, a.size, whole, &b);
        if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0) abort();
    }
    text_free(&a);
    text_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_written(data, size, false);
    check_written(data, size, true);
    return 0;
}
