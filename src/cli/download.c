/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/part.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

enum { SUCCESSES = 2 };                /* of mien_download_reasons, they come first */

/* What is normal for lists of photos on the web. */
static const double rot_a_month = 0.01, alive_least = 0.60, alive_most = 0.70;

static const char *const checks[] = { "full", "header", NULL };
static const char *const when_full[] = { "wait", "stop", NULL };

static const char notes[] =
    "DIR/metadata.json says what to fetch ({id: {\"url\": ...}}); a --list (.json, .jsonl, .csv, .tsv, or one URL a line) is added to it\n"
    "first, and the file before kept as metadata.json.bak. What became of each photo stands in download.jsonl. A second run goes on where the\n"
    "first one stopped, and leaves alone what failed unless --retry-failed, which takes one of the reasons that the table at the end names.\n"
    "A file counts when it decodes as a picture and is the one that the list means: one of another size or SHA-256 than the list says, or of another\n"
    "size than the map in DIR/source, is \"rescaled\" and kept if its sides have the same ratio, else \"replaced\" and left out.\n"
    "Photos whose servers ask by X-Robots-Tag (noai, noimageai, noindex, noimageindex) or tdm-reservation not to be used are left out.\n"
    "Parts of one job (--part, or the rank under mpirun, or the task of a Slurm array) may run on many machines.";

