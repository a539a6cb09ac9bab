/* SPDX-License-Identifier: Apache-2.0
 *
 * What the job's files share. */
#ifndef TRAIN_TRAIN_INSIDE_H
#define TRAIN_TRAIN_INSIDE_H

#include <limits.h>

#include "generate/engine.h"
#include "train/batch.h"
#include "train/events.h"
#include "train/log.h"
#include "train/peek.h"
#include "train/plan_lines.h"
#include "train/ranks.h"
#include "train/rates.h"
#include "train/run_folder.h"
#include "train/save.h"
#include "train/train.h"
#include "train/trainer.h"

/* With others; zeroed: alone. Rank 0 alone is seen and writes. train_ranks.c's. */
typedef struct {
    ranks *all;                      /* NULL: alone */
    int rank, count;                 /* count: 1 alone, from train_ranks_open on */
    ranks_machine machine;
    ranks_times exchange;            /* of all steps so far */
    char *positions;                 /* [ranks,BATCH_POSITION_TEXT]: of all, between steps */
    mien_train_options own;          /* the job's, without what only rank 0 tells */
    const volatile int *own_stop;    /* asked of this rank */
    volatile int halt;               /* agreed by all: what own_stop was at the first that was asked; alone it is not used */
} train_ranks;

/* What of memory train_make_room settled. */
typedef struct {
    plan_needs plan;                 /* told before the first step */
    size_t activations;              /* their limit; 0: none */
    bool no_sheets;                  /* memory does not suffice for them */
} train_room;

/* What evaluations have shown so far; kept in checkpoints, as it lies in memory. Zeroed: nothing yet. */
typedef struct {
    uint64_t step, since, below;     /* of the last one; the first of those in a row that were below the beginning, and how many */
    double score, best, first_low;   /* of the last, the best; the lower end of the first one's interval */
    uint64_t any, has_best, told;    /* 0 or 1; whole words, since what a file says is read back into them */
} train_evaluations;

typedef struct {
    const mien_train_options *o;
    cpu_level cpu;
    int threads;
    bool bf16;
    checkpoint *c;
    char control[PATH_MAX];          /* the ControlNet that it began with */
    run_settings settings;
    run_folder folder;
    batch_source *batch;
    trainer *t;
    train_ranks ranks;
    train_room room;
    train_log *log;
    events *events;

    /* What a checkpoint keeps beside the trainer's states: */
    uint64_t step;                   /* done so far */
    smooth loss;
    char position[BATCH_POSITION_TEXT];
    train_evaluations eval;

    mien_train_figures figures;      /* of the last step, if it was evaluated */
    bool best_now;                   /* and none was better */
    save_found from;                 /* what it goes on from; step 0: it begins */
    struct { uint64_t step; double at; } kept;   /* the last checkpoint; seconds */
    uint64_t shown;                  /* step of the last sheet that was made or tried */
    bool unchanged;                  /* the step that failed has changed none of it */
    uint64_t steps;                  /* of the run; 0: without end */
    double begin;                    /* seconds */
    bool untold;                     /* the last step's line could not be written */
    mien_progress progress;
    mien_train_result *result;
} train_job;

/* ---- train_target.c: what is trained ---- */

unsigned train_networks(const mien_train_options *o);     /* CHECKPOINT_*: that the model must have */
unsigned train_wants(const mien_train_options *o);        /* ITEM_*: of the data */
int      train_side(const mien_train_options *o);         /* pixels of what a step is given */
/* Hashes of what it begins with, for settings.json. */
int      train_note_models(train_job *j);
/* What it predicts, once its file is open: as the options or the file say, or as one look at it tells. */
int      train_settle(train_job *j);
/* NULL: the target has no such input, or it is tokens. */
const float *train_input(const train_job *j, const micro_batch *m, trainer_input which);
void     train_hand_over(train_job *j, const micro_batch *m);

/* ---- train_ranks.c: with others ---- */

