/* SPDX-License-Identifier: Apache-2.0
 *
 * What check_ops and check_graphs share: random graphs with random numbers in them, an executor that needs no planner
 * (every tensor in memory of its own, every node by its reference), and the comparison of a plan with it. */
#ifndef TESTS_TRIAL_H
#define TESTS_TRIAL_H

#include "nn/ops.h"
#include "nn/plan.h"

typedef struct { uint64_t state; } rng;
rng      rng_new(uint64_t seed);
uint32_t rng_next(rng *r);
size_t   rng_between(rng *r, size_t low, size_t high);   /* both included */
bool     rng_chance(rng *r, unsigned one_in);
float    rng_normal(rng *r);                             /* roughly N(0,1) */
/* A number of channels: mostly odd ones and neighbours of vector widths. */
size_t   rng_channels(rng *r, size_t most);

enum { TRIAL_MAX = 8 };

/* A graph with its inputs' numbers. Outputs are found by their flag. */
typedef struct {
    graph *g;
    rng r;
    bool wild;                                /* zeros of both signs, subnormals and infinities among the numbers */
    bool positive;                            /* all numbers by absolute value: for error bounds */
    tensor *in[TRIAL_MAX];
    float *numbers[TRIAL_MAX];                /* of in[], as f32 that their type represents */
    int n_in;
    tensor *state[TRIAL_MAX];
    void *first[TRIAL_MAX];                   /* what state[] begin each run with, in their type */
    int n_states;
} trial;

void    trial_begin(trial *t, uint64_t seed);
void    trial_end(trial *t);
tensor *trial_input(trial *t, nn_type type, nn_shape shape);
/* Its numbers may be overwritten; those of NN_I32 must be, by integers. */
/* A parameter with random numbers of spread `scale`, at an address without any alignment. */
tensor *trial_param(trial *t, nn_type type, nn_shape shape, float scale);
/* A state that begins each run with random numbers (NN_U8, NN_U16: any bits). They may be overwritten in t->first. */
tensor *trial_state(trial *t, nn_type type, nn_shape shape, float scale);

/* The value of every tensor, by index, as f32 (integers as they are), of states after the run. Freed with truth_free. */
float **trial_truth(const trial *t);
void    truth_free(const trial *t, float **truth);

/* How far outputs may be from the truth: relative * |want| + absolute, where absolute is bound[tensor index][i] times
 * `of_bound`, or `of_rms` times the tensor's root mean square. All zero: equal bits (any NaN equals any NaN). */
typedef struct { double relative, of_bound, of_rms; float **bound; } tolerance;

/* The outputs of plan p in w, as they lie there after a run, and all states, against the truth. On a difference, prints `what`, how many
 * elements differ and the worst, and returns false. *worst is raised to the largest error / tolerance, or count. */
bool trial_compare(const char *what, const trial *t, const plan *p, workspace *w, float **truth, const tolerance *tol, double *worst);

/* Whether d may refuse to plan t: bf16 is refused, with the reason, where the processor or the level has none. */
bool trial_may_be_refused(const trial *t, const device *d);

/* Fills all of a workspace of `bytes` with one byte (through a plan that has nothing but one large input). */
void workspace_fill(workspace *w, size_t bytes, int byte);
/* Inputs, and states as they begin. */
void trial_set_inputs(const trial *t, const plan *p, workspace *w);

#endif
