/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/part.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char *const searches[] = { "none", "auto", NULL };

static const char notes[] =
    "A folder is searched with the folders below it for .jpg .jpeg .jpe .jfif .png .webp .bmp and .gif files, except\n"
    "hidden ones, and its sub-folders are mirrored under -o. \"-\" reads paths from standard input, one a line, or each\n"
    "ended by a NUL (find -print0); files from such a list, and files named one by one, are written into -o itself.\n"
    "A photo without a face gets an empty map (--log-json names them). What an earlier run has made from the same photo by the same settings is left alone.\n"
    "Settings or photos that changed are done again; a file that mien did not make is never overwritten without --force.\n"
    "Parts of one job (--part, or the rank under mpirun, or the task of a Slurm array) may run on many machines.";

typedef struct {
    common_options common;
    mien_annotate_options job;
    double confidence;
    int search, part[2];
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_annotate_options *j = &a->job;
    const option options[] = {
        { "output", 'o', OPTION_TEXT, &j->output, 0, 0, "DIR", "where to write <name>.png; made if needed", NULL },
        { "json", 0, OPTION_FLAG, &j->json, 0, 0, NULL, "write the landmarks too: <name>.json", NULL },
        { "overlay", 0, OPTION_FLAG, &j->overlay, 0, 0, NULL, "write the map drawn over the photo too: <name>_overlay.png", NULL },
        { "max-faces", 0, OPTION_INT, &j->faces.max_faces, 1, 100, "N", "look for at most N faces, best first (default 5)", NULL },
        { "min-confidence", 0, OPTION_NUMBER, &a->confidence, 0, 1, "X", "believe a detection from X on (default 0.5)", NULL },
        { "min-face", 0, OPTION_NUMBER, &j->min_face, 0, 1e6, "PIXELS", "draw only faces of at least so many pixels of the photo (default 0)", NULL },
        { "search", 0, OPTION_CHOICE, &a->search, 0, 0, NULL, "auto: look closer and turned where no upright face is found", searches },
        { "ignore-exif", 0, OPTION_FLAG, &j->ignore_exif, 0, 0, NULL, "do not turn photos upright (the original does not)", NULL },
        { "max-pixels", 0, OPTION_COUNT, &j->max_pixels, 1, 4e9, "N", "refuse photos with more pixels (default 512000000)", NULL },
        { "part", 0, OPTION_I_OF_N, a->part, 1, 1e6, "I/N", "do only the I-th of N parts of the photos", NULL },
        { "force", 'f', OPTION_FLAG, &j->force, 0, 0, NULL, "do everything again, over whatever is there", NULL },
    };
    const command_help help = {
        "annotate", "PHOTO|DIR|-... -o DIR [OPTION...]", "Finds the faces of photos and draws their control maps.", options,
        sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (rest == argc) wrong |= misuse(&help, "a photo or a folder was expected");
    if (!j->output || !*j->output) wrong |= misuse(&help, "-o DIR is missing: where to write");
    wrong |= timings_check(&help, &a->common, NULL, j->output);
    if (!a->part[1] && part_from_environment(&a->part[0], &a->part[1]) < 0) wrong |= misuse(&help, "%s", mien_error());
    if (wrong) return misuse_end(&help);
    j->inputs = (const char *const *)argv + rest;
    j->n_inputs = argc - rest;
    j->jobs = a->common.jobs;
    j->part = a->part[0];
    j->parts = a->part[1];
    j->faces.min_confidence = (float)a->confidence;
    j->faces.search = a->search ? MIEN_SEARCH_AUTO : MIEN_SEARCH_NONE;
    return -1;
}

static void print_summary(const arguments *a, const mien_progress *p, bool whole) {
    if (a->common.quiet) return;
    uint64_t with_faces = p->count[0].n, without = p->count[1].n, faces = p->count[2].n;   /* as mien_annotate says */
    if (a->common.log_json) progress_json(stdout, whole ? "summary" : "stopped", p);
    else
        printf("%s%" PRIu64 " of %" PRIu64 " photo%s annotated: %" PRIu64 " with %" PRIu64 " face%s, %" PRIu64 " without; %" PRIu64
               " done before, %" PRIu64 " failed; %.1f s\n",
               whole ? "" : "stopped: ", p->done, p->total, p->total == 1 ? "" : "s", with_faces, faces, faces == 1 ? "" : "s", without,
               p->skipped, p->failed, p->seconds);
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
    int rc = mien_annotate(m, &a->job, &result);
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

int command_annotate(int argc, char **argv) {
    double begin = clock_seconds();
    mien_face_settings faces = mien_face_defaults();
    arguments a = { .job.faces = faces, .confidence = (double)faces.min_confidence };
    int status = parse(&a, argc, argv);
    return status >= 0 ? status : run(&a, begin);
}
