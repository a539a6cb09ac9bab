/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/names.h"

#include <string.h>

#include "weights/names_parts.h"

const char *const network_roots[NETWORKS] = { "unet", "text", "vae", "control" };

void ladder_add(name_ladder *l, network net, name_style style, const char *name) {
    if (net == NETWORK_UNET || net == NETWORK_CONTROL) unet_ladder_add(l, style, name);
    if (net == NETWORK_VAE) vae_ladder_add(l, style, name);
}

void ladder_end(name_ladder *l, network net, name_style style) {
    if (net == NETWORK_UNET || net == NETWORK_CONTROL) unet_ladder_end(l, style);
}

static int copied(bool is_name, const char *name, char out[NAME_MOST]) { return is_name && name_write(out, "%s", name); }

int name_to_canonical(const name_map *m, const char *name, int part, char out[NAME_MOST]) {
    if (strlen(name) >= NAME_MOST) return 0;
    switch (m->net) {
    case NETWORK_UNET:
    case NETWORK_CONTROL:
        if (m->style == STYLE_LDM) return copied(unet_name_is_ldm(&m->ladder, m->net, name), name, out);
        return unet_name_to_ldm(&m->ladder, m->net, name, out);
    case NETWORK_VAE:
        if (m->style == STYLE_LDM) return copied(vae_name_is_ldm(name), name, out);
        return vae_name_to_ldm(&m->ladder, name, out);
    case NETWORK_TEXT:
        if (m->style == STYLE_OPENCLIP) return text_name_from_openclip(name, part, out);
        return copied(text_name_is_hf(name), name, out);
    default: return 0;
    }
}

