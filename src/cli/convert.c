/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char notes[] =
    "IN is a .safetensors, .ckpt or .pth file (nothing in it is ever run), a diffusers folder, or the name of a model that pull fetched, as\n"
    "are CONTROLLED, OLD_BASE and NEW_BASE. OUT is a .safetensors file, or with --to diffusers a folder. Tensors keep their bytes unless\n"
    "--dtype is given, and what the new layout has no place for is carried along, so on the way back each tensor has the same bytes\n"
    "under its name (the file's order and metadata are mien's).\n"
    "--to control of a whole model takes its ControlNet alone. A model whose tensors do not fit together is refused.\n"
    "--transfer makes of a ControlNet trained on one base one for another: p + new - old for all that was copied from the base.";

static const char *const layouts[] = { "ldm", "control", "diffusers", NULL };
static const char *const types[] = { "keep", "bf16", "f32", "f16", NULL };   /* as mien_dtype */
static const char *const predictions[] = { "auto", "epsilon", "v", NULL };   /* as mien_prediction */

typedef struct {
    common_options common;
    mien_convert_options job;
    mien_transfer_options transfer;
    int to, type, prediction, force;
} arguments;

static int check_transfer(arguments *a, const command_help *help, int given) {
    mien_transfer_options *t = &a->transfer;
    int wrong = 0;
    if (given != 1) wrong |= misuse(help, "--transfer takes one more argument: the output");
    if (!t->from || !*t->from) wrong |= misuse(help, "--from OLD_BASE is missing: the base that the ControlNet was trained on");
    if (!t->onto || !*t->onto) wrong |= misuse(help, "--onto NEW_BASE is missing: the base that it is wanted for");
    if (a->to >= 0 || a->job.ema || a->prediction) wrong |= misuse(help, "--to, --ema and --prediction are not for --transfer");
    return wrong;
}

static int check_convert(const arguments *a, const command_help *help, int given) {
    int wrong = 0;
    if (given != 2) wrong |= misuse(help, "an input and an output were expected");
    if (a->to < 0) wrong |= misuse(help, "--to is missing: ldm, control or diffusers");
    if (a->transfer.from || a->transfer.onto) wrong |= misuse(help, "--from and --onto are for --transfer");
    return wrong;
}

static int parse(arguments *a, int argc, char **argv) {
    const option options[] = {
        { "to", 0, OPTION_CHOICE, &a->to, 0, 0, "LAYOUT", "ldm (one file under the original's names), control (the ControlNet alone) or diffusers (a folder)", layouts },
        { "dtype", 0, OPTION_CHOICE, &a->type, 0, 0, "TYPE", "f32, f16 or bf16 for all tensors of the networks (default: each keeps its own)", types },
        { "prediction", 0, OPTION_CHOICE, &a->prediction, 0, 0, "WHAT", "what the model predicts, if the file does not say: epsilon or v", predictions },
        { "ema", 0, OPTION_FLAG, &a->job.ema, 0, 0, NULL, "take the UNet's moving average in place of its weights", NULL },
        { "transfer", 0, OPTION_TEXT, &a->transfer.controlled, 0, 0, "CONTROLLED", "move this ControlNet (or model with one) to another base", NULL },
        { "from", 0, OPTION_TEXT, &a->transfer.from, 0, 0, "OLD_BASE", "the base it was trained on", NULL },
        { "onto", 0, OPTION_TEXT, &a->transfer.onto, 0, 0, "NEW_BASE", "the base it is wanted for", NULL },
        { "force", 'f', OPTION_FLAG, &a->force, 0, 0, NULL, "overwrite OUT; in a folder, its files of the same names", NULL },
    };
    const command_help help = {
        "convert", "IN OUT --to LAYOUT [OPTION...] | --transfer CONTROLLED --from OLD_BASE --onto NEW_BASE OUT", "Brings a model from one layout to another, without loss.",
        options, sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong, given = argc - rest;
    wrong |= a->transfer.controlled ? check_transfer(a, &help, given) : check_convert(a, &help, given);
    wrong |= timings_check(&help, &a->common, given ? argv[argc - 1] : NULL, a->to == MIEN_LAYOUT_DIFFUSERS && given ? argv[argc - 1] : NULL);
    if (wrong) return misuse_end(&help);
    a->job.input = argv[rest];
    a->job.output = a->transfer.output = argv[argc - 1];
    a->job.to = a->to < 0 ? MIEN_LAYOUT_LDM : (mien_layout)a->to;
    a->job.dtype = a->transfer.dtype = (mien_dtype)a->type;
    a->job.prediction = (mien_prediction)a->prediction;
    a->job.force = a->transfer.force = a->force;
    return -1;
}

static void print_summary(const arguments *a, const mien_convert_result *r) {
    char output[4 * 4096];
    if (a->common.quiet) return;
    if (a->common.log_json) {
        printf("{\"event\":\"summary\",\"tensors\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"extra\":%" PRIu64 ",\"ema\":%" PRIu64 ",\"moved\":%" PRIu64 ",\"seconds\":%.3f}\n", r->tensors,
               r->bytes, r->extra, r->ema, r->moved, r->seconds);
        return;
    }
    printf("%s: %" PRIu64 " tensors, %.1f MB", text_escape(output, sizeof output, a->job.output), r->tensors, (double)r->bytes * 1e-6);
    if (a->transfer.controlled) printf(", %" PRIu64 " of them offset", r->moved);
    if (r->extra) printf(", %" PRIu64 " of them carried along for the way back", r->extra);
    printf("; %.1f s\n", r->seconds);
}

int command_convert(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { .to = -1 };
    int status = parse(&a, argc, argv);
    if (status >= 0) return status;
    mien_convert_result r = { 0 };
    progress shown;
    progress_begin(&shown, &a.common, "MB");
    shown.notes = true;
    a.job.hooks = a.transfer.hooks = progress_hooks(&shown);
    catch_signals();
    int rc = a.transfer.controlled ? mien_transfer(&a.transfer, &r) : mien_convert(&a.job, &r);
    progress_end(&shown);
    if (rc == 0) print_summary(&a, &r);
    return single_output_end(&a.common, rc, begin);
}
