/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of our use of oneDNN (onednn*.c) share, and the only door to it. A step owns one primitive (immutable, shared
 * by threads) and a few bindings: what oneDNN calls memory objects, which hold the addresses of one call, so that each running
 * thread needs a binding of its own. */
#ifndef NN_CPU_ONEDNN_INSIDE_H
#define NN_CPU_ONEDNN_INSIDE_H

#include <pthread.h>

#include <oneapi/dnnl/dnnl.h>

#include "nn/cpu/blocked.h"
#include "nn/cpu/onednn.h"
#include "nn/cpu/turned.h"
#include "nn/gradient.h"

typedef struct onednn onednn;

#define ONEDNN_LIBRARY "libdnnl.so.3"

#define ONEDNN_FUNCTIONS(F) \
    F(version) F(engine_create) F(engine_destroy) F(stream_create) F(stream_wait) F(stream_destroy) \
    F(memory_desc_create_with_strides) F(memory_desc_create_with_tag) F(memory_desc_destroy) F(memory_desc_query) \
    F(memory_desc_get_size) F(memory_desc_equal) F(memory_create) F(memory_set_data_handle) F(memory_destroy) \
    F(post_ops_create) F(post_ops_append_binary) F(post_ops_append_eltwise) F(post_ops_destroy) \
    F(primitive_attr_create) F(primitive_attr_set_scratchpad_mode) F(primitive_attr_set_fpmath_mode) \
    F(primitive_attr_set_post_ops) F(primitive_attr_destroy) \
    F(convolution_forward_primitive_desc_create) F(convolution_backward_data_primitive_desc_create) \
    F(convolution_backward_weights_primitive_desc_create) F(matmul_primitive_desc_create) \
    F(inner_product_forward_primitive_desc_create) F(reorder_primitive_desc_create) \
    F(primitive_desc_query) F(primitive_desc_query_md) F(primitive_desc_next_impl) F(primitive_desc_destroy) \
    F(primitive_create) F(primitive_execute) F(primitive_destroy)

/* A kernel of the table: a core operation, and what it swallows behind it. */
typedef struct {
    const char *name;
    const op *root, *core;
    bool residual;
    const op *activation;    /* relu, silu, gelu or quick_gelu; geglu, whose product goes through memory in chunks; or NULL */
} onednn_form;

typedef struct {
    onednn *home;
    const onednn_form *form;
} onednn_row;

enum { ONEDNN_FORMS = 20 };

/* Belongs to one device. */
struct onednn {
    cpu_level level;
    onednn_row rows[ONEDNN_FORMS];
    kernel kernels[ONEDNN_FORMS];
    pthread_mutex_t lock;    /* of opening; all below is set once under it */
    void *library;
    dnnl_engine_t engine;
#define DECLARE(f) __typeof__(dnnl_##f) *f;
    ONEDNN_FUNCTIONS(DECLARE)
#undef DECLARE
};

int onednn_open(onednn *o);                                /* the library, unless it is open already */
int onednn_failed(dnnl_status_t status, const char *what);   /* sets the message */

/* ---- a step's own state ------------------------------------------------------------------------------------------------ */

enum { X, RESIDUAL, Y, WEIGHTS, BIAS, SCRATCH, OPERANDS };

/* The addresses of one call. */
typedef struct onednn_binding {
    struct onednn_binding *next;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[OPERANDS];
    int operand[OPERANDS];   /* whose address args[i] takes */
    int n;
} onednn_binding;

typedef struct { int rank; dnnl_dims_t dim, stride; } onednn_strided;

typedef struct onednn_state onednn_state;

/* Weights that are states, or turned, are laid out in every run, in scratch; bytes of it, whole lines, 0: none. */
typedef struct {
    size_t weights, bias;
    bool own, clear;         /* own: by blocked_pack; clear: it leaves places out */
    nn_type type;
    blocked_layout blocked;
    turning turn;            /* packed != NULL: instead, of a parameter that is packed the other way */
} onednn_again;

struct onednn_state {
    onednn *home;
    const int *arguments;                   /* what oneDNN calls each operand; NULL: as forward */
    dnnl_memory_desc_t made[BIAS + 1];      /* ours to destroy; NULL where there is no such operand */
    onednn_strided stored;                  /* the weights as the checkpoint has them */
    const_dnnl_memory_desc_t md[OPERANDS];  /* what the primitive reads; NULL or of no size: absent */
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    size_t rows;                            /* of the product in one call; geglu: of a chunk */
    size_t own_scratch;                     /* bytes of the primitive's */
    onednn_again again;
    onednn_state *reorder;                  /* from X to Y: of weights that are states, or of a gradient of weights */
    size_t slab;                            /* numbers of 16 outputs of such a gradient that are put into order in place; or 0 */
    bool idle_taps;                         /* a convolution's dw: some never meet the picture, and oneDNN writes what lay in its scratch */
    pthread_mutex_t lock;                   /* of `spare` */
    pthread_cond_t returned;
    onednn_binding *spare;
};

