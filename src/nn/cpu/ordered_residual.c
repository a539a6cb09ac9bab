/* SPDX-License-Identifier: Apache-2.0
 *
 * A residual block as one kernel: y = act(shortcut + conv1x1(depthwise3x3(x))). A band of depthwise rows is made in
 * scratch memory, where it stays in the first cache, and the 1x1 convolution reads it there, adds the shortcut and
 * applies the activation before it stores. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nn/cpu/ordered_kernels.h"
#include "nn/cpu/ordered_pack.h"

/* ---- matching ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const node *depthwise, *pointwise, *pool, *pad, *add, *activation;   /* pool, pad and activation may be NULL */
    tensor *x;
} block_nodes;

static bool unpadded_1x1(const node *n) {
    const conv2d_attr *a = n->attr;
    bool ohwi = a->weights == WEIGHTS_OHWI;
    const nn_shape w = n->in[1]->shape;
    return w.dim[ohwi ? 1 : 2] == 1 && w.dim[ohwi ? 2 : 3] == 1 && a->stride == 1 &&
           !a->pad_top && !a->pad_left && !a->pad_bottom && !a->pad_right;
}

static const node *made_by(const tensor *t, const op *o) { return match_inner(t) && t->producer->op == o ? t->producer : NULL; }

/* t = conv1x1(depthwise(x))? */
static bool find_main(const tensor *t, block_nodes *b) {
    b->pointwise = made_by(t, &op_conv2d);
    if (!b->pointwise || !ordered_conv_ok(b->pointwise) || !unpadded_1x1(b->pointwise)) return false;
    b->depthwise = made_by(b->pointwise->in[0], &op_depthwise_conv2d);
    if (!b->depthwise || !ordered_depthwise_ok(b->depthwise)) return false;
    b->x = b->depthwise->in[0];
    return true;
}

/* t = x, perhaps pooled, perhaps padded with channels? */
static bool find_shortcut(const tensor *t, block_nodes *b) {
    b->pool = b->pad = NULL;
    while (t != b->x) {
        if (!b->pad && (b->pad = made_by(t, &op_pad_channels))) t = b->pad->in[0];
        else if (!b->pool && (b->pool = made_by(t, &op_max_pool2d))) {
            const max_pool2d_attr *a = b->pool->attr;
            if (a->window != 2 || a->stride != 2) return false;
            t = b->pool->in[0];
        } else return false;
    }
    return true;
}

static bool find_block(const node *root, block_nodes *b) {
    *b = (block_nodes){ .add = root };
    if (root->op != &op_add) {
        if (!ordered_activation_ok(root) || root->in[0]->producer->op != &op_add) return false;
        b->activation = root;
        b->add = root->in[0]->producer;
    }
    for (int i = 0; i < 2; i++) {
        const tensor *main = b->add->in[i], *shortcut = b->add->in[1 - i];
        if (shape_equal(main->shape, shortcut->shape) && find_main(main, b) && find_shortcut(shortcut, b)) return true;
    }
    return false;
}

bool ordered_residual_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    block_nodes b;
    if (!find_block(root, &b)) return false;
    const node *all[] = { b.depthwise, b.pointwise, b.pool, b.pad, b.add, b.activation };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) match_node(m, all[i]);
    match_in(m, b.x, (layout_need){ .strided = true, .border = 1, .channel_multiple = ORDERED_GROUP });
    match_out(m, root->out[0], (layout_need){ .strided = true });
    const tensor *params[] = { b.depthwise->in[1], b.depthwise->in[2], b.pointwise->in[1], b.pointwise->in[2],
                               b.activation && b.activation->op == &op_prelu ? b.activation->in[1] : NULL };
    for (size_t i = 0; i < sizeof params / sizeof *params; i++)
        if (params[i]) match_param(m, params[i]);
    return true;
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

typedef struct {
    ordered_packed main;
    ordered_depthwise_layer depthwise;
    bool pooled, direct;          /* direct: the output has room for whole groups of channels in each pixel */
    size_t groups_in, band;       /* rows computed together */
    size_t pool_at, out_at;       /* in scratch, in floats, behind the depthwise rows */
    uint32_t *add_pixels, *out_pixels, *scratch_pixels;   /* offsets of a band's pixels */
} residual;

static void residual_free(residual *r) {
    if (!r) return;
    ordered_packed_free(&r->main);
    free(r->depthwise.zeros);
    free(r->add_pixels);
    free(r->out_pixels);
    free(r->scratch_pixels);
    free(r);
}

void ordered_residual_release(kernel_step *s) { residual_free(s->state); }

/* Rows are made two at a time; small pictures at once, so that blocks of pixels need not end with a row. */
static size_t band_rows(size_t height, size_t width) {
    size_t rows = width >= 32 ? 2 : (64 + width - 1) / width;
    return rows < height ? rows : height;
}

