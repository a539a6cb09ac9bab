/* SPDX-License-Identifier: Apache-2.0
 *
 * From one layout to another. Each stored tensor goes where its canonical name has a place in the new layout; what has
 * none there is kept under its stored name: in a folder in a file of its own, in a file behind a prefix. So the way
 * back finds all of it. */
#include "weights/convert.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "weights/convert_folder.h"
#include "weights/convert_inside.h"
#include "weights/merges.h"

/* The lists that a job fills: one for a file; for a folder one for each component, and what has no place. */
enum { LIST_FILE = 0, LIST_EXTRA = NETWORKS, LISTS };

typedef struct {
    const mien_convert_options *o;
    const char *vocabulary;          /* the folder of CLIP's own, or NULL */
    checkpoint_shapes shapes;
    convert_job j;
    checkpoint *c;
    const model_file *f;
    weights *extra;                  /* a folder's file of what has no place in it; or NULL */
    bool folder;                     /* that is the output */
    int layers, skip;                /* of the text encoder: all, and those at the end that a folder leaves out */
    tensor_list list[LISTS];
    uint64_t not_averaged;           /* of the UNet, though that was asked for */
    mien_convert_result *r;
} work;

/* ---- one tensor ------------------------------------------------------------------------------------------------------------ */

static int add(work *w, int list, const char *name, const stored_tensor *t, const weights *from, bool parameter,
               tensor_item **out) {
    tensor_item *i = tensor_list_add_copy(&w->list[list], name, from, t);
    if (!i) return ERR_MEMORY;
    if (parameter || name_key_of(t->name) != KEY_SCHEDULE) i->type = convert_output_type(t->type, w->o->dtype);
    w->r->extra += list == LIST_EXTRA || strncmp(name, EXTRA_PREFIX, strlen(EXTRA_PREFIX)) == 0;
    if (out) *out = i;
    return 0;
}

/* Between the layouts only the 1x1 of the VAE's attention comes and goes; those of UNet and ControlNet are as the model
 * has them. */
static void shape_for(const work *w, network net, const char *canonical, tensor_item *i) {
    if (net != NETWORK_VAE || !name_is_token_mix(net, canonical)) return;
    while (w->folder && i->rank > 2 && i->dim[i->rank - 1] == 1) i->rank--;
    while (!w->folder && i->rank < 4) i->dim[i->rank++] = 1;
}

static int too_long(const stored_tensor *t) { return error_set(ERR_FORMAT, "\"%.200s\" is too long a name", t->name); }

/* Of the moving average, if that was asked for. */
static const stored_tensor *average_of(work *w, const model_place *at, const stored_tensor *t) {
    char name[NAME_MOST];
    if (!w->o->ema || at->net != NETWORK_UNET) return t;
    const stored_tensor *a = name_of_ema(at->rest, name) ? weights_find(w->f->w, name) : NULL;
    w->not_averaged += !a;
    return a && a->rank == t->rank && memcmp(a->dim, t->dim, (size_t)t->rank * sizeof *t->dim) == 0 ? a : t;
}

/* Hugging Face's q, k and v to OpenCLIP's one tensor, which q brings with it. */
static int add_fused(work *w, const stored_tensor *t, const char *canonical, const char *name, int part) {
    char other[NAME_MOST];
    tensor_item *i;
    if (part != 0) return 0;
    int rc = add(w, LIST_FILE, name, t, w->f->w, true, &i);
    if (rc < 0) return rc;
    snprintf(other, sizeof other, "%s", canonical);
    for (int k = 1; k < 3; k++) {
        *strstr(other, "_proj.") = 0;
        other[strlen(other) - 1] = "qkv"[k];
        strcat(other, strstr(canonical, "_proj."));
        const parameter *p = checkpoint_part(w->c, NETWORK_TEXT, "%s", other);
        const stored_tensor *s = p ? weights_find(w->f->w, p->stored_name) : NULL;
        if (!s || s->rank != t->rank || s->bytes / stored_type_bytes(s->type) != t->bytes / stored_type_bytes(t->type))
            return error_set(ERR_FORMAT, "%s: \"%s\" has no k or v of its size", weights_path(w->f->w), t->name);
        if (s->type != t->type && w->o->dtype == MIEN_DTYPE_AUTO) i->type = STORED_F32;
        i->part[k] = (tensor_bytes){ w->f->w, s->data, s->bytes, s->type, NULL };
    }
    i->parts = 3;
    i->dim[0] *= 3;
    return 0;
}

