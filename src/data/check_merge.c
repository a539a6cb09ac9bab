/* SPDX-License-Identifier: Apache-2.0 */
#include "data/check_merge.h"

#include "base/error.h"
#include "data/build.h"
#include "data/journal.h"

int check_merge(const char *folder, const mien_hooks *hooks, mien_check_result *result) {
    static const char *const kinds[] = { "download", "build" };
    build_finished finished = { 0 };
    int rc = 0;
    for (int i = 0; rc == 0 && i < 2; i++) {
        int merged = 0;
        rc = journal_merge(folder, kinds[i], &merged);
        result->merged += merged;
    }
    if (rc == 0) rc = build_finish(folder, hooks, &finished);
    result->merged_lines = finished.lines;
    result->merged_rejected = finished.rejected;
    return rc;
}
