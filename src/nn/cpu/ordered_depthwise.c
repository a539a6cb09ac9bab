/* SPDX-License-Identifier: Apache-2.0
 *
 * 3x3 depthwise convolution: the layer used by residual blocks, and a kernel of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "nn/cpu/ordered_kernels.h"
#include "nn/cpu/ordered_pack.h"

/* ---- the layer --------------------------------------------------------------------------------------------------- */

bool ordered_depthwise_ok(const node *n) {
    const conv2d_attr *a = n->attr;
    return ordered_conv_ok(n) && n->in[1]->shape.dim[1] == 3 && n->in[1]->shape.dim[2] == 3 && a->stride <= 2 &&
           a->pad_top <= 1 && a->pad_left <= 1 && a->pad_bottom <= 1 && a->pad_right <= 1;
}

typedef struct { size_t lanes, stride, vectors; } pack_context;

static int pack_weights(void *dst, const tensor *t, const void *context) {
    const pack_context *x = context;
    size_t channels = t->shape.dim[3], bytes = nn_type_bytes(t->type);
    for (size_t i = 0; i < x->vectors * 9 * x->lanes; i++) {
        size_t v = i / x->lanes / 9, kx = i / x->lanes % 9 / 3, ky = i / x->lanes % 3, c = (v * x->lanes + i % x->lanes) % x->stride;
        if (c < channels) nn_widen((float *)dst + i, (const char *)t->data + ((ky * 3 + kx) * channels + c) * bytes, t->type, 1);
    }
    return 0;
}

static int pack_bias(void *dst, const tensor *t, const void *context) {
    const pack_context *x = context;
    for (size_t i = 0; i < x->vectors * x->lanes; i++) {
        size_t c = i % x->stride;
        if (c < t->shape.dim[0]) nn_widen((float *)dst + i, (const char *)t->data + c * nn_type_bytes(t->type), t->type, 1);
    }
    return 0;
}

int ordered_depthwise_pack(ordered_depthwise_layer *l, const ordered_isa *isa, const node *n, size_t in_pixel, size_t out_pixel, params *p) {
    const conv2d_attr *a = n->attr;
    const tensor *w = n->in[1], *b = n->in[2];
    size_t wide = ordered_groups(w->shape.dim[3]) * ORDERED_GROUP, width = n->out[0]->shape.dim[2];
    bool whole = wide % (size_t)isa->lanes == 0;
    bool pair = !whole && a->stride == 1 && width > 1 && in_pixel == wide && out_pixel == wide;
    if (!whole && !pair) isa = &ordered_isa_avx2;   /* vectors of 8 */
    *l = (ordered_depthwise_layer){ .isa = isa, .cut = pair ? DEPTHWISE_PAIR : DEPTHWISE_FULL, .stride = (size_t)a->stride,
                                    .pad_top = (size_t)a->pad_top, .pad_left = (size_t)a->pad_left, .groups = wide / ORDERED_GROUP };
    pack_context x = { (size_t)isa->lanes, wide, wide * (pair ? 2 : 1) / (size_t)isa->lanes };
    l->vectors = x.vectors;
    char tag[64];
    snprintf(tag, sizeof tag, "ordered/depthwise/%d%s", isa->lanes, pair ? "/pair" : "");
    l->weights = params_pack(p, w, tag, x.vectors * 9 * x.lanes * sizeof(float), pack_weights, &x);
    if (b) l->bias = params_pack(p, b, tag, x.vectors * x.lanes * sizeof(float), pack_bias, &x);
    else if (!(l->bias = l->zeros = calloc(x.vectors * x.lanes, sizeof(float)))) return error_memory(x.vectors * x.lanes * sizeof(float));
    return l->weights && l->bias ? 0 : error_code();
}

