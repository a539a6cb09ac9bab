/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "train/run_describe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_fields.h"
#include "train/log.h"
#include "train/run_settings.h"
#include "train/save_inside.h"

enum { SETTINGS_BYTES = 1 << 20, TAIL = 1 << 16 };

typedef struct { run_line *line; void *context; } listener;

__attribute__((format(printf, 2, 3))) static int tell(const listener *l, const char *format, ...) {
    char *line = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&line, format, args);
    va_end(args);
    if (n < 0) return error_memory(256);
    l->line(l->context, line);
    free(line);
    return 0;
}

/* ---- settings ------------------------------------------------------------------------------------------------------------- */

/* As it stands there; "" if it does not. */
static const char *setting(const run_settings *s, const char *name) {
    for (size_t i = 0; i < s->settings; i++)
        if (strcmp(s->setting[i].name, name) == 0) return s->setting[i].json;
    return "";
}

static bool is_number_above_0(const char *json) { return *json >= '1' && *json <= '9'; }

static const char *target_of(const run_settings *s) {
    const char *what = setting(s, "what");
    return strcmp(what, "\"vae\"") == 0 ? "a VAE" : strcmp(what, "\"base\"") == 0 ? "a base" : "a ControlNet";
}

static int tell_settings(const listener *l, const char *path, const char *is, const run_settings *s) {
    const char *size = setting(s, "size");
    return tell(l, "%s: %s of %s: %" PRIu64 " items, %.20s x %.20s pixels, batch %.20s, learning rate %.30s", path, is,
                target_of(s), s->items, size, size, setting(s, "batch"), setting(s, "lr"));
}

/* ---- the log -------------------------------------------------------------------------------------------------------------- */

typedef struct { uint64_t step; char loss[48]; } log_end;      /* loss: words for behind the step; "": it has none */

static void take_loss(void *context, const char *key, json_field_kind kind, const char *digits, size_t size) {
    log_end *end = context;
    (void)size;
    if (strcmp(key, "smoothed") == 0 && kind == FIELD_NUMBER)
        snprintf(end->loss, sizeof end->loss, ", smoothed loss %.6g", strtod(digits, NULL));
}

/* 1; 0: the line is no step's; ERR_MEMORY. */
static int read_line(const char *line, size_t size, log_end *out) {
    *out = (log_end){ .step = train_log_step(line, size) };
    if (!out->step) return 0;
    json_fields *f = json_fields_new();
    if (!f) return ERR_MEMORY;
    json_fields_read(f, line, size, take_loss, out);
    json_fields_free(f);
    return 1;
}

/* Of the last line that is a step's; the one that is being written has no end yet. step 0: there is none. */
static int find_end(const char *data, size_t size, log_end *out) {
    *out = (log_end){ 0 };
    for (size_t end = size; end > 0;) {
        const char *newline = memrchr(data, '\n', end);
        if (!newline) return 0;
        end = (size_t)(newline - data);
        const char *before = memrchr(data, '\n', end);
        const char *line = before ? before + 1 : data;
        int rc = read_line(line, end - (size_t)(line - data), out);
        if (rc != 0) return rc < 0 ? rc : 0;
    }
    return 0;
}

/* The end of RUN/log.jsonl, however long it is; none is fine, and one that can't be opened is told of. */
static int read_end(const listener *l, const char *run, log_end *out) {
    char path[PATH_MAX];
    struct stat st;
    *out = (log_end){ 0 };
    int rc = save_path(path, "%s/log.jsonl", run);
    if (rc < 0) return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? 0 : tell(l, "  the log can't be read: %s", (error_errno("%s", path), error_message()));
    char *tail = malloc(TAIL);
    ssize_t n = -1;
    if (!tail) rc = error_memory(TAIL);
    else if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) n = pread(fd, tail, TAIL, st.st_size > TAIL ? st.st_size - TAIL : 0);
    if (n > 0) rc = find_end(tail, (size_t)n, out);
    free(tail);
    close(fd);
    return rc;
}

