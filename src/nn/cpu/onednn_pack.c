/* SPDX-License-Identifier: Apache-2.0
 *
 * Laying weights out as a primitive prefers them, once. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/cpu/blocked.h"
#include "nn/cpu/onednn_inside.h"

/* A memory descriptor, taken apart. */
typedef struct { int rank, blocks; const dnnl_dim_t *dim, *padded, *stride, *block, *which; } layout;

static layout layout_of(const onednn *o, const_dnnl_memory_desc_t md) {
    layout l = { 0 };
    dnnl_dims_t *dims = NULL, *strides = NULL, *padded = NULL, *size = NULL, *which = NULL;
    o->memory_desc_query(md, dnnl_query_ndims_s32, &l.rank);
    o->memory_desc_query(md, dnnl_query_dims, &dims);
    o->memory_desc_query(md, dnnl_query_padded_dims, &padded);
    o->memory_desc_query(md, dnnl_query_strides, &strides);
    o->memory_desc_query(md, dnnl_query_inner_nblks_s32, &l.blocks);
    o->memory_desc_query(md, dnnl_query_inner_blks, &size);
    o->memory_desc_query(md, dnnl_query_inner_idxs, &which);
    l.dim = *dims, l.padded = *padded, l.stride = *strides, l.block = *size, l.which = *which;
    return l;
}

/* "onednn/bf16 1280/1280:1024 ... 16a 64b 2a": everything the bytes of a packed weight depend on. */
static void layout_tag(const layout *l, nn_type type, char *tag, size_t room) {
    size_t at = (size_t)snprintf(tag, room, "onednn/%s", nn_type_name(type));
    for (int i = 0; i < l->rank && at < room; i++)
        at += (size_t)snprintf(tag + at, room - at, " %lld/%lld:%lld", (long long)l->dim[i], (long long)l->padded[i], (long long)l->stride[i]);
    for (int i = 0; i < l->blocks && at < room; i++)
        at += (size_t)snprintf(tag + at, room - at, " %lld%c", (long long)l->block[i], (char)('a' + l->which[i]));
}

typedef struct {
    onednn *o;
    const onednn_strided *stored;
    const_dnnl_memory_desc_t wanted;
    nn_type type;
    int threads;
    bool own;               /* by blocked_pack */
    blocked_layout blocked;
} packing;

/* Whether the layout is one that blocked_pack writes: blocks of outputs, [group of] inputs inside, taps by rows between; or across, the other way round. */
static bool is_blocked(const layout *l, bool product, bool across, nn_type type, blocked_layout *b) {
    int out = product || across ? 1 : 0, in = 1 - out, at = 0;
    size_t outer = 1, kw = product ? 1 : (size_t)l->dim[3], kh = product ? 1 : (size_t)l->dim[2];
    *b = (blocked_layout){ .outputs = (size_t)l->dim[across ? in : out], .inputs = (size_t)l->dim[across ? out : in], .taps = kh * kw, .across = across };
    if (at < l->blocks && l->which[at] == in) outer = (size_t)l->block[at++];
    if (at == l->blocks || l->which[at] != out) return false;
    b->block = (size_t)l->block[at++];
    b->group = at < l->blocks && l->which[at] == in ? (size_t)l->block[at++] : 1;
    b->block_step = (size_t)l->stride[out];
    b->tap_step = product ? 0 : (size_t)l->stride[kw > 1 ? 3 : 2];
    return at == l->blocks && b->block % 16 == 0 && b->taps <= BLOCKED_MOST_TAPS && b->group == (type == NN_BF16 ? 2 : 1) &&
           (size_t)l->stride[in] == outer * b->block * b->group && (kh == 1 || kw == 1 || (size_t)l->stride[2] == kw * b->tap_step);
}

/* oneDNN reads f16 on few processors, and nothing unaligned: such a weight is widened first. */
static bool read_in_place(const tensor *w) { return w->type != NN_F16 && (uintptr_t)w->data % nn_type_bytes(w->type) == 0; }

