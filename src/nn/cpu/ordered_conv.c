/* SPDX-License-Identifier: Apache-2.0
 *
 * conv2d of any shape, and an activation after it. Where padding must be seen and the input has no zeros around it, a
 * band of input rows is copied between zeros in scratch memory first. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nn/cpu/ordered_kernels.h"
#include "nn/cpu/ordered_pack.h"

enum { SMALL_PICTURE = 64, FLAT_PICTURE = 4096, BAND_FLOATS = 9000 };   /* pixels, pixels, floats */

typedef enum {
    INPUT_DIRECT,   /* rows are read where they are, zeros around them included if there are any */
    INPUT_FLAT,     /* 1x1 over pixels that lie without gaps: the picture is one long row */
    INPUT_GATHER,   /* the same after a copy, for small pictures with gaps */
    INPUT_BAND,     /* rows are copied between zeros */
} input_mode;

typedef struct {
    ordered_packed conv;
    input_mode mode;
    conv2d_attr attr;
    size_t kh, kw, ci;
    size_t row_pixels;              /* output pixels computed in one go: a row, or the whole picture */
    size_t in_row, in_pixel;        /* strides of what is read, in floats */
    size_t band;                    /* output rows for one copy of a band */
    bool direct;                    /* the output has room for whole groups of channels in each pixel */
    size_t out_at;                  /* in scratch, in floats */
    size_t runs, run;               /* of the terms, see ordered_sum */
    uint32_t *run_at, *out_pixels, *scratch_pixels;
} conv_state;

/* ---- matching ---------------------------------------------------------------------------------------------------- */

bool ordered_conv_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    const node *conv = root, *activation = NULL;
    if (root->op != &op_conv2d) {
        if (!ordered_activation_ok(root) || root->in[0]->producer->op != &op_conv2d) return false;
        activation = root;
        conv = root->in[0]->producer;
    }
    if (!ordered_conv_ok(conv)) return false;
    match_node(m, conv);
    if (activation) match_node(m, activation);
    match_in(m, conv->in[0], (layout_need){ .strided = true });
    match_out(m, root->out[0], (layout_need){ .strided = true });
    match_param(m, conv->in[1]);
    if (conv->in[2]) match_param(m, conv->in[2]);
    if (activation && activation->op == &op_prelu) match_param(m, activation->in[1]);
    return true;
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

void ordered_conv_release(kernel_step *s) {
    conv_state *c = s->state;
    if (!c) return;
    ordered_packed_free(&c->conv);
    free(c->run_at);
    free(c->out_pixels);
    free(c->scratch_pixels);
    free(c);
    s->state = NULL;
}

static bool zeros_suffice(const conv2d_attr *a, size_t border) {
    return (size_t)a->pad_top <= border && (size_t)a->pad_left <= border && (size_t)a->pad_bottom <= border && (size_t)a->pad_right <= border;
}

/* Chooses how the input is read; answers the floats of scratch that takes. */
static size_t choose_input(conv_state *c, const nn_layout *in, nn_shape xs, nn_shape ys) {
    size_t h = xs.dim[1], w = xs.dim[2];
    bool padded = c->attr.pad_top || c->attr.pad_left || c->attr.pad_bottom || c->attr.pad_right;
    bool pointwise = c->kh == 1 && c->kw == 1 && c->attr.stride == 1 && !padded;
    c->row_pixels = ys.dim[2];
    c->in_row = in->stride[1];
    c->in_pixel = in->stride[2];
    if (pointwise && h * w <= FLAT_PICTURE && in->stride[1] == w * in->stride[2]) {
        c->mode = INPUT_FLAT;
        c->row_pixels = h * w;
        return 0;
    }
    if (pointwise && h * w <= SMALL_PICTURE) {
        c->mode = INPUT_GATHER;
        c->row_pixels = h * w;
        c->in_pixel = c->ci;
        return h * w * c->ci;
    }
    if (zeros_suffice(&c->attr, in->border)) {
        c->mode = INPUT_DIRECT;
        return 0;
    }
    c->mode = INPUT_BAND;
    c->in_pixel = c->ci;
    c->in_row = (w + (size_t)c->attr.pad_left + (size_t)c->attr.pad_right) * c->ci;
    size_t rows = BAND_FLOATS / c->in_row;
    c->band = rows > c->kh ? (rows - c->kh) / (size_t)c->attr.stride + 1 : 1;
    if (c->band > ys.dim[1]) c->band = ys.dim[1];
    return ((c->band - 1) * (size_t)c->attr.stride + c->kh) * c->in_row;
}