static int to_file(work *w, const model_place *at, const stored_tensor *t) {
    char name[2 * NAME_MOST];
    const char *canonical = at->canonical;
    const name_source *from = at->source;
    tensor_item *i;
    if (w->o->to == MIEN_LAYOUT_CONTROL) snprintf(name, sizeof name, "%s", canonical);
    else if (!convert_ldm_name(from, w->c->settings.family, at->net, at->rest, canonical, name)) return too_long(t);
    bool fuses = at->net == NETWORK_TEXT && from->style == STYLE_HF && strncmp(from->prefix, "cond_stage_model.", 17) != 0 &&
                 w->c->settings.family == 2 && strstr(name, ".attn.in_proj_");
    if (fuses) return add_fused(w, t, canonical, name, strstr(canonical, ".q_proj.") ? 0 : 1);
    int rc = add(w, LIST_FILE, name, average_of(w, at, t), w->f->w, true, &i);
    if (rc == 0) shape_for(w, at->net, canonical, i);
    return rc;
}

/* Layers of the text encoder that are there but not computed: a folder's config can't say so. */
static bool is_skipped(const work *w, network net, const char *canonical) {
    int layer = 0;
    return net == NETWORK_TEXT && sscanf(canonical, "encoder.layers.%3d.", &layer) == 1 && layer >= w->layers - w->skip;
}

static int to_folder(work *w, const model_place *at, const stored_tensor *t) {
    static const char *const before[NETWORKS] = { "", "text_model.", "", "" };
    const network net = at->net;
    const name_map to = { .net = net, .style = net == NETWORK_TEXT ? STYLE_HF : STYLE_DIFFUSERS, .ladder = at->map->ladder };
    char canonical[NAME_MOST], name[NAME_MOST], whole[2 * NAME_MOST];
    const int parts = at->parts;
    int unused, rc = 0;
    for (int part = 0; rc == 0 && part < parts; part++) {
        tensor_item *i;
        if (!name_to_canonical(at->map, at->rest, part, canonical) || is_skipped(w, net, canonical) ||
            !name_from_canonical(&to, canonical, name, &unused))
            return add(w, LIST_EXTRA, t->name, t, w->f->w, false, NULL);
        snprintf(whole, sizeof whole, "%s%s", before[net], name);
        rc = add(w, net, whole, average_of(w, at, t), w->f->w, true, &i);
        if (rc < 0) break;
        shape_for(w, net, canonical, i);
        if (parts == 1) continue;
        if (i->dim[0] % (size_t)parts)
            return error_set(ERR_FORMAT, "\"%s\": %zu rows can't be split among q, k and v", t->name, i->dim[0]);
        i->dim[0] /= (size_t)parts;
        i->part[0].bytes /= (size_t)parts;
        i->part[0].data = (const char *)i->part[0].data + i->part[0].bytes * (size_t)part;
    }
    return rc;
}

/* ---- what has no place -------------------------------------------------------------------------------------------------- */

/* "unet/..." of a folder's own: into that component, if the output has it. */
static int component_of(const work *w, const char *name) {
    static const char *const folders[NETWORKS] = { "unet/", "text_encoder/", "vae/", "controlnet/" };
    for (int n = 0; w->folder && n < NETWORKS; n++)
        if (strncmp(name, folders[n], strlen(folders[n])) == 0 && w->c->from[n] >= 0) return n;
    return LIST_EXTRA;
}

