/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "generate/generate_inside.h"
#include "generate/model_hash.h"
#include "generate/output.h"

void generate_say(generator *g, mien_log_kind kind, const char *path, const char *message) {
    if (g->o->hooks.log) g->o->hooks.log(g->o->hooks.context, kind, path, message);
}

void generate_tell(generator *g) {
    g->progress.seconds = clock_seconds() - g->begin;
    g->progress.count[COUNT_PICTURES].n = g->result.pictures;
    if (g->o->hooks.progress) g->o->hooks.progress(g->o->hooks.context, &g->progress);
}

static void say_of_job(void *context, const char *path, const char *message) { generate_say(context, MIEN_LOG_INFO, path, message); }
static void warn_of_job(void *context, const char *path, const char *message) { generate_say(context, MIEN_LOG_WARNING, path, message); }
static void say_of_engine(void *context, const char *message) { generate_say(context, MIEN_LOG_INFO, NULL, message); }
static void profile_of_engine(void *context, const char *line) {
    generator *g = context;
    g->o->profile(g->o->hooks.context, line);
}

bool generate_is_alone(const generate_options *o) { return !o->photo && !o->map && !o->faces && !o->batch && !o->control; }

generate_job generate_defaults(const generate_options *o) {
    generate_job j = {
        .how = o->picture, .photo = o->photo, .map = o->map, .faces = o->faces, .count = o->count ? o->count : 1, .face = o->face,
        .max_faces = o->search.max_faces ? o->search.max_faces : 1, .allow_empty = o->allow_empty, .alone = generate_is_alone(o),
    };
    if (j.alone) j.how.strength = 0, j.how.guess = j.how.only_mid_control = 0;   /* the base's file may hold a ControlNet */
    return j;
}

int generate_writes(const generate_options *o, const generate_job *j) { return o->keep_best && o->keep_best < j->count ? o->keep_best : j->count; }

/* ---- before any work ------------------------------------------------------------------------------------------------- */

static int need_file(const char *path) {
    struct stat st;
    return !path || stat(path, &st) == 0 ? 0 : (error_errno("%s", path), ERR_USAGE);
}

static int check_inputs(const generate_options *o) {
    const char *const paths[] = { o->base, o->control, o->photo, o->map, o->faces, o->batch };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int rc = need_file(paths[i]);
        if (rc < 0) return rc;
    }
    return 0;
}

/* And what a run that was killed left of it. */
static int check_output(const generate_options *o, const char *path, bool preview) {
    const char *const inputs[] = { o->base, o->control, o->photo, o->map, o->faces, o->like };
    int rc = output_refuse_picture(path, o->force, preview, inputs, sizeof inputs / sizeof *inputs);
    if (rc == 0) file_remove_leftovers_of(path);
    return rc;
}

/* Pictures and previews have names of their own; the map's could be one of them. */
static int check_picture(const generate_options *o, const char *path, bool preview) {
    if (o->save_map && file_same_place(path, o->save_map)) return error_set(ERR_USAGE, "%s: the map is to be saved there, and a picture or preview too", path);
    return check_output(o, path, preview);
}

static int check_outputs(const generate_options *o, const generate_job *j) {
    char path[PATH_MAX], preview[PATH_MAX];
    int rc = 0;
    for (int k = 0; o->output && k < generate_writes(o, j) && rc == 0; k++) {
        rc = output_path(o->output, k, path);
        if (rc == 0) rc = check_picture(o, path, false);
        if (rc == 0 && o->preview) rc = output_preview_path(path, preview);
        if (rc == 0 && o->preview) rc = check_picture(o, preview, true);
    }
    return rc == 0 && o->save_map ? check_output(o, o->save_map, false) : rc;
}

/* ---- models ---------------------------------------------------------------------------------------------------------- */

/* That of --like, unless one is asked for. */
static mien_dtype choose_dtype(generator *g) {
    mien_dtype asked = g->o->dtype, theirs = g->o->picture.dtype;
    cpu_level here = cpu_level_here();
    if (asked != MIEN_DTYPE_AUTO) return asked;
    if (theirs != MIEN_DTYPE_BF16 || (g->cpu < here ? g->cpu : here) >= CPU_AVX512_BF16) return theirs;
    generate_say(g, MIEN_LOG_WARNING, NULL, "the settings are of a picture in bf16, which this processor does not have: in f32 it will not be quite the same");
    return MIEN_DTYPE_AUTO;
}

static int open_engine(generator *g) {
    const generate_options *o = g->o;
    engine_options how = {
        .base = o->base, .control = o->control, .cpu = g->cpu, .threads = o->jobs, .dtype = choose_dtype(g), .prediction = o->prediction, .likely = o->picture.prediction,
        .memory = o->memory, .may_lack_control = generate_is_alone(o),
        .say = say_of_engine, .profile = o->profile ? profile_of_engine : NULL, .context = g, .stop = o->hooks.stop,
    };
    return engine_open(&how, &g->e);
}

