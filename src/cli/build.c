/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/part.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char *const searches[] = { "none", "auto", NULL };
static const char *const formats[] = { "png", "jpg", NULL };

static const char notes[] =
    "Filters as the original's: a photo is left out if it is marked as unsafe, too small or too large, without a face, or\n"
    "without one of --min-face pixels. <photo>.json beside a photo may say {\"caption\", \"url\", \"NSFW\", \"punsafe\"}; else\n"
    "<photo>.txt is its caption; else DIR/metadata.json, as mien download reads it, says all of it for that id. NSFW may be\n"
    "absent, null or \"unlikely\"; any other word leaves the photo out, and a number above --max-unsafe does. A sidecar that\n"
    "can't be read leaves it out too: nobody knows what it says.\n"
    "EXIF orientation is never applied, unlike by annotate: who reads the data set doesn't apply it to target/ either, and\n"
    "the map must fit. Sub-folders are searched. An id is the photo's name, with _ for what is not [A-Za-z0-9._-]; photos\n"
    "that would share one all get -XXXXXXXX, from a hash of their path. DIR/target itself may be PHOTOS_DIR (after mien\n"
    "download): then nothing is linked, and its sub-folders are not searched.\n"
    "A run that is broken off goes on where it was; what changed is done again, and what is gone leaves prompt.jsonl, in\n"
    "the order of the photos' paths. What mien check --fix rejected stays out of it while its files are the same. Parts of one\n"
    "job (--part, or the rank under mpirun, or the task of a Slurm array) may run on many machines; mien check --data DIR\n"
    "--merge then writes prompt.jsonl.";