static int add_extra(work *w, const stored_tensor *t, const weights *from) {
    char name[NAME_MOST * 4];
    if (w->o->to == MIEN_LAYOUT_CONTROL && checkpoint_has(w->c) != CHECKPOINT_CONTROL) return 0;   /* of other networks */
    bool marked = strncmp(t->name, EXTRA_PREFIX, strlen(EXTRA_PREFIX)) == 0;
    if (w->folder) {
        const char *own = marked ? t->name + strlen(EXTRA_PREFIX) : t->name;
        int list = component_of(w, own);
        return add(w, list, list == LIST_EXTRA ? t->name : strchr(own, '/') + 1, t, from, false, NULL);
    }
    bool of_folder = from == w->f->w && weights_format_of(from) == WEIGHTS_FOLDER;
    int n = snprintf(name, sizeof name, "%s%s", of_folder ? EXTRA_PREFIX : "", t->name);
    return n >= (int)sizeof name ? too_long(t) : add(w, LIST_FILE, name, t, from, false, NULL);
}

static int place(work *w, const stored_tensor *t) {
    model_place at;
    if (name_key_of(t->name) == KEY_EMA) return w->r->ema += w->o->to != MIEN_LAYOUT_CONTROL, 0;
    if (!model_file_place(w->f, t->name, &at)) return add_extra(w, t, w->f->w);
    if (w->o->to == MIEN_LAYOUT_CONTROL && at.net != NETWORK_CONTROL) return 0;
    return w->folder ? to_folder(w, &at, t) : to_file(w, &at, t);
}

static int place_all(work *w) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < weights_count(w->f->w); i++) rc = place(w, weights_tensor(w->f->w, i));
    for (size_t i = 0; rc == 0 && w->extra && i < weights_count(w->extra); i++)
        rc = add_extra(w, weights_tensor(w->extra, i), w->extra);
    if (rc == 0 && w->o->ema && !w->r->ema)
        return error_set(ERR_USAGE, "%s: there is no moving average (model_ema.) in it", w->o->input);
    return rc;
}

/* ---- the job --------------------------------------------------------------------------------------------------------------- */

/* How many layers a folder's extra file has of the text encoder. */
static int extra_layers(const work *w) {
    int n = 0;
    for (size_t i = 0; w->extra && i < weights_count(w->extra); i++) {
        const char *name = weights_tensor(w->extra, i)->name;
        size_t k = strlen(name);
        n += strncmp(name, "cond_stage_model.model.transformer.resblocks.", 45) == 0 && k > 12 &&
             strcmp(name + k - 12, ".ln_1.weight") == 0;
    }
    return n;
}

static int open_extra(work *w) {
    char path[PATH_MAX];
    if (weights_format_of(w->f->w) != WEIGHTS_FOLDER) return 0;
    if (snprintf(path, sizeof path, "%s/" EXTRA_FILE, w->o->input) >= (int)sizeof path || access(path, F_OK) < 0) return 0;
    return weights_open(path, &w->extra);
}

static int need_whole(const work *w) {
    int rc = 0;
    for (int n = 0; rc == 0 && n < NETWORKS; n++)
        if (w->c->from[n] >= 0 && (w->folder || n == NETWORK_CONTROL || weights_format_of(w->f->w) == WEIGHTS_FOLDER))
            rc = checkpoint_complete(w->c, (network)n);
    return rc;
}

/* Settings as the output will say them. */
static int settle(work *w, checkpoint_settings *s) {
    checkpoint_settings *own = &w->c->settings;
    if (w->o->prediction != MIEN_PREDICTION_AUTO)
        own->prediction = w->o->prediction == MIEN_PREDICTION_V ? PREDICT_V : PREDICT_EPSILON;
    if (!own->sample_size && own->family == 2 && own->prediction == PREDICT_V) own->sample_size = 96;   /* 768-v */
    w->layers = checkpoint_text_layers(w->c);
    w->skip = own->text_skip < w->layers ? own->text_skip : 0;
    *s = *own;
    s->text_skip = w->folder ? 0 : weights_format_of(w->f->w) == WEIGHTS_FOLDER ? extra_layers(w) : own->text_skip;
    bool whole = w->folder && checkpoint_has(w->c) & CHECKPOINT_UNET;
    if (!whole || own->prediction != PREDICT_UNKNOWN) return 0;
    return error_set(ERR_USAGE,
                     "%s: whether the model predicts the noise or v can't be told from the file, and a folder must say it: "
                     "give --prediction epsilon or v (SD 2.1-base: epsilon, 768-v: v)", w->o->input);
}

