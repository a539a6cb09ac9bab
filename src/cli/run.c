/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/number.h"
#include "base/text.h"
#include "cli/cli.h"
#include "mien.h"

volatile int stop_signal;

static void note_signal(int number) { __atomic_store_n(&stop_signal, number, __ATOMIC_RELAXED); }

void catch_signals(void) {
    struct sigaction a = { .sa_handler = note_signal, .sa_flags = SA_RESETHAND };   /* no SA_RESTART: reading a list ends too */
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
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

/* ---- timings ------------------------------------------------------------------------------------------------------- */

static const char timings_begin[] = "{\"load\":";

int timings_check(const command_help *c, const common_options *common) {
    char head[sizeof timings_begin] = "";
    int fd = common->timings ? open(common->timings, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0) return 0;
    ssize_t n = read(fd, head, sizeof head - 1);
    close(fd);
    if (n == (ssize_t)sizeof head - 1 && strcmp(head, timings_begin) == 0) return 0;
    return misuse(c, "--timings %s: is there and holds no timings of mien: it will not be overwritten", common->timings);
}

/* VmHWM of this process; getrusage would count what its parent had before exec. */
static unsigned long long peak_bytes(void) {
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long long kilobytes = 0;
    char line[256];
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu kB", &kilobytes) == 1) break;
    if (f) fclose(f);
    return kilobytes * 1024;
}

static void add_seconds(text *t, const char *name, double seconds) { text_printf(t, "\"%s\":%.6f", name, seconds); }

static int timings_save(const char *path, const timings *t) {
    text doc = { 0 };
    text_add(&doc, "{");
    add_seconds(&doc, "load", t->load);
    text_add(&doc, ",");
    add_seconds(&doc, "total", t->total);
    text_printf(&doc, ",\"images\":%llu,\"peak_bytes\":%llu", t->images, peak_bytes());
    for (int i = 0; i < t->n_parts; i++) {
        text_add(&doc, ",");
        add_seconds(&doc, t->part[i].name, t->part[i].seconds);
    }
    text_add(&doc, "}\n");
    int rc = text_check(&doc);
    if (rc == 0) rc = file_save(path, doc.data, doc.size);
    text_free(&doc);
    return rc;
}

int timings_report(const common_options *common, const timings *t) {
    if (common->profile) {
        fprintf(stderr, "%-10s %9.1f ms\n%-10s %9.1f ms, peak memory %.1f MB\n", "load", t->load * 1e3, "total", t->total * 1e3, (double)peak_bytes() * 1e-6);
        for (int i = 0; i < t->n_parts; i++) {
            fprintf(stderr, "%-10s %9.1f ms", t->part[i].name, t->part[i].seconds * 1e3);
            if (t->images) fprintf(stderr, " %9.3f ms a picture", t->part[i].seconds * 1e3 / (double)t->images);
            fprintf(stderr, "\n");
        }
    }
    return common->timings && timings_save(common->timings, t) < 0 ? work_failed(common) : 0;
}
