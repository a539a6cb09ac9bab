/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char *const dtypes[] = { [MIEN_DTYPE_AUTO] = "auto", [MIEN_DTYPE_BF16] = "bf16", [MIEN_DTYPE_F32] = "f32", NULL };
static const char *const optimizers[] = { [MIEN_ADAMW] = "adamw", [MIEN_ADAMW8] = "adamw8", NULL };
static const char *const predictions[] = { [MIEN_PREDICTION_AUTO] = "auto", [MIEN_PREDICTION_EPSILON] = "epsilon", [MIEN_PREDICTION_V] = "v", NULL };
static const char *const targets[] = { [MIEN_TRAIN_CONTROL] = "control", [MIEN_TRAIN_BASE] = "base", [MIEN_TRAIN_VAE] = "vae", NULL };
static const char *const losses[] = { [MIEN_VAE_L1] = "l1", [MIEN_VAE_MSE] = "mse", NULL };
static const char *const caches[] = { [MIEN_CACHE_ALL] = "all", [MIEN_CACHE_LATENTS] = "latents", [MIEN_CACHE_NONE] = "none", NULL };

static const char notes[] =
    "Without --control a new ControlNet is made of the base, as `mien init` does. The folder RUN gets settings.json,\n"
    "log.jsonl, an event file for TensorBoard, checkpoints/, samples/ (sheets of pictures), cache/ (what the encoders made)\n"
    "and start.safetensors (the new ControlNet before its first step). What `mien generate --control` takes is\n"
    "control.safetensors of a checkpoint; `mien info RUN` names the newest. Ctrl-C ends with a checkpoint; the same line\n"
    "with --resume goes on from the last one, and its losses and weights have the bits of a run that was never stopped.\n"
    "With --memory, too: less memory takes time and changes no bit; what can't fit is refused before anything is loaded,\n"
    "with what would.\n"
    "\n"
    "--what base trains UNet and text encoder, --what vae the autoencoder, both from where the base's file is:\n"
    "base.safetensors of a checkpoint is the whole model, for `mien generate --base`. `mien init --scratch` makes one to\n"
    "begin from scratch with.";

typedef struct {
    common_options common;
    mien_train_options job;
    int dtype, cache, rate, optimizer, what, loss, prediction;
    size_t steps, epochs, warmup, seed, every, sheet;
    progress shown;
} arguments;

/* What makes no sense with a target is refused, and not passed over. (Whether an option was given shows by its value, as in the
 * library.) */
