/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "eval/eval.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/number.h"
#include "eval/eval_inside.h"
#include "eval/eval_settings.h"
#include "eval/report.h"
#include "generate/model_hash.h"

/* ---- telling --------------------------------------------------------------------------------------------------------- */

void eval_say(evaluation *v, mien_log_kind kind, const char *path, const char *message) {
    if (v->o->hooks.log) v->o->hooks.log(v->o->hooks.context, kind, path, message);
}

void eval_tell(evaluation *v) {
    v->progress.seconds = clock_seconds() - v->begin;
    if (v->o->hooks.progress) v->o->hooks.progress(v->o->hooks.context, &v->progress);
}

bool eval_ends_all(int rc) { return rc == ERR_CANCELLED || rc == ERR_FULL || rc == ERR_MEMORY; }

static void say_of_map(void *context, const char *path, const char *message) { (void)context, (void)path, (void)message; }
static void warn_of_map(void *context, const char *path, const char *message) {
    eval_say(context, MIEN_LOG_WARNING, path, message);
}
static void say_of_engine(void *context, const char *message) { eval_say(context, MIEN_LOG_INFO, NULL, message); }
static void profile_of_engine(void *context, const char *line) {
    evaluation *v = context;
    v->o->profile(v->o->hooks.context, line);
}

/* ---- the model ------------------------------------------------------------------------------------------------------- */

static int open_model(evaluation *v) {
    const eval_options *o = v->o;
    engine_options how = {
        .base = o->base,
        .control = o->control,
        .cpu = v->cpu,
        .threads = o->jobs,
        .dtype = o->dtype,
        .prediction = o->prediction,
        .memory = o->memory,
        .may_lack_control = true,
        .say = say_of_engine,
        .profile = o->profile ? profile_of_engine : NULL,
        .context = v,
        .stop = o->hooks.stop,
    };
    int rc = engine_open(&how, &v->e);
    if (rc < 0) return rc;
    const checkpoint *c = engine_checkpoint(v->e);
    v->has[EVAL_CONTROL] = checkpoint_has(c) & CHECKPOINT_CONTROL;
    v->has[EVAL_FREE] = !o->no_free || !v->has[EVAL_CONTROL];
    v->has[EVAL_PHOTO] = !o->no_photos && vae_round_possible(c);
    if (!v->has[EVAL_CONTROL]) eval_say(v, MIEN_LOG_INFO, NULL, "there is no ControlNet: pictures without control are judged");
    if (!o->no_photos && !v->has[EVAL_PHOTO])
        eval_say(v, MIEN_LOG_WARNING, NULL, "the model's VAE has no encoder: no photo goes through it");
    rc = model_hash(c, false, o->hooks.stop, v->base_hash);
    if (rc == 0 && v->has[EVAL_CONTROL]) rc = model_hash(c, true, o->hooks.stop, v->control_hash);
    return rc;
}

/* ---- settings -------------------------------------------------------------------------------------------------------- */

static void put_number(text *out, const char *key, double x) {
    char number[NUMBER_TEXT];
    number_shortest_f64(number, x + 0.0);
    text_printf(out, ",\"%s\":%s", key, number);
}

static void put_flag(text *out, const char *key, bool x) { text_printf(out, ",\"%s\":%s", key, x ? "true" : "false"); }

static void put_text(text *out, const char *key, const char *x) {
    text_printf(out, ",\"%s\":", key);
    text_json_exact(out, x);
}

