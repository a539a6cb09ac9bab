/* SPDX-License-Identifier: Apache-2.0
 *
 * The network that is trained: its graph with gradients and updates, the states that outlive steps, and one plan that
 * does a whole step.
 *
 *     trainer_open(&options, c, &t);            builds and plans; reads the weights
 *     for each step:
 *         fill trainer_input(t, ...)            as f32; one micro-batch
 *         trainer_step(t, &now, micro, &report);
 *     trainer_state(t, i)                       everything that a checkpoint must keep
 *
 * One thread at a time. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "base/cpu.h"
#include "nn/params.h"
#include "nn/update.h"
#include "train/ranks.h"
#include "weights/checkpoint.h"

/* What is trained: a ControlNet, its base locked; the base's UNet, and its text encoder unless that is frozen; or its VAE. */
typedef enum { TRAINER_CONTROL, TRAINER_BASE, TRAINER_VAE, TRAINER_TARGETS } trainer_target;

typedef struct {
    trainer_target what;
    int batch;                       /* pictures of a micro-batch */
    int accumulate;                  /* micro-batches of an optimiser step; 0: 1 */
    size_t height, width;            /* of the latent */
    size_t tokens;                   /* of a prompt: 77 */
    bool unlock_decoder;             /* the base's decoder is trained, too (sd_locked False) */
    bool only_mid;                   /* the control acts on the middle block alone */
    bool freeze_text;                /* of the base: the text encoder stays as it is, and contexts are an input */
    bool absolute;                   /* of the VAE: the reconstruction's error is |x - target|, not its square */
    double kl_weight;                /* of the VAE: of the divergence, beside a sum of errors over all of a picture's numbers */
    double clip;                     /* the largest norm of all gradients; 0: any */
    bool average;                    /* keeps an exponential average of the weights */
    adamw_attr adamw;
    bool adamw8;                     /* moments of 8 bits (nn/update.h) */
    bool bf16;                       /* activations and the weights that kernels read; what training keeps of a weight is
                                      * all of an f32, gradients are f32 */
    size_t memory;                   /* of activations; more is computed again; 0: as much as it takes */
    bool counting;                   /* nothing is read or taken: trainer_planned tells what would be, and which states
                                      * there would be (without data); there are no steps */
    int threads;
    ranks *ranks;                    /* NULL, or there are others, who do the same with other data: gradients and losses are
                                      * the mean over all */
    const volatile int *stop;        /* base/stop.h; may be NULL */
    void (*profile)(void *context, const char *line);   /* not NULL: kernels are timed, and this told when it closes */
    void *context;
} trainer_options;

typedef struct trainer trainer;

/* c: the networks that are needed; it stays open as long as the trainer. ERR_LIMIT, with what would fit. */
int  trainer_open(const trainer_options *options, checkpoint *c, cpu_level cpu, trainer **out);
void trainer_close(trainer *t);

/* What a micro-batch is: B pictures, channels last, f32; the caller fills them before each run, for a run leaves them
 * undefined. Some are of some targets only. */
typedef enum {
    TRAINER_LATENT,                  /* [B,h,w,4]: noised */
    TRAINER_TIME,                    /* [B] */
    TRAINER_CONTEXT,                 /* [B,tokens,width]: the prompts', encoded */
    TRAINER_HINT,                    /* [B,8h,8w,3]: the maps, 0..1 */
    TRAINER_TARGET,                  /* [B,h,w,4]: the noise, or v; of the VAE [B,8h,8w,3]: the pictures */
    TRAINER_WEIGHT,                  /* [B]: of each picture's loss; 1, or min-SNR's */
    TRAINER_PICTURE,                 /* [B,8h,8w,3], -1..1 */
    TRAINER_POSTERIOR,               /* [B,h,w,4]: normal numbers */
    TRAINER_IDS,                     /* [B,tokens]: the prompts' tokens */
    TRAINER_INPUTS,
} trainer_input;
size_t trainer_input_count(const trainer *t, trainer_input which);       /* numbers; 0: the target has no such input */
void   trainer_set(trainer *t, trainer_input which, const float *x);     /* nothing, of an input that is not there */
void   trainer_set_ids(trainer *t, const int32_t *ids);

typedef struct {
    double rate;                     /* the learning rate */
    uint64_t step;                   /* of the optimiser, from 1 */
    double average;                  /* decay of the weights' average */
} trainer_now;
typedef struct {
    float loss;                      /* of this micro-batch */
    float norm;                      /* of the gradients, behind the last micro-batch; 0 where it is not asked for (clip 0) */
    /* With ranks, behind the last micro-batch: the mean of the step over all ranks, and what it cost. */
    float mean_loss, mean_divergence;
    ranks_times exchange;
    float divergence;                /* of the VAE: of its posteriors from the standard normal distribution, a picture; else 0 */
    bool lost;                       /* the loss or the gradients were not finite */
} trainer_report;
/* One micro-batch, the micro-th (from 0) of its step; the last updates the weights. ERR_LIMIT if the loss, or the
 * gradients where they are summed, are not finite: then nothing was updated. */
int  trainer_step(trainer *t, const trainer_now *now, int micro, trainer_report *report);
/* After that, and with the same inputs set again: the first step of the plan that wrote what is not finite, or the
 * weight that was not before; "" if there is none. */
void trainer_find_lost(trainer *t, char *out, size_t size);
/* Whether all that outlives steps is finite; else what is not, "weight of ...". */
bool trainer_finite(const trainer *t, char *out, size_t size);

/* What outlives steps, in an order of its own that depends on the model and the options only; it may be written from
 * outside, between steps. kind: "weight", "average", and "m", "v" or "moments", "scales". name: the checkpoint's. low:
 * of a weight in bf16, the bits that it lacks of an f32 (nn/halves.h); else NULL. */
typedef struct { const char *name, *kind; nn_shape shape; nn_type type; void *data; uint16_t *low; } trainer_state;
size_t trainer_states(const trainer *t);
trainer_state trainer_state_at(const trainer *t, size_t i);

/* For pictures of what is trained (generate/engine.h): the store that has the rest packed, and the trained weights as
 * states of their names, added to another graph before its network is built. */
params *trainer_params(const trainer *t);
void    trainer_add_states(const trainer *t, graph *g);

typedef struct {
    size_t weights;                  /* bytes of those that are only read */
    size_t states;
    size_t summed;                   /* of states: gradients that wait for clipping or accumulation */
    size_t activations;
    size_t kept;                     /* what activations would be if nothing were computed again */
    size_t least;                    /* and if as much were as can be; where it counts without a limit */
    double flops, flops_again;       /* of a step; of these for what is computed again */
    uint64_t trained;                /* numbers */
} trainer_plan;
trainer_plan trainer_planned(const trainer *t);
/* Between steps: the memory of activations is the system's until the next one. */
void    trainer_rest(trainer *t);

#endif