/* kept: the step of the newest checkpoint, or 0. It is behind a log only where that was lost. */
static int tell_steps(const listener *l, const run_settings *s, const char *run, uint64_t kept) {
    log_end end;
    char of[80] = "";
    const char *steps = setting(s, "steps"), *epochs = setting(s, "epochs");
    int rc = read_end(l, run, &end);
    if (rc < 0) return rc;
    if (is_number_above_0(steps)) snprintf(of, sizeof of, " of %.30s", steps);
    else if (is_number_above_0(epochs)) snprintf(of, sizeof of, ", of %.30s epoch%s", epochs, strcmp(epochs, "1") == 0 ? "" : "s");
    if (end.step < kept)
        return end.step ? tell(l, "  steps done: %" PRIu64 "%s, by the newest checkpoint; the log ends at step %" PRIu64, kept, of, end.step)
                        : tell(l, "  steps done: %" PRIu64 "%s, by the newest checkpoint; there is no log of them", kept, of);
    if (!end.step) return tell(l, "  steps done: none yet%s", of);
    return tell(l, "  steps done: %" PRIu64 "%s%s", end.step, of, end.loss);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------------------ */

/* By names and sizes: only --resume reads every byte. step: what its folder's name says; 0: any. */
static int look(const char *folder, uint64_t step, save_list *list) {
    char path[PATH_MAX];
    struct stat st;
    int rc = save_list_load(folder, list);
    if (rc == 0 && step && list->step != step) rc = save_other_step(folder, list->step);
    for (int k = 0; rc == 0 && k < SAVE_FILES; k++) {
        if (!list->has[k]) continue;
        if ((rc = save_path(path, "%s/%s", folder, save_names[k])) < 0) return rc;
        if (stat(path, &st) < 0) return error_errno("%s", path);
        if ((uint64_t)st.st_size != list->bytes[k]) return error_set(ERR_FORMAT, "%s: has another size than was written", path);
    }
    return rc;
}

static int tell_files(const listener *l, const char *folder, const save_list *list) {
    bool beside = list->has[SAVE_CONTROL];   /* a base whose decoder was trained with it */
    const char *base_is = beside ? "its base, which was trained too" : "to use";
    const char *base_by = beside ? "mien generate --base, beside it" : "the whole model, for --base of generate and train";
    const struct { int which; const char *is, *by; } files[] = {
        { SAVE_CONTROL, "to use", "mien generate --control" },
        { SAVE_AVERAGE, "of averaged weights", "used the same way" },
        { SAVE_BASE, base_is, base_by },
        { SAVE_BASE_AVERAGE, "of averaged weights", "used the same way" },
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof files / sizeof *files; i++)
        if (list->has[files[i].which])
            rc = tell(l, "  %s: %s/%s (%s)", files[i].is, folder, save_names[files[i].which], files[i].by);
    return rc;
}

static int newest_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static int tell_none(const listener *l, const char *run) {
    char start[PATH_MAX];
    int rc = save_path(start, "%s/start.safetensors", run);
    if (rc < 0) return rc;
    bool begun = access(start, F_OK) == 0;
    return tell(l, "  no checkpoint yet%s", begun ? "; start.safetensors is the ControlNet before its first step" : "");
}

typedef struct { char path[PATH_MAX]; save_list list; size_t folders; bool found; } newest;

/* The newest one that looks whole; those that don't are told of, unless l is NULL. */
static int find_newest(const listener *l, const char *run, newest *out) {
    uint64_t *steps;
    *out = (newest){ 0 };
    int rc = save_steps(run, &steps, &out->folders);
    if (rc < 0) return rc;
    if (out->folders) qsort(steps, out->folders, sizeof *steps, newest_first);
    for (size_t i = 0; rc == 0 && !out->found && i < out->folders; i++) {
        if ((rc = save_path(out->path, "%s/" SAVE_FOLDER "/step-%06" PRIu64, run, steps[i])) < 0) break;
        out->found = look(out->path, steps[i], &out->list) == 0;
        if (!out->found && l)
            rc = tell(l, "  the checkpoint of step %" PRIu64 " is not whole: %s", steps[i], error_without_path(error_message(), out->path));
    }
    free(steps);
    return rc;
}

static int tell_newest(const listener *l, const char *run) {
    newest n;
    int rc = find_newest(l, run, &n);
    if (rc < 0 || !n.found) return rc < 0 ? rc : tell_none(l, run);
    rc = tell(l, "  newest checkpoint: step %" PRIu64 "%s", n.list.step, n.folders > 1 ? "; there are others" : "");
    return rc < 0 ? rc : tell_files(l, n.path, &n.list);
}

/* ---- what is told of ---------------------------------------------------------------------------------------------------------- */

static bool is_there(const char *folder, const char *name) {
    char path[PATH_MAX];
    return save_path(path, "%s/%s", folder, name) == 0 && access(path, F_OK) == 0;
}

static int describe_run(const listener *l, const char *path) {
    char name[PATH_MAX];
    uint8_t *data;
    size_t size;
    run_settings s;
    int rc = save_path(name, "%s/settings.json", path);
    if (rc == 0) rc = file_load(name, SETTINGS_BYTES, &data, &size);
    if (rc < 0) return rc;
    rc = run_settings_read(name, data, size, &s);
    free(data);
    if (rc < 0) return rc;
    rc = tell_settings(l, path, "a training run", &s);
    newest n;
    if (rc == 0) rc = find_newest(NULL, path, &n);
    if (rc == 0) rc = tell_steps(l, &s, path, n.found ? n.list.step : 0);
    if (rc == 0) rc = tell_newest(l, path);
    run_settings_free(&s);
    return rc;
}

static int describe_checkpoint(const listener *l, const char *path) {
    save_list list;
    int rc = look(path, 0, &list);
    if (rc == 0) rc = tell(l, "%s: a checkpoint of a training run, after step %" PRIu64, path, list.step);
    return rc < 0 ? rc : tell_files(l, path, &list);
}

/* A path for lines and names, without slashes at its end. */
int run_describe_folder(const char *path, run_line *line, void *context) {
    const listener l = { line, context };
    bool run = is_there(path, "settings.json"), checkpoint = is_there(path, SAVE_LIST);
    if (!run && !checkpoint) return 0;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    char *plain = strndup(path, n);
    if (!plain) return error_memory(n);
    int rc = run ? describe_run(&l, plain) : describe_checkpoint(&l, plain);
    free(plain);
    return rc < 0 ? rc : 1;
}

static int describe_log(const listener *l, const char *path, const char *data, size_t size) {
    log_end end;
    uint64_t lines = 0;
    int rc = find_end(data, size, &end);
    if (rc < 0 || !end.step) return rc;
    for (const char *at = data; (at = memchr(at, '\n', size - (size_t)(at - data))); at++) lines++;
    rc = tell(l, "%s: the log of a training run, %" PRIu64 " line%s, one a step; the last is of step %" PRIu64 "%s", path, lines,
              lines == 1 ? "" : "s", end.step, end.loss);
    return rc < 0 ? rc : 1;
}

/* Damaged ones are told of as what they were. */
static bool is_of_a_run(const char *path, const uint8_t *data, size_t size) {
    static const char mark[] = "\"kind\":\"train\"";
    const char *name = strrchr(path, '/');
    return strcmp(name ? name + 1 : path, "settings.json") == 0 && memmem(data, size, mark, sizeof mark - 1);
}

int run_describe_file(const char *path, const uint8_t *data, size_t size, run_line *line, void *context) {
    const listener l = { line, context };
    run_settings s;
    save_list list;
    log_end first;
    const char *newline = memchr(data, '\n', size);
    int rc = newline ? read_line((const char *)data, (size_t)((const uint8_t *)newline - data), &first) : 0;
    if (rc < 0) return rc;
    if (rc == 1 && *first.loss) return describe_log(&l, path, (const char *)data, size);
    rc = size <= SETTINGS_BYTES ? run_settings_read(path, data, size, &s) : ERR_FORMAT;
    if (rc == 0) {
        rc = tell_settings(&l, path, "the settings of a training run", &s);
        run_settings_free(&s);
        return rc < 0 ? rc : 1;
    }
    if (size <= SETTINGS_BYTES && is_of_a_run(path, data, size)) return rc;
    if (size > SAVE_LIST_BYTES || save_list_read(path, data, size, &list) < 0) return 0;
    rc = tell(&l, "%s: the list of a checkpoint's files, after step %" PRIu64 " of a training run", path, list.step);
    return rc < 0 ? rc : 1;
}
