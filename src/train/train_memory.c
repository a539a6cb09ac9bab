/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of a run, settled before anything large is read: a trainer that only counts tells what it would take, and what more
 * it is than --memory gives, or than the machine has free, is saved in this order. Encoders, where the cache still needs them,
 * take turns with activations: they cost time as long as the cache fills. Then activations are computed again. Sheets are left
 * out if nothing else is in the way. What is left is refused, with what would fit.  Then the whole plan is told, of disk and
 * exchange, too. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/free_memory.h"
#include "base/peak_memory.h"
#include "train/train_inside.h"
#include "train/train_reconstruct.h"

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* ---- what it takes --------------------------------------------------------------------------------------------------------- */

static void take_trainer(plan_needs *n, const trainer *t, size_t *least) {
    trainer_plan p = trainer_planned(t);
    n->weights = p.weights;
    n->states = p.states;
    n->summed = p.summed;
    n->activations = p.activations;
    n->flops = p.flops;
    n->flops_again = p.flops_again;
    n->trained = p.trained;
    *least = p.least;
}

static int engine_sheets(const train_job *j, engine_share *out) {
    engine_options how = train_engine(j);
    engine_shape shape = train_sheet_shape(j);
    engine *e = NULL;
    int rc = engine_open(&how, &e);
    if (rc == 0) rc = engine_needs(e, &shape, out);
    engine_close(e);
    return rc;
}

/* What sheets take besides, of a trainer that counts: of a VAE's, whole pictures, whatever is cut of them for its steps. */
static int add_sheets(const train_job *j, plan_needs *n) {
    engine_share share;
    int rc = j->o->what == MIEN_TRAIN_VAE ? reconstructor_needs(j, &share) : engine_sheets(j, &share);
    if (rc < 0) return rc;
    n->weights += share.stays;
    n->sheets_stay = share.stays;
    n->sheets = share.passes;
    return 0;
}

/* What can't be counted before: the threads that read items with their decoders, holes in the heap; and, of packed
 * weights, ends of huge pages. */
enum { ALLOWANCE = 96 << 20, ENCODERS_BESIDE = 16 << 20 };

/* Without a limit. The program's share is what it has while all of the small things are there: graphs, plans, primitives. */
static int count(train_job *j, plan_needs *n, size_t *least) {
    trainer_options how = train_trainer(j);
    batch_needs data;
    how.counting = true;
    int rc = trainer_open(&how, j->c, j->cpu, &j->t);
    if (rc < 0) return rc;
    take_trainer(n, j->t, least);
    if ((rc = batch_needed(j->batch, &data)) == 0) {
        n->data = data.memory;
        n->encoders = data.encoders ? data.encoders + data.encoders / 32 + ENCODERS_BESIDE : 0;
    }
    if (rc == 0 && (j->o->sheet_every || j->o->measure_scale)) rc = add_sheets(j, n);
    n->program = resident_memory() + ALLOWANCE + n->weights / 64;
    return rc;
}

static uint64_t fixed(const plan_needs *n) { return n->program + n->weights + n->states + n->data; }

/* Where as much is saved as can be. What measures a VAE's scale is what makes its sheets, and has to be there. */
static uint64_t least_of(const train_job *j, const plan_needs *n, size_t least) {
    return fixed(n) + larger(larger(least, n->encoders), j->o->measure_scale ? n->sheets : 0);
}

/* ---- what would fit ----------------------------------------------------------------------------------------------------- */

enum { ADVICE = 128 };

/* words: what fits. nearest: what comes nearest to fitting, while nothing does. */
typedef struct {
    const train_job *j;
    const plan_needs *n;
    uint64_t limit, nearest;
    text words;
    char nearest_with[ADVICE];
    int found;
} advice;

/* How much less another trainer would take. */
static int try_other(advice *a, const trainer_options *o, const char *words) {
    trainer_options how = *o;
    plan_needs n = *a->n;
    trainer *t;
    size_t least;
    char size[32];
    how.counting = true;
    int rc = trainer_open(&how, a->j->c, a->j->cpu, &t);
    if (rc < 0) return rc;
    take_trainer(&n, t, &least);
    trainer_close(t);
    n.weights += n.sheets_stay;
    uint64_t needed = least_of(a->j, &n, least);
    plan_size(size, needed);
    if (needed <= a->limit) text_printf(&a->words, "%s%s (%s)", a->found++ ? ", or with " : " It would fit with ", words, size);
    else if (!a->nearest || needed < a->nearest) {
        a->nearest = needed;
        snprintf(a->nearest_with, sizeof a->nearest_with, "%s", words);
    }
    return 0;
}

/* Of a batch that divides the one asked for: the same pictures a step, if gradients may wait; else fewer; and both with smaller
 * moments. */