int ordered_residual_prepare(kernel_step *s, params *p) {
    block_nodes b;
    const node *root = s->match.n_out ? s->match.out[0]->producer : NULL;
    if (!root || !find_block(root, &b)) return error_set(ERR_FORMAT, "not a residual block");
    residual *r = calloc(1, sizeof *r);
    if (!r) return error_memory(sizeof *r);
    s->state = r;
    const nn_shape xs = b.x->shape, ys = root->out[0]->shape;
    const nn_layout *in = &s->in_layout[0], *out = &s->out_layout[0];
    const ordered_isa *isa = s->kernel->variant;
    r->groups_in = ordered_groups(xs.dim[3]);
    int rc = ordered_pack(&r->main, isa, b.pointwise, b.activation, false, p);
    if (rc == 0) rc = ordered_depthwise_pack(&r->depthwise, isa, b.depthwise, in->stride[2], r->groups_in * ORDERED_GROUP, p);
    if (rc < 0) return residual_free(r), s->state = NULL, rc;

    r->pooled = b.pool != NULL;
    r->band = band_rows(ys.dim[1], ys.dim[2]);
    r->direct = out->stride[2] >= r->main.groups * ORDERED_GROUP;
    size_t pixels = r->band * ys.dim[2], wide_in = r->groups_in * ORDERED_GROUP, wide_out = r->main.groups * ORDERED_GROUP;
    r->add_pixels = calloc(pixels, sizeof(uint32_t));
    r->out_pixels = calloc(pixels, sizeof(uint32_t));
    r->scratch_pixels = calloc(pixels, sizeof(uint32_t));
    if (!r->add_pixels || !r->out_pixels || !r->scratch_pixels)
        return residual_free(r), s->state = NULL, error_memory(pixels * sizeof(uint32_t));
    if (r->pooled) ordered_table(r->add_pixels, pixels, pixels, 0, wide_in);
    else ordered_table(r->add_pixels, pixels, ys.dim[2], in->stride[1], in->stride[2]);
    ordered_table(r->out_pixels, pixels, ys.dim[2], out->stride[1], out->stride[2]);
    ordered_table(r->scratch_pixels, pixels, pixels, 0, wide_out);
    r->pool_at = pixels * wide_in;
    r->out_at = r->pool_at + (r->pooled ? pixels * wide_in : 0);
    s->scratch_bytes = (r->out_at + (r->direct ? 0 : pixels * wide_out) + 16) * sizeof(float);
    return 0;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Output rows [y, y + rows) of one picture. */
static void residual_band(const kernel_step *s, const float *x, float *out, float *scratch, size_t y, size_t rows) {
    const residual *r = s->state;
    const nn_layout *in = &s->in_layout[0], *to = &s->out_layout[0];
    const nn_shape ys = s->match.out[0]->shape;
    size_t width = ys.dim[2], wide_in = r->groups_in * ORDERED_GROUP, wide_out = r->main.groups * ORDERED_GROUP;
    float *pooled = r->pooled ? scratch + r->pool_at : NULL;
    ordered_depthwise_rows(&r->depthwise, x, in, y, rows, width, scratch, width * wide_in, wide_in, pooled);
    const float *add = pooled ? pooled : x + y * in->stride[1];
    float *row = out + y * to->stride[1];
    const uint32_t one_run = 0;
    ordered_sum sum = {
        .in = scratch, .in_pixel = wide_in, .runs = 1, .run = r->main.terms, .run_at = &one_run,
        .add = add, .add_at = r->add_pixels, .add_groups = r->groups_in,
        .out = r->direct ? row : scratch + r->out_at, .out_at = r->direct ? r->out_pixels : r->scratch_pixels,
    };
    ordered_run(&r->main, &sum, rows * width);
    if (!r->direct) ordered_scatter(row, r->out_pixels, to->stride[2], scratch + r->out_at, wide_out, r->main.channels, rows * width);
    else if (to->stride[2] > wide_out) ordered_zero_tail(row, r->out_pixels, wide_out, to->stride[2], rows * width);
}

int ordered_residual_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const residual *r = s->state;
    const nn_shape ys = s->match.out[0]->shape;
    for (size_t n = 0; n < ys.dim[0]; n++) {
        const float *x = (const float *)in[0] + n * s->in_layout[0].stride[0];
        float *y = (float *)out[0] + n * s->out_layout[0].stride[0];
        ordered_border(y, &s->out_layout[0], ys);
        for (size_t row = 0; row < ys.dim[1]; row += r->band)
            residual_band(s, x, y, scratch, row, ys.dim[1] - row < r->band ? ys.dim[1] - row : r->band);
    }
    return 0;
}
