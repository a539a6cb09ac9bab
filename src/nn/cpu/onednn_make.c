/* SPDX-License-Identifier: Apache-2.0
 *
 * Describing operands and making primitives. Operands are plain contiguous. oneDNN 3.2 has no fast convolution for a row or
 * pixel stride wider than the picture (it falls to `ref`, thousands of times slower), and onednn_strided products lose their residual in
 * the same way; a copy by the planner costs next to nothing beside that. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "nn/cpu/onednn_inside.h"

dnnl_data_type_t onednn_type(nn_type t) { return t == NN_BF16 ? dnnl_bf16 : dnnl_f32; }

dnnl_status_t onednn_describe(const onednn *o, dnnl_memory_desc_t *md, const onednn_strided *s, dnnl_data_type_t type) {
    return o->memory_desc_create_with_strides(md, s->rank, s->dim, type, s->stride);
}

onednn_strided onednn_picture(const tensor *t, const nn_layout *l) {
    const size_t *d = t->shape.dim, *s = l->stride;
    return (onednn_strided){ 4, { (dnnl_dim_t)d[0], (dnnl_dim_t)d[3], (dnnl_dim_t)d[1], (dnnl_dim_t)d[2] },
                      { (dnnl_dim_t)s[0], (dnnl_dim_t)s[3], (dnnl_dim_t)s[1], (dnnl_dim_t)s[2] } };
}

onednn_strided onednn_matrix(const tensor *t) {
    dnnl_dim_t c = (dnnl_dim_t)t->shape.dim[t->shape.rank - 1], rows = (dnnl_dim_t)shape_elements(t->shape) / c;
    return (onednn_strided){ 2, { rows, c }, { c, 1 } };
}

onednn_strided onednn_kernel(nn_shape w, weight_layout layout) {
    dnnl_dim_t d0 = (dnnl_dim_t)w.dim[0], d1 = (dnnl_dim_t)w.dim[1], d2 = (dnnl_dim_t)w.dim[2], d3 = (dnnl_dim_t)w.dim[3];
    if (layout == WEIGHTS_OIHW) return (onednn_strided){ 4, { d0, d1, d2, d3 }, { d1 * d2 * d3, d2 * d3, d3, 1 } };
    return (onednn_strided){ 4, { d0, d3, d1, d2 }, { d1 * d2 * d3, 1, d2 * d3, d3 } };
}

static onednn_strided conv_weights(const node *n) {
    const size_t *w = n->in[1]->shape.dim;
    dnnl_dim_t h = (dnnl_dim_t)w[1], width = (dnnl_dim_t)w[2], c = (dnnl_dim_t)w[3];
    if (n->op == &op_depthwise_conv2d) return (onednn_strided){ 5, { c, 1, 1, h, width }, { 1, c, c, width * c, c } };   /* groups of one */
    return onednn_kernel(n->in[1]->shape, ((const conv2d_attr *)n->attr)->weights);
}

onednn_windows onednn_windows_of(const conv2d_attr *a, const nn_shape x, const nn_shape y, size_t kh, size_t kw) {
    dnnl_dim_t stride = a->stride;
    /* After: what the last window reaches, which padding may exceed and a stride may fall short of. */
    return (onednn_windows){ { stride, stride }, { 0, 0 }, { a->pad_top, a->pad_left },
                             { ((dnnl_dim_t)y.dim[1] - 1) * stride + (dnnl_dim_t)kh - a->pad_top - (dnnl_dim_t)x.dim[1],
                               ((dnnl_dim_t)y.dim[2] - 1) * stride + (dnnl_dim_t)kw - a->pad_left - (dnnl_dim_t)x.dim[2] } };
}

static dnnl_status_t conv_desc(onednn_state *s, const node *n, const_dnnl_primitive_attr_t attr) {
    const conv2d_attr *a = n->attr;
    bool transposed = n->op != &op_depthwise_conv2d && a->weights == WEIGHTS_OIHW;
    const size_t *w = n->in[1]->shape.dim;
    onednn_windows v = onednn_windows_of(a, n->in[0]->shape, n->out[0]->shape, w[transposed ? 2 : 1], w[transposed ? 3 : 2]);
    return s->home->convolution_forward_primitive_desc_create(&s->desc, s->home->engine, dnnl_forward_inference, dnnl_convolution_direct,
                                                              s->made[X], s->made[WEIGHTS], s->made[BIAS], s->made[Y], v.strides, v.dilates,
                                                              v.before, v.after, attr);
}

