/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/checkpoint.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "weights/checkpoint_inside.h"
#include "weights/merges.h"

/* ---- parameters ------------------------------------------------------------------------------------------------------ */

static bool computed_type(stored_type from, nn_type *to) {
    *to = from == STORED_F32 ? NN_F32 : from == STORED_F16 ? NN_F16 : NN_BF16;
    return from == STORED_F32 || from == STORED_F16 || from == STORED_BF16;
}

/* The shape in which mien computes with it: a fused tensor's third, a token mix without its 1x1. */
static int shape_of(const stored_tensor *t, network net, const char *canonical, int parts, nn_shape *out) {
    int rank = t->rank;
    if (name_is_token_mix(net, canonical))
        while (rank > 2 && t->dim[rank - 1] == 1) rank--;
    if (rank < 1 || rank > NN_MAX_RANK) return error_set(ERR_FORMAT, "\"%s\" has %d dimensions", t->name, t->rank);
    *out = (nn_shape){ .rank = rank };
    for (int i = 0; i < rank; i++) out->dim[i] = t->dim[i];
    if (parts > 1 && out->dim[0] % (size_t)parts) return error_set(ERR_FORMAT, "\"%s\": %zu rows can't be split among q, k and v", t->name, out->dim[0]);
    out->dim[0] /= (size_t)parts;
    size_t count;
    return shape_count(*out, &count) ? 0 : error_set(ERR_FORMAT, "\"%s\" holds no numbers", t->name);
}

static int add(checkpoint *c, size_t room, const model_file *f, const stored_tensor *t, const model_place *at) {
    const int parts = at->parts;
    char name[NAME_MOST];
    for (int part = 0; part < parts; part++) {
        name_to_canonical(at->map, at->rest, part, name);
        if (c->count == room) return error_set(ERR_LIMIT, "%s: too many tensors", weights_path(f->w));
        parameter *p = &c->list[c->count];
        int rc = shape_of(t, at->net, name, parts, &p->shape);
        if (rc < 0) return error_prefix("%s", weights_path(f->w));
        if (!computed_type(t->type, &p->type)) {
            return error_set(ERR_UNSUPPORTED, "%s: \"%s\" is of type %s: mien computes with F32, F16 and BF16", weights_path(f->w), t->name, stored_type_name(t->type));
        }
        p->name = arena_printf(&c->memory, "%s.%s", network_roots[at->net], name);
        p->stored_name = t->name;
        p->data = t->data ? (const char *)t->data + t->bytes / (size_t)parts * (size_t)part : NULL;
        if (!p->name) return ERR_MEMORY;
        c->count++;
    }
    return 0;
}

/* Tensors stand in the order of their files. */
static int note_file(checkpoint *c, const model_file *f, network net, const stored_tensor *t) {
    const char *file = weights_file_of(f->w, t), ***read = &c->read[net];
    size_t *n = &c->n_read[net];
    if (!*read && !(*read = arena_new(&c->memory, weights_files(f->w), sizeof **read))) return ERR_MEMORY;
    if (*n == 0 || (*read)[*n - 1] != file) (*read)[(*n)++] = file;
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(((const parameter *)a)->name, ((const parameter *)b)->name); }

/* needs: what is not needed may be of any type and shape; it is left out then. */
static int collect(checkpoint *c, unsigned needs) {
    size_t room = 0;
    for (int k = 0; k < CHECKPOINT_FILES; k++)
        if (c->file[k].w) room += 3 * weights_count(c->file[k].w);
    c->list = calloc(room + 1, sizeof *c->list);
    if (!c->list) return error_memory(room * sizeof *c->list);
    for (int k = 0; k < CHECKPOINT_FILES; k++) {
        const model_file *f = &c->file[k];
        for (size_t i = 0; f->w && i < weights_count(f->w); i++) {
            const stored_tensor *t = weights_tensor(f->w, i);
            model_place at;
            if (!model_file_place(f, t->name, &at) || c->from[at.net] != k) continue;
            size_t before = c->count;
            int rc = note_file(c, f, at.net, t);
            if (rc == 0) rc = add(c, room, f, t, &at);
            if (rc == ERR_MEMORY || (rc < 0 && (needs & 1u << at.net))) return rc;
            if (rc < 0) c->count = before;
        }
    }
    qsort(c->list, c->count, sizeof *c->list, by_name);
    for (size_t i = 1; i < c->count; i++)
        if (strcmp(c->list[i].name, c->list[i - 1].name) == 0)
            return error_set(ERR_FORMAT, "\"%s\" and \"%s\" are both %s", c->list[i - 1].stored_name, c->list[i].stored_name, c->list[i].name);
    return 0;
}

size_t checkpoint_count(const checkpoint *c) { return c->count; }
const parameter *checkpoint_parameter(const checkpoint *c, size_t i) { return &c->list[i]; }

