/* SPDX-License-Identifier: Apache-2.0
 *
 * mien.h's training: the options are looked at here, the work is in train/. */
#include <math.h>

#include "api/api.h"
#include "base/error.h"
#include "model/shapes.h"
#include "train/rates.h"
#include "train/train.h"
#include "train/trainer.h"

_Static_assert((int)MIEN_RATE_CONSTANT == RATE_CONSTANT && (int)MIEN_RATE_LINEAR == RATE_LINEAR &&
               (int)MIEN_RATE_COSINE == RATE_COSINE, "mien.h's shapes are rates.h's");
_Static_assert((int)MIEN_TRAIN_CONTROL == TRAINER_CONTROL && (int)MIEN_TRAIN_BASE == TRAINER_BASE &&
               (int)MIEN_TRAIN_VAE == TRAINER_VAE, "mien.h's targets are trainer.h's");
_Static_assert(MIEN_CACHE_ALL == 0 && MIEN_CACHE_LATENTS == 1 && MIEN_CACHE_NONE == 2,
               "train/train_memory.c names them in this order");

const char *const *mien_rate_names(void) { return rate_names; }

mien_train_options mien_train_defaults(void) {
    return (mien_train_options){
        .batch = 4, .accumulate = 1, .rate = 1e-5, .size = 512, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .decay = 0.01,
        .kl_weight = 1e-6, .checkpoint_every = 5000, .sheet_every = 2500, .checkpoint_minutes = 30, .keep = 5,
        .eval_items = 8, .eval_cfg = 9,
    };
}

/* Written so that NaN is outside. */
static bool within(double x, double low, double high) { return x >= low && x <= high; }

