/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "train/plan_lines.h"
#include "train/train_inside.h"

void train_say(const train_job *j, mien_log_kind kind, const char *message) {
    if (j->o->hooks.log) j->o->hooks.log(j->o->hooks.context, kind, NULL, message);
}

enum { VALUES = 4 };

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
    if (j->ranks) values[3] = (save_value){ "positions", j->positions, (size_t)ranks_count(j->ranks) * BATCH_POSITION_TEXT, true };
    *list = s;
    /* So that whoever generates with it does as it was trained. */
    static const save_metadata only_mid = { "mien.only_mid_control", "true" };
    *out = (save_contents){ .tokenizer = checkpoint_tokenizer(j->c), .metadata = &only_mid, .n_metadata = j->o->only_mid_control != 0, .model = j->c, .states = s, .n_states = n, .values = values, .n_values = j->ranks ? 4 : 3, .dtype = MIEN_DTYPE_F32 };
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

int train_keep(train_job *j) {
    save_value values[VALUES];
    save_contents what;
    save_state *list;
    prepare(j);
    int rc = contents(j, values, &what, &list);
    if (rc < 0) return rc;
    batch_position at = batch_position_of(j->batch);
    memset(j->position, 0, sizeof j->position);
    batch_position_write(&at, j->position);
    save_options how = { .run = j->folder.path, .step = j->step, .measure = smooth_value(&j->loss), .keep = j->o->keep, .hooks = &j->o->hooks };
    rc = save_write(&how, &what);
    free(list);
    j->saved_at = clock_seconds();
    if (rc == 0) j->saved_step = j->step;
    return rc;
}

/* 1: a checkpoint was there; 0: none; ERR_*. */
static int load(train_job *j) {
    save_value values[VALUES];
    save_contents what;
    save_state *list;
    save_found found;
    int rc = save_find(j->folder.path, &j->o->hooks, &found);
    if (rc <= 0) return rc;
    if ((rc = contents(j, values, &what, &list)) < 0) return rc;
    rc = save_load(&found, &what);
    free(list);
    j->saved_step = j->step;
    return rc < 0 ? rc : 1;
}

static int go_on(train_job *j) {
    batch_position at;
    const char *own = j->ranks ? j->positions + (size_t)j->rank * BATCH_POSITION_TEXT : "";
    int rc = batch_position_read(*own ? own : j->position, &at);
    return rc < 0 ? rc : batch_restore(j->batch, &at, j->o->data_changed != 0);
}

static int share(train_job *j, int *found) {
    save_value values[VALUES];
    save_contents what;
    save_state *list;
    int rc = ranks_share(j->ranks, found, sizeof *found);
    if (rc < 0 || !*found) return rc;
    if ((rc = contents(j, values, &what, &list)) < 0) return rc;
    rc = train_share(j, &what);
    free(list);
    return rc;
}

int train_take_up(train_job *j) {
    int found = 0, rc = 0;
    if (j->ranks && !(j->positions = calloc((size_t)ranks_count(j->ranks), BATCH_POSITION_TEXT))) return error_memory((size_t)ranks_count(j->ranks) * BATCH_POSITION_TEXT);
    if (!j->rank) rc = found = load(j);
    if (rc >= 0) rc = j->ranks ? share(j, &found) : 0;
    return rc < 0 || !found ? rc : go_on(j);
}

static void tell_lines(const train_job *j, char *lines) {
    for (char *line = lines, *end; line && *line; line = end) {
        if ((end = strchr(line, '\n'))) *end++ = 0;
        j->o->plan(j->o->hooks.context, line);
    }
}

/* Each sends its share to all, and all of theirs to each: train/ranks_sums.c. */
static void tell_exchange(const train_job *j, const plan_needs *n, text *out) {
    char size[32];
    uint64_t count = (uint64_t)ranks_count(j->ranks);
    plan_size(size, n->trained * sizeof(float) / count * (count - 1) * 2);
    text_printf(out, "exchange     %9s   sent and received in each step by each of %d ranks\n", size, ranks_count(j->ranks));
}

int train_tell_plan(train_job *j) {
    static const char *const caches[] = { "all", "latents", "none" };
    save_value values[VALUES];
    save_contents what;
    save_state *list;
    batch_needs data;
    uint64_t checkpoint = 0;
    int rc = contents(j, values, &what, &list);
    if (rc < 0) return rc;
    rc = save_bytes(&what, &checkpoint);
    free(list);
    if (rc == 0) rc = batch_needed(j->batch, &data);
    if (rc < 0) return rc;
    plan_needs n = j->plan;
    n.checkpoint = checkpoint;
    n.keep = j->o->keep;
    n.cache = data.disk.all;
    n.cached = data.disk.there;
    n.cache_kind = caches[j->o->cache];
    n.disk_free = data.disk.free;
    if (j->o->plan) {
        text lines = { 0 };
        plan_lines(&n, &lines);
        if (j->ranks) tell_exchange(j, &n, &lines);
        if (lines.data) tell_lines(j, lines.data);
        text_free(&lines);
    }
    return j->rank ? 0 : run_folder_room(j->folder.path, plan_disk(&n, save_bytes_there(j->folder.path)), "checkpoints and cache");
}