static int hash_model(generator *g, bool control, char out[11]) {
    return model_hash(engine_checkpoint(g->e), control, g->o->hooks.stop, out);
}

static void warn_of_other(generator *g, const char *what, const char *theirs, const char *ours) {
    char line[160];
    if (!*theirs || strncmp(theirs, ours, strlen(theirs)) == 0) return;
    snprintf(line, sizeof line, "the settings are of a picture by another %s (%s; this is %s): it will not be the same", what, theirs, ours);
    generate_say(g, MIEN_LOG_WARNING, NULL, line);
}

/* The base that the ControlNet was trained together with: whoever takes another one may wish to know. */
static const char *trained_base(const generator *g) {
    const checkpoint *c = engine_checkpoint(g->e);
    const char *theirs = checkpoint_settings_of(c)->trained_base;
    return theirs && !generate_is_alone(g->o) && strcmp(checkpoint_file(c, true, 0), checkpoint_file(c, false, 0)) != 0 ? theirs : "";
}

static void warn_of_base(generator *g, const char *theirs) {
    char line[200];
    if (!*theirs || strncmp(theirs, g->base_hash, strlen(g->base_hash)) == 0) return;
    snprintf(line, sizeof line, "the ControlNet was trained together with another base (%.10s; this is %s), which a run keeps beside it", theirs, g->base_hash);
    generate_say(g, MIEN_LOG_WARNING, NULL, line);
}

/* Only where a picture is to name them, or it or the ControlNet names others. */
static int hash_models(generator *g) {
    const picture_settings *like = &g->o->picture;
    const char *together = trained_base(g);
    if (g->o->no_metadata && !*like->base_hash && !*like->control_hash && !*together) return 0;
    double begin = clock_seconds();
    int rc = hash_model(g, false, g->base_hash);
    if (rc == 0 && !generate_is_alone(g->o)) rc = hash_model(g, true, g->control_hash);
    g->result.load += clock_seconds() - begin;
    if (rc < 0) return rc;
    warn_of_other(g, "model", like->base_hash, g->base_hash);
    warn_of_base(g, together);
    if (*g->control_hash) warn_of_other(g, "ControlNet", like->control_hash, g->control_hash);
    return 0;
}

/* ---- one job --------------------------------------------------------------------------------------------------------- */

static int run_single(generator *g) {
    prepared_job *p = calloc(1, sizeof *p);
    if (!p) return error_memory(sizeof *p);
    p->j = generate_defaults(g->o);
    if (g->o->output) snprintf(p->path, sizeof p->path, "%s", g->o->output);
    int rc = check_outputs(g->o, &p->j);
    if (rc == 0) rc = open_engine(g);
    if (rc == 0 && p->j.alone)
        generate_say(g, MIEN_LOG_INFO, NULL, "without a photo, a map or landmarks the base makes the picture alone: no face steers it");
    if (rc == 0) rc = prepare_job(g, p, false);
    if (rc == 0 && g->o->output) rc = hash_models(g);
    if (rc == 0) {
        g->progress.total = prepared_steps(p);
        generate_tell(g);
        rc = encode_jobs(g, &p, 1);
    }
    if (rc == 0) rc = run_job(g, p, true);
    prepared_free(p);
    free(p);
    return rc;
}

static int run(generator *g) {
    int rc = check_inputs(g->o);
    if (rc < 0 || !g->o->batch) return rc < 0 ? rc : run_single(g);
    rc = open_engine(g);
    if (rc == 0) rc = hash_models(g);
    return rc < 0 ? rc : batch_run(g);
}

int generate_run(const generate_options *o, cpu_level cpu, const generate_judge *judge, generate_result *result) {
    generator g = {
        .o = o, .cpu = cpu, .judge = judge, .begin = clock_seconds(), .maps = { .models = o->models, .cpu = cpu, .search = o->search, .say = say_of_job, .warn = warn_of_job },
        .progress = { .n_counts = COUNTS, .count = { { "pictures", 0 }, { "control_steps", 0 } } },
    };
    g.maps.context = &g;
    int rc = run(&g);
    if (g.e) {
        engine_times t = engine_times_of(g.e);
        g.result.load += t.load;
        g.result.text += t.text;
        g.result.hint += t.hint;
        g.result.decode += t.decode;
    }
    engine_close(g.e);
    map_maker_free(&g.maps);
    g.result.total = clock_seconds() - g.begin;
    generate_tell(&g);
    if (result) *result = g.result;
    else free(g.result.steps);
    return rc;
}
