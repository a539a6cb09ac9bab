/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char notes[] =
    "A page shows 24 items: photo, map, the map over the photo, and what the prompt says; further pages are sheet-2.png,\n"
    "sheet-3.png, ... What is missing or broken is marked with the reason. Unless told otherwise there is one page, of items\n"
    "drawn at random: the same ones each time, until --seed is another. Sizes, faces, gaze, pose and prompts of all items are\n"
    "counted on sheet-statistics.png; --log-json prints the numbers. What removed.jsonl names is left\n"
    "out. Nothing in the data set is changed, and pages that exist are refused without --force. The pages show photos of people: keep them as carefully as the photos.";

typedef struct {
    common_options common;
    mien_preview_options job;
    size_t first, sample, seed;
    int pages;
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_preview_options *j = &a->job;
    const option options[] = {
        { "data", 0, OPTION_TEXT, &j->data, 0, 0, "DIR", "the data set's folder", NULL },
        { "output", 'o', OPTION_TEXT, &j->output, 0, 0, "sheet.png", "the first page", NULL },
        { "pages", 0, OPTION_INT, &a->pages, 0, 10000, "N", "at most N pages (default 1; 0: the statistics only)", NULL },
        { "first", 0, OPTION_COUNT, &a->first, 1, 1e15, "I", "show the items from the I-th on, in their order", NULL },
        { "sample", 0, OPTION_COUNT, &a->sample, 1, 240000, "N", "show N items drawn at random", NULL },
        { "seed", 0, OPTION_COUNT, &a->seed, 0, 1e15, "S", "draw others (default 0)", NULL },
        { "statistics", 0, OPTION_TEXT, &j->statistics, 0, 0, "FILE.png", "the page of statistics (default: sheet-statistics.png)", NULL },
        { "no-statistics", 0, OPTION_FLAG, &j->no_statistics, 0, 0, NULL, "do not look at the other items", NULL },
        { "max-pixels", 0, OPTION_COUNT, &j->max_pixels, 1, 4e9, "N", "do not show pictures with more pixels (default 512000000)", NULL },
        { "force", 'f', OPTION_FLAG, &j->force, 0, 0, NULL, "overwrite pages that exist", NULL },
    };
    const command_help help = {
        "preview", "--data DIR -o sheet.png [OPTION...]", "Shows what is in a data set: contact sheets, and a page of statistics.", options,
        sizeof options / sizeof *options, notes,
    };
    int rest;
    a->pages = -1;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (!j->data || !*j->data) wrong |= misuse(&help, "--data DIR is missing: the data set");
    if (!j->output || !*j->output) wrong |= misuse(&help, "-o sheet.png is missing: the file to write");
    if (a->sample && a->first) wrong |= misuse(&help, "--sample draws items, --first shows them in their order: one of both");
    if (a->sample && a->pages >= 0) wrong |= misuse(&help, "--sample says how many items, --pages how many pages: one of both");
    if (a->pages == 0 && j->no_statistics) wrong |= misuse(&help, "--pages 0 and --no-statistics leave nothing to do");
    wrong |= timings_check(&help, &a->common, j->output, NULL);
    if (wrong) return misuse_end(&help);
    j->pages = a->pages == 0 ? -1 : a->pages < 0 ? 0 : a->pages;
    j->first = a->first;
    j->sample = a->sample;
    j->seed = a->seed;
    j->jobs = a->common.jobs;
    return -1;
}

/* ---- what it prints ------------------------------------------------------------------------------------------------- */

/* With at most six digits behind the point, the same in every locale. */
static void add_number(text *out, const char *name, double x) {
    long long n = llround(fmin(fabs(x), 1e12) * 1e6), scale = 1000000;
    int digits = 6;
    for (; digits && n % 10 == 0; digits--) n /= 10, scale /= 10;
    text_printf(out, ",\"%s\":%s%lld", name, x < 0 && n ? "-" : "", n / scale);
    if (digits) text_printf(out, ".%0*lld", digits, n % scale);
}

static void add_histogram(text *out, const mien_histogram *h) {
    text_printf(out, ",\"%s\":{\"unit\":\"%s\",\"count\":%" PRIu64, h->name, h->unit, h->count);
    add_number(out, "least", h->least);
    add_number(out, "most", h->most);
    add_number(out, "mean", h->mean);
    add_number(out, "median", h->median);
    add_number(out, "from", h->from);
    add_number(out, "step", h->step);
    text_printf(out, ",\"below\":%" PRIu64 ",\"above\":%" PRIu64 ",\"bins\":[", h->below, h->above);
    for (int i = 0; i < h->bins; i++) text_printf(out, "%s%" PRIu64, i ? "," : "", h->bin[i]);
    text_add(out, "]}");
}