static int try_batch(advice *a, trainer_options o, int batch) {
    char words[ADVICE];
    int before = a->found, accumulate = o.batch / batch * (o.accumulate > 1 ? o.accumulate : 1), rc = 0;
    for (int k = 0; k < 4 && rc == 0 && a->found == before; k++) {
        bool smaller = k / 2, together = k % 2 == 0;
        if (smaller && a->j->o->optimizer == MIEN_ADAMW8) break;
        trainer_options how = o;
        how.batch = batch;
        how.accumulate = together ? accumulate : o.accumulate;
        how.adamw8 = o.adamw8 || smaller;
        int at = snprintf(words, sizeof words, "--batch %d", batch);
        if (together) at += snprintf(words + at, sizeof words - (size_t)at, " --accumulate %d", accumulate);
        if (smaller) snprintf(words + at, sizeof words - (size_t)at, " --optimizer adamw8");
        rc = try_other(a, &how, words);
    }
    return rc;
}

static int try_batches(advice *a, const trainer_options *o) {
    int rc = 0;
    for (int smaller = o->batch / 2; rc == 0 && smaller >= 1 && !a->found; smaller--)
        if (o->batch % smaller == 0) rc = try_batch(a, *o, smaller);
    return rc;
}

/* All that saves memory at this size, where there is more of it than was tried alone. */
static int try_all(advice *a, const trainer_options *o) {
    char words[ADVICE] = "";
    size_t at = 0;
    trainer_options how = *o;
    how.batch = how.accumulate = 1;
    how.clip = 0;
    how.adamw8 = true;
    if (o->batch > 1) at += (size_t)snprintf(words + at, sizeof words - at, "--batch 1, ");
    if (!o->adamw8) at += (size_t)snprintf(words + at, sizeof words - at, "--optimizer adamw8, ");
    if (o->accumulate > 1) at += (size_t)snprintf(words + at, sizeof words - at, "no --accumulate, ");
    if (o->clip > 0) at += (size_t)snprintf(words + at, sizeof words - at, "no --clip, ");
    if (!at) return 0;
    words[at - 2] = 0;
    return try_other(a, &how, words);
}

static int try_others(advice *a) {
    trainer_options o = train_trainer(a->j), how = o;
    int rc = 0;
    o.memory = 0;
    if (!o.adamw8) {
        how = o;
        how.adamw8 = true;
        rc = try_other(a, &how, "--optimizer adamw8");
    }
    if (rc == 0 && o.clip > 0 && o.accumulate <= 1) {
        how = o;
        how.clip = 0;
        rc = try_other(a, &how, "no --clip");
    }
    if (rc == 0) rc = try_batches(a, &o);
    return rc == 0 && !a->found ? try_all(a, &o) : rc;
}

/* A smaller size is not tried: that would be another training. */
static int say_nothing_fits(advice *a) {
    char program[32], nearest[32];
    plan_size(program, a->n->program);
    plan_size(nearest, a->nearest);
    if (a->n->program > a->limit) text_printf(&a->words, " Nothing fits: the program alone takes %s", program);
    else if (a->nearest)
        text_printf(&a->words, " Nothing fits at this --size: with %s it is still %s, %s of them the program alone",
                    a->nearest_with, nearest, program);
    else
        text_printf(&a->words, " Nothing fits at this --size: batch, optimizer and clipping are at their least already, and %s of it are the program alone",
                    program);
    return text_check(&a->words);
}

static int refuse(const train_job *j, const plan_needs *n, uint64_t limit, size_t least) {
    char needed[32], given[32];
    advice a = { .j = j, .n = n, .limit = limit };
    const char *whose = j->o->memory ? "may be used (--memory)" : "are free (--memory says how much may be used)";
    int rc = n->program > limit ? 0 : try_others(&a);
    if (rc == 0) rc = a.found ? text_check(&a.words) : say_nothing_fits(&a);
    uint64_t bytes = least_of(j, n, least);
    plan_size(needed, bytes + bytes / 200);   /* of three digits, and enough if it is taken at its word */
    plan_size(given, limit);
    if (rc == 0)
        rc = error_set(ERR_LIMIT, "%s of memory are needed at least, with as much computed again as can be, and %s %s.%s", needed, given, whose,
                       a.words.data);
    text_free(&a.words);
    return rc;
}

/* ---- deciding ----------------------------------------------------------------------------------------------------------- */

/* Its plan once more, with a limit for activations. */
static int compute_again(train_job *j, size_t limit) {
    plan_needs with = j->room.plan;
    size_t least;
    trainer_close(j->t);
    j->t = NULL;
    j->room.activations = limit;
    trainer_options how = train_trainer(j);
    how.counting = true;
    int rc = trainer_open(&how, j->c, j->cpu, &j->t);
    if (rc < 0) return rc;
    take_trainer(&with, j->t, &least);
    with.weights = j->room.plan.weights;   /* with what sheets add */
    j->room.plan = with;
    return 0;
}

static void say_saving(const train_job *j, uint64_t limit) {
    char given[32], line[160];
    if (j->o->memory || !(j->room.activations || j->room.plan.turns)) return;
    plan_size(given, limit);
    snprintf(line, sizeof line, "%s of memory are free: %s", given,
             j->room.activations ? "some of each step is computed twice" : "encoders and activations take turns");
    train_say(j, MIEN_LOG_WARNING, line);
}

