/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of a batch of pictures, of hostile bytes: what is taken makes sense. */
#include <stdlib.h>
#include <string.h>

#include "generate/job_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    generate_job defaults = { .how = settings_defaults(), .photo = "p.jpg", .count = 1, .max_faces = 1 }, j;
    if (job_line_read("fuzz", (const char *)data, size, &defaults, &j) < 0) return 0;
    if (job_check(&j) < 0 || strchr(j.name, '/') || j.name[0] == '.' || strlen(j.name) > 200 || !j.how.prompt || !j.how.added || !j.how.negative) abort();
    job_free(&j);
    return 0;
}