/* Below AVX-512 oneDNN's matmul is a gemm that packs the weight in every call; its inner product packs once. Above,
 * both are as fast, and matmul's packing does not depend on the number of rows, so plans share it. */
static bool use_inner_product(const onednn *o) { return o->level < CPU_AVX512; }

static dnnl_status_t linear_desc(onednn_state *s, const node *n, const_dnnl_primitive_attr_t attr) {
    onednn *o = s->home;
    (void)n;
    if (use_inner_product(o))
        return o->inner_product_forward_primitive_desc_create(&s->desc, o->engine, dnnl_forward_inference, s->made[X], s->made[WEIGHTS],
                                                              s->made[BIAS], s->made[Y], attr);
    return o->matmul_primitive_desc_create(&s->desc, o->engine, s->made[X], s->made[WEIGHTS], s->made[BIAS], s->made[Y], attr);
}

/* Descriptions of all operands: activations and bias as they lie, the weights free to be laid out as the primitive likes. */
static dnnl_status_t describe_all(onednn_state *s, const kernel_step *step, const node *n) {
    onednn *o = s->home;
    const tensor *w = n->in[1], *bias = n->in[2];
    bool product = n->op == &op_linear, transpose = product && !use_inner_product(o);
    dnnl_data_type_t type = onednn_type(n->in[0]->type);
    onednn_strided x = product ? onednn_matrix(n->in[0]) : onednn_picture(n->in[0], &step->in_layout[0]);
    onednn_strided y = product ? onednn_matrix(n->out[0]) : onednn_picture(n->out[0], &step->out_layout[0]);
    if (s->rows) x.dim[0] = y.dim[0] = (dnnl_dim_t)s->rows;
    dnnl_status_t rc = onednn_describe(o, &s->made[X], &x, type);
    if (!rc) rc = onednn_describe(o, &s->made[Y], &y, type);
    if (!rc && ((const onednn_row *)step->kernel->variant)->form->residual) rc = onednn_describe(o, &s->made[RESIDUAL], &y, type);
    onednn_strided weights = product ? onednn_matrix(w) : conv_weights(n);
    if (transpose) weights = (onednn_strided){ 2, { weights.dim[1], weights.dim[0] }, { 1, weights.dim[1] } };
    s->stored = weights;
    if (!rc) rc = o->memory_desc_create_with_tag(&s->made[WEIGHTS], weights.rank, weights.dim, type, dnnl_format_tag_any);
    if (!rc && bias) {
        dnnl_dim_t c = (dnnl_dim_t)bias->shape.dim[0];
        onednn_strided b = transpose ? (onednn_strided){ 2, { 1, c }, { c, 1 } } : (onednn_strided){ 1, { c }, { 1 } };
        rc = onednn_describe(o, &s->made[BIAS], &b, dnnl_f32);
    }
    return rc;
}

/* swish(x) = x / (1 + exp(-alpha x)) */
static dnnl_status_t append_activation(const onednn *o, dnnl_post_ops_t post, const op *activation) {
    if (activation == &op_relu) return o->post_ops_append_eltwise(post, dnnl_eltwise_relu, 0, 0);
    if (activation == &op_silu) return o->post_ops_append_eltwise(post, dnnl_eltwise_swish, 1, 0);
    if (activation == &op_quick_gelu) return o->post_ops_append_eltwise(post, dnnl_eltwise_swish, 1.702f, 0);
    return o->post_ops_append_eltwise(post, dnnl_eltwise_gelu_erf, 0, 0);
}

