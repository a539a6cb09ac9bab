/* SPDX-License-Identifier: Apache-2.0 */
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "base/peak_memory.h"
#include "base/stop.h"
#include "generate/settings.h"
#include "train/train_inside.h"
#include "weights/convert.h"

/* ---- what it begins with ------------------------------------------------------------------------------------------------- */

/* Without a ControlNet one is made of the base, as mien init does; it stays in the run's folder, from which a resumed
 * run reads it. */
static int get_control(train_job *j, checkpoint_shapes shapes) {
    mien_init_result r;
    struct stat st;
    if (j->o->what != MIEN_TRAIN_CONTROL) return 0;
    if (j->o->control) return snprintf(j->control, sizeof j->control, "%s", j->o->control), 0;
    snprintf(j->control, sizeof j->control, "%s/start.safetensors", j->folder.path);
    if (stat(j->control, &st) == 0) return 0;
    if (j->ranks.rank) return error_errno("%s (made by rank 0: the run's folder must be one that all ranks see)", j->control);
    mien_init_options how = {
        .base = j->o->base,
        .output = j->control,
        .seed = j->o->seed,
        .layout = MIEN_LAYOUT_CONTROL,
        .dtype = MIEN_DTYPE_F32,
        .hooks.stop = j->o->hooks.stop,
    };
    return init_run(&how, shapes, &r);
}

/* The list's lines, in order: prompt.jsonl's own, or those that shards' items would have. */
static int hash_lines(const dataset *d, char hex[65]) {
    sha256_state s;
    uint8_t digest[32];
    sha256_begin(&s);
    for (uint64_t i = 0; i < dataset_count(d); i++) {
        dataset_item item;
        int rc = dataset_read(d, i, &item);
        if (rc < 0 && rc != ERR_FORMAT) return rc;
        if (rc == 0) sha256_add(&s, item.line, strlen(item.line)), dataset_item_free(&item);
        sha256_add(&s, "\n", 1);
    }
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    return 0;
}

static int note_data(train_job *j) {
    char hex[65], path[PATH_MAX];
    dataset *d;
    int rc = dataset_open(j->o->data, &d);
    if (rc < 0) return rc;
    if (dataset_is_shards(d)) rc = hash_lines(d, hex);
    else if (snprintf(path, sizeof path, "%s/prompt.jsonl", dataset_path(d)) >= (int)sizeof path)
        rc = error_set(ERR_LIMIT, "%s: too long a path", dataset_path(d));
    else if ((rc = file_hash_until(path, j->o->hooks.stop, hex)) == 1) rc = 0;
    if (rc == 0) run_settings_data(&j->settings, dataset_count(d), hex);
    dataset_close(d);
    return rc;
}

static int open_folder(train_job *j) {
    int rc = train_settings(j->o, j->bf16, j->ranks.count, &j->settings);
    if (rc == 0) rc = train_note_models(j);
    if (rc == 0) rc = note_data(j);
    if (rc < 0) return rc;
    if (j->ranks.rank) return (j->folder.path = strdup(j->o->output)) ? 0 : error_memory(strlen(j->o->output));
    run_folder_options how = {
        .path = j->o->output,
        .resume = j->o->resume != 0,
        .data_changed = j->o->data_changed != 0,
        .settings = &j->settings,
        .later = true,
        .hooks = &j->o->hooks,
    };
    return run_folder_open(&how, &j->folder);
}

/* The iterator tells of each item once. */
static void count_left_out(void *context, mien_log_kind kind, const char *path, const char *message) {
    train_job *j = context;
    const mien_hooks *h = &j->o->hooks;
    j->result->failed += kind == MIEN_LOG_ITEM_FAILED;
    if (h->log) h->log(h->context, kind, path, message);
}

