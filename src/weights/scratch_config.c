/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields as diffusers 0.42 and transformers 5 write them. */
#include "weights/scratch_config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "weights/checkpoint_inside.h"

enum { MOST_WIDTH = 1 << 14, MOST_LAYERS = 8, MOST_DEPTH = 16 };
enum { MOST_TEXT_LAYERS = 64, MOST_VOCABULARY = 1 << 20, LEAST_POSITIONS = 77, MOST_POSITIONS = 4096 };
enum { MOST_BLOCKS = 32, MOST_CROSS = 64 };                     /* of model/unet.h: skips, cross-attentions */
enum { MOST_JSON = 1 << 20, JSON_MEMORY = 16 << 20 };
enum { CLIP_VOCABULARY = 49408, VAE_LEVELS = 4 };               /* pictures are eight times a latent's side, everywhere */

/* ---- fields that there is one way to compute ---------------------------------------------------------------------------- */

typedef enum { EITHER, NUMBER, FLAG, WORD } kind;
/* EITHER: it may hold anything. The others, if they are there and not null: this value. */
typedef struct { const char *key; kind kind; double number; const char *word; } rule;

static const rule unet_rules[] = {
    { "block_out_channels", EITHER, 0, NULL }, { "layers_per_block", EITHER, 0, NULL },
    { "down_block_types", EITHER, 0, NULL }, { "up_block_types", EITHER, 0, NULL },
    { "cross_attention_dim", EITHER, 0, NULL }, { "attention_head_dim", EITHER, 0, NULL },
    { "num_attention_heads", EITHER, 0, NULL }, { "norm_num_groups", EITHER, 0, NULL },
    { "sample_size", EITHER, 0, NULL }, { "use_linear_projection", EITHER, 0, NULL },
    { "transformer_layers_per_block", EITHER, 0, NULL }, { "upcast_attention", EITHER, 0, NULL },
    { "addition_embed_type_num_heads", EITHER, 0, NULL }, { "in_channels", NUMBER, 4, NULL },
    { "out_channels", NUMBER, 4, NULL }, { "freq_shift", NUMBER, 0, NULL }, { "flip_sin_to_cos", FLAG, 1, NULL },
    { "center_input_sample", FLAG, 0, NULL }, { "mid_block_type", WORD, 0, "UNetMidBlock2DCrossAttn" },
    { "only_cross_attention", FLAG, 0, NULL }, { "downsample_padding", NUMBER, 1, NULL },
    { "mid_block_scale_factor", NUMBER, 1, NULL }, { "dropout", NUMBER, 0, NULL }, { "act_fn", WORD, 0, "silu" },
    { "norm_eps", NUMBER, 1e-5, NULL }, { "dual_cross_attention", FLAG, 0, NULL },
    { "resnet_time_scale_shift", WORD, 0, "default" }, { "resnet_skip_time_act", FLAG, 0, NULL },
    { "resnet_out_scale_factor", NUMBER, 1, NULL }, { "time_embedding_type", WORD, 0, "positional" },
    { "conv_in_kernel", NUMBER, 3, NULL }, { "conv_out_kernel", NUMBER, 3, NULL },
    { "attention_type", WORD, 0, "default" }, { "class_embeddings_concat", FLAG, 0, NULL },
    { "mid_block_only_cross_attention", FLAG, 0, NULL },
};

static const rule vae_rules[] = {
    { "block_out_channels", EITHER, 0, NULL }, { "layers_per_block", EITHER, 0, NULL },
    { "down_block_types", EITHER, 0, NULL }, { "up_block_types", EITHER, 0, NULL },
    { "norm_num_groups", EITHER, 0, NULL }, { "scaling_factor", EITHER, 0, NULL }, { "sample_size", EITHER, 0, NULL },
    { "force_upcast", EITHER, 0, NULL }, { "in_channels", NUMBER, 3, NULL }, { "out_channels", NUMBER, 3, NULL },
    { "latent_channels", NUMBER, 4, NULL }, { "act_fn", WORD, 0, "silu" }, { "use_quant_conv", FLAG, 1, NULL },
    { "use_post_quant_conv", FLAG, 1, NULL }, { "mid_block_add_attention", FLAG, 1, NULL },
};

/* transformers writes many fields more, of which none changes what is computed. */
static const rule text_rules[] = {
    { "model_type", WORD, 0, "clip_text_model" }, { "layer_norm_eps", NUMBER, 1e-5, NULL },
    { "attention_dropout", NUMBER, 0, NULL },
};
#define RULES(r) r, sizeof r / sizeof *r

static bool there(const json_at *object, const char *key, json_at *out) {
    return json_field(object, key, out) && !json_is_nothing(out);
}

