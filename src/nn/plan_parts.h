/* SPDX-License-Identifier: Apache-2.0
 *
 * What planning (plan.c) leaves behind and running (plan_run.c) reads. */
#ifndef NN_PLAN_PARTS_H
#define NN_PLAN_PARTS_H

#include "nn/plan.h"

/* A tensor in one layout. */
typedef struct {
    const tensor *t;
    nn_layout layout;
    size_t alias;        /* index of the value whose memory it shares (a view), or its own */
    size_t offset;       /* of its first element, in bytes */
    int first, last;     /* steps between which it must be kept; first is where it is written */
    bool used;
} value;

typedef struct {
    kernel_step step;
    size_t in[KERNEL_MAX_IN], out[KERNEL_MAX_OUT];   /* values */
    size_t scratch;      /* offset */
    double flops;
    bool again;          /* a forward step that is repeated in the backward pass: kernel and state are the first one's */
} planned_step;

/* Two values a tensor at most: as it is made, and a copy in the other layout. */
typedef struct { size_t made, copy; } tensor_values;

#define NO_VALUE ((size_t)-1)

struct plan {
    const graph *g;
    int threads;
    bool no_reference, pack_once;
    bool counted;           /* its parameters were only counted */
    planned_step *steps;
    size_t n_steps;
    value *values;
    size_t n_values;
    tensor_values *of;      /* by tensor index */
    size_t bytes, bytes_kept;   /* kept: without recomputation */
    double flops, flops_again;
    size_t steps_again;
};

/* The value of t that meets the need. */
size_t plan_value(const plan *p, const tensor *t, const layout_need *need);
/* Lives and offsets of everything, p->bytes; may be asked again when steps or values have changed. */
int    plan_place(plan *p);
/* Steps of the forward pass are repeated in the backward, as few as it takes to come down to `limit` bytes; ERR_LIMIT if none will. */
int    plan_recompute(plan *p, size_t limit);

#endif