static int open_data(train_job *j) {
    const mien_train_options *o = j->o;
    char cache[PATH_MAX];
    if (snprintf(cache, sizeof cache, "%s%s", o->cache_folder ? o->cache_folder : j->folder.path,
                 o->cache_folder ? "" : "/cache") >= (int)sizeof cache)
        return error_set(ERR_LIMIT, "%s: too long a path", o->cache_folder ? o->cache_folder : j->folder.path);
    mien_iterate_options items = train_items(o);
    items.rank = j->ranks.rank;
    items.ranks = j->ranks.count;
    /* Among ranks, one that left a step in its middle would leave the others waiting. */
    items.hooks = (mien_hooks){ .log = count_left_out, .context = j, .stop = train_stop(j) };
    batch_options how = {
        .items = items,
        .batch = o->batch,
        .wants = train_wants(o),
        .crop = o->crop,
        .redraw = o->redraw != 0,
        .mirror = o->mirror != 0,
        .prompt_dropout = o->prompt_dropout,
        .min_snr = o->min_snr,
        .noise_offset = o->noise_offset,
        .predicts_v = checkpoint_settings_of(j->c)->prediction == PREDICT_V,
        .keep_latents = o->cache != MIEN_CACHE_NONE,
        .keep_texts = o->cache == MIEN_CACHE_ALL,
        .cache = cache,
        .bf16 = j->bf16,
        .threads = j->threads,
        .cpu = j->cpu,
        .replay = o->replay,
    };
    return batch_open(&how, j->c, &j->batch);
}

trainer_options train_trainer(const train_job *j) {
    const mien_train_options *o = j->o;
    return (trainer_options){
        .what = (trainer_target)o->what,
        .freeze_text = o->freeze_text != 0,
        .absolute = o->vae_loss == MIEN_VAE_L1,
        .kl_weight = o->kl_weight,
        .unlock_decoder = o->unlock_decoder != 0,
        .only_mid = o->only_mid_control != 0,
        .batch = o->batch,
        .accumulate = o->accumulate,
        .height = (size_t)train_side(o) / 8,
        .width = (size_t)train_side(o) / 8,
        .tokens = TOKENS,
        .clip = o->clip,
        .average = o->average > 0,
        .adamw = { (float)o->beta1, (float)o->beta2, (float)o->epsilon, (float)o->decay },
        .adamw8 = o->optimizer == MIEN_ADAMW8,
        .bf16 = j->bf16,
        .memory = j->room.activations,
        .threads = j->threads,
        .ranks = j->ranks.all,
        .stop = o->hooks.stop,
        .profile = o->profile,
        .context = o->hooks.context,
    };
}

static int open_trainer(train_job *j) {
    trainer_options how = train_trainer(j);
    int rc = trainer_open(&how, j->c, j->cpu, &j->t);
    if (rc == 0) train_take_turns(j);
    return rc;
}

/* How many steps it shall have, once the data are open; 0: without end. */
static int settle_steps(train_job *j) {
    uint64_t rows = batch_rows(j->batch);
    j->steps = train_steps(j->o, j->ranks.count, rows ? rows * (uint64_t)j->o->batch : batch_items(j->batch));
    return 0;
}

/* Then nothing is done, and nothing that the run's folder says is changed. */
static bool is_done(const train_job *j) { return j->steps && j->from.step && j->from.step >= j->steps; }

/* Where the run begins, before the plan. */
static void say_where(const train_job *j) {
    char line[96];
    if (j->ranks.rank || !j->folder.resumed || !j->o->plan) return;
    if (j->from.step) snprintf(line, sizeof line, "goes on from step %llu", (unsigned long long)j->from.step);
    else snprintf(line, sizeof line, "begins anew: it was ended before its first checkpoint");
    j->o->plan(j->o->hooks.context, line);
}

/* With all that a step takes. */
static int get_ready(train_job *j) {
    say_where(j);
    int rc = train_make_room(j);
    if (rc == 0) rc = open_trainer(j);
    if (rc == 0) rc = train_take_up(j);
    if (rc == 0 && !j->ranks.rank) rc = train_log_open(j->folder.path, j->step, &j->o->hooks, &j->log);
    if (rc == 0 && !j->ranks.rank) rc = events_open(j->folder.path, j->step, (double)time(NULL), &j->events);
    if (rc == 0 && !j->ranks.rank) rc = run_folder_settle(&j->folder, &j->settings);
    return train_meet(j, rc);
}

static int open_job(train_job *j, checkpoint_shapes shapes) {
    int rc = train_ranks_open(j);
    if (rc == 0) rc = settings_bf16(j->o->dtype, j->cpu, &j->bf16);
    if (rc == 0) rc = open_folder(j);
    if (rc == 0) rc = train_compare(j);
    if (rc == 0 && !j->ranks.rank) rc = get_control(j, shapes);
    rc = train_meet(j, rc);
    if (rc == 0 && j->ranks.rank) rc = get_control(j, shapes);
    if (rc == 0) rc = checkpoint_open(j->o->base, *j->control ? j->control : NULL, train_networks(j->o), &j->c);
    if (rc == 0) rc = train_settle(j);
    if (rc == 0) rc = open_data(j);
    if (rc == 0) rc = train_compare_items(j);
    if (rc == 0) rc = settle_steps(j);
    if (rc == 0) rc = train_find(j);
    return rc == 0 && !is_done(j) ? get_ready(j) : train_meet(j, rc);
}

