/* SPDX-License-Identifier: Apache-2.0
 *
 * A new ControlNet for a base, as the original's tool_add_control.py makes it of cldm.ControlNet (crucible-ai/ControlNet, cldm/cldm.py):
 * what the UNet's encoder and middle have is copied, the rest is what PyTorch gives a new module. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "weights/convert.h"
#include "weights/convert_inside.h"

typedef struct {
    const mien_init_options *o;
    convert_job j;
    checkpoint *c;
    const model_file *f;
    tensor_list list;
    checkpoint_shapes shapes;
    mien_init_result *r;
    stored_type type;                /* of what is newly made */
    const char *prefix;
} work;

static bool begins(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

static bool is_shared(const char *canonical) { return begins(canonical, "time_embed.") || begins(canonical, "input_blocks.") || begins(canonical, "middle_block."); }

/* ---- copied ------------------------------------------------------------------------------------------------------------------ */

static int copy(work *w, const stored_tensor *t) {
    char name[2 * NAME_MOST];
    model_place at;
    bool known = model_file_place(w->f, t->name, &at);
    network net = known ? at.net : NETWORKS;
    if (w->o->layout == MIEN_LAYOUT_LDM && net != NETWORK_CONTROL && name_key_of(t->name) != KEY_EMA && !begins(t->name, "control_model.")) {
        tensor_item *i = tensor_list_add_copy(&w->list, t->name, w->f->w, t);
        if (!i) return ERR_MEMORY;
        if (known) i->type = convert_output_type(t->type, w->o->dtype);
        w->r->copied++;
    }
    if (net != NETWORK_UNET || !is_shared(at.canonical)) return 0;
    snprintf(name, sizeof name, "%s%s", w->prefix, at.canonical);
    tensor_item *i = tensor_list_add_copy(&w->list, name, w->f->w, t);
    if (!i) return ERR_MEMORY;
    i->type = convert_output_type(t->type, w->o->dtype);
    w->r->copied++;
    return 0;
}

/* ---- new ---------------------------------------------------------------------------------------------------------------------- */

static int make(work *w, const char *end, int rank, const size_t dim[], tensor_making how, double bound) {
    char name[NAME_MOST];
    snprintf(name, sizeof name, "%s%s", w->prefix, end);
    tensor_item *i = tensor_list_add(&w->list, name);
    if (!i) return ERR_MEMORY;
    i->type = w->type;
    i->rank = rank;
    memcpy(i->dim, dim, (size_t)rank * sizeof *dim);
    i->making = how;
    i->spread = bound;
    if (how == TENSOR_ZERO) w->r->zero++;
    else w->r->drawn++;
    convert_log(&w->j, MIEN_LOG_INFO, "newly made: %s (%s)", name, how == TENSOR_ZERO ? "zeros" : "drawn");
    return 0;
}

/* Conv2d's default: Kaiming uniform with a = sqrt(5), which is within 1 / sqrt(fan_in) for the weight; the bias within the same. */
static int conv(work *w, const char *place, size_t out, size_t in, size_t kernel, bool zero) {
    char name[NAME_MOST];
    double bound = 1 / sqrt((double)(in * kernel * kernel));
    tensor_making how = zero ? TENSOR_ZERO : TENSOR_UNIFORM;
    snprintf(name, sizeof name, "%s.weight", place);
    int rc = make(w, name, 4, (const size_t[]){ out, in, kernel, kernel }, how, bound);
    snprintf(name, sizeof name, "%s.bias", place);
    return rc < 0 ? rc : make(w, name, 1, &out, how, bound);
}

static int hint_network(work *w, size_t channels) {
    static const size_t width[] = { 3, 16, 16, 32, 32, 96, 96, 256 };
    char place[64];
    int rc = 0;
    for (int i = 0; rc == 0 && i < 8; i++) {
        snprintf(place, sizeof place, "input_hint_block.%d", 2 * i);
        rc = conv(w, place, i < 7 ? width[i + 1] : channels, width[i], 3, i == 7);
    }
    return rc;
}

/* Outputs of an encoder's block: of its residual block's last convolution, or of what it is instead. */
static size_t block_width(const work *w, int block) {
    static const char *const ends[] = { "0.out_layers.3.bias", "0.op.bias", "0.bias" };
    for (int i = 0; i < 3; i++) {
        const parameter *p = checkpoint_part(w->c, NETWORK_UNET, "input_blocks.%d.%s", block, ends[i]);
        if (p) return p->shape.dim[0];
    }
    return 0;
}

static int bridges(work *w, const name_ladder *l) {
    char place[64];
    int n = ladder_inputs(l), rc = 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        snprintf(place, sizeof place, "zero_convs.%d.0", i);
        rc = conv(w, place, block_width(w, i), block_width(w, i), 1, true);
    }
    const parameter *middle = checkpoint_part(w->c, NETWORK_UNET, "middle_block.2.out_layers.3.bias");
    return rc < 0 || !middle ? rc : conv(w, "middle_block_out.0", middle->shape.dim[0], middle->shape.dim[0], 1, true);
}

