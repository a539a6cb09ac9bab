/* SPDX-License-Identifier: Apache-2.0
 *
 * mien eval over a data set: pictures are made, judged and reported. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/part.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char *const dtypes[] = { "auto", "bf16", "f32", NULL };
static const char *const predictions[] = { "auto", "epsilon", "v", NULL };

static const char notes[] =
    "Of items that were held out from training (--only or --exclude LIST, an id a line, as of train) pictures are made by\n"
    "their maps and captions, as generate makes them, and the faces are found again. Beside the errors stand those of the\n"
    "photos after the model's VAE alone, which no picture can be better than, those of pictures without control, and those\n"
    "of faces beside another item's wanted face. All with 95% bootstrap intervals.\n"
    "REPORT gets report.json, report.html, the pictures and a journal. The same command goes on where a run was broken off,\n"
    "also as parts (--part, or the rank under mpirun, or the task of a Slurm array) or with fewer parts; the last to end makes\n"
    "the report. Other settings want another folder. `mien eval PICTURE... --map M.json` judges pictures that are there. Judge\n"
    "and annotator are the same network: what it does not see it neither asks for nor misses.";

typedef struct {
    common_options common;
    mien_eval_options job;
    int sampler, rng, dtype, prediction, size[2], part[2];
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_eval_options *j = &a->job;
    mien_picture_settings *s = &j->picture;
    const option options[] = {
        { "base", 0, OPTION_TEXT, &j->base, 0, 0, "SD",
          "the Stable Diffusion model: a file, a folder, or the name of a model that pull fetched (default: mien-tiny)", NULL },
        { "control", 0, OPTION_TEXT, &j->control, 0, 0, "CONTROL",
          "the ControlNet (default: the one in the base's file; without any, pictures without control are judged)", NULL },
        { "data", 0, OPTION_TEXT, &j->data, 0, 0, "DIR", "the data set: the folder of prompt.jsonl", NULL },
        { "out", 'o', OPTION_TEXT, &j->output, 0, 0, "REPORT", "the report's folder; made if needed", NULL },
        { "count", 'n', OPTION_INT, &j->count, 1, MIEN_EVAL_ITEMS, "N", "how many items (default 100)", NULL },
        { "seeds", 0, OPTION_INT, &j->seeds, 1, MIEN_EVAL_SEEDS, "K", "pictures of each (default 1)", NULL },
        { "seed", 0, OPTION_LONG, &s->seed, 0, 0x1p31, "S", "of the choice of items and of all noise (default 0)", NULL },
        { "only", 0, OPTION_TEXT, &j->only, 0, 0, "LIST", "only items that the list names", NULL },
        { "exclude", 0, OPTION_TEXT, &j->exclude, 0, 0, "LIST", "no item that the list names", NULL },
        { "steps", 0, OPTION_INT, &s->steps, 1, 1000, "N", "steps of the sampler (default 20)", NULL },
        { "sampler", 0, OPTION_CHOICE, &a->sampler, 0, 0, NULL, "the way from noise to picture (default ddim)",
          mien_sampler_names() },
        { "cfg", 0, OPTION_NUMBER, &s->cfg, 0, 100, "X", "guidance (default 9; mien-tiny's 3)", NULL },
        { "eta", 0, OPTION_NUMBER, &s->eta, 0, 1, "X", "noise added at each step of ddim (default 0)", NULL },
        { "strength", 0, OPTION_NUMBER, &s->strength, 0, 2, "X", "how much the control counts (default 1)", NULL },
        { "start", 0, OPTION_NUMBER, &s->start, 0, 1, "X", "the fraction of the steps from which the control acts (default 0)",
          NULL },
        { "end", 0, OPTION_NUMBER, &s->end, 0, 1, "X", "the fraction up to which it acts (default 1)", NULL },
        { "guess", 0, OPTION_FLAG, &s->guess, 0, 0, NULL, "guess mode: the map says more than the prompt", NULL },
        { "only-mid-control", 0, OPTION_FLAG, &s->only_mid_control, 0, 0, NULL, "the control acts on the middle block alone",
          NULL },
        { "rng", 0, OPTION_CHOICE, &a->rng, 0, 0, NULL, "whose noise a seed means (default torch-cpu)", mien_rng_names() },
        { "size", 0, OPTION_SIZE, a->size, 64, 2048, "512|WxH", "short side, or both; multiples of 8 (default: by the map)",
          NULL },
        { "added", 0, OPTION_TEXT, &s->added, 0, 0, "TEXT",
          "added behind captions (default \"best quality, extremely detailed\"; mien-tiny: nothing)", NULL },
        { "negative", 0, OPTION_TEXT, &s->negative, 0, 0, "TEXT",
          "what not to make (default: the original's list; mien-tiny: nothing)", NULL },
        { "redraw", 0, OPTION_FLAG, &j->redraw, 0, 0, NULL, "draw the maps from their landmarks, at the pictures' size", NULL },
        { "no-photos", 0, OPTION_FLAG, &j->no_photos, 0, 0, NULL, "without photos through the VAE", NULL },
        { "no-free", 0, OPTION_FLAG, &j->no_free, 0, 0, NULL, "without pictures without control", NULL },
        { "no-pictures", 0, OPTION_FLAG, &j->no_pictures, 0, 0, NULL, "keep no pictures", NULL },
        { "no-metadata", 0, OPTION_FLAG, &j->no_metadata, 0, 0, NULL,
          "pictures tell neither settings nor that a machine made them", NULL },
        { "show", 0, OPTION_INT, &j->show, 0, 1000, "N", "items with pictures in report.html (default 24)", NULL },
        { "dtype", 0, OPTION_CHOICE, &a->dtype, 0, 0, NULL, "numbers to compute with (default: bf16 where the processor has it)",
          dtypes },
        { "memory", 0, OPTION_BYTES, &j->memory, 1e6, 1e15, "SIZE", "use no more, such as 3G (default: what is free)", NULL },
        { "prediction", 0, OPTION_CHOICE, &a->prediction, 0, 0, NULL,
          "what the model predicts (default: as it says, or as it looks)", predictions },
        { "part", 0, OPTION_I_OF_N, a->part, 1, 1e6, "I/N", "do only the I-th of N parts of the items", NULL },
    };
    const command_help help = {
        "eval", "[--base SD] [--control CONTROL] --data DIR --out REPORT [OPTION...]",
        "Makes pictures of a data set's maps, finds the faces again, and reports how well they obey.", options,
        sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (!j->data || !*j->data)
        wrong |= misuse(&help, "--data DIR is missing: the data set that pictures are made of (--map M.json judges pictures "
                               "that are there)");
    if (!j->output || !*j->output) wrong |= misuse(&help, "--out REPORT is missing: the folder for the report");
    wrong |= timings_check(&help, &a->common, NULL, j->output);
    if (!a->part[1] && part_from_environment(&a->part[0], &a->part[1]) < 0) wrong |= misuse(&help, "%s", mien_error());
    return wrong ? misuse_end(&help) : -1;
}

static void set_out(arguments *a, const mien_picture_settings *s) {
    mien_eval_options job = mien_eval_defaults();
    job.picture = *s;
    job.picture.seed = 0;
    *a = (arguments){ .job = job, .sampler = (int)s->sampler, .rng = (int)s->rng, .size = { s->width, s->height } };
}

static void take_over(arguments *a) {
    mien_eval_options *j = &a->job;
    j->picture.sampler = (mien_sampler)a->sampler;
    j->picture.rng = (mien_rng)a->rng;
    j->picture.width = a->size[0];
    j->picture.height = a->size[1];
    j->dtype = (mien_dtype)a->dtype;
    j->prediction = (mien_prediction)a->prediction;
    if (!j->show) j->show = -1;
    j->jobs = a->common.jobs;
    j->cpu = cpu_choices[a->common.cpu];
    j->part = a->part[0];
    j->parts = a->part[1];
}

/* ---- what it prints -------------------------------------------------------------------------------------------------- */

