/* SPDX-License-Identifier: Apache-2.0 */
#include "train/train_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "data/dataset.h"
#include "image/image.h"

static int add_vae(const mien_train_options *o, run_settings *s) {
    int rc = run_settings_integer(s, "crop", o->crop, false);
    if (rc == 0) rc = run_settings_text(s, "vae-loss", o->vae_loss == MIEN_VAE_L1 ? "l1" : "mse", false);
    return rc < 0 ? rc : run_settings_number(s, "kl-weight", o->kl_weight, false);
}

/* The level that is used, whatever was asked for: another sums in another order. */
static int add_cpu(const mien_train_options *o, run_settings *s) {
    cpu_level level = CPU_BEST, here = cpu_level_here();
    if (o->cpu) cpu_level_parse(o->cpu, &level);
    return run_settings_text(s, "cpu", cpu_level_name(level < here ? level : here), false);
}

/* By what it holds: it may have been moved. */
static int add_replay(const mien_train_options *o, run_settings *s) {
    char hex[65];
    if (!o->replay) return run_settings_text(s, "replay", NULL, false);
    int rc = file_hash_until(o->replay, o->hooks.stop, hex);
    if (rc == 0) return errno = ENOENT, error_errno("%s", o->replay);
    return rc < 0 ? rc : run_settings_text(s, "replay", hex, false);
}

/* By what its list holds: it may have been moved. */
static int add_evaluation(const mien_train_options *o, run_settings *s) {
    char hex[20];
    dataset *d;
    int rc = dataset_open(o->eval_data, &d);
    if (rc < 0) return rc;
    snprintf(hex, sizeof hex, "%016" PRIx64, dataset_fingerprint(d));
    dataset_close(d);
    rc = run_settings_text(s, "eval-data", hex, false);
    if (rc == 0) rc = run_settings_integer(s, "eval-items", o->eval_items, false);
    return rc < 0 ? rc : run_settings_number(s, "eval-cfg", o->eval_cfg, false);
}

/* Free ones change no step's numbers: they may differ when a run goes on. */
int train_settings(const mien_train_options *o, bool bf16, int ranks, run_settings *s) {
    static const char *const what[] = { [MIEN_TRAIN_CONTROL] = "control", [MIEN_TRAIN_BASE] = "base", [MIEN_TRAIN_VAE] = "vae" };
    static const char *const optimizers[] = { [MIEN_ADAMW] = "adamw", [MIEN_ADAMW8] = "adamw8" };
    static const char *const predictions[] = {
        [MIEN_PREDICTION_AUTO] = "auto", [MIEN_PREDICTION_EPSILON] = "epsilon", [MIEN_PREDICTION_V] = "v",
    };
    int rc = run_settings_text(s, "what", what[o->what], false);
    const struct { const char *name; double x; } numbers[] = {
        { "lr", o->rate }, { "beta1", o->beta1 }, { "beta2", o->beta2 }, { "epsilon", o->epsilon }, { "weight-decay", o->decay },
        { "clip", o->clip }, { "ema", o->average },
        { "prompt-dropout", o->prompt_dropout }, { "min-snr", o->min_snr }, { "noise-offset", o->noise_offset },
    };
    const struct { const char *name; long long x; } integers[] = {
        { "batch", (long long)o->batch * ranks }, { "accumulate", o->accumulate }, { "size", o->size },
        { "seed", (long long)o->seed }, { "warmup", (long long)o->warmup },
    };
    const struct { const char *name; bool x; } flags[] = {
        { "unlock-decoder", o->unlock_decoder }, { "only-mid-control", o->only_mid_control },
        { "redraw", o->redraw }, { "mirror", o->mirror },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && rc == 0; i++)
        rc = run_settings_number(s, numbers[i].name, numbers[i].x, false);
    for (size_t i = 0; i < sizeof integers / sizeof *integers && rc == 0; i++)
        rc = run_settings_integer(s, integers[i].name, integers[i].x, false);
    for (size_t i = 0; i < sizeof flags / sizeof *flags && rc == 0; i++)
        rc = run_settings_flag(s, flags[i].name, flags[i].x, false);
    if (rc == 0 && o->what == MIEN_TRAIN_BASE) rc = run_settings_flag(s, "freeze-text", o->freeze_text, false);
    if (rc == 0 && o->what == MIEN_TRAIN_VAE) rc = add_vae(o, s);
    if (rc == 0) rc = run_settings_text(s, "prediction", predictions[o->prediction], false);
    if (rc == 0) rc = run_settings_text(s, "optimizer", optimizers[o->optimizer], false);
    if (rc == 0) rc = run_settings_text(s, "dtype", bf16 ? "bf16" : "f32", false);
    if (rc == 0) rc = run_settings_text(s, "lr-schedule", rate_names[o->schedule], false);
    if (rc == 0) rc = add_cpu(o, s);
    if (rc == 0) rc = add_replay(o, s);
    /* Where a schedule falls, its end is part of it. */
    bool falls = o->schedule != MIEN_RATE_CONSTANT;
    if (rc == 0) rc = run_settings_integer(s, "steps", (long long)o->steps, !falls);
    if (rc == 0) rc = run_settings_integer(s, "epochs", (long long)o->epochs, !falls);
    /* Checkpoints compare by it; so a run has it from its beginning, or not. */
    if (rc == 0 && o->eval_data) rc = add_evaluation(o, s);
    if (rc == 0) rc = run_settings_integer(s, "checkpoint-every", (long long)o->checkpoint_every, true);
    return rc;
}

/* Where train_settle has set it, the options said it, or the base is to learn it, or it was looked at. */
static const char *predicted_by(const mien_train_options *o, const char *source) {
    static const struct { const char *source, *by; } told[] = {
        { "scheduler_config.json", "as the base's scheduler_config.json says" },
        { "metadata", "as the base's metadata say" },
        { "the family", "as Stable Diffusion 1.x does" },
    };
    if (o->prediction != MIEN_PREDICTION_AUTO) return "as --prediction says";
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (strcmp(source, told[i].source) == 0) return told[i].by;
    return o->what == MIEN_TRAIN_BASE ? "what a base that does not say it learns" : "as one look at the base tells";
}

void train_note_choices(train_job *j) {
    const mien_train_options *o = j->o;
    const checkpoint_settings *s = checkpoint_settings_of(j->c);
    j->room.plan.numbers = j->bf16 ? "bf16" : "f32";
    j->room.plan.numbers_by = j->bf16 ? "this processor computes in them" : "no AVX-512 bf16 here";
    if (o->dtype != MIEN_DTYPE_AUTO) j->room.plan.numbers_by = "as --dtype says";
    if (o->what == MIEN_TRAIN_VAE) return;
    j->room.plan.prediction = s->prediction == PREDICT_V ? "v" : "epsilon";
    j->room.plan.prediction_by = predicted_by(o, s->prediction_source);
}

uint64_t train_steps(const mien_train_options *o, int ranks, uint64_t items) {
    uint64_t each = (uint64_t)o->batch * (uint64_t)o->accumulate * (uint64_t)ranks;
    if (o->steps) return o->steps;
    return o->epochs ? (o->epochs * items + each - 1) / each : 0;
}

mien_iterate_options train_items(const mien_train_options *o) {
    return (mien_iterate_options){ .data = o->data, .size = o->size, .seed = o->seed, .ranks = 1, .threads = 2, .ahead = o->batch < 8 ? 16 : 2 * o->batch,
                                   .max_pixels = IMAGE_BOMB_PIXELS, .only = o->only, .exclude = o->exclude, .hooks = o->hooks };
}
