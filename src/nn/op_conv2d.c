/* SPDX-License-Identifier: Apache-2.0
 *
 * conv2d and depthwise_conv2d. The f32 order of summation is part of the meaning: bias, then one fused multiply-add a
 * term, as XNNPACK sums (docs/exactness.md), so that a kernel vectorised over output channels can be equal bit for bit. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"

void conv2d_same_padding(size_t in, int kernel, int stride, int *before, int *after) {
    size_t s = (size_t)stride, out = (in + s - 1) / s;
    size_t covered = (out - 1) * s + (size_t)kernel;
    int total = covered > in ? (int)(covered - in) : 0;
    *before = total / 2;
    *after = total - total / 2;
}

/* One output dimension; 0 if the window does not fit. */
static size_t out_size(size_t in, int before, int after, size_t kernel, int stride) {
    size_t padded = in + (size_t)before + (size_t)after;
    return padded < kernel ? 0 : (padded - kernel) / (size_t)stride + 1;
}

static int check_attr(const char *name, const conv2d_attr *a) {
    int pad_max = 1 << 20;
    if (a->stride < 1 || a->stride > pad_max) return error_set(ERR_FORMAT, "%s: stride %d", name, a->stride);
    if (a->pad_top < 0 || a->pad_left < 0 || a->pad_bottom < 0 || a->pad_right < 0 || a->pad_top > pad_max ||
        a->pad_left > pad_max || a->pad_bottom > pad_max || a->pad_right > pad_max)
        return error_set(ERR_FORMAT, "%s: impossible padding", name);
    return 0;
}

static int check_bias(const node *n, size_t channels) {
    const tensor *b = n->in[2];
    if (b && (b->shape.rank != 1 || b->shape.dim[0] != channels))
        return error_set(ERR_FORMAT, "%s: the bias has another length than the %zu outputs", n->op->name, channels);
    return 0;
}

/* Fills the output's type and shape from the input's and the kernel's size. */
static int set_output(node *n, size_t kh, size_t kw, size_t channels) {
    const conv2d_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape;
    size_t h = out_size(x.dim[1], a->pad_top, a->pad_bottom, kh, a->stride);
    size_t w = out_size(x.dim[2], a->pad_left, a->pad_right, kw, a->stride);
    if (!h || !w) return error_set(ERR_FORMAT, "%s: a %zux%zu kernel does not fit into %zux%zu", n->op->name, kh, kw, x.dim[1], x.dim[2]);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = shape4(x.dim[0], h, w, channels);
    return 0;
}

static bool is_float(const tensor *t) { return nn_type_is_float(t->type); }

static int conv2d_shape(node *n) {
    const conv2d_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape, w = n->in[1]->shape;
    int rc = check_attr(n->op->name, a);
    if (rc < 0) return rc;
    if (x.rank != 4 || w.rank != 4 || !is_float(n->in[0]) || !is_float(n->in[1]))
        return error_set(ERR_FORMAT, "conv2d: picture and kernel must be floating point of rank 4");
    bool ohwi = a->weights == WEIGHTS_OHWI;
    size_t kh = w.dim[ohwi ? 1 : 2], kw = w.dim[ohwi ? 2 : 3], ci = w.dim[ohwi ? 3 : 1];
    if (ci != x.dim[3]) return error_set(ERR_FORMAT, "conv2d: the kernel wants %zu channels, the picture has %zu", ci, x.dim[3]);
    rc = check_bias(n, w.dim[0]);
    return rc < 0 ? rc : set_output(n, kh, kw, w.dim[0]);
}