static void print_statistics(const mien_statistics *s) {
    text line = { 0 };
    const struct { const char *name; uint64_t n; } counts[] = {
        { "unusable", s->unusable }, { "with_landmarks", s->with_landmarks }, { "without_landmarks", s->without_landmarks },
        { "broken_landmarks", s->broken_landmarks }, { "without_size", s->without_size }, { "without_faces", s->without_faces }, { "total_faces", s->faces },
    };
    text_printf(&line, "{\"event\":\"statistics\",\"items\":%" PRIu64, s->items);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) text_printf(&line, ",\"%s\":%" PRIu64, counts[i].name, counts[i].n);
    for (int k = 0; k < MIEN_HISTOGRAMS; k++) add_histogram(&line, &s->histogram[k]);
    text_add(&line, "}");
    if (text_check(&line) == 0) printf("%s\n", line.data);
    text_free(&line);
}

/* Of the n-th page, or of the statistics: n 0. Escaped. */
static void page_name(const arguments *a, uint64_t n, char *out, size_t room) {
    const char *first = a->job.output, *slash = strrchr(first, '/'), *dot = strrchr(first, '.');
    int stem = (int)(dot && (!slash || dot > slash) ? (size_t)(dot - first) : strlen(first));
    text name = { 0 };
    if (n == 0 && a->job.statistics) text_add(&name, a->job.statistics);
    else if (n == 0) text_printf(&name, "%.*s-statistics%s", stem, first, first + stem);
    else text_printf(&name, "%.*s-%" PRIu64 "%s", stem, first, n, first + stem);
    text_escape(out, room, text_check(&name) == 0 ? name.data : "");
    text_free(&name);
}

static void print_summary(const arguments *a, const mien_progress *p, const mien_statistics *s, bool whole) {
    if (a->common.quiet) return;
    if (a->common.log_json) {
        if (whole && !a->job.no_statistics) print_statistics(s);
        progress_json(stdout, whole ? "summary" : "stopped", p);
        return;
    }
    uint64_t pages = p->count[0].n, shown = p->count[1].n, marked = p->count[2].n, out = p->count[3].n;   /* as mien_preview says */
    char name[4 * 4096];
    text_escape(name, sizeof name, a->job.output);
    if (!whole) {
        printf("stopped: %" PRIu64 " page%s of %s written, no statistics; the next run begins anew\n", pages, pages == 1 ? "" : "s", name);
        return;
    }
    if (a->job.pages >= 0) {
        printf("%s", name);
        if (pages > 1) page_name(a, pages, name, sizeof name), printf(" to %s", name);
        printf(": %" PRIu64, shown);
        if (s->items > shown) printf(" of %" PRIu64, s->items);
        printf(" item%s on %" PRIu64 " page%s, %" PRIu64 " marked\n", (s->items > shown ? s->items : shown) == 1 ? "" : "s", pages, pages == 1 ? "" : "s", marked);
    }
    if (out) printf("%" PRIu64 " item%s left out, which removed.jsonl names\n", out, out == 1 ? "" : "s");
    if (!a->job.no_statistics) {
        page_name(a, 0, name, sizeof name);
        printf("%s: %" PRIu64 " item%s: %" PRIu64 " with landmarks of %" PRIu64 " face%s, %" PRIu64 " without, %" PRIu64 " broken; %" PRIu64 " unusable; %.1f s\n", name, s->items,
               s->items == 1 ? "" : "s", s->with_landmarks, s->faces, s->faces == 1 ? "" : "s", s->without_landmarks, s->broken_landmarks, s->unusable, p->seconds);
    }
}

static int status_of(const arguments *a, int rc, const mien_progress *p) {
    int status = job_status(&a->common, rc, p->failed);
    if (rc != MIEN_ERR_USAGE && rc != MIEN_ERR_EXISTS) return status;
    return p->count[1].n ? EXIT_WORK_FAILED : EXIT_MISUSE;
}

int command_preview(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { 0 };
    int status = parse(&a, argc, argv);
    if (status >= 0) return status;
    mien_statistics s;
    mien_progress result = { 0 };
    progress shown;
    progress_begin(&shown, &a.common, "items");
    a.job.hooks = progress_hooks(&shown);
    catch_signals();
    int rc = mien_preview(&a.job, &s, &result);
    progress_end(&shown);
    status = status_of(&a, rc, &result);
    if (rc == 0 || rc == MIEN_ERR_CANCELLED) print_summary(&a, &result, &s, rc == 0);
    timings where = { .total = clock_seconds() - begin, .images = result.count[1].n };
    int failed = status == EXIT_MISUSE ? 0 : timings_report(&a.common, &where);
    return status ? status : failed;
}
