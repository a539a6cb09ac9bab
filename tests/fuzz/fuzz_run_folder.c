/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run's folder has in JSON, of hostile bytes: settings.json, which is written as it was read; checkpoint.json; a line of log.jsonl, and all of it; and what is said
 * of each. */
#include <stdlib.h>
#include <string.h>

#include "train/log.h"
#include "train/run_describe.h"
#include "train/run_settings.h"
#include "train/save.h"

static void take(void *lines, const char *text) {
    if (!*text) abort();
    ++*(int *)lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    run_settings a, b;
    save_list l;
    if (run_settings_read("fuzz", data, size, &a) == 0) {
        text first = { 0 }, second = { 0 }, different = { 0 };
        if (run_settings_write(&a, &first) < 0 || run_settings_read("fuzz", (const uint8_t *)first.data, first.size, &b) < 0) abort();
        if (run_settings_write(&b, &second) < 0 || first.size != second.size || memcmp(first.data, second.data, first.size) != 0) abort();
        if (run_settings_differ(&a, &b, &different) || !run_settings_same_data(&a, &b)) abort();
        text_free(&first), text_free(&second), text_free(&different);
        run_settings_free(&a), run_settings_free(&b);
    }
    if (save_list_read("fuzz", data, size, &l) == 0 && !l.has[SAVE_STATE]) abort();
    train_log_step((const char *)data, size);
    int lines = 0;
    if (run_describe_file("fuzz", data, size, take, &lines) != (lines > 0)) abort();
    return 0;
}
