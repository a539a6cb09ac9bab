/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char notes[] =
    "Without a NAME the known models are listed: their sizes, licences and addresses. A NAME goes to a folder of its own in MIEN_CACHE (or mien in\n"
    "XDG_CACHE_HOME, or in ~/.cache), a URL to --to DIR. What was cut off, stopped or killed goes on by the same line, from what stands in\n"
    "FILE.part. A file counts when its SHA-256 is the known one, or the one that the hub tells; where neither is there, it is \"unverified\".\n"
    "FILE.pull.json says where it is from and under which licence.";

typedef struct {
    common_options common;
    mien_pull_options job;
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_pull_options *j = &a->job;
    const option options[] = {
        { "to", 0, OPTION_TEXT, &j->to, 0, 0, "DIR", "put the file there, not into the cache", NULL },
        { "accept-license", 0, OPTION_FLAG, &j->accept_license, 0, 0, NULL, "you have read the model's licence, and keep to it", NULL },
        { "url-base", 0, OPTION_TEXT, &j->url_base, 0, 0, "URL", "fetch from this mirror instead of https://huggingface.co", NULL },
        { "sha256", 0, OPTION_TEXT, &j->sha256, 0, 0, "HEX", "with a URL: what the file must have", NULL },
        { "retries", 0, OPTION_INT, &j->retries, 0, 100, "N", "tries one after the other without a byte (default 5)", NULL },
        { "retry-wait", 0, OPTION_NUMBER, &j->retry_seconds, 0, 3600, "SECONDS", "before the first of these; then twice as long each (default 1)", NULL },
        { "connect-timeout", 0, OPTION_NUMBER, &j->connect_seconds, 0.01, 3600, "SECONDS", "to look a host up and connect (default 20)", NULL },
        { "stall-timeout", 0, OPTION_NUMBER, &j->stall_seconds, 0.01, 3600, "SECONDS", "without a byte (default 60)", NULL },
        { "allow-private", 0, OPTION_FLAG, &j->allow_private, 0, 0, NULL, "connect to private, loopback and link-local addresses too", NULL },
        { "insecure", 0, OPTION_FLAG, &j->insecure, 0, 0, NULL, "do not verify certificates, and take http", NULL },
    };
    const command_help help = {
        "pull", "[NAME|URL] [OPTION...]", "Fetches a model, or lists the known ones.", options, sizeof options / sizeof *options, notes,
    };
    int rest, status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (rest < argc) j->name = argv[rest++];
    for (int i = rest; i < argc; i++) wrong |= misuse(&help, "%s: one model at a time", argv[i]);
    if (!j->name && (j->to || j->url_base || j->sha256 || j->accept_license)) wrong |= misuse(&help, "a NAME (or a URL) is missing: what to fetch");
    wrong |= timings_check(&help, &a->common, NULL, NULL);
    return wrong ? misuse_end(&help) : -1;
}

/* ---- the list ------------------------------------------------------------------------------------------------------------------- */

static void list_json(const mien_pull_model *m, int there, const char *path) {
    text t = { 0 };
    const struct { const char *key, *value; } fields[] = {
        { "title", m->title }, { "url", m->url }, { "size", m->size }, { "sha256", m->sha256 }, { "sha256_source", m->source },
        { "licence", m->licence }, { "licence_url", m->licence_url }, { "note", m->note }, { "base", m->base }, { "path", there > 0 ? path : NULL },
    };
    text_add(&t, "{\"name\":");
    text_json_string(&t, m->name);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].value) text_printf(&t, ",\"%s\":", fields[i].key), text_json_string(&t, fields[i].value);
    if (!t.failed) printf("%s,\"restricted\":%s}\n", t.data, m->restricted ? "true" : "false");
    text_free(&t);
}

static void list_words(const mien_pull_model *m, int there, const char *path) {
    char safe[4 * 4096];
    printf("%-10s %s, %s\n", m->name, m->title, m->size ? m->size : "size unknown until asked");
    printf("  licence  %s%s: %s\n", m->licence ? m->licence : "unknown", m->restricted ? " (restricts the use: --accept-license)" : "", m->licence_url ? m->licence_url : "-");
    printf("  address  %s\n", m->url);
    if (m->sha256) printf("  SHA-256  %s\n           as in %s\n", m->sha256, m->source);
    else printf("  SHA-256  not known: as the hub says, or unverified\n");
    if (m->base) printf("  base     goes with %s\n", m->base);
    if (m->note) printf("  note     %s\n", m->note);
    if (there > 0) printf("  is at    %s\n", text_escape(safe, sizeof safe, path));
}

static int list(const common_options *common) {
    mien_pull_model m;
    char path[4096];
    for (size_t i = 0; mien_pull_model_at(i, &m) == 0; i++) {
        int there = mien_pull_find(m.name, path);
        (common->log_json ? list_json : list_words)(&m, there, path);
    }
    return EXIT_DONE;
}

/* ---- fetching --------------------------------------------------------------------------------------------------------------------- */

static void print_result(const arguments *a, const mien_pull_result *r, double seconds) {
    static const char *const proofs[] = { "unverified: nobody says what its SHA-256 should be", "its SHA-256 is the known one", "its SHA-256 is the one that the hub tells" };
    static const char *const words[] = { "unverified", "known", "hub" };
    char safe[4 * 4096];
    if (a->common.quiet) return;
    if (a->common.log_json) {
        text t = { 0 };
        text_json_string(&t, r->path);
        if (!t.failed)
            printf("{\"event\":\"summary\",\"path\":%s,\"bytes\":%" PRIu64 ",\"fetched\":%" PRIu64 ",\"there\":%s,\"sha256\":\"%s\",\"verified\":\"%s\",\"seconds\":%.3f}\n", t.data,
                   r->bytes, r->fetched, r->there ? "true" : "false", r->sha256, words[r->proof], seconds);
        text_free(&t);
        return;
    }
    printf("%s\n", text_escape(safe, sizeof safe, r->path));
    if (r->there) printf("was there already, %" PRIu64 " bytes; SHA-256 %s\n", r->bytes, r->sha256);
    else
        printf("%" PRIu64 " bytes, %" PRIu64 " of them fetched now, in %.1f s; SHA-256 %s: %s\n", r->bytes, r->fetched, seconds, r->sha256, proofs[r->proof]);
    if (!a->job.to && !strstr(a->job.name, "://"))
        printf("to be used by its name: mien generate %s %s ...\n", strncmp(a->job.name, "face-", 5) == 0 ? "--control" : "--base", a->job.name);
}

static int run(arguments *a, double begin) {
    mien_pull_result r;
    progress shown;
    progress_begin(&shown, &a->common, "bytes");
    shown.kind = PROGRESS_BYTES;
    shown.notes = !a->common.quiet;
    a->job.hooks = progress_hooks(&shown);
    catch_signals();
    int rc = mien_pull(&a->job, &r);
    progress_end(&shown);
    int status = job_status(&a->common, rc, 0);
    if (rc == 0) print_result(a, &r, clock_seconds() - begin);
    if (rc == MIEN_ERR_CANCELLED && !a->common.quiet) fprintf(stderr, "mien: %s\n", mien_error());
    int failed = rc == MIEN_ERR_USAGE ? 0 : timings_report(&a->common, &(timings){ .total = clock_seconds() - begin });
    return status ? status : failed;
}

int command_pull(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { .job = mien_pull_defaults() };
    int status = parse(&a, argc, argv);
    if (status >= 0) return status;
    return a.job.name ? run(&a, begin) : list(&a.common);
}