static int keep_rule(const json_at *root, const rule *r) {
    json_at at;
    double number;
    bool flag;
    const char *word;
    if (r->kind == EITHER || !there(root, r->key, &at)) return 0;
    int rc = r->kind == NUMBER ? json_need_number(&at, -1e9, 1e9, &number)
             : r->kind == FLAG ? json_need_bool(&at, &flag)
                               : json_need_string(&at, &word);
    if (rc < 0) return rc;
    if (r->kind == NUMBER && (number < r->number || number > r->number))
        return json_error(&at, ERR_UNSUPPORTED, "it is %g: mien computes with %g", number, r->number);
    if (r->kind == FLAG && flag != (r->number > 0))
        return json_error(&at, ERR_UNSUPPORTED, "it is %s: mien computes with %s", flag ? "true" : "false",
                          flag ? "false" : "true");
    if (r->kind == WORD && strcmp(word, r->word) != 0)
        return json_error(&at, ERR_UNSUPPORTED, "it is \"%.100s\": mien computes with \"%s\"", word, r->word);
    return 0;
}

typedef struct { const rule *rule; size_t n; } rules;

/* A field of no rule would change the model, or is a slip of the pen; without a value, or with "_", it says nothing. */
static int known_field(void *context, const json_at *field) {
    const rules *r = context;
    bool flag = true;
    if (field->key[0] == '_' || json_is_nothing(field)) return 0;
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(field->key, r->rule[i].key) == 0) return 0;
    if (json_need_bool(field, &flag) == 0 && !flag) return 0;
    return json_error(field, ERR_UNSUPPORTED, "mien does not know this field");
}