typedef struct {
    common_options common;
    mien_download_options job;
    const char *retry;                 /* NULL: no; "": whatever failed */
    int check, on_full, part[2];
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_download_options *j = &a->job;
    const option options[] = {
        { "data", 0, OPTION_TEXT, &j->data, 0, 0, "DIR", "the data set: photos go to DIR/target; made if needed", NULL },
        { "list", 0, OPTION_TEXT, &j->list, 0, 0, "FILE", "add the photos of this list first (- is standard input)", NULL },
        { "only", 0, OPTION_TEXT, &j->only, 0, 0, "LIST", "only these ids, URLs, domains or SHA-256, one a line", NULL },
        { "exclude", 0, OPTION_TEXT, &j->exclude, 0, 0, "LIST", "not these", NULL },
        { "retry-failed", 0, OPTION_MAYBE, &a->retry, 0, 0, "REASON", "try again what failed before, for any reason or for this one", mien_download_reasons() + SUCCESSES },
        { "check", 0, OPTION_CHOICE, &a->check, 0, 0, NULL, "look at all of a photo (default), or only at its size", checks },
        { "connections", 0, OPTION_INT, &j->connections, 1, 4096, "N", "transfers at once (default 64)", NULL },
        { "host-connections", 0, OPTION_INT, &j->host_connections, 0, 4096, "N", "of them to one host (default 4; 0: no limit)", NULL },
        { "host-rate", 0, OPTION_NUMBER, &j->host_rate, 0, 1e6, "N", "requests a second to one host (default 5; 0: no limit)", NULL },
        { "retries", 0, OPTION_INT, &j->retries, 0, 20, "N", "tries more for what can heal (default 3)", NULL },
        { "retry-wait", 0, OPTION_NUMBER, &j->retry_seconds, 0, 3600, "SECONDS", "before the first of these; then four times as long each (default 1)", NULL },
        { "redirects", 0, OPTION_INT, &j->redirects, 0, 50, "N", "redirects to follow (default 5)", NULL },
        { "connect-timeout", 0, OPTION_NUMBER, &j->connect_seconds, 0.01, 3600, "SECONDS", "to look a host up and connect (default 10)", NULL },
        { "stall-timeout", 0, OPTION_NUMBER, &j->stall_seconds, 0.01, 3600, "SECONDS", "without a byte (default 20)", NULL },
        { "timeout", 0, OPTION_NUMBER, &j->total_seconds, 0.01, 86400, "SECONDS", "of one transfer in all (default 60)", NULL },
        { "max-bytes", 0, OPTION_COUNT, &j->max_bytes, 1, 1e9, "N", "of one photo (default 64000000)", NULL },
        { "max-pixels", 0, OPTION_COUNT, &j->max_pixels, 1, 4e9, "N", "of one photo (default 178956970)", NULL },
        { "contact", 0, OPTION_TEXT, &j->contact, 0, 0, "TEXT", "your address or web page, told to servers in the User-Agent", NULL },
        { "robots", 0, OPTION_FLAG, &j->robots, 0, 0, NULL, "obey robots.txt, asked for once a host", NULL },
        { "ignore-opt-outs", 0, OPTION_FLAG, &j->ignore_opt_outs, 0, 0, NULL, "take photos whose headers ask not to be used", NULL },
        { "allow-private", 0, OPTION_FLAG, &j->allow_private, 0, 0, NULL, "connect to private, loopback and link-local addresses too", NULL },
        { "insecure", 0, OPTION_FLAG, &j->insecure, 0, 0, NULL, "do not verify certificates", NULL },
        { "on-full", 0, OPTION_CHOICE, &a->on_full, 0, 0, NULL, "a full disk: wait for space (default), or stop", when_full },
        { "part", 0, OPTION_I_OF_N, a->part, 1, 1e6, "I/N", "do only the I-th of N parts of the photos", NULL },
    };
    const command_help help = {
        "download", "--data DIR [OPTION...]", "Fetches the photos of a data set's list.", options, sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    for (int i = rest; i < argc; i++) wrong |= misuse(&help, "%s: nothing but options was expected", argv[i]);
    if (!j->data || !*j->data) wrong |= misuse(&help, "--data DIR is missing: the data set's folder");
    wrong |= timings_check(&help, &a->common, NULL, j->data && *j->data ? j->data : NULL);
    if (!a->part[1] && part_from_environment(&a->part[0], &a->part[1]) < 0) wrong |= misuse(&help, "%s", mien_error());
    if (wrong) return misuse_end(&help);
    j->retry_failed = a->retry != NULL;
    j->retry_reason = a->retry && *a->retry ? a->retry : NULL;
    j->check = a->check ? MIEN_CHECK_HEADER : MIEN_CHECK_FULL;
    j->stop_when_full = a->on_full;
    j->jobs = a->common.jobs;
    j->part = a->part[0];
    j->parts = a->part[1];
    return -1;
}

/* ---- what there is to do ----------------------------------------------------------------------------------------------- */

static void size_text(char out[32], double bytes) {
    static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB", "PB" };
    int u = 0;
    for (; bytes >= 1000 && u < 5; u++) bytes /= 1000;
    snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

static void show_plan(void *context, const mien_download_plan *p) {
    progress *shown = context;
    char bytes[32], mean[32], space[32];
    if (shown->common->quiet) return;
    if (shown->common->log_json) {
        fprintf(stderr, "{\"event\":\"plan\",\"items\":%" PRIu64 ",\"there\":%" PRIu64 ",\"before\":%" PRIu64 ",\"bytes\":%.0f,\"mean_bytes\":%.0f,\"mean_is_guess\":%s,\"free_bytes\":%.0f}\n",
                p->items, p->there, p->before, p->bytes, p->mean_bytes, p->mean_is_guess ? "true" : "false", p->free_bytes);
        return;
    }
    if (p->there) fprintf(stderr, "mien: %" PRIu64 " photo%s there that no run has recorded: looked at, not fetched\n", p->there, p->there == 1 ? " is" : "s are");
    size_text(bytes, p->bytes);
    size_text(mean, p->mean_bytes);
    size_text(space, p->free_bytes);
    fprintf(stderr, "mien: %" PRIu64 " photo%s to fetch (%" PRIu64 " done or failed before), about %s at %s each%s; the disk has %s free%s\n", p->items,
            p->items == 1 ? "" : "s", p->before, bytes, mean, p->mean_is_guess ? " (a guess)" : " (the mean so far)", space,
            p->bytes > p->free_bytes ? ": NOT ENOUGH" : "");
}

/* ---- what became of it --------------------------------------------------------------------------------------------------- */

static bool is_left_out(const char *reason) { return !strcmp(reason, "excluded") || !strcmp(reason, "removed") || !strcmp(reason, "duplicate"); }

static void sum_up(const mien_progress *p, uint64_t *alive, uint64_t *known) {
    *alive = *known = 0;
    for (int i = 0; i < p->n_counts; i++) {
        if (i < SUCCESSES) *alive += p->count[i].n;
        if (!is_left_out(p->count[i].name)) *known += p->count[i].n;
    }
}

static void print_json(const mien_progress *p, bool whole, uint64_t alive, uint64_t known) {
    printf("{\"event\":\"%s\",\"total\":%" PRIu64 ",\"done\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"seconds\":%.3f,\"alive\":%" PRIu64
           ",\"known\":%" PRIu64 ",\"expected\":{\"alive_least\":%.2f,\"alive_most\":%.2f,\"rot_a_month\":%.2f},\"reasons\":{",
           whole ? "summary" : "stopped", p->total, p->done, p->skipped, p->failed, p->seconds, alive, known, alive_least, alive_most, rot_a_month);
    for (int i = 0; i < p->n_counts; i++) printf("%s\"%s\":%" PRIu64, i ? "," : "", p->count[i].name, p->count[i].n);
    printf("}}\n");
}

static uint64_t count_of(const mien_progress *p, const char *reason) {
    for (int i = 0; i < p->n_counts; i++)
        if (strcmp(p->count[i].name, reason) == 0) return p->count[i].n;
    return 0;
}

static void print_hints(const arguments *a, const mien_progress *p, uint64_t alive, uint64_t known) {
    uint64_t ours = count_of(p, "private_address") + count_of(p, "bad_url") + count_of(p, "bad_id");
    uint64_t unreached = count_of(p, "dns") + count_of(p, "connect") + count_of(p, "timeout");
    if (alive + ours < known)
        printf("%.1f%% are alive. Links rot by about %.0f%% a month: %.0f to %.0f%% alive is normal for LAION's.\n", 100 * (double)alive / (double)known,
               100 * rot_a_month, 100 * alive_least, 100 * alive_most);
    if (count_of(p, "private_address") && !a->job.allow_private)
        printf("Addresses within private networks were refused: with --allow-private they are not.\n");
    if (unreached > known / 2) printf("Most could not be reached at all: if it was the network that was down, try again.\n");
    if (alive < known && !a->job.retry_failed) printf("--retry-failed (or --retry-failed=REASON, a name above) tries again what failed.\n");
}

static void print_table(const mien_progress *p, uint64_t known) {
    for (int i = 0; i < p->n_counts; i++)
        if (p->count[i].n || i == 0)
            printf("  %-18s %10" PRIu64 "  %5.1f%%\n", p->count[i].name, p->count[i].n, known && !is_left_out(p->count[i].name) ? 100 * (double)p->count[i].n / (double)known : 0.0);
}

static void print_summary(const arguments *a, const mien_progress *p, bool whole) {
    uint64_t alive, known;
    if (a->common.quiet) return;
    sum_up(p, &alive, &known);
    if (a->common.log_json) {
        print_json(p, whole, alive, known);
        return;
    }
    printf("%s%" PRIu64 " of %" PRIu64 " photo%s fetched, %" PRIu64 " failed; %" PRIu64 " done or failed before; %.1f s\n", whole ? "" : "stopped: ", p->done,
           p->total, p->total == 1 ? "" : "s", p->failed, p->skipped, p->seconds);
    print_table(p, known);
    if (whole) print_hints(a, p, alive, known);
    else printf("The same line again goes on from here.\n");
}

/* A transfer takes two or three descriptors, and the usual limit is a soft one. */
static void allow_descriptors(const mien_download_options *j) {
    struct rlimit r;
    rlim_t wanted = (rlim_t)j->connections * 3 + 400;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= wanted) return;
    r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &r);
}

static int run(arguments *a, double begin) {
    mien_download_times t = { 0 };
    mien_progress result = { 0 };
    progress shown;
    progress_begin(&shown, &a->common, "photos");
    a->job.hooks = progress_hooks(&shown);
    a->job.plan = show_plan;
    a->job.times = &t;
    allow_descriptors(&a->job);
    catch_signals();
    int rc = mien_download(&a->job, &result);
    progress_end(&shown);
    int status = job_status(&a->common, rc, result.failed);
    if (rc != MIEN_ERR_USAGE && rc != MIEN_ERR_EXISTS) print_summary(a, &result, rc == 0);
    timings where = {
        .total = clock_seconds() - begin, .images = result.done,
        .part = { { "network_cpu", t.network_cpu }, { "check_cpu", t.check_cpu }, { "read", t.read }, { "hash", t.hash }, { "verify", t.verify }, { "write", t.write } },
        .n_parts = 6,
    };
    int failed = rc == MIEN_ERR_USAGE ? 0 : timings_report(&a->common, &where);
    return status ? status : failed;
}

int command_download(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { .job = mien_download_defaults() };
    int status = parse(&a, argc, argv);
    return status >= 0 ? status : run(&a, begin);
}
