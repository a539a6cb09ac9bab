/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tensors do not tell: from the config files of a folder, else from metadata, else by family. */
#include <string.h>

#include "base/error.h"
#include "weights/checkpoint_inside.h"
#include "weights/settings_metadata.h"

/* ---- config files ------------------------------------------------------------------------------------------------------- */

/* A config's object; false if there is none. A folder of one network has it at its top. */
static bool config(const model_file *f, const char *path, json_at *out) {
    if (!f->w || weights_format_of(f->w) != WEIGHTS_FOLDER) return false;
    const json *doc = weights_json(f->w, path);
    if (!doc) doc = weights_json(f->w, strchr(path, '/') + 1);
    if (doc) *out = json_root(doc);
    return doc;
}

/* Fields that are null or missing leave the value as it is. */
static bool there(const json_at *object, const char *key, json_at *out) { return json_field(object, key, out) && !json_is_nothing(out); }

static int number(const json_at *object, const char *key, double least, double most, double *out) {
    json_at at;
    return there(object, key, &at) ? json_need_number(&at, least, most, out) : 0;
}

static int integer(const json_at *object, const char *key, long long least, long long most, int *out) {
    json_at at;
    long long n = *out;
    int rc = there(object, key, &at) ? json_need_integer(&at, least, most, &n) : 0;
    *out = (int)n;
    return rc;
}

static int string(const json_at *object, const char *key, const char **out) {
    json_at at;
    return there(object, key, &at) ? json_need_string(&at, out) : 0;
}

/* diffusers' attention_head_dim holds the NUMBER of heads: one for all levels, or one a level. */
static int read_heads(checkpoint_settings *s, const json_at *root) {
    json_at heads, widths;
    size_t n, m;
    long long count, width, first_count = 0, first_width = 0;
    bool same_count = true, same_width = true;
    if (!there(root, "num_attention_heads", &heads) && !there(root, "attention_head_dim", &heads)) return 0;
    if (json_need_array(&heads, 1, NAME_MAX_LEVELS, &n) < 0) {
        int rc = json_need_integer(&heads, 1, 4096, &count);
        if (rc == 0) s->heads = (int)count, s->head_width = 0;
        return rc;
    }
    int rc = json_need_field(root, "block_out_channels", &widths);
    if (rc == 0) rc = json_need_array(&widths, n, n, &m);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        json_at h = json_item(&heads, i), w = json_item(&widths, i);
        rc = json_need_integer(&h, 1, 4096, &count);
        if (rc == 0) rc = json_need_integer(&w, 1, 1 << 20, &width);
        if (rc < 0) break;
        if (i == 0) first_count = count, first_width = width / count;
        same_count &= count == first_count;
        same_width &= width / count == first_width && width % count == 0;
    }
    if (rc < 0) return rc;
    if (!same_count && !same_width) return json_error(&heads, ERR_UNSUPPORTED, "neither one number of heads for all levels, nor heads of one width");
    s->heads = same_width ? 0 : (int)first_count;
    s->head_width = same_width ? (int)first_width : 0;
    return 0;
}

int settings_from_unet(checkpoint_settings *s, const json_at *root) {
    int rc = read_heads(s, root);
    if (rc == 0) rc = integer(root, "norm_num_groups", 1, 4096, &s->groups);
    if (rc == 0) rc = integer(root, "sample_size", 1, 4096, &s->sample_size);
    return rc;
}

int settings_from_text(checkpoint_settings *s, size_t width, const json_at *root) {
    const char *activation = s->text_quick_gelu ? "quick_gelu" : "gelu";
    int rc = string(root, "hidden_act", &activation);
    if (rc == 0) rc = integer(root, "num_attention_heads", 1, 4096, &s->text_heads);
    if (rc < 0) return rc;
    s->text_quick_gelu = strcmp(activation, "quick_gelu") == 0;
    if ((size_t)s->text_heads * 64 == width) s->text_heads = 0;
    if (s->text_quick_gelu || strcmp(activation, "gelu") == 0) return 0;
    return json_error(root, ERR_UNSUPPORTED, "hidden_act is \"%s\": mien knows quick_gelu and gelu", activation);
}

