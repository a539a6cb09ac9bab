/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a primitive: bindings, and the state that owns them. */
#include <stdlib.h>

#include "base/error.h"
#include "nn/cpu/onednn_inside.h"

static const int forward[OPERANDS] = {
    DNNL_ARG_SRC, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_SCRATCHPAD,
};

static void binding_free(onednn *o, onednn_binding *b) {
    if (!b) return;
    for (int i = 0; i < b->n; i++) o->memory_destroy(b->args[i].memory);
    if (b->stream) o->stream_destroy(b->stream);
    free(b);
}

onednn_binding *onednn_binding_new(const onednn_state *s) {
    onednn *o = s->home;
    onednn_binding *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    bool ok = o->stream_create(&b->stream, o->engine, dnnl_stream_default_flags) == dnnl_success;
    for (int i = 0; i < OPERANDS && ok; i++) {
        if (!s->md[i] || o->memory_desc_get_size(s->md[i]) == 0) continue;
        ok = o->memory_create(&b->args[b->n].memory, s->md[i], o->engine, DNNL_MEMORY_NONE) == dnnl_success;
        if (!ok) break;
        b->args[b->n].arg = (s->arguments ? s->arguments : forward)[i];
        b->operand[b->n++] = i;
    }
    if (ok) return b;
    binding_free(o, b);
    return NULL;
}

/* Running cannot fail: without memory for another binding it waits for one in use; prepare has made the first. */
static onednn_binding *binding_take(onednn_state *s) {
    pthread_mutex_lock(&s->lock);
    onednn_binding *b = s->spare;
    if (b) s->spare = b->next;
    pthread_mutex_unlock(&s->lock);
    if (b || (b = onednn_binding_new(s))) return b;
    pthread_mutex_lock(&s->lock);
    while (!s->spare) pthread_cond_wait(&s->returned, &s->lock);
    b = s->spare;
    s->spare = b->next;
    pthread_mutex_unlock(&s->lock);
    return b;
}

static void binding_return(onednn_state *s, onednn_binding *b) {
    pthread_mutex_lock(&s->lock);
    b->next = s->spare;
    s->spare = b;
    pthread_cond_signal(&s->returned);
    pthread_mutex_unlock(&s->lock);
}

onednn_state *onednn_state_new(onednn *o) {
    onednn_state *s = calloc(1, sizeof *s);
    if (!s) return error_memory(sizeof *s), NULL;
    s->home = o;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->returned, NULL);
    return s;
}

void onednn_state_free(onednn_state *s) {
    if (!s) return;
    onednn *o = s->home;
    for (onednn_binding *b = s->spare, *next; b; b = next) {
        next = b->next;
        binding_free(o, b);
    }
    onednn_state_free(s->reorder);
    if (s->primitive) o->primitive_destroy(s->primitive);
    if (s->desc) o->primitive_desc_destroy(s->desc);
    for (int i = 0; i <= BIAS; i++)
        if (s->made[i]) o->memory_desc_destroy(s->made[i]);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->returned);
    free(s);
}

int onednn_execute(onednn_state *s, void *const address[OPERANDS], const char *what) {
    onednn *o = s->home;
    onednn_binding *b = binding_take(s);
    dnnl_status_t rc = dnnl_success;
    for (int i = 0; i < b->n && !rc; i++) rc = o->memory_set_data_handle(b->args[i].memory, address[b->operand[i]]);
    if (!rc) rc = o->primitive_execute(s->primitive, b->stream, b->n, b->args);
    if (!rc) rc = o->stream_wait(b->stream);
    binding_return(s, b);
    return rc ? onednn_failed(rc, what) : 0;   /* only ever out of memory */
}