/* ---- a step -------------------------------------------------------------------------------------------------------------- */

/* The tensor where it began: what was read of the data, or else what the trainer finds. */
static void find_lost(train_job *j, const micro_batch *m, char *out, size_t size) {
    static const char *const names[TRAINER_INPUTS] = {
        [TRAINER_LATENT] = "latent",
        [TRAINER_TIME] = "time",
        [TRAINER_CONTEXT] = "prompt",
        [TRAINER_HINT] = "map",
        [TRAINER_TARGET] = "target",
        [TRAINER_WEIGHT] = "weight of the loss",
        [TRAINER_PICTURE] = "picture",
        [TRAINER_POSTERIOR] = "noise of the posterior",
        [TRAINER_IDS] = "tokens",
    };
    for (int k = 0; k < TRAINER_INPUTS; k++) {
        const float *x = train_input(j, m, (trainer_input)k);
        for (size_t i = 0, n = !x ? 0 : trainer_input_count(j->t, (trainer_input)k); i < n; i++) {
            if (isfinite(x[i])) continue;
            snprintf(out, size, "the data's %s", names[k]);
            return;
        }
    }
    train_hand_over(j, m);
    trainer_find_lost(j->t, out, size);
}

/* Which items a loss that is no number came of, and where it began. */
static int blame(train_job *j, const micro_batch *m, int rc) {
    char ids[512] = "", message[256], where[300];
    int meet;
    snprintf(message, sizeof message, "%s", error_message());
    find_lost(j, m, where, sizeof where);
    /* Gradients are all ranks': one whose own are well lets the one speak that lost them. */
    if (!*where && (meet = train_meet(j, 0)) < 0) return meet;
    j->unchanged = *where != 0;      /* looking for it ended before any update */
    for (int i = 0; i < m->n; i++) {
        size_t at = strlen(ids);
        snprintf(ids + at, sizeof ids - at, "%s%s (time %.0f)", i ? ", " : "", m->items[i].id, (double)m->time[i]);
    }
    return error_set(rc, "step %llu: %s; it began at %s; its items: %s", (unsigned long long)j->step + 1, message,
                     *where ? where : "no tensor that could be found", ids);
}

/* A step that ended in its middle takes its data again. */
static int put_back(train_job *j, const batch_position *at, int rc) {
    char message[1024];
    snprintf(message, sizeof message, "%s", rc < 0 ? error_message() : "");
    int back = batch_restore(j->batch, at, false);
    return rc < 0 ? error_set(rc, "%s", message) : back;
}

/* 1, 0 at the end of the data, or ERR_*: then the step was not done. */
static int one_step(train_job *j, mien_train_step *s) {
    trainer_report r = { 0 };
    batch_position at = batch_position_of(j->batch);
    batch_progress before, after;
    double begin = clock_seconds();
    rate_schedule rates = { .shape = (rate_shape)j->o->schedule, .base = j->o->rate, .warmup = j->o->warmup, .steps = j->steps };
    trainer_now now = { .rate = rate_at(&rates, j->step + 1), .step = j->step + 1 };
    if (j->o->average > 0) now.average = average_decay(j->o->average, now.step);
    *s = (mien_train_step){ .step = j->step + 1, .steps = j->steps, .rate = now.rate };
    batch_progress_of(j->batch, &before);
    for (int micro = 0; micro < j->o->accumulate; micro++) {
        micro_batch m;
        int rc = batch_next(j->batch, &m);
        j->unchanged = true;
        if (rc <= 0) return micro ? put_back(j, &at, rc) : rc;
        j->unchanged = false;
        train_hand_over(j, &m);
        if (micro == 0) s->epoch = m.items[0].epoch;
        rc = trainer_step(j->t, &now, micro, &r);
        if (rc < 0) return put_back(j, &at, r.lost && ranks_failed(j->ranks.all) < 0 ? blame(j, &m, rc) : rc);
        s->loss += (double)r.loss / j->o->accumulate;
        s->divergence += (double)r.divergence / j->o->accumulate;
    }
    batch_progress_of(j->batch, &after);
    s->wait = after.waited - before.waited;
    int rc = j->ranks.all ? train_agree(j, &r, s) : 0;
    if (rc < 0) return rc;
    j->step++;
    smooth_add(&j->loss, s->loss, 0.98);
    s->smoothed = smooth_value(&j->loss);
    s->norm = (double)r.norm;
    s->seconds = clock_seconds() - begin;
    s->images_per_second = (double)j->o->batch * j->o->accumulate * j->ranks.count / s->seconds;
    return 1;
}

