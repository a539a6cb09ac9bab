/* SPDX-License-Identifier: Apache-2.0
 *
 * RUN/log.jsonl: a line for each optimiser step, with what it cost and what came of it. A line is one write, so that a
 * kill loses at most the one being written. */
#ifndef TRAIN_LOG_H
#define TRAIN_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "mien.h"

/* NaN: not known, and left out of the line; so is 0 of epoch and bytes. */
typedef struct {
    uint64_t step;                   /* of the optimiser, from 1 */
    uint64_t epoch;                  /* from 1 */
    double loss, smoothed;
    double rate;                     /* "lr" */
    double seconds;                  /* of this step */
    double images_per_second;
    double wait;                     /* seconds of it in which data were waited for */
    double norm;                     /* "grad_norm": of all gradients, before clipping */
    double divergence;               /* of a VAE's posteriors, a picture */
    double exchange;                 /* seconds of it in which other ranks' gradients were waited for */
    uint64_t peak_bytes;             /* the process's, so far */
    mien_train_figures figures;      /* "eval_found", ...: if it was evaluated */
} log_line;

typedef struct train_log train_log;

/* Opens it for appending behind step `step` (0: a new run); it is made if need be. What stands there of later steps,
 * torn or unreadable is cut off, and hooks (may be NULL) are told how much. */
int  train_log_open(const char *folder, uint64_t step, const mien_hooks *hooks, train_log **out);
/* The folder may be another one by now: 0, it is the file there (which may have been moved with its folder); 1, it is not, and another was opened in its
 * place, as above; ERR_*: neither, and the old one stays open. */
int  train_log_follow(train_log **l, const char *folder, uint64_t step, const mien_hooks *hooks);
/* After ERR_FULL nothing of the line stays, and the next one may be tried. */
int  train_log_add(train_log *l, const log_line *line);
/* What was added outlives a power failure: before a checkpoint that counts on it. */
int  train_log_sync(train_log *l);
void train_log_close(train_log *l);     /* NULL is fine */

/* The step of a line, of hostile bytes; 0: it is none. */
uint64_t train_log_step(const char *line, size_t size);

#endif
