/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/rewrite.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "weights/convert_inside.h"
#include "weights/settings_metadata.h"

typedef struct {
    const checkpoint *c;
    rewrite_find *find;
    void *context;
    mien_dtype dtype;
    tensor_list *out;
} work;

static size_t elements(const stored_tensor *t) { return t->bytes / stored_type_bytes(t->type); }

/* The parameter's own place in memory is no part of any mapped file; w is only asked to let go of what is. */
static tensor_bytes of_memory(const weights *w, rewrite_numbers new, size_t n) {
    stored_type type = new.low ? STORED_BF16 : STORED_F32;
    return (tensor_bytes){ w, new.x, n * stored_type_bytes(type), type, new.low };
}

/* ---- a ControlNet ------------------------------------------------------------------------------------------------------ */

static int add_control(work *w, const parameter *p) {
    const weights *file = w->c->file[w->c->from[NETWORK_CONTROL]].w;
    const stored_tensor *t = weights_find(file, p->stored_name);
    rewrite_numbers new = w->find(w->context, p->name);
    size_t n = shape_elements(p->shape);
    if (!t || elements(t) != n) return error_set(ERR_FORMAT, "%s: \"%s\" is not there as it was", weights_path(file), p->stored_name);
    tensor_item *i = tensor_list_add_copy(w->out, p->name + strlen("control."), file, t);
    if (!i) return ERR_MEMORY;
    i->type = convert_output_type(t->type, w->dtype);
    if (new.x) i->part[0] = of_memory(file, new, n);
    return 0;
}

int rewrite_control(const checkpoint *c, rewrite_find *find, void *context, mien_dtype dtype, tensor_list *out) {
    assert(c->from[NETWORK_CONTROL] >= 0);
    work w = { c, find, context, dtype, out };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < checkpoint_count(c); i++) {
        const parameter *p = checkpoint_parameter(c, i);
        if (strncmp(p->name, "control.", 8) == 0) rc = add_control(&w, p);
    }
    if (rc == 0) rc = convert_carry(out, c->file[c->from[NETWORK_CONTROL]].w);   /* its own comes before the base's: a licence, who made it */
    return rc < 0 ? rc : convert_output_metadata(out, c, &c->settings);
}

/* ---- a base ------------------------------------------------------------------------------------------------------------ */

/* OpenCLIP's in_proj is three parameters of ours, one after the other. */
static int replace(work *w, const stored_tensor *t, int source, const char *rest, int parts, tensor_item *item) {
    const model_file *f = &w->c->file[0];
    tensor_bytes whole = item->part[0], part[3];
    bool any = false;
    if (whole.bytes % (size_t)parts) return error_set(ERR_FORMAT, "%s: \"%s\" can't be split in %d", weights_path(f->w), t->name, parts);
    for (int k = 0; k < parts; k++) {
        char canonical[NAME_MOST], name[2 * NAME_MOST];
        name_to_canonical(&f->map[source], rest, k, canonical);
        snprintf(name, sizeof name, "%s.%s", network_roots[f->map[source].net], canonical);
        rewrite_numbers new = w->find(w->context, name);
        size_t bytes = whole.bytes / (size_t)parts;
        part[k] = (tensor_bytes){ f->w, (const char *)whole.data + bytes * (size_t)k, bytes, t->type, NULL };
        if (!new.x) continue;
        part[k] = of_memory(f->w, new, bytes / stored_type_bytes(t->type));
        any = true;
    }
    if (!any) return 0;
    item->parts = parts;
    memcpy(item->part, part, (size_t)parts * sizeof *part);
    item->type = convert_output_type(t->type, w->dtype);
    return 0;
}

static int add_base(work *w, const stored_tensor *t) {
    const model_file *f = &w->c->file[0];
    const char *rest;
    char canonical[NAME_MOST];
    if (name_key_of(t->name) == KEY_EMA) return 0;               /* of weights that are not these any more */
    int source = model_file_source(f, t->name, &rest);
    int parts = source >= 0 && f->best[f->map[source].net] == source ? name_to_canonical(&f->map[source], rest, 0, canonical) : 0;
    if (source >= 0 && f->map[source].net == NETWORK_CONTROL) return 0;
    tensor_item *item = tensor_list_add_copy(w->out, t->name, f->w, t);
    return !item ? ERR_MEMORY : parts ? replace(w, t, source, rest, parts, item) : 0;
}

/* Of a folder's text encoder, whose names here would let its layers be counted anew. */
static int add_text_skip(const checkpoint *c, tensor_list *out) {
    char value[SETTING_TEXT];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < settings_fields() && c->from[NETWORK_TEXT] == 0; i++) {
        if (strcmp(settings_key(i), "mien.text_skip") != 0) continue;
        settings_write(&c->settings, i, value);
        rc = tensor_list_metadata(out, settings_key(i), value);
    }
    return rc;
}

int rewrite_base(const checkpoint *c, rewrite_find *find, void *context, mien_dtype dtype, tensor_list *out) {
    work w = { c, find, context, dtype, out };
    int rc = 0;
    const weights *file = c->file[0].w;
    for (size_t i = 0; rc == 0 && i < weights_count(file); i++) rc = add_base(&w, weights_tensor(file, i));
    if (rc == 0) rc = add_text_skip(c, out);
    return rc < 0 ? rc : convert_output_metadata(out, c, &c->settings);
}
