/* SPDX-License-Identifier: Apache-2.0
 *
 * diffusers' config files, from a checkpoint's shapes and settings. As diffusers 0.42 writes and transformers 5 reads them. */
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "weights/convert_inside.h"

static const char version[] = "0.32.0";   /* of diffusers, whose fields these are */

static size_t dim(const checkpoint *c, network net, const char *name, int i) {
    const parameter *p = checkpoint_part(c, net, "%s", name);
    return p && p->shape.rank > i ? p->shape.dim[i] : 0;
}

static void begin(text *t, const char *class) { text_printf(t, "{\n  \"_class_name\": \"%s\",\n  \"_diffusers_version\": \"%s\"", class, version); }
static void whole(text *t, const char *key, size_t n) { text_printf(t, ",\n  \"%s\": %zu", key, n); }
static void word(text *t, const char *key, const char *value) { text_printf(t, ",\n  \"%s\": \"%s\"", key, value); }
static void boolean(text *t, const char *key, bool value) { text_printf(t, ",\n  \"%s\": %s", key, value ? "true" : "false"); }

static void real(text *t, const char *key, double value) {
    char number[NUMBER_TEXT];
    number_shortest_f64(number, value);
    text_printf(t, ",\n  \"%s\": %s", key, number);
}

static int end(text *t) {
    text_add(t, "\n}\n");
    return text_check(t);
}

/* ---- UNet, ControlNet --------------------------------------------------------------------------------------------------------- */

static int cannot(const checkpoint *c, const char *what) {
    return error_set(ERR_UNSUPPORTED, "%s: %s, for which diffusers has no config", weights_path(c->file[c->file[0].w ? 0 : 1].w), what);
}

/* Widths of the levels: the outputs of their first blocks. */
static void level_widths(const checkpoint *c, network net, const name_ladder *l, size_t width[NAME_MAX_LEVELS]) {
    int block = 1;
    for (int i = 0; i < l->levels; block += l->layers[i++] + 1) {
        const parameter *p = checkpoint_part(c, net, "input_blocks.%d.0.out_layers.3.weight", block);
        width[i] = p ? p->shape.dim[0] : 0;
    }
}

static void block_types(text *t, const char *key, const name_ladder *l, bool up) {
    text_printf(t, ",\n  \"%s\": [", key);
    for (int i = 0; i < l->levels; i++)
        text_printf(t, "%s\n    \"%s%s\"", i ? "," : "", l->attention[up ? l->levels - 1 - i : i] ? "CrossAttn" : "", up ? "UpBlock2D" : "DownBlock2D");
    text_add(t, "\n  ]");
}

static void numbers(text *t, const char *key, const size_t *n, int count) {
    text_printf(t, ",\n  \"%s\": [", key);
    for (int i = 0; i < count; i++) text_printf(t, "%s\n    %zu", i ? "," : "", n[i]);
    text_add(t, "\n  ]");
}

/* The number of heads: one for all levels, or each level's own. */
static int heads(text *t, const checkpoint *c, const size_t *width, int levels) {
    const checkpoint_settings *s = &c->settings;
    size_t count[NAME_MAX_LEVELS];
    if (s->heads) return whole(t, "attention_head_dim", (size_t)s->heads), 0;
    for (int i = 0; i < levels; i++) {
        if (width[i] % (size_t)s->head_width) return cannot(c, "a level's width is no multiple of its heads' width");
        count[i] = width[i] / (size_t)s->head_width;
    }
    numbers(t, "attention_head_dim", count, levels);
    return 0;
}

static int depth(const checkpoint *c, network net) {
    int d = 1;
    while (d < 32 && checkpoint_part(c, net, "middle_block.1.transformer_blocks.%d.norm1.weight", d)) d++;
    return d;
}

static int hint_widths(text *t, const checkpoint *c, const name_ladder *l) {
    size_t width[NAME_MAX_LEVELS];
    int n = l->hints / 2;   /* conv_in, two a level, conv_out */
    if (l->hints != 2 * n || n < 1 || n > NAME_MAX_LEVELS) return cannot(c, "its hint network has an odd number of layers");
    for (int i = 0; i < n; i++) {
        const parameter *p = checkpoint_part(c, NETWORK_CONTROL, "input_hint_block.%d.bias", 4 * i);
        width[i] = p ? p->shape.dim[0] : 0;
    }
    numbers(t, "conditioning_embedding_out_channels", width, n);
    whole(t, "conditioning_channels", dim(c, NETWORK_CONTROL, "input_hint_block.0.weight", 1));
    word(t, "controlnet_conditioning_channel_order", "rgb");
    boolean(t, "global_pool_conditions", false);
    return 0;
}