static int check_target(const command_help *help, const arguments *a) {
    enum { CONTROL = 1 << MIEN_TRAIN_CONTROL, BASE = 1 << MIEN_TRAIN_BASE, VAE = 1 << MIEN_TRAIN_VAE };
    const mien_train_options *j = &a->job;
    const struct { const char *name; bool given; int fits; const char *those; } of[] = {
        { "control", j->control != NULL, CONTROL, "control" },
        { "only-mid-control", j->only_mid_control, CONTROL, "control" },
        { "unlock-decoder", j->unlock_decoder, CONTROL, "control" },
        { "redraw", j->redraw, CONTROL, "control" },
        { "freeze-text", j->freeze_text, BASE, "base" },
        { "crop", j->crop != 0, VAE, "vae" },
        { "measure-scale", j->measure_scale, VAE, "vae" },
        { "vae-loss", a->loss != MIEN_VAE_L1, VAE, "vae" },
        { "kl-weight", j->kl_weight != mien_train_defaults().kl_weight, VAE, "vae" },
        { "min-snr", j->min_snr != 0, CONTROL | BASE, "control and base" },
        { "noise-offset", j->noise_offset != 0, CONTROL | BASE, "control and base" },
        { "prompt-dropout", j->prompt_dropout != 0, CONTROL | BASE, "control and base" },
        { "prediction", a->prediction != MIEN_PREDICTION_AUTO, CONTROL | BASE, "control and base" },
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (of[i].given && !(of[i].fits & 1 << a->what))
            wrong |= misuse(help, "--%s is not for --what %s, but for %s", of[i].name, targets[a->what], of[i].those);
    return wrong;
}

static int check(const command_help *help, const arguments *a) {
    const mien_train_options *j = &a->job;
    int wrong = check_target(help, a);
    if (!j->base || !*j->base)
        wrong |= misuse(help, "--base SD is missing: the model whose ControlNet, or which itself, is trained");
    if (!j->data || !*j->data) wrong |= misuse(help, "--data DIR is missing: the data set");
    if (!j->output || !*j->output) wrong |= misuse(help, "--out RUN is missing: the folder of the run");
    if (j->cache_folder && !*j->cache_folder) wrong |= misuse(help, "--cache-folder '': the name of a folder was expected");
    if (j->size % 64) wrong |= misuse(help, "--size %d: a multiple of 64 was expected", j->size);
    if (j->crop && (j->crop % 8 || j->crop > j->size))
        wrong |= misuse(help, "--crop %d: a multiple of 8 up to --size, which is %d, was expected; without --crop the whole square is taken", j->crop, j->size);
    if (a->steps && a->epochs) wrong |= misuse(help, "--steps and --epochs: one of them is enough");
    if (a->rate != MIEN_RATE_CONSTANT && !a->steps && !a->epochs)
        wrong |= misuse(help, "--lr-schedule %s needs --steps or --epochs: over those the rate falls", mien_rate_names()[a->rate]);
    if (j->replay && (j->crop || j->mirror || j->prompt_dropout > 0 || j->noise_offset > 0))
        wrong |= misuse(help, "--crop, --mirror, --prompt-dropout and --noise-offset are not for --replay, which has all that is drawn");
    return wrong | timings_check(help, &a->common, NULL, j->output);
}

static int parse(arguments *a, int argc, char **argv) {
    static const char *const oks[] = { "no", "ok", NULL };
    mien_train_options *j = &a->job;
    int changed = 0;
    const option options[] = {
        { "base", 0, OPTION_TEXT, &j->base, 0, 0, "SD", "the Stable Diffusion whose ControlNet, or which itself, is trained: a file, a folder, or the name of a model that pull fetched", NULL },
        { "what", 0, OPTION_CHOICE, &a->what, 0, 0, NULL, "what is trained (default control)", targets },
        { "control", 0, OPTION_TEXT, &j->control, 0, 0, "CONTROL", "the ControlNet to go on with (default: a new one)", NULL },
        { "data", 0, OPTION_TEXT, &j->data, 0, 0, "DIR", "the data set: the folder of prompt.jsonl", NULL },
        { "out", 'o', OPTION_TEXT, &j->output, 0, 0, "RUN", "the folder of this run", NULL },
        { "resume", 0, OPTION_FLAG, &j->resume, 0, 0, NULL, "go on with the run that is there", NULL },
        { "data-changed", 0, OPTION_CHOICE, &changed, 0, 0, "ok", "ok: a resumed run may have other data than before", oks },
        { "steps", 0, OPTION_COUNT, &a->steps, 1, 1e15, "N", "optimiser steps (default: until stopped)", NULL },
        { "epochs", 0, OPTION_COUNT, &a->epochs, 1, 1e9, "N", "the same in passes over the data", NULL },
        { "batch", 0, OPTION_INT, &j->batch, 1, 4096, "N", "pictures at once (default 4)", NULL },
        { "accumulate", 0, OPTION_INT, &j->accumulate, 1, 65536, "N", "batches a step: gradients are summed (default 1)", NULL },
        { "lr", 0, OPTION_NUMBER, &j->rate, 0, 1, "X", "learning rate (default 1e-5)", NULL },
        { "lr-schedule", 0, OPTION_CHOICE, &a->rate, 0, 0, NULL, "how it goes on (default constant)", mien_rate_names() },
        { "warmup", 0, OPTION_COUNT, &a->warmup, 0, 1e12, "N", "steps over which it rises (default 0)", NULL },
        { "size", 0, OPTION_INT, &j->size, 64, 2048, "N", "pixels of a square: a multiple of 64 (default 512)", NULL },
        { "seed", 0, OPTION_COUNT, &a->seed, 0, 9007199254740992.0, "N", "of the order, the noise and all else that is drawn (default 0)", NULL },
        { "unlock-decoder", 0, OPTION_FLAG, &j->unlock_decoder, 0, 0, NULL, "train the base's decoder, too (the original's sd_locked = False)", NULL },
        { "prediction", 0, OPTION_CHOICE, &a->prediction, 0, 0, NULL, "what the base predicts (default: as it says, or as it looks)", predictions },
        { "only-mid-control", 0, OPTION_FLAG, &j->only_mid_control, 0, 0, NULL, "the control acts on the middle block alone", NULL },
        { "freeze-text", 0, OPTION_FLAG, &j->freeze_text, 0, 0, NULL, "of a base, train the UNet alone", NULL },
        { "crop", 0, OPTION_INT, &j->crop, 8, 2048, "N", "train a VAE on windows of so many pixels, by chance (default: the whole square)", NULL },
        { "vae-loss", 0, OPTION_CHOICE, &a->loss, 0, 0, NULL, "how a VAE's pictures are compared (default l1)", losses },
        { "measure-scale", 0, OPTION_FLAG, &j->measure_scale, 0, 0, NULL, "let a VAE's checkpoints say by which factor their latents have a variance of 1", NULL },
        { "kl-weight", 0, OPTION_NUMBER, &j->kl_weight, 0, 1e6, "X", "of a VAE's divergence from the normal distribution (default 1e-6)", NULL },
        { "optimizer", 0, OPTION_CHOICE, &a->optimizer, 0, 0, NULL, "adamw8 keeps its moments in 8 bits: 6 bytes a weight instead of 12 (default adamw)", optimizers },
        { "weight-decay", 0, OPTION_NUMBER, &j->decay, 0, 1000, "X", "of AdamW (default 0.01)", NULL },
        { "clip", 0, OPTION_NUMBER, &j->clip, 0, 1e30, "X", "the largest norm of the gradients (default 0: any)", NULL },
        { "ema", 0, OPTION_NUMBER, &j->average, 0, 1, "X", "keep an average of the weights with this decay (default 0: none)", NULL },
        { "prompt-dropout", 0, OPTION_NUMBER, &j->prompt_dropout, 0, 1, "X", "so many prompts are left empty (default 0)", NULL },
        { "min-snr", 0, OPTION_NUMBER, &j->min_snr, 0, 1e6, "X", "weigh losses by min-SNR with this gamma (default 0: alike)", NULL },
        { "noise-offset", 0, OPTION_NUMBER, &j->noise_offset, 0, 10, "X", "add so much noise to whole channels (default 0)", NULL },
        { "redraw", 0, OPTION_FLAG, &j->redraw, 0, 0, NULL, "draw maps at the training's size from the landmarks beside them", NULL },
        { "mirror", 0, OPTION_FLAG, &j->mirror, 0, 0, NULL, "mirror half of the items, with map and caption", NULL },
        { "only", 0, OPTION_TEXT, &j->only, 0, 0, "LIST", "train on these items alone", NULL },
        { "exclude", 0, OPTION_TEXT, &j->exclude, 0, 0, "LIST", "leave these out", NULL },
        { "cache", 0, OPTION_CHOICE, &a->cache, 0, 0, NULL, "keep what the encoders make of pictures and prompts (default all)", caches },
        { "cache-folder", 0, OPTION_TEXT, &j->cache_folder, 0, 0, "DIR", "there (default RUN/cache); runs over the same photos may share one", NULL },
        { "dtype", 0, OPTION_CHOICE, &a->dtype, 0, 0, NULL, "numbers to compute with; of what is trained all of an f32 is kept in any case", dtypes },
        { "memory", 0, OPTION_BYTES, &j->memory, 1e6, 0x1p63, "SIZE", "use no more than, say, 6G; where it helps, some of a step is computed again (default: what is free)", NULL },
        { "checkpoint-every", 0, OPTION_COUNT, &a->every, 0, 1e12, "N", "steps between checkpoints (default 5000; and every 30 minutes)", NULL },
        { "eval-every", 0, OPTION_COUNT, &a->sheet, 0, 1e12, "N", "steps between sheets of pictures of four items; there is one at the end, too (default 2500; 0: none)", NULL },
        { "eval-data", 0, OPTION_TEXT, &j->eval_data, 0, 0, "DIR", "then also measure, as eval does, how a few items of that data set obey: held-out ones", NULL },
        { "eval-items", 0, OPTION_INT, &j->eval_items, 1, MIEN_EVAL_ITEMS, "N", "how many of them (default 8)", NULL },
        { "eval-cfg", 0, OPTION_NUMBER, &j->eval_cfg, 0, 100, "X", "their pictures' guidance (default 9)", NULL },
        { "keep", 0, OPTION_INT, &j->keep, 1, 1000, "N", "checkpoints that are kept (default 5)", NULL },
        { "replay", 0, OPTION_TEXT, &j->replay, 0, 0, "FILE", "items, timesteps and noise from a .safetensors file, to compare with another program", NULL },
    };
    const command_help help = {
        "train", "--base SD --data DIR --out RUN [OPTION...]", "Trains a ControlNet, or a base model, on a data set of maps and photos.", options, sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong | check(&help, a);
    if (wrong) return misuse_end(&help);
    j->data_changed = changed;
    return -1;
}

static void take_over(arguments *a) {
    mien_train_options *j = &a->job;
    j->dtype = (mien_dtype)a->dtype;
    j->what = (mien_train_what)a->what;
    j->vae_loss = (mien_vae_loss)a->loss;
    j->cache = (mien_train_cache)a->cache;
    j->prediction = (mien_prediction)a->prediction;
    j->schedule = (mien_rate)a->rate;
    j->optimizer = (mien_optimizer)a->optimizer;
    j->steps = a->steps;
    j->epochs = a->epochs;
    j->warmup = a->warmup;
    j->seed = a->seed;
    j->checkpoint_every = a->every;
    j->sheet_every = a->sheet;
    j->jobs = a->common.jobs;
    j->cpu = cpu_choices[a->common.cpu];
}

/* What the bar has beside the steps; and from the first step on, there is something to keep. */
static void note_step(void *context, const mien_train_step *s) {
    progress *shown = context;
    if (!shown->common->log_json) stop_says("mien: stopping after this step, with a checkpoint; again stops at once\n");
    int n = snprintf(shown->note, sizeof shown->note, "loss %.4g  %.3g images/s  memory %.2f GB  wait %.1f%%", s->smoothed,
                     s->images_per_second, (double)s->peak_bytes * 1e-9, 100 * s->wait / s->seconds);
    if (isfinite(s->score) && n > 0 && (size_t)n < sizeof shown->note) snprintf(shown->note + n, sizeof shown->note - (size_t)n, "  score %.2f", s->score);
}

static void show_evaluation(void *context, const char *line) {
    progress *shown = context;
    if (shown->common->quiet || shown->common->log_json) return;
    progress_clear(shown);
    fprintf(stderr, "%s\n", line);
}

static void show_plan(void *context, const char *line) {
    const progress *shown = context;
    if (!shown->common->quiet && !shown->common->log_json) fprintf(stderr, "%s\n", line);
}

static void print_profile(void *context, const char *line) {
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static void print_summary(const mien_train_result *r, bool stopped) {
    text line = { 0 };
    text_printf(&line, "{\"event\":\"summary\",\"stopped\":%s,\"steps\":%" PRIu64 ",\"done\":%" PRIu64 ",\"images\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"loss\":%.9g,\"seconds\":%.3f,\"wait\":%.3f,\"peak_bytes\":%zu,\"checkpoint\":",
                stopped ? "true" : "false", r->steps, r->done, r->images, r->failed, r->loss, r->total, r->wait, r->peak_bytes);
    if (*r->checkpoint) text_json_string(&line, r->checkpoint);
    else text_add(&line, "null");
    text_add(&line, "}");
    if (text_check(&line) == 0) printf("%s\n", line.data);
    text_free(&line);
}

static void print_steps(const char *output, const mien_train_result *r, bool stopped) {
    char left_out[64] = "", in_all[48] = "";
    if (r->failed)
        snprintf(left_out, sizeof left_out, "; %" PRIu64 " item%s left out, as said above", r->failed, r->failed == 1 ? "" : "s");
    if (r->done != r->steps) snprintf(in_all, sizeof in_all, ", %" PRIu64 " in all", r->done);
    printf("%s%s: %" PRIu64 " step%s%s, loss %.6g, %.1f s, of which %.1f s loading and %.1f s waiting for data; "
           "peak memory %.2f GB%s\n",
           stopped ? "stopped: " : "", output, r->steps, r->steps == 1 ? "" : "s", in_all, r->loss, r->total, r->load, r->wait,
           (double)r->peak_bytes * 1e-9, left_out);
}

/* A run that is stopped while its first items are encoded leaves these. */
static void print_no_step(const arguments *a, const char *output, const mien_train_result *r, bool stopped) {
    char cache[MIEN_PATH];
    bool encoded = snprintf(cache, sizeof cache, "%s/cache", a->job.output) < (int)sizeof cache && access(cache, F_OK) == 0;
    if (!stopped) printf("%s: %" PRIu64 " step%s are done already: nothing to do\n", output, r->done, r->done == 1 ? "" : "s");
    else if (r->done) printf("stopped: %s: no step more, %" PRIu64 " in all\n", output, r->done);
    else if (a->job.resume) printf("stopped: %s: no step was done, and the run is as it was\n", output);
    else if (encoded) printf("stopped: %s: before its first step; nothing is kept but its cache, which the same line begins with\n", output);
    else printf("stopped: %s: before its first step; nothing is kept\n", output);
}

static void print_end(const arguments *a, const mien_train_result *r, bool stopped) {
    char output[4 * MIEN_PATH];
    if (a->common.quiet) return;
    if (a->common.log_json) {
        print_summary(r, stopped);
        return;
    }
    text_escape(output, sizeof output, a->job.output);
    if (!r->steps) print_no_step(a, output, r, stopped);
    else print_steps(output, r, stopped);
    if (*r->checkpoint)
        printf("newest checkpoint: %s/%s\n", text_escape(output, sizeof output, r->checkpoint),
               a->what == MIEN_TRAIN_CONTROL ? "control.safetensors" : "base.safetensors");
}

int command_train(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = {
        .job = mien_train_defaults(),
        .every = (size_t)mien_train_defaults().checkpoint_every,
        .sheet = (size_t)mien_train_defaults().sheet_every,
    };
    int status = parse(&a, argc, argv);
    if (status >= 0) return status;
    take_over(&a);
    mien_train_result r = { 0 };
    progress_begin(&a.shown, &a.common, "steps");
    a.job.hooks = progress_hooks(&a.shown);
    a.shown.kind = PROGRESS_SLOW;
    a.shown.endless = !a.steps && !a.epochs;
    a.job.plan = show_plan;
    a.job.evaluated = show_evaluation;
    a.job.step = note_step;
    a.job.profile = a.common.profile ? print_profile : NULL;
    catch_signals_saying(a.common.log_json ? NULL : "mien: stopping; again stops at once\n");
    int rc = mien_train(&a.job, &r);
    progress_end(&a.shown);
    /* mpirun ends all at once when the first has failed: rank 0, which tells the user, first. */
    if (rc < 0 && r.rank > 0) usleep(500000);
    /* A signal to one ends all as if each had got it. */
    if (rc == MIEN_ERR_CANCELLED && (r.stopped || !stop_signal)) stop_signal = r.stopped ? r.stopped : SIGTERM;
    if (rc < 0 && r.rank > 0 && r.elsewhere) return rc == MIEN_ERR_CANCELLED ? EXIT_STOPPED + stop_signal : EXIT_WORK_FAILED;
    if (r.rank == 0 && (rc == 0 || rc == MIEN_ERR_CANCELLED)) print_end(&a, &r, rc != 0);
    status = single_output_end(&a.common, rc, begin);
    return status == EXIT_DONE && r.failed ? EXIT_SOME_FAILED : status;
}