const parameter *checkpoint_find(const checkpoint *c, const char *name) {
    const parameter key = { .name = name };
    return bsearch(&key, c->list, c->count, sizeof *c->list, by_name);
}

bool name_text(char *out, size_t room, const char *format, va_list arguments) {
    int n = vsnprintf(out, room, format, arguments);
    bool fits = n >= 0 && (size_t)n < room;
    if (!fits) *out = 0;
    return fits;
}

const parameter *checkpoint_part(const checkpoint *c, network net, const char *format, ...) {
    char name[2 * NAME_MOST];
    int n = snprintf(name, sizeof name, "%s.", network_roots[net]);
    va_list args;
    va_start(args, format);
    bool fits = name_text(name + n, sizeof name - (size_t)n, format, args);
    va_end(args);
    return fits ? checkpoint_find(c, name) : NULL;
}

int checkpoint_text_layers(const checkpoint *c) {
    int n = 0;
    while (n < CHECKPOINT_MAX_LAYERS && checkpoint_part(c, NETWORK_TEXT, "encoder.layers.%d.mlp.fc1.weight", n)) n++;
    return n;
}

const name_ladder *checkpoint_ladder(const checkpoint *c, network net) {
    const model_file *f = &c->file[c->from[net]];
    return &f->map[f->best[net]].ladder;
}

/* ---- open ------------------------------------------------------------------------------------------------------------ */

_Static_assert(CHECKPOINT_UNET == 1 << NETWORK_UNET && CHECKPOINT_TEXT == 1 << NETWORK_TEXT && CHECKPOINT_VAE == 1 << NETWORK_VAE &&
               CHECKPOINT_CONTROL == 1 << NETWORK_CONTROL, "a bit a network");

unsigned checkpoint_has(const checkpoint *c) {
    unsigned has = 0;
    for (int n = 0; n < NETWORKS; n++) has |= c->from[n] >= 0 ? 1u << n : 0;
    return has;
}

static int open_file(checkpoint *c, int k, const char *path) {
    int rc = path ? model_file_open(path, &c->file[k]) : 0;
    if (rc == 0 && path && !(c->path[k] = arena_printf(&c->memory, "%s", path))) rc = ERR_MEMORY;
    return rc;
}

static void divide(checkpoint *c) {
    for (int n = 0; n < NETWORKS; n++) {
        int k = n == NETWORK_CONTROL && c->file[1].w;
        c->from[n] = c->file[k].w && c->file[k].best[n] >= 0 ? k : -1;
    }
}

static int check_needs(const checkpoint *c, unsigned needs) {
    for (int n = 0; n < NETWORKS; n++) {
        if (!(needs & 1u << n) || c->from[n] >= 0) continue;
        int k = n == NETWORK_CONTROL && c->file[1].w;
        char list[128];
        const model_file *f = &c->file[c->file[k].w ? k : 1];
        model_file_list(f, list, sizeof list);
        return error_set(ERR_USAGE, "%s: there is no %s in it, only: %s", weights_path(f->w), network_titles[n], list);
    }
    return 0;
}

/* Its tokenizer/, or the folder itself, or tokenizer/ beside a file. */
static int find_tokenizer(checkpoint *c) {
    static const char *const below[] = { "/tokenizer", "", "tokenizer" };
    for (int i = 0; i < 3 && c->path[0]; i++) {
        char folder[PATH_MAX], vocabulary[PATH_MAX + 16], merges[PATH_MAX + 16];
        const char *slash = strrchr(c->path[0], '/');
        int whole = i < 2 ? (int)strlen(c->path[0]) : slash ? (int)(slash + 1 - c->path[0]) : 0;
        if (snprintf(folder, sizeof folder, "%.*s%s", whole, c->path[0], below[i]) >= (int)sizeof folder) continue;
        snprintf(vocabulary, sizeof vocabulary, "%s/vocab.json", folder);
        snprintf(merges, sizeof merges, "%s/merges.txt", folder);
        if (access(vocabulary, R_OK) < 0 || access(merges, R_OK) < 0) continue;
        c->tokenizer = arena_printf(&c->memory, "%s", folder);
        return c->tokenizer ? 0 : ERR_MEMORY;
    }
    return 0;
}