static dnnl_status_t reorder(const packing *p, void *to, const void *from, dnnl_data_type_t type) {
    onednn *o = p->o;
    dnnl_memory_desc_t stored = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, NULL }, { DNNL_ARG_TO, NULL } };
    dnnl_status_t rc = onednn_describe(o, &stored, p->stored, type);
    if (!rc) rc = o->reorder_primitive_desc_create(&desc, stored, o->engine, p->wanted, o->engine, NULL);
    if (!rc) rc = o->primitive_create(&primitive, desc);
    if (!rc) rc = o->stream_create(&stream, o->engine, dnnl_stream_default_flags);
    if (!rc) rc = o->memory_create(&args[0].memory, stored, o->engine, (void *)from);
    if (!rc) rc = o->memory_create(&args[1].memory, p->wanted, o->engine, to);
    if (!rc) rc = o->primitive_execute(primitive, stream, 2, args);
    if (!rc) rc = o->stream_wait(stream);
    for (int i = 0; i < 2; i++)
        if (args[i].memory) o->memory_destroy(args[i].memory);
    if (stream) o->stream_destroy(stream);
    if (primitive) o->primitive_destroy(primitive);
    if (desc) o->primitive_desc_destroy(desc);
    if (stored) o->memory_desc_destroy(stored);
    return rc;
}

static int pack(void *to, const tensor *w, const void *context) {
    const packing *p = context;
    if (p->own) {
        blocked_pack(&p->blocked, to, p->type, w->data, w->type, p->threads);
        return 0;
    }
    float *wide = NULL;
    size_t count = shape_elements(w->shape);
    if (!read_in_place(w)) {
        if (!(wide = malloc(count * sizeof *wide))) return error_memory(count * sizeof *wide);
        nn_widen(wide, w->data, w->type, count);
    }
    dnnl_status_t rc = reorder(p, to, wide ? wide : w->data, wide ? dnnl_f32 : onednn_type(w->type));
    free(wide);
    return rc ? onednn_failed(rc, "packed weights") : 0;
}

/* A convolution of one tap is stored as a linear is, in both layouts. */
static bool stored_by_outputs(const node *n, const layout *l) {
    bool conv = n->op == &op_conv2d || n->op == &op_conv2d_dx;
    return !conv ? n->op == &op_linear || n->op == &op_linear_dx : l->rank == 2 || ((const conv2d_attr *)n->attr)->weights == WEIGHTS_OIHW;
}

bool onednn_is_slabs(const onednn *o, const_dnnl_memory_desc_t md) {
    layout l = layout_of(o, md);
    if (l.rank != 4 || l.blocks != 2 || l.which[0] != 1 || l.which[1] != 0 || l.block[0] != 16 || l.block[1] != 16) return false;
    dnnl_dim_t taps = l.dim[2] * l.dim[3];
    return l.padded[0] == l.dim[0] && l.padded[1] == l.dim[1] && l.stride[0] == l.dim[1] / 16 * taps * 256 && l.stride[1] == taps * 256 &&
           (l.dim[2] == 1 || l.stride[2] == l.dim[3] * 256) && (l.dim[3] == 1 || l.stride[3] == 256);
}

/* ---- weights that are states ---------------------------------------------------------------------------------------------- */

onednn_state *onednn_reorder_new(onednn *o, const_dnnl_memory_desc_t from, const_dnnl_memory_desc_t to) {
    onednn_state *s = onednn_state_new(o);
    dnnl_primitive_attr_t attr = NULL;
    if (!s) return NULL;
    dnnl_status_t rc = o->primitive_attr_create(&attr);
    if (!rc) rc = o->primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (!rc) rc = o->reorder_primitive_desc_create(&s->desc, from, o->engine, to, o->engine, attr);
    if (!rc) rc = o->primitive_create(&s->primitive, s->desc);
    if (attr) o->primitive_attr_destroy(attr);
    if (!rc) {
        s->md[X] = o->primitive_desc_query_md(s->desc, dnnl_query_src_md, 0);
        s->md[Y] = o->primitive_desc_query_md(s->desc, dnnl_query_dst_md, 0);
        s->md[SCRATCH] = o->primitive_desc_query_md(s->desc, dnnl_query_scratchpad_md, 0);
        s->own_scratch = s->md[SCRATCH] ? o->memory_desc_get_size(s->md[SCRATCH]) : 0;
        if (!(s->spare = onednn_binding_new(s))) rc = dnnl_out_of_memory;
    }
    if (!rc) return s;
    onednn_failed(rc, "packed weights");
    onednn_state_free(s);
    return NULL;
}