static void say_no_sheets(const train_job *j, uint64_t needed) {
    char line[200], size[32];
    plan_size(size, needed);
    snprintf(line, sizeof line, "no sheets are made%s: that would take %s of memory",
             j->o->eval_data ? ", and how well it obeys is not measured (--eval-data)" : "", size);
    train_say(j, MIEN_LOG_WARNING, line);
}

static int fit(train_job *j, uint64_t limit, size_t least) {
    plan_needs *n = &j->room.plan;
    if (plan_memory(n) <= limit) return 0;
    n->turns = n->encoders > 0;
    uint64_t passing = larger(larger(least, n->encoders), n->sheets), with_sheets = fixed(n) + passing;
    j->room.no_sheets = n->sheets > 0 && with_sheets > limit && !j->o->measure_scale;
    if (j->room.no_sheets) {
        n->weights -= n->sheets_stay;
        n->sheets = n->sheets_stay = 0;
    }
    if (least_of(j, n, least) > limit) return refuse(j, n, limit, least);
    uint64_t room = limit - fixed(n);
    int rc = n->activations > room ? compute_again(j, room) : 0;
    if (rc == 0 && j->room.no_sheets) say_no_sheets(j, with_sheets);
    if (rc == 0) say_saving(j, limit);
    return rc;
}

/* ---- telling ------------------------------------------------------------------------------------------------------------ */

/* Those that are there, and what steps say of more: every so many, and at the end. 0: nobody knows. */
static uint64_t due_checkpoints(const train_job *j, uint64_t bytes) {
    uint64_t every = j->o->checkpoint_every, from = j->from.step, there = save_bytes_there(j->folder.path);
    if (!j->steps || !bytes || j->o->eval_data) return 0;   /* the best that is measured is kept at once */
    uint64_t more = every ? j->steps / every - from / every + (j->steps % every != 0) : 1;
    return (there + bytes - 1) / bytes + more;
}

/* What the plan says besides memory. */
static int plan_rest(train_job *j) {
    static const char *const caches[] = { [MIEN_CACHE_ALL] = "all", [MIEN_CACHE_LATENTS] = "latents", [MIEN_CACHE_NONE] = "none" };
    plan_needs *n = &j->room.plan;
    batch_needs data;
    int rc = train_kept_bytes(j, &n->checkpoint);
    if (rc == 0) rc = batch_needed(j->batch, &data);
    if (rc < 0) return rc;
    n->keep = j->o->keep;
    n->due = due_checkpoints(j, n->checkpoint);
    n->minutes = j->o->checkpoint_minutes;
    n->tells_steps = true;
    n->steps = j->steps;
    n->from = j->from.step;
    n->batch = (uint64_t)j->o->batch * (uint64_t)j->o->accumulate * (uint64_t)j->ranks.count;
    n->items = batch_rows(j->batch) ? 0 : batch_items(j->batch);
    n->cache = data.disk.all;
    n->cached = data.disk.there;
    n->cache_kind = caches[j->o->cache];
    n->disk_free = data.disk.free;
    n->ranks = j->ranks.count;
    return 0;
}

static void tell_lines(const train_job *j, char *lines) {
    for (char *line = lines, *end; line && *line; line = end) {
        if ((end = strchr(line, '\n'))) *end++ = 0;
        j->o->plan(j->o->hooks.context, line);
    }
}

static int tell_plan(const train_job *j) {
    const plan_needs *n = &j->room.plan;
    text lines = { 0 };
    if (j->o->plan) plan_lines(n, &lines);
    if (lines.data) tell_lines(j, lines.data);
    text_free(&lines);
    if (j->ranks.rank) return 0;
    return run_folder_room(j->folder.path, plan_disk(n, save_bytes_there(j->folder.path)), "checkpoints and cache");
}

/* Of this process. Ranks of one machine share what it has. */
static uint64_t limit_of(const train_job *j) {
    uint64_t more = free_memory() / (uint64_t)(j->ranks.all ? j->ranks.machine.ranks : 1);
    if (j->o->memory) return j->o->memory;
    return more ? more + resident_memory() : UINT64_MAX;   /* 0: it can't be told */
}

int train_make_room(train_job *j) {
    size_t least = 0;
    j->room.plan = (plan_needs){ .asked = j->o->memory };
    train_note_choices(j);
    int rc = count(j, &j->room.plan, &least);
    /* What is free is looked at before any rank takes more. */
    rc = train_meet(j, rc);
    uint64_t limit = limit_of(j);
    rc = train_meet(j, rc);
    if (rc == 0) rc = fit(j, limit, least);
    if (rc == 0) rc = plan_rest(j);
    if (rc == 0) rc = tell_plan(j);
    trainer_close(j->t);
    j->t = NULL;
    return rc;
}

/* ---- turns -------------------------------------------------------------------------------------------------------------- */

static void rest(void *trainer) { trainer_rest(trainer); }

void train_take_turns(train_job *j) {
    if (j->room.plan.turns) batch_take_turns(j->batch, rest, j->t);
}
