/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/tensor_list.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/stop.h"
#include "nn/halves.h"
#include "weights/safetensors_write.h"
#include "weights/tensor_draw.h"

/* ---- the list ---------------------------------------------------------------------------------------------------------- */

tensor_item *tensor_list_add(tensor_list *l, const char *name) {
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 256;
        tensor_item *p = reallocarray(l->item, room, sizeof *p);
        if (!p) return error_memory(room * sizeof *p), NULL;
        l->item = p;
        l->room = room;
    }
    tensor_item *t = &l->item[l->count];
    *t = (tensor_item){ .name = arena_printf(&l->memory, "%s", name) };
    if (!t->name) return NULL;
    l->count++;
    return t;
}

tensor_item *tensor_list_add_copy(tensor_list *l, const char *name, const weights *w, const stored_tensor *t) {
    tensor_item *i = tensor_list_add(l, name);
    if (!i) return NULL;
    i->type = t->type;
    i->rank = t->rank;
    memcpy(i->dim, t->dim, sizeof i->dim);
    i->making = TENSOR_COPY;
    i->parts = 1;
    i->part[0] = (tensor_bytes){ w, t->data, t->bytes, t->type, NULL };
    return i;
}

int tensor_list_metadata(tensor_list *l, const char *key, const char *value) {
    for (size_t i = 0; i < l->pairs; i++)
        if (strcmp(l->key[i], key) == 0) return 0;
    if (l->pairs == l->pair_room) {
        size_t room = l->pair_room ? 2 * l->pair_room : 16;
        const char **k = reallocarray(l->key, room, sizeof *k), **v = k ? (l->key = k, reallocarray(l->value, room, sizeof *v)) : NULL;
        if (!v) return error_memory(room * sizeof *v);
        l->value = v;
        l->pair_room = room;
    }
    l->key[l->pairs] = arena_printf(&l->memory, "%s", key);
    l->value[l->pairs] = arena_printf(&l->memory, "%s", value);
    return l->key[l->pairs] && l->value[l->pairs++] ? 0 : ERR_MEMORY;
}

void tensor_list_free(tensor_list *l) {
    arena_free(&l->memory);
    free(l->item);
    free(l->key);
    free(l->value);
    *l = (tensor_list){ 0 };
}

static size_t elements(const tensor_item *t) {
    size_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

size_t tensor_list_bytes(const tensor_list *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++) n += elements(&l->item[i]) * stored_type_bytes(l->item[i].type);
    return n;
}

/* ---- making -------------------------------------------------------------------------------------------------------------- */

enum { PIECE = 1 << 18 };   /* numbers */

typedef struct {
    const tensor_list_target *target;
    safetensors_writer *w;
    void *out;                    /* a piece, of any type */
    float *number[3];
    size_t beyond;
} maker;

static int put(maker *m, const void *data, size_t bytes) {
    if (m->target->hooks && stop_asked(m->target->hooks->stop)) return error_set(ERR_CANCELLED, "stopped");
    int rc = safetensors_write(m->w, data, bytes);
    if (rc == 0 && m->target->moved) m->target->moved(m->target->context, bytes);
    return rc;
}

static int copy_part(maker *m, const tensor_item *t, const tensor_bytes *p) {
    size_t from = stored_type_bytes(p->type), to = stored_type_bytes(t->type), n = p->bytes / from;
    stored_type type = p->low ? STORED_F32 : p->type;
    int rc = 0;
    for (size_t at = 0, k; rc == 0 && at < n; at += k) {
        k = n - at < PIECE ? n - at : PIECE;
        const void *in = (const char *)p->data + at * from, *x = in;
        if (p->low) halves_join(m->number[0], in, p->low + at, k), x = m->number[0];
        if (type != t->type) stored_convert(m->out, t->type, x, type, k, &m->beyond), x = m->out;
        rc = put(m, x, k * to);
        weights_drop(p->w, in, k * from);
    }
    return rc;
}

static int copy(maker *m, const tensor_item *t) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < t->parts; i++) rc = copy_part(m, t, &t->part[i]);
    return rc;
}