/* The runs of terms: a row of taps is one where the pixels lie without gaps. */
static int make_runs(conv_state *c) {
    bool dense = c->in_pixel == c->ci;
    size_t columns = dense ? 1 : c->kw;
    c->run = dense ? c->kw * c->ci : c->ci;
    c->runs = c->kh * columns;
    if (!(c->run_at = calloc(c->runs, sizeof *c->run_at))) return error_memory(c->runs * sizeof *c->run_at);
    ordered_table(c->run_at, c->runs, columns, c->in_row, c->in_pixel);
    return 0;
}

int ordered_conv_prepare(kernel_step *s, params *p) {
    const node *conv = s->match.nodes[0], *activation = s->match.n_nodes > 1 ? s->match.nodes[1] : NULL;
    const nn_shape xs = conv->in[0]->shape, ys = conv->out[0]->shape, ws = conv->in[1]->shape;
    const nn_layout *out = &s->out_layout[0];
    conv_state *c = s->state = calloc(1, sizeof *c);
    if (!c) return error_memory(sizeof *c);
    memcpy(&c->attr, conv->attr, sizeof c->attr);
    bool ohwi = c->attr.weights == WEIGHTS_OHWI;
    c->kh = ws.dim[ohwi ? 1 : 2];
    c->kw = ws.dim[ohwi ? 2 : 3];
    c->ci = xs.dim[3];
    int rc = ordered_pack(&c->conv, s->kernel->variant, conv, activation, ys.dim[1] * ys.dim[2] == 1, p);
    c->out_at = (choose_input(c, &s->in_layout[0], xs, ys) + 15) / 16 * 16;
    size_t wide = c->conv.groups * ORDERED_GROUP;
    c->direct = out->stride[2] >= wide;
    c->out_pixels = calloc(c->row_pixels, sizeof(uint32_t));
    c->scratch_pixels = calloc(c->row_pixels, sizeof(uint32_t));
    if (rc == 0) rc = make_runs(c);
    if (rc == 0 && (!c->out_pixels || !c->scratch_pixels)) rc = error_memory(c->row_pixels * sizeof(uint32_t));
    if (rc < 0) return ordered_conv_release(s), rc;
    ordered_table(c->out_pixels, c->row_pixels, ys.dim[2], out->stride[1], out->stride[2]);
    ordered_table(c->scratch_pixels, c->row_pixels, c->row_pixels, 0, wide);
    s->scratch_bytes = (c->out_at + (c->direct ? 0 : c->row_pixels * wide) + 16) * sizeof(float);
    return 0;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* memcpy takes `rep movsb` from some 2 KB on, which is slower on Zen 4. */
static void copy_floats(float *restrict to, const float *restrict from, size_t n) {
    typedef float four __attribute__((vector_size(16), aligned(4)));
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        four a = *(const four *)(from + i), b = *(const four *)(from + i + 4), c = *(const four *)(from + i + 8), d = *(const four *)(from + i + 12);
        *(four *)(to + i) = a;
        *(four *)(to + i + 4) = b;
        *(four *)(to + i + 8) = c;
        *(four *)(to + i + 12) = d;
    }
    for (; i < n; i++) to[i] = from[i];
}

