/* SPDX-License-Identifier: Apache-2.0
 *
 * mien.h's pictures: the options are looked at here, the work is in generate/. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/error.h"
#include "eval/judge.h"
#include "eval/wanted.h"
#include "face/locate.h"
#include "generate/generate.h"
#include "generate/job_line.h"
#include "generate/output.h"
#include "generate/own_model.h"
#include "weights/merges.h"

const char *const *mien_sampler_names(void) { return sampler_names; }
const char *const *mien_rng_names(void) { return noise_names; }
mien_picture_settings mien_picture_defaults(void) { return settings_defaults(); }
mien_generate_options mien_generate_defaults(void) { return (mien_generate_options){ .picture = settings_defaults() }; }

int mien_picture_settings_load(const char *png, mien_picture_settings *out) {
    picture_record r;
    char *words = output_parameters(png);
    if (!words) return error_code();
    int rc = parameters_read(words, strlen(words), &r);
    free(words);
    if (rc < 0) error_prefix("%s", png);
    else *out = r.how;
    return rc;
}

void mien_picture_settings_free(mien_picture_settings *s) {
    if (!s) return;
    free(s->strings);
    free(s->note);
    *s = settings_defaults();
}

void mien_generate_result_free(mien_generate_result *r) {
    if (!r) return;
    free(r->steps);
    *r = (mien_generate_result){ 0 };
}

enum { KEEP_MOST = 100 };   /* pictures, which are in memory until all are made */

static int check_kinds(const mien_generate_options *o) {
    if (o->dtype == MIEN_DTYPE_F16) return error_set(ERR_USAGE, "dtype f16: mien computes in bf16 or f32");
    if (o->dtype < MIEN_DTYPE_AUTO || o->dtype > MIEN_DTYPE_F32) return error_set(ERR_USAGE, "dtype %d: there is none of that number", (int)o->dtype);
    if (o->prediction < MIEN_PREDICTION_AUTO || o->prediction > MIEN_PREDICTION_V)
        return error_set(ERR_USAGE, "prediction %d: there is none of that number", (int)o->prediction);
    const mien_picture_settings *s = &o->picture;
    if (!s->steps && s->cfg == 0 && s->strength == 0 && s->end == 0)
        return error_set(ERR_USAGE, "the picture's settings are all zero: mien_generate_defaults() gives options to begin with");
    if (o->preview < 0 || o->jobs < 0) return error_set(ERR_USAGE, "preview and jobs are numbers from 0 on");
    if (o->keep_best < 0 || o->keep_best > KEEP_MOST) return error_set(ERR_USAGE, "keep_best is a number from 0 to %d", KEEP_MOST);
    return 0;
}

/* What is of a map, where there is none. */
static int check_alone(const mien_generate_options *o) {
    const struct { bool asked; const char *what; } of_map[] = {
        { o->face, "a face" }, { o->search.max_faces, "faces" }, { o->allow_empty, "an empty map" }, { o->save_map, "the map" },
        { o->check, "a check" }, { o->keep_best, "the best" },
    };
    for (size_t i = 0; i < sizeof of_map / sizeof *of_map; i++)
        if (of_map[i].asked)
            return error_set(ERR_USAGE, "%s was asked for, but the base makes the picture alone: one of photo, map and faces is needed", of_map[i].what);
    return 0;
}

/* Of one control map; a batch's lines are looked at one by one. */
static int check_single(const mien_generate_options *o) {
    generate_job j = generate_defaults(o);
    int rc = job_check(&j);
    if (rc == 0 && j.alone) rc = check_alone(o);
    if (rc == 0 && o->keep_best > j.count) rc = error_set(ERR_USAGE, "the best %d of %d pictures: count must be more", o->keep_best, j.count);
    if (rc == 0 && !(o->output && *o->output) && (o->picture.steps > 0 || o->preview))
        rc = error_set(ERR_USAGE, "an output is needed: where to write the picture");
    return rc;
}

static int check_batch(const mien_generate_options *o) {
    if (!o->output || !*o->output) return error_set(ERR_USAGE, "an output folder is needed: where a batch's pictures are written");
    if (o->save_map) return error_set(ERR_USAGE, "a batch saves no maps");
    return 0;
}

enum { CLIP_TOKENS = 49408 };

/* Whatever layout it is in: of fewer tokens than CLIP's (more are CLIP's with words added to them), or with merges in its file. */
static bool has_own_words(const weights *w) {
    static const char end[] = "token_embedding.weight";
    for (size_t i = 0; i < weights_count(w); i++) {
        const stored_tensor *t = weights_tensor(w, i);
        size_t n = strlen(t->name);
        bool table = n >= sizeof end - 1 && strcmp(t->name + n - (sizeof end - 1), end) == 0;
        if (table && t->rank == 2 && t->dim[0] < CLIP_TOKENS) return true;
    }
    return weights_metadata(w, MERGES_KEY) != NULL;
}

mien_picture_settings mien_picture_defaults_of(const char *base) {
    char room[MIEN_PATH];
    weights *w;
    if (!base || !*base || (strcmp(base, OWN_MODEL) == 0 && access(base, F_OK) < 0)) return own_model_settings();
    if (api_model(&base, room) < 0 || weights_open(base, &w) < 0) return settings_defaults();
    bool own = has_own_words(w);
    weights_close(w);
    return own ? own_model_settings() : settings_defaults();
}

/* ---- --check --------------------------------------------------------------------------------------------------------- */

typedef struct { face_mesh *mesh; } checker;

static int open_checker(const mien_generate_options *o, cpu_level level, checker *out) {
    char models[MIEN_PATH];
    int rc = locate_models(o->models, models, sizeof models);
    return rc < 0 ? rc : face_mesh_open(models, level, &out->mesh);
}

static int wanted_of_map(void *context, const char *map, faces *out) {
    (void)context;
    return wanted_load(map, out, NULL);
}

static int judge_made(void *context, const faces *wanted, const image *picture, mien_judgement *out) {
    checker *c = context;
    return judge_picture(c->mesh, wanted, picture, out, NULL);
}

/* ---- the job --------------------------------------------------------------------------------------------------------- */

int mien_generate(const mien_generate_options *options, mien_generate_result *result) {
    mien_generate_options how = *options, *o = &how;
    cpu_level level = CPU_BEST;
    if (result) *result = (mien_generate_result){ 0 };
    if (o->cpu && !cpu_level_parse(o->cpu, &level)) return error_set(ERR_USAGE, "%s: no such processor level", o->cpu);
    if (!o->picture.prompt && !o->batch) o->picture.prompt = "";
    if (!o->picture.added) o->picture.added = "";
    if (!o->picture.negative) o->picture.negative = "";
    char base[MIEN_PATH], control[MIEN_PATH];
    int rc = check_kinds(o);
    bool alone = generate_is_alone(o);
    if (rc == 0) rc = api_base(&o->base, alone ? NULL : &o->control, &o->hooks, base, control);
    if (rc == 0) rc = o->batch ? check_batch(o) : check_single(o);
    int taken = o->search.max_faces;
    if (rc == 0) rc = api_face_settings(&o->search);
    o->search.max_faces = taken;
    if (rc < 0 || (!o->check && !o->keep_best)) return rc < 0 ? rc : generate_run(o, level, NULL, result);
    checker c = { 0 };
    generate_judge judge = { .wanted = wanted_of_map, .judge = judge_made, .context = &c };
    rc = open_checker(o, level, &c);
    if (rc == 0) rc = generate_run(o, level, &judge, result);
    face_mesh_close(c.mesh);
    return rc;
}
