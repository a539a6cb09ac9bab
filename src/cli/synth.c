/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/part.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char *const formats[] = { "png", "jpg", NULL };

static const char notes[] =
    "Heads are drawn by arithmetic alone, without a photo, a mesh or a texture: no rights are attached to them. Each has a\n"
    "picture S-NUMBER.png and a sidecar S-NUMBER.json with a caption, a mark that it is safe, and under \"synth\" every\n"
    "parameter and where the renderer put lips, lids, brows and pupils. mien build DIR --data DATA takes all of it.\n"
    "In captions left and right are those of who looks at the picture. Person, expression, gaze, pose, light and background\n"
    "follow from seed and number: the same on any number of threads, in any parts, and with --count or --first changed. Another\n"
    "seed has other people; so keep a few seeds for what is not trained on. A run that is broken off goes on where it was; other\n"
    "settings replace what mien made, and what it did not make, or somebody edited, is left and named.\n"
    "Parts of one job (--part, or the rank under mpirun, or the task of a Slurm array) may run on many machines.";

typedef struct {
    common_options common;
    mien_synth_options job;
    size_t count, first, seed, identities;
    double face[2];
    int size[2], format, part[2];
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_synth_options *j = &a->job;
    const option options[] = {
        { "output", 'o', OPTION_TEXT, &j->output, 0, 0, "DIR", "where to write; made if needed", NULL },
        { "count", 'n', OPTION_COUNT, &a->count, 1, 1e12, "N", "how many pictures", NULL },
        { "seed", 0, OPTION_COUNT, &a->seed, 0, 9e15, "S", "of all that is drawn by chance (default 0)", NULL },
        { "first", 0, OPTION_COUNT, &a->first, 1, 1e12, "I", "begin with the I-th picture of that seed (default 1)", NULL },
        { "size", 0, OPTION_SIZE, a->size, 16, 4096, "N|WxH", "pixels: a square, or width and height (default 256)", NULL },
        { "yaw", 0, OPTION_NUMBER, &j->yaw, 0, 45, "DEGREES", "heads turn left and right by so much at most (default 35)", NULL },
        { "pitch", 0, OPTION_NUMBER, &j->pitch, 0, 35, "DEGREES", "up and down (default 20)", NULL },
        { "roll", 0, OPTION_NUMBER, &j->roll, 0, 90, "DEGREES", "lean to the side (default 25)", NULL },
        { "face", 0, OPTION_RANGE, a->face, 0.2, 1, "A:B", "18 cm of face is A to B of the shorter side (default 0.42:0.66)",
          NULL },
        { "identities", 0, OPTION_COUNT, &a->identities, 1, 1e12, "K", "only K different people (default: a new one each time)",
          NULL },
        { "plain", 0, OPTION_FLAG, &j->plain, 0, 0, NULL, "one colour behind them, and nothing else", NULL },
        { "format", 0, OPTION_CHOICE, &a->format, 0, 0, NULL, "of the pictures (default png)", formats },
        { "quality", 0, OPTION_INT, &j->quality, 1, 100, "Q", "of JPEGs (default 95)", NULL },
        { "no-metadata", 0, OPTION_FLAG, &j->no_metadata, 0, 0, NULL,
          "pictures do not say in their files that they were rendered", NULL },
        { "part", 0, OPTION_I_OF_N, a->part, 1, 1e6, "I/N", "do only the I-th of N parts of the pictures", NULL },
        { "force", 'f', OPTION_FLAG, &j->force, 0, 0, NULL, "do everything again, over whatever is there", NULL },
    };
    const command_help help = {
        "synth", "-o DIR --count N --seed S [OPTION...]",
        "Renders faces, with captions and all that is true of them: a data set with no rights attached.", options,
        sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (!j->output || !*j->output) wrong |= misuse(&help, "-o DIR is missing: where to write");
    if (!a->count && !a->common.wrong) wrong |= misuse(&help, "--count N is missing: how many pictures");
    if (a->size[0] && a->size[1] && a->size[1] < 16) wrong |= misuse(&help, "--size: each side has 16 pixels at least");
    wrong |= timings_check(&help, &a->common, NULL, j->output);
    if (!a->part[1] && part_from_environment(&a->part[0], &a->part[1]) < 0) wrong |= misuse(&help, "%s", mien_error());
    if (wrong) return misuse_end(&help);
    if (a->size[0]) j->width = a->size[0], j->height = a->size[1] ? a->size[1] : a->size[0];
    j->count = a->count;
    j->first = a->first;
    j->seed = a->seed;
    j->identities = a->identities;
    j->face_least = a->face[0];
    j->face_most = a->face[1];
    j->format = a->format ? MIEN_PICTURE_JPG : MIEN_PICTURE_PNG;
    j->cpu = cpu_choices[a->common.cpu];
    j->jobs = a->common.jobs;
    j->part = a->part[0];
    j->parts = a->part[1];
    return -1;
}

static void print_summary(const arguments *a, const mien_progress *p, bool whole) {
    if (a->common.quiet) return;
    if (a->common.log_json) {
        progress_json(stdout, whole ? "summary" : "stopped", p);
        return;
    }
    char name[4 * 4096];
    text_escape(name, sizeof name, a->job.output);
    printf("%s%s: %" PRIu64 " of %" PRIu64 " picture%s rendered", whole ? "" : "stopped: ", name, p->done, p->total,
        p->total == 1 ? "" : "s");
    if (p->count[0].n) printf(", %" PRIu64 " of them in place of ones by other settings", p->count[0].n);
    printf("; %" PRIu64 " done before, %" PRIu64 " failed; %.1f s", p->skipped, p->failed, p->seconds);
    if (p->done && p->seconds > 0) printf(", %.1f a second", (double)p->done / p->seconds);
    printf("\n");
}

int command_synth(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { .job = mien_synth_defaults() };
    a.first = a.job.first;
    a.face[0] = a.job.face_least;
    a.face[1] = a.job.face_most;
    int status = parse(&a, argc, argv);
    if (status >= 0) return status;
    mien_synth_times t = { 0 };
    mien_progress result = { 0 };
    progress shown;
    progress_begin(&shown, &a.common, "pictures");
    a.job.hooks = progress_hooks(&shown);
    a.job.times = &t;
    catch_signals();
    int rc = mien_synth(&a.job, &result);
    progress_end(&shown);
    status = job_status(&a.common, rc, result.failed);
    if (rc != MIEN_ERR_USAGE && rc != MIEN_ERR_EXISTS) print_summary(&a, &result, rc == 0);
    timings where = {
        .total = clock_seconds() - begin, .images = result.done,
        .part = { { "draw", t.draw }, { "render", t.render }, { "encode", t.encode }, { "write", t.write } }, .n_parts = 4,
    };
    int failed = rc == MIEN_ERR_USAGE ? 0 : timings_report(&a.common, &where);
    return status ? status : failed;
}