static int tell_step(train_job *j, mien_train_step *s) {
    uint64_t peak = peak_memory();
    s->peak_bytes = (size_t)peak;
    log_line line = {
        .step = s->step,
        .epoch = s->epoch + 1,
        .loss = s->loss,
        .smoothed = s->smoothed,
        .rate = s->rate,
        .seconds = s->seconds,
        .images_per_second = s->images_per_second,
        .wait = s->wait,
        .norm = s->norm > 0 ? s->norm : NAN,
        .divergence = j->o->what == MIEN_TRAIN_VAE ? s->divergence : NAN,
        .exchange = j->ranks.all ? s->exchange : NAN,
        .figures = s->figures,
        .peak_bytes = peak,
    };
    event_scalar scalars[] = {
        { "train/loss", s->loss },
        { "train/loss_smoothed", s->smoothed },
        { "train/lr", s->rate },
        { "train/grad_norm", line.norm },
        { "train/divergence", line.divergence },
        { "speed/images_per_second", s->images_per_second },
        { "speed/wait_seconds", s->wait },
    };
    int rc = j->ranks.rank ? 0 : train_log_add(j->log, &line);
    if (rc == 0 && !j->ranks.rank)
        rc = events_scalars(j->events, s->step, (double)time(NULL), scalars, sizeof scalars / sizeof *scalars);
    j->result->steps++;
    j->result->images += (uint64_t)j->o->batch * (uint64_t)j->o->accumulate * (uint64_t)j->ranks.count;
    j->result->wait += s->wait;
    j->result->loss = s->smoothed;
    j->result->peak_bytes = (size_t)peak;
    j->progress.done = s->step;
    j->progress.seconds = clock_seconds() - j->begin;
    if (j->o->step) j->o->step(j->o->hooks.context, s);
    if (j->o->hooks.progress) j->o->hooks.progress(j->o->hooks.context, &j->progress);
    return rc;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------ */

/* A disk that is full, a folder that is gone for a while, or memory that others have, is no reason to lose what memory
 * holds: the older checkpoints stay, and the next time it is tried again. */
static int keep_now_and_then(train_job *j) {
    bool due = j->best_now || (j->o->checkpoint_every && j->step % j->o->checkpoint_every == 0) ||
               (j->o->checkpoint_minutes > 0 && clock_seconds() - j->kept.at > 60 * j->o->checkpoint_minutes);
    if (!due) return 0;
    int rc = train_keep(j);
    if (rc != ERR_FULL && rc != ERR_IO && rc != ERR_MEMORY) return rc;
    train_say(j, MIEN_LOG_WARNING, error_message());
    return 0;
}

static int make_sheet(train_job *j) {
    j->shown = j->step;
    /* Where the folder is by now. */
    if (train_follow(j) < 0) train_say(j, MIEN_LOG_WARNING, error_message());
    return train_sheet(j);
}

static bool wants_sheets(const train_job *j) { return j->o->sheet_every && !j->room.no_sheets && !j->ranks.rank; }

static int sheet_now_and_then(train_job *j) {
    return wants_sheets(j) && j->step % j->o->sheet_every == 0 ? make_sheet(j) : 0;
}

/* One that was due when the run was ended. */
static int sheet_missed(train_job *j) {
    char path[PATH_MAX];
    if (!wants_sheets(j) || !j->step || j->step % j->o->sheet_every != 0) return 0;
    if (train_sheet_path(j, path) < 0 || access(path, F_OK) == 0) return j->shown = j->step, 0;
    return make_sheet(j);
}

/* Of the log and the events, which are no part of the work: said once, until they can be written again. */
static void note_told(train_job *j, int rc) {
    if (rc < 0 && !j->untold) train_say(j, MIEN_LOG_WARNING, error_message());
    j->untold = rc < 0;
}

/* A step that failed and changed nothing leaves the numbers of the one before, which may be hours behind the last
 * checkpoint. (Among ranks the others are ending.) */
static int keep_unchanged(train_job *j, int rc) {
    char message[1024];
    if (!j->unchanged || j->ranks.all || j->step == j->kept.step) return rc;
    snprintf(message, sizeof message, "%s", error_message());
    if (train_keep_more(j) < 0) return error_set(rc, "%s; and %s", message, error_message());
    return error_set(rc, "%s; the checkpoint of step %llu has the numbers before", message, (unsigned long long)j->step);
}

static int loop(train_job *j) {
    const volatile int *stop = train_stop(j);
    mien_train_step s;
    int rc = 1;
    if (!j->step && !j->ranks.rank && train_eval(j) < 0) rc = ERR_CANCELLED;   /* as it begins */
    if (sheet_missed(j) < 0) rc = ERR_CANCELLED;
    while (rc > 0 && (!j->steps || j->step < j->steps) && !stop_asked(stop)) {
        rc = one_step(j, &s);
        if (rc <= 0) break;
        int kept = j->ranks.rank ? 0 : train_eval(j);
        s.figures = j->figures;
        s.score = j->eval.any ? j->eval.score : NAN;
        note_told(j, tell_step(j, &s));
        if (kept == 0 && !j->ranks.rank) kept = keep_now_and_then(j);
        if (kept == 0 && !j->ranks.rank) kept = sheet_now_and_then(j);
        if (kept < 0 && kept != ERR_CANCELLED) return kept;
    }
    bool stopped = stop_asked(stop) || rc == ERR_CANCELLED;
    if (rc < 0 && rc != ERR_CANCELLED) return keep_unchanged(j, rc);
    if (rc == 0 && j->step < j->steps) train_say(j, MIEN_LOG_WARNING, "the replay ended before the last step");
    rc = j->ranks.rank || j->step == j->kept.step ? 0 : train_keep(j);
    /* What it came to is shown, too, if nobody waits for it to stop. */
    if (rc == 0 && !stopped && wants_sheets(j) && j->step != j->shown && (rc = make_sheet(j)) == ERR_CANCELLED) rc = 0;
    if ((rc = train_meet(j, rc)) < 0) return rc;
    return stopped ? error_set(ERR_CANCELLED, "stopped after step %llu; --resume goes on from there",
                               (unsigned long long)j->step) : 0;
}

/* A new run whose first step failed, or was not waited for. */
static bool came_to_nothing(const train_job *j, int rc) { return rc < 0 && !j->folder.resumed && !j->step; }

static void close_job(train_job *j, bool begun) {
    char events[PATH_MAX] = "";
    if (j->events) snprintf(events, sizeof events, "%s", strrchr(events_path(j->events), '/') + 1);
    events_close(j->events);
    train_log_close(j->log);
    trainer_close(j->t);
    batch_close(j->batch);
    checkpoint_close(j->c);
    if (begun) run_folder_close(&j->folder);
    else run_folder_undo(&j->folder, (const char *const[]){ "start.safetensors", "log.jsonl", *events ? events : NULL, NULL });
    run_settings_free(&j->settings);
    train_ranks_close(j);
}

int train_run(const mien_train_options *o, cpu_level cpu, checkpoint_shapes shapes, mien_train_result *result) {
    train_job j = {
        .o = o,
        .cpu = cpu,
        .folder = RUN_FOLDER_CLOSED,
        .threads = o->jobs > 0 ? o->jobs : parallel_cores(),
        .result = result,
        .begin = clock_seconds(),
    };
    *result = (mien_train_result){ 0 };
    int rc = open_job(&j, shapes);
    result->load = clock_seconds() - j.begin;
    bool begun = rc == 0;
    if (begun) {
        j.progress = (mien_progress){ .total = j.steps, .done = j.step };
        j.kept.at = clock_seconds();
        rc = is_done(&j) ? 0 : loop(&j);
    }
    result->done = j.t ? j.step : j.from.step;
    if (!j.kept.step) j.kept.step = j.from.step;
    if (!result->peak_bytes) result->peak_bytes = (size_t)peak_memory();
    if (j.kept.step)
        snprintf(result->checkpoint, sizeof result->checkpoint, "%s/checkpoints/step-%06llu", j.folder.path,
                 (unsigned long long)j.kept.step);
    train_ranks_end(&j, rc);
    close_job(&j, (begun && !came_to_nothing(&j, rc)) || j.ranks.rank);
    result->total = clock_seconds() - j.begin;
    return rc;
}