/* p + new - old, from left to right, each step rounded to f32: as numpy and torch compute it. */
static int offset(maker *m, const tensor_item *t) {
    size_t n = elements(t), ignored = 0, to = stored_type_bytes(t->type);
    int rc = 0;
    for (size_t at = 0, k; rc == 0 && at < n; at += k) {
        k = n - at < PIECE ? n - at : PIECE;
        for (int i = 0; i < 3; i++) {
            size_t size = stored_type_bytes(t->part[i].type);
            stored_convert(m->number[i], STORED_F32, (const char *)t->part[i].data + at * size, t->part[i].type, k, &ignored);
            weights_drop(t->part[i].w, (const char *)t->part[i].data + at * size, k * size);
        }
        float *x = m->number[0];
        for (size_t i = 0; i < k; i++) x[i] = x[i] + m->number[1][i] - m->number[2][i];
        stored_convert(m->out, t->type, x, STORED_F32, k, &m->beyond);
        rc = put(m, m->out, k * to);
    }
    return rc;
}

static int drawn(maker *m, const tensor_item *t) {
    size_t n = elements(t), to = stored_type_bytes(t->type);
    uint64_t start = draw_begin(m->target->seed, t->name);
    int rc = 0;
    for (size_t at = 0, k; rc == 0 && at < n; at += k) {
        k = n - at < PIECE ? n - at : PIECE;
        (t->making == TENSOR_NORMAL ? draw_normal : draw_uniform)(start, at, t->spread, m->number[0], k);
        stored_convert(m->out, t->type, m->number[0], STORED_F32, k, &m->beyond);
        rc = put(m, m->out, k * to);
    }
    return rc;
}

static int constant(maker *m, const tensor_item *t, float value) {
    size_t n = elements(t), to = stored_type_bytes(t->type);
    int rc = 0;
    for (size_t i = 0; i < PIECE && i < n; i++) m->number[0][i] = value;
    stored_convert(m->out, t->type, m->number[0], STORED_F32, n < PIECE ? n : PIECE, &m->beyond);
    for (size_t at = 0, k; rc == 0 && at < n; at += k) {
        k = n - at < PIECE ? n - at : PIECE;
        rc = put(m, m->out, k * to);
    }
    return rc;
}

static int zeros(maker *m, const tensor_item *t) { return constant(m, t, 0); }
static int ones(maker *m, const tensor_item *t) { return constant(m, t, 1); }

static int make(maker *m, const tensor_item *t) {
    int (*const how[])(maker *, const tensor_item *) = {
        [TENSOR_COPY] = copy, [TENSOR_OFFSET] = offset, [TENSOR_ZERO] = zeros, [TENSOR_ONE] = ones, [TENSOR_UNIFORM] = drawn, [TENSOR_NORMAL] = drawn };
    m->beyond = 0;
    int rc = how[t->making](m, t);
    const mien_hooks *h = m->target->hooks;
    if (rc < 0 || !m->beyond || !h || !h->log) return rc;
    char line[512];
    snprintf(line, sizeof line, "%.300s: %zu number%s too large for %s, and became infinite", t->name, m->beyond, m->beyond == 1 ? " is" : "s are", stored_type_name(t->type));
    h->log(h->context, MIEN_LOG_WARNING, NULL, line);
    return 0;
}

/* ---- saving -------------------------------------------------------------------------------------------------------------- */

static int declare(const tensor_list *l, safetensors_writer *w) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->pairs; i++) rc = safetensors_metadata(w, l->key[i], l->value[i]);
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        const tensor_item *t = &l->item[i];
        stored_tensor s = { .name = t->name, .type = t->type, .rank = t->rank };
        memcpy(s.dim, t->dim, sizeof s.dim);
        rc = safetensors_declare(w, &s);
    }
    return rc;
}

int tensor_list_save(const tensor_list *l, const tensor_list_target *target) {
    maker m = { .target = target };
    m.out = malloc((size_t)PIECE * 4);
    m.number[0] = malloc((size_t)PIECE * 4 * 3);
    for (int i = 1; i < 3 && m.number[0]; i++) m.number[i] = m.number[0] + (size_t)i * PIECE;
    int rc = m.out && m.number[0] ? 0 : error_memory((unsigned long long)PIECE * 16);
    if (rc == 0) rc = safetensors_create(target->path, &m.w);
    if (rc == 0) rc = declare(l, m.w);
    if (rc == 0) rc = safetensors_begin(m.w);
    for (size_t i = 0; rc == 0 && i < l->count; i++) rc = make(&m, &l->item[safetensors_at(m.w, i)]);
    if (rc == 0) rc = safetensors_commit(m.w, target->replace);
    else safetensors_abandon(m.w);
    free(m.out);
    free(m.number[0]);
    return rc;
}
