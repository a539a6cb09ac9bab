/* SPDX-License-Identifier: Apache-2.0
 *
 * A journal from hostile bytes. */
#include <stdlib.h>

#include "data/journal.h"

static int count(void *context, const json_at *line) {
    json_at field;
    *(size_t *)context += json_field(line, "id", &field);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    stream *s;
    size_t lines = 0;
    if (stream_open_memory("fuzz", data, size, &s) < 0) return 0;
    if (journal_read_from(s, "job", count, &lines) > 0 || lines > size) abort();
    stream_close(s);
    return 0;
}
