/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "train/train_inside.h"

void train_say(const train_job *j, mien_log_kind kind, const char *message) {
    if (j->o->hooks.log) j->o->hooks.log(j->o->hooks.context, kind, NULL, message);
}

enum { VALUES = 5 };

/* The trainer's states and the job's own, as save.h wants them; the list is the caller's to free. */
static int contents(train_job *j, save_value values[VALUES], save_contents *out, save_state **list) {
    size_t n = trainer_states(j->t);
    save_state *s = calloc(n + 1, sizeof *s);
    if (!s) return error_memory(n * sizeof *s);
    for (size_t i = 0; i < n; i++) {
        trainer_state t = trainer_state_at(j->t, i);
        s[i] = (save_state){ t.name, t.kind, t.shape, t.type == NN_U8 ? STORED_U8 : STORED_F32, t.data, t.low };
    }
    values[0] = (save_value){ "step", &j->step, sizeof j->step, false };
    values[1] = (save_value){ "loss", &j->loss, sizeof j->loss, false };
    values[2] = (save_value){ "position", j->position, sizeof j->position, false };
    /* Each rank leaves out items of its own, so none follows from another's. Other ranks than there were go on from rank 0's. */
    size_t more = 3;
    if (j->ranks.all)
        values[more++] = (save_value){ "positions", j->ranks.positions, (size_t)j->ranks.count * BATCH_POSITION_TEXT, true };
    if (j->o->eval_data) values[more++] = (save_value){ "evaluations", &j->eval, sizeof j->eval, true };
    *list = s;
    /* So that whoever generates with it does as it was trained. */
    static const save_metadata only_mid = { "mien.only_mid_control", "true" };
    *out = (save_contents){
        .tokenizer = checkpoint_tokenizer(j->c),
        .metadata = &only_mid,
        .n_metadata = j->o->only_mid_control != 0,
        .model = j->c,
        .states = s,
        .n_states = n,
        .values = values,
        .n_values = more,
        .dtype = MIEN_DTYPE_F32,
    };
    return 0;
}

/* Neither a scale that is the last checkpoint's nor a log that lacks its last lines is worth the work that a checkpoint keeps. */
static void prepare(train_job *j) {
    char line[1200];
    if (train_measure(j) < 0) {
        snprintf(line, sizeof line, "the scale of the latents could not be measured: %s", error_message());
        train_say(j, MIEN_LOG_WARNING, line);
    }
    if (train_log_sync(j->log) < 0) train_say(j, MIEN_LOG_WARNING, error_message());
}

/* A gradient that is not finite beside a loss that is shows itself one step later only, if each is used up at once; a
 * checkpoint of such numbers would be the latest. */
static int check_finite(const train_job *j) {
    char what[300];
    if (trainer_finite(j->t, what, sizeof what)) return 0;
    return error_set(ERR_LIMIT, "after step %llu the %s is not finite: no checkpoint is made of that",
                     (unsigned long long)j->step, what);
}

int train_follow(train_job *j) {
    char line[PATH_MAX + 120];
    int moved = run_folder_follow(&j->folder, &j->settings, &j->o->hooks);
    if (moved < 0 || !j->log || !j->events) return moved;
    /* Both are no part of the work: what can't be opened again is told of, and no reason not to keep a checkpoint. */
    int log = train_log_follow(&j->log, j->folder.path, j->step, &j->o->hooks);
    if (log < 0) train_say(j, MIEN_LOG_WARNING, error_message());
    if (log > 0) {
        snprintf(line, sizeof line, "%s/log.jsonl is not the file that was written to, which was removed or replaced: lines go there behind step %llu",
                 j->folder.path, (unsigned long long)j->step);
        train_say(j, MIEN_LOG_WARNING, line);
    }
    if (events_follow(&j->events, j->folder.path, j->step, (double)time(NULL)) < 0) train_say(j, MIEN_LOG_WARNING, error_message());
    return moved;
}

/* It may be moved while the checkpoint is written. */
static int write_there(train_job *j, const save_contents *what, int most) {
    save_options how = { .step = j->step, .measure = train_eval_measure(j), .keep = most, .hooks = &j->o->hooks };
    int rc = train_follow(j);
    how.run = j->folder.path;
    if (rc >= 0) rc = save_write(&how, what);
    if (rc != ERR_IO || train_follow(j) != 1) return rc;
    how.run = j->folder.path;
    return save_write(&how, what);
}

static int keep(train_job *j, int most) {
    save_value values[VALUES];
    save_contents what;
    save_state *list;
    int rc = check_finite(j);
    if (rc < 0) return rc;
    prepare(j);
    rc = contents(j, values, &what, &list);
    if (rc < 0) return rc;
    batch_position at = batch_position_of(j->batch);
    memset(j->position, 0, sizeof j->position);
    batch_position_write(&at, j->position);
    /* The best is what is there to be taken, and this checkpoint says so itself. */
    train_evaluations before = j->eval;
    if (j->best_now) j->eval.best = j->eval.score, j->eval.has_best = true;
    rc = write_there(j, &what, most);
    if (rc < 0) j->eval = before;
    free(list);
    j->kept.at = clock_seconds();
    if (rc == 0) j->kept.step = j->step;
    return rc;
}

int train_keep(train_job *j) { return keep(j, j->o->keep); }
int train_keep_more(train_job *j) { return keep(j, INT_MAX); }

int train_find(train_job *j) {
    int rc = j->ranks.rank ? 0 : save_find(j->folder.path, &j->o->hooks, &j->from);
    if (rc <= 0) j->from.step = 0;
    if (rc >= 0 && j->ranks.all) rc = ranks_share(j->ranks.all, &j->from.step, sizeof j->from.step);
    return rc < 0 ? rc : 0;
}

static int load(train_job *j) {
    save_value values[VALUES];
    save_contents what;
    save_state *list;
    int rc = contents(j, values, &what, &list);
    if (rc < 0) return rc;
    rc = save_load(&j->from, &what);
    free(list);
    j->kept.step = j->step;
    return rc;
}

static int go_on(train_job *j) {
    batch_position at;
    const char *own = j->ranks.all ? j->ranks.positions + (size_t)j->ranks.rank * BATCH_POSITION_TEXT : "";
    int rc = batch_position_read(*own ? own : j->position, &at);
    return rc < 0 ? rc : batch_restore(j->batch, &at, j->o->data_changed != 0);
}

static int share_checkpoint(train_job *j) {
    save_value values[VALUES];
    save_contents what;
    save_state *list;
    int rc = contents(j, values, &what, &list);
    if (rc < 0) return rc;
    rc = train_share(j, &what);
    free(list);
    return rc;
}

int train_take_up(train_job *j) {
    if (!j->from.step) return 0;
    int rc = j->ranks.rank ? 0 : load(j);
    if (rc == 0 && j->ranks.all) rc = share_checkpoint(j);
    return rc < 0 ? rc : go_on(j);
}

int train_kept_bytes(train_job *j, uint64_t *out) {
    save_value values[VALUES];
    save_contents what;
    save_state *list;
    int rc = contents(j, values, &what, &list);
    if (rc < 0) return rc;
    rc = save_bytes(&what, out);
    free(list);
    return rc;
}
