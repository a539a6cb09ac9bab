/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char notes[] =
    "The zip has the maps, the landmarks beside them, prompt.jsonl, and what metadata.json says of the items that are in; the\n"
    "photos are left out (`mien download` fetches them again). Only files that a line of prompt.jsonl names are packed.\n"
    "--shards writes tar files for webdataset, 00000.tar and on, which the other commands read too. THEY HOLD THE PHOTOS: pass\n"
    "them on only where you may. A run that was stopped goes on when it is started again; shards.jsonl beside them says what\n"
    "is in each. In either, what removed.jsonl names is left out, and the same data set gives the same bytes.";

static const char photos_warning[] = "shards hold the photos themselves: keep them as such, and pass them on only where you may";

typedef struct {
    common_options common;
    mien_package_options job;
    size_t items, bytes;
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_package_options *j = &a->job;
    const option options[] = {
        { "data", 0, OPTION_TEXT, &j->data, 0, 0, "DIR", "the data set", NULL },
        { "output", 'o', OPTION_TEXT, &j->output, 0, 0, "FILE.zip", "the file to write; with --shards a folder, made if needed", NULL },
        { "shards", 0, OPTION_FLAG, &j->shards, 0, 0, NULL, "write tar shards, with the photos in them", NULL },
        { "shard-items", 0, OPTION_COUNT, &a->items, 1, 1e9, "N", "items a shard (default 1000)", NULL },
        { "shard-bytes", 0, OPTION_COUNT, &a->bytes, 1, 1e15, "N", "end a shard before it is larger than this", NULL },
        { "only", 0, OPTION_TEXT, &j->only, 0, 0, "LIST", "pack only these: ids, URLs, domains or SHA-256, one a line", NULL },
        { "exclude", 0, OPTION_TEXT, &j->exclude, 0, 0, "LIST", "leave these out", NULL },
        { "force", 'f', OPTION_FLAG, &j->force, 0, 0, NULL, "overwrite FILE.zip; make shards anew", NULL },
    };
    const command_help help = {
        "package", "--data DIR -o FILE.zip|--shards -o DIR [OPTION...]", "Makes of a data set what can be passed on: a zip without photos, or tar shards with them.",
        options, sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (!j->data || !*j->data) wrong |= misuse(&help, "--data DIR is missing: the data set");
    if (!j->output || !*j->output) wrong |= misuse(&help, "-o is missing: where to write");
    if (!j->shards && (a->items || a->bytes)) wrong |= misuse(&help, "--shard-items and --shard-bytes are for --shards");
    wrong |= timings_check(&help, &a->common, j->shards ? NULL : j->output, j->shards ? j->output : NULL);
    if (wrong) return misuse_end(&help);
    j->shard_items = a->items;
    j->shard_bytes = a->bytes;
    j->jobs = a->common.jobs;
    return -1;
}

static void print_summary(const arguments *a, const mien_progress *p, bool whole) {
    if (a->common.quiet) return;
    if (a->common.log_json) {
        progress_json(stdout, whole ? "summary" : "stopped", p);
        return;
    }
    const mien_count *n = p->count;   /* maps, landmarks, selected_out, shards, bytes: as mien_package says */
    char output[4 * 4096];
    if (!whole && !a->job.shards) {
        printf("stopped: %s was not written; the next run begins anew\n", text_escape(output, sizeof output, a->job.output));
        return;
    }
    text_escape(output, sizeof output, a->job.output);
    printf("%s%s: ", whole ? "" : "stopped: ", output);
    if (a->job.shards) printf("%" PRIu64 " shard%s, ", n[3].n, n[3].n == 1 ? "" : "s");
    printf("%" PRIu64 " of %" PRIu64 " item%s (%" PRIu64 " map%s, %" PRIu64 " with landmarks), %.1f MB; %" PRIu64 " left out by lists, %" PRIu64 " failed",
           p->done + p->skipped, p->total, p->total == 1 ? "" : "s", n[0].n, n[0].n == 1 ? "" : "s", n[1].n, (double)n[4].n * 1e-6, n[2].n, p->failed);
    if (p->skipped) printf("; %" PRIu64 " done before", p->skipped);
    printf("; %.1f s\n", p->seconds);
}

static int status_of(const arguments *a, int rc, const mien_progress *p) {
    int status = job_status(&a->common, rc, p->failed);
    return rc == MIEN_ERR_EXISTS && !a->job.shards ? EXIT_MISUSE : status;
}

int command_package(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { .job.data = NULL };
    int status = parse(&a, argc, argv);
    if (status >= 0) return status;
    mien_progress result = { 0 };
    progress shown;
    progress_begin(&shown, &a.common, "items");
    a.job.hooks = progress_hooks(&shown);
    catch_signals();
    if (a.job.shards && !a.common.quiet) progress_log(&shown, MIEN_LOG_WARNING, NULL, photos_warning);
    int rc = mien_package(&a.job, &result);
    progress_end(&shown);
    status = status_of(&a, rc, &result);
    if (rc == 0 || rc == MIEN_ERR_CANCELLED) print_summary(&a, &result, rc == 0);
    timings where = { .total = clock_seconds() - begin, .images = result.done };
    int failed = status == EXIT_MISUSE ? 0 : timings_report(&a.common, &where);
    return status ? status : failed;
}
