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
    TENSOR_VALUE,   /* made by a node */
} tensor_kind;

typedef struct tensor {
    const char *name;      /* for messages; never NULL */
    tensor_kind kind;
    nn_type type;
    nn_shape shape;
    node *producer;        /* of a VALUE */
    const void *data;      /* of a PARAM; may be unaligned. The caller keeps it there as long as any params that packed it */
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
     * and rounds), NN_I32 as int32_t. Absent inputs are NULL. */
    void (*reference)(const node *n, const void *const in[], void *const out[]);
    /* Multiply-adds count 2; NULL: counted as 0. */
    double (*flops)(const node *n);
    bool view;                 /* the output is the input's bytes under another shape: no work when planned */
};

graph *graph_new(void);
void   graph_free(graph *g);
int    graph_check(const graph *g);              /* 0, or the code of the first failure (message set again) */
int    graph_fail(graph *g, int code);           /* records a failure whose message is set; returns code */
bool   graph_failed(const graph *g);
void   graph_explain(graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));   /* "<what>: " before its message */

tensor *graph_input(graph *g, const char *name, nn_type type, nn_shape shape);
tensor *graph_param(graph *g, const char *name, nn_type type, nn_shape shape, const void *data);
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

size_t  graph_nodes(const graph *g);
node   *graph_node(const graph *g, size_t i);
size_t  graph_tensors(const graph *g);
tensor *graph_tensor(const graph *g, size_t i);
tensor *graph_find(const graph *g, const char *name);   /* first tensor of that name, or NULL */

#endif