/* Copies input rows [first, first + rows) into to, zeros where there is padding. */
static void copy_band(const conv_state *c, const nn_layout *in, nn_shape xs, const float *x, long first, size_t rows, float *to) {
    size_t w = xs.dim[2], left = (size_t)c->attr.pad_left * c->ci, right = (size_t)c->attr.pad_right * c->ci;
    for (size_t i = 0; i < rows; i++, to += c->in_row) {
        long y = first + (long)i;
        if (y < 0 || y >= (long)xs.dim[1]) {
            memset(to, 0, c->in_row * sizeof(float));
            continue;
        }
        const float *row = x + (size_t)y * in->stride[1];
        memset(to, 0, left * sizeof(float));
        if (in->stride[2] == c->ci) copy_floats(to + left, row, w * c->ci);
        else for (size_t j = 0; j < w; j++) memcpy(to + left + j * c->ci, row + j * in->stride[2], c->ci * sizeof(float));
        memset(to + left + w * c->ci, 0, right * sizeof(float));
    }
}

static void gather(const conv_state *c, const nn_layout *in, nn_shape xs, const float *x, float *to) {
    for (size_t y = 0; y < xs.dim[1]; y++)
        for (size_t j = 0; j < xs.dim[2]; j++, to += c->ci)
            memcpy(to, x + y * in->stride[1] + j * in->stride[2], c->ci * sizeof(float));
}

/* One row of outputs (or a whole picture: row_pixels), whose first tap is at in. */
static void conv_row(const kernel_step *s, const float *in, float *out, float *scratch) {
    const conv_state *c = s->state;
    size_t wide = c->conv.groups * ORDERED_GROUP, to = s->out_layout[0].stride[2];
    ordered_sum sum = {
        .in = in, .in_pixel = (size_t)c->attr.stride * c->in_pixel,
        .runs = c->runs, .run = c->run, .run_at = c->run_at,
        .out = c->direct ? out : scratch + c->out_at, .out_at = c->direct ? c->out_pixels : c->scratch_pixels,
    };
    ordered_run(&c->conv, &sum, c->row_pixels);
    if (c->direct) ordered_zero_tail(out, c->out_pixels, wide, to, c->row_pixels);
    else ordered_scatter(out, c->out_pixels, to, scratch + c->out_at, wide, c->conv.channels, c->row_pixels);
}

static void conv_picture(const kernel_step *s, const float *x, float *out, float *scratch) {
    const conv_state *c = s->state;
    const nn_layout *in = &s->in_layout[0];
    const nn_shape xs = s->match.in[0]->shape, ys = s->match.out[0]->shape;
    size_t stride = (size_t)c->attr.stride, out_row = s->out_layout[0].stride[1];
    if (c->mode == INPUT_FLAT) return conv_row(s, x, out, scratch);
    if (c->mode == INPUT_GATHER) {
        gather(c, in, xs, x, scratch);
        return conv_row(s, scratch, out, scratch);
    }
    if (c->mode == INPUT_DIRECT) {
        const float *first = x - (size_t)c->attr.pad_top * c->in_row - (size_t)c->attr.pad_left * c->in_pixel;
        for (size_t y = 0; y < ys.dim[1]; y++) conv_row(s, first + y * stride * c->in_row, out + y * out_row, scratch);
        return;
    }
    for (size_t y = 0; y < ys.dim[1]; y += c->band) {
        size_t rows = ys.dim[1] - y < c->band ? ys.dim[1] - y : c->band;
        copy_band(c, in, xs, x, (long)(y * stride) - c->attr.pad_top, (rows - 1) * stride + c->kh, scratch);
        for (size_t i = 0; i < rows; i++) conv_row(s, scratch + i * stride * c->in_row, out + (y + i) * out_row, scratch);
    }
}

int ordered_conv_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const nn_shape ys = s->match.out[0]->shape;
    for (size_t n = 0; n < ys.dim[0]; n++) {
        float *y = (float *)out[0] + n * s->out_layout[0].stride[0];
        ordered_border(y, &s->out_layout[0], ys);
        conv_picture(s, (const float *)in[0] + n * s->in_layout[0].stride[0], y, scratch);
    }
    return 0;
}
