/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan: a graph made ready for one device: kernels chosen, parameters packed, every tensor placed. It is immutable
 * and may be run by many threads at once, each with a workspace of its own; one workspace may serve several plans, one
 * at a time, if it is as large as the largest. */
#ifndef NN_PLAN_H
#define NN_PLAN_H

#include "nn/device.h"
#include "nn/graph.h"
#include "nn/params.h"

typedef struct plan plan;
typedef struct workspace workspace;

typedef struct {
    int threads;           /* cores one run may use; 0 or 1: one */
    bool no_reference;     /* fail, naming it, on a node that no kernel takes: by reference a large model would run for hours */
    size_t memory;         /* with a backward pass: steps of the forward are computed again where plan_bytes would be more; 0: never */
    bool pack_once;        /* a parameter that two steps want in two forms is packed for the first, and the other makes its form of that in each run: less memory, equal bits */
    const volatile int *stop;   /* looked at between kernels while plan_new packs for them (base/stop.h): then ERR_CANCELLED; NULL: never */
} plan_options;

/* The graph, the device and the params must outlive the plan. NULL on failure. */
plan  *plan_new(const graph *g, const device *d, params *p, const plan_options *options);
void   plan_free(plan *p);
size_t plan_bytes(const plan *p);   /* of workspace: inputs, outputs, activations, scratch */
size_t plan_steps(const plan *p);
const kernel_step *plan_step(const plan *p, size_t i);
double plan_flops(const plan *p);   /* multiply-adds count 2; without what is computed again */

/* What is computed again in the backward pass instead of being kept: the same kernels on the same inputs, so that results have equal bits however much it is. */
typedef struct { size_t steps; double flops; size_t bytes; } plan_again;   /* bytes: of workspace, were nothing computed again */
plan_again plan_recomputed(const plan *p);
/* The least plan_bytes that any limit would give (plan_options.memory); p, which was made without one, stays as it is. */
int    plan_least(plan *p, size_t *bytes);

workspace *workspace_new(size_t bytes);
void       workspace_free(workspace *w);
void       workspace_rest(workspace *w);   /* what lies in it is forgotten, and its memory is the system's until it is written again */

/* Address of an input or output of the plan in a workspace: plain contiguous. Inputs are undefined after a run. */
void *plan_tensor(const plan *p, workspace *w, const tensor *t);

/* Where the time of a plan goes; gathered by one runner at a time, then added up. */
typedef struct plan_profile plan_profile;

typedef struct {
    plan_profile *profile;              /* NULL: not timed */
    const volatile int *stop;           /* looked at before each step (base/stop.h): ERR_CANCELLED once it is set; NULL: never */
    int (*after)(void *context, size_t step);   /* told of each step behind it, in the thread that runs; what is below 0 ends the run; NULL: nobody */
    void *context;
} plan_run_options;

/* 0, or the code of the kernel that failed; the outputs are undefined then. options may be NULL. */
int  plan_run(const plan *p, workspace *w, const plan_run_options *options);

/* From plan_run_options.after, of the step that it is told of: whether all that it wrote, outputs and states, is finite. */
bool plan_step_finite(const plan *p, const workspace *w, size_t step);

plan_profile *plan_profile_new(const plan *p);   /* of that plan only */
void   plan_profile_free(plan_profile *t);
void   plan_profile_add(plan_profile *into, const plan_profile *from);
size_t plan_profile_runs(const plan_profile *t);

typedef struct {
    const char *kernel;               /* its name */
    int steps;                        /* of the plan */
    double seconds, flops, bytes;     /* over all runs; bytes: what its operands have, each step by itself */
} plan_profile_row;

/* One row a kind of kernel, in order of the steps; returns how many, at most `room` (the rest is left out). */
size_t plan_profile_rows(const plan_profile *t, plan_profile_row *rows, size_t room);

#endif