bool name_from_canonical(const name_map *m, const char *canonical, char out[NAME_MOST], int *part) {
    *part = -1;
    if (m->style == STYLE_OPENCLIP) return text_name_to_openclip(canonical, out, part);
    if (m->style == STYLE_LDM || m->style == STYLE_HF) return name_write(out, "%s", canonical);
    if (m->net == NETWORK_VAE) return vae_name_to_diffusers(&m->ladder, canonical, out);
    return unet_name_to_diffusers(&m->ladder, m->net, canonical, out);
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

bool name_is_token_mix(network net, const char *name) {
    if (net == NETWORK_VAE) {
        static const char *const ends[] = { ".attn_1.q.weight", ".attn_1.k.weight", ".attn_1.v.weight", ".attn_1.proj_out.weight" };
        for (int i = 0; i < 4; i++)
            if (ends_with(name, ends[i])) return true;
        return false;
    }
    return (net == NETWORK_UNET || net == NETWORK_CONTROL) && (ends_with(name, ".proj_in.weight") || ends_with(name, ".proj_out.weight"));
}

/* ---- whole files -------------------------------------------------------------------------------------------------- */

/* Where names of a network begin with something that is nobody else's. Longer ones of the same beginning come first. */
static const name_source prefixed[] = {
    { NETWORK_UNET, STYLE_LDM, "model.diffusion_model." },
    { NETWORK_CONTROL, STYLE_LDM, "control_model." },
    { NETWORK_VAE, STYLE_LDM, "first_stage_model." },
    { NETWORK_TEXT, STYLE_HF, "cond_stage_model.transformer.text_model." },
    { NETWORK_TEXT, STYLE_HF, "cond_stage_model.transformer." },
    { NETWORK_TEXT, STYLE_OPENCLIP, "cond_stage_model.model." },
    { NETWORK_UNET, STYLE_DIFFUSERS, "unet/" },
    { NETWORK_CONTROL, STYLE_DIFFUSERS, "controlnet/" },
    { NETWORK_VAE, STYLE_DIFFUSERS, "vae/" },
    { NETWORK_TEXT, STYLE_HF, "text_encoder/text_model." },
    { NETWORK_TEXT, STYLE_HF, "text_encoder/" },
};

/* A file of one network alone has no prefix; what tells it: the first of these that any of its names begins with. */
static const struct { const char *begin; name_source source; } bare[] = {
    { "controlnet_cond_embedding.", { NETWORK_CONTROL, STYLE_DIFFUSERS, "" } },
    { "controlnet_down_blocks.", { NETWORK_CONTROL, STYLE_DIFFUSERS, "" } },
    { "input_hint_block.", { NETWORK_CONTROL, STYLE_LDM, "" } },
    { "zero_convs.", { NETWORK_CONTROL, STYLE_LDM, "" } },
    { "output_blocks.", { NETWORK_UNET, STYLE_LDM, "" } },
    { "encoder.down.", { NETWORK_VAE, STYLE_LDM, "" } },
    { "decoder.up.", { NETWORK_VAE, STYLE_LDM, "" } },
    { "encoder.down_blocks.", { NETWORK_VAE, STYLE_DIFFUSERS, "" } },
    { "decoder.up_blocks.", { NETWORK_VAE, STYLE_DIFFUSERS, "" } },
    { "up_blocks.", { NETWORK_UNET, STYLE_DIFFUSERS, "" } },
    { "text_model.", { NETWORK_TEXT, STYLE_HF, "text_model." } },
    { "embeddings.token_embedding.", { NETWORK_TEXT, STYLE_HF, "" } },
    { "transformer.resblocks.", { NETWORK_TEXT, STYLE_OPENCLIP, "" } },
};
enum { PREFIXED = sizeof prefixed / sizeof *prefixed, BARE = sizeof bare / sizeof *bare };

static bool begins(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

static int known(const name_sources *s, const name_source *x) {
    for (int i = 0; i < s->n; i++)
        if (s->source[i].net == x->net && s->source[i].style == x->style && strcmp(s->source[i].prefix, x->prefix) == 0) return i;
    return -1;
}

static void add_source(name_sources *s, const name_source *x) {
    if (known(s, x) < 0 && s->n < NAME_SOURCES) s->source[s->n++] = *x;
}

static int rank_of(const name_source *x) {
    for (int i = 0; i < BARE; i++)
        if (bare[i].source.net == x->net && bare[i].source.style == x->style && strcmp(bare[i].source.prefix, x->prefix) == 0) return i;
    return BARE;
}

static int bare_source(const name_sources *s) {
    for (int i = 0; i < s->n; i++)
        if (!*s->source[i].prefix || strcmp(s->source[i].prefix, "text_model.") == 0) return i;
    return -1;
}

void sources_add(name_sources *s, const char *name) {
    if (strcmp(name, "difference") == 0) s->difference = true;
    for (int i = 0; i < PREFIXED; i++)
        if (begins(name, prefixed[i].prefix)) return add_source(s, &prefixed[i]);
    for (int i = 0; i < BARE; i++) {
        if (!begins(name, bare[i].begin)) continue;
        int at = bare_source(s);
        if (at < 0) add_source(s, &bare[i].source);
        else if (i < rank_of(&s->source[at])) s->source[at] = bare[i].source;
        return;
    }
}

int sources_find(const name_sources *s, const char *name, const char **rest) {
    for (int i = 0; i < PREFIXED; i++) {
        if (!begins(name, prefixed[i].prefix)) continue;
        *rest = name + strlen(prefixed[i].prefix);
        return known(s, &prefixed[i]);
    }
    int i = bare_source(s);
    if (i < 0 || strchr(name, '/') || !begins(name, s->source[i].prefix)) return -1;
    *rest = name + strlen(s->source[i].prefix);
    return i;
}

name_key name_key_of(const char *name) {
    static const char *const schedule[] = {
        "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1",
        "posterior_mean_coef2", "logvar", "lvlb_weights", "scale_factor",
    };
    if (begins(name, "model_ema.")) return KEY_EMA;
    for (size_t i = 0; i < sizeof schedule / sizeof *schedule; i++)
        if (strcmp(name, schedule[i]) == 0) return KEY_SCHEDULE;
    return ends_with(name, ".position_ids") ? KEY_POSITION_IDS : KEY_OTHER;
}

bool name_of_ema(const char *unet_name, char out[NAME_MOST]) {
    if (!name_write(out, "model_ema.diffusion_model%s", unet_name)) return false;
    char *to = out + strlen("model_ema.");
    for (const char *from = to; *from; from++)
        if (*from != '.') *to++ = *from;
    *to = 0;
    return true;
}
