/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/linear_pack.h"

#include "nn/cpu/blocked.h"

bool linear_conv(const conv2d_attr *a, nn_shape w) {
    int height = a->weights == WEIGHTS_OHWI ? 1 : 2;   /* its place in the weight's shape; width follows */
    return w.dim[height] == 1 && w.dim[height + 1] == 1 && a->stride == 1 && !a->pad_top && !a->pad_left && !a->pad_bottom && !a->pad_right;
}

linear_cut linear_cut_panels(size_t panels) {
    size_t by = panels % 5 == 0 || panels % 4 ? 5 : 4;
    return linear_cut_into(panels, (panels + by - 1) / by);
}

/* `groups` groups of `width` panels each, from the first on; to: where panel `origin` lies. */
static void pack_groups(const linear_packing *p, void *to, size_t origin, size_t panel, const void *from, nn_type type, size_t first, size_t groups, size_t width, int threads) {
    size_t begin = linear_begin(&p->groups, first), row = begin * LINEAR_LANES, rows = groups * width * LINEAR_LANES, left = p->outputs - row;
    if (groups == 0) return;
    if (rows > left) rows = left;
    blocked_layout l = { .outputs = p->across ? p->inputs : rows, .inputs = p->across ? rows : p->inputs, .taps = 1, .block = width * LINEAR_LANES, .group = 2,
                         .block_step = p->halves * width * panel, .across = p->across, .row = p->row };
    size_t at = p->across ? row : (p->half * p->outputs + row) * p->inputs;
    blocked_pack(&l, (uint16_t *)to + (p->halves * (begin - origin) + p->half * width) * panel, NN_BF16, (const char *)from + at * nn_type_bytes(type), type, threads);
}

void linear_pack(const linear_packing *p, void *to, size_t panel, const void *from, nn_type type, int threads) {
    const linear_cut *c = &p->groups;
    pack_groups(p, to, 0, panel, from, type, 0, c->larger, c->size + 1, threads);
    pack_groups(p, to, 0, panel, from, type, c->larger, c->groups - c->larger, c->size, threads);
}

void linear_pack_groups(const linear_packing *p, void *to, size_t panel, const void *from, nn_type type, size_t first, size_t groups) {
    const linear_cut *c = &p->groups;
    size_t origin = linear_begin(c, first), larger = first < c->larger ? c->larger - first : 0;
    if (larger > groups) larger = groups;
    pack_groups(p, to, origin, panel, from, type, first, larger, c->size + 1, 1);
    pack_groups(p, to, origin, panel, from, type, first + larger, groups - larger, c->size, 1);
}
