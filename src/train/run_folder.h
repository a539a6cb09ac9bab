/* SPDX-License-Identifier: Apache-2.0
 *
 * RUN, the folder of a training run:
 *
 *     settings.json                         what its results follow from (train/run_settings.h)
 *     log.jsonl                             a line a step (train/log.h)
 *     events.out.tfevents.<time>.mien       the same for TensorBoard (train/events.h), a file for each time it was started
 *     checkpoints/step-000123/              states to go on from (train/save.h)
 *     samples/step-000123.png               sheets of validation pictures (train/sample_sheet.h)
 *
 * One process writes it at a time. */
#ifndef TRAIN_RUN_FOLDER_H
#define TRAIN_RUN_FOLDER_H

#include "base/lock.h"
#include "mien.h"
#include "train/run_settings.h"

typedef struct {
    const char *path;
    bool resume;                     /* go on with the run that is there */
    bool data_changed;               /* it may go on with other data */
    const run_settings *settings;    /* of this start */
    bool later;                      /* a run that is gone on with keeps its settings.json until run_folder_settle: it may turn out to be done */
    const mien_hooks *hooks;         /* may be NULL */
} run_folder_options;

typedef struct {
    char *path;
    folder_lock lock;
    bool resumed;                    /* there was a run; it may have no checkpoint yet */
    bool made;                       /* the folder itself, by this start */
    int fd;                          /* the folder, wherever it's moved; -1 */
} run_folder;
#define RUN_FOLDER_CLOSED ((run_folder){ .lock = FOLDER_UNLOCKED, .fd = -1 })

/* Makes the folder, or takes the one that is there; locks it; reads or writes settings.json; removes what killed processes left half written.
 * ERR_EXISTS: another process writes it. ERR_USAGE, before anything is touched: there is a run and resume was not asked for, or none and it was; the
 * folder holds something else; settings, models or data are not the run's. */
int  run_folder_open(const run_folder_options *options, run_folder *out);
void run_folder_close(run_folder *r);
/* Writes settings.json, where `later` has put that off. */
int  run_folder_settle(const run_folder *r, const run_settings *settings);
/* Before something is written by name: 0, it is where it was; 1, path is another one, which is told. A folder that was moved is found; where it was removed,
 * one is made anew, by a name that is free. Either way it has these settings: what is kept in it may be gone on from. */
int  run_folder_follow(run_folder *r, const run_settings *settings, const mien_hooks *hooks);
/* Closes one whose first step was not done, as if it had not been asked for: without settings and the files named (inside it; NULL ends them), if there was no run before.
 * What the encoders made in it stays, and may be begun in again. */
void run_folder_undo(run_folder *r, const char *const *files);

/* ERR_FULL, with both numbers, if the file system of a folder (which exists) has fewer bytes free. */
int  run_folder_room(const char *path, uint64_t bytes, const char *what);

#endif
