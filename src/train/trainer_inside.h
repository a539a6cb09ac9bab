/* SPDX-License-Identifier: Apache-2.0
 *
 * What the trainer's files share. */
#ifndef TRAIN_TRAINER_INSIDE_H
#define TRAIN_TRAINER_INSIDE_H

#include "base/arena.h"
#include "model/clip.h"
#include "model/unet.h"
#include "model/vae.h"
#include "nn/plan.h"
#include "train/trainer.h"

/* A weight that is trained, and what is kept of it: `numbers` are f32, or bf16 with the bits that those lack in `low`
 * (nn/halves.h); vectors (biases, norms) are f32 in any case. Then m and v, or moments and scales; the others if they
 * are asked for. */
typedef struct {
    const parameter *source;
    tensor *weight;               /* in the micro graph */
    size_t order;                 /* in which gradients are whole */
    void *numbers, *low, *m, *v, *moments, *scales, *average, *sum;
} trained;

struct trainer {
    trainer_options options;
    checkpoint *c;
    device *d;
    nn_type type;
    unet_config unet, control;
    clip_config text;
    vae_config vae;
    float kl_share;               /* what a picture's divergence counts in the loss */
    arena memory;

    trained *trained;
    size_t n_trained;
    bool split;                   /* gradients are summed, and the update is a plan of its own */

    params *params;
    graph *micro, *update;
    plan *micro_plan, *update_plan;
    plan_profile *profile, *update_profile;                            /* NULL: not timed */
    workspace *ws;
    tensor *input[TRAINER_INPUTS], *now, *decay, *first, *loss, *divergence;        /* of micro; what a target lacks is NULL */
    tensor *update_now, *update_decay, *squares;                       /* of update */
    size_t states, least;
    char *block;                  /* all states lie in it */
    size_t block_bytes, block_used;
    size_t ordered;               /* gradients that have an order */
    float *sums;                  /* with ranks, theirs: where the trained's sums lie; behind them, at loss_at, loss and
                                   * divergence */
    size_t loss_at, *whole;       /* [steps of micro_plan]: 1 + the order of the gradient that is whole behind it, or 0 */
    float mean_loss, mean_divergence;    /* of the micro-batches so far */
    bool lost_in_update;          /* what was not finite last: the gradients, not the loss */
};

/* ---- trainer_network.c: which network, of which weights ----------------------------------------------------------------- */

int     trainer_configure(trainer *t);
bool    trainer_trains(const trainer *t, const parameter *p);
/* Inputs, network and loss. NULL: g has failed. */
tensor *trainer_build(trainer *t, graph *g);

/* ---- trainer_states.c: what is kept of a weight, and how it is updated -------------------------------------------------- */

/* Memory for all weights' states, and the checkpoint's numbers in it; or only counted (trainer_options.counting). */
int     trained_make(trainer *t);
void    trained_free(trainer *t);
/* The weight that kernels read, as a state of its own name; without memory before trained_make. */
tensor *trained_weight(const trainer *t, graph *g, const trained *w);
tensor *trained_sum(graph *g, const trained *w);
/* weight: trained_weight of g. */
void    trained_update(const trainer *t, graph *g, const trained *w, tensor *weight, tensor *dw, tensor *now,
                       tensor *decay, tensor *factor, tensor *gate);

/* ---- trainer_ranks.c: with others --------------------------------------------------------------------------------------- */

int     trainer_ranks_sums(trainer *t);                       /* where sums lie; all ranks come here */
int     trainer_ranks_steps(trainer *t);                      /* of micro_plan */
int     trainer_ranks_after(void *trainer, size_t step);      /* a step of the last micro-batch is done */
int     trainer_ranks_reduce(trainer *t, trainer_report *report);

#endif
