/* SPDX-License-Identifier: Apache-2.0
 *
 * The only door to oneDNN. A step owns one primitive (immutable, shared by threads) and a few bindings: what oneDNN
 * calls memory objects, which hold the addresses of one call, so that each running thread needs a binding of its own.
 *
 * Operands are plain contiguous. oneDNN 3.2 has no fast convolution for a row or pixel stride wider than the picture (it
 * falls to `ref`, thousands of times slower), and strided products lose their residual in the same way; a copy by the
 * planner costs next to nothing beside that. */
#include "nn/cpu/onednn.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/ops.h"

/* ---- the library ------------------------------------------------------------------------------------------------- */

#define LIBRARY "libdnnl.so.3"

#define FUNCTIONS(F) \
    F(version) F(engine_create) F(engine_destroy) F(stream_create) F(stream_wait) F(stream_destroy) \
    F(memory_desc_create_with_strides) F(memory_desc_create_with_tag) F(memory_desc_destroy) F(memory_desc_query) \
    F(memory_desc_get_size) F(memory_create) F(memory_set_data_handle) F(memory_destroy) \
    F(post_ops_create) F(post_ops_append_binary) F(post_ops_append_eltwise) F(post_ops_destroy) \
    F(primitive_attr_create) F(primitive_attr_set_scratchpad_mode) F(primitive_attr_set_fpmath_mode) \
    F(primitive_attr_set_post_ops) F(primitive_attr_destroy) \
    F(convolution_forward_primitive_desc_create) F(matmul_primitive_desc_create) \
    F(inner_product_forward_primitive_desc_create) F(reorder_primitive_desc_create) \
    F(primitive_desc_query) F(primitive_desc_query_md) F(primitive_desc_next_impl) F(primitive_desc_destroy) \
    F(primitive_create) F(primitive_execute) F(primitive_destroy)

typedef struct onednn onednn;

/* A kernel of the table: a core operation, and what it swallows behind it. */
typedef struct {
    const char *name;
    const op *root, *core;
    bool residual, relu;
} form;

typedef struct {
    onednn *home;
    const form *form;
} row;

static const form forms[] = {
    { "linear/onednn", &op_linear, &op_linear, false, false },
    { "linear+relu/onednn", &op_relu, &op_linear, false, true },
    { "linear+add/onednn", &op_add, &op_linear, true, false },
    { "linear+add+relu/onednn", &op_relu, &op_linear, true, true },
    { "depthwise_conv2d/onednn", &op_depthwise_conv2d, &op_depthwise_conv2d, false, false },
    { "depthwise_conv2d+relu/onednn", &op_relu, &op_depthwise_conv2d, false, true },
    { "depthwise_conv2d+add/onednn", &op_add, &op_depthwise_conv2d, true, false },
    { "depthwise_conv2d+add+relu/onednn", &op_relu, &op_depthwise_conv2d, true, true },
    { "conv2d/onednn", &op_conv2d, &op_conv2d, false, false },
    { "conv2d+relu/onednn", &op_relu, &op_conv2d, false, true },
    { "conv2d+add/onednn", &op_add, &op_conv2d, true, false },
    { "conv2d+add+relu/onednn", &op_relu, &op_conv2d, true, true },
};
enum { FORMS = sizeof forms / sizeof *forms };

/* Belongs to one device. */
struct onednn {
    cpu_level level;
    row rows[FORMS];
    kernel kernels[FORMS];
    pthread_mutex_t lock;    /* of opening; all below is set once under it */
    void *library;
    dnnl_engine_t engine;
#define DECLARE(f) __typeof__(dnnl_##f) *f;
    FUNCTIONS(DECLARE)
};

static int failed(dnnl_status_t status, const char *what) {
    static const char *const reasons[] = { "success", "out of memory", "invalid arguments", "unimplemented", "last implementation",
                                           "runtime error", "not required" };
    const char *reason = (size_t)status < sizeof reasons / sizeof *reasons ? reasons[status] : "unknown error";
    int code = status == dnnl_out_of_memory ? ERR_MEMORY : ERR_UNSUPPORTED;
    return error_set(code, "oneDNN cannot make %s: %s", what, reason);
}