/* Its groups are its own. */
int settings_from_vae(checkpoint_settings *s, const json_at *root) {
    int groups = 32, rc = integer(root, "norm_num_groups", 1, 4096, &groups);
    s->vae_groups = groups == s->groups ? 0 : groups;
    return rc < 0 ? rc : number(root, "scaling_factor", 1e-6, 1e6, &s->vae_scale);
}

static int parse_prediction(const char *word, prediction_type *out) {
    if (strcmp(word, "epsilon") == 0) *out = PREDICT_EPSILON;
    else if (strcmp(word, "v_prediction") == 0 || strcmp(word, "v") == 0) *out = PREDICT_V;
    else return ERR_UNSUPPORTED;
    return 0;
}

static int flag(const json_at *object, const char *key, bool *out) {
    json_at at;
    return there(object, key, &at) ? json_need_bool(&at, out) : 0;
}

/* Of diffusers' samplers DDIM alone heeds these two. Clipped latents are nobody's wish: its plain pipeline takes clip_sample for a slip of old files and
 * puts it right, its ControlNet pipeline does not (0.42.1). set_alpha_to_one changes the last step, and next to nothing. */
static int read_ddim(checkpoint_settings *s, const json_at *root) {
    bool clip = false, to_one = false;
    int rc = flag(root, "clip_sample", &clip);
    if (rc == 0) rc = flag(root, "set_alpha_to_one", &to_one);
    s->ddim_unlike = clip && to_one ? "clip_sample and set_alpha_to_one" : clip ? "clip_sample" : to_one ? "set_alpha_to_one" : NULL;
    return rc;
}

/* What would make another picture by any sampler, or most, and is not known here. */
static int refuse_unknown(const json_at *root) {
    static const char *const flags[] = { "rescale_betas_zero_snr", "thresholding" };
    json_at at;
    for (int i = 0; i < 2; i++) {
        bool on = false;
        int rc = flag(root, flags[i], &on);
        if (rc < 0) return rc;
        if (on) return json_error(root, ERR_UNSUPPORTED, "%s is not for mien: it would make another picture", flags[i]);
    }
    return there(root, "trained_betas", &at) ? json_error(root, ERR_UNSUPPORTED, "trained_betas is not for mien: it would make another picture") : 0;
}

static int read_spacing(const json_at *root, const char *word, timestep_spacing *out) {
    if (strcmp(word, "leading") == 0) *out = SPACING_LEADING;
    else if (strcmp(word, "linspace") == 0) *out = SPACING_LINSPACE;
    else if (strcmp(word, "trailing") == 0) *out = SPACING_TRAILING;
    else return json_error(root, ERR_UNSUPPORTED, "timestep_spacing is \"%s\": mien knows leading, linspace and trailing", word);
    return 0;
}

int settings_from_scheduler(checkpoint_settings *s, const json_at *root) {
    const char *prediction = NULL, *spacing = NULL, *schedule = "scaled_linear";
    int rc = json_need_object(root);
    if (rc == 0) rc = number(root, "beta_start", 1e-9, 1, &s->beta_start);
    if (rc == 0) rc = number(root, "beta_end", 1e-9, 1, &s->beta_end);
    if (rc == 0) rc = integer(root, "num_train_timesteps", 1, 100000, &s->train_steps);
    if (rc == 0) rc = integer(root, "steps_offset", 0, 1000, &s->steps_offset);
    if (rc == 0) rc = string(root, "prediction_type", &prediction);
    if (rc == 0) rc = string(root, "timestep_spacing", &spacing);
    if (rc == 0) rc = string(root, "beta_schedule", &schedule);
    if (rc < 0) return rc;
    if (strcmp(schedule, "scaled_linear") != 0) return json_error(root, ERR_UNSUPPORTED, "beta_schedule is \"%s\": mien knows scaled_linear", schedule);
    rc = refuse_unknown(root);
    if (rc == 0) rc = read_ddim(s, root);
    if (rc == 0 && spacing) rc = read_spacing(root, spacing, &s->spacing);
    if (rc < 0) return rc;
    if (prediction && parse_prediction(prediction, &s->prediction) < 0)
        return json_error(root, ERR_UNSUPPORTED, "prediction_type is \"%s\": mien knows epsilon and v_prediction", prediction);
    /* Schedulers that do not say are of a time when all predicted the noise. */
    if (!prediction) s->prediction = PREDICT_EPSILON;
    s->prediction_source = "scheduler_config.json";
    return 0;
}

