/* SPDX-License-Identifier: Apache-2.0
 *
 * AutoencoderKL. The original's decoder counts its levels from the full resolution (up.0 comes last), diffusers' from the latent. */
#include <string.h>

#include "weights/names_parts.h"

static const name_pair attention_pairs[] = { { "norm", "group_norm" }, { "q", "to_q" }, { "k", "to_k" }, { "v", "to_v" }, { "proj_out", "to_out.0" } };
/* As diffusers wrote them until 0.11. */
static const name_pair old_attention_pairs[] = { { "q", "query" }, { "k", "key" }, { "v", "value" }, { "proj_out", "proj_attn" } };
static const name_pair residual_pairs[] = {
    { "norm1", "norm1" }, { "conv1", "conv1" }, { "norm2", "norm2" }, { "conv2", "conv2" }, { "nin_shortcut", "conv_shortcut" },
};
static const name_pair side_pairs[] = { { "conv_in", "conv_in" }, { "conv_out", "conv_out" }, { "norm_out", "conv_norm_out" } };
static const name_pair whole_pairs[] = { { "quant_conv", "quant_conv" }, { "post_quant_conv", "post_quant_conv" } };
#define PAIRS(p) p, sizeof p / sizeof *p

void vae_ladder_add(name_ladder *l, name_style style, const char *name) {
    static const char *const levels[2][2] = { { "encoder.down.", "decoder.up." }, { "encoder.down_blocks.", "decoder.up_blocks." } };
    int level;
    if (strncmp(name, "decoder.", 8) == 0) l->has_decoder = true;
    for (int i = 0; i < 2; i++) {
        const char *s = name;
        if (name_skip(&s, levels[style == STYLE_DIFFUSERS][i]) && name_number(&s, &level) && level < NAME_MAX_LEVELS && level >= l->levels) l->levels = level + 1;
    }
}

static bool side(const char **s, bool *decoder) {
    *decoder = strncmp(*s, "decoder.", 8) == 0;
    return name_skip(s, *decoder ? "decoder." : "encoder.");
}

static const char *side_name(bool decoder) { return decoder ? "decoder" : "encoder"; }

bool vae_name_to_ldm(const name_ladder *l, const char *name, char out[NAME_MOST]) {
    bool decoder;
    int level, i;
    char tail[NAME_MOST];
    const char *s = name;
    if (name_exchange(PAIRS(whole_pairs), true, name, out)) return true;
    if (!side(&s, &decoder)) return false;
    const char *w = side_name(decoder);
    if (name_exchange(PAIRS(side_pairs), true, s, tail)) return name_write(out, "%s.%s", w, tail);
    if (name_skip(&s, "mid_block.attentions.0."))
        return (name_exchange(PAIRS(attention_pairs), true, s, tail) || name_exchange(PAIRS(old_attention_pairs), true, s, tail)) && name_write(out, "%s.mid.attn_1.%s", w, tail);
    if (name_skip(&s, "mid_block.resnets."))
        return name_number(&s, &i) && i < 2 && name_exchange(PAIRS(residual_pairs), true, s, tail) && name_write(out, "%s.mid.block_%d.%s", w, i + 1, tail);
    if (!name_skip(&s, decoder ? "up_blocks." : "down_blocks.") || !name_number(&s, &level) || level >= l->levels) return false;
    if (decoder) level = l->levels - 1 - level;
    const char *way = decoder ? "up" : "down";
    if (name_skip(&s, decoder ? "upsamplers.0." : "downsamplers.0.")) return strncmp(s, "conv.", 5) == 0 && name_write(out, "%s.%s.%d.%ssample.%s", w, way, level, way, s);
    return name_skip(&s, "resnets.") && name_number(&s, &i) && name_exchange(PAIRS(residual_pairs), true, s, tail) &&
           name_write(out, "%s.%s.%d.block.%d.%s", w, way, level, i, tail);
}

bool vae_name_to_diffusers(const name_ladder *l, const char *name, char out[NAME_MOST]) {
    bool decoder;
    int level, i;
    char tail[NAME_MOST];
    const char *s = name;
    if (name_exchange(PAIRS(whole_pairs), false, name, out)) return true;
    if (!side(&s, &decoder)) return false;
    const char *w = side_name(decoder);
    if (name_exchange(PAIRS(side_pairs), false, s, tail)) return name_write(out, "%s.%s", w, tail);
    if (name_skip(&s, "mid.attn_1."))
        return name_exchange(PAIRS(attention_pairs), false, s, tail) && name_write(out, "%s.mid_block.attentions.0.%s", w, tail);
    if (name_skip(&s, "mid.block_"))
        return name_number(&s, &i) && (i == 1 || i == 2) && name_exchange(PAIRS(residual_pairs), false, s, tail) && name_write(out, "%s.mid_block.resnets.%d.%s", w, i - 1, tail);
    if (!name_skip(&s, decoder ? "up." : "down.") || !name_number(&s, &level) || level >= l->levels) return false;
    if (decoder) level = l->levels - 1 - level;
    const char *way = decoder ? "up" : "down";
    if (name_skip(&s, decoder ? "upsample." : "downsample.")) return strncmp(s, "conv.", 5) == 0 && name_write(out, "%s.%s_blocks.%d.%ssamplers.0.%s", w, way, level, way, s);
    return name_skip(&s, "block.") && name_number(&s, &i) && name_exchange(PAIRS(residual_pairs), false, s, tail) &&
           name_write(out, "%s.%s_blocks.%d.resnets.%d.%s", w, way, level, i, tail);
}

bool vae_name_is_ldm(const char *name) {
    const name_ladder most = { .levels = NAME_MAX_LEVELS };
    char unused[NAME_MOST];
    return vae_name_to_diffusers(&most, name, unused);
}
