/* SPDX-License-Identifier: Apache-2.0
 *
 * What the job build reads, from hostile bytes: sidecars, captions, and lines of its journal, which are written and read
 * again: the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "data/build_sidecar.h"
#include "data/build_state.h"

static void try_sidecar(const uint8_t *data, size_t size) {
    sidecar s;
    if (sidecar_parse("fuzz", data, size, &s) == 0 && (s.nsfw || s.unsafe > 0.1) && sidecar_safe(&s, 0.1) && (!s.nsfw || s.unsafe > 0.1)) abort();
    sidecar_free(&s);
    if (sidecar_parse_caption("fuzz", data, size, &s) == 0 && (!s.has_caption || !s.caption || strlen(s.caption) > CAPTION_MOST)) abort();
    sidecar_free(&s);
}

static void try_line(const char *line, size_t size) {
    json *doc, *again;
    build_record r, q;
    if (build_line_parse(line, size, &doc, &r) < 0) return;
    text a = { 0 }, b = { 0 };
    build_record_write(&r, &a);
    if (build_line_parse(a.data, a.size, &again, &q) < 0) abort();
    build_record_write(&q, &b);
    if (a.size != b.size || memcmp(a.data, b.data, a.size)) abort();
    char path[256];
    text escaped = { 0 };
    if (build_path_unescape(r.photo, path, sizeof path)) {
        build_path_escape(path, &escaped);
        char back[256];
        if (escaped.data && (!build_path_unescape(escaped.data, back, sizeof back) || strcmp(path, back))) abort();
    }
    text_free(&escaped);
    text_free(&a);
    text_free(&b);
    json_free(again);
    json_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_sidecar(data, size);
    try_line((const char *)data, size);
    return 0;
}