static int write_settings(evaluation *v) {
    static const char *const predictions[] = { "auto", "epsilon", "v" };
    const picture_settings *s = &v->o->picture;
    text *t = &v->settings;
    text_printf(t, "{\"format\":1,\"kind\":\"eval\",\"mien\":\"" MIEN_VERSION "\",\"settings\":{\"count\":%d,\"seeds\":%d",
                v->o->count, v->seeds);
    text_printf(t, ",\"seed\":%lld,\"steps\":%d", s->seed, s->steps);
    put_text(t, "sampler", sampler_names[s->sampler]);
    put_text(t, "rng", noise_names[s->rng]);
    put_number(t, "cfg", s->cfg);
    put_number(t, "eta", s->eta);
    put_number(t, "strength", s->strength);
    put_number(t, "start", s->start);
    put_number(t, "end", s->end);
    put_flag(t, "guess", s->guess);
    put_flag(t, "only-mid-control", s->only_mid_control);
    text_printf(t, ",\"size\":\"%dx%d\"", s->width, s->height);
    put_text(t, "added", s->added);
    put_text(t, "negative", s->negative);
    put_text(t, "dtype", engine_bf16(v->e) ? "bf16" : "f32");
    put_text(t, "prediction", predictions[v->o->prediction]);
    put_flag(t, "redraw", v->o->redraw);
    put_flag(t, "control", v->has[EVAL_CONTROL]);
    put_flag(t, "free", v->has[EVAL_FREE]);
    put_flag(t, "photos", v->has[EVAL_PHOTO]);
    put_flag(t, "metadata", !v->o->no_metadata);
    text_printf(t, "},\"models\":{\"base\":\"%s\"", v->base_hash);
    if (v->has[EVAL_CONTROL]) text_printf(t, ",\"control\":\"%s\"", v->control_hash);
    text_printf(t, "},\"data\":{\"lines\":%" PRIu64 ",\"fingerprint\":\"%016" PRIx64 "\",\"items\":%zu,\"chosen\":\"%s\"}}\n",
                dataset_count(v->d), dataset_fingerprint(v->d), v->n, v->chosen);
    return text_check(t);
}

/* ---- the folder ------------------------------------------------------------------------------------------------------ */

/* A folder of ours, or one with nothing in it. */
static int check_folder(const char *path) {
    char name[PATH_MAX];
    struct stat st;
    const struct dirent *e;
    if (stat(path, &st) < 0) return errno == ENOENT ? 0 : (error_errno("%s", path), ERR_USAGE);
    if (!S_ISDIR(st.st_mode)) return error_set(ERR_USAGE, "%s: is not a folder", path);
    if ((size_t)snprintf(name, sizeof name, "%s/settings.json", path) >= sizeof name)
        return error_set(ERR_IO, "%s: the path is too long", path);
    if (lstat(name, &st) == 0) return 0;
    DIR *dir = opendir(path);
    if (!dir) return error_errno("%s", path);
    int rc;
    bool empty = true;
    while ((rc = folder_next(dir, path, &e)) == 1) empty &= e->d_name[0] == '.';
    closedir(dir);
    return rc == 0 && !empty
            ? error_set(ERR_USAGE, "%s: is no report of mien eval (it has no settings.json) and is not empty", path) : rc;
}

static int open_folder(evaluation *v) {
    const eval_options *o = v->o;
    char pictures[PATH_MAX];
    if ((size_t)snprintf(pictures, sizeof pictures, "%s/pictures/", o->output) >= sizeof pictures)
        return error_set(ERR_IO, "%s: the path is too long", o->output);
    int rc = folder_make(o->output);
    if (rc == 0) rc = folder_lock_take(o->output, o->part, o->parts, &v->lock);
    if (rc == 0 && v->lock.missing)
        eval_say(v, MIEN_LOG_WARNING, o->output, "cannot be locked here: see that no other process writes there");
    if (rc == 0) rc = check_folder(o->output);
    if (rc == 0) rc = eval_settings_hold(o->output, &v->settings);
    if (rc == 0 && folder_check_links(o->output, pictures) < 0) rc = error_set(ERR_USAGE, "%s", error_message());
    if (rc == 0 && !o->no_pictures) rc = folder_make(pictures);
    if (rc < 0) return rc;
    file_remove_leftovers(o->output, !o->parts);
    file_remove_leftovers(pictures, !o->parts);
    return journal_open(o->output, EVAL_JOURNAL, o->part, o->parts, &v->journal);
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

/* What of others is not done; failed is done, too: whoever goes on tries it again. */
static uint64_t count_missing(const evaluation *v) {
    uint64_t n = 0;
    eval_kind kind;
    int k;
    for (size_t i = 0; i < v->n; i++)
        for (size_t s = 0; s < eval_slots(v) && !v->item[i].failed; s++)
            n += eval_slot_used(v, s, &kind, &k) && v->item[i].state[s] == PICTURE_MISSING;
    return n;
}

static int save(const evaluation *v, const char *name, const text *what) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", v->o->output, name) >= sizeof path)
        return error_set(ERR_IO, "%s: the path is too long", v->o->output);
    return file_save(path, what->data, what->size);
}

