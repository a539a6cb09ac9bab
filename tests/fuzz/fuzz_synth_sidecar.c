/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies at the place of a rendered picture's sidecar, of hostile bytes. */
#include <stdlib.h>
#include <string.h>

#include "synth/sidecar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const synth_origin origin = { .seed = 7, .number = 42, .settings = "0123456789abcdef", .file = "7-000042.png" };
    synth_seen seen;
    synth_sidecar_read(data, size, &origin, &seen);
    if ((seen.state == SYNTH_LOST) != (size == 0) || seen.state == SYNTH_ABSENT) abort();
    /* it becomes a path */
    if (seen.state >= SYNTH_OTHER && (!*seen.file || strchr(seen.file, '/') || *seen.file == '.')) abort();
    if (seen.state == SYNTH_SAME && strcmp(seen.file, origin.file) != 0) abort();
    return 0;
}