static int open_library(onednn *o) {
    o->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!o->library) return error_set(ERR_UNSUPPORTED, "oneDNN is needed for convolutions and cannot be opened: %s", dlerror());
#define FIND(f) \
    if (!(o->f = (__typeof__(o->f))dlsym(o->library, "dnnl_" #f))) return error_set(ERR_UNSUPPORTED, LIBRARY " has no dnnl_" #f);
    FUNCTIONS(FIND)
    const dnnl_version_t *v = o->version();
    if (v->major != 3 || v->minor < 2 || v->cpu_runtime != DNNL_RUNTIME_OMP)
        return error_set(ERR_UNSUPPORTED, LIBRARY " is %d.%d: oneDNN 3.2 or a later 3.x with OpenMP is needed", v->major, v->minor);
    dnnl_status_t rc = o->engine_create(&o->engine, dnnl_cpu, 0);
    return rc ? failed(rc, "an engine") : 0;
}

static void close_library(onednn *o) {
    if (o->engine) o->engine_destroy(o->engine);
    if (o->library) dlclose(o->library);
    o->engine = NULL;
    o->library = NULL;
}

static int need_library(onednn *o) {
    pthread_mutex_lock(&o->lock);
    int rc = o->engine ? 0 : open_library(o);
    if (rc < 0) close_library(o);
    pthread_mutex_unlock(&o->lock);
    return rc;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static bool number_type(const tensor *t) { return t->type == NN_F32 || t->type == NN_BF16; }

static bool core_fits(const node *n) {
    const tensor *x = n->in[0], *w = n->in[1], *bias = n->in[2];
    if (n->ordered || x->kind == TENSOR_PARAM || !number_type(x)) return false;
    return w->kind == TENSOR_PARAM && w->type != NN_I32 && (!bias || (bias->kind == TENSOR_PARAM && bias->type != NN_I32));
}

/* The node behind an operand that may be swallowed, or NULL. */
static const node *inner_node(const tensor *t) { return match_inner(t) ? t->producer : NULL; }

static bool match(const kernel *k, const node *root, kernel_match *m) {
    const form *f = ((const row *)k->variant)->form;
    const node *n = root;
    tensor *residual = NULL;
    match_node(m, n);
    if (root->ordered) return false;
    if (f->relu) {
        n = inner_node(n->in[0]);
        if (!n || n->ordered) return false;
        match_node(m, n);
    }
    if (f->residual) {
        if (n->op != &op_add || !shape_equal(n->in[0]->shape, n->in[1]->shape) || n->in[0]->type != n->in[1]->type) return false;
        const node *a = inner_node(n->in[0]), *b = inner_node(n->in[1]);
        bool first = a && a->op == f->core && core_fits(a);
        residual = n->in[first ? 1 : 0];
        n = first ? a : b;
        if (!n || residual->kind == TENSOR_PARAM) return false;
        match_node(m, n);
    }
    if (n->op != f->core || !core_fits(n)) return false;
    match_in(m, n->in[0], (layout_need){ 0 });
    if (residual) match_in(m, residual, (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    match_param(m, n->in[1]);
    if (n->in[2]) match_param(m, n->in[2]);
    return true;
}

/* ---- a step's own state ------------------------------------------------------------------------------------------ */

enum { X, RESIDUAL, Y, WEIGHTS, BIAS, SCRATCH, OPERANDS };

static const int argument_of[OPERANDS] = {
    DNNL_ARG_SRC, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_SCRATCHPAD,
};

/* The addresses of one call. */
typedef struct binding {
    struct binding *next;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[OPERANDS];
    int operand[OPERANDS];   /* whose address args[i] takes */
    int n;
} binding;

typedef struct {
    onednn *home;
    dnnl_memory_desc_t made[BIAS + 1];      /* ours to destroy; NULL where there is no such operand */
    dnnl_memory_desc_t stored;              /* the weights as the checkpoint has them */
    const_dnnl_memory_desc_t md[OPERANDS];  /* what the primitive reads; NULL or of no size: absent */
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    pthread_mutex_t lock;                   /* of `spare` */
    pthread_cond_t returned;
    binding *spare;
} state;

static void binding_free(onednn *o, binding *b) {
    if (!b) return;
    for (int i = 0; i < b->n; i++) o->memory_destroy(b->args[i].memory);
    if (b->stream) o->stream_destroy(b->stream);
    free(b);
}

static binding *binding_new(const state *s) {
    onednn *o = s->home;
    binding *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    bool ok = o->stream_create(&b->stream, o->engine, dnnl_stream_default_flags) == dnnl_success;
    for (int i = 0; i < OPERANDS && ok; i++) {
        if (!s->md[i] || o->memory_desc_get_size(s->md[i]) == 0) continue;
        ok = o->memory_create(&b->args[b->n].memory, s->md[i], o->engine, DNNL_MEMORY_NONE) == dnnl_success;
        if (!ok) break;
        b->args[b->n].arg = argument_of[i];
        b->operand[b->n++] = i;
    }
    if (ok) return b;
    binding_free(o, b);
    return NULL;
}

/* Running cannot fail: without memory for another binding it waits for one in use; prepare has made the first. */
static binding *binding_take(state *s) {
    pthread_mutex_lock(&s->lock);
    binding *b = s->spare;
    if (b) s->spare = b->next;
    pthread_mutex_unlock(&s->lock);
    if (b || (b = binding_new(s))) return b;
    pthread_mutex_lock(&s->lock);
    while (!s->spare) pthread_cond_wait(&s->returned, &s->lock);
    b = s->spare;
    s->spare = b->next;
    pthread_mutex_unlock(&s->lock);
    return b;
}

static void binding_return(state *s, binding *b) {
    pthread_mutex_lock(&s->lock);
    b->next = s->spare;
    s->spare = b;
    pthread_cond_signal(&s->returned);
    pthread_mutex_unlock(&s->lock);
}

static void state_free(state *s) {
    if (!s) return;
    onednn *o = s->home;
    for (binding *b = s->spare, *next; b; b = next) {
        next = b->next;
        binding_free(o, b);
    }
    if (s->primitive) o->primitive_destroy(s->primitive);
    if (s->desc) o->primitive_desc_destroy(s->desc);
    for (int i = 0; i <= BIAS; i++)
        if (s->made[i]) o->memory_desc_destroy(s->made[i]);
    if (s->stored) o->memory_desc_destroy(s->stored);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->returned);
    free(s);
}

static void release(kernel_step *step) { state_free(step->state); }

/* ---- what a primitive computes: descriptions ----------------------------------------------------------------------- */

static dnnl_data_type_t data_type(nn_type t) { return t == NN_BF16 ? dnnl_bf16 : dnnl_f32; }

/* oneDNN reads f16 on few processors, and nothing unaligned: such a weight is widened first. */
static bool read_in_place(const tensor *w) { return w->type != NN_F16 && (uintptr_t)w->data % nn_type_bytes(w->type) == 0; }

typedef struct { int rank; dnnl_dims_t dim, stride; } strided;

static dnnl_status_t describe(const onednn *o, dnnl_memory_desc_t *md, const strided *s, dnnl_data_type_t type) {
    return o->memory_desc_create_with_strides(md, s->rank, s->dim, type, s->stride);
}

/* [N,H,W,C] as oneDNN counts dimensions: N, C, H, W. */
static strided picture(const tensor *t, const nn_layout *l) {
    const size_t *d = t->shape.dim, *s = l->stride;
    return (strided){ 4, { (dnnl_dim_t)d[0], (dnnl_dim_t)d[3], (dnnl_dim_t)d[1], (dnnl_dim_t)d[2] },
                      { (dnnl_dim_t)s[0], (dnnl_dim_t)s[3], (dnnl_dim_t)s[1], (dnnl_dim_t)s[2] } };
}

/* [..., C] as a matrix. */
static strided matrix(const tensor *t) {
    dnnl_dim_t c = (dnnl_dim_t)t->shape.dim[t->shape.rank - 1], rows = (dnnl_dim_t)shape_elements(t->shape) / c;
    return (strided){ 2, { rows, c }, { c, 1 } };
}

static strided conv_weights(const node *n) {
    const conv2d_attr *a = n->attr;
    const size_t *w = n->in[1]->shape.dim;
    dnnl_dim_t d0 = (dnnl_dim_t)w[0], d1 = (dnnl_dim_t)w[1], d2 = (dnnl_dim_t)w[2], d3 = (dnnl_dim_t)w[3];
    if (n->op == &op_depthwise_conv2d) return (strided){ 5, { d3, 1, 1, d1, d2 }, { 1, d3, d3, d2 * d3, d3 } };   /* groups of one */
    if (a->weights == WEIGHTS_OIHW) return (strided){ 4, { d0, d1, d2, d3 }, { d1 * d2 * d3, d2 * d3, d3, 1 } };
    return (strided){ 4, { d0, d3, d1, d2 }, { d1 * d2 * d3, 1, d2 * d3, d3 } };
}

static dnnl_status_t conv_desc(state *s, const node *n, const_dnnl_primitive_attr_t attr) {
    const conv2d_attr *a = n->attr;
    bool transposed = n->op != &op_depthwise_conv2d && a->weights == WEIGHTS_OIHW;
    const size_t *w = n->in[1]->shape.dim, *x = n->in[0]->shape.dim, *y = n->out[0]->shape.dim;
    dnnl_dim_t kh = (dnnl_dim_t)w[transposed ? 2 : 1], kw = (dnnl_dim_t)w[transposed ? 3 : 2], stride = a->stride;
    dnnl_dims_t strides = { stride, stride }, dilates = { 0, 0 }, before = { a->pad_top, a->pad_left };
    /* What the last window reaches, which padding may exceed and a stride may fall short of. */
    dnnl_dims_t after = { ((dnnl_dim_t)y[1] - 1) * stride + kh - a->pad_top - (dnnl_dim_t)x[1],
                          ((dnnl_dim_t)y[2] - 1) * stride + kw - a->pad_left - (dnnl_dim_t)x[2] };
    return s->home->convolution_forward_primitive_desc_create(&s->desc, s->home->engine, dnnl_forward_inference, dnnl_convolution_direct,
                                                              s->made[X], s->made[WEIGHTS], s->made[BIAS], s->made[Y], strides, dilates,
                                                              before, after, attr);
}

/* Below AVX-512 oneDNN's matmul is a gemm that packs the weight in every call; its inner product packs once. Above,
 * both are as fast, and matmul's packing does not depend on the number of rows, so plans share it. */
static bool use_inner_product(const onednn *o) { return o->level < CPU_AVX512; }

static dnnl_status_t linear_desc(state *s, const_dnnl_primitive_attr_t attr) {
    onednn *o = s->home;
    if (use_inner_product(o))
        return o->inner_product_forward_primitive_desc_create(&s->desc, o->engine, dnnl_forward_inference, s->made[X], s->made[WEIGHTS],
                                                              s->made[BIAS], s->made[Y], attr);
    return o->matmul_primitive_desc_create(&s->desc, o->engine, s->made[X], s->made[WEIGHTS], s->made[BIAS], s->made[Y], attr);
}

/* Descriptions of all operands: activations and bias as they lie, the weights free to be laid out as the primitive likes. */
static dnnl_status_t describe_all(state *s, const kernel_step *step, const node *n) {
    onednn *o = s->home;
    const tensor *w = n->in[1], *bias = n->in[2];
    bool product = n->op == &op_linear, transpose = product && !use_inner_product(o);
    dnnl_data_type_t type = data_type(n->in[0]->type);
    strided x = product ? matrix(n->in[0]) : picture(n->in[0], &step->in_layout[0]);
    strided y = product ? matrix(n->out[0]) : picture(n->out[0], &step->out_layout[0]);
    dnnl_status_t rc = describe(o, &s->made[X], &x, type);
    if (!rc) rc = describe(o, &s->made[Y], &y, type);
    if (!rc && step->match.n_in > 1) rc = describe(o, &s->made[RESIDUAL], &y, type);
    strided weights = product ? matrix(w) : conv_weights(n);
    if (transpose) weights = (strided){ 2, { weights.dim[1], weights.dim[0] }, { 1, weights.dim[1] } };
    if (!rc) rc = describe(o, &s->stored, &weights, read_in_place(w) ? data_type(w->type) : dnnl_f32);
    if (!rc) rc = o->memory_desc_create_with_tag(&s->made[WEIGHTS], weights.rank, weights.dim, type, dnnl_format_tag_any);
    if (!rc && bias) {
        dnnl_dim_t c = (dnnl_dim_t)bias->shape.dim[0];
        strided b = transpose ? (strided){ 2, { 1, c }, { c, 1 } } : (strided){ 1, { c }, { 1 } };
        rc = describe(o, &s->made[BIAS], &b, dnnl_f32);
    }
    return rc;
}

static dnnl_status_t make_attr(const state *s, bool relu, dnnl_primitive_attr_t *attr) {
    onednn *o = s->home;
    dnnl_post_ops_t post = NULL;
    dnnl_status_t rc = o->primitive_attr_create(attr);
    if (!rc) rc = o->primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (!rc) rc = o->primitive_attr_set_fpmath_mode(*attr, dnnl_fpmath_mode_strict);   /* whatever the environment says */
    if (!rc) rc = o->post_ops_create(&post);
    if (!rc && s->made[RESIDUAL]) rc = o->post_ops_append_binary(post, dnnl_binary_add, s->made[RESIDUAL]);
    if (!rc && relu) rc = o->post_ops_append_eltwise(post, dnnl_eltwise_relu, 0, 0);
    if (!rc) rc = o->primitive_attr_set_post_ops(*attr, post);
    if (post) o->post_ops_destroy(post);
    return rc;
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

static bool above(const char *info, cpu_level level) {
    if (level >= CPU_AVX512_BF16) return false;
    if (level == CPU_AVX512) return strstr(info, "bf16") || strstr(info, "fp16") || strstr(info, "amx");
    return strstr(info, "avx512") || strstr(info, "avx10");
}

/* Goes on to the first implementation within the device's level; its name goes to step->info. */
static dnnl_status_t choose(state *s, kernel_step *step) {
    for (;;) {
        const char *info = "?";
        dnnl_status_t rc = s->home->primitive_desc_query(s->desc, dnnl_query_impl_info_str, 0, (void *)&info);
        if (rc) return rc;
        snprintf(step->info, sizeof step->info, "%s", info);
        if (!above(info, s->home->level)) return dnnl_success;
        if ((rc = s->home->primitive_desc_next_impl(s->desc))) return rc;
    }
}

/* "onednn/bf16 1280x320x3x3 16a64b2a@1024,...": everything the bytes of a packed weight depend on. */
static void layout_tag(const onednn *o, const_dnnl_memory_desc_t md, dnnl_data_type_t type, char *tag, size_t room) {
    int rank = 0, blocks = 0;
    dnnl_dims_t *dims = NULL, *strides = NULL, *padded = NULL, *size = NULL, *which = NULL;
    o->memory_desc_query(md, dnnl_query_ndims_s32, &rank);
    o->memory_desc_query(md, dnnl_query_dims, &dims);
    o->memory_desc_query(md, dnnl_query_padded_dims, &padded);
    o->memory_desc_query(md, dnnl_query_strides, &strides);
    o->memory_desc_query(md, dnnl_query_inner_nblks_s32, &blocks);
    o->memory_desc_query(md, dnnl_query_inner_blks, &size);
    o->memory_desc_query(md, dnnl_query_inner_idxs, &which);
    size_t at = (size_t)snprintf(tag, room, "onednn/%s", type == dnnl_bf16 ? "bf16" : "f32");
    for (int i = 0; i < rank && at < room; i++)
        at += (size_t)snprintf(tag + at, room - at, " %lld/%lld:%lld", (long long)(*dims)[i], (long long)(*padded)[i], (long long)(*strides)[i]);
    for (int i = 0; i < blocks && at < room; i++)
        at += (size_t)snprintf(tag + at, room - at, " %lld%c", (long long)(*size)[i], (char)('a' + (*which)[i]));
}

/* The one reorder that packs a weight. */
typedef struct {
    onednn *o;
    dnnl_primitive_t reorder;
    dnnl_stream_t stream;
    dnnl_memory_t from, to;
    float *wide;            /* f32 copy of a weight that oneDNN cannot read in place, or NULL */
} packing;

static int pack(void *dst, const tensor *w, const void *context) {
    const packing *p = context;
    const void *from = w->data;
    if (p->wide) nn_widen(p->wide, w->data, w->type, shape_elements(w->shape)), from = p->wide;
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, p->from }, { DNNL_ARG_TO, p->to } };
    dnnl_status_t rc = p->o->memory_set_data_handle(p->from, (void *)from);
    if (!rc) rc = p->o->memory_set_data_handle(p->to, dst);
    if (!rc) rc = p->o->primitive_execute(p->reorder, p->stream, 2, args);
    if (!rc) rc = p->o->stream_wait(p->stream);
    return rc ? failed(rc, "packed weights") : 0;
}

static int pack_weights(state *s, kernel_step *step, params *store, const tensor *w, dnnl_data_type_t type) {
    onednn *o = s->home;
    char tag[512];
    packing p = { .o = o };
    dnnl_primitive_desc_t desc = NULL;
    layout_tag(o, s->md[WEIGHTS], type, tag, sizeof tag);
    size_t wide_bytes = read_in_place(w) ? 0 : shape_elements(w->shape) * sizeof(float);
    if (wide_bytes && !(p.wide = malloc(wide_bytes))) return error_memory(wide_bytes);
    dnnl_status_t rc = o->reorder_primitive_desc_create(&desc, s->stored, o->engine, s->md[WEIGHTS], o->engine, NULL);
    if (!rc) rc = o->primitive_create(&p.reorder, desc);
    if (!rc) rc = o->stream_create(&p.stream, o->engine, dnnl_stream_default_flags);
    if (!rc) rc = o->memory_create(&p.from, s->stored, o->engine, DNNL_MEMORY_NONE);
    if (!rc) rc = o->memory_create(&p.to, s->md[WEIGHTS], o->engine, DNNL_MEMORY_NONE);
    int code = rc ? failed(rc, "packed weights") : 0;
    if (code == 0) {
        step->packed[0] = params_pack(store, w, tag, o->memory_desc_get_size(s->md[WEIGHTS]), pack, &p);
        if (!step->packed[0]) code = error_code();
    }
    if (p.to) o->memory_destroy(p.to);
    if (p.from) o->memory_destroy(p.from);
    if (p.stream) o->stream_destroy(p.stream);
    if (p.reorder) o->primitive_destroy(p.reorder);
    if (desc) o->primitive_desc_destroy(desc);
    free(p.wide);
    return code;
}

static int make_primitive(state *s, kernel_step *step, const node *n, bool relu) {
    onednn *o = s->home;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t rc = describe_all(s, step, n);
    if (!rc) rc = make_attr(s, relu, &attr);
    if (!rc) rc = n->op == &op_linear ? linear_desc(s, attr) : conv_desc(s, n, attr);
    if (!rc) rc = choose(s, step);
    if (!rc) rc = o->primitive_create(&s->primitive, s->desc);
    if (attr) o->primitive_attr_destroy(attr);
    if (rc) return failed(rc, n->out[0]->name);
    for (int i = X; i <= BIAS; i++) s->md[i] = s->made[i];
    s->md[WEIGHTS] = o->primitive_desc_query_md(s->desc, dnnl_query_weights_md, 0);
    s->md[SCRATCH] = o->primitive_desc_query_md(s->desc, dnnl_query_scratchpad_md, 0);
    step->scratch_bytes = s->md[SCRATCH] ? o->memory_desc_get_size(s->md[SCRATCH]) : 0;
    return 0;
}

static int prepare_state(state *s, kernel_step *step, params *store) {
    const form *f = ((const row *)step->kernel->variant)->form;
    const node *n = step->match.nodes[step->match.n_nodes - 1];   /* the core is matched last */
    int rc = make_primitive(s, step, n, f->relu);
    dnnl_data_type_t type = data_type(n->in[0]->type);
    if (rc == 0) rc = pack_weights(s, step, store, n->in[1], type);
    if (rc == 0 && n->in[2] && !(step->packed[1] = params_f32(store, n->in[2]))) rc = error_code();
    if (rc == 0 && !(s->spare = binding_new(s))) rc = error_memory(sizeof(binding));
    return rc;
}

static int prepare(kernel_step *step, params *store) {
    onednn *o = ((const row *)step->kernel->variant)->home;
    const tensor *y = step->match.out[0];
    if (y->type == NN_BF16 && o->level < CPU_AVX512_BF16)
        return error_set(ERR_UNSUPPORTED, "%s: bf16 needs a processor with AVX-512 bf16, and this one is used as %s: choose f32", y->name,
                         cpu_level_name(o->level));
    int rc = need_library(o);
    if (rc < 0) return rc;
    state *s = calloc(1, sizeof *s);
    if (!s) return error_memory(sizeof *s);
    s->home = o;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->returned, NULL);
    /* A primitive is made for a number of threads, and must find the same when it runs. */
    int before = parallel_width(step->threads);
    rc = prepare_state(s, step, store);
    parallel_width(before);
    step->state = s;   /* released with the plan, also after a failure */
    return rc;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static int run(const kernel_step *step, const void *const in[], void *const out[], void *scratch) {
    state *s = step->state;
    onednn *o = s->home;
    binding *b = binding_take(s);
    void *address[OPERANDS] = { (void *)in[0], step->match.n_in > 1 ? (void *)in[1] : NULL, out[0],
                                (void *)step->packed[0], (void *)step->packed[1], scratch };
    dnnl_status_t rc = dnnl_success;
    int before = parallel_width(step->threads);
    for (int i = 0; i < b->n && !rc; i++) rc = o->memory_set_data_handle(b->args[i].memory, address[b->operand[i]]);
    if (!rc) rc = o->primitive_execute(s->primitive, b->stream, b->n, b->args);
    if (!rc) rc = o->stream_wait(b->stream);
    parallel_width(before);
    binding_return(s, b);
    return rc ? failed(rc, step->match.out[0]->name) : 0;   /* only ever out of memory */
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void onednn_free(void *what) {
    onednn *o = what;
    close_library(o);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

int onednn_add(device *d) {
    onednn *o = calloc(1, sizeof *o);
    if (!o) return error_memory(sizeof *o);
    o->level = device_level(d);
    pthread_mutex_init(&o->lock, NULL);
    int rc = device_own(d, o, onednn_free);
    for (int i = 0; i < FORMS && rc == 0; i++) {
        o->rows[i] = (row){ o, &forms[i] };
        o->kernels[i] = (kernel){ forms[i].name, forms[i].root, match, prepare, run, release, &o->rows[i] };
        rc = device_add(d, &o->kernels[i]);
    }
    return rc;
}
