/* SPDX-License-Identifier: Apache-2.0
 *
 * A ControlNet for another base, as the original's tool_transfer_control.py: which tensor is offset by which is that file's rule, told in
 * canonical names so that the three models may come in any layout. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "weights/convert.h"
#include "weights/convert_inside.h"

typedef struct {
    const mien_transfer_options *o;
    convert_job j;
    checkpoint *controlled, *from, *onto;
    const model_file *f;
    tensor_list list;
    checkpoint_shapes shapes;
    mien_convert_result *r;
    uint64_t kept;                   /* of text encoder and VAE, which `onto` lacks */
} work;

static int differ(const work *w, const stored_tensor *t, const char *path) {
    return error_set(ERR_USAGE, "%s: \"%s\" has another shape than in %s", path, t->name, w->o->controlled);
}

static size_t elements_of(const parameter *p) { return shape_elements(p->shape); }

static const stored_type stored_of[] = { [NN_F32] = STORED_F32, [NN_F16] = STORED_F16, [NN_BF16] = STORED_BF16 };

static tensor_bytes bytes_of(const checkpoint *c, network net, const parameter *p) {
    return (tensor_bytes){ c->file[c->from[net]].w, p->data, elements_of(p) * nn_type_bytes(p->type), stored_of[p->type], NULL };
}

static int add(work *w, const char *name, const stored_tensor *t, tensor_item **out) {
    tensor_item *i = tensor_list_add_copy(&w->list, name, w->f->w, t);
    if (!i) return ERR_MEMORY;
    if (name_key_of(t->name) != KEY_SCHEDULE) i->type = convert_output_type(t->type, w->o->dtype);
    *out = i;
    return 0;
}

/* Of the text encoder and the VAE: `onto`'s own. */
static int replace(work *w, const model_place *at, const stored_tensor *t, tensor_item *i) {
    size_t numbers = 0;
    for (int k = 0; k < at->parts; k++) {
        char name[NAME_MOST];
        name_to_canonical(at->map, at->rest, k, name);
        const parameter *p = checkpoint_part(w->onto, at->net, "%s", name);
        if (!p) return error_set(ERR_FORMAT, "%s: \"%s\" of %s is not there", w->o->onto, t->name, w->o->controlled);
        i->part[k] = bytes_of(w->onto, at->net, p);
        numbers += elements_of(p);
    }
    if (numbers != t->bytes / stored_type_bytes(t->type)) return differ(w, t, w->o->onto);
    i->parts = at->parts;
    if (w->o->dtype == MIEN_DTYPE_AUTO) i->type = i->part[0].type;
    return 0;
}

/* p + onto - from of the UNet's tensor of that name, if `onto` has one. */
static int offset(work *w, const model_place *at, const stored_tensor *t, tensor_item *i) {
    const parameter *onto = checkpoint_part(w->onto, NETWORK_UNET, "%s", at->canonical), *from = checkpoint_part(w->from, NETWORK_UNET, "%s", at->canonical);
    if (!onto) return 0;
    if (!from) return error_set(ERR_FORMAT, "%s: \"%s\" of %s is not there", w->o->from, t->name, w->o->controlled);
    const parameter *own = checkpoint_part(w->controlled, at->net, "%s", at->canonical);
    if (!own || !shape_equal(own->shape, onto->shape)) return differ(w, t, w->o->onto);
    if (!shape_equal(own->shape, from->shape)) return differ(w, t, w->o->from);
    i->making = TENSOR_OFFSET;
    i->part[1] = bytes_of(w->onto, NETWORK_UNET, onto);
    i->part[2] = bytes_of(w->from, NETWORK_UNET, from);
    w->r->moved++;
    return 0;
}

