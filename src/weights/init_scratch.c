/* SPDX-License-Identifier: Apache-2.0
 *
 * A base of which nothing exists but its config files: tensors under the original's names, drawn as its code leaves
 * them before training (crucible-ai/ControlNet: ldm/modules/diffusionmodules/openaimodel.py, model.py,
 * ldm/modules/attention.py), that is as PyTorch draws linears and convolutions, with zero_module's zeros where a
 * residual branch ends; the text encoder as transformers 5 draws a CLIPTextModel. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "weights/convert.h"
#include "weights/convert_inside.h"
#include "weights/merges.h"
#include "weights/scratch_config.h"

enum { CLIPS = 49408 };              /* tokens of CLIP's vocabulary */

typedef struct {
    const mien_init_options *o;
    scratch_config config;
    convert_job j;
    tensor_list list;
    mien_init_result *r;
    const char *prefix;              /* of the network that is listed */
    int rc;                          /* the first failure; nothing is added after it */
} work;

/* ---- layers ------------------------------------------------------------------------------------------------------------- */

static void add(work *w, const char *place, const char *end, int rank, const size_t dim[], tensor_making how, double spread) {
    char name[2 * NAME_MOST];
    if (w->rc < 0) return;
    snprintf(name, sizeof name, "%s%s%s", w->prefix, place, end);
    tensor_item *i = tensor_list_add(&w->list, name);
    if (!i) {
        w->rc = ERR_MEMORY;
        return;
    }
    i->type = convert_output_type(STORED_F32, w->o->dtype);
    i->rank = rank;
    memcpy(i->dim, dim, (size_t)rank * sizeof *dim);
    i->making = how;
    i->spread = spread;
    w->r->zero += how == TENSOR_ZERO;
    w->r->ones += how == TENSOR_ONE;
    w->r->drawn += how == TENSOR_UNIFORM || how == TENSOR_NORMAL;
    convert_log(&w->j, MIEN_LOG_INFO, "newly made: %s (%s)", name,
                how == TENSOR_ZERO ? "zeros" : how == TENSOR_ONE ? "ones" : "drawn");
}

static void norm(work *w, const char *place, size_t channels) {
    add(w, place, ".weight", 1, &channels, TENSOR_ONE, 0);
    add(w, place, ".bias", 1, &channels, TENSOR_ZERO, 0);
}

/* kernel 0: a linear. Kaiming uniform with a = sqrt(5) is within 1 / sqrt(fan_in), as is the bias. */
static void layer(work *w, const char *place, size_t out, size_t in, size_t kernel, bool bias, bool zero) {
    size_t fan_in = kernel ? in * kernel * kernel : in;
    tensor_making how = zero ? TENSOR_ZERO : TENSOR_UNIFORM;
    double bound = 1 / sqrt((double)fan_in);
    add(w, place, ".weight", kernel ? 4 : 2, (const size_t[]){ out, in, kernel, kernel }, how, bound);
    if (bias) add(w, place, ".bias", 1, &out, how, bound);
}

static void conv(work *w, const char *place, size_t out, size_t in, size_t kernel) {
    layer(w, place, out, in, kernel, true, false);
}
static void dense(work *w, const char *place, size_t out, size_t in) { layer(w, place, out, in, 0, true, false); }

#define AT(...) (snprintf(at, sizeof at, __VA_ARGS__), at)

/* ---- the UNet ----------------------------------------------------------------------------------------------------------- */

static void residual(work *w, const char *place, size_t in, size_t out) {
    char at[NAME_MOST];
    norm(w, AT("%s.in_layers.0", place), in);
    conv(w, AT("%s.in_layers.2", place), out, in, 3);
    dense(w, AT("%s.emb_layers.1", place), out, 4 * w->config.unet.width[0]);
    norm(w, AT("%s.out_layers.0", place), out);
    layer(w, AT("%s.out_layers.3", place), out, out, 3, true, true);
    if (in != out) conv(w, AT("%s.skip_connection", place), out, in, 1);
}