int train_ranks_open(train_job *j);
/* With what the job came to: the others hear of an error, and j->result says whose it is. */
void train_ranks_end(train_job *j, int rc);
/* The trainer's sums end with it. */
void train_ranks_close(train_job *j);
/* All ranks come here with what they have so far, and no one goes on if any has failed. */
int train_meet(train_job *j, int rc);
/* Whether all ranks have the same settings, models and data; and, once the data are open, take the same of their items. */
int train_compare(train_job *j);
int train_compare_items(train_job *j);
/* Rank 0's numbers, to all. */
int train_share(train_job *j, const save_contents *what);
/* Between two steps: whether all stop, where each is, and what the step cost and came to among all. */
int train_agree(train_job *j, const trainer_report *r, mien_train_step *s);
/* What ends the loop and the data's threads: with others what all have agreed on. */
const volatile int *train_stop(const train_job *j);

/* ---- train_settings.c ---- */

/* What the results of these options follow from, for settings.json. */
int train_settings(const mien_train_options *o, bool bf16, int ranks, run_settings *s);
/* Which numbers and which prediction were chosen, for the plan. */
void train_note_choices(train_job *j);
/* --steps, or --epochs in steps; 0: without end. */
uint64_t train_steps(const mien_train_options *o, int ranks, uint64_t items);
/* What is trained, and how; j->room.activations is a limit by then, or 0. */
trainer_options train_trainer(const train_job *j);
/* Which items, and how they are cut: complete, as data/iterate.h wants it; without end. */
mien_iterate_options train_items(const mien_train_options *o);

/* ---- train_keep.c: checkpoints ---- */

/* Before something is written by name: run_folder_follow, and the log and events come along or are begun anew. */
int train_follow(train_job *j);
/* ERR_LIMIT, and nothing is written, if a number of it is not finite. */
int train_keep(train_job *j);
/* The same behind a failure: older ones stay, however many. */
int train_keep_more(train_job *j);
/* Finds the latest checkpoint: j->from. */
int train_find(train_job *j);
/* Takes it up, if there was one. */
int train_take_up(train_job *j);
/* Bytes of a checkpoint; j->t may count. */
int train_kept_bytes(train_job *j, uint64_t *out);

/* ---- train_memory.c ---- */

/* Nothing large has been read. Decides what is computed again and who takes turns, and tells the plan of memory and
 * disk; ERR_LIMIT, with what would fit, ERR_FULL if the disk does not suffice. */
int train_make_room(train_job *j);
/* Before the first step, with the trainer that makes them. */
void train_take_turns(train_job *j);

/* ---- train_sheet.c ---- */

/* The items that sheets, and what is measured, are made of. stop: base/stop.h; may be NULL. */
int train_peek(const train_job *j, const volatile int *stop, peek **out);
/* Pictures of a few fixed items of the data, as the model makes them now, on a sheet in the run's folder. What goes
 * wrong with them is told and ends nothing, but for a stop. */
int train_sheet(train_job *j);
/* Where that of this step is. */
int train_sheet_path(const train_job *j, char out[PATH_MAX]);
/* What makes them: with the trainer's weights, if there is a trainer by now. */
engine_options train_engine(const train_job *j);
engine_shape   train_sheet_shape(const train_job *j);

/* ---- train_eval.c: how well a ControlNet obeys ---- */

/* If it is due after this step. What goes wrong is told and ends nothing, but for a stop. */
int    train_eval(train_job *j);
/* What the best checkpoint has the least of: the score of this step's evaluation (NaN: there was none) or, where nothing is evaluated, the loss. */
double train_eval_measure(const train_job *j);
/* Takes in an evaluation's interval; what there is to say of the sudden convergence, "" if nothing. Told once the interval lies below that of the first evaluation two times in a
 * row, and taken back if it meets that again. Returns out. */
const char *train_eval_note(train_evaluations *t, uint64_t step, double low, double high, char *out, size_t size);

/* ---- train_reconstruct.c ---- */

/* Of a VAE whose latents' scale is to be measured: what the model says from now on. Not stopped by a signal: a
 * checkpoint is about to be written. */
int train_measure(train_job *j);

void train_say(const train_job *j, mien_log_kind kind, const char *message);

#endif
