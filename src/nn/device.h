/* SPDX-License-Identifier: Apache-2.0
 *
 * A device: a table of kernels over the contract of nn/graph.h. The planner walks the graph from the end; for each node
 * not yet covered it asks the device's kernels, best first, whether they match there. A kernel may take several nodes at
 * once (fusion is the device's business, never the model's). What no kernel takes, the operation's own reference
 * computes. */
#ifndef NN_DEVICE_H
#define NN_DEVICE_H

#include "base/cpu.h"
#include "nn/graph.h"
#include "nn/params.h"

enum { KERNEL_MAX_NODES = 12, KERNEL_MAX_IN = 8, KERNEL_MAX_OUT = 4, KERNEL_MAX_PARAM = 12 };

/* Where the elements of a tensor lie, in elements from its first. stride[rank-1] is always 1. A tensor of rank 4 may
 * have `border` rows and columns of zeros around each picture, and zeros in the channels from C to stride[2]; whoever
 * writes the tensor writes those zeros too (workspace memory is reused). 64 readable bytes follow every tensor. */
typedef struct {
    size_t stride[NN_MAX_RANK];
    size_t border;
    size_t lead;       /* elements of border before the first element */
    size_t elements;   /* all that must be allocated, border and padding included */
} nn_layout;

/* What a kernel asks of an operand's layout. */
typedef struct {
    bool strided;             /* it handles any stride, border and zero channels; if not: plain contiguous only */
    size_t border;            /* least border (needs strided) */
    size_t channel_multiple;  /* stride[2] must be a multiple of this; 0 or 1: any (needs strided) */
} layout_need;

/* What a kernel takes over. Inputs and outputs are activations; parameters stand apart, packed in prepare. A covered node
 * before the root may have outputs that others read: the kernel lists them in out[] and writes them (statistics that a
 * gradient needs); such a match is not taken where one of those readers comes before the root. */
typedef struct {
    const node *nodes[KERNEL_MAX_NODES];   /* covered, in any order, the root among them */
    int n_nodes;
    tensor *in[KERNEL_MAX_IN];
    layout_need in_need[KERNEL_MAX_IN];
    int n_in;
    tensor *out[KERNEL_MAX_OUT];
    layout_need out_need[KERNEL_MAX_OUT];
    int n_out;
    const tensor *param[KERNEL_MAX_PARAM];
    bool in_place[KERNEL_MAX_PARAM];       /* prepare packs nothing of it: some of it is read where the checkpoint has it */
    int n_param;
} kernel_match;

typedef struct kernel kernel;

/* One step of a plan: a kernel bound to its operands. Immutable once prepared. */
typedef struct {
    const kernel *kernel;
    kernel_match match;
    nn_layout in_layout[KERNEL_MAX_IN];
    nn_layout out_layout[KERNEL_MAX_OUT];
    const void *packed[KERNEL_MAX_PARAM];  /* filled by prepare, owned by params */
    void *state;                           /* prepare's own, released by release */
    size_t scratch_bytes;                  /* asked for by prepare; 64-byte aligned, contents undefined */
    int threads;
    bool pack_once;        /* what another step has packed of a parameter is not packed again, if the kernel can make its own form of that in each run */
    char info[48];                         /* which of its implementations a library chose ("brgconv:avx2"), or "" */
} kernel_step;

struct kernel {
    const char *name;      /* "conv2d/onednn": shown by `mien info` and --profile */
    const op *root;        /* the operation of the node it is asked about (the last one it covers) */
    /* Fills *m if this kernel can compute `root` (and perhaps nodes before it). An inner tensor may be swallowed only
     * if match_inner(t) says so. May not fail otherwise than by false. */
    bool (*match)(const kernel *k, const node *root, kernel_match *m);
    /* Packs parameters (params_pack), sets state and scratch_bytes. Layouts are known and meet the needs. 0 or ERR_*. */
    int (*prepare)(kernel_step *s, params *p);
    /* in[i], out[i] point at first elements (border lies before them). Overwrites its outputs, and of its inputs those alone that op.writes names. 0, or ERR_* where a device
     * or a library failed under it; our own kernels have nothing that can fail. */
    int (*run)(const kernel_step *s, const void *const in[], void *const out[], void *scratch);
    void (*release)(kernel_step *s);   /* may be NULL */
    const void *variant;   /* the kernel's own: lets one match/run serve several table rows */
};

/* True if t is made by a node, read exactly once and not a graph output: a kernel may keep it to itself. It may also leave
 * out an output of a covered node that nobody reads. */
bool match_inner(const tensor *t);
/* For match functions: appends, with the needs given. */
void match_node(kernel_match *m, const node *n);
void match_in(kernel_match *m, tensor *t, layout_need need);
void match_out(kernel_match *m, tensor *t, layout_need need);
void match_param(kernel_match *m, const tensor *t);
void match_param_in_place(kernel_match *m, const tensor *t);
/* A weight: a parameter; or, where it is trained, a state, which is an input like any other and may have changed since the last run. */
void match_weight(kernel_match *m, tensor *t);

typedef struct device device;
device *device_new(cpu_level level);   /* an empty table */
/* The CPU with kernels up to `cap` (and what the machine has). CPU_REFERENCE has none: everything runs by reference. */
device *device_cpu(cpu_level cap);
void    device_free(device *d);
/* Puts a kernel before those already there. The kernel must outlive the device. */
int     device_add(device *d, const kernel *k);
/* `what` is freed with the device by release(what), also when this fails: for tables made at run time. */
int     device_own(device *d, void *what, void (*release)(void *what));
cpu_level device_level(const device *d);
size_t    device_kernels(const device *d);
const kernel *device_kernel(const device *d, size_t i);   /* best first */

#endif