/* The end of a text is CLIP's last token, whatever its vocabulary. */
static int last_token(const checkpoint *c) {
    const parameter *table = c->from[NETWORK_TEXT] < 0 ? NULL : checkpoint_part(c, NETWORK_TEXT, "embeddings.token_embedding.weight");
    return table && table->shape.rank == 2 && table->shape.dim[0] - 1 < 49407 ? (int)table->shape.dim[0] - 1 : 49407;
}

/* "!" (id 0) or "<|endoftext|>", as text or as {"content": text}. */
static int read_padding(const checkpoint *c, checkpoint_settings *s, const json_at *root) {
    json_at pad;
    const char *word = "";
    if (!there(root, "pad_token", &pad)) return 0;
    int rc = 0;
    if (json_has_text(&pad)) rc = json_need_string(&pad, &word);
    else if ((rc = json_need_object(&pad)) == 0) rc = string(&pad, "content", &word);
    if (rc < 0) return rc;
    if (strcmp(word, "!") == 0) s->pad_token = 0;
    if (strcmp(word, "<|endoftext|>") == 0) s->pad_token = last_token(c);
    return 0;
}

static int read_folder(checkpoint *c, checkpoint_settings *s) {
    json_at root;
    int rc = 0, unet = c->from[NETWORK_UNET], control = c->from[NETWORK_CONTROL], text = c->from[NETWORK_TEXT], vae = c->from[NETWORK_VAE];
    if (unet >= 0 && config(&c->file[unet], "unet/config.json", &root)) rc = settings_from_unet(s, &root);
    else if (control >= 0 && config(&c->file[control], "controlnet/config.json", &root)) rc = settings_from_unet(s, &root);
    if (rc == 0 && text >= 0 && config(&c->file[text], "text_encoder/config.json", &root)) rc = settings_from_text(s, checkpoint_width(c, NETWORK_TEXT), &root);
    if (rc == 0 && vae >= 0 && config(&c->file[vae], "vae/config.json", &root)) rc = settings_from_vae(s, &root);
    if (rc == 0 && config(&c->file[0], "scheduler/scheduler_config.json", &root)) rc = settings_from_scheduler(s, &root);
    if (rc == 0 && config(&c->file[0], "tokenizer/special_tokens_map.json", &root)) rc = read_padding(c, s, &root);
    if (rc == 0 && config(&c->file[0], "tokenizer/tokenizer_config.json", &root)) rc = read_padding(c, s, &root);
    return rc;
}

/* ---- metadata ----------------------------------------------------------------------------------------------------------- */

static const char *metadata(const model_file *f, const char *const keys[]) {
    for (int i = 0; f->w && keys[i]; i++) {
        const char *value = weights_metadata(f->w, keys[i]);
        if (value && *value) return value;
    }
    return NULL;
}

static bool is_true(const char *s) { return s && (strcmp(s, "true") == 0 || strcmp(s, "True") == 0 || strcmp(s, "1") == 0); }

