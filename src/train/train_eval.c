/* SPDX-License-Identifier: Apache-2.0
 *
 * How well the ControlNet that is trained obeys by now: pictures of a few held-out items, by the trainer's own weights, in which
 * the faces are found again. Nothing of it is drawn from training's generators, so a run is the same with it and without. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "eval/eval_few.h"
#include "train/train_inside.h"

static eval_options few_of(const train_job *j) {
    eval_options o = {
        .data = j->o->eval_data, .output = j->folder.path, .picture = mien_picture_defaults(), .count = j->o->eval_items,
            .seeds = 1,
        .redraw = 1, .hooks.stop = j->o->hooks.stop,
    };
    o.picture.seed = 0;
    o.picture.added = o.picture.negative = "";
    o.picture.cfg = j->o->eval_cfg;
    o.picture.only_mid_control = j->o->only_mid_control;
    o.picture.width = o.picture.height = j->o->size;
    return o;
}

static int measure(train_job *j, eval_figures *out) {
    engine_options how = train_engine(j);
    eval_options few = few_of(j);
    engine *e = NULL;
    /* In the place of what a step takes. */
    trainer_rest(j->t);
    batch_rest(j->batch);
    int rc = engine_open(&how, &e);
    if (rc == 0) rc = eval_few(&few, j->cpu, e, out);
    engine_close(e);
    return rc;
}

/* ---- the sudden convergence ---------------------------------------------------------------------------------------------- */

/* Two in a row, so that one lucky evaluation of few items is not taken for it. */
enum { IN_A_ROW = 2 };

const char *train_eval_note(train_evaluations *t, uint64_t step, double low, double high, char *out, size_t size) {
    *out = 0;
    if (!t->any) {
        t->any = true;
        t->first_low = low;
        return out;
    }
    if (!(high < t->first_low)) {
        if (t->told)
            snprintf(out, size, "the score's interval meets that of the beginning again: it was not lasting from step %llu on",
                     (unsigned long long)t->since);
        t->below = 0;
        t->told = false;
        return out;
    }
    if (!t->below++) t->since = step;
    if (t->below < IN_A_ROW || t->told) return out;
    t->told = true;
    snprintf(out, size, "the control has taken hold: from step %llu on the score's interval lies below that of the beginning",
             (unsigned long long)t->since);
    return out;
}

/* ---- telling ------------------------------------------------------------------------------------------------------------- */

static void say(const train_job *j, const char *line) {
    train_say(j, MIEN_LOG_INFO, line);
    if (j->o->evaluated) j->o->evaluated(j->o->hooks.context, line);
}

static void tell(train_job *j, const eval_figures *f) {
    event_scalar scalars[] = {
        { "eval/found", f->found.value }, { "eval/score", f->score.value }, { "eval/score_low", f->score.low },
            { "eval/score_high", f->score.high },
        { "eval/landmarks", f->landmarks.value }, { "eval/gaze_x", f->gaze_x.value }, { "eval/gaze_y", f->gaze_y.value },
    };
    char line[400];
    int n;
    if (events_scalars(j->events, j->step, (double)time(NULL), scalars, sizeof scalars / sizeof *scalars) < 0)
        train_say(j, MIEN_LOG_WARNING, error_message());
    n = snprintf(line, sizeof line, "step %llu: %.0f%% of the faces of %zu items are found at their places; score %.2f",
                 (unsigned long long)j->step, 100 * f->found.value, f->items,
                 f->score.value);
    if (isfinite(f->score.low)) n += snprintf(line + n, sizeof line - (size_t)n, " (%.2f to %.2f)", f->score.low, f->score.high);
    if (isfinite(f->landmarks.value))
        n += snprintf(line + n, sizeof line - (size_t)n, ", landmarks %.3f IOD", f->landmarks.value);
    if (isfinite(f->gaze_x.value))
        snprintf(line + n, sizeof line - (size_t)n, ", gaze %.3f and %.3f eye widths", f->gaze_x.value, f->gaze_y.value);
    say(j, line);
}

static void take(train_job *j, const eval_figures *f) {
    char line[200];
    train_evaluations *t = &j->eval;
    t->step = j->step;
    t->score = f->score.value;
    j->figures = (mien_train_figures){ .measured = 1, .items = (int)f->items, .found = f->found.value, .score = f->score.value,
                                       .score_low = f->score.low, .score_high = f->score.high,
                                       .landmarks = f->landmarks.value, .gaze_x = f->gaze_x.value, .gaze_y = f->gaze_y.value };
    j->best_now = t->score < t->best || !t->has_best;
    if (!j->step) t->best = t->score, t->has_best = true;   /* of the beginning none is kept; else it counts when it is */
    tell(j, f);
    if (*train_eval_note(t, j->step, f->score.low, f->score.high, line, sizeof line)) say(j, line);
}

int train_eval(train_job *j) {
    eval_figures f;
    j->figures = (mien_train_figures){ 0 };
    j->best_now = false;
    if (!j->o->eval_data || j->room.no_sheets || !j->o->sheet_every || j->step % j->o->sheet_every != 0) return 0;
    if (j->step == j->eval.step && j->eval.any) return 0;   /* a run that goes on */
    int rc = measure(j, &f);
    if (rc == 0) take(j, &f);
    if (rc < 0 && rc != ERR_CANCELLED) {
        char line[1200];
        snprintf(line, sizeof line, "how well it obeys could not be measured: %s", error_message());
        train_say(j, MIEN_LOG_WARNING, line);
        rc = 0;
    }
    return rc;
}

double train_eval_measure(const train_job *j) {
    if (!j->o->eval_data) return smooth_value(&j->loss);
    return j->eval.any && j->eval.step == j->step ? j->eval.score : NAN;
}
