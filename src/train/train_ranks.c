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
    j->ranks.own = *j->o;
    j->ranks.own.step = NULL;
    j->ranks.own.plan = NULL;
    j->ranks.own.profile = NULL;
    j->ranks.own.hooks.progress = NULL;
    j->o = &j->ranks.own;
}

static void tell_unused(const train_job *j) {
    const ranks_machine *m = &j->ranks.machine;
    char line[256];
    if (!m->unused || j->ranks.rank || j->o->jobs > 0) return;
    snprintf(line, sizeof line,
             "the starter has tied ranks to cores: %d of %d are used on this machine; mpirun --bind-to none gives all of them",
             m->used, m->used + m->unused);
    train_say(j, MIEN_LOG_WARNING, line);
}

int train_ranks_open(train_job *j) {
    train_ranks *r = &j->ranks;
    r->own_stop = j->o->hooks.stop;
    int rc = ranks_open(&r->all);
    r->rank = ranks_rank(r->all);
    r->count = ranks_count(r->all);
    if (rc < 0 || !r->all) return rc;
    if (r->rank) be_silent(j);
    r->positions = calloc((size_t)r->count, BATCH_POSITION_TEXT);
    if (!r->positions) return error_memory((size_t)r->count * BATCH_POSITION_TEXT);
    if ((rc = ranks_machine_of(r->all, &r->machine)) < 0) return rc;
    if (j->o->jobs <= 0) j->threads = r->machine.cores;
    tell_unused(j);
    return 0;
}

/* What the exchange of gradients cost, as a line of the profile. */
static void tell_exchange(const train_job *j) {
    const ranks_times *t = &j->ranks.exchange;
    double n = (double)j->result->steps;
    char line[256];
    if (!j->o->profile || !j->ranks.all || n < 1) return;
    snprintf(line, sizeof line,
             "gradients among %d ranks: a step, %.1f MB sent, %.3f s under way, of which %.3f s behind the backward pass",
             j->ranks.count, (double)t->bytes / n * 1e-6, t->seconds / n, t->waited / n);
    j->o->profile(j->o->hooks.context, line);
}

void train_ranks_end(train_job *j, int rc) {
    const train_ranks *r = &j->ranks;
    /* What goes wrong behind an agreed stop the others must hear of, too: they wait for the last checkpoint. */
    bool agreed = r->halt && rc == ERR_CANCELLED;
    int failed = ranks_failed(r->all);
    j->result->rank = r->rank;
    j->result->ranks = r->count;
    j->result->elsewhere = rc < 0 && (failed >= 0 ? failed != r->rank : agreed && !stop_asked(r->own_stop));
    int own = r->own_stop ? __atomic_load_n(r->own_stop, __ATOMIC_RELAXED) : 0, first;
    if (rc == ERR_CANCELLED && !agreed) ranks_stop(r->all, own, error_message());
    else if (rc < 0 && !agreed) ranks_fail(r->all, rc, error_message());
    /* The first rank that was told to stop says it for all: mpirun tells the others later, and another signal. */
    first = ranks_stopped_by(r->all);
    j->result->stopped = rc != ERR_CANCELLED ? 0 : r->halt ? r->halt : first ? first : own;
    tell_exchange(j);
}

void train_ranks_close(train_job *j) {
    ranks_close(j->ranks.all);
    free(j->ranks.positions);
}

const volatile int *train_stop(const train_job *j) { return j->ranks.all ? &j->ranks.halt : j->o->hooks.stop; }

int train_meet(train_job *j, int rc) {
    if (!j->ranks.all || rc < 0) return rc;
    char mine = 0, *all = malloc((size_t)j->ranks.count);
    if (!all) return error_memory((size_t)j->ranks.count);
    rc = ranks_gather(j->ranks.all, &mine, 1, all);
    free(all);
    return rc;
}

/* Whether these bytes are the same at all; `what` they tell of. */
static int compare(train_job *j, const void *mine, size_t bytes, const char *what) {
    enum { MOST = 32 };
    uint8_t first[MOST];
    memcpy(first, mine, bytes);
    int rc = ranks_share(j->ranks.all, first, bytes);
    if (rc == 0 && memcmp(first, mine, bytes) != 0)
        rc = error_set(ERR_USAGE, "its %s are not those of rank 0: all ranks need the same command line and the same files", what);
    return train_meet(j, rc);
}

