/* SPDX-License-Identifier: Apache-2.0
 *
 * What each target asks of the model and of the data, and which of a micro-batch's numbers its network is given. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/peak_memory.h"
#include "base/stop.h"
#include "generate/engine.h"
#include "model/clip.h"
#include "model/tokenizer_learn.h"
#include "train/train_inside.h"

unsigned train_networks(const mien_train_options *o) {
    if (o->what == MIEN_TRAIN_VAE) return CHECKPOINT_VAE;
    return CHECKPOINT_UNET | CHECKPOINT_VAE | CHECKPOINT_TEXT | (o->what == MIEN_TRAIN_CONTROL ? CHECKPOINT_CONTROL : 0);
}

/* What is trained changes with each step: a text encoder's prompts come as tokens then, and a VAE's pictures as they
 * are, so that nothing that it makes is cached. */
unsigned train_wants(const mien_train_options *o) {
    if (o->what == MIEN_TRAIN_VAE) return ITEM_PICTURE;
    if (o->what == MIEN_TRAIN_BASE) return ITEM_LATENT | (o->freeze_text ? ITEM_TEXT : ITEM_TOKENS);
    return ITEM_HINT | ITEM_LATENT | ITEM_TEXT;
}

int train_side(const mien_train_options *o) { return o->crop ? o->crop : o->size; }

/* ---- which model it began with ------------------------------------------------------------------------------------------- */

