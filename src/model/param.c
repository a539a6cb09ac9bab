/* SPDX-License-Identifier: Apache-2.0 */
#include "model/param.h"

#include "base/error.h"

/* NULL without a failure: there is none of that name. */
static tensor *find(graph *g, const checkpoint *c, const char *name) {
    tensor *t = graph_find(g, name);
    if (t) return t;
    const parameter *p = checkpoint_find(c, name);
    return p ? graph_param(g, p->name, p->type, p->shape, p->data) : NULL;
}

tensor *param(graph *g, const checkpoint *c, const char *format, ...) {
    char name[256];
    va_list a;
    va_start(a, format);
    name_text(name, sizeof name, format, a);
    va_end(a);
    tensor *t = find(g, c, name);
    if (!t && !graph_failed(g)) graph_fail(g, *name ? error_set(ERR_FORMAT, "the model has no %s", name) : error_set(ERR_LIMIT, "a parameter's name is too long: %s", format));
    return t;
}

tensor *param_maybe(graph *g, const checkpoint *c, const char *format, ...) {
    char name[256];
    va_list a;
    va_start(a, format);
    name_text(name, sizeof name, format, a);
    va_end(a);
    return find(g, c, name);
}

const parameter *param_look(const checkpoint *c, const char *format, ...) {
    char name[256];
    va_list a;
    va_start(a, format);
    name_text(name, sizeof name, format, a);
    va_end(a);
    return checkpoint_find(c, name);
}