static void transformer(work *w, const char *place, size_t width) {
    const scratch_unet *u = &w->config.unet;
    size_t kernel = u->linear ? 0 : 1;
    char at[NAME_MOST], block[NAME_MOST / 2];
    norm(w, AT("%s.norm", place), width);
    layer(w, AT("%s.proj_in", place), width, width, kernel, true, false);
    for (int d = 0; d < u->depth; d++) {
        snprintf(block, sizeof block, "%s.transformer_blocks.%d", place, d);
        for (int k = 1; k <= 2; k++) {
            for (int i = 0; i < 3; i++)
                layer(w, AT("%s.attn%d.to_%c", block, k, "qkv"[i]), width, k == 2 && i > 0 ? u->context : width, 0, false, false);
            dense(w, AT("%s.attn%d.to_out.0", block, k), width, width);
        }
        dense(w, AT("%s.ff.net.0.proj", block), 8 * width, width);
        dense(w, AT("%s.ff.net.2", block), width, 4 * width);
        for (int k = 1; k <= 3; k++) norm(w, AT("%s.norm%d", block, k), width);
    }
    layer(w, AT("%s.proj_out", place), width, width, kernel, true, true);
}

static void unet(work *w) {
    const scratch_unet *u = &w->config.unet;
    size_t widths[1 + NAME_MAX_BLOCKS], c = u->width[0];
    char at[NAME_MOST];
    int n = 0, o = 0;
    w->prefix = "model.diffusion_model.";
    dense(w, "time_embed.0", 4 * c, c);
    dense(w, "time_embed.2", 4 * c, 4 * c);
    conv(w, "input_blocks.0.0", c, 4, 3);
    widths[n++] = c;
    for (int l = 0; l < u->levels; l++) {
        for (int b = 0; b < u->layers[l]; b++, c = u->width[l], widths[n++] = c) {
            residual(w, AT("input_blocks.%d.0", n), c, u->width[l]);
            if (u->attention[l]) transformer(w, AT("input_blocks.%d.1", n), u->width[l]);
        }
        if (l + 1 == u->levels) break;
        conv(w, AT("input_blocks.%d.0.op", n), c, c, 3);
        widths[n++] = c;
    }
    residual(w, "middle_block.0", c, c);
    transformer(w, "middle_block.1", c);
    residual(w, "middle_block.2", c, c);
    for (int l = u->levels - 1; l >= 0; l--)
        for (int b = 0; b <= u->layers[l]; b++, o++) {
            residual(w, AT("output_blocks.%d.0", o), c + widths[--n], u->width[l]);
            c = u->width[l];
            if (u->attention[l]) transformer(w, AT("output_blocks.%d.1", o), c);
            if (l && b == u->layers[l]) conv(w, AT("output_blocks.%d.%d.conv", o, u->attention[l] ? 2 : 1), c, c, 3);
        }
    norm(w, "out.0", c);
    layer(w, "out.2", 4, c, 3, true, true);
}

/* ---- the VAE ------------------------------------------------------------------------------------------------------------ */

static void vae_residual(work *w, const char *place, size_t in, size_t out) {
    char at[NAME_MOST];
    norm(w, AT("%s.norm1", place), in);
    conv(w, AT("%s.conv1", place), out, in, 3);
    norm(w, AT("%s.norm2", place), out);
    conv(w, AT("%s.conv2", place), out, out, 3);
    if (in != out) conv(w, AT("%s.nin_shortcut", place), out, in, 1);
}

static void vae_middle(work *w, const char *side, size_t c) {
    static const char *const parts[] = { "q", "k", "v", "proj_out" };
    char at[NAME_MOST];
    vae_residual(w, AT("%s.mid.block_1", side), c, c);
    norm(w, AT("%s.mid.attn_1.norm", side), c);
    for (int i = 0; i < 4; i++) conv(w, AT("%s.mid.attn_1.%s", side, parts[i]), c, c, 1);
    vae_residual(w, AT("%s.mid.block_2", side), c, c);
}

