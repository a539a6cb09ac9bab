/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint whose tensors have hostile shapes: opened, configured, built into the graphs that a picture takes, and these planned by
 * counting. What a network promises about its results' shapes (whoever reads them sizes buffers by it) must hold, or it must fail.
 *
 * The input lists layers, one a line, so that a change of one number can stay consistent:
 *
 *     = a 32              letter a stands for 32 from here on
 *     P model.            names from here on begin with that
 *     N name c            norm            C name to from kernel   convolution        L name to from   linear    M name to from   without bias
 *     R place from to emb residual block  V place from to         the VAE's          A place c context          transformer
 *     T name n n n n      one tensor; the last of a name counts
 *
 * The file that is opened has these tensors' header; its numbers are a hole. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/clip.h"
#include "model/shapes.h"
#include "model/unet.h"
#include "model/vae.h"
#include "nn/plan.h"

enum { MOST = 700, NAME = 120, LINES = 200 };

typedef struct { char name[NAME]; int rank; uint64_t dim[4]; } entry;
typedef struct {
    entry list[MOST];
    int n;
    char prefix[48];
    uint64_t letter[26];
} listing;

/* ---- the list ---------------------------------------------------------------------------------------------------------------- */

static void tensor_of(listing *l, const char *place, const char *name, int rank, const uint64_t dim[]) {
    char whole[NAME];
    snprintf(whole, sizeof whole, "%s%s%s%s", l->prefix, place, *name ? "." : "", name);
    int i = 0;
    while (i < l->n && strcmp(l->list[i].name, whole) != 0) i++;
    if (i == MOST) return;
    if (i == l->n) l->n++;
    memcpy(l->list[i].name, whole, NAME);
    l->list[i].rank = rank;
    memcpy(l->list[i].dim, dim, (size_t)rank * sizeof *dim);
}

static void both(listing *l, const char *place, const char *name, int rank, uint64_t to, uint64_t from, uint64_t kernel) {
    char part[64];
    snprintf(part, sizeof part, "%s%sweight", name, *name ? "." : "");
    tensor_of(l, place, part, rank, (uint64_t[]){ to, from, kernel, kernel });
    snprintf(part, sizeof part, "%s%sbias", name, *name ? "." : "");
    tensor_of(l, place, part, 1, &to);
}
static void norm(listing *l, const char *place, const char *name, uint64_t c) { both(l, place, name, 1, c, 0, 0); }
static void conv(listing *l, const char *place, const char *name, uint64_t to, uint64_t from, uint64_t k) { both(l, place, name, 4, to, from, k); }
static void dense(listing *l, const char *place, const char *name, uint64_t to, uint64_t from) { both(l, place, name, 2, to, from, 0); }
static void matrix(listing *l, const char *place, const char *name, uint64_t to, uint64_t from) { tensor_of(l, place, name, 2, (uint64_t[]){ to, from }); }

static void residual(listing *l, const char *place, uint64_t from, uint64_t to, uint64_t emb) {
    norm(l, place, "in_layers.0", from);
    conv(l, place, "in_layers.2", to, from, 3);
    dense(l, place, "emb_layers.1", to, emb);
    norm(l, place, "out_layers.0", to);
    conv(l, place, "out_layers.3", to, to, 3);
    if (from != to) conv(l, place, "skip_connection", to, from, 1);
}

static void vae_residual(listing *l, const char *place, uint64_t from, uint64_t to) {
    norm(l, place, "norm1", from);
    conv(l, place, "conv1", to, from, 3);
    norm(l, place, "norm2", to);
    conv(l, place, "conv2", to, to, 3);
    if (from != to) conv(l, place, "nin_shortcut", to, from, 1);
}

static void transformer(listing *l, const char *place, uint64_t c, uint64_t context) {
    static const char *const norms[] = { "norm1", "norm2", "norm3" }, *const parts[] = { "to_q", "to_k", "to_v" };
    char at[NAME], name[32];
    norm(l, place, "norm", c);
    dense(l, place, "proj_in", c, c);
    dense(l, place, "proj_out", c, c);
    snprintf(at, sizeof at, "%.80s.transformer_blocks.0", place);
    for (int i = 0; i < 3; i++) norm(l, at, norms[i], c);
    for (int a = 1; a <= 2; a++) {
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "attn%d.%s.weight", a, parts[i]);
            matrix(l, at, name, c, a == 2 && i > 0 ? context : c);
        }
        snprintf(name, sizeof name, "attn%d.to_out.0", a);
        dense(l, at, name, c, c);
    }
    dense(l, at, "ff.net.0.proj", 8 * c, c);
    dense(l, at, "ff.net.2", c, 4 * c);
}

