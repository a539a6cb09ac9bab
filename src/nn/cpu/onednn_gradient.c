/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of convolutions and linears. What a picture or its gradient is in oneDNN's primitive stands in the operands X (what is read) and Y (what
 * is written); the second operand of all, weights or the gradient of the output, stands in WEIGHTS. Of a 1x1 convolution they are matrix products.
 *
 * The gradient of weights comes in blocks of oneDNN's choice, in f32, and is wanted as the checkpoint stores them, so that optimisers go through all of
 * their tensors in one order. Where blocks are of 16 outputs, all of whose numbers lie together, it is written into the output and each
 * block is put into order there, by way of a copy; elsewhere the whole goes through scratch. */
#include <stdlib.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/onednn_inside.h"

static const int data_arguments[OPERANDS] = { [X] = DNNL_ARG_DIFF_DST, [Y] = DNNL_ARG_DIFF_SRC, [WEIGHTS] = DNNL_ARG_WEIGHTS, [SCRATCH] = DNNL_ARG_SCRATCHPAD };
static const int weights_arguments[OPERANDS] = { [X] = DNNL_ARG_SRC, [Y] = DNNL_ARG_DIFF_WEIGHTS, [WEIGHTS] = DNNL_ARG_DIFF_DST, [SCRATCH] = DNNL_ARG_SCRATCHPAD };

static bool of_weights(const node *n) { return n->op == &op_conv2d_dw || n->op == &op_linear_dw; }

static nn_shape weights_shape(const node *n) { return of_weights(n) ? n->out[0]->shape : n->in[1]->shape; }

/* A linear, or a convolution that is one. */
static bool is_product(const node *n) {
    const conv2d_attr *a = n->attr;
    if (n->op == &op_linear_dx || n->op == &op_linear_dw) return true;
    const nn_shape w = weights_shape(n);
    int first = a->weights == WEIGHTS_OHWI ? 1 : 2;
    return w.dim[first] == 1 && w.dim[first + 1] == 1 && a->stride == 1 && !a->pad_top && !a->pad_left && !a->pad_bottom && !a->pad_right;
}

bool onednn_gradient_match(const kernel *k, const node *root, kernel_match *m) {
    const tensor *first = root->in[0], *second = root->in[1];
    (void)k;
    if (root->ordered || first->kind == TENSOR_PARAM || (first->type != NN_F32 && first->type != NN_BF16)) return false;
    if (of_weights(root) ? second->kind == TENSOR_PARAM || second->type != first->type : !onednn_weight_fits(first, second)) return false;
    match_node(m, root);
    match_in(m, root->in[0], (layout_need){ 0 });
    if (of_weights(root)) match_in(m, root->in[1], (layout_need){ 0 });
    else match_weight(m, root->in[1]);
    match_out(m, root->out[0], (layout_need){ 0 });
    return true;
}

/* ---- making primitives ----------------------------------------------------------------------------------------------------- */

static dnnl_status_t create_product(onednn_state *s, const node *n, const_dnnl_primitive_attr_t attr) {
    (void)n;
    return s->home->matmul_primitive_desc_create(&s->desc, s->home->engine, s->made[X], s->made[WEIGHTS], NULL, s->made[Y], attr);
}

