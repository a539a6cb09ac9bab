/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/free_memory.h"
#include "train/plan_lines.h"
#include "train/train_inside.h"

void train_say(const train_job *j, mien_log_kind kind, const char *message) {
    if (j->o->hooks.log) j->o->hooks.log(j->o->hooks.context, kind, NULL, message);
}

/* The trainer's states and the job's own, as save.h wants them; the list is the caller's to free. */
static int contents(train_job *j, save_value values[3], save_contents *out, save_state **list) {
    size_t n = trainer_states(j->t);
    save_state *s = calloc(n + 1, sizeof *s);
    if (!s) return error_memory(n * sizeof *s);
    for (size_t i = 0; i < n; i++) {
        trainer_state t = trainer_state_at(j->t, i);
        s[i] = (save_state){ t.name, t.kind, t.shape, t.type == NN_U8 ? STORED_U8 : STORED_F32, t.data, t.low };
    }
    values[0] = (save_value){ "step", &j->step, sizeof j->step };
    values[1] = (save_value){ "loss", &j->loss, sizeof j->loss };
    values[2] = (save_value){ "position", j->position, sizeof j->position };
    *list = s;
    /* So that whoever generates with it does as it was trained. */
    static const save_metadata only_mid = { "mien.only_mid_control", "true" };
    *out = (save_contents){ .tokenizer = checkpoint_tokenizer(j->c), .metadata = &only_mid, .n_metadata = j->o->only_mid_control != 0, .model = j->c, .states = s, .n_states = n, .values = values, .n_values = 3, .dtype = MIEN_DTYPE_F32 };
    return 0;
}

int train_keep(train_job *j) {
    save_value values[3];
    save_contents what;
    save_state *list;
    int rc = train_measure(j);
    if (rc == 0) rc = contents(j, values, &what, &list);
    if (rc < 0) return rc;
    if ((rc = train_log_sync(j->log)) == 0) {
        batch_position at = batch_position_of(j->batch);
        memset(j->position, 0, sizeof j->position);
        batch_position_write(&at, j->position);
        save_options how = { .run = j->folder.path, .step = j->step, .measure = smooth_value(&j->loss), .keep = j->o->keep, .hooks = &j->o->hooks };
        rc = save_write(&how, &what);
    }
    free(list);
    j->saved_at = clock_seconds();
    if (rc == 0) j->saved_step = j->step;
    return rc;
}

int train_take_up(train_job *j) {
    save_value values[3];
    save_contents what;
    save_state *list;
    save_found found;
    batch_position at;
    int rc = save_find(j->folder.path, &j->o->hooks, &found);
    if (rc <= 0) return rc;
    if ((rc = contents(j, values, &what, &list)) < 0) return rc;
    rc = save_load(&found, &what);
    free(list);
    if (rc == 0) rc = batch_position_read(j->position, &at);
    if (rc == 0) rc = batch_restore(j->batch, &at, j->o->data_changed != 0);
    j->saved_step = j->step;
    return rc;
}

static void tell_lines(const train_job *j, char *lines) {
    for (char *line = lines, *end; line && *line; line = end) {
        if ((end = strchr(line, '\n'))) *end++ = 0;
        j->o->plan(j->o->hooks.context, line);
    }
}

int train_tell_plan(train_job *j) {
    static const char *const caches[] = { "all", "latents", "none" };
    save_value values[3];
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
        if (lines.data) tell_lines(j, lines.data);
        text_free(&lines);
    }
    return run_folder_room(j->folder.path, plan_disk(&n, save_bytes_there(j->folder.path)), "checkpoints and cache");
}