/* Of packed weights whose last group of pairs is not full: blocked_pack fills up to a pair. */
static bool leaves_out(const layout *l, const packing *p) {
    int pairs = l->rank == 2 || p->blocked.across ? 0 : 1;
    size_t group = p->blocked.group, filled = ((size_t)l->dim[pairs] + group - 1) / group * group;
    return (size_t)l->padded[pairs] > filled;
}

static int prepare_again(onednn_state *s, const packing *p, const layout *l, const tensor *w) {
    s->again = (onednn_again){ .weights = onednn_lines(s->home->memory_desc_get_size(p->wanted)), .own = p->own, .type = p->type, .blocked = p->blocked };
    s->again.clear = p->own && leaves_out(l, p);
    s->again.blocked.stream = p->own && s->again.weights >= BLOCKED_STREAM;
    if (p->own) return 0;
    dnnl_memory_desc_t stored = NULL;
    dnnl_status_t rc = onednn_describe(s->home, &stored, p->stored, onednn_type(w->type));
    if (rc) return onednn_failed(rc, "packed weights");
    s->reorder = onednn_reorder_new(s->home, stored, p->wanted);
    s->home->memory_desc_destroy(stored);
    if (s->reorder && s->reorder->own_scratch > s->own_scratch) s->own_scratch = s->reorder->own_scratch;   /* one after the other */
    return s->reorder ? 0 : error_code();
}

static int take_weights(onednn_state *s, const kernel_step *step, const tensor *w, const void *now, char *to, void *scratch) {
    const onednn_again *a = &s->again;
    if (a->clear) memset(to, 0, a->weights);
    if (!a->own) return onednn_execute(s->reorder, (void *[OPERANDS]){ [X] = (void *)now, [Y] = to, [SCRATCH] = scratch }, w->name);
    blocked_pack(&a->blocked, to, a->type, now, w->type, step->threads);
    return 0;
}

int onednn_take(onednn_state *s, const kernel_step *step, const node *n, const void *const states[], void *address[OPERANDS]) {
    char *scratch = address[SCRATCH];
    const tensor *w = n->in[1], *bias = n->in[2];
    int rc = 0;
    address[WEIGHTS] = (void *)step->packed[0];
    address[BIAS] = (void *)step->packed[1];
    address[SCRATCH] = scratch + s->again.weights + s->again.bias;
    if (s->again.turn.packed) {
        address[WEIGHTS] = scratch;
        turning_make(&s->again.turn, scratch, step->threads);
    } else if (w->kind == TENSOR_STATE) {
        address[WEIGHTS] = scratch;
        rc = take_weights(s, step, w, *states++, scratch, address[SCRATCH]);
    }
    if (bias && bias->kind == TENSOR_STATE) {
        address[BIAS] = s->again.bias ? scratch + s->again.weights : (void *)*states;
        if (s->again.bias) nn_widen(address[BIAS], *states, bias->type, shape_elements(bias->shape));
    }
    return rc;
}

