/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/gradient.h"

#include "base/error.h"

bool gradient_wanted(const tensor *t) { return t && t->on_path; }

nn_type gradient_type(const tensor *t) { return t->trainable ? NN_F32 : t->type; }

void gradient_add(graph *g, tensor *t, tensor *d) {
    if (!t || !d || !t->on_path) return;
    d = cast(g, d, gradient_type(t));
    if (d && !shape_equal(d->shape, t->shape)) {
        char is[96], wanted[96];
        graph_fail(g, error_set(ERR_USAGE, "the gradient of %s is %s and should be %s", t->name,
                                shape_text(d->shape, is, sizeof is), shape_text(t->shape, wanted, sizeof wanted)));
        return;
    }
    t->grad = t->grad ? add(g, t->grad, d) : d;
}

/* on_path, for all that is there now: nodes are in topological order. */
static void mark_paths(graph *g) {
    for (size_t i = 0; i < graph_tensors(g); i++) {
        tensor *t = graph_tensor(g, i);
        t->on_path = t->kind == TENSOR_STATE && t->trainable;
    }
    for (size_t i = 0; i < graph_nodes(g); i++) {
        node *n = graph_node(g, i);
        bool any = false;
        for (int k = 0; k < n->n_in; k++) any |= gradient_wanted(n->in[k]);
        for (int k = 0; k < n->n_out; k++) n->out[k]->on_path = any;
    }
}

static bool has_gradient(const node *n) {
    for (int k = 0; k < n->n_out; k++)
        if (n->out[k]->grad) return true;
    return false;
}

static bool wants_gradient(const node *n) {
    for (int k = 0; k < n->n_in; k++)
        if (gradient_wanted(n->in[k])) return true;
    return false;
}

/* Forward nodes not yet walked that read each trainable tensor, by index. */
static void count_readers(const graph *g, size_t *readers) {
    for (size_t i = 0; i < graph_nodes(g); i++) {
        const node *n = graph_node(g, i);
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] && n->in[k]->trainable) readers[n->in[k]->index]++;
    }
}

static void tell_done(graph *g, const node *n, size_t *readers, gradient_done *done, void *context) {
    for (int k = 0; k < n->n_in && !graph_failed(g); k++) {
        tensor *w = n->in[k];
        if (w && w->trainable && --readers[w->index] == 0 && w->grad && done) done(context, g, w);
    }
}

int graph_backward(graph *g, tensor *loss, gradient_done *done, void *context) {
    static const float one = 1;
    if (graph_failed(g) || !loss) return graph_check(g);
    if (loss->type != NN_F32 || shape_elements(loss->shape) != 1)
        return graph_fail(g, error_set(ERR_USAGE, "a loss is one f32 number"));
    size_t forward = graph_nodes(g), *readers = graph_memory(g, graph_tensors(g) + 1, sizeof *readers);
    if (!readers) return graph_check(g);
    mark_paths(g);
    if (!loss->on_path) return graph_fail(g, error_set(ERR_USAGE, "nothing trainable leads to the loss"));
    count_readers(g, readers);
    graph_begin_backward(g);
    loss->grad = graph_param(g, "one", NN_F32, loss->shape, &one);
    for (size_t i = forward; i-- > 0 && !graph_failed(g);) {
        const node *n = graph_node(g, i);
        if (has_gradient(n) && wants_gradient(n)) {
            if (n->op->gradient) n->op->gradient(g, n);
            else graph_fail(g, error_set(ERR_UNSUPPORTED, "%s has no gradient", n->op->name));
        }
        tell_done(g, n, readers, done, context);
    }
    return graph_check(g);
}