/* What belongs to no network: buffers of the schedule, which are offset too where both bases have them. */
static int other(work *w, const stored_tensor *t) {
    tensor_item *i;
    const stored_tensor *onto = weights_find(w->onto->file[0].w, t->name), *from = weights_find(w->from->file[0].w, t->name);
    bool base_part = strncmp(t->name, "first_stage_model", 17) == 0 || strncmp(t->name, "cond_stage_model", 16) == 0;
    int rc = add(w, t->name, t, &i);
    if (rc < 0) return rc;
    bool fits = onto && onto->rank == t->rank && memcmp(onto->dim, t->dim, (size_t)t->rank * sizeof *t->dim) == 0;
    if (base_part) {
        if (!fits) return w->kept++, 0;
        i->part[0] = (tensor_bytes){ w->onto->file[0].w, onto->data, onto->bytes, onto->type, NULL };
        if (w->o->dtype == MIEN_DTYPE_AUTO || !stored_is_float(onto->type)) i->type = onto->type;
        return stored_is_float(i->type) == stored_is_float(onto->type) ? 0 : differ(w, t, w->o->onto);
    }
    if (!fits || !from || from->bytes / stored_type_bytes(from->type) != t->bytes / stored_type_bytes(t->type)) return 0;
    if (!stored_is_float(t->type) || !stored_is_float(onto->type) || !stored_is_float(from->type)) return 0;
    i->making = TENSOR_OFFSET;
    i->part[1] = (tensor_bytes){ w->onto->file[0].w, onto->data, onto->bytes, onto->type, NULL };
    i->part[2] = (tensor_bytes){ w->from->file[0].w, from->data, from->bytes, from->type, NULL };
    w->r->moved++;
    return 0;
}

static int place(work *w, const stored_tensor *t) {
    char name[2 * NAME_MOST];
    model_place at;
    tensor_item *i;
    if (name_key_of(t->name) == KEY_EMA) return w->r->ema++, 0;
    if (!model_file_place(w->f, t->name, &at)) return other(w, t);
    /* Files keep their names; a folder's ControlNet becomes a file of its own, which has no prefix. */
    if (weights_format_of(w->f->w) == WEIGHTS_FOLDER) {
        if (at.net != NETWORK_CONTROL) return 0;
        snprintf(name, sizeof name, "%s", at.canonical);
    } else snprintf(name, sizeof name, "%s", t->name);
    int rc = add(w, name, t, &i);
    if (rc < 0) return rc;
    return at.net == NETWORK_TEXT || at.net == NETWORK_VAE ? replace(w, &at, t, i) : offset(w, &at, t, i);
}

static int run(work *w) {
    int rc = checkpoint_open(w->o->controlled, NULL, CHECKPOINT_CONTROL, &w->controlled);
    if (rc == 0) rc = checkpoint_open(w->o->from, NULL, CHECKPOINT_UNET, &w->from);
    if (rc == 0) rc = checkpoint_open(w->o->onto, NULL, CHECKPOINT_UNET, &w->onto);
    if (rc == 0) rc = convert_check_shapes(&w->j, w->controlled, checkpoint_has(w->controlled), w->shapes);
    if (rc < 0) return rc;
    w->f = &w->controlled->file[0];
    for (size_t i = 0; rc == 0 && i < weights_count(w->f->w); i++) rc = place(w, weights_tensor(w->f->w, i));
    if (rc == 0) rc = convert_output_metadata(&w->list, w->controlled, &w->controlled->settings);
    if (rc < 0) return rc;
    w->j.total = w->r->bytes = tensor_list_bytes(&w->list);
    w->r->tensors = w->list.count;
    rc = convert_output_save(&w->list, w->o->output, w->o->force, 0, &w->j);
    if (rc == 0 && w->kept)
        convert_log(&w->j, MIEN_LOG_WARNING, "%llu tensors of text encoder or VAE (position_ids or the like) are not in %s and were kept", (unsigned long long)w->kept, w->o->onto);
    return rc;
}

int transfer_run(const mien_transfer_options *o, checkpoint_shapes shapes, mien_convert_result *r) {
    *r = (mien_convert_result){ 0 };
    const char *const inputs[] = { o->controlled, o->from, o->onto };
    for (int i = 0; i < 3; i++)
        if (access(inputs[i], F_OK) < 0) return error_errno("%s", inputs[i]), ERR_USAGE;
    int rc = convert_output_check(o->output, false, o->force, inputs, 3);
    if (rc < 0) return rc;
    work w = { .o = o, .shapes = shapes, .r = r };
    convert_begin(&w.j, &o->hooks);
    rc = run(&w);
    tensor_list_free(&w.list);
    checkpoint_close(w.controlled);
    checkpoint_close(w.from);
    checkpoint_close(w.onto);
    convert_end(&w.j);
    r->seconds = w.j.progress.seconds;
    return rc;
}