static dnnl_status_t make_attr(const onednn_state *s, const op *activation, dnnl_primitive_attr_t *attr) {
    onednn *o = s->home;
    dnnl_post_ops_t post = NULL;
    dnnl_status_t rc = o->primitive_attr_create(attr);
    if (!rc) rc = o->primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (!rc) rc = o->primitive_attr_set_fpmath_mode(*attr, dnnl_fpmath_mode_strict);   /* whatever the environment says */
    if (!rc) rc = o->post_ops_create(&post);
    if (!rc && s->made[RESIDUAL]) rc = o->post_ops_append_binary(post, dnnl_binary_add, s->made[RESIDUAL]);
    if (!rc && activation) rc = append_activation(o, post, activation);
    if (!rc) rc = o->primitive_attr_set_post_ops(*attr, post);
    if (post) o->post_ops_destroy(post);
    return rc;
}

static bool above(const char *info, cpu_level level) {
    if (level >= CPU_AVX512_BF16) return false;
    if (level == CPU_AVX512) return strstr(info, "bf16") || strstr(info, "fp16") || strstr(info, "amx");
    return strstr(info, "avx512") || strstr(info, "avx10");
}

/* Goes on to the first implementation within the device's level; its name goes to step->info. */
static dnnl_status_t choose(onednn_state *s, kernel_step *step) {
    for (;;) {
        const char *info = "?";
        dnnl_status_t rc = s->home->primitive_desc_query(s->desc, dnnl_query_impl_info_str, 0, (void *)&info);
        if (rc) return rc;
        snprintf(step->info, sizeof step->info, "%s", info);
        if (!above(info, s->home->level)) return dnnl_success;
        if ((rc = s->home->primitive_desc_next_impl(s->desc))) return rc;
    }
}

dnnl_status_t onednn_make_by(onednn_state *s, kernel_step *step, const node *n, const op *activation, onednn_create *create) {
    onednn *o = s->home;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t rc = make_attr(s, activation, &attr);
    if (!rc) rc = create(s, n, attr);
    if (!rc) rc = choose(s, step);
    if (!rc) rc = o->primitive_create(&s->primitive, s->desc);
    if (attr) o->primitive_attr_destroy(attr);
    if (rc) return rc;
    for (int i = X; i <= BIAS; i++) s->md[i] = s->made[i];
    s->md[WEIGHTS] = o->primitive_desc_query_md(s->desc, dnnl_query_weights_md, 0);
    s->md[SCRATCH] = o->primitive_desc_query_md(s->desc, dnnl_query_scratchpad_md, 0);
    s->own_scratch = s->md[SCRATCH] ? o->memory_desc_get_size(s->md[SCRATCH]) : 0;
    return dnnl_success;
}

int onednn_make(onednn_state *s, kernel_step *step, const node *n, const op *activation) {
    dnnl_status_t rc = describe_all(s, step, n);
    if (!rc) rc = onednn_make_by(s, step, n, activation, n->op == &op_linear ? linear_desc : conv_desc);
    return rc ? onednn_failed(rc, n->out[0]->name) : 0;
}

int onednn_make_product(onednn_state *s, kernel_step *step, size_t rows, size_t inputs, size_t outputs, nn_type type) {
    onednn *o = s->home;
    dnnl_dim_t m = (dnnl_dim_t)rows, k = (dnnl_dim_t)inputs, n = (dnnl_dim_t)outputs;
    onednn_strided x = { 2, { m, k }, { k, 1 } }, y = { 2, { m, n }, { n, 1 } };
    s->stored = use_inner_product(o) ? (onednn_strided){ 2, { n, k }, { k, 1 } } : (onednn_strided){ 2, { k, n }, { 1, k } };
    dnnl_status_t rc = onednn_describe(o, &s->made[X], &x, onednn_type(type));
    if (!rc) rc = onednn_describe(o, &s->made[Y], &y, dnnl_f32);
    if (!rc) rc = o->memory_desc_create_with_tag(&s->made[WEIGHTS], 2, s->stored.dim, onednn_type(type), dnnl_format_tag_any);
    if (!rc) rc = onednn_make_by(s, step, NULL, NULL, linear_desc);
    return rc ? onednn_failed(rc, step->match.out[0]->name) : 0;
}