/* Of the networks that are trained, whatever files they are in. */
static int hash_trained(const checkpoint *c, const mien_train_options *o, char hex[65]) {
    uint8_t digest[32];
    sha256_state s;
    sha256_begin(&s);
    for (size_t i = 0; i < checkpoint_count(c); i++) {
        const parameter *p = checkpoint_parameter(c, i);
        bool vae = strncmp(p->name, "vae.", 4) == 0, control = strncmp(p->name, "control.", 8) == 0;
        if (stop_asked(o->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
        if (!control && (o->what == MIEN_TRAIN_BASE || vae)) checkpoint_add_parameter(c, p, &s);
    }
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    return 0;
}

int train_note_models(train_job *j) {
    const mien_train_options *o = j->o;
    bool control = o->what == MIEN_TRAIN_CONTROL;
    char hex[65];
    checkpoint *base = NULL;
    int rc = checkpoint_open(o->base, o->control, control ? CHECKPOINT_UNET : train_networks(o), &base);
    if (rc == 0) rc = control ? checkpoint_hash(base, false, o->hooks.stop, hex) : hash_trained(base, o, hex);
    if (rc == 0) rc = run_settings_model(&j->settings, "base", hex);
    if (rc == 0 && o->control && (rc = checkpoint_hash(base, true, o->hooks.stop, hex)) == 0)
        rc = run_settings_model(&j->settings, "control", hex);
    checkpoint_close(base);
    return rc;
}

/* ---- what it predicts ---------------------------------------------------------------------------------------------------- */

static void say(void *context, const char *message) { train_say(context, MIEN_LOG_WARNING, message); }

/* The looks' engine, with the weights of a store or its own. */
static int open_look(train_job *j, params *weights, engine **e) {
    engine_options how = train_engine(j);
    how.weights = weights;
    how.memory = j->o->memory;
    how.say = say;
    how.context = j;
    return engine_open(&how, e);
}

/* It comes before what training takes is counted, and so has to be inside --memory itself. (engine_fit counts with more
 * beside the networks than a small model's training takes.) */
static int room_to_look(train_job *j, const engine_shape *shape) {
    char needed[32], given[32];
    engine_share share = { 0 };
    engine *e = NULL;
    params *counting;
    if (!j->o->memory) return 0;
    if (!(counting = params_new_counting())) return error_code();
    int rc = open_look(j, counting, &e);
    if (rc == 0) rc = engine_needs(e, shape, &share);
    uint64_t bytes = resident_memory() + share.stays + share.passes;
    engine_close(e);
    params_free(counting);
    if (rc < 0 || bytes <= j->o->memory) return rc;
    plan_size(needed, bytes);
    plan_size(given, j->o->memory);
    return error_set(ERR_LIMIT,
                     "%s of memory are needed to look at what the model predicts, and %s may be used (--memory); "
                     "--prediction says it, then nothing is looked at",
                     needed, given);
}

/* The look tells noise from what is none: 64x64 latents are enough for that at any size, and so one step of one small
 * picture, without gradients and without the ControlNet's states, takes less than training does. */
enum { LOOK_SIDE = 512, SIDE_OF_V = 768 };

/* As `generate` does with such a model; its weights are packed for it, and let go. */
static int ask_prediction(train_job *j) {
    int side = j->o->size < LOOK_SIDE ? j->o->size : LOOK_SIDE;
    engine_shape shape = { .width = side, .height = side, .without = true };
    const char *const nothing = "";
    engine *e = NULL;
    int rc = room_to_look(j, &shape);
    if (rc == 0) rc = open_look(j, NULL, &e);
    if (rc == 0) rc = engine_texts(e, &nothing, 1);
    if (rc == 0) rc = engine_begin(e, &shape, nothing, NULL, NULL);
    if (rc == 0) rc = engine_look(e);
    engine_close(e);
    if (rc == 0 && checkpoint_settings_of(j->c)->prediction == PREDICT_V && j->o->size < SIDE_OF_V)
        train_say(j, MIEN_LOG_WARNING, "models that predict v were trained at a size of 768");
    return rc;
}

/* One looks, for all: ranks of a machine share its memory. */
static int ask_for_all(train_job *j) {
    int rc = j->ranks.rank ? 0 : ask_prediction(j);
    int32_t found = (int32_t)checkpoint_settings_of(j->c)->prediction;
    if (rc == 0 && j->ranks.all) rc = ranks_share(j->ranks.all, &found, sizeof found);
    if (rc == 0) checkpoint_set_prediction(j->c, (prediction_type)found);
    return rc;
}

/* A VAE is trained without the text encoder, and its checkpoints have it as it is: hours later neither a base nor a
 * ControlNet could be trained over them. */
static void warn_of_text(const train_job *j) {
    char line[600];
    tokenizer *t = NULL;
    clip_config clip;
    if (j->ranks.rank || clip_configure(j->c, &clip) < 0 || clip.vocabulary >= VOCABULARY_MOST) return;
    if (clip_tokenizer(j->c, &t) == 0 && clip_takes(j->c, &clip, t) < 0) {
        snprintf(line, sizeof line, "of what comes of this, nothing but the VAE will be of use: %s", error_message());
        train_say(j, MIEN_LOG_WARNING, line);
    }
    tokenizer_close(t);
}

/* A base is made for what it was trained at last. */
static void settle_size(train_job *j) {
    char line[200];
    int side = j->o->size, made_for = checkpoint_settings_of(j->c)->sample_size * 8;
    bool base = j->o->what == MIEN_TRAIN_BASE;
    if (made_for && made_for != side && !j->ranks.rank) {
        snprintf(line, sizeof line, "the base was made for %d x %d pixels, and the size here is %d x %d%s", made_for, made_for, side, side,
                 base ? ": the base that comes of it says so" : "");
        train_say(j, MIEN_LOG_WARNING, line);
    }
    if (base) checkpoint_set_size(j->c, side);
}

int train_settle(train_job *j) {
    const mien_train_options *o = j->o;
    bool unknown = checkpoint_settings_of(j->c)->prediction == PREDICT_UNKNOWN;
    if (o->what == MIEN_TRAIN_VAE) return warn_of_text(j), 0;
    settle_size(j);
    if (o->prediction != MIEN_PREDICTION_AUTO)
        checkpoint_set_prediction(j->c, o->prediction == MIEN_PREDICTION_V ? PREDICT_V : PREDICT_EPSILON);
    else if (unknown && o->what == MIEN_TRAIN_BASE) checkpoint_set_prediction(j->c, PREDICT_EPSILON);   /* it does from now on */
    else if (unknown) return ask_for_all(j);
    return 0;
}

/* ---- the trainer's inputs ------------------------------------------------------------------------------------------------ */

const float *train_input(const train_job *j, const micro_batch *m, trainer_input which) {
    const float *const x[TRAINER_INPUTS] = {
        [TRAINER_LATENT] = m->latent,
        [TRAINER_TIME] = m->time,
        [TRAINER_CONTEXT] = m->context,
        [TRAINER_HINT] = m->hint,
        [TRAINER_TARGET] = j->o->what == MIEN_TRAIN_VAE ? m->picture : m->target,
        [TRAINER_WEIGHT] = m->weight,
        [TRAINER_PICTURE] = m->picture,
        [TRAINER_POSTERIOR] = m->posterior,
    };
    return trainer_input_count(j->t, which) ? x[which] : NULL;
}

void train_hand_over(train_job *j, const micro_batch *m) {
    for (int k = 0; k < TRAINER_INPUTS; k++) {
        const float *x = train_input(j, m, (trainer_input)k);
        if (x) trainer_set(j->t, (trainer_input)k, x);
    }
    if (trainer_input_count(j->t, TRAINER_IDS)) trainer_set_ids(j->t, m->ids);
}
