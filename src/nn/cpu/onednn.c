/* SPDX-License-Identifier: Apache-2.0
 *
 * The library, what is matched, and the table. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/onednn_inside.h"

/* Depthwise convolutions take no residual: on narrow pictures oneDNN 3.2 then falls to `ref` below AVX-512. Convolutions take no
 * silu: our own behind them is faster than oneDNN's inside. */
static const onednn_form forms[] = {
    { "linear/onednn", &op_linear, &op_linear, false, NULL },
    { "linear+relu/onednn", &op_relu, &op_linear, false, &op_relu },
    { "linear+silu/onednn", &op_silu, &op_linear, false, &op_silu },
    { "linear+gelu/onednn", &op_gelu, &op_linear, false, &op_gelu },
    { "linear+quick_gelu/onednn", &op_quick_gelu, &op_linear, false, &op_quick_gelu },
    { "linear+geglu/onednn", &op_geglu, &op_linear, false, &op_geglu },
    { "linear+add/onednn", &op_add, &op_linear, true, NULL },
    { "linear+add+relu/onednn", &op_relu, &op_linear, true, &op_relu },
    { "depthwise_conv2d/onednn", &op_depthwise_conv2d, &op_depthwise_conv2d, false, NULL },
    { "depthwise_conv2d+relu/onednn", &op_relu, &op_depthwise_conv2d, false, &op_relu },
    { "conv2d/onednn", &op_conv2d, &op_conv2d, false, NULL },
    { "conv2d+relu/onednn", &op_relu, &op_conv2d, false, &op_relu },
    { "conv2d+add/onednn", &op_add, &op_conv2d, true, NULL },
    { "conv2d+add+relu/onednn", &op_relu, &op_conv2d, true, &op_relu },
    { "upsample_nearest+conv2d/onednn", &op_conv2d, &op_upsample_nearest, false, NULL },
    { "upsample_nearest+conv2d+add/onednn", &op_add, &op_upsample_nearest, true, NULL },
    { "conv2d_dx/onednn", &op_conv2d_dx, &op_conv2d_dx, false, NULL },
    { "conv2d_dw/onednn", &op_conv2d_dw, &op_conv2d_dw, false, NULL },
    { "linear_dx/onednn", &op_linear_dx, &op_linear_dx, false, NULL },
    { "linear_dw/onednn", &op_linear_dw, &op_linear_dw, false, NULL },
};
_Static_assert(sizeof forms / sizeof *forms == ONEDNN_FORMS, "");

/* ---- the library ------------------------------------------------------------------------------------------------- */

int onednn_failed(dnnl_status_t status, const char *what) {
    static const char *const reasons[] = { "success", "out of memory", "invalid arguments", "unimplemented", "last implementation",
                                           "runtime error", "not required" };
    const char *reason = (size_t)status < sizeof reasons / sizeof *reasons ? reasons[status] : "unknown error";
    int code = status == dnnl_out_of_memory ? ERR_MEMORY : ERR_UNSUPPORTED;
    return error_set(code, "oneDNN cannot make %s: %s", what, reason);
}