static uint64_t number(const listing *l, const char *word) {
    return *word >= 'a' && *word <= 'z' ? l->letter[*word - 'a'] : strtoull(word, NULL, 10);
}

static void read_line(listing *l, char *line) {
    char *word[6] = { "", "", "", "", "", "" };
    uint64_t n[6] = { 0 };
    int count = 0;
    for (char *w; count < 6 && (w = strsep(&line, " "));) word[count++] = w;
    for (int i = 2; i < count; i++) n[i] = number(l, word[i]);
    switch (word[0][0]) {
    case '=': if (*word[1] >= 'a' && *word[1] <= 'z') l->letter[*word[1] - 'a'] = n[2]; break;
    case 'P': snprintf(l->prefix, sizeof l->prefix, "%s", word[1]); break;
    case 'N': norm(l, word[1], "", n[2]); break;
    case 'C': conv(l, word[1], "", n[2], n[3], n[4]); break;
    case 'L': dense(l, word[1], "", n[2], n[3]); break;
    case 'M': matrix(l, word[1], "weight", n[2], n[3]); break;
    case 'R': residual(l, word[1], n[2], n[3], n[4]); break;
    case 'V': vae_residual(l, word[1], n[2], n[3]); break;
    case 'A': transformer(l, word[1], n[2], n[3]); break;
    case 'T': if (count > 2) tensor_of(l, word[1], "", count - 2, n + 2); break;
    default: break;
    }
}

/* ---- the file ---------------------------------------------------------------------------------------------------------------- */

static bool plain(const char *name) {
    for (; *name; name++)
        if ((unsigned char)*name <= ' ' || (unsigned char)*name > '~' || *name == '"' || *name == '\\') return false;
    return true;
}

/* F16 of the list's shapes; its descriptor, or -1: no file could be so large. */
static int write_file(const listing *l) {
    char *text = NULL;
    size_t size = 0;
    uint64_t at = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) abort();
    fputs("{", f);
    bool fits = l->n > 0;
    for (int i = 0; i < l->n && fits; i++) {
        const entry *e = &l->list[i];
        uint64_t bytes = 2, end;
        fits = plain(e->name);
        for (int d = 0; d < e->rank; d++) fits = fits && !__builtin_mul_overflow(bytes, e->dim[d], &bytes);
        if (!fits || __builtin_add_overflow(at, bytes, &end) || end >> 46) { fits = false; break; }
        fprintf(f, "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[", i ? "," : "", e->name);
        for (int d = 0; d < e->rank; d++) fprintf(f, "%s%" PRIu64, d ? "," : "", e->dim[d]);
        fprintf(f, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, end);
        at = end;
    }
    fputs("}", f);
    while (ftell(f) % 8) fputc(' ', f);
    fclose(f);
    uint64_t length = size;
    int fd = fits ? memfd_create("model", 0) : -1;
    if (fd >= 0 && (write(fd, &length, 8) != 8 || write(fd, text, size) != (ssize_t)size || ftruncate(fd, (off_t)(8 + size + at)) < 0)) close(fd), fd = -1;
    free(text);
    return fd;
}

/* ---- its graphs -------------------------------------------------------------------------------------------------------------- */

enum { H = 3, W = 2 };
static const size_t pictures = 2;

static void must(const graph *g, const tensor *t, nn_shape shape) {
    if (graph_check(g) == 0 && (!t || !shape_equal(t->shape, shape))) abort();
}

static void count(graph *g) {
    static device *d;
    if (!d && !(d = device_cpu(CPU_BEST))) abort();
    params *p = params_new_counting();
    if (graph_check(g) == 0 && p) plan_free(plan_new(g, d, p, &(plan_options){ .threads = 2 }));
    params_free(p);
    graph_free(g);
}