typedef struct { progress shown; const arguments *a; } listener;   /* the progress first: it is the hooks' context */

static void print_line(void *context, const char *line) {
    listener *l = context;
    if (l->a->common.quiet || l->a->common.log_json) return;
    progress_clear(&l->shown);
    printf("%s\n", line);
}

static void print_profile(void *context, const char *line) {
    progress_clear(&((listener *)context)->shown);
    printf("%s\n", line);
}

static void print_json(const mien_eval_result *r, bool whole) {
    printf("{\"event\":\"%s\",\"items\":%" PRIu64 ",\"pictures\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"failed\":%" PRIu64,
           whole ? "summary" : "stopped", r->items, r->pictures, r->skipped, r->failed);
    printf(",\"left_out\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"reported\":%s,\"seconds\":%.3f}\n", r->left_out, r->missing,
           r->reported ? "true" : "false", r->total);
}

static void print_summary(const arguments *a, const mien_eval_result *r, bool whole) {
    char name[4 * 4096];
    if (a->common.quiet) return;
    if (a->common.log_json) {
        print_json(r, whole);
        return;
    }
    text_escape(name, sizeof name, a->job.output);
    printf("%s%s: %" PRIu64 " picture%s measured, %" PRIu64 " before, %" PRIu64 " failed; %.1f s", whole ? "" : "stopped: ", name,
           r->pictures, r->pictures == 1 ? "" : "s", r->skipped, r->failed, r->total);
    if (r->reported) printf("; %s/report.html", name);
    else if (whole)
        printf("; %" PRIu64 " picture%s of other parts are missing, so there is no report yet", r->missing,
               r->missing == 1 ? "" : "s");
    printf("\n");
}

static int run(arguments *a, double begin) {
    listener l = { .a = a };
    mien_eval_result r = { 0 };
    progress_begin(&l.shown, &a->common, "pictures");
    l.shown.kind = PROGRESS_SLOW;
    a->job.hooks = progress_hooks(&l.shown);
    a->job.table = print_line;
    a->job.profile = a->common.profile ? print_profile : NULL;
    catch_signals();
    int rc = mien_eval(&a->job, &r);
    progress_end(&l.shown);
    int status = job_status(&a->common, rc, r.failed + r.left_out + r.unmeasured);
    if (rc != MIEN_ERR_USAGE && rc != MIEN_ERR_EXISTS) print_summary(a, &r, rc == 0);
    timings where = {
        .load = r.load, .total = clock_seconds() - begin, .images = r.pictures,
        .part = { { "text", r.text }, { "hint", r.hint }, { "sample", r.sample }, { "decode", r.decode }, { "photos", r.photos },
                  { "find", r.find }, { "report", r.report } }, .n_parts = 7,
    };
    int failed = rc == MIEN_ERR_USAGE ? 0 : timings_report(&a->common, &where);
    return status ? status : failed;
}

int command_eval_data(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a;
    mien_picture_settings suits = mien_picture_defaults();
    set_out(&a, &suits);
    int status = parse(&a, argc, argv);
    if (status < 0) {   /* over what suits the model */
        suits = mien_picture_defaults_of(a.job.base);
        set_out(&a, &suits);
        status = parse(&a, argc, argv);
    }
    if (status >= 0) return status;
    take_over(&a);
    return run(&a, begin);
}