/* ---- the job -------------------------------------------------------------------------------------------------------------------- */

static int run(work *w) {
    bool whole = w->o->layout == MIEN_LAYOUT_LDM;
    int rc = checkpoint_open(w->o->base, NULL, CHECKPOINT_UNET, &w->c);
    if (rc == 0) rc = convert_check_shapes(&w->j, w->c, CHECKPOINT_UNET, w->shapes);
    if (rc < 0) return rc;
    w->f = &w->c->file[0];
    if (whole && weights_format_of(w->f->w) == WEIGHTS_FOLDER)
        return error_set(ERR_USAGE, "%s: is a folder: convert it to ldm first, or make the ControlNet alone", w->o->base);
    if (whole && !weights_find(w->f->w, "model.diffusion_model.out.2.weight"))
        return error_set(ERR_USAGE, "%s: its names are not those of a whole checkpoint: make the ControlNet alone", w->o->base);
    const parameter *first = checkpoint_part(w->c, NETWORK_UNET, "input_blocks.0.0.weight");
    const stored_tensor *stored = weights_find(w->f->w, first->stored_name);
    w->type = convert_output_type(stored->type, w->o->dtype);
    w->prefix = whole ? "control_model." : "";
    for (size_t i = 0; rc == 0 && i < weights_count(w->f->w); i++) rc = copy(w, weights_tensor(w->f->w, i));
    if (rc == 0) rc = hint_network(w, first->shape.dim[0]);
    if (rc == 0) rc = bridges(w, checkpoint_ladder(w->c, NETWORK_UNET));
    if (rc == 0) rc = convert_output_metadata(&w->list, w->c, &w->c->settings);
    if (rc < 0) return rc;
    w->j.total = w->r->bytes = tensor_list_bytes(&w->list);
    for (size_t i = 0; i < w->list.count; i++) {
        size_t n = 1;
        for (int d = 0; d < w->list.item[i].rank; d++) n *= w->list.item[i].dim[d];
        w->r->parameters += n;
    }
    return convert_output_save(&w->list, w->o->output, w->o->force, w->o->seed, &w->j);
}

int init_run(const mien_init_options *o, checkpoint_shapes shapes, mien_init_result *r) {
    *r = (mien_init_result){ 0 };
    const char *const inputs[] = { o->base };
    if (access(o->base, F_OK) < 0) return error_errno("%s", o->base), ERR_USAGE;
    int rc = convert_output_check(o->output, false, o->force, inputs, 1);
    if (rc < 0) return rc;
    work w = { .o = o, .shapes = shapes, .r = r };
    convert_begin(&w.j, &o->hooks);
    rc = run(&w);
    tensor_list_free(&w.list);
    checkpoint_close(w.c);
    convert_end(&w.j);
    r->seconds = w.j.progress.seconds;
    return rc;
}
