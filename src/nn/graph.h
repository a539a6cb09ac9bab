/* SPDX-License-Identifier: Apache-2.0
 *
 * A graph: what is to be computed, without saying how. A model is a function that adds operations to one. The graph is
 * then planned (nn/plan.h) for one device and run many times.
 *
 * Building never needs checks between the calls: a function given NULL returns NULL, the first failure is kept, and
 * graph_check returns it. Everything belongs to the graph and dies with it. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H

#include "nn/tensor.h"

enum { NN_MAX_IN = 8, NN_MAX_OUT = 4 };

typedef struct graph graph;
typedef struct node node;
typedef struct op op;

typedef enum {
    TENSOR_INPUT,   /* written by the caller before each run */
    TENSOR_PARAM,   /* constant: weights, in the checkpoint's own layout and type */
    TENSOR_STATE,   /* the caller's memory, which outlives runs; nodes may read and rewrite it: weights in training, moments, averages */
    TENSOR_VALUE,   /* made by a node */
} tensor_kind;

typedef struct tensor {
    const char *name;      /* for messages; never NULL */
    tensor_kind kind;
    nn_type type;
    nn_shape shape;
    node *producer;        /* of a VALUE */
    const void *data;      /* of a PARAM; may be unaligned. The caller keeps it there as long as any params that packed it */
    void *state;           /* of a STATE: plain contiguous, 64-byte aligned, 64 readable bytes behind it; NULL: counted, never run */
    bool trainable;        /* of a STATE: its gradient is wanted (nn/gradient.h) */
    bool on_path;          /* a trainable tensor is among what it is made of, or it is one: set by graph_backward */
    struct tensor *grad;   /* of the loss, with respect to it: made by graph_backward, NULL where there is none */
    bool output;           /* read by the caller after each run */
    int uses;              /* node inputs that read it */
    size_t index;          /* position in the graph */
} tensor;

struct node {
    const op *op;
    int n_in, n_out;
    tensor *in[NN_MAX_IN];     /* optional inputs that were not given are NULL */
    tensor *out[NN_MAX_OUT];
    const void *attr;          /* op->attr_bytes of the operation's own settings; never NULL if that is not 0 */
    bool ordered;              /* only kernels equal to the reference bit for bit may compute it */
    size_t index;              /* nodes are in topological order */
};

/* What an operation means. A file nn/op_*.c holds one or a family: the attributes' checks, the plain C
 * reference and the builder; face/ registers its own in the same way. */
struct op {
    const char *name;
    size_t attr_bytes;
    /* The shape rule: checks inputs and attributes, fills type and shape of each output. 0 or error_set(...). */
    int (*shape)(node *n);
    /* The truth. Floating-point tensors come and go as plain contiguous f32 whatever their type is (the caller widens
     * and rounds), the others as they are. Absent inputs are NULL. States that it rewrites come so, too, and are written where they came. */
    void (*reference)(const node *n, const void *const in[], void *const out[]);
    /* Multiply-adds count 2; NULL: counted as 0. */
    double (*flops)(const node *n);
    bool view;                 /* the output is the input's bytes under another shape: no work when planned */
    /* Appends nodes that compute from the gradients of its outputs (out[i]->grad, NULL: none) those of its inputs, and gives them to
     * gradient_add where gradient_wanted says so. NULL: it has none. See nn/gradient.h. */
    void (*gradient)(graph *g, const node *n);
    unsigned writes;           /* bit i: input i, a STATE, is rewritten in place. Such a node is always computed, after those before it that read it */
};

graph *graph_new(void);
void   graph_free(graph *g);
int    graph_check(const graph *g);              /* 0, or the code of the first failure (message set again) */
int    graph_fail(graph *g, int code);           /* records a failure whose message is set; returns code */
bool   graph_failed(const graph *g);
void   graph_explain(graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));   /* "<what>: " before its message */

tensor *graph_input(graph *g, const char *name, nn_type type, nn_shape shape);
tensor *graph_param(graph *g, const char *name, nn_type type, nn_shape shape, const void *data);
/* memory: the caller's, see tensor.state; it outlives the graph's plans. Not f16. */
tensor *graph_state(graph *g, const char *name, nn_type type, nn_shape shape, void *memory);
tensor *graph_output(graph *g, tensor *t);       /* marks t, returns it */
/* Memory with the graph's lifetime, zeroed; NULL is recorded as a failure. */
void   *graph_memory(graph *g, size_t count, size_t size);

/* From here on added nodes are `ordered` (see node), or not. Default: not. */
void graph_set_ordered(graph *g, bool ordered);

/* Adds a node with one output; `attr` is copied. Absent optional inputs are NULL entries allowed by bit i of
 * `optional`; any other NULL input makes the result NULL. */
tensor *graph_apply(graph *g, const op *o, const void *attr, tensor *const in[], int n_in, unsigned optional);
/* The same with n_out outputs into out[]; false on failure. */
bool graph_apply_many(graph *g, const op *o, const void *attr, tensor *const in[], int n_in, unsigned optional,
                      tensor *out[], int n_out);

/* From here on nodes belong to the backward pass; graph_forward is how many came before, all if this was never said. */
void    graph_begin_backward(graph *g);
size_t  graph_forward(const graph *g);
size_t  graph_nodes(const graph *g);
node   *graph_node(const graph *g, size_t i);
size_t  graph_tensors(const graph *g);
tensor *graph_tensor(const graph *g, size_t i);
tensor *graph_find(const graph *g, const char *name);   /* first tensor of that name, or NULL */

#endif
