/* SPDX-License-Identifier: Apache-2.0 */
#include "tflite_builder.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

/* ---- FlatBuffers, written front to back: a parent first, its references patched when the child is there -------------- */

typedef struct { uint8_t *data; size_t room, size; } writer;

static void put(writer *w, size_t at, uint64_t x, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) w->data[at + i] = (uint8_t)(x >> 8 * i);
}

static size_t grow(writer *w, size_t bytes) {
    size_t at = (w->size + 3) & ~(size_t)3;
    assert(at + bytes <= w->room);
    memset(w->data + w->size, 0, at + bytes - w->size);
    w->size = at + bytes;
    return at;
}

/* A table of n fields of 8 bytes each, all present if `present` has their bits. Its place; field i is at + 4 + 8 * i. */
static size_t table(writer *w, size_t n, unsigned present) {
    size_t vtable = grow(w, 4 + 2 * n), at = grow(w, 4 + 8 * n);
    put(w, vtable, 4 + 2 * n, 2);
    put(w, vtable + 2, 4 + 8 * n, 2);
    for (size_t i = 0; i < n; i++) put(w, vtable + 4 + 2 * i, present >> i & 1 ? 4 + 8 * i : 0, 2);
    put(w, at, at - vtable, 4);
    return at;
}

static size_t field(size_t table, size_t i) { return table + 4 + 8 * i; }

static void refer(writer *w, size_t from, size_t to) { put(w, from, to - from, 4); }

/* A vector of n elements; the reference at `from` gets it. The place of its first element. */
static size_t vector(writer *w, size_t from, size_t n, size_t element) {
    size_t at = grow(w, 4 + n * element);
    put(w, at, n, 4);
    refer(w, from, at);
    return at + 4;
}

static void bytes_vector(writer *w, size_t from, const void *data, size_t n) {
    memcpy(w->data + vector(w, from, n, 1), data, n);
}

static void text(writer *w, size_t from, const char *s) {
    bytes_vector(w, from, s, strlen(s));
    grow(w, 4);   /* the zero behind it */
}

static void int_vector(writer *w, size_t from, const int32_t *x, size_t n) {
    size_t at = vector(w, from, n, 4);
    for (size_t i = 0; i < n; i++) put(w, at + 4 * i, (uint32_t)x[i], 4);
}

/* ---- the schema ------------------------------------------------------------------------------------------------------ */

static void write_code(writer *w, size_t from, const model_operation *o) {
    size_t t = table(w, 4, o->custom ? 15 : 13);
    refer(w, from, t);
    put(w, field(t, 0), (uint32_t)(o->code < 127 ? o->code : 127), 1);
    put(w, field(t, 2), (uint32_t)o->version, 4);
    put(w, field(t, 3), (uint32_t)o->code, 4);
    if (o->custom) text(w, field(t, 1), o->custom);
}

static void write_tensor(writer *w, size_t from, const model_tensor *x, int index) {
    unsigned present = 15 | (x->variable ? 1 << 5 : 0) | (x->sparse ? 1 << 6 : 0) | (x->signature_rank ? 1 << 7 : 0);
    size_t t = table(w, 8, present);
    refer(w, from, t);
    put(w, field(t, 1), (uint32_t)x->type, 1);
    put(w, field(t, 2), (uint32_t)(x->buffer >= 0 ? x->buffer : x->bytes ? index + 1 : 0), 4);
    put(w, field(t, 5), x->variable, 1);
    int_vector(w, field(t, 0), x->dim, (size_t)x->rank);
    text(w, field(t, 3), x->name);
    if (x->sparse) refer(w, field(t, 6), table(w, 1, 0));
    if (x->signature_rank) int_vector(w, field(t, 7), x->signature, (size_t)x->signature_rank);
}

static void write_operation(writer *w, size_t from, const model_operation *o, int index) {
    bool options = o->n_options || o->option_is_vector;
    size_t t = table(w, 6, 7 | (options ? 3 << 3 : 0) | (o->custom_options ? 1 << 5 : 0));
    refer(w, from, t);
    put(w, field(t, 0), (uint32_t)index, 4);
    put(w, field(t, 3), (uint32_t)o->options_type, 1);
    int_vector(w, field(t, 1), (const int32_t *)o->in, (size_t)o->n_in);
    int_vector(w, field(t, 2), (const int32_t *)o->out, (size_t)o->n_out);
    if (o->custom_options) bytes_vector(w, field(t, 5), o->custom_options, o->custom_bytes);
    if (!options) return;
    size_t fields = o->option_is_vector ? 1 : (size_t)o->n_options;
    size_t s = table(w, fields, (1u << fields) - 1);
    refer(w, field(t, 4), s);
    if (o->option_is_vector) int_vector(w, field(s, 0), o->option, (size_t)o->n_options);
    else
        for (size_t i = 0; i < fields; i++) put(w, field(s, i), (uint32_t)o->option[i], 4);
}