/* dX [rows, K] = dY [rows, N] W [N, K]; dW [N, K] = dY^T [N, rows] X [rows, K]: of that product dY is the first operand. */
static dnnl_status_t make_product(onednn_state *s, kernel_step *step, const node *n) {
    onednn *o = s->home;
    const nn_shape w = weights_shape(n);
    const tensor *dy = n->in[of_weights(n) ? 1 : 0];
    dnnl_data_type_t type = onednn_type(n->in[0]->type);
    dnnl_dim_t outputs = (dnnl_dim_t)w.dim[0], inputs = (dnnl_dim_t)(shape_elements(w) / w.dim[0]), rows = (dnnl_dim_t)shape_elements(dy->shape) / outputs;
    onednn_strided weights = { 2, { outputs, inputs }, { inputs, 1 } }, x = { 2, { rows, inputs }, { inputs, 1 } };
    onednn_strided left = { 2, { rows, outputs }, { outputs, 1 } }, transposed = { 2, { outputs, rows }, { 1, outputs } };
    bool dw = of_weights(n);
    dnnl_status_t rc = onednn_describe(o, &s->made[X], dw ? &transposed : &left, type);
    if (!rc) rc = onednn_describe(o, &s->made[Y], dw ? &weights : &x, dw ? dnnl_f32 : type);
    if (!rc && dw) rc = onednn_describe(o, &s->made[WEIGHTS], &x, type);
    if (!rc && !dw) rc = o->memory_desc_create_with_tag(&s->made[WEIGHTS], 2, weights.dim, type, dnnl_format_tag_any);
    s->stored = weights;
    return rc ? rc : onednn_make_by(s, step, n, NULL, create_product);
}

static onednn_windows windows_of(const node *n) {
    const conv2d_attr *a = n->attr;
    const nn_shape w = weights_shape(n);
    int first = a->weights == WEIGHTS_OHWI ? 1 : 2;
    const tensor *x = of_weights(n) ? n->in[0] : n->out[0], *y = n->in[of_weights(n) ? 1 : 0];
    return onednn_windows_of(a, x->shape, y->shape, w.dim[first], w.dim[first + 1]);
}

static dnnl_status_t create_data(onednn_state *s, const node *n, const_dnnl_primitive_attr_t attr) {
    onednn_windows v = windows_of(n);
    return s->home->convolution_backward_data_primitive_desc_create(&s->desc, s->home->engine, dnnl_convolution_direct, s->made[Y], s->made[WEIGHTS], s->made[X],
                                                                    v.strides, v.dilates, v.before, v.after, NULL, attr);
}

static dnnl_status_t create_weights(onednn_state *s, const node *n, const_dnnl_primitive_attr_t attr) {
    onednn_windows v = windows_of(n);
    return s->home->convolution_backward_weights_primitive_desc_create(&s->desc, s->home->engine, dnnl_convolution_direct, s->made[X], s->made[Y], NULL,
                                                                       s->made[WEIGHTS], v.strides, v.dilates, v.before, v.after, NULL, attr);
}

static dnnl_status_t make_data(onednn_state *s, kernel_step *step, const node *n) {
    onednn *o = s->home;
    dnnl_data_type_t type = onednn_type(n->in[0]->type);
    onednn_strided dy = onednn_picture(n->in[0], &step->in_layout[0]), dx = onednn_picture(n->out[0], &step->out_layout[0]);
    s->stored = onednn_kernel(n->in[1]->shape, ((const conv2d_attr *)n->attr)->weights);
    s->arguments = data_arguments;
    dnnl_status_t rc = onednn_describe(o, &s->made[X], &dy, type);
    if (!rc) rc = onednn_describe(o, &s->made[Y], &dx, type);
    if (!rc) rc = o->memory_desc_create_with_tag(&s->made[WEIGHTS], 4, s->stored.dim, type, dnnl_format_tag_any);
    return rc ? rc : onednn_make_by(s, step, n, NULL, create_data);
}

static dnnl_status_t make_weights(onednn_state *s, kernel_step *step, const node *n) {
    onednn *o = s->home;
    dnnl_data_type_t type = onednn_type(n->in[0]->type);
    onednn_strided x = onednn_picture(n->in[0], &step->in_layout[0]), dy = onednn_picture(n->in[1], &step->in_layout[1]);
    s->stored = onednn_kernel(n->out[0]->shape, ((const conv2d_attr *)n->attr)->weights);
    s->arguments = weights_arguments;
    dnnl_status_t rc = onednn_describe(o, &s->made[X], &x, type);
    if (!rc) rc = onednn_describe(o, &s->made[WEIGHTS], &dy, type);
    if (!rc) rc = o->memory_desc_create_with_tag(&s->made[Y], 4, s->stored.dim, dnnl_f32, dnnl_format_tag_any);
    if (!rc) rc = onednn_make_by(s, step, n, NULL, create_weights);
    s->md[WEIGHTS] = s->made[WEIGHTS];
    if (!rc) s->md[Y] = o->primitive_desc_query_md(s->desc, dnnl_query_diff_weights_md, 0);
    return rc;
}