onednn_state *onednn_state_new(onednn *o);
void onednn_state_free(onednn_state *s);
onednn_binding *onednn_binding_new(const onednn_state *s);
/* One call; the width of oneDNN's threads is set by the caller. */
int  onednn_execute(onednn_state *s, void *const address[OPERANDS], const char *what);

dnnl_data_type_t onednn_type(nn_type t);
dnnl_status_t onednn_describe(const onednn *o, dnnl_memory_desc_t *md, const onednn_strided *s, dnnl_data_type_t type);
/* [N,H,W,C] as oneDNN counts dimensions (N, C, H, W); [..., C] as a matrix; a convolution's weights. */
onednn_strided onednn_picture(const tensor *t, const nn_layout *l);
onednn_strided onednn_matrix(const tensor *t);
onednn_strided onednn_kernel(nn_shape w, weight_layout layout);
/* Windows over a picture x, as many as y has pixels. */
typedef struct { dnnl_dims_t strides, dilates, before, after; } onednn_windows;
onednn_windows onednn_windows_of(const conv2d_attr *a, const nn_shape x, const nn_shape y, size_t kh, size_t kw);

/* Describes the operands of node n and makes the primitive; its implementation's name goes to step->info. */
int  onednn_make(onednn_state *s, kernel_step *step, const node *n, const op *activation);
/* The same with operands that are described; create() makes s->desc. */
typedef dnnl_status_t onednn_create(onednn_state *s, const node *n, const_dnnl_primitive_attr_t attr);
dnnl_status_t onednn_make_by(onednn_state *s, kernel_step *step, const node *n, const op *activation, onednn_create *create);
/* Lays n's weights and bias out as the primitive wants them: parameters once, into step->packed; s->again says what states take. */
int  onednn_pack(onednn_state *s, kernel_step *step, params *store, const node *n);
/* In run: states as they are now, in the order they were matched, or what was packed -> address[WEIGHTS] and [BIAS]; address[SCRATCH] goes behind what that takes. */
int  onednn_take(onednn_state *s, const kernel_step *step, const node *n, const void *const states[], void *address[OPERANDS]);
/* A state whose X and Y are those; its own to describe, NULL with a message. */
/* Whether that is what blocked_unpack reads. */
bool onednn_is_slabs(const onednn *o, const_dnnl_memory_desc_t md);
onednn_state *onednn_reorder_new(onednn *o, const_dnnl_memory_desc_t from, const_dnnl_memory_desc_t to);
static inline size_t onednn_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* [rows, inputs] of a type by [inputs, outputs] -> f32 [rows, outputs]. */
int  onednn_make_product(onednn_state *s, kernel_step *step, size_t rows, size_t inputs, size_t outputs, nn_type type);

/* Matrices [outputs, inputs] that are made of a parameter, some together. */
typedef struct onednn_matrices {
    const char *name;      /* what make() makes: a part of the packed block's tag */
    size_t groups, together, outputs, inputs;
    void (*make)(const struct onednn_matrices *m, const tensor *w, size_t group, float *out);   /* all of a group */
    size_t work;           /* numbers that make() may use behind its group's */
    bool taps_last;        /* make's own */
} onednn_matrices;

/* Packs them as the product wants its weights, one behind another, into step->packed[0]. */
int    onednn_pack_matrices(onednn_state *s, kernel_step *step, params *store, const tensor *w, nn_type type, const onednn_matrices *m);
size_t onednn_matrix_bytes(const onednn_state *s);    /* from one to the next */

bool onednn_fits(const node *n);                           /* a core that oneDNN can compute: types, weights that are parameters or states */
bool onednn_weight_fits(const tensor *x, const tensor *w);
int  onednn_serves(onednn *o, const tensor *y);            /* opens the library; or says why y cannot be computed here */
const node *onednn_inner(const tensor *t);                 /* the node behind an operand that may be swallowed, or NULL */

/* conv2d behind an upsample_nearest to twice the size. */
bool onednn_upsampled_match(const kernel *k, const node *root, kernel_match *m);
int  onednn_upsampled_prepare(kernel_step *step, params *store);
int  onednn_upsampled_run(const kernel_step *step, const void *const in[], void *const out[], void *scratch);
void onednn_upsampled_release(kernel_step *step);

/* conv2d_dx, conv2d_dw, linear_dx, linear_dw. */
bool onednn_gradient_match(const kernel *k, const node *root, kernel_match *m);
int  onednn_gradient_prepare(kernel_step *step, params *store);
int  onednn_gradient_run(const kernel_step *step, const void *const in[], void *const out[], void *scratch);

/* linear and the geglu behind it, in chunks of rows, a thread each, whose product stays in the cache. */
bool   onednn_geglu_pays(const node *n);
size_t onednn_geglu_rows(const kernel_step *step);    /* of a chunk: set s->rows before onednn_make */
size_t onednn_geglu_scratch(const onednn_state *s, const kernel_step *step);
int    onednn_geglu_run(const kernel_step *step, void *const address[OPERANDS]);

#endif