typedef struct {
    common_options common;
    mien_build_options job;
    double confidence;
    int search, format, part[2];
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_build_options *j = &a->job;
    const option options[] = {
        { "data", 0, OPTION_TEXT, &j->data, 0, 0, "DIR", "the data set's folder; made if needed", NULL },
        { "min-size", 0, OPTION_INT, &j->min_size, 0, 1 << 20, "PIXELS", "leave out photos whose short side is less (default 384), but not what mien synth made", NULL },
        { "max-size", 0, OPTION_INT, &j->max_size, 1, 1 << 20, "PIXELS", "leave out photos whose long side is more (default 32766)", NULL },
        { "max-faces", 0, OPTION_INT, &j->faces.max_faces, 1, 100, "N", "look for at most N faces, best first (default 5)", NULL },
        { "min-face", 0, OPTION_NUMBER, &j->min_face, 0, 1e6, "PIXELS", "smaller faces don't count and aren't drawn (default 64)", NULL },
        { "min-confidence", 0, OPTION_NUMBER, &a->confidence, 0, 1, "X", "believe a detection from X on (default 0.5)", NULL },
        { "search", 0, OPTION_CHOICE, &a->search, 0, 0, NULL, "auto: look closer and turned where no upright face is found", searches },
        { "max-unsafe", 0, OPTION_NUMBER, &j->max_unsafe, 0, 1, "P", "leave out photos more probably unsafe than P (default 0.1)", NULL },
        { "map-format", 0, OPTION_CHOICE, &a->format, 0, 0, NULL, "jpg: maps as JPEG, as the original's (default png)", formats },
        { "overlay", 0, OPTION_FLAG, &j->overlay, 0, 0, NULL, "write annotated/<id>.png too: the map drawn over the photo", NULL },
        { "only", 0, OPTION_TEXT, &j->only, 0, 0, "LIST", "work on these alone: ids, URLs, domains or SHA-256, one a line", NULL },
        { "exclude", 0, OPTION_TEXT, &j->exclude, 0, 0, "LIST", "leave these out", NULL },
        { "max-pixels", 0, OPTION_COUNT, &j->max_pixels, 1, 4e9, "N", "refuse photos with more pixels (default 178956970, as Pillow)", NULL },
        { "part", 0, OPTION_I_OF_N, a->part, 1, 1e6, "I/N", "do only the I-th of N parts of the photos", NULL },
        { "force", 'f', OPTION_FLAG, &j->force, 0, 0, NULL, "replace a prompt.jsonl and maps that mien did not write", NULL },
    };
    const command_help help = {
        "build", "PHOTOS_DIR --data DIR [OPTION...]", "Makes a data set of a folder of photos: source/, target/, prompt.jsonl.", options,
        sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (rest == argc) wrong |= misuse(&help, "PHOTOS_DIR is missing: the folder of the photos");
    if (rest + 1 < argc && j->data) wrong |= misuse(&help, "%s: one folder was expected", argv[rest + 1]);
    else if (rest + 1 < argc) wrong |= misuse(&help, "%s: one folder was expected; did you mean --data %s?", argv[rest + 1], argv[rest + 1]);
    else if (!j->data || !*j->data) wrong |= misuse(&help, "--data DIR is missing: where to write");
    wrong |= timings_check(&help, &a->common, NULL, j->data);
    if (!a->part[1] && part_from_environment(&a->part[0], &a->part[1]) < 0) wrong |= misuse(&help, "%s", mien_error());
    if (wrong) return misuse_end(&help);
    j->photos = argv[rest];
    j->jobs = a->common.jobs;
    j->part = a->part[0];
    j->parts = a->part[1];
    j->maps = a->format ? MIEN_MAP_JPG : MIEN_MAP_PNG;
    j->faces.min_confidence = (float)a->confidence;
    j->faces.search = a->search ? MIEN_SEARCH_AUTO : MIEN_SEARCH_NONE;
    return -1;
}

static void print_summary(const arguments *a, const mien_progress *p, bool whole) {
    if (a->common.quiet) return;
    if (a->common.log_json) {
        progress_json(stdout, whole ? "summary" : "stopped", p);
        return;
    }
    printf("%s%" PRIu64 " of %" PRIu64 " photo%s kept; %" PRIu64 " looked at now, %" PRIu64 " done before, %" PRIu64 " failed; %.1f s\n", whole ? "" : "stopped: ",
           p->count[0].n, p->total, p->total == 1 ? "" : "s", p->done, p->skipped, p->failed, p->seconds);
    for (int i = 1; i < p->n_counts; i++)
        if (p->count[i].n) printf("%10" PRIu64 "  %s\n", p->count[i].n, p->count[i].name);
    uint64_t turned = p->count[p->n_counts - 1].n;   /* exif_ignored, as mien_build says */
    if (turned) printf("%" PRIu64 " photo%s marked as turned (EXIF). Training ignores the mark, so the map%s too: see docs/data.md\n", turned,
                       turned == 1 ? " is" : "s are", turned == 1 ? " does" : "s do");
    if (!whole) printf("The same line again goes on from here.\n");
    if (whole && a->job.parts) printf("this was part %d of %d: when all are done, mien check --data DIR --merge writes prompt.jsonl\n", a->job.part, a->job.parts);
}

static int run(arguments *a, double begin) {
    mien *m;
    if (mien_open(&(mien_options){ .cpu = cpu_choices[a->common.cpu], .profile = a->common.profile }, &m) < 0) return work_failed(&a->common);
    double loaded = clock_seconds();
    mien_annotate_times t = { 0 };
    mien_progress result = { 0 };
    progress shown;
    progress_begin(&shown, &a->common, "photos");
    a->job.hooks = progress_hooks(&shown);
    a->job.times = &t;
    catch_signals();
    int rc = mien_build(m, &a->job, &result);
    progress_end(&shown);
    int status = job_status(&a->common, rc, result.failed);
    if (rc != MIEN_ERR_USAGE && rc != MIEN_ERR_EXISTS) print_summary(a, &result, rc == 0);
    if (rc == 0 && !result.total && !a->job.parts) progress_log(&shown, MIEN_LOG_WARNING, NULL, "there was no photo of a kind that mien reads: JPEG, PNG, WebP, BMP, GIF");
    timings where = timings_of_photos(&t);
    where.load = loaded - begin;
    where.total = clock_seconds() - begin;
    where.images = result.done;
    int failed = rc == MIEN_ERR_USAGE ? 0 : timings_report(&a->common, &where);
    profile_networks(&a->common, m);
    mien_close(m);
    return status ? status : failed;
}

int command_build(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { .job = mien_build_defaults() };
    a.confidence = (double)a.job.faces.min_confidence;
    int status = parse(&a, argc, argv);
    return status >= 0 ? status : run(&a, begin);
}
