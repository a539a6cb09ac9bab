/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

static const double line_every = 10, bar_every = 0.1, sample_every = 0.25;   /* seconds */

void progress_begin(progress *p, const common_options *common, const char *unit) {
    *p = (progress){ .common = common, .unit = unit, .next = common->log_json ? 0 : line_every };
    const char *term = getenv("TERM");
    p->terminal = !common->quiet && !common->log_json && isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    if (p->terminal) p->next = 0;
    pthread_mutex_init(&p->mutex, NULL);
}

static void clear_bar(progress *p) {
    if (p->shown) fputs("\r\033[K", stderr);
    p->shown = false;
}

void progress_clear(progress *p) {
    pthread_mutex_lock(&p->mutex);
    clear_bar(p);
    pthread_mutex_unlock(&p->mutex);
}

void progress_end(progress *p) {
    clear_bar(p);
    fflush(stderr);
    pthread_mutex_destroy(&p->mutex);
}

/* ---- the rate ------------------------------------------------------------------------------------------------------ */

static bool checks(const progress *p, const mien_progress *n) { return p->kind == PROGRESS_BYTES && n->count[0].n; }

static uint64_t over(const progress *p, const mien_progress *n) { return checks(p, n) ? n->count[0].n : n->done + n->skipped + n->failed; }

/* Items a second over the window, which reaches back 16 s. */
static double rate_of(progress *p, const mien_progress *n) {
    if (p->kind == PROGRESS_SLOW && n->done == 0) p->samples = 0;   /* loading is no part of the rate */
    int last = (p->samples - 1) % PROGRESS_WINDOW;
    if (p->samples == 0 || n->seconds - p->window[last].seconds >= sample_every) {
        last = p->samples++ % PROGRESS_WINDOW;
        p->window[last].seconds = n->seconds;
        p->window[last].items = over(p, n);
    }
    int first = p->samples > PROGRESS_WINDOW ? p->samples % PROGRESS_WINDOW : 0;
    double span = n->seconds - p->window[first].seconds;
    uint64_t now = over(p, n), then = p->window[first].items;   /* less than then: bytes that are now checked */
    return span > 0 && now > then ? (double)(now - then) / span : 0;
}

static void time_left(char out[32], uint64_t left_over, double rate) {
    if (rate <= 0) {
        snprintf(out, 32, "--:--");
        return;
    }
    double left = (double)left_over / rate;
    unsigned long s = left < 8.64e7 ? (unsigned long)(left + 0.5) : 86400000;
    if (s >= 3600) snprintf(out, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else snprintf(out, 32, "%lu:%02lu", s / 60, s % 60);
}

/* "12.0 photos/s", or "2.71 s a step"; of slow work that none is known of yet nothing. */
static void rate_text(char out[64], const progress *p, double rate) {
    size_t n = strlen(p->unit);
    *out = 0;
    if (p->kind == PROGRESS_BYTES) snprintf(out, 64, "%.1f MB/s", rate / 1e6);
    else if (p->kind == PROGRESS_ITEMS) snprintf(out, 64, "%.1f %s/s", rate, p->unit);
    else if (rate > 0) snprintf(out, 64, "%.*f s a %.*s", rate < 10 ? 2 : 4, 1 / rate, (int)n - 1, p->unit);
}

/* "with faces 3, without faces 1, failed 0", and what was there already if anything was. Of long work in small units, which are steps and not
 * what is made, its main count alone: "pictures 2"; what fails has a line of its own. */
static void outcome(text *out, const progress *p, const mien_progress *n) {
    if (*p->note) {
        text_add(out, p->note);
        return;
    }
    if (p->kind != PROGRESS_ITEMS) {
        if (p->kind == PROGRESS_SLOW && n->n_counts && n->count[0].n) text_printf(out, "%s %" PRIu64, n->count[0].name, n->count[0].n);
        return;
    }
    for (int i = 0; i < n->n_counts; i++) {
        if (!n->count[i].n) continue;
        for (const char *c = n->count[i].name; *c; c++) text_printf(out, "%c", *c == '_' ? ' ' : *c);
        text_printf(out, " %" PRIu64 ", ", n->count[i].n);
    }
    text_printf(out, "failed %" PRIu64, n->failed);
    if (n->skipped) text_printf(out, ", done before %" PRIu64, n->skipped);
}

/* ---- showing ------------------------------------------------------------------------------------------------------- */

/* "12/5000 steps", "checking 1.20/4.27 GB" or, without a total, "12 steps"; of: what stands between. */
static void amount_text(text *out, const progress *p, const mien_progress *n, const char *of) {
    uint64_t now = over(p, n);
    if (p->kind == PROGRESS_BYTES) text_printf(out, "%.2f%s%.2f GB", (double)now / 1e9, of, (double)n->total / 1e9);
    else if (n->total) text_printf(out, "%" PRIu64 "%s%" PRIu64, now, of, n->total);
    else text_printf(out, "%" PRIu64, now);
}

static void show_bar(progress *p, const mien_progress *n) {
    char left[32], bar[21], speed[64];
    text line = { 0 };
    double rate = rate_of(p, n);
    uint64_t now = over(p, n), total = n->total;
    time_left(left, total > now ? total - now : 0, rate);
    rate_text(speed, p, rate);
    memset(bar, '.', 20);
    memset(bar, '#', total ? (size_t)(20 * (now < total ? now : total) / total) : 0);
    bar[20] = 0;
    if (total) text_printf(&line, "%s[%s] ", checks(p, n) ? "checking " : "", bar);
    amount_text(&line, p, n, "/");
    if (p->kind == PROGRESS_SLOW) text_printf(&line, " %.*s", (int)(strlen(p->unit) - (now == 1 && !total)), p->unit);
    text_printf(&line, *speed ? "  %s  " : "  %s", speed);
    if (total && *speed) text_printf(&line, "ETA %s  ", left);
    outcome(&line, p, n);
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && line.size >= size.ws_col) line.data[size.ws_col - 1] = 0;
    if (!line.failed) fprintf(stderr, "\r%s\033[K", line.data);
    text_free(&line);
    p->shown = true;
}