/* ---- a gradient of weights as it is stored ---------------------------------------------------------------------------------- */

/* Whether its blocks can be put into order where they are. */
static bool in_slabs(const onednn_state *s, const node *n) {
    const nn_shape w = n->out[0]->shape;
    const onednn *o = s->home;
    if (o->level < CPU_AVX512 || ((const conv2d_attr *)n->attr)->weights != WEIGHTS_OIHW || w.dim[0] % 16 || w.dim[1] % 16) return false;
    return onednn_is_slabs(o, s->md[Y]);
}

static int prepare_plain(onednn_state *s, const node *n) {
    onednn *o = s->home;
    if (in_slabs(s, n)) {
        s->slab = shape_elements(n->out[0]->shape) / n->out[0]->shape.dim[0] * 16;
        return 0;
    }
    dnnl_memory_desc_t plain = NULL;
    dnnl_status_t rc = onednn_describe(o, &plain, &s->stored, dnnl_f32);
    if (rc) return onednn_failed(rc, n->out[0]->name);
    if (!o->memory_desc_equal(plain, s->md[Y])) {
        s->again.weights = onednn_lines(o->memory_desc_get_size(s->md[Y]));
        s->reorder = onednn_reorder_new(o, s->md[Y], plain);
    }
    bool good = s->reorder || !s->again.weights;
    o->memory_desc_destroy(plain);
    if (s->reorder && s->reorder->own_scratch > s->own_scratch) s->own_scratch = s->reorder->own_scratch;
    return good ? 0 : error_code();
}

typedef struct { float *dw, *work; size_t slab, inputs, taps; } slabs_job;

static void slabs_part(void *context, size_t begin, size_t end, int thread) {
    const slabs_job *j = context;
    for (size_t i = begin; i < end; i++) blocked_unpack(j->dw + i * j->slab, j->work + (size_t)thread * j->slab, j->inputs, j->taps);
}

/* Scratch of a thread's copy of a slab follows the primitive's own: they are used one after the other. */
static size_t slab_scratch(const onednn_state *s, int threads) { return s->slab * sizeof(float) * (size_t)threads; }

/* ---- taps that never meet the picture --------------------------------------------------------------------------------------- */

/* Whether tap t of a window lies in the margin wherever the window lies, along one dimension. */
static bool is_idle(size_t t, size_t in, size_t out, size_t stride, size_t before) {
    size_t first = t < before ? (before - t + stride - 1) / stride : 0;   /* the first place where it lies behind the edge */
    return first >= out || first * stride + t - before >= in;
}

typedef struct { size_t outputs, inputs, height, width; bool ohwi; const size_t *x, *y; size_t stride, top, left; } window_job;

static window_job window_of(const node *n) {
    const conv2d_attr *a = n->attr;
    const size_t *w = n->out[0]->shape.dim;
    bool ohwi = a->weights == WEIGHTS_OHWI;
    return (window_job){ w[0], w[ohwi ? 3 : 1], w[ohwi ? 1 : 2], w[ohwi ? 2 : 3], ohwi, n->in[0]->shape.dim, n->in[1]->shape.dim, (size_t)a->stride, (size_t)a->pad_top, (size_t)a->pad_left };
}

static bool tap_is_idle(const window_job *j, size_t tap) {
    return is_idle(tap / j->width, j->x[1], j->y[1], j->stride, j->top) || is_idle(tap % j->width, j->x[2], j->y[2], j->stride, j->left);
}

static bool has_idle_taps(const node *n) {
    window_job j = window_of(n);
    for (size_t tap = 0; tap < j.height * j.width; tap++)
        if (tap_is_idle(&j, tap)) return true;
    return false;
}