static void try_text(const checkpoint *c) {
    clip_config f;
    if (clip_configure(c, &f) < 0) return;
    graph *g = graph_new();
    tensor *y = graph_output(g, clip_build(g, c, &f, graph_input(g, "ids", NN_I32, shape2(1, 77)), NN_F32));
    must(g, y, shape3(1, 77, f.width));
    count(g);
}

static void try_vae(const checkpoint *c) {
    vae_config f;
    if (vae_configure(c, &f) < 0) return;
    size_t factor = (size_t)f.factor;
    graph *g = graph_new();
    must(g, graph_output(g, vae_decode_build(g, c, &f, graph_input(g, "latent", NN_F32, shape4(1, H, W, 4)))), shape4(1, factor * H, factor * W, 3));
    count(g);
    g = graph_new();
    must(g, graph_output(g, vae_encode_build(g, c, &f, graph_input(g, "picture", NN_F32, shape4(1, factor * H, factor * W, 3)))), shape4(1, H, W, 8));
    count(g);
}

/* Keys and values as one graph makes and another takes them. */
static void try_context(const checkpoint *c, const unet_config *f) {
    graph *made = graph_new(), *taken = graph_new();
    cross_context a, b;
    unet_context_build(made, c, f, graph_input(made, "context", NN_F32, shape3(pictures, 77, f->context_width)), &a);
    unet_context_inputs(taken, c, f, pictures, 77, NN_F32, &b);
    if (graph_check(made) == 0 && graph_check(taken) == 0) {
        if (a.n != b.n) abort();
        for (int i = 0; i < a.n; i++) {
            must(made, graph_output(made, a.k[i]), b.k[i]->shape);
            must(made, graph_output(made, a.v[i]), b.v[i]->shape);
        }
    }
    graph_free(taken);
    count(made);
}

static void try_hint(const checkpoint *c, const unet_config *f) {
    graph *g = graph_new();
    must(g, graph_output(g, controlnet_hint_build(g, c, f, graph_input(g, "map", NN_F32, shape4(1, 8 * H, 8 * W, 3)))), shape4(1, H, W, f->model_channels));
    count(g);
}

static void try_step(const checkpoint *c, const unet_config *unet, const unet_config *control) {
    graph *g = graph_new();
    tensor *x = graph_input(g, "x", NN_F32, shape4(1, H, W, unet->in_channels)), *time = graph_input(g, "time", NN_F32, shape1(1)), *scale[UNET_MAX_SKIPS + 1];
    cross_context kv, control_kv;
    control_outputs added;
    unet_context_inputs(g, c, unet, pictures, 77, NN_F32, &kv);
    if (control) {
        tensor *hint = graph_input(g, "hint", NN_F32, shape4(1, H, W, control->model_channels));
        unet_context_inputs(g, c, control, pictures, 77, NN_F32, &control_kv);
        controlnet_build(g, c, control, x, hint, time, &control_kv, &added);
        for (int i = 0; i < added.n; i++) scale[i] = graph_input(g, "scale", NN_F32, shape1(pictures));
    }
    must(g, graph_output(g, unet_build(g, c, unet, x, time, &kv, control ? &added : NULL, control ? scale : NULL, false)), shape4(pictures, H, W, unet->out_channels));
    count(g);
}

static void try_all(const checkpoint *c) {
    unet_config unet, control;
    shapes_check(c, checkpoint_has(c));
    bool has_unet = unet_configure(c, "unet", &unet) == 0, has_control = unet_configure(c, "control", &control) == 0;
    try_text(c);
    try_vae(c);
    if (has_unet) try_context(c, &unet), try_step(c, &unet, NULL);
    if (has_control) try_context(c, &control), try_hint(c, &control);
    if (has_unet && has_control) try_step(c, &unet, &control);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1), *rest = text, path[64];
    listing *l = calloc(1, sizeof *l);
    if (!text || !l) abort();
    memcpy(text, data, size);
    text[size] = 0;
    for (int i = 0; rest && i < LINES; i++) read_line(l, strsep(&rest, "\n"));
    int fd = write_file(l);
    free(text);
    free(l);
    if (fd < 0) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    /* What is not whole may still be opened by those who need none of it. */
    for (unsigned needs = 15;; needs = 0) {
        checkpoint *c;
        if (checkpoint_open(path, NULL, needs, &c) == 0) {
            try_all(c);
            checkpoint_close(c);
            break;
        }
        if (!needs) break;
    }
    close(fd);
    return 0;
}