static int save(work *w, const checkpoint_settings *s) {
    for (int i = 0; i < LISTS; i++) {
        w->j.total += tensor_list_bytes(&w->list[i]);
        w->r->tensors += w->list[i].count;
    }
    w->r->bytes = w->j.total;
    if (w->folder) return convert_folder_save(w->c, w->list, s, w->layers - w->skip, w->o, w->vocabulary, &w->j);
    int rc = convert_output_metadata(&w->list[LIST_FILE], w->c, s);
    if (rc == 0 && w->o->to != MIEN_LAYOUT_CONTROL && w->c->from[NETWORK_TEXT] >= 0 && merges_are_lost(w->c))
        convert_log(&w->j, MIEN_LOG_WARNING,
                    "%s: the ids of its tokenizer don't follow from its merges, so the file can't carry it: copy vocab.json and merges.txt to "
                    "tokenizer/ beside the file", checkpoint_tokenizer(w->c));
    return rc < 0 ? rc : convert_output_save(&w->list[LIST_FILE], w->o->output, w->o->force, 0, &w->j);
}

static void tell_notes(const work *w) {
    for (size_t i = 0; i < weights_notes(w->f->w); i++) convert_log(&w->j, MIEN_LOG_INFO, "%s", weights_note(w->f->w, i));
    if (w->not_averaged)
        convert_log(&w->j, MIEN_LOG_WARNING, "%llu tensors of the UNet have no moving average and are its own",
                    (unsigned long long)w->not_averaged);
    if (w->r->ema && !w->o->ema)
        convert_log(&w->j, MIEN_LOG_WARNING,
                    "%llu tensors of a moving average (model_ema.) were left out; --ema takes them instead of the UNet's own",
                    (unsigned long long)w->r->ema);
}

static int run(work *w) {
    checkpoint_settings s;
    w->f = &w->c->file[0];
    w->folder = w->o->to == MIEN_LAYOUT_DIFFUSERS;
    if (w->o->to == MIEN_LAYOUT_CONTROL && w->f->best[NETWORK_CONTROL] < 0) {
        char list[128];
        model_file_list(w->f, list, sizeof list);
        return error_set(ERR_USAGE, "%s: there is no ControlNet in it, only: %s", w->o->input, list);
    }
    int rc = need_whole(w);
    if (rc == 0)
        rc = convert_check_shapes(&w->j, w->c,
                                  w->o->to == MIEN_LAYOUT_CONTROL ? CHECKPOINT_CONTROL : checkpoint_has(w->c), w->shapes);
    if (rc == 0) rc = open_extra(w);
    if (rc == 0) rc = settle(w, &s);
    if (rc == 0) rc = place_all(w);
    if (rc == 0) rc = save(w, &s);
    if (rc == 0) tell_notes(w);
    return rc;
}

int convert_run(const mien_convert_options *o, const char *vocabulary, checkpoint_shapes shapes, mien_convert_result *r) {
    *r = (mien_convert_result){ 0 };
    const char *const inputs[] = { o->input };
    if (access(o->input, F_OK) < 0) return error_errno("%s", o->input), ERR_USAGE;
    int rc = convert_output_check(o->output, o->to == MIEN_LAYOUT_DIFFUSERS, o->force, inputs, 1);
    if (rc < 0) return rc;
    work w = { .o = o, .vocabulary = vocabulary, .shapes = shapes, .r = r };
    convert_begin(&w.j, &o->hooks);
    rc = checkpoint_open(o->input, NULL, 0, &w.c);
    if (rc == 0) rc = run(&w);
    for (int i = 0; i < LISTS; i++) tensor_list_free(&w.list[i]);
    weights_close(w.extra);
    checkpoint_close(w.c);
    convert_end(&w.j);
    r->seconds = w.j.progress.seconds;
    return rc;
}