static void conv2d_reference(const node *n, const void *const in[], void *const out[]) {
    const conv2d_attr *a = n->attr;
    const nn_shape xs = n->in[0]->shape, ws = n->in[1]->shape, ys = n->out[0]->shape;
    const float *x = in[0], *w = in[1], *bias = in[2];
    float *y = out[0];
    bool ohwi = a->weights == WEIGHTS_OHWI;
    size_t kh = ws.dim[ohwi ? 1 : 2], kw = ws.dim[ohwi ? 2 : 3], ci = xs.dim[3], H = xs.dim[1], W = xs.dim[2];
    size_t tap_step = ohwi ? ci : 1, ci_step = ohwi ? 1 : kh * kw;   /* in w, from a tap or a channel to the next */
    for (size_t b = 0; b < ys.dim[0]; b++)
        for (size_t oy = 0; oy < ys.dim[1]; oy++)
            for (size_t ox = 0; ox < ys.dim[2]; ox++)
                for (size_t co = 0; co < ys.dim[3]; co++) {
                    float sum = bias ? bias[co] : 0;
                    const float *wo = w + co * kh * kw * ci;
                    for (size_t ky = 0; ky < kh; ky++)
                        for (size_t kx = 0; kx < kw; kx++) {
                            size_t iy = oy * (size_t)a->stride + ky - (size_t)a->pad_top;    /* outside wraps to a huge number */
                            size_t ix = ox * (size_t)a->stride + kx - (size_t)a->pad_left;
                            bool inside = iy < H && ix < W;
                            const float *xp = inside ? x + ((b * H + iy) * W + ix) * ci : NULL;
                            const float *wp = wo + (ky * kw + kx) * tap_step;
                            for (size_t c = 0; c < ci; c++) sum = fmaf(inside ? xp[c] : 0.0f, wp[c * ci_step], sum);
                        }
                    *y++ = sum;
                }
}

static double conv2d_flops(const node *n) {
    const nn_shape w = n->in[1]->shape;
    return 2.0 * (double)shape_elements(n->out[0]->shape) * (double)(w.dim[1] * w.dim[2] * w.dim[3]);
}

static void conv2d_gradient(graph *g, const node *n) {
    tensor *x = n->in[0], *w = n->in[1], *bias = n->in[2], *dy = n->out[0]->grad;
    const conv2d_attr *a = n->attr;
    if (gradient_wanted(x)) gradient_add(g, x, conv2d_dx(g, dy, w, x->shape.dim[1], x->shape.dim[2], *a));
    if (gradient_wanted(w)) gradient_add(g, w, conv2d_dw(g, x, dy, w->shape, *a));
    if (gradient_wanted(bias)) gradient_add(g, bias, sum_to(g, dy, bias->shape, NN_F32));
}

const op op_conv2d = {
    .name = "conv2d", .attr_bytes = sizeof(conv2d_attr),
    .shape = conv2d_shape, .reference = conv2d_reference, .flops = conv2d_flops, .gradient = conv2d_gradient,
};

tensor *conv2d(graph *g, tensor *x, tensor *w, tensor *bias, conv2d_attr attr) {
    return graph_apply(g, &op_conv2d, &attr, (tensor *[]){ x, w, bias }, 3, 1u << 2);
}

/* ---- gradients --------------------------------------------------------------------------------------------------------- */

/* Each product of the sums that a convolution is: y += x w. Whoever wants another of the three rewrites that one. */
typedef void conv_term(float *x, float *y, float *w);

static inline void each_term(const nn_shape xs, const nn_shape ys, const nn_shape ws, const conv2d_attr *a, const float *x, const float *y, const float *w, conv_term *term) {
    bool ohwi = a->weights == WEIGHTS_OHWI;
    size_t kh = ws.dim[ohwi ? 1 : 2], kw = ws.dim[ohwi ? 2 : 3], ci = xs.dim[3], co = ys.dim[3];
    size_t tap_step = ohwi ? ci : 1, ci_step = ohwi ? 1 : kh * kw;
    for (size_t b = 0; b < ys.dim[0]; b++)
        for (size_t oy = 0; oy < ys.dim[1]; oy++)
            for (size_t ox = 0; ox < ys.dim[2]; ox++)
                for (size_t tap = 0; tap < kh * kw; tap++) {
                    size_t iy = oy * (size_t)a->stride + tap / kw - (size_t)a->pad_top, ix = ox * (size_t)a->stride + tap % kw - (size_t)a->pad_left;
                    if (iy >= xs.dim[1] || ix >= xs.dim[2]) continue;   /* outside wraps to a huge number */
                    const float *xp = x + ((b * xs.dim[1] + iy) * xs.dim[2] + ix) * ci, *yp = y + ((b * ys.dim[1] + oy) * ys.dim[2] + ox) * co;
                    for (size_t o = 0; o < co; o++)
                        for (size_t c = 0; c < ci; c++) term((float *)xp + c, (float *)yp + o, (float *)w + o * kh * kw * ci + tap * tap_step + c * ci_step);
                }
}