/* A setting like others, but one that nobody wrote: ranks on machines of several kinds hear of it by its name. */
static int compare_levels(train_job *j) {
    cpu_level here = cpu_level_here();
    int32_t mine = (int32_t)(j->cpu < here ? j->cpu : here), first = mine;
    int rc = ranks_share(j->ranks.all, &first, sizeof first);
    if (rc == 0 && first != mine)
        rc = error_set(ERR_USAGE, "it computes on the level %s and rank 0 on %s: --cpu %s for all ranks makes them one run",
                       cpu_level_name((cpu_level)mine), cpu_level_name((cpu_level)first),
                       cpu_level_name((cpu_level)(mine < first ? mine : first)));
    return train_meet(j, rc);
}

/* Settings, models and the data's list. */
int train_compare(train_job *j) {
    text mine = { 0 };
    uint8_t digest[32];
    if (!j->ranks.all) return 0;
    int rc = compare_levels(j);
    if (rc < 0) return rc;
    rc = run_settings_write(&j->settings, &mine);
    if (rc == 0) rc = text_check(&mine) < 0 ? ERR_MEMORY : 0;
    if (rc == 0) sha256(mine.data, mine.size, digest);
    text_free(&mine);
    return rc < 0 ? train_meet(j, rc) : compare(j, digest, sizeof digest, "settings, models or list of data");
}

/* Which of the data are taken, of which settings.json says nothing: among other items a place of the order would mean
 * another one. */
int train_compare_items(train_job *j) {
    uint64_t list = batch_position_of(j->batch).items.data;
    return j->ranks.all ? compare(j, &list, sizeof list, "data, or the lists of --only and --exclude,") : 0;
}

/* What rank 0 found in its checkpoint. */
int train_share(train_job *j, const save_contents *what) {
    int rc = 0;
    for (size_t i = 0; i < what->n_values && rc == 0; i++)
        rc = ranks_share(j->ranks.all, what->values[i].data, what->values[i].bytes);
    for (size_t i = 0; i < what->n_states && rc == 0; i++) {
        const save_state *s = &what->states[i];
        size_t n = shape_elements(s->shape);
        rc = ranks_share(j->ranks.all, s->data, n * (s->low ? sizeof(uint16_t) : stored_type_bytes(s->type)));
        if (rc == 0 && s->low) rc = ranks_share(j->ranks.all, s->low, n * sizeof(uint16_t));
    }
    return rc;
}

/* ---- between steps ------------------------------------------------------------------------------------------------------- */

typedef struct { int32_t stop; double wait; char position[BATCH_POSITION_TEXT]; } between;

static void add_exchange(train_job *j, const trainer_report *r, mien_train_step *s) {
    ranks_times *sum = &j->ranks.exchange;
    sum->bytes += r->exchange.bytes;
    sum->seconds += r->exchange.seconds;
    sum->waited += r->exchange.waited;
    s->loss = (double)r->mean_loss;
    s->divergence = (double)r->mean_divergence;
    s->exchange = r->exchange.waited;
}

int train_agree(train_job *j, const trainer_report *r, mien_train_step *s) {
    size_t count = (size_t)j->ranks.count;
    between mine, *all = malloc(count * sizeof *all);
    if (!all) return error_memory(count * sizeof *all);
    batch_position at = batch_position_of(j->batch);
    memset(&mine, 0, sizeof mine);
    mine.stop = j->ranks.own_stop ? __atomic_load_n(j->ranks.own_stop, __ATOMIC_RELAXED) : 0;
    mine.wait = s->wait;
    batch_position_write(&at, mine.position);
    int rc = ranks_gather(j->ranks.all, &mine, sizeof mine, all);
    for (size_t k = 0; k < count && rc == 0; k++) {
        /* The threads of the data read it, too. The first rank's reason is that of all. */
        if (all[k].stop && !j->ranks.halt) __atomic_store_n(&j->ranks.halt, all[k].stop, __ATOMIC_RELAXED);
        if (all[k].wait > s->wait) s->wait = all[k].wait;
        memcpy(j->ranks.positions + k * BATCH_POSITION_TEXT, all[k].position, BATCH_POSITION_TEXT);
    }
    free(all);
    if (rc == 0) add_exchange(j, r, s);
    return rc;
}