static int write_report(evaluation *v) {
    report r = { 0 };
    text json = { 0 }, html = { 0 };
    int rc = report_make(v, &r);
    if (rc == 0) rc = report_json(&r, &json);
    if (rc == 0) rc = report_html(v, &r, &html);
    if (rc == 0) rc = save(v, "report.json", &json);
    if (rc == 0) rc = save(v, "report.html", &html);
    if (rc == 0) v->result.unmeasured = r.failed, v->result.left_out = r.left_out;
    if (rc == 0 && v->o->table) report_table(&r, v->o->table, v->o->hooks.context);
    text_free(&json);
    text_free(&html);
    report_free(&r);
    v->result.reported = rc == 0;
    return rc;
}

/* Of all journals, as they are now: whichever process is the last to end its part finds nothing missing. */
static int finish(evaluation *v) {
    journal_close(v->journal);
    v->journal = NULL;
    int rc = eval_look(v);
    if (rc < 0) return rc;
    double begin = clock_seconds();
    v->result.missing = count_missing(v);
    rc = v->result.missing ? 0 : write_report(v);
    v->result.report = clock_seconds() - begin;
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

static void count_work(evaluation *v) {
    eval_kind kind;
    int k;
    for (size_t i = 0; i < v->n; i++)
        for (size_t s = 0; s < eval_slots(v) && v->item[i].mine; s++) {
            if (!eval_slot_used(v, s, &kind, &k)) continue;
            v->progress.total++;
            v->progress.skipped += v->item[i].state[s] == PICTURE_MEASURED;
        }
    v->result.items = v->n;
    v->result.skipped = v->progress.skipped;
}

static int run(evaluation *v) {
    int rc = check_folder(v->o->output);
    if (rc == 0) rc = eval_choose(v);
    if (rc == 0) rc = open_model(v);
    if (rc == 0) rc = eval_open_mesh(v);
    if (rc == 0) rc = write_settings(v);
    if (rc == 0) rc = open_folder(v);
    if (rc == 0) rc = eval_look(v);
    if (rc < 0) return rc;
    count_work(v);
    eval_tell(v);
    rc = eval_run_photos(v);
    if (rc == 0) rc = eval_run_pictures(v);
    return rc < 0 ? rc : finish(v);
}

static void put_away(evaluation *v) {
    if (v->e) {
        engine_times t = engine_times_of(v->e);
        v->result.load = t.load;
        v->result.text = t.text;
        v->result.hint = t.hint;
        v->result.decode = t.decode;
    }
    if (v->journal) journal_close(v->journal);
    folder_lock_release(&v->lock);
    engine_close(v->e);
    map_maker_free(&v->maps);
    eval_forget(v);
    text_free(&v->settings);
}

int eval_run(const eval_options *o, cpu_level cpu, eval_result *result) {
    evaluation *v = calloc(1, sizeof *v);
    if (!v) return error_memory(sizeof *v);
    v->o = o;
    v->cpu = cpu;
    v->seeds = o->seeds;
    v->begin = clock_seconds();
    v->lock = FOLDER_UNLOCKED;
    v->has[EVAL_CONTROL] = true;
    v->maps = (map_maker){ .models = o->models, .cpu = cpu, .say = say_of_map, .warn = warn_of_map, .context = v };
    v->progress.n_counts = 0;
    int rc = run(v);
    put_away(v);
    v->result.total = clock_seconds() - v->begin;
    eval_tell(v);
    if (result) *result = v->result;
    free(v);
    return rc;
}