int onednn_pack(onednn_state *s, kernel_step *step, params *store, const node *n) {
    char tag[512];
    const tensor *w = n->in[1], *bias = n->in[2];
    layout l = layout_of(s->home, s->md[WEIGHTS]);
    packing p = { .o = s->home, .stored = &s->stored, .wanted = s->md[WEIGHTS], .type = n->in[0]->type, .threads = step->threads };
    bool across = n->op == &op_linear_dx || n->op == &op_conv2d_dx;
    p.own = s->home->level >= CPU_AVX512 && stored_by_outputs(n, &l) && is_blocked(&l, l.rank == 2, across, p.type, &p.blocked);
    panels here = panels_of(&p.blocked, p.type);
    if (w->kind == TENSOR_STATE) {
        int rc = prepare_again(s, &p, &l, w);
        if (rc < 0) return rc;
    } else if (p.own && !leaves_out(&l, &p) && turning_find(&s->again.turn, step, store, w, &here)) {
        s->again.weights = onednn_lines(s->home->memory_desc_get_size(p.wanted));
    } else {
        layout_tag(&l, p.type, tag, sizeof tag);
        if (across) strcat(tag, " across");
        step->packed[0] = params_pack(store, w, tag, s->home->memory_desc_get_size(s->md[WEIGHTS]), pack, &p);
        if (!step->packed[0]) return error_code();
        if (p.own && !across && params_describe(store, w, step->packed[0], &here, sizeof here) < 0) return error_code();
    }
    if (!bias) return 0;
    if (bias->kind == TENSOR_STATE) {
        if (bias->type != NN_F32) s->again.bias = onednn_lines(shape_elements(bias->shape) * sizeof(float));
        return 0;
    }
    step->packed[1] = params_f32(store, bias);
    return step->packed[1] ? 0 : error_code();
}

/* ---- matrices that are made of a parameter -------------------------------------------------------------------------------- */

typedef struct {
    packing to;
    const onednn_matrices *from;
    const tensor *w;
    char *packed;
    size_t bytes;    /* of one */
    float **wide;    /* one group's, by thread */
    int failed;
} matrices_job;

static void matrices_part(void *context, size_t begin, size_t end, int thread) {
    matrices_job *j = context;
    const onednn_matrices *f = j->from;
    size_t numbers = f->outputs * f->inputs;
    int before = parallel_width(1);
    for (size_t i = begin; i < end; i++) {
        f->make(f, j->w, i, j->wide[thread]);
        for (size_t k = 0; k < f->together; k++) {
            char *to = j->packed + (i * f->together + k) * j->bytes;
            const float *from = j->wide[thread] + k * numbers;
            dnnl_status_t rc = dnnl_success;
            if (j->to.own) blocked_pack(&j->to.blocked, to, j->to.type, from, NN_F32, 1);
            else rc = reorder(&j->to, to, from, dnnl_f32);
            if (rc) __atomic_store_n(&j->failed, (int)rc, __ATOMIC_RELAXED);
        }
    }
    parallel_width(before);
}

static int pack_matrices(void *to, const tensor *w, const void *context) {
    matrices_job j = *(const matrices_job *)context;
    int threads = j.to.threads > 1 ? j.to.threads : 1;
    size_t bytes = (j.from->together * j.from->outputs * j.from->inputs + j.from->work) * sizeof(float);
    float *wide[threads];
    bool ok = true;
    for (int i = 0; i < threads; i++) ok &= (wide[i] = malloc(bytes)) != NULL;
    j.w = w, j.packed = to, j.wide = wide;
    if (ok) parallel_for(threads, j.from->groups, matrices_part, &j);
    for (int i = 0; i < threads; i++) free(wide[i]);
    if (!ok) return error_memory(bytes);
    return j.failed ? onednn_failed((dnnl_status_t)j.failed, "packed weights") : 0;
}

size_t onednn_matrix_bytes(const onednn_state *s) { return onednn_lines(s->home->memory_desc_get_size(s->md[WEIGHTS])); }

int onednn_pack_matrices(onednn_state *s, kernel_step *step, params *store, const tensor *w, nn_type type, const onednn_matrices *m) {
    char tag[576], each[512];
    layout l = layout_of(s->home, s->md[WEIGHTS]);
    matrices_job j = { .to = { .o = s->home, .stored = &s->stored, .wanted = s->md[WEIGHTS], .type = type, .threads = step->threads },
                       .from = m, .bytes = onednn_matrix_bytes(s) };
    j.to.own = s->home->level >= CPU_AVX512 && is_blocked(&l, true, false, type, &j.to.blocked);
    layout_tag(&l, type, each, sizeof each);
    snprintf(tag, sizeof tag, "%s %zux%zu %s", m->name, m->groups, m->together, each);
    step->packed[0] = params_pack(store, w, tag, m->groups * m->together * j.bytes, pack_matrices, &j);
    return step->packed[0] ? 0 : error_code();
}
