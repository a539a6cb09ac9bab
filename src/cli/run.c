/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "base/output.h"
#include "base/peak_memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "mien.h"

volatile int stop_signal;

static const int signals[] = { SIGINT, SIGTERM };
static const char *stop_words;      /* the handler reads it */

static void note_signal(int number) {
    int kept = errno;
    for (int i = 0; i < 2; i++) {   /* both: whoever presses Ctrl-C after a kill means it */
        struct sigaction was, none = { .sa_handler = SIG_DFL };
        if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler == note_signal) sigaction(signals[i], &none, NULL);
    }
    __atomic_store_n(&stop_signal, number, __ATOMIC_RELAXED);
    const char *words = __atomic_load_n(&stop_words, __ATOMIC_RELAXED);
    if (words && write(STDERR_FILENO, words, strlen(words)) < 0) errno = kept;
    errno = kept;
}

void catch_signals(void) { catch_signals_saying(NULL); }

void stop_says(const char *line) { __atomic_store_n(&stop_words, line, __ATOMIC_RELAXED); }

void catch_signals_saying(const char *line) {
    struct sigaction a = { .sa_handler = note_signal };   /* no SA_RESTART: reading a list ends too */
    sigemptyset(&a.sa_mask);
    for (int i = 0; i < 2; i++) sigaddset(&a.sa_mask, signals[i]);
    stop_says(line);
    for (int i = 0; i < 2; i++) {
        struct sigaction was;   /* what nohup or a shell's & made us ignore stays ignored */
        if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN) sigaction(signals[i], &a, NULL);
    }
}

int work_failed(const common_options *common) {
    if (!common->log_json) {
        fprintf(stderr, "mien: %s\n", mien_error());
        return EXIT_WORK_FAILED;
    }
    text line = { 0 };
    text_add(&line, "{\"event\":\"error\",\"message\":");
    text_json_string(&line, mien_error());
    text_add(&line, "}");
    if (text_check(&line) == 0) fprintf(stderr, "%s\n", line.data);
    text_free(&line);
    return EXIT_WORK_FAILED;
}

int job_status(const common_options *common, int rc, unsigned long long failed) {
    if (rc == MIEN_ERR_CANCELLED && stop_signal) return EXIT_STOPPED + stop_signal;
    if (rc < 0) return work_failed(common), rc == MIEN_ERR_USAGE ? EXIT_MISUSE : EXIT_WORK_FAILED;
    return failed ? EXIT_SOME_FAILED : EXIT_DONE;
}

/* ---- timings ------------------------------------------------------------------------------------------------------- */

static const char timings_begin[] = "{\"load\":";

/* NULL if the file can be written and holds nothing of the user's; or why it will not be. */
static const char *timings_wrong(const char *path) {
    char head[sizeof timings_begin] = "";
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int denied = !folder ? ENOMEM : access(folder, W_OK | X_OK) == 0 ? 0 : errno;
    free(folder);
    if (denied) return strerror(denied);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) return errno == ENOENT ? NULL : strerror(errno);
    ssize_t n = read(fd, head, sizeof head - 1);
    close(fd);
    return n == (ssize_t)sizeof head - 1 && strcmp(head, timings_begin) == 0 ? NULL : "is there and holds no timings of mien: it will not be overwritten";
}

int timings_check(const command_help *c, const common_options *common, const char *output, const char *output_folder) {
    const char *path = common->timings;
    if (!path) return 0;
    if (output && file_same_place(path, output)) return misuse(c, "--timings %s: is the output", path);
    if (output_folder && output_lies_in(path, output_folder)) return misuse(c, "--timings %s: lies in the output folder", path);
    const char *why = timings_wrong(path);
    return why ? misuse(c, "--timings %s: %s", path, why) : 0;
}

static void add_seconds(text *t, const char *name, double seconds) { text_printf(t, "\"%s\":%.6f", name, seconds); }

static int timings_save(const char *path, const timings *t) {
    text doc = { 0 };
    text_add(&doc, "{");
    add_seconds(&doc, "load", t->load);
    text_add(&doc, ",");
    add_seconds(&doc, "total", t->total);
    text_printf(&doc, ",\"images\":%llu,\"peak_bytes\":%llu", t->images, (unsigned long long)peak_memory());
    for (int i = 0; i < t->n_parts; i++) {
        text_add(&doc, ",");
        add_seconds(&doc, t->part[i].name, t->part[i].seconds);
    }
    if (t->series) {
        text_printf(&doc, ",\"%s\":[", t->series);
        for (size_t i = 0; i < t->n_each; i++) text_printf(&doc, "%s%.6f", i ? "," : "", t->each[i]);
        text_add(&doc, "]");
    }
    text_add(&doc, "}\n");
    int rc = text_check(&doc);
    if (rc == 0) rc = file_save(path, doc.data, doc.size);
    text_free(&doc);
    return rc;
}

int timings_report(const common_options *common, const timings *t) {
    if (common->profile) {
        fprintf(stderr, "%-10s %9.1f ms\n%-10s %9.1f ms, peak memory %.1f MB\n", "load", t->load * 1e3, "total", t->total * 1e3, (double)peak_memory() * 1e-6);
        for (int i = 0; i < t->n_parts; i++) {
            fprintf(stderr, "%-10s %9.1f ms", t->part[i].name, t->part[i].seconds * 1e3);
            if (t->images) fprintf(stderr, " %9.3f ms a picture", t->part[i].seconds * 1e3 / (double)t->images);
            fprintf(stderr, "\n");
        }
        double sum = 0;
        for (size_t i = 0; i < t->n_each; i++) sum += t->each[i];
        if (t->n_each) fprintf(stderr, "%-10s %9.1f ms %9.3f ms each of %zu\n", t->series, sum * 1e3, sum * 1e3 / (double)t->n_each, t->n_each);
    }
    return common->timings && timings_save(common->timings, t) < 0 ? work_failed(common) : 0;
}

int single_output_end(const common_options *common, int rc, double begin) {
    int status = job_status(common, rc, 0);
    if (rc == MIEN_ERR_EXISTS || status == EXIT_MISUSE) return EXIT_MISUSE;
    int failed = timings_report(common, &(timings){ .total = clock_seconds() - begin });
    return status ? status : failed;
}

timings timings_of_photos(const mien_annotate_times *t) {
    return (timings){
        .part = { { "read", t->read }, { "decode", t->decode }, { "find", t->find }, { "detect", t->detect }, { "landmarks", t->landmarks },
                  { "draw", t->draw }, { "encode", t->encode }, { "write", t->write } },
        .n_parts = 8,
    };
}

static void print_line(void *context, const char *line) { fprintf(context, "%s\n", line); }

void profile_networks(const common_options *common, const mien *m) {
    if (common->profile && m) mien_profile(m, print_line, stderr);
}