static void write_subgraph(writer *w, size_t from, const model *m) {
    size_t t = table(w, 4, 15);
    refer(w, from, t);
    int_vector(w, field(t, 1), (const int32_t *)m->inputs, (size_t)m->n_inputs);
    int_vector(w, field(t, 2), (const int32_t *)m->outputs, (size_t)m->n_outputs);
    size_t at = vector(w, field(t, 0), (size_t)m->n_tensors, 4);
    for (int i = 0; i < m->n_tensors; i++) write_tensor(w, at + 4 * (size_t)i, &m->tensors[i], i);
    at = vector(w, field(t, 3), (size_t)m->n_operations, 4);
    for (int i = 0; i < m->n_operations; i++) write_operation(w, at + 4 * (size_t)i, &m->operations[i], i);
}

size_t model_write(const model *m, uint8_t *out, size_t room) {
    writer w = { out, room, 0 };
    grow(&w, 8);
    memcpy(out + 4, m->identifier, 4);
    size_t t = table(&w, 5, 23);
    refer(&w, 0, t);
    put(&w, field(t, 0), m->version, 4);
    size_t at = vector(&w, field(t, 1), (size_t)m->n_operations, 4);   /* operation i has the code i */
    for (int i = 0; i < m->n_operations; i++) write_code(&w, at + 4 * (size_t)i, &m->operations[i]);
    at = vector(&w, field(t, 2), (size_t)m->subgraphs, 4);
    for (int i = 0; i < m->subgraphs; i++) write_subgraph(&w, at + 4 * (size_t)i, m);
    at = vector(&w, field(t, 4), (size_t)m->n_tensors + 1, 4);   /* buffer 0 is empty, tensor i has buffer i + 1 */
    for (int i = 0; i <= m->n_tensors; i++) {
        const model_tensor *x = i ? &m->tensors[i - 1] : NULL;
        size_t b = table(&w, 2, (x && x->bytes ? 1 : 0) | (m->buffer_offset ? 2 : 0));
        refer(&w, at + 4 * (size_t)i, b);
        put(&w, field(b, 1), m->buffer_offset, 8);
        if (x && x->bytes) bytes_vector(&w, field(b, 0), x->data, x->bytes);
    }
    return w.size;
}

/* ---- describing a model ---------------------------------------------------------------------------------------------- */

model model_new(void) {
    return (model){ .version = 3, .identifier = "TFL3", .subgraphs = 1 };
}

static int add_tensor(model *m, const char *name, int type, va_list dims) {
    assert(m->n_tensors < 24);
    model_tensor *t = &m->tensors[m->n_tensors];
    *t = (model_tensor){ .name = name, .type = type, .buffer = -1 };
    for (int d; (d = va_arg(dims, int));) t->dim[t->rank++] = d;
    return m->n_tensors++;
}

int model_value(model *m, const char *name, ...) {
    va_list dims;
    va_start(dims, name);
    int i = add_tensor(m, name, T_F32, dims);
    va_end(dims);
    return i;
}

int model_input(model *m, const char *name, ...) {
    va_list dims;
    va_start(dims, name);
    int i = add_tensor(m, name, T_F32, dims);
    va_end(dims);
    return m->inputs[m->n_inputs++] = i;
}

static void set_data(model_tensor *t, const void *data, size_t bytes) {
    assert(bytes <= sizeof t->data);
    memcpy(t->data, data, bytes);
    t->bytes = bytes;
}

int model_constant(model *m, const char *name, int type, const void *data, size_t bytes, ...) {
    va_list dims;
    va_start(dims, bytes);
    int i = add_tensor(m, name, type, dims);
    va_end(dims);
    set_data(&m->tensors[i], data, bytes);
    return i;
}

int model_half(model *m, const char *name, const uint16_t *data, size_t n, ...) {
    va_list dims;
    va_start(dims, n);
    int half = add_tensor(m, name, T_F16, dims);
    va_end(dims);
    set_data(&m->tensors[half], data, 2 * n);
    va_start(dims, n);
    int full = add_tensor(m, "widened", T_F32, dims);
    va_end(dims);
    model_apply(m, DEQUANTIZE, full, half, -2);
    return full;
}

model_operation *model_apply(model *m, int code, int out, ...) {
    assert(m->n_operations < 12);
    model_operation *o = &m->operations[m->n_operations++];
    *o = (model_operation){ .code = code, .version = 1, .out = { out }, .n_out = 1 };
    va_list in;
    va_start(in, out);
    for (int i; (i = va_arg(in, int)) != -2;) o->in[o->n_in++] = i;
    va_end(in);
    return o;
}

void model_options(model_operation *o, int type, int n, ...) {
    va_list fields;
    va_start(fields, n);
    o->options_type = type;
    o->n_options = n;
    for (int i = 0; i < n; i++) o->option[i] = va_arg(fields, int);
    va_end(fields);
}

void model_output(model *m, int tensor) { m->outputs[m->n_outputs++] = tensor; }
