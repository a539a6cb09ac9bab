/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/model_file.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

const char *const network_titles[NETWORKS] = { "UNet", "text encoder", "VAE", "ControlNet" };

int model_file_source(const model_file *f, const char *stored, const char **rest) { return sources_find(&f->sources, stored, rest); }

bool model_file_place(const model_file *f, const char *stored, model_place *out) {
    int s = model_file_source(f, stored, &out->rest);
    if (s < 0 || f->best[f->map[s].net] != s) return false;
    out->map = &f->map[s];
    out->source = &f->sources.source[s];
    out->net = f->map[s].net;
    out->parts = name_to_canonical(out->map, out->rest, 0, out->canonical);
    return out->parts > 0;
}

/* Of two sources of one network the one with more of its parameters: files carry odd copies, of position_ids above all. */
static void choose(model_file *f) {
    size_t count[NAME_SOURCES] = { 0 };
    char unused[NAME_MOST];
    for (size_t i = 0; i < weights_count(f->w); i++) {
        const char *rest;
        int s = model_file_source(f, weights_tensor(f->w, i)->name, &rest);
        if (s >= 0 && name_to_canonical(&f->map[s], rest, 0, unused)) count[s]++;
    }
    for (int n = 0; n < NETWORKS; n++) f->best[n] = -1;
    for (int s = 0; s < f->sources.n; s++) {
        int *best = &f->best[f->map[s].net];
        if (count[s] && (*best < 0 || count[s] > count[*best])) *best = s;
    }
}

static bool any_begins(const weights *w, const char *with) {
    for (size_t i = 0; i < weights_count(w); i++)
        if (strncmp(weights_tensor(w, i)->name, with, strlen(with)) == 0) return true;
    return false;
}

/* Why there is nothing in a file that mien knows. */
static int nothing_there(const weights *w) {
    const char *path = weights_path(w);
    if (!weights_count(w)) return error_set(ERR_FORMAT, "%s: there are no tensors in it", path);
    if (any_begins(w, "lora_") || any_begins(w, "lycoris_")) return error_set(ERR_UNSUPPORTED, "%s: is a LoRA: mien reads whole models only", path);
    return error_set(ERR_UNSUPPORTED, "%s: holds no UNet, ControlNet, VAE or text encoder of Stable Diffusion that mien knows (its first tensor is \"%s\")", path,
                     weights_tensor(w, 0)->name);
}

static int look(model_file *f) {
    const char *path = weights_path(f->w), *rest;
    size_t n = weights_count(f->w);
    for (size_t i = 0; i < n; i++) sources_add(&f->sources, weights_tensor(f->w, i)->name);
    if (any_begins(f->w, "conditioner.embedders.") || any_begins(f->w, "text_encoder_2/") || any_begins(f->w, "add_embedding."))
        return error_set(ERR_UNSUPPORTED, "%s: is an SDXL model: mien reads Stable Diffusion 1.x and 2.x", path);
    if (f->sources.difference)
        return error_set(ERR_UNSUPPORTED, "%s: holds the difference between a ControlNet and its base, not the ControlNet: take the whole one", path);
    for (int s = 0; s < f->sources.n; s++) f->map[s] = (name_map){ .net = f->sources.source[s].net, .style = f->sources.source[s].style };
    for (size_t i = 0; i < n; i++) {
        int s = model_file_source(f, weights_tensor(f->w, i)->name, &rest);
        if (s >= 0) ladder_add(&f->map[s].ladder, f->map[s].net, f->map[s].style, rest);
    }
    for (int s = 0; s < f->sources.n; s++) ladder_end(&f->map[s].ladder, f->map[s].net, f->map[s].style);
    choose(f);
    for (int net = 0; net < NETWORKS; net++)
        if (f->best[net] >= 0) return 0;
    return nothing_there(f->w);
}

int model_file_open(const char *path, model_file *out) {
    *out = (model_file){ 0 };
    int rc = weights_open(path, &out->w);
    if (rc < 0) return rc;
    rc = look(out);
    if (rc < 0) model_file_close(out);
    return rc;
}

void model_file_close(model_file *f) {
    weights_close(f->w);
    *f = (model_file){ 0 };
}

void model_file_list(const model_file *f, char *out, size_t size) {
    size_t at = 0;
    *out = 0;
    for (int n = 0; n < NETWORKS && at < size; n++)
        if (f->best[n] >= 0) at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", network_titles[n]);
}

bool model_file_name(const model_file *f, network net, const char *canonical, char *out, size_t size) {
    char name[NAME_MOST];
    int part, s = f->best[net];
    if (s < 0 || !name_from_canonical(&f->map[s], canonical, name, &part)) return false;
    int n = snprintf(out, size, "%s%s", f->sources.source[s].prefix, name);
    return n >= 0 && (size_t)n < size;
}
