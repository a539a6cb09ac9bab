/* SPDX-License-Identifier: Apache-2.0
 *
 * The job as one of many: what they agree on before the first step, and between steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/stop.h"
#include "train/train_inside.h"

/* Only rank 0 is seen; but what is wrong with an item is told by whoever has it. */
static void be_silent(train_job *j) {
    j->own = *j->o;
    j->own.step = NULL;
    j->own.plan = NULL;
    j->own.profile = NULL;
    j->own.hooks.progress = NULL;
    j->o = &j->own;
}

static void tell_unused(const train_job *j) {
    const ranks_machine *m = &j->machine;
    char line[256];
    if (!m->unused || j->rank || j->o->jobs > 0) return;
    snprintf(line, sizeof line, "the starter has tied ranks to cores: %d of %d are used on this machine; mpirun --bind-to none gives all of them", m->used, m->used + m->unused);
    train_say(j, MIEN_LOG_WARNING, line);
}

int train_ranks_open(train_job *j) {
    int rc = ranks_open(&j->ranks);
    if (rc < 0 || !j->ranks) return rc;
    j->rank = ranks_rank(j->ranks);
    if (j->rank) be_silent(j);
    if ((rc = ranks_machine_of(j->ranks, &j->machine)) < 0) return rc;
    if (j->o->jobs <= 0) j->threads = j->machine.cores;
    tell_unused(j);
    return 0;
}

int train_meet(train_job *j, int rc) {
    if (!j->ranks || rc < 0) return rc;
    char mine = 0, *all = malloc((size_t)ranks_count(j->ranks));
    if (!all) return error_memory((size_t)ranks_count(j->ranks));
    rc = ranks_gather(j->ranks, &mine, 1, all);
    free(all);
    return rc;
}

/* Settings, models and the data's list. */
int train_compare(train_job *j) {
    enum { DIGEST = 32 };
    text mine = { 0 };
    uint8_t digest[DIGEST], first[DIGEST];
    if (!j->ranks) return 0;
    int rc = run_settings_write(&j->settings, &mine);
    if (rc == 0) rc = text_check(&mine) < 0 ? ERR_MEMORY : 0;
    if (rc == 0) sha256(mine.data, mine.size, digest);
    text_free(&mine);
    memcpy(first, digest, sizeof first);
    if (rc == 0) rc = ranks_share(j->ranks, first, sizeof first);
    if (rc == 0 && memcmp(first, digest, sizeof first) != 0)
        rc = error_set(ERR_USAGE, "its settings, models or list of data are not those of rank 0: all ranks need the same command line and the same files");
    return train_meet(j, rc);
}

/* What rank 0 found in its checkpoint. */
int train_share(train_job *j, const save_contents *what) {
    int rc = 0;
    for (size_t i = 0; i < what->n_values && rc == 0; i++) rc = ranks_share(j->ranks, what->values[i].data, what->values[i].bytes);
    for (size_t i = 0; i < what->n_states && rc == 0; i++) {
        const save_state *s = &what->states[i];
        size_t n = shape_elements(s->shape);
        rc = ranks_share(j->ranks, s->data, n * (s->low ? sizeof(uint16_t) : stored_type_bytes(s->type)));
        if (rc == 0 && s->low) rc = ranks_share(j->ranks, s->low, n * sizeof(uint16_t));
    }
    return rc;
}

typedef struct { int32_t stop; double wait; char position[BATCH_POSITION_TEXT]; } between;

int train_agree(train_job *j, mien_train_step *s) {
    size_t count = (size_t)ranks_count(j->ranks);
    between mine, *all = malloc(count * sizeof *all);
    if (!all) return error_memory(count * sizeof *all);
    batch_position at = batch_position_of(j->batch);
    memset(&mine, 0, sizeof mine);
    mine.stop = stop_asked(j->own_stop);
    mine.wait = s->wait;
    batch_position_write(&at, mine.position);
    int rc = ranks_gather(j->ranks, &mine, sizeof mine, all);
    for (size_t k = 0; k < count && rc == 0; k++) {
        if (all[k].stop) __atomic_store_n(&j->halt, 1, __ATOMIC_RELAXED);   /* the threads of the data read it */
        if (all[k].wait > s->wait) s->wait = all[k].wait;
        memcpy(j->positions + k * BATCH_POSITION_TEXT, all[k].position, BATCH_POSITION_TEXT);
    }
    free(all);
    return rc;
}

void train_tell_exchange(const train_job *j) {
    const ranks_times *t = &j->exchange;
    double n = (double)j->result->steps;
    char line[256];
    if (!j->o->profile || !j->ranks || n < 1) return;
    snprintf(line, sizeof line, "gradients among %d ranks: a step, %.1f MB sent, %.3f s under way, of which %.3f s behind the backward pass", ranks_count(j->ranks), (double)t->bytes / n * 1e-6,
             t->seconds / n, t->waited / n);
    j->o->profile(j->o->hooks.context, line);
}
