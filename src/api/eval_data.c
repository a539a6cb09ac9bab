/* SPDX-License-Identifier: Apache-2.0
 *
 * mien.h's evaluation: the options are looked at here, the work is in eval/. */
#include <sys/stat.h>

#include "api/api.h"
#include "base/error.h"
#include "eval/eval.h"
#include "generate/settings.h"

mien_eval_options mien_eval_defaults(void) {
    mien_eval_options o = { .picture = settings_defaults(), .count = 100, .seeds = 1, .show = 24 };
    o.picture.seed = 0;
    return o;
}

static int check_kinds(const mien_eval_options *o) {
    if (o->dtype == MIEN_DTYPE_F16) return error_set(ERR_USAGE, "dtype f16: mien computes in bf16 or f32");
    if (o->dtype < MIEN_DTYPE_AUTO || o->dtype > MIEN_DTYPE_F32)
        return error_set(ERR_USAGE, "dtype %d: there is none of that number", (int)o->dtype);
    if (o->prediction < MIEN_PREDICTION_AUTO || o->prediction > MIEN_PREDICTION_V)
        return error_set(ERR_USAGE, "prediction %d: there is none of that number", (int)o->prediction);
    if (o->count < 1 || o->count > MIEN_EVAL_ITEMS)
        return error_set(ERR_USAGE, "count is %d: 1 to %d items are possible", o->count, MIEN_EVAL_ITEMS);
    if (o->seeds < 1 || o->seeds > MIEN_EVAL_SEEDS)
        return error_set(ERR_USAGE, "seeds is %d: 1 to %d are possible", o->seeds, MIEN_EVAL_SEEDS);
    if (o->picture.seed < 0)
        return error_set(ERR_USAGE, "seed is %lld: one from 0 on is needed, so that it is the same evaluation when it goes on",
                         o->picture.seed);
    if (o->picture.steps < 1) return error_set(ERR_USAGE, "steps is %d: 1 at least is needed", o->picture.steps);
    return o->jobs < 0 ? error_set(ERR_USAGE, "jobs is a number from 0 on") : 0;
}

static int need_file(const char *path) {
    struct stat st;
    return !path || stat(path, &st) == 0 ? 0 : (error_errno("%s", path), ERR_USAGE);
}

int mien_eval(const mien_eval_options *options, mien_eval_result *result) {
    mien_eval_options how = *options, *o = &how;
    cpu_level level = CPU_BEST;
    char base[MIEN_PATH], control[MIEN_PATH];
    if (result) *result = (mien_eval_result){ 0 };
    if (o->cpu && !cpu_level_parse(o->cpu, &level)) return error_set(ERR_USAGE, "%s: no such processor level", o->cpu);
    if (!o->data || !*o->data) return error_set(ERR_USAGE, "a data set is needed");
    if (!o->output || !*o->output) return error_set(ERR_USAGE, "an output is needed: the report's folder");
    if (!o->count) o->count = 100;
    if (!o->seeds) o->seeds = 1;
    o->picture.prompt = "";
    if (!o->picture.added) o->picture.added = "";
    if (!o->picture.negative) o->picture.negative = "";
    int rc = check_kinds(o);
    if (rc == 0) rc = api_part(o->part, o->parts);
    if (rc == 0) rc = settings_check(&o->picture);
    if (rc == 0) rc = api_base(&o->base, &o->control, &o->hooks, base, control);
    if (rc == 0) rc = need_file(o->base);
    if (rc == 0) rc = need_file(o->control);
    if (rc == 0) rc = need_file(o->only);
    if (rc == 0) rc = need_file(o->exclude);
    return rc < 0 ? rc : eval_run(o, level, result);
}
