/* SPDX-License-Identifier: Apache-2.0
 *
 * An evaluation's journal and settings from hostile bytes: what is read of a line can be written, and reads back as the same
 * line. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/journal.h"
#include "eval/eval_record.h"
#include "eval/eval_settings.h"

static void read_again(const text *line, text *out) {
    json *doc;
    eval_record r;
    if (json_parse("again", (const uint8_t *)line->data, line->size, (size_t)64 << 20, &doc) < 0) abort();
    json_at root = json_root(doc);
    if (eval_record_read(&root, false, &r) < 0 || eval_record_write(&r, out) < 0) abort();
    free(r.faces.face);
    json_free(doc);
}

static int look(void *context, const json_at *line) {
    (void)context;
    eval_record r;
    text once = { 0 }, twice = { 0 };
    if (eval_record_read(line, false, &r) < 0) return 0;
    if (r.what != EVAL_LINE_OTHER) {
        int rc = eval_record_write(&r, &once);
        if (rc < 0 && rc != ERR_MEMORY) abort();
        if (rc == 0) read_again(&once, &twice);
        if (rc == 0 && (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0)) abort();
    }
    text_free(&once);
    text_free(&twice);
    free(r.faces.face);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char ours[] = "{\"format\":1,\"kind\":\"eval\",\"settings\":{\"steps\":20,\"sampler\":\"ddim\",\"guess\":false},\"models\":{\"base\":\"0\"},\"data\":{\"items\":1}}";
    text here = { .data = ours, .size = sizeof ours - 1 };
    stream *s;
    if (stream_open_memory("fuzz", data, size, &s) < 0) return 0;
    if (journal_read_from(s, EVAL_JOURNAL, look, NULL) > 0) abort();
    stream_close(s);
    if (eval_settings_compare("fuzz", (const char *)data, size, &here) > 0) abort();
    return 0;
}