static int keep_rules(const json_at *root, const rule *list, size_t n, bool all_known) {
    int rc = json_need_object(root);
    for (size_t i = 0; rc == 0 && i < n; i++) rc = keep_rule(root, &list[i]);
    rules r = { list, n };
    return rc < 0 || !all_known ? rc : json_each_field(root, known_field, &r);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

static int whole(const json_at *at, long long least, long long most, size_t *out) {
    long long n = 0;
    int rc = json_need_integer(at, least, most, &n);
    *out = (size_t)n;
    return rc;
}

static int need(const json_at *root, const char *key, long long least, long long most, size_t *out) {
    json_at at;
    int rc = json_need_field(root, key, &at);
    return rc < 0 ? rc : whole(&at, least, most, out);
}

/* The value stays if it is not there. */
static int maybe(const json_at *root, const char *key, long long least, long long most, size_t *out) {
    json_at at;
    return there(root, key, &at) ? whole(&at, least, most, out) : 0;
}

/* Widths of the levels, each a multiple of the norms' groups. */
static int read_widths(const json_at *root, int groups, int least, size_t width[], int *levels) {
    json_at at;
    size_t n;
    int rc = json_need_field(root, "block_out_channels", &at);
    if (rc == 0) rc = json_need_array(&at, (size_t)least, least == VAE_LEVELS ? VAE_LEVELS : NAME_MAX_LEVELS, &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        json_at item = json_item(&at, i);
        rc = whole(&item, 2, MOST_WIDTH, &width[i]);
        if (rc == 0 && width[i] % (size_t)groups)
            rc = json_error(&item, ERR_FORMAT, "%zu channels can't be split into norm_num_groups = %d groups", width[i], groups);
    }
    if (rc == 0) *levels = (int)n;
    return rc;
}

/* The kind of each level's block, one of two words; out may be NULL. Decoders count from the other end. */
static int read_blocks(const json_at *root, const char *key, bool needed, int levels, const char *plain,
                       const char *other, bool out[]) {
    json_at at;
    size_t n;
    if (!there(root, key, &at) && !needed) return 0;
    int rc = json_need_field(root, key, &at);
    if (rc == 0) rc = json_need_array(&at, (size_t)levels, (size_t)levels, &n);
    for (int i = 0; rc == 0 && i < levels; i++) {
        json_at item = json_item(&at, (size_t)i);
        const char *word;
        rc = json_need_string(&item, &word);
        if (rc < 0) break;
        if (out) out[i] = other && strcmp(word, other) == 0;
        if (strcmp(word, plain) != 0 && !(other && strcmp(word, other) == 0))
            rc = json_error(&item, ERR_UNSUPPORTED, "it is \"%.100s\": mien knows %s%s%s", word, plain,
                            other ? " and " : "", other ? other : "");
    }
    return rc;
}

/* ---- the UNet ----------------------------------------------------------------------------------------------------------- */

/* One number for all levels, or one each. */
static int read_layers(const json_at *root, scratch_unet *u) {
    json_at at;
    size_t n = 0;
    int rc = json_need_field(root, "layers_per_block", &at);
    if (rc < 0) return rc;
    bool list = json_need_array(&at, (size_t)u->levels, (size_t)u->levels, &n) == 0;
    for (int i = 0; rc == 0 && i < u->levels; i++) {
        json_at item = list ? json_item(&at, (size_t)i) : at;
        rc = whole(&item, 1, MOST_LAYERS, &n);
        u->layers[i] = (int)n;
    }
    return rc;
}

static int check_up_blocks(const json_at *root, const scratch_unet *u) {
    bool up[NAME_MAX_LEVELS];
    json_at at;
    if (!there(root, "up_block_types", &at)) return 0;
    int rc = read_blocks(root, "up_block_types", true, u->levels, "UpBlock2D", "CrossAttnUpBlock2D", up);
    for (int i = 0; rc == 0 && i < u->levels; i++)
        if (up[i] != u->attention[u->levels - 1 - i])
            rc = json_error(&at, ERR_UNSUPPORTED, "it has attention on other levels than down_block_types, read backward");
    return rc;
}

/* Attention's heads have a place in a file as one number for all levels, or one width. */
static int check_heads(const json_at *root, const scratch_unet *u, const checkpoint_settings *s) {
    for (int i = 0; i < u->levels; i++) {
        if (!u->attention[i] && i + 1 < u->levels) continue;   /* the middle is as wide as the last level */
        size_t by = (size_t)(s->heads ? s->heads : s->head_width);
        if (u->width[i] % by)
            return json_error(root, ERR_FORMAT, "a level of %zu channels can't be split into %s%zu", u->width[i],
                              s->heads ? "heads: " : "heads of ", by);
    }
    return 0;
}

static int check_counts(const json_at *root, const scratch_unet *u) {
    int blocks = 0, cross = u->depth;
    for (int i = 0; i < u->levels; i++) {
        blocks += u->layers[i] + 1;
        cross += u->attention[i] ? (2 * u->layers[i] + 1) * u->depth : 0;
    }
    if (blocks > MOST_BLOCKS) return json_error(root, ERR_LIMIT, "an encoder of %d blocks: %d are possible", blocks, MOST_BLOCKS);
    return cross > MOST_CROSS ? json_error(root, ERR_LIMIT, "%d transformer blocks: %d are possible", cross, MOST_CROSS) : 0;
}

int scratch_config_unet(const json_at *root, scratch_config *out) {
    scratch_unet *u = &out->unet;
    json_at linear;
    size_t depth = 1;
    int rc = keep_rules(root, RULES(unet_rules), true);
    out->settings.heads = 8, out->settings.head_width = 0;   /* diffusers' default */
    if (rc == 0) rc = settings_from_unet(&out->settings, root);
    if (rc == 0) rc = read_widths(root, out->settings.groups, 1, u->width, &u->levels);
    if (rc == 0) rc = read_blocks(root, "down_block_types", true, u->levels, "DownBlock2D", "CrossAttnDownBlock2D", u->attention);
    if (rc == 0) rc = check_up_blocks(root, u);
    if (rc == 0) rc = read_layers(root, u);
    if (rc == 0) rc = need(root, "cross_attention_dim", 1, MOST_WIDTH, &u->context);
    if (rc == 0) rc = maybe(root, "transformer_layers_per_block", 1, MOST_DEPTH, &depth);
    if (rc == 0 && there(root, "use_linear_projection", &linear)) rc = json_need_bool(&linear, &u->linear);
    u->depth = (int)depth;
    if (rc == 0 && u->width[0] % 2)
        rc = json_error(root, ERR_FORMAT, "block_out_channels begins with %zu: an even number is needed", u->width[0]);
    if (rc == 0) rc = check_heads(root, u, &out->settings);
    if (rc == 0) rc = check_counts(root, u);
    out->has_unet = rc == 0;
    return rc;
}

/* ---- VAE and text encoder ----------------------------------------------------------------------------------------------- */

int scratch_config_vae(const json_at *root, scratch_config *out) {
    scratch_vae *v = &out->vae;
    checkpoint_settings *s = &out->settings;
    size_t layers;
    json_at at;
    int rc = keep_rules(root, RULES(vae_rules), true);
    if (rc == 0) rc = settings_from_vae(s, root);
    if (rc == 0) rc = json_need_field(root, "block_out_channels", &at);
    if (rc == 0) rc = json_need_array(&at, 1, NAME_MAX_LEVELS, &layers);
    if (rc == 0 && layers != VAE_LEVELS)
        rc = json_error(&at, ERR_UNSUPPORTED,
                        "%zu levels: %d are needed, since a latent's side is an eighth of the picture's everywhere",
                        layers, VAE_LEVELS);
    if (rc == 0) rc = read_widths(root, s->vae_groups ? s->vae_groups : s->groups, VAE_LEVELS, v->width, &v->levels);
    if (rc == 0) rc = read_blocks(root, "down_block_types", false, VAE_LEVELS, "DownEncoderBlock2D", NULL, NULL);
    if (rc == 0) rc = read_blocks(root, "up_block_types", false, VAE_LEVELS, "UpDecoderBlock2D", NULL, NULL);
    if (rc == 0) rc = need(root, "layers_per_block", 1, MOST_LAYERS, &layers);
    v->layers = (int)layers;
    out->has_vae = rc == 0;
    return rc;
}

/* Defaults are transformers': it may leave out what is equal to them. */
int scratch_config_text(const json_at *root, scratch_config *out) {
    scratch_text *t = &out->text;
    json_at at;
    size_t layers = 12;
    *t = (scratch_text){ .width = 512, .mlp = 2048, .vocabulary = CLIP_VOCABULARY, .positions = 77, .factor = 1 };
    int rc = keep_rules(root, RULES(text_rules), false);
    if (rc == 0) rc = maybe(root, "hidden_size", 1, MOST_WIDTH, &t->width);
    if (rc == 0) rc = maybe(root, "intermediate_size", 1, MOST_WIDTH, &t->mlp);
    if (rc == 0) rc = maybe(root, "num_hidden_layers", 1, MOST_TEXT_LAYERS, &layers);
    if (rc == 0) rc = maybe(root, "vocab_size", 2, MOST_VOCABULARY, &t->vocabulary);
    if (rc == 0) rc = maybe(root, "max_position_embeddings", LEAST_POSITIONS, MOST_POSITIONS, &t->positions);
    if (rc == 0 && there(root, "initializer_factor", &at)) rc = json_need_number(&at, 1e-6, 1e6, &t->factor);
    out->settings.text_heads = 8;
    out->settings.text_quick_gelu = true;
    if (rc == 0) rc = settings_from_text(&out->settings, t->width, root);
    size_t heads = out->settings.text_heads ? (size_t)out->settings.text_heads : t->width / 64;
    if (rc == 0 && t->width % heads)
        rc = json_error(root, ERR_FORMAT, "a hidden_size of %zu can't be split into %zu heads", t->width, heads);
    t->layers = (int)layers;
    out->has_text = rc == 0;
    return rc;
}

/* ---- together ----------------------------------------------------------------------------------------------------------- */

int scratch_config_check(const char *folder, scratch_config *c) {
    if (!c->has_unet && !c->has_vae && !c->has_text)
        return error_set(ERR_USAGE, "%s: there is no unet/config.json, vae/config.json or text_encoder/config.json in it", folder);
    if (c->has_unet && c->has_text && c->unet.context != c->text.width)
        return error_set(ERR_FORMAT,
                         "%s: cross_attention_dim of the UNet is %zu, hidden_size of the text encoder %zu: they must be equal",
                         folder, c->unet.context, c->text.width);
    size_t context = c->has_unet ? c->unet.context : c->has_text ? c->text.width : 768;
    c->settings.family = context == 1024 ? 2 : 1;
    /* The end of a text is the last token in CLIP's file format, and fills it up; but for SD 2.x. */
    size_t vocabulary = c->has_text ? c->text.vocabulary : CLIP_VOCABULARY;
    c->settings.pad_token = c->settings.family == 2 && vocabulary == CLIP_VOCABULARY ? 0 : (int)vocabulary - 1;
    return 0;
}

static int read_document(const char *folder, const char *name, json **out) {
    char path[PATH_MAX];
    uint8_t *data;
    size_t size;
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || n >= (int)sizeof path) return error_set(ERR_LIMIT, "%.200s...: too long a path", folder);
    *out = NULL;
    if (access(path, F_OK) < 0) return 0;
    int rc = file_load(path, MOST_JSON, &data, &size);
    if (rc < 0) return rc;
    rc = json_parse(path, data, size, JSON_MEMORY, out);
    free(data);
    return rc;
}

static int read_scheduler(const json_at *root, scratch_config *c) { return settings_from_scheduler(&c->settings, root); }

int scratch_config_read(const char *folder, scratch_config *out) {
    static const struct { const char *name; int (*read)(const json_at *root, scratch_config *out); } parts[] = {
        { "unet/config.json", scratch_config_unet },
        { "vae/config.json", scratch_config_vae },
        { "text_encoder/config.json", scratch_config_text },
        { "scheduler/scheduler_config.json", read_scheduler },
    };
    int rc = 0;
    *out = (scratch_config){ .settings = checkpoint_family_settings(1) };
    for (int i = 0; rc == 0 && i < 4; i++) {
        json *document;
        rc = read_document(folder, parts[i].name, &document);
        if (rc < 0 || !document) continue;
        json_at root = json_root(document);
        rc = parts[i].read(&root, out);
        json_free(document);
    }
    return rc < 0 ? rc : scratch_config_check(folder, out);
}