static void vae(work *w) {
    const scratch_vae *v = &w->config.vae;
    size_t c = v->width[0];
    char at[NAME_MOST];
    w->prefix = "first_stage_model.";
    conv(w, "encoder.conv_in", c, 3, 3);
    for (int l = 0; l < v->levels; l++) {
        for (int b = 0; b < v->layers; b++, c = v->width[l]) vae_residual(w, AT("encoder.down.%d.block.%d", l, b), c, v->width[l]);
        if (l + 1 < v->levels) conv(w, AT("encoder.down.%d.downsample.conv", l), c, c, 3);
    }
    vae_middle(w, "encoder", c);
    norm(w, "encoder.norm_out", c);
    conv(w, "encoder.conv_out", 8, c, 3);
    conv(w, "quant_conv", 8, 8, 1);
    conv(w, "post_quant_conv", 4, 4, 1);
    conv(w, "decoder.conv_in", c, 4, 3);
    vae_middle(w, "decoder", c);
    for (int l = v->levels - 1; l >= 0; l--) {
        for (int b = 0; b <= v->layers; b++, c = v->width[l]) vae_residual(w, AT("decoder.up.%d.block.%d", l, b), c, v->width[l]);
        if (l) conv(w, AT("decoder.up.%d.upsample.conv", l), c, c, 3);
    }
    norm(w, "decoder.norm_out", c);
    conv(w, "decoder.conv_out", 3, c, 3);
}

/* ---- the text encoder --------------------------------------------------------------------------------------------------- */

static void normal(work *w, const char *place, size_t out, size_t in, double deviation, bool bias) {
    add(w, place, ".weight", 2, (const size_t[]){ out, in }, TENSOR_NORMAL, deviation);
    if (bias) add(w, place, ".bias", 1, &out, TENSOR_ZERO, 0);
}

static void text_encoder(work *w) {
    const scratch_text *t = &w->config.text;
    double out = t->factor / sqrt((double)t->width), in = out / sqrt(2.0 * t->layers);
    char at[NAME_MOST];
    w->prefix = "cond_stage_model.transformer.text_model.";
    normal(w, "embeddings.token_embedding", t->vocabulary, t->width, 0.02 * t->factor, false);
    normal(w, "embeddings.position_embedding", t->positions, t->width, 0.02 * t->factor, false);
    for (int l = 0; l < t->layers; l++) {
        for (int i = 0; i < 3; i++) normal(w, AT("encoder.layers.%d.self_attn.%c_proj", l, "qkv"[i]), t->width, t->width, in, true);
        normal(w, AT("encoder.layers.%d.self_attn.out_proj", l), t->width, t->width, out, true);
        norm(w, AT("encoder.layers.%d.layer_norm1", l), t->width);
        normal(w, AT("encoder.layers.%d.mlp.fc1", l), t->mlp, t->width, out / sqrt(2), true);
        normal(w, AT("encoder.layers.%d.mlp.fc2", l), t->width, t->mlp, in, true);
        norm(w, AT("encoder.layers.%d.layer_norm2", l), t->width);
    }
    norm(w, "final_layer_norm", t->width);
}

/* ---- the job ------------------------------------------------------------------------------------------------------------ */

static void count(work *w) {
    w->j.total = w->r->bytes = tensor_list_bytes(&w->list);
    for (size_t i = 0; i < w->list.count; i++) {
        size_t n = 1;
        for (int d = 0; d < w->list.item[i].rank; d++) n *= w->list.item[i].dim[d];
        w->r->parameters += n;
    }
}

/* Ids beyond the text encoder's table would only be met when it is trained, perhaps hours of a VAE's training later. */
static int refuse_small(const scratch_config *c, const char *folder) {
    return error_set(ERR_FORMAT,
                     "%s/text_encoder/config.json: vocab_size is %zu, but there is no tokenizer/ in this folder, and CLIP's has %d tokens: "
                     "--captions FILE learns a tokenizer of its own from the captions of a prompt.jsonl", folder, c->text.vocabulary, CLIPS);
}

