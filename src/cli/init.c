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
    "The UNet's encoder and middle block are copied, the convolutions that lead into the base are zero, and the network that reads\n"
    "the map is drawn at random but for its last layer: so the new ControlNet changes nothing until it is trained. The same base\n"
    "and seed give the same bytes. A licence in the base's metadata is carried on.\n"
    "\n"
    "With --scratch a new base is made instead, of as many layers and channels as the config files of a diffusers folder say (unet/config.json,\n"
    "vae/config.json, text_encoder/config.json, scheduler/scheduler_config.json; those that are there), drawn as the original's code leaves\n"
    "it before training. --captions gives it a tokenizer of its own, in CLIP's manner, of at most as many tokens as vocab_size says; without it\n"
    "FOLDER/tokenizer is taken, else CLIP's. `mien train --what vae` and `--what base` teach it.";

static const char *const layouts[] = { "ldm", "control", NULL };
static const char *const types[] = { "keep", "bf16", "f32", "f16", NULL };   /* as mien_dtype */

typedef struct {
    common_options common;
    mien_init_options job;
    int to, type, verbose;
    size_t seed;
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_init_options *j = &a->job;
    const option options[] = {
        { "base", 0, OPTION_TEXT, &j->base, 0, 0, "SD", "the Stable Diffusion that it is to steer: a file, a diffusers folder, or the name of a model that pull fetched", NULL },
        { "scratch", 0, OPTION_TEXT, &j->scratch, 0, 0, "FOLDER", "no ControlNet, but a new base as the config files of this folder say", NULL },
        { "captions", 0, OPTION_TEXT, &j->captions, 0, 0, "FILE", "with --scratch: a prompt.jsonl, or a caption a line, to learn its tokenizer from", NULL },
        { "output", 'o', OPTION_TEXT, &j->output, 0, 0, "OUT.safetensors", "the file to write", NULL },
        { "seed", 0, OPTION_COUNT, &a->seed, 0, 9007199254740992.0, "N", "of the random numbers (default 0)", NULL },
        { "dtype", 0, OPTION_CHOICE, &a->type, 0, 0, "TYPE", "f32, f16 or bf16 (default: as in the base; f32 from scratch)", types },
        { "to", 0, OPTION_CHOICE, &a->to, 0, 0, "LAYOUT", "control (the ControlNet alone, the default) or ldm (base and ControlNet in one file)", layouts },
        { "verbose", 'v', OPTION_FLAG, &a->verbose, 0, 0, NULL, "name every tensor that is newly made", NULL },
        { "force", 'f', OPTION_FLAG, &j->force, 0, 0, NULL, "overwrite the output", NULL },
    };
    const command_help help = {
        "init", "--base SD -o CONTROL.safetensors [OPTION...]\nmien init --scratch FOLDER -o BASE.safetensors [OPTION...]",
        "Makes a new ControlNet for a base, or a new base, ready to be trained.", options, sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    bool scratch = j->scratch && *j->scratch, base = j->base && *j->base;
    if (!base && !scratch)
        wrong |= misuse(&help, "--base SD is missing: the model to steer (or --scratch FOLDER: the configs of a new one)");
    if (base && scratch) wrong |= misuse(&help, "--base and --scratch: a new ControlNet or a new base, one of them");
    if (scratch && a->to >= 0)
        wrong |= misuse(&help, "--to is for a ControlNet: a new base has ldm's names (`mien convert` makes other layouts of it)");
    if (j->captions && !scratch) wrong |= misuse(&help, "--captions is for --scratch: it teaches a new base's tokenizer");
    if (!j->output || !*j->output) wrong |= misuse(&help, "-o OUT.safetensors is missing: the file to write");
    wrong |= timings_check(&help, &a->common, j->output, NULL);
    if (wrong) return misuse_end(&help);
    j->seed = a->seed;
    j->dtype = (mien_dtype)a->type;
    j->layout = a->to < 0 ? MIEN_LAYOUT_CONTROL : (mien_layout)a->to;
    return -1;
}

static void print_summary(const arguments *a, const mien_init_result *r) {
    char output[4 * 4096], tokens[64] = "";
    if (r->tokens) snprintf(tokens, sizeof tokens, "; a tokenizer of %" PRIu64 " tokens", r->tokens);
    if (a->common.quiet) return;
    if (a->common.log_json)
        printf("{\"event\":\"summary\",\"copied\":%" PRIu64 ",\"zero\":%" PRIu64 ",\"ones\":%" PRIu64 ",\"drawn\":%" PRIu64 ",\"parameters\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"tokens\":%" PRIu64 ",\"seed\":%zu,\"seconds\":%.3f}\n",
               r->copied, r->zero, r->ones, r->drawn, r->parameters, r->bytes, r->tokens, a->seed, r->seconds);
    else if (a->job.scratch)
        printf("%s: %" PRIu64 " tensors newly drawn with seed %zu, %" PRIu64 " newly made as zeros, %" PRIu64 " as ones; %.1f M parameters, %.1f MB%s; %.1f s\n",
               text_escape(output, sizeof output, a->job.output), r->drawn, a->seed, r->zero, r->ones, (double)r->parameters * 1e-6, (double)r->bytes * 1e-6, tokens, r->seconds);
    else
        printf("%s: %" PRIu64 " tensors copied, %" PRIu64 " newly made as zeros, %" PRIu64 " newly drawn with seed %zu; %.1f M parameters, %.1f MB; %.1f s\n",
               text_escape(output, sizeof output, a->job.output), r->copied, r->zero, r->drawn, a->seed, (double)r->parameters * 1e-6, (double)r->bytes * 1e-6, r->seconds);
}

/* How far a long learning is, is for everybody; each tensor's name for who asks. */
static void tell(void *context, mien_log_kind kind, const char *path, const char *message) {
    progress *p = context;
    const arguments *a = (const arguments *)p->common;   /* its first member */
    p->notes = a->verbose || (!a->common.quiet && strncmp(message, "the tokenizer", 13) == 0);
    progress_log(p, kind, path, message);
}

int command_init(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { .job = mien_init_defaults(), .to = -1 };
    int status = parse(&a, argc, argv);
    if (status >= 0) return status;
    mien_init_result r = { 0 };
    progress shown;
    progress_begin(&shown, &a.common, "MB");
    a.job.hooks = progress_hooks(&shown);
    a.job.hooks.log = tell;
    catch_signals();
    int rc = mien_init(&a.job, &r);
    progress_end(&shown);
    if (rc == 0) print_summary(&a, &r);
    return single_output_end(&a.common, rc, begin);
}
