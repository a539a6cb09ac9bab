/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"

struct graph {
    arena memory;
    void **nodes, **tensors;   /* node *, tensor * */
    size_t n_nodes, n_tensors, node_room, tensor_room;
    size_t forward;            /* nodes before the backward pass */
    bool ordered, backward;
    int failure;
    char message[1024];
};

graph *graph_new(void) {
    graph *g = calloc(1, sizeof *g);
    if (!g) error_memory(sizeof *g);
    return g;
}

void graph_free(graph *g) {
    if (!g) return;
    arena_free(&g->memory);
    free(g->nodes);
    free(g->tensors);
    free(g);
}

int graph_fail(graph *g, int code) {
    if (!g->failure) {
        g->failure = code;
        strncpy(g->message, error_message(), sizeof g->message - 1);
    }
    return code;
}

bool graph_failed(const graph *g) { return g->failure != 0; }

int graph_check(const graph *g) { return g->failure ? error_set(g->failure, "%s", g->message) : 0; }

void graph_explain(graph *g, const char *format, ...) {
    char what[256];
    va_list a;
    va_start(a, format);
    vsnprintf(what, sizeof what, format, a);
    va_end(a);
    if (graph_check(g) == 0) return;
    error_prefix("%s", what);
    snprintf(g->message, sizeof g->message, "%s", error_message());
}

void graph_set_ordered(graph *g, bool ordered) { g->ordered = ordered; }

void *graph_memory(graph *g, size_t count, size_t size) {
    void *p = arena_new(&g->memory, count, size);
    if (!p) graph_fail(g, ERR_MEMORY);
    return p;
}

/* Appends `item` to a growing list of pointers. */
static bool append(graph *g, void ***list, size_t *n, size_t *room, void *item) {
    if (*n == *room) {
        size_t more = *room ? *room * 2 : 64;
        void **bigger = realloc(*list, more * sizeof **list);
        if (!bigger) {
            graph_fail(g, error_memory(more * sizeof **list));
            return false;
        }
        *list = bigger;
        *room = more;
    }
    (*list)[(*n)++] = item;
    return true;
}

static tensor *new_tensor(graph *g, const char *name, tensor_kind kind) {
    tensor *t = graph_memory(g, 1, sizeof *t);
    char *copy = t ? graph_memory(g, strlen(name) + 1, 1) : NULL;
    if (!copy || !append(g, &g->tensors, &g->n_tensors, &g->tensor_room, t)) return NULL;
    strcpy(copy, name);
    t->name = copy;
    t->kind = kind;
    t->index = g->n_tensors - 1;
    return t;
}

static tensor *new_leaf(graph *g, const char *name, tensor_kind kind, nn_type type, nn_shape shape, const void *data) {
    size_t count;
    if (graph_failed(g)) return NULL;
    if (!shape_count(shape, &count)) {
        graph_fail(g, error_set(ERR_FORMAT, "tensor %s: impossible shape", name));
        return NULL;
    }
    if (kind != TENSOR_PARAM && type == NN_F16) {
        graph_fail(g, error_set(ERR_UNSUPPORTED, "tensor %s: f16 is for stored parameters only", name));
        return NULL;
    }
    tensor *t = new_tensor(g, name, kind);
    if (!t) return NULL;
    t->type = type;
    t->shape = shape;
    t->data = data;
    return t;
}

tensor *graph_input(graph *g, const char *name, nn_type type, nn_shape shape) {
    return new_leaf(g, name, TENSOR_INPUT, type, shape, NULL);
}

tensor *graph_param(graph *g, const char *name, nn_type type, nn_shape shape, const void *data) {
    return new_leaf(g, name, TENSOR_PARAM, type, shape, data);
}

tensor *graph_state(graph *g, const char *name, nn_type type, nn_shape shape, void *memory) {
    tensor *t = new_leaf(g, name, TENSOR_STATE, type, shape, NULL);
    if (t) t->state = memory;
    return t;
}

tensor *graph_output(graph *g, tensor *t) {
    (void)g;
    if (t) t->output = true;
    return t;
}

bool graph_apply_many(graph *g, const op *o, const void *attr, tensor *const in[], int n_in, unsigned optional,
                      tensor *out[], int n_out) {
    for (int i = 0; i < n_out; i++) out[i] = NULL;
    if (graph_failed(g)) return false;
    if (n_in > NN_MAX_IN || n_out > NN_MAX_OUT)
        return graph_fail(g, error_set(ERR_UNSUPPORTED, "%s: too many inputs or outputs", o->name)), false;
    for (int i = 0; i < n_in; i++)
        if (!in[i] && !(optional >> i & 1))
            return graph_fail(g, error_set(ERR_USAGE, "%s: input %d is missing", o->name, i)), false;
    node *n = graph_memory(g, 1, sizeof *n);
    void *own = o->attr_bytes && n ? graph_memory(g, 1, o->attr_bytes) : NULL;
    if (!n || (o->attr_bytes && !own)) return false;
    if (own) memcpy(own, attr, o->attr_bytes);
    n->op = o;
    n->attr = own;
    n->ordered = g->ordered;
    n->n_in = n_in;
    n->n_out = n_out;
    for (int i = 0; i < n_in; i++) n->in[i] = in[i];
    for (int i = 0; i < n_in; i++)
        if ((o->writes >> i & 1) && in[i] && in[i]->kind != TENSOR_STATE)
            return graph_fail(g, error_set(ERR_USAGE, "%s: %s is no state that it could rewrite", o->name, in[i]->name)), false;
    for (int i = 0; i < n_out; i++)
        if (!(n->out[i] = new_tensor(g, o->name, TENSOR_VALUE))) return false;
    int rc = o->shape(n);
    for (int i = 0; i < n_out && rc == 0; i++) {
        size_t count;
        n->out[i]->producer = n;
        if (n->out[i]->type == NN_F16) n->out[i]->type = NN_F32;   /* what is made of a stored f16 */
        if (!shape_count(n->out[i]->shape, &count)) rc = error_set(ERR_FORMAT, "%s: impossible output shape", o->name);
    }
    if (rc < 0) return graph_fail(g, rc), false;
    if (!append(g, &g->nodes, &g->n_nodes, &g->node_room, n)) return false;
    n->index = g->n_nodes - 1;
    for (int i = 0; i < n_in; i++)
        if (in[i]) in[i]->uses++;
    for (int i = 0; i < n_out; i++) out[i] = n->out[i];
    return true;
}

tensor *graph_apply(graph *g, const op *o, const void *attr, tensor *const in[], int n_in, unsigned optional) {
    tensor *out;
    return graph_apply_many(g, o, attr, in, n_in, optional, &out, 1) ? out : NULL;
}

void graph_begin_backward(graph *g) {
    g->backward = true;
    g->forward = g->n_nodes;
}

size_t  graph_forward(const graph *g) { return g->backward ? g->forward : g->n_nodes; }
size_t  graph_nodes(const graph *g) { return g->n_nodes; }
node   *graph_node(const graph *g, size_t i) { return g->nodes[i]; }
size_t  graph_tensors(const graph *g) { return g->n_tensors; }
tensor *graph_tensor(const graph *g, size_t i) { return g->tensors[i]; }

tensor *graph_find(const graph *g, const char *name) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        tensor *t = g->tensors[i];
        if (strcmp(t->name, name) == 0) return t;
    }
    return NULL;
}