static void into_x(float *x, float *y, float *w) { *x = fmaf(*y, *w, *x); }
static void into_w(float *x, float *y, float *w) { *w = fmaf(*y, *x, *w); }

typedef struct { conv2d_attr conv; size_t height, width; } conv2d_dx_attr;
typedef struct { conv2d_attr conv; nn_shape shape; } conv2d_dw_attr;

/* Whether y is what a convolution of x by w has. */
static int check_conv(const char *name, const nn_shape x, const nn_shape y, const nn_shape w, const conv2d_attr *a) {
    int rc = check_attr(name, a);
    if (rc < 0) return rc;
    bool ohwi = a->weights == WEIGHTS_OHWI, fits = x.rank == 4 && y.rank == 4 && w.rank == 4;
    fits = fits && x.dim[0] == y.dim[0] && y.dim[3] == w.dim[0] && x.dim[3] == w.dim[ohwi ? 3 : 1];
    fits = fits && y.dim[1] == out_size(x.dim[1], a->pad_top, a->pad_bottom, w.dim[ohwi ? 1 : 2], a->stride);
    fits = fits && y.dim[2] == out_size(x.dim[2], a->pad_left, a->pad_right, w.dim[ohwi ? 2 : 3], a->stride);
    return fits ? 0 : error_set(ERR_FORMAT, "%s: no convolution has this gradient", name);
}

static int conv2d_dx_shape(node *n) {
    const conv2d_dx_attr *a = n->attr;
    const nn_shape dy = n->in[0]->shape, w = n->in[1]->shape;
    if (w.rank != 4 || !is_float(n->in[0]) || !is_float(n->in[1])) return error_set(ERR_FORMAT, "conv2d_dx: the kernel must be of rank 4");
    nn_shape x = shape4(dy.dim[0], a->height, a->width, w.dim[a->conv.weights == WEIGHTS_OHWI ? 3 : 1]);
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = x;
    return check_conv("conv2d_dx", x, dy, w, &a->conv);
}

static void conv2d_dx_reference(const node *n, const void *const in[], void *const out[]) {
    const nn_shape x = n->out[0]->shape;
    memset(out[0], 0, shape_elements(x) * sizeof(float));
    each_term(x, n->in[0]->shape, n->in[1]->shape, &((const conv2d_dx_attr *)n->attr)->conv, out[0], in[0], in[1], into_x);
}

static double conv2d_dx_flops(const node *n) {
    const nn_shape w = n->in[1]->shape;
    return 2.0 * (double)shape_elements(n->in[0]->shape) * (double)(w.dim[1] * w.dim[2] * w.dim[3]);
}

const op op_conv2d_dx = {
    .name = "conv2d_dx", .attr_bytes = sizeof(conv2d_dx_attr),
    .shape = conv2d_dx_shape, .reference = conv2d_dx_reference, .flops = conv2d_dx_flops,
};

tensor *conv2d_dx(graph *g, tensor *dy, tensor *w, size_t height, size_t width, conv2d_attr attr) {
    return graph_apply(g, &op_conv2d_dx, &(conv2d_dx_attr){ attr, height, width }, (tensor *[]){ dy, w }, 2, 0);
}

static int conv2d_dw_shape(node *n) {
    const conv2d_dw_attr *a = n->attr;
    if (!is_float(n->in[0]) || !is_float(n->in[1])) return error_set(ERR_FORMAT, "conv2d_dw: not floating-point tensors");
    n->out[0]->type = NN_F32;
    n->out[0]->shape = a->shape;
    return check_conv("conv2d_dw", n->in[0]->shape, n->in[1]->shape, a->shape, &a->conv);
}