/* What the captions say, or the folder's own; a text encoder has no more tokens than its tokenizer. */
static int tokenizer(work *w, init_learn learn) {
    scratch_config *c = &w->config;
    text merges = { 0 };
    char folder[PATH_MAX];
    int n = snprintf(folder, sizeof folder, "%s/tokenizer/vocab.json", w->o->scratch), rc = 0;
    if (w->o->captions && !c->has_text)
        return error_set(ERR_USAGE, "%s: captions are for a text encoder, and there is no text_encoder/config.json in it",
                         w->o->scratch);
    if (w->o->captions) rc = learn(w->o->captions, c->text.vocabulary, &w->o->hooks, &merges);
    else if (c->has_text && n > 0 && n < (int)sizeof folder && access(folder, F_OK) == 0) {
        *strrchr(folder, '/') = 0;
        rc = merges_of_folder(folder, &merges);
        if (rc == MERGES_DO_NOT_FOLLOW)
            convert_log(&w->j, MIEN_LOG_WARNING,
                        "%s: its ids don't follow from its merges, so the model can't carry it: keep it beside the model, "
                        "in a folder of that name", folder);
        else if (rc == MERGES_ARE_CLIPS && c->text.vocabulary < CLIPS)
            rc = error_set(ERR_FORMAT, "%s: is CLIP's tokenizer, whose %d tokens are more than the text encoder's vocab_size, %zu",
                           folder, (int)CLIPS, c->text.vocabulary);
    } else if (c->has_text && c->text.vocabulary < CLIPS) rc = refuse_small(c, w->o->scratch);
    if (rc >= 0 && merges.data) {
        size_t tokens = 0;
        rc = merges_check(merges.data, merges.size, &tokens);
        if (rc < 0) error_prefix("%s", w->o->captions ? w->o->captions : folder);
        else if (tokens > c->text.vocabulary)
            rc = error_set(ERR_FORMAT, "%s: has %zu tokens, vocab_size of the text encoder is %zu", folder, tokens,
                           c->text.vocabulary);
        c->text.vocabulary = tokens;
        c->settings.pad_token = (int)tokens - 1;
        if (rc >= 0) rc = tensor_list_metadata(&w->list, MERGES_KEY, merges.data);
        w->r->tokens = tokens;
    }
    text_free(&merges);
    return rc < 0 ? rc : 0;
}

static int run(work *w, init_learn learn) {
    w->rc = scratch_config_read(w->o->scratch, &w->config);
    if (w->rc == 0) w->rc = tokenizer(w, learn);
    if (w->rc < 0) return w->rc;
    const scratch_config *c = &w->config;
    const checkpoint of_family = { .settings.family = c->settings.family };
    if (c->has_unet) unet(w);
    if (c->has_vae) vae(w);
    if (c->has_text) text_encoder(w);
    if (w->rc == 0) w->rc = convert_output_metadata(&w->list, &of_family, &c->settings);
    if (w->rc < 0) return w->rc;
    count(w);
    return convert_output_save(&w->list, w->o->output, w->o->force, w->o->seed, &w->j);
}

int init_scratch_run(const mien_init_options *o, init_learn learn, mien_init_result *r) {
    *r = (mien_init_result){ 0 };
    const char *const inputs[] = { o->scratch };
    if (access(o->scratch, F_OK) < 0) return error_errno("%s", o->scratch), ERR_USAGE;
    int rc = convert_output_check(o->output, false, o->force, inputs, 1);
    if (rc < 0) return rc;
    work w = { .o = o, .r = r };
    convert_begin(&w.j, &o->hooks);
    rc = run(&w, learn);
    tensor_list_free(&w.list);
    convert_end(&w.j);
    r->seconds = w.j.progress.seconds;
    return rc;
}
