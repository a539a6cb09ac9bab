/* SPDX-License-Identifier: Apache-2.0
 *
 * Laying weights out as a primitive prefers them, once. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Whether the layout is one that blocked_pack writes: blocks of outputs, [group of] inputs inside, taps by rows between. */
static bool is_blocked(const layout *l, bool product, nn_type type, blocked_layout *b) {
    int out = product ? 1 : 0, in = 1 - out, at = 0;
    size_t outer = 1, kw = product ? 1 : (size_t)l->dim[3], kh = product ? 1 : (size_t)l->dim[2];
    b->outputs = (size_t)l->dim[out];
    b->inputs = (size_t)l->dim[in];
    b->taps = kh * kw;
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

static bool stored_by_outputs(const node *n) {
    return n->op == &op_linear || (n->op == &op_conv2d && ((const conv2d_attr *)n->attr)->weights == WEIGHTS_OIHW);
}

int onednn_pack(onednn_state *s, kernel_step *step, params *store, const node *n) {
    char tag[512];
    layout l = layout_of(s->home, s->md[WEIGHTS]);
    packing p = { .o = s->home, .stored = &s->stored, .wanted = s->md[WEIGHTS], .type = n->in[0]->type, .threads = step->threads };
    p.own = s->home->level >= CPU_AVX512 && stored_by_outputs(n) && is_blocked(&l, n->op == &op_linear, p.type, &p.blocked);
    layout_tag(&l, p.type, tag, sizeof tag);
    step->packed[0] = params_pack(store, n->in[1], tag, s->home->memory_desc_get_size(s->md[WEIGHTS]), pack, &p);
    return step->packed[0] ? 0 : error_code();
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

size_t onednn_matrix_bytes(const onednn_state *s) { return (s->home->memory_desc_get_size(s->md[WEIGHTS]) + 63) & ~(size_t)63; }

int onednn_pack_matrices(onednn_state *s, kernel_step *step, params *store, const tensor *w, nn_type type, const onednn_matrices *m) {
    char tag[576], each[512];
    layout l = layout_of(s->home, s->md[WEIGHTS]);
    matrices_job j = { .to = { .o = s->home, .stored = &s->stored, .wanted = s->md[WEIGHTS], .type = type, .threads = step->threads },
                       .from = m, .bytes = onednn_matrix_bytes(s) };
    j.to.own = s->home->level >= CPU_AVX512 && is_blocked(&l, true, type, &j.to.blocked);
    layout_tag(&l, type, each, sizeof each);
    snprintf(tag, sizeof tag, "%s %zux%zu %s", m->name, m->groups, m->together, each);
    step->packed[0] = params_pack(store, w, tag, m->groups * m->together * j.bytes, pack_matrices, &j);
    return step->packed[0] ? 0 : error_code();
}
