/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

typedef struct owned {
    struct owned *next;
    void *what;
    void (*release)(void *what);
} owned;

struct device {
    cpu_level level;
    const kernel **kernels;   /* the last is asked first */
    size_t n, room;
    owned *owned;
};

device *device_new(cpu_level level) {
    device *d = calloc(1, sizeof *d);
    if (!d) return error_memory(sizeof *d), NULL;
    d->level = level;
    return d;
}

void device_free(device *d) {
    if (!d) return;
    for (owned *o = d->owned, *next; o; o = next) {
        next = o->next;
        o->release(o->what);
        free(o);
    }
    free(d->kernels);
    free(d);
}

int device_add(device *d, const kernel *k) {
    if (d->n == d->room) {
        size_t room = d->room ? d->room * 2 : 32;
        const kernel **more = realloc(d->kernels, room * sizeof *more);
        if (!more) return error_memory(room * sizeof *more);
        d->kernels = more;
        d->room = room;
    }
    d->kernels[d->n++] = k;
    return 0;
}

int device_own(device *d, void *what, void (*release)(void *what)) {
    owned *o = malloc(sizeof *o);
    if (!o) {
        release(what);
        return error_memory(sizeof *o);
    }
    *o = (owned){ d->owned, what, release };
    d->owned = o;
    return 0;
}

cpu_level device_level(const device *d) { return d->level; }
size_t device_kernels(const device *d) { return d->n; }
const kernel *device_kernel(const device *d, size_t i) { return d->kernels[d->n - 1 - i]; }

bool match_inner(const tensor *t) { return t->kind == TENSOR_VALUE && t->uses == 1 && !t->output; }

void match_node(kernel_match *m, const node *n) {
    if (m->n_nodes < KERNEL_MAX_NODES) m->nodes[m->n_nodes] = n;
    m->n_nodes++;
}

void match_in(kernel_match *m, tensor *t, layout_need need) {
    if (m->n_in < KERNEL_MAX_IN) m->in[m->n_in] = t, m->in_need[m->n_in] = need;
    m->n_in++;
}

void match_out(kernel_match *m, tensor *t, layout_need need) {
    if (m->n_out < KERNEL_MAX_OUT) m->out[m->n_out] = t, m->out_need[m->n_out] = need;
    m->n_out++;
}

void match_param(kernel_match *m, const tensor *t) {
    if (m->n_param < KERNEL_MAX_PARAM) m->param[m->n_param] = t;
    m->n_param++;
}

void match_param_in_place(kernel_match *m, const tensor *t) {
    if (m->n_param < KERNEL_MAX_PARAM) m->in_place[m->n_param] = true;
    match_param(m, t);
}

void match_weight(kernel_match *m, tensor *t) {
    if (t->kind == TENSOR_STATE) match_in(m, t, (layout_need){ 0 });
    else match_param(m, t);
}