/* Its own tokenizer is looked at once, for all who split texts with it, tell of it or carry it on. */
static int check_merges(checkpoint *c) {
    const char *merges = checkpoint_merges(c);
    if (!merges) return 0;
    const char *path = weights_path(c->file[c->from[NETWORK_TEXT]].w);
    const parameter *p = checkpoint_part(c, NETWORK_TEXT, "embeddings.token_embedding.weight");
    size_t rows = p && p->shape.rank == 2 ? p->shape.dim[0] : 0;
    int pad = c->settings.pad_token;
    if (merges_check(merges, strlen(merges), &c->own_tokens) < 0) return error_prefix("%s: its tokenizer", path);
    if (p && c->own_tokens > rows)
        return error_set(ERR_FORMAT, "%s: its tokenizer has %zu tokens, its text encoder knows %zu", path, c->own_tokens, rows);
    if (!p || (pad >= 0 && (size_t)pad < rows)) return 0;
    return error_set(ERR_FORMAT, "%s: prompts are filled up with token %d, its text encoder knows %zu", path, pad, rows);
}

int checkpoint_open(const char *base, const char *control, unsigned needs, checkpoint **out) {
    if (!base && !control) return error_set(ERR_USAGE, "neither a base nor a ControlNet was given");
    checkpoint *c = calloc(1, sizeof *c);
    if (!c) return error_memory(sizeof *c);
    int rc = open_file(c, 0, base);
    if (rc == 0) rc = open_file(c, 1, control);
    if (rc == 0) {
        divide(c);
        rc = check_needs(c, needs);
    }
    if (rc == 0) rc = collect(c, needs);
    if (rc == 0) rc = checkpoint_fits(c, needs);
    for (int n = 0; rc == 0 && n < NETWORKS; n++)
        if (needs & 1u << n) rc = checkpoint_complete(c, n);
    if (rc == 0) rc = find_tokenizer(c);
    if (rc == 0) rc = checkpoint_settle(c);
    if (rc == 0 && (!needs || needs & CHECKPOINT_TEXT)) rc = check_merges(c);
    if (rc < 0) checkpoint_close(c);
    else *out = c;
    return rc;
}

void checkpoint_close(checkpoint *c) {
    if (!c) return;
    for (int k = 0; k < CHECKPOINT_FILES; k++) model_file_close(&c->file[k]);
    free(c->list);
    arena_free(&c->memory);
    free(c);
}

const checkpoint_settings *checkpoint_settings_of(const checkpoint *c) { return &c->settings; }

void checkpoint_set_prediction(checkpoint *c, prediction_type p) {
    c->settings.prediction = p;
    c->settings.prediction_source = "set";
}

void checkpoint_set_vae_scale(checkpoint *c, double scale) { c->settings.vae_scale = scale; }
void checkpoint_set_size(checkpoint *c, int side) { c->settings.sample_size = side / 8; }

const char *checkpoint_tokenizer(const checkpoint *c) { return c->tokenizer; }

const char *checkpoint_merges(const checkpoint *c) {
    int k = c->from[NETWORK_TEXT];
    return k < 0 || !c->file[k].w ? NULL : weights_metadata(c->file[k].w, MERGES_KEY);
}

void checkpoint_drop(const checkpoint *c, const void *data, size_t bytes) {
    for (int k = 0; k < CHECKPOINT_FILES; k++)
        if (c->file[k].w) weights_drop(c->file[k].w, data, bytes);
}

/* ---- hash ------------------------------------------------------------------------------------------------------------ */

static network of_control(bool control) { return control ? NETWORK_CONTROL : NETWORK_UNET; }

size_t checkpoint_files(const checkpoint *c, bool control) { return c->n_read[of_control(control)]; }

const char *checkpoint_file(const checkpoint *c, bool control, size_t i) {
    assert(i < checkpoint_files(c, control));
    return c->read[of_control(control)][i];
}

int checkpoint_hash(const checkpoint *c, bool control, const volatile int *stop, char hex[65]) {
    size_t n = checkpoint_files(c, control);
    uint8_t digest[32];
    sha256_state all;
    int rc = 1;
    if (!n) return error_set(ERR_USAGE, "there is no %s", network_titles[of_control(control)]);
    sha256_begin(&all);
    for (size_t i = 0; i < n && rc == 1; i++) {
        const char *file = checkpoint_file(c, control, i);
        rc = file_hash_until(file, stop, hex);
        if (rc == 0) rc = error_set(ERR_IO, "%s: is not there any more", file);
        if (rc == 1) sha256_add(&all, hex, 64), sha256_add(&all, "\n", 1);
    }
    sha256_end(&all, digest);
    if (rc == 1 && n > 1) sha256_hex(digest, hex);
    return rc < 0 ? rc : 0;
}

void checkpoint_add_parameter(const checkpoint *c, const parameter *p, sha256_state *s) {
    char line[512], shape[64];
    int n = snprintf(line, sizeof line, "%.300s %s %s\n", p->name, nn_type_name(p->type), shape_text(p->shape, shape, sizeof shape));
    size_t bytes = shape_elements(p->shape) * nn_type_bytes(p->type);
    sha256_add(s, line, (size_t)n);
    sha256_add(s, p->data, bytes);
    checkpoint_drop(c, p->data, bytes);
}