static void read_metadata(checkpoint *c, checkpoint_settings *s) {
    static const char *const prediction[] = { "modelspec.prediction_type", NULL }, *const resolution[] = { "modelspec.resolution", NULL },
        *const middle[] = { "mien.only_mid_control", "only_mid_control", NULL }, *const base[] = { "mien.base", NULL }, *const licence[] = { "license", "licence", "modelspec.license", NULL };
    const model_file *first = &c->file[c->file[0].w ? 0 : 1];
    const char *said = metadata(first, prediction), *size = metadata(first, resolution);
    int control = c->from[NETWORK_CONTROL];
    if (said && parse_prediction(said, &s->prediction) == 0) s->prediction_source = "metadata";
    if (size && strcmp(size, "768x768") == 0) s->sample_size = 96;
    if (size && strcmp(size, "512x512") == 0) s->sample_size = 64;
    for (size_t i = 0; i < settings_fields(); i++) {
        const char *const key[] = { settings_key(i), NULL };
        const char *value = metadata(first, key);
        if (value && settings_read(s, i, value) && strcmp(*key, "mien.prediction") == 0) s->prediction_source = "metadata";
    }
    if (control >= 0) s->trained_base = metadata(&c->file[control], base);
    if (control >= 0) s->only_mid_control = is_true(metadata(&c->file[control], middle));
    s->licence = metadata(&c->file[0], licence);
    if (!s->licence) s->licence = metadata(&c->file[1], licence);
}

/* ---- family ------------------------------------------------------------------------------------------------------------- */

/* By the context's width; of other widths (small models) by how the text encoder is named: OpenCLIP's, or a 2.x folder's activation. */
static int family_of(const checkpoint *c) {
    size_t width = checkpoint_width(c, NETWORK_UNET);
    if (!width) width = checkpoint_width(c, NETWORK_CONTROL);
    if (!width) width = checkpoint_width(c, NETWORK_TEXT);
    if (width == 768) return 1;
    if (width == 1024) return 2;
    int text = c->from[NETWORK_TEXT];
    if (text < 0) return 1;
    const model_file *f = &c->file[text];
    json_at root;
    const char *activation = "quick_gelu";
    if (f->map[f->best[NETWORK_TEXT]].style == STYLE_OPENCLIP) return 2;
    if (config(f, "text_encoder/config.json", &root)) string(&root, "hidden_act", &activation);
    return strcmp(activation, "gelu") == 0 ? 2 : 1;
}

/* Stability's files have a layer more than is computed, others (23 layers of the real model) were cut already. */
static int skipped_layers(const checkpoint *c) {
    int text = c->from[NETWORK_TEXT], layers = 0;
    if (text < 0) return 0;
    const model_file *f = &c->file[text];
    if (f->map[f->best[NETWORK_TEXT]].style != STYLE_OPENCLIP) return 0;
    while (layers < 256 && checkpoint_part(c, NETWORK_TEXT, "encoder.layers.%d.mlp.fc1.weight", layers)) layers++;
    return layers > 1 && !(layers == 23 && checkpoint_width(c, NETWORK_TEXT) == 1024);
}

checkpoint_settings checkpoint_family_settings(int family) {
    bool first = family == 1;
    return (checkpoint_settings){
        .family = family, .heads = first ? 8 : 0, .head_width = first ? 0 : 64, .groups = 32, .text_quick_gelu = first, .pad_token = first ? 49407 : 0,
        .prediction = first ? PREDICT_EPSILON : PREDICT_UNKNOWN, .prediction_source = first ? "the family" : "nothing",
        .beta_start = 0.00085, .beta_end = 0.012, .train_steps = 1000, .spacing = SPACING_DEFAULT, .steps_offset = -1,
        .vae_scale = 0.18215, .sample_size = first ? 64 : 0,
    };
}

int checkpoint_settle(checkpoint *c) {
    c->settings = checkpoint_family_settings(family_of(c));
    c->settings.text_skip = skipped_layers(c);
    if (c->settings.pad_token) c->settings.pad_token = last_token(c);
    read_metadata(c, &c->settings);
    return read_folder(c, &c->settings);
}