static int open_library(onednn *o) {
    o->library = dlopen(ONEDNN_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!o->library) return error_set(ERR_UNSUPPORTED, "oneDNN is needed for convolutions and cannot be opened: %s", dlerror());
#define FIND(f) \
    if (!(o->f = (__typeof__(o->f))dlsym(o->library, "dnnl_" #f))) return error_set(ERR_UNSUPPORTED, ONEDNN_LIBRARY " has no dnnl_" #f);
    ONEDNN_FUNCTIONS(FIND)
#undef FIND
    const dnnl_version_t *v = o->version();
    if (v->major != 3 || v->minor < 2 || v->cpu_runtime != DNNL_RUNTIME_OMP)
        return error_set(ERR_UNSUPPORTED, ONEDNN_LIBRARY " is %d.%d: oneDNN 3.2 or a later 3.x with OpenMP is needed", v->major, v->minor);
    dnnl_status_t rc = o->engine_create(&o->engine, dnnl_cpu, 0);
    return rc ? onednn_failed(rc, "an engine") : 0;
}

static void close_library(onednn *o) {
    if (o->engine) o->engine_destroy(o->engine);
    if (o->library) dlclose(o->library);
    o->engine = NULL;
    o->library = NULL;
}

int onednn_open(onednn *o) {
    pthread_mutex_lock(&o->lock);
    int rc = o->engine ? 0 : open_library(o);
    if (rc < 0) close_library(o);
    pthread_mutex_unlock(&o->lock);
    return rc;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static bool number_type(const tensor *t) { return t->type == NN_F32 || t->type == NN_BF16; }

/* A state is packed from its own type to x's in every run: the same, or rounded. */
bool onednn_weight_fits(const tensor *x, const tensor *w) {
    if (w->kind == TENSOR_STATE) return w->type == x->type || w->type == NN_F32;
    return w->kind == TENSOR_PARAM && nn_type_is_float(w->type);
}

static bool bias_fits(const tensor *b) { return (b->kind == TENSOR_PARAM || b->kind == TENSOR_STATE) && nn_type_is_float(b->type); }

bool onednn_fits(const node *n) {
    const tensor *x = n->in[0], *w = n->in[1], *bias = n->in[2];
    if (n->ordered || x->kind == TENSOR_PARAM || !number_type(x)) return false;
    if (n->op == &op_depthwise_conv2d && w->kind == TENSOR_STATE) return false;   /* nobody trains one */
    return onednn_weight_fits(x, w) && (!bias || bias_fits(bias));
}

const node *onednn_inner(const tensor *t) { return match_inner(t) ? t->producer : NULL; }

static bool match(const kernel *k, const node *root, kernel_match *m) {
    const onednn_form *f = ((const onednn_row *)k->variant)->form;
    const node *n = root;
    tensor *residual = NULL;
    match_node(m, n);
    if (root->ordered) return false;
    if (f->activation) {
        n = onednn_inner(n->in[0]);
        if (!n || n->ordered) return false;
        match_node(m, n);
    }
    if (f->residual) {
        if (n->op != &op_add || !shape_equal(n->in[0]->shape, n->in[1]->shape) || n->in[0]->type != n->in[1]->type) return false;
        const node *a = onednn_inner(n->in[0]), *b = onednn_inner(n->in[1]);
        bool first = a && a->op == f->core && onednn_fits(a);
        residual = n->in[first ? 1 : 0];
        n = first ? a : b;
        if (!n || residual->kind == TENSOR_PARAM) return false;
        match_node(m, n);
    }
    if (n->op != f->core || !onednn_fits(n) || (f->activation == &op_geglu && !onednn_geglu_pays(n))) return false;
    match_in(m, n->in[0], (layout_need){ 0 });
    if (residual) match_in(m, residual, (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ 0 });
    match_weight(m, n->in[1]);
    if (n->in[2]) match_weight(m, n->in[2]);
    return true;
}

/* ---- preparing, running ------------------------------------------------------------------------------------------ */

static const onednn_form *form_of(const kernel_step *step) { return ((const onednn_row *)step->kernel->variant)->form; }
static bool in_chunks(const kernel_step *step) { return form_of(step)->activation == &op_geglu; }

static void release(kernel_step *step) { onednn_state_free(step->state); }

static int prepare_state(onednn_state *s, kernel_step *step, params *store) {
    const node *n = step->match.nodes[step->match.n_nodes - 1];   /* the core is matched last */
    /* A primitive is made for a number of threads, and must find the same when it runs. */
    int before = parallel_width(in_chunks(step) ? 1 : step->threads);
    int rc = onednn_make(s, step, n, in_chunks(step) ? NULL : form_of(step)->activation);
    parallel_width(step->threads);
    if (rc == 0) rc = onednn_pack(s, step, store, n);
    parallel_width(before);
    if (rc == 0 && !(s->spare = onednn_binding_new(s))) rc = error_memory(sizeof(onednn_binding));
    step->scratch_bytes = s->again.weights + s->again.bias + (in_chunks(step) ? onednn_geglu_scratch(s, step) : s->own_scratch);
    return rc;
}

int onednn_serves(onednn *o, const tensor *y) {
    if (y->type == NN_BF16 && o->level < CPU_AVX512_BF16)
        return error_set(ERR_UNSUPPORTED, "%s: bf16 needs a processor with AVX-512 bf16, and this one is used as %s: choose f32", y->name,
                         cpu_level_name(o->level));
    return onednn_open(o);
}

static int prepare(kernel_step *step, params *store) {
    onednn *o = ((const onednn_row *)step->kernel->variant)->home;
    int rc = onednn_serves(o, step->match.out[0]);
    if (rc < 0) return rc;
    onednn_state *s = onednn_state_new(o);
    if (!s) return error_code();
    step->state = s;   /* released with the plan, also after a failure */
    if (in_chunks(step)) s->rows = onednn_geglu_rows(step);
    return prepare_state(s, step, store);
}

static int run(const kernel_step *step, const void *const in[], void *const out[], void *scratch) {
    bool residual = form_of(step)->residual;
    void *address[OPERANDS] = { [X] = (void *)in[0], [RESIDUAL] = residual ? (void *)in[1] : NULL, [Y] = out[0], [SCRATCH] = scratch };
    int before = parallel_width(step->threads);
    int rc = onednn_take(step->state, step, step->match.nodes[step->match.n_nodes - 1], in + 1 + residual, address);
    if (rc == 0) rc = in_chunks(step) ? onednn_geglu_run(step, address) : onednn_execute(step->state, address, step->match.out[0]->name);
    parallel_width(before);
    return rc;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void onednn_free(void *what) {
    onednn *o = what;
    close_library(o);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static bool is_gradient(const op *core) { return core == &op_conv2d_dx || core == &op_conv2d_dw || core == &op_linear_dx || core == &op_linear_dw; }

int onednn_add(device *d) {
    onednn *o = calloc(1, sizeof *o);
    if (!o) return error_memory(sizeof *o);
    o->level = device_level(d);
    pthread_mutex_init(&o->lock, NULL);
    int rc = device_own(d, o, onednn_free);
    for (int i = 0; i < ONEDNN_FORMS && rc == 0; i++) {
        o->rows[i] = (onednn_row){ o, &forms[i] };
        o->kernels[i] = (kernel){ forms[i].name, forms[i].root, match, prepare, run, release, &o->rows[i] };
        if (forms[i].core == &op_upsample_nearest)
            o->kernels[i] = (kernel){ forms[i].name, forms[i].root, onednn_upsampled_match, onednn_upsampled_prepare, onednn_upsampled_run,
                                      onednn_upsampled_release, &o->rows[i] };
        if (is_gradient(forms[i].core))
            o->kernels[i] = (kernel){ forms[i].name, forms[i].root, onednn_gradient_match, onednn_gradient_prepare, onednn_gradient_run, release, &o->rows[i] };
        rc = device_add(d, &o->kernels[i]);
    }
    return rc;
}