/* Their gradient is zero. */
static void clear_idle_taps(const node *n, float *dw) {
    window_job j = window_of(n);
    size_t taps = j.height * j.width;
    for (size_t tap = 0; tap < taps; tap++) {
        if (!tap_is_idle(&j, tap)) continue;
        for (size_t o = 0; o < j.outputs; o++)
            for (size_t i = 0; i < j.inputs; i++) dw[j.ohwi ? (o * taps + tap) * j.inputs + i : (o * j.inputs + i) * taps + tap] = 0;
    }
}

/* ---- preparing, running ----------------------------------------------------------------------------------------------------- */

static int prepare(onednn_state *s, kernel_step *step, params *store, const node *n) {
    bool product = is_product(n), dw = of_weights(n);
    dnnl_status_t made = product ? make_product(s, step, n) : dw ? make_weights(s, step, n) : make_data(s, step, n);
    int rc = made ? onednn_failed(made, n->out[0]->name) : 0;
    if (rc == 0 && !dw) rc = onednn_pack(s, step, store, n);
    if (rc == 0 && dw && !product) rc = prepare_plain(s, n);
    s->idle_taps = dw && !product && has_idle_taps(n);
    if (rc == 0 && !(s->spare = onednn_binding_new(s))) rc = error_memory(sizeof(onednn_binding));
    size_t slabs = slab_scratch(s, step->threads);
    step->scratch_bytes = s->again.weights + (slabs > s->own_scratch ? slabs : s->own_scratch);
    return rc;
}

int onednn_gradient_prepare(kernel_step *step, params *store) {
    onednn *o = ((const onednn_row *)step->kernel->variant)->home;
    int rc = onednn_serves(o, step->match.in[0]);
    if (rc < 0) return rc;
    onednn_state *s = onednn_state_new(o);
    if (!s) return error_code();
    step->state = s;   /* released with the plan, also after a failure */
    int before = parallel_width(step->threads);
    rc = prepare(s, step, store, step->match.nodes[0]);
    parallel_width(before);
    return rc;
}

static int run_weights(onednn_state *s, const kernel_step *step, const node *n, void *address[OPERANDS]) {
    char *scratch = address[SCRATCH];
    float *dw = address[Y];
    if (s->reorder) address[Y] = scratch, address[SCRATCH] = scratch + s->again.weights;
    int rc = onednn_execute(s, address, n->out[0]->name);
    if (rc == 0 && s->reorder) rc = onednn_execute(s->reorder, (void *[OPERANDS]){ [X] = scratch, [Y] = dw, [SCRATCH] = address[SCRATCH] }, n->out[0]->name);
    if (rc == 0 && s->idle_taps && !s->slab) clear_idle_taps(n, dw);
    if (rc < 0 || !s->slab) return rc;
    const size_t *w = n->out[0]->shape.dim;
    slabs_job j = { dw, (float *)(void *)scratch, s->slab, w[1], w[2] * w[3] };
    parallel_for(step->threads, w[0] / 16, slabs_part, &j);
    if (s->idle_taps) clear_idle_taps(n, dw);
    return 0;
}

int onednn_gradient_run(const kernel_step *step, const void *const in[], void *const out[], void *scratch) {
    onednn_state *s = step->state;
    const node *n = step->match.nodes[0];
    bool dw = of_weights(n), product = dw && is_product(n);
    void *address[OPERANDS] = { [X] = (void *)in[product ? 1 : 0], [Y] = out[0], [WEIGHTS] = dw ? (void *)in[product ? 0 : 1] : NULL, [SCRATCH] = scratch };
    int before = parallel_width(step->threads), rc = 0;
    if (!dw) rc = onednn_take(s, step, n, in + 1, address);
    if (rc == 0) rc = dw ? run_weights(s, step, n, address) : onednn_execute(s, address, n->out[0]->name);
    parallel_width(before);
    return rc;
}