static void show_line(progress *p, const mien_progress *n) {
    char left[32], speed[64];
    text line = { 0 };
    double rate = rate_of(p, n);
    uint64_t now = over(p, n);
    time_left(left, n->total > now ? n->total - now : 0, rate);
    if (p->kind == PROGRESS_ITEMS) snprintf(speed, sizeof speed, "%.1f/s", rate);
    else rate_text(speed, p, rate);
    if (checks(p, n)) text_add(&line, "checking ");
    amount_text(&line, p, n, " of ");
    bool one = p->kind == PROGRESS_SLOW && now == 1 && !n->total;   /* "1 step", but "1 of 5 steps" */
    size_t unit = strlen(p->unit);
    if (p->kind != PROGRESS_BYTES) text_printf(&line, " %.*s", (int)(one ? unit - 1 : unit), p->unit);
    if (*speed) text_printf(&line, ", %s", speed);
    if (n->total && *speed) text_printf(&line, ", %s left", left);
    size_t end = line.size;
    text_add(&line, "; ");
    outcome(&line, p, n);
    if (!line.failed) fprintf(stderr, "mien: %.*s\n", (int)(line.size == end + 2 ? end : line.size), line.data);
    text_free(&line);
}

void progress_json(FILE *to, const char *event, const mien_progress *n) {
    fprintf(to, "{\"event\":\"%s\",\"total\":%" PRIu64 ",\"done\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"failed\":%" PRIu64, event, n->total, n->done,
            n->skipped, n->failed);
    for (int i = 0; i < n->n_counts; i++) fprintf(to, ",\"%s\":%" PRIu64, n->count[i].name, n->count[i].n);
    fprintf(to, ",\"seconds\":%.3f}\n", n->seconds);
}

static void tell(void *context, const mien_progress *n) {
    progress *p = context;
    if (p->common->quiet) return;
    pthread_mutex_lock(&p->mutex);
    if (p->samples == 0 || n->seconds >= p->window[(p->samples - 1) % PROGRESS_WINDOW].seconds + sample_every) rate_of(p, n);
    if (n->seconds >= p->next && (n->total || p->endless)) {
        p->next = n->seconds + (p->terminal ? bar_every : line_every);
        if (p->common->log_json) progress_json(stderr, "progress", n);
        else if (p->terminal) show_bar(p, n);
        else show_line(p, n);
        fflush(stderr);
    }
    pthread_mutex_unlock(&p->mutex);
}

static const char *const kinds[] = { "info", "warning", "failed" };

void progress_log(void *context, mien_log_kind kind, const char *path, const char *message) {
    progress *p = context;
    text line = { 0 };
    if (p->common->log_json) {
        text_printf(&line, "{\"event\":\"%s\"", kinds[kind]);
        if (path) text_add(&line, ",\"path\":"), text_json_string(&line, path);
        text_add(&line, kind == MIEN_LOG_ITEM_FAILED ? ",\"reason\":" : ",\"message\":");
        text_json_string(&line, message);
        text_add(&line, "}");
    } else {
        char safe[4 * 4096], what[4 * 4096];   /* a message may quote names out of the data */
        if (kind == MIEN_LOG_INFO && !p->notes) return;   /* one a photo: for programs to read */
        text_printf(&line, "mien: %s%s%s", path ? text_escape(safe, sizeof safe, path) : "", path ? ": " : "", text_escape(what, sizeof what, message));
    }
    pthread_mutex_lock(&p->mutex);
    clear_bar(p);
    if (!line.failed) fprintf(stderr, "%s\n", line.data);
    pthread_mutex_unlock(&p->mutex);
    text_free(&line);
}

mien_hooks progress_hooks(progress *p) {
    return (mien_hooks){ .progress = tell, .log = progress_log, .context = p, .stop = &stop_signal };
}