static void conv2d_dw_reference(const node *n, const void *const in[], void *const out[]) {
    const conv2d_dw_attr *a = n->attr;
    memset(out[0], 0, shape_elements(a->shape) * sizeof(float));
    each_term(n->in[0]->shape, n->in[1]->shape, a->shape, &a->conv, in[0], in[1], out[0], into_w);
}

static double conv2d_dw_flops(const node *n) {
    const nn_shape w = n->out[0]->shape;
    return 2.0 * (double)shape_elements(n->in[1]->shape) * (double)(w.dim[1] * w.dim[2] * w.dim[3]);
}

const op op_conv2d_dw = {
    .name = "conv2d_dw", .attr_bytes = sizeof(conv2d_dw_attr),
    .shape = conv2d_dw_shape, .reference = conv2d_dw_reference, .flops = conv2d_dw_flops,
};

tensor *conv2d_dw(graph *g, tensor *x, tensor *dy, nn_shape shape, conv2d_attr attr) {
    return graph_apply(g, &op_conv2d_dw, &(conv2d_dw_attr){ attr, shape }, (tensor *[]){ x, dy }, 2, 0);
}

/* ---- depthwise --------------------------------------------------------------------------------------------------------- */

static int depthwise_shape(node *n) {
    const conv2d_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape, w = n->in[1]->shape;
    int rc = check_attr(n->op->name, a);
    if (rc < 0) return rc;
    if (x.rank != 4 || w.rank != 4 || !is_float(n->in[0]) || !is_float(n->in[1]) || a->weights != WEIGHTS_OHWI)
        return error_set(ERR_FORMAT, "depthwise_conv2d: picture and kernel must be floating point of rank 4");
    if (w.dim[0] != 1 || w.dim[3] != x.dim[3])
        return error_set(ERR_FORMAT, "depthwise_conv2d: the kernel wants %zu channels, the picture has %zu", w.dim[3], x.dim[3]);
    rc = check_bias(n, x.dim[3]);
    return rc < 0 ? rc : set_output(n, w.dim[1], w.dim[2], x.dim[3]);
}

static void depthwise_reference(const node *n, const void *const in[], void *const out[]) {
    const conv2d_attr *a = n->attr;
    const nn_shape xs = n->in[0]->shape, ws = n->in[1]->shape, ys = n->out[0]->shape;
    const float *x = in[0], *w = in[1], *bias = in[2];
    float *y = out[0];
    size_t kh = ws.dim[1], kw = ws.dim[2], C = xs.dim[3], H = xs.dim[1], W = xs.dim[2];
    for (size_t b = 0; b < ys.dim[0]; b++)
        for (size_t oy = 0; oy < ys.dim[1]; oy++)
            for (size_t ox = 0; ox < ys.dim[2]; ox++)
                for (size_t c = 0; c < C; c++) {
                    float sum = bias ? bias[c] : 0;
                    for (size_t kx = 0; kx < kw; kx++)         /* columns outer: XNNPACK's order */
                        for (size_t ky = 0; ky < kh; ky++) {
                            size_t iy = oy * (size_t)a->stride + ky - (size_t)a->pad_top;
                            size_t ix = ox * (size_t)a->stride + kx - (size_t)a->pad_left;
                            float v = iy < H && ix < W ? x[((b * H + iy) * W + ix) * C + c] : 0.0f;
                            sum = fmaf(v, w[(ky * kw + kx) * C + c], sum);
                        }
                    *y++ = sum;
                }
}

static double depthwise_flops(const node *n) {
    const nn_shape w = n->in[1]->shape;
    return 2.0 * (double)shape_elements(n->out[0]->shape) * (double)(w.dim[1] * w.dim[2]);
}

const op op_depthwise_conv2d = {
    .name = "depthwise_conv2d", .attr_bytes = sizeof(conv2d_attr),
    .shape = depthwise_shape, .reference = depthwise_reference, .flops = depthwise_flops,
};

tensor *depthwise_conv2d(graph *g, tensor *x, tensor *w, tensor *bias, conv2d_attr attr) {
    return graph_apply(g, &op_depthwise_conv2d, &attr, (tensor *[]){ x, w, bias }, 3, 1u << 2);
}