/* What makes no sense with a target is refused, and not passed over. */
static int check_target(const mien_train_options *o) {
    static const char *const words[] = { "a ControlNet", "a base", "a VAE" };
    if (o->what < MIEN_TRAIN_CONTROL || o->what > MIEN_TRAIN_VAE)
        return error_set(ERR_USAGE, "what is to be trained: no such target");
    bool control = o->what == MIEN_TRAIN_CONTROL, base = o->what == MIEN_TRAIN_BASE, vae = o->what == MIEN_TRAIN_VAE;
    const struct { const char *name; bool given, fits; } of[] = {
        { "control", o->control != NULL, control },
        { "only_mid_control", o->only_mid_control, control },
        { "unlock_decoder", o->unlock_decoder, control },
        { "redraw", o->redraw, control },
        { "eval_data", o->eval_data != NULL, control },
        { "freeze_text", o->freeze_text, base },
        { "crop", o->crop, vae },
        { "measure_scale", o->measure_scale, vae },
        { "vae_loss", o->vae_loss != MIEN_VAE_L1, vae },
        { "kl_weight", o->kl_weight != mien_train_defaults().kl_weight, vae },
        { "min_snr", o->min_snr != 0, !vae },
        { "noise_offset", o->noise_offset != 0, !vae },
        { "prompt_dropout", o->prompt_dropout != 0, !vae }, { "prediction", o->prediction != MIEN_PREDICTION_AUTO, !vae },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (of[i].given && !of[i].fits)
            return error_set(ERR_USAGE, "%s: is nothing that the training of %s has", of[i].name, words[o->what]);
    if (o->crop && (o->crop < 8 || o->crop > o->size || o->crop % 8))
        return error_set(ERR_USAGE, "crop %d: a multiple of 8 up to the size (%d) was expected", o->crop, o->size);
    if (o->crop && o->replay) return error_set(ERR_USAGE, "crop: a replay has all draws, so there can be no cropping with it");
    if (o->prediction < MIEN_PREDICTION_AUTO || o->prediction > MIEN_PREDICTION_V)
        return error_set(ERR_USAGE, "prediction: no such kind");
    if (o->vae_loss != MIEN_VAE_L1 && o->vae_loss != MIEN_VAE_MSE) return error_set(ERR_USAGE, "vae_loss: no such loss");
    if (within(o->kl_weight, 0, 1e6)) return 0;
    return error_set(ERR_USAGE, "kl_weight %g: a number from 0 to a million was expected", o->kl_weight);
}

static const uint64_t MOST_STEPS = 1000000000000000, MOST_EPOCHS = 1000000000;

static int check(const mien_train_options *o) {
    if (!o->base || !*o->base) return error_set(ERR_USAGE, "a base model is needed");
    if (!o->data || !*o->data) return error_set(ERR_USAGE, "data are needed: the folder of prompt.jsonl");
    if (o->cache_folder && !*o->cache_folder) return error_set(ERR_USAGE, "the cache's folder has no name");
    if (!o->output || !*o->output) return error_set(ERR_USAGE, "an output is needed: the run's folder");
    if (!o->batch && o->rate == 0)
        return error_set(ERR_USAGE, "the settings are all zero: mien_train_defaults() gives options to begin with");
    if (o->batch < 1 || o->batch > 4096 || o->accumulate < 1 || o->accumulate > 65536)
        return error_set(ERR_USAGE, "batch is 1 to 4096, accumulate 1 to 65536");
    if (o->size < 64 || o->size > 2048 || o->size % 64)
        return error_set(ERR_USAGE, "size %d: a multiple of 64 from 64 to 2048 was expected", o->size);
    if (!within(o->rate, 0, 1) || !within(o->beta1, 0, 1) || !within(o->beta2, 0, 1) || o->beta1 == 1 || o->beta2 == 1 ||
        !within(o->epsilon, 0, 1) || !within(o->decay, 0, 1e3))
        return error_set(ERR_USAGE, "rate, beta1, beta2 and epsilon are from 0 to 1, decay to 1000");
    if (!within(o->clip, 0, 1e30) || !within(o->average, 0, 1) || !within(o->prompt_dropout, 0, 1) ||
        !within(o->min_snr, 0, 1e6) || !within(o->noise_offset, 0, 10))
        return error_set(ERR_USAGE, "clip, average, prompt_dropout, min_snr and noise_offset are numbers from 0 on, "
                                    "average and prompt_dropout to 1");
    if (o->keep < 1 || o->keep > 1000) return error_set(ERR_USAGE, "keep %d: 1 to 1000 checkpoints were expected", o->keep);
    if ((int)o->dtype < MIEN_DTYPE_AUTO || o->dtype > MIEN_DTYPE_F16)
        return error_set(ERR_USAGE, "dtype %d: no such type", (int)o->dtype);
    if (o->dtype == MIEN_DTYPE_F16) return error_set(ERR_USAGE, "dtype f16: mien computes in bf16 or f32");
    if ((int)o->cache < MIEN_CACHE_ALL || o->cache > MIEN_CACHE_NONE)
        return error_set(ERR_USAGE, "cache %d: MIEN_CACHE_ALL, _LATENTS or _NONE was expected", (int)o->cache);
    if ((int)o->schedule < MIEN_RATE_CONSTANT || o->schedule > MIEN_RATE_COSINE)
        return error_set(ERR_USAGE, "schedule %d: MIEN_RATE_CONSTANT, _LINEAR or _COSINE was expected", (int)o->schedule);
    /* Times items, of which there are no more than 2^32, they are still a number. */
    if (o->steps > MOST_STEPS || o->warmup > MOST_STEPS || o->epochs > MOST_EPOCHS)
        return error_set(ERR_USAGE, "steps and warmup are up to 10^15, epochs up to 10^9");
    if (o->steps && o->epochs) return error_set(ERR_USAGE, "steps and epochs: one of them is enough");
    if (o->schedule != MIEN_RATE_CONSTANT && !o->steps && !o->epochs)
        return error_set(ERR_USAGE, "a rate that falls needs steps or epochs to fall over");
    if (o->optimizer != MIEN_ADAMW && o->optimizer != MIEN_ADAMW8)
        return error_set(ERR_USAGE, "optimizer %d: MIEN_ADAMW or MIEN_ADAMW8 was expected", (int)o->optimizer);
    if (o->eval_data && (!*o->eval_data || o->eval_items < 1 || o->eval_items > MIEN_EVAL_ITEMS || !within(o->eval_cfg, 0, 100)))
        return error_set(ERR_USAGE, "eval_data is a data set, eval_items from 1 to %d, eval_cfg from 0 to 100", MIEN_EVAL_ITEMS);
    if (o->eval_data && !o->sheet_every) return error_set(ERR_USAGE, "eval_data: it is evaluated when sheets are made, and there are to be none");
    return check_target(o);
}

int mien_train(const mien_train_options *options, mien_train_result *result) {
    mien_train_options how = *options;
    mien_train_result unused;
    cpu_level level = CPU_BEST;
    char base[MIEN_PATH], control[MIEN_PATH];
    if (how.cpu && !cpu_level_parse(how.cpu, &level)) return error_set(ERR_USAGE, "%s: no such processor level", how.cpu);
    int rc = check(&how);
    if (rc == 0) rc = api_model(&how.base, base);
    if (rc == 0) rc = api_model(&how.control, control);
    return rc < 0 ? rc : train_run(&how, level, shapes_check, result ? result : &unused);
}
