/* SPDX-License-Identifier: Apache-2.0 */
#include "data/check_merge.h"

#include <limits.h>
#include <stdio.h>

#include "base/error.h"
#include "base/file.h"
#include "data/build.h"
#include "data/journal.h"

/* What killed parts left: none of them runs now. */
static void remove_leftovers(const char *folder) {
    static const char *const below[] = { "source", "target", "annotated" };
    char path[PATH_MAX];
    for (int i = 0; i < 3; i++)
        if ((size_t)snprintf(path, sizeof path, "%s/%s/", folder, below[i]) < sizeof path && folder_check_links(folder, path) == 0) file_remove_leftovers(path, 1);
}

static void say(void *context, const char *message) {
    const mien_hooks *hooks = context;
    if (hooks->log) hooks->log(hooks->context, MIEN_LOG_WARNING, NULL, message);
}

int check_merge(const char *folder, const mien_hooks *hooks, mien_check_result *result) {
    static const char *const kinds[] = { "download", "build" };
    build_finished finished = { 0 };
    int rc = 0;
    remove_leftovers(folder);
    for (int i = 0; rc == 0 && i < 2; i++) {
        int merged = 0, unfinished = 0;
        rc = journal_unfinished(folder, kinds[i], say, (void *)hooks, &unfinished);
        result->unfinished += unfinished;
        if (rc == 0) rc = journal_merge(folder, kinds[i], &merged);
        result->merged += merged;
    }
    if (rc == 0) rc = build_finish(folder, hooks, &finished);
    result->merged_lines = finished.lines;
    result->merged_rejected = finished.rejected;
    return rc;
}