int convert_config_unet(const checkpoint *c, network net, text *t) {
    const name_ladder *l = checkpoint_ladder(c, net);
    const parameter *mix = checkpoint_part(c, net, "middle_block.1.proj_in.weight");
    size_t width[NAME_MAX_LEVELS], layers[NAME_MAX_LEVELS];
    bool even = true, control = net == NETWORK_CONTROL;
    level_widths(c, net, l, width);
    for (int i = 0; i < l->levels; i++) layers[i] = (size_t)l->layers[i], even &= layers[i] == layers[0];
    if (l->levels < 1 || (control && !even)) return cannot(c, "its levels have different numbers of blocks");
    begin(t, control ? "ControlNetModel" : "UNet2DConditionModel");
    word(t, "act_fn", "silu");
    int rc = heads(t, c, width, l->levels);
    numbers(t, "block_out_channels", width, l->levels);
    whole(t, "cross_attention_dim", checkpoint_width(c, net));
    block_types(t, "down_block_types", l, false);
    whole(t, "downsample_padding", 1);
    boolean(t, "flip_sin_to_cos", true);
    whole(t, "freq_shift", 0);
    whole(t, "in_channels", dim(c, net, "input_blocks.0.0.weight", 1));
    if (even) whole(t, "layers_per_block", layers[0]);
    else numbers(t, "layers_per_block", layers, l->levels);
    whole(t, "mid_block_scale_factor", 1);
    real(t, "norm_eps", 1e-5);
    whole(t, "norm_num_groups", (size_t)c->settings.groups);
    if (depth(c, net) > 1) whole(t, "transformer_layers_per_block", (size_t)depth(c, net));
    /* SD 2.x and others whose mixes are stored as linears; the canonical shape is the same for both. */
    const stored_tensor *stored = mix ? weights_find(c->file[c->from[net]].w, mix->stored_name) : NULL;
    boolean(t, "use_linear_projection", stored && stored->rank == 2);
    if (control) {
        if (rc == 0) rc = hint_widths(t, c, l);
    } else {
        boolean(t, "center_input_sample", false);
        whole(t, "out_channels", dim(c, net, "out.2.weight", 0));
        whole(t, "sample_size", c->settings.sample_size ? (size_t)c->settings.sample_size : 64);
        block_types(t, "up_block_types", l, true);
    }
    return rc < 0 ? rc : end(t);
}

/* ---- VAE ------------------------------------------------------------------------------------------------------------------ */

static void repeated(text *t, const char *key, const char *what, int n) {
    text_printf(t, ",\n  \"%s\": [", key);
    for (int i = 0; i < n; i++) text_printf(t, "%s\n    \"%s\"", i ? "," : "", what);
    text_add(t, "\n  ]");
}

int convert_config_vae(const checkpoint *c, text *t) {
    const name_ladder *l = checkpoint_ladder(c, NETWORK_VAE);
    size_t width[NAME_MAX_LEVELS], blocks = 0;
    for (int i = 0; i < l->levels; i++) {
        const parameter *p = checkpoint_part(c, NETWORK_VAE, "encoder.down.%d.block.0.conv1.weight", i);
        if (!p) return cannot(c, "its VAE has no encoder");
        width[i] = p->shape.dim[0];
    }
    while (blocks < 64 && checkpoint_part(c, NETWORK_VAE, "encoder.down.0.block.%zu.conv1.weight", blocks)) blocks++;
    begin(t, "AutoencoderKL");
    word(t, "act_fn", "silu");
    numbers(t, "block_out_channels", width, l->levels);
    repeated(t, "down_block_types", "DownEncoderBlock2D", l->levels);
    whole(t, "in_channels", dim(c, NETWORK_VAE, "encoder.conv_in.weight", 1));
    whole(t, "latent_channels", dim(c, NETWORK_VAE, "post_quant_conv.weight", 0));
    whole(t, "layers_per_block", blocks);
    whole(t, "norm_num_groups", (size_t)(c->settings.vae_groups ? c->settings.vae_groups : c->settings.groups));
    whole(t, "out_channels", dim(c, NETWORK_VAE, "decoder.conv_out.weight", 0));
    whole(t, "sample_size", (size_t)(c->settings.sample_size ? c->settings.sample_size : 64) * 8);
    real(t, "scaling_factor", c->settings.vae_scale);
    repeated(t, "up_block_types", "UpDecoderBlock2D", l->levels);
    return end(t);
}