void ordered_depthwise_rows(const ordered_depthwise_layer *l, const float *x, const nn_layout *in, size_t y, size_t rows,
                            size_t width, float *out, size_t out_row, size_t out_pixel, float *pooled) {
    /* The taps see all four pixels of a window where it begins at tap (0,0). */
    bool together = pooled && l->stride == 2 && !l->pad_top && !l->pad_left;
    ordered_depthwise_fn *const *fn = l->isa->depthwise[together ? DEPTHWISE_POOL : l->cut][l->stride - 1];
    for (size_t i = 0; pooled && !together && i < rows; i++)
        l->isa->pool(pooled + i * out_row, out_pixel, x + 2 * (y + i) * in->stride[1], in->stride[1], in->stride[2], l->groups, width);
    ordered_depthwise d = { .in_row = in->stride[1], .in_pixel = in->stride[2], .weights = l->weights, .bias = l->bias,
                            .out_row = out_row, .out_pixel = out_pixel, .width = width, .vectors = l->vectors };
    if (l->cut == DEPTHWISE_PAIR) d.width /= 2, d.out_pixel *= 2;
    for (size_t i = 0, take; i < rows; i += take) {
        take = rows - i > 1 && fn[1] ? 2 : 1;
        d.in = x + (y + i) * l->stride * d.in_row - l->pad_top * d.in_row - l->pad_left * d.in_pixel;
        d.out = out + i * out_row;
        d.pooled = together ? pooled + i * out_row : NULL;
        fn[take - 1](&d);
        if (l->cut != DEPTHWISE_PAIR || width % 2 == 0) continue;
        ordered_depthwise last = d;   /* an odd last pixel comes with the one before, once more */
        last.in += (width - 2) * d.in_pixel;
        last.out += (width - 2) * out_pixel;
        last.width = 1;
        fn[take - 1](&last);
    }
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

typedef struct {
    ordered_depthwise_layer layer;
    bool direct;                   /* the output has room for whole groups of channels in each pixel */
    size_t channels, wide;         /* wide: rounded up to whole groups */
    uint32_t *pixels;              /* offsets of an output row */
} depthwise_state;

bool ordered_depthwise_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    if (!ordered_depthwise_ok(root)) return false;
    match_node(m, root);
    match_in(m, root->in[0], (layout_need){ .strided = true, .border = 1, .channel_multiple = ORDERED_GROUP });
    match_out(m, root->out[0], (layout_need){ .strided = true });
    match_param(m, root->in[1]);
    if (root->in[2]) match_param(m, root->in[2]);
    return true;
}

void ordered_depthwise_release(kernel_step *s) {
    depthwise_state *d = s->state;
    if (!d) return;
    free(d->layer.zeros);
    free(d->pixels);
    free(d);
    s->state = NULL;
}

int ordered_depthwise_prepare(kernel_step *s, params *p) {
    const node *n = s->match.nodes[0];
    const nn_shape ys = n->out[0]->shape;
    const nn_layout *in = &s->in_layout[0], *out = &s->out_layout[0];
    depthwise_state *d = s->state = calloc(1, sizeof *d);
    if (!d) return error_memory(sizeof *d);
    d->channels = ys.dim[3];
    d->wide = ordered_groups(d->channels) * ORDERED_GROUP;
    d->direct = out->stride[2] >= d->wide;
    d->pixels = calloc(ys.dim[2], sizeof(uint32_t));
    int rc = d->pixels ? 0 : error_memory(ys.dim[2] * sizeof(uint32_t));
    if (rc == 0) rc = ordered_depthwise_pack(&d->layer, s->kernel->variant, n, in->stride[2], d->direct ? out->stride[2] : d->wide, p);
    if (rc < 0) return ordered_depthwise_release(s), rc;
    ordered_table(d->pixels, ys.dim[2], ys.dim[2], 0, out->stride[2]);
    if (!d->direct) s->scratch_bytes = 2 * ys.dim[2] * d->wide * sizeof(float);
    return 0;
}

int ordered_depthwise_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const depthwise_state *d = s->state;
    const nn_layout *from = &s->in_layout[0], *to = &s->out_layout[0];
    const nn_shape ys = s->match.out[0]->shape;
    size_t width = ys.dim[2];
    for (size_t n = 0; n < ys.dim[0]; n++) {
        const float *x = (const float *)in[0] + n * from->stride[0];
        float *y = (float *)out[0] + n * to->stride[0];
        ordered_border(y, to, ys);
        for (size_t row = 0, rows; row < ys.dim[1]; row += rows) {
            rows = ys.dim[1] - row > 1 ? 2 : 1;
            float *first = y + row * to->stride[1];
            if (d->direct) ordered_depthwise_rows(&d->layer, x, from, row, rows, width, first, to->stride[1], to->stride[2], NULL);
            else ordered_depthwise_rows(&d->layer, x, from, row, rows, width, scratch, width * d->wide, d->wide, NULL);
            for (size_t i = 0; i < rows; i++) {
                float *line = first + i * to->stride[1];
                if (d->direct) ordered_zero_tail(line, d->pixels, d->wide, to->stride[2], width);
                else ordered_scatter(line, d->pixels, to->stride[2], (float *)scratch + i * width * d->wide, d->wide, d->channels, width);
            }
        }
    }
    return 0;
}
