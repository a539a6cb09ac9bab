/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layer.h"

#include <stdio.h>

#include "base/error.h"

enum { LARGEST_KERNEL = 1 << 10 };

static void too_long(graph *g, const char *name) {
    if (!graph_failed(g)) graph_fail(g, error_set(ERR_LIMIT, "the name of a layer is too long: %s", name));
}

scope scope_at(graph *g, const checkpoint *c, int groups, const char *format, ...) {
    scope p = { .g = g, .c = c, .groups = groups };
    va_list a;
    va_start(a, format);
    if (!name_text(p.name, sizeof p.name, format, a)) too_long(g, format);
    va_end(a);
    return p;
}

scope scope_below(const scope *p, const char *format, ...) {
    scope below = *p;
    int length = snprintf(below.name, sizeof below.name, "%s.", p->name);
    va_list a;
    va_start(a, format);
    if (length >= (int)sizeof below.name || !name_text(below.name + length, sizeof below.name - (size_t)length, format, a)) too_long(p->g, p->name);
    va_end(a);
    return below;
}

bool scope_has(const scope *p, const char *name) {
    char whole[2 * SCOPE_NAME];
    snprintf(whole, sizeof whole, "%s.%s", p->name, name);
    return checkpoint_find(p->c, whole) != NULL;
}

/* A layer that is being added. What fails between begin and end is its own fault, and is named after it. */
typedef struct { const scope *p; const char *name; tensor *w, *b; } layer;

/* w NULL: nothing can be added. */
static layer begin(const scope *p, const tensor *x, const char *name, bool bias) {
    layer l = { p, name, NULL, NULL };
    if (!x || graph_failed(p->g)) return l;
    l.w = param(p->g, p->c, "%s.%s.weight", p->name, name);
    l.b = (bias ? param : param_maybe)(p->g, p->c, "%s.%s.bias", p->name, name);
    if (bias && !l.b) l.w = NULL;
    return l;
}

static tensor *end(const layer *l, tensor *y) {
    if (!y) graph_explain(l->p->g, "%s.%s", l->p->name, l->name);
    return y;
}

tensor *layer_conv_padded(const scope *p, tensor *x, const char *name, conv2d_attr attr) {
    layer l = begin(p, x, name, true);
    attr.weights = WEIGHTS_OIHW;
    return l.w ? end(&l, conv2d(p->g, x, l.w, l.b, attr)) : NULL;
}

tensor *layer_conv(const scope *p, tensor *x, const char *name, int stride) {
    layer l = begin(p, x, name, true);
    if (!l.w) return NULL;
    size_t kernel = l.w->shape.rank == 4 ? l.w->shape.dim[2] : 0;
    if (kernel % 2 == 0 || kernel > LARGEST_KERNEL || l.w->shape.dim[3] != kernel) {
        char shape[96];
        graph_fail(p->g, error_set(ERR_FORMAT, "%s is no odd square", shape_text(l.w->shape, shape, sizeof shape)));
        return end(&l, NULL);
    }
    int pad = (int)(kernel / 2);
    return end(&l, conv2d(p->g, x, l.w, l.b, (conv2d_attr){ stride, pad, pad, pad, pad, WEIGHTS_OIHW }));
}

tensor *layer_linear(const scope *p, tensor *x, const char *name) {
    layer l = begin(p, x, name, false);
    return l.w ? end(&l, linear(p->g, x, l.w, l.b)) : NULL;
}

tensor *layer_group_norm(const scope *p, tensor *x, const char *name, float epsilon) {
    layer l = begin(p, x, name, true);
    return l.w ? end(&l, group_norm(p->g, x, l.w, l.b, p->groups, epsilon)) : NULL;
}

tensor *layer_layer_norm(const scope *p, tensor *x, const char *name) {
    layer l = begin(p, x, name, true);
    return l.w ? end(&l, layer_norm(p->g, x, l.w, l.b, 1e-5f)) : NULL;
}

tensor *layer_promised(const scope *p, tensor *y, nn_shape shape) {
    if (!y || shape_equal(y->shape, shape)) return y;
    char got[96], wanted[96];
    graph_fail(p->g, error_set(ERR_FORMAT, "%s: its weights make %s of what should become %s", p->name, shape_text(y->shape, got, sizeof got),
                               shape_text(shape, wanted, sizeof wanted)));
    return NULL;
}