/* ---- the rest ----------------------------------------------------------------------------------------------------------------- */

/* layers: that are written. bos, eos and pad are those of the published folders; the tokenizer has the true ones. */
int convert_config_text(const checkpoint *c, int layers, text *t) {
    const checkpoint_settings *s = &c->settings;
    size_t width = checkpoint_width(c, NETWORK_TEXT);
    text_add(t, "{\n  \"architectures\": [\n    \"CLIPTextModel\"\n  ],\n  \"model_type\": \"clip_text_model\"");
    real(t, "attention_dropout", 0);
    whole(t, "bos_token_id", 0);
    whole(t, "eos_token_id", 2);
    word(t, "hidden_act", s->text_quick_gelu ? "quick_gelu" : "gelu");
    whole(t, "hidden_size", width);
    whole(t, "intermediate_size", dim(c, NETWORK_TEXT, "encoder.layers.0.mlp.fc1.weight", 0));
    real(t, "layer_norm_eps", 1e-5);
    whole(t, "max_position_embeddings", dim(c, NETWORK_TEXT, "embeddings.position_embedding.weight", 0));
    whole(t, "num_attention_heads", s->text_heads ? (size_t)s->text_heads : width / 64 ? width / 64 : 1);
    whole(t, "num_hidden_layers", (size_t)layers);
    whole(t, "pad_token_id", 1);
    whole(t, "projection_dim", s->family == 1 ? 768 : 512);
    whole(t, "vocab_size", dim(c, NETWORK_TEXT, "embeddings.token_embedding.weight", 0));
    return end(t);
}

int convert_config_scheduler(const checkpoint_settings *s, text *t) {
    static const char *const spacings[] = { [SPACING_LEADING] = "leading", [SPACING_LINSPACE] = "linspace", [SPACING_TRAILING] = "trailing" };
    begin(t, "DDIMScheduler");
    real(t, "beta_end", s->beta_end);
    word(t, "beta_schedule", "scaled_linear");
    real(t, "beta_start", s->beta_start);
    boolean(t, "clip_sample", false);
    whole(t, "num_train_timesteps", (size_t)s->train_steps);
    word(t, "prediction_type", s->prediction == PREDICT_V ? "v_prediction" : "epsilon");
    boolean(t, "set_alpha_to_one", false);
    whole(t, "steps_offset", s->steps_offset < 0 ? 1 : (size_t)s->steps_offset);
    /* Each scheduler has its own default, which a word here would override. */
    if (s->spacing != SPACING_DEFAULT) word(t, "timestep_spacing", spacings[s->spacing]);
    return end(t);
}

static void part(text *t, const char *name, bool there, const char *library, const char *class) {
    if (there) text_printf(t, ",\n  \"%s\": [\n    \"%s\",\n    \"%s\"\n  ]", name, library, class);
    else text_printf(t, ",\n  \"%s\": [\n    null,\n    null\n  ]", name);
}

int convert_config_index(const checkpoint *c, bool tokenizer, text *t) {
    unsigned has = checkpoint_has(c);
    begin(t, has & CHECKPOINT_CONTROL ? "StableDiffusionControlNetPipeline" : "StableDiffusionPipeline");
    if (has & CHECKPOINT_CONTROL) part(t, "controlnet", true, "diffusers", "ControlNetModel");
    part(t, "feature_extractor", false, NULL, NULL);
    boolean(t, "requires_safety_checker", false);
    part(t, "safety_checker", false, NULL, NULL);
    part(t, "scheduler", true, "diffusers", "DDIMScheduler");
    part(t, "text_encoder", has & CHECKPOINT_TEXT, "transformers", "CLIPTextModel");
    part(t, "tokenizer", tokenizer, "transformers", "CLIPTokenizer");
    part(t, "unet", has & CHECKPOINT_UNET, "diffusers", "UNet2DConditionModel");
    part(t, "vae", has & CHECKPOINT_VAE, "diffusers", "AutoencoderKL");
    return end(t);
}
