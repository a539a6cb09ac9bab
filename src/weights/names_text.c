/* SPDX-License-Identifier: Apache-2.0
 *
 * Text encoders: Hugging Face's CLIPTextModel (canonical, without "text_model.") and OpenCLIP's, which keeps q, k and v in one tensor. */
#include <string.h>

#include "weights/names_parts.h"

static const name_pair layer_pairs[] = {   /* OpenCLIP, Hugging Face */
    { "ln_1", "layer_norm1" }, { "ln_2", "layer_norm2" }, { "attn.out_proj", "self_attn.out_proj" }, { "mlp.c_fc", "mlp.fc1" }, { "mlp.c_proj", "mlp.fc2" },
};
static const name_pair single_pairs[] = {
    { "token_embedding.weight", "embeddings.token_embedding.weight" }, { "positional_embedding", "embeddings.position_embedding.weight" }, { "ln_final", "final_layer_norm" },
};
static const char letters[] = "qkv";
#define PAIRS(p) p, sizeof p / sizeof *p

static bool attention_part(const char **s, int *part) {
    for (int k = 0; k < 3; k++) {
        const char word[] = { 's', 'e', 'l', 'f', '_', 'a', 't', 't', 'n', '.', letters[k], '_', 'p', 'r', 'o', 'j', '.', 0 };
        if (!name_skip(s, word)) continue;
        *part = k;
        return true;
    }
    return false;
}

static bool weight_or_bias(const char *s) { return strcmp(s, "weight") == 0 || strcmp(s, "bias") == 0; }

int text_name_from_openclip(const char *name, int part, char out[NAME_MOST]) {
    int layer;
    char tail[NAME_MOST];
    const char *s = name;
    if (name_exchange(PAIRS(single_pairs), false, name, out)) return 1;
    if (!name_skip(&s, "transformer.resblocks.") || !name_number(&s, &layer)) return 0;
    if (name_skip(&s, "attn.in_proj_")) return weight_or_bias(s) && name_write(out, "encoder.layers.%d.self_attn.%c_proj.%s", layer, letters[part], s) ? 3 : 0;
    return name_exchange(PAIRS(layer_pairs), false, s, tail) && name_write(out, "encoder.layers.%d.%s", layer, tail);
}

bool text_name_to_openclip(const char *name, char out[NAME_MOST], int *part) {
    int layer;
    char tail[NAME_MOST];
    const char *s = name;
    *part = -1;
    if (name_exchange(PAIRS(single_pairs), true, name, out)) return true;
    if (!name_skip(&s, "encoder.layers.") || !name_number(&s, &layer)) return false;
    if (attention_part(&s, part)) return weight_or_bias(s) && name_write(out, "transformer.resblocks.%d.attn.in_proj_%s", layer, s);
    return name_exchange(PAIRS(layer_pairs), true, s, tail) && name_write(out, "transformer.resblocks.%d.%s", layer, tail);
}

bool text_name_is_hf(const char *name) {
    char unused[NAME_MOST];
    int part;
    return text_name_to_openclip(name, unused, &part);
}
