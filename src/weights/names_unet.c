/* SPDX-License-Identifier: Apache-2.0
 *
 * UNet and ControlNet: the original numbers the encoder's blocks through (input_blocks.7.0), with a downsampling as a block of its own at
 * each level's end; diffusers names level and place in it (down_blocks.2.resnets.0). Between them stands a place. */
#include <stdio.h>
#include <string.h>

#include "weights/names_parts.h"

typedef enum { IS_OTHER, IS_RESIDUAL, IS_ATTENTION, IS_SAMPLER } block_kind;
typedef enum { IN_NONE, IN_DOWN, IN_MIDDLE, IN_UP } block_part;

/* of diffusers and of the original alike: level counts from the full resolution, index within it; tail follows. */
typedef struct { block_part part; block_kind kind; int level, index; const char *tail; } place;

/* ---- the ladder ------------------------------------------------------------------------------------------------------ */

int ladder_inputs(const name_ladder *l) {
    int n = 1;
    for (int i = 0; i < l->levels; i++) n += l->layers[i] + (i + 1 < l->levels);
    return n;
}

static int more(int a, int b) { return a > b ? a : b; }

static block_kind ldm_kind(const char *tail) {
    static const char *const residual[] = { "in_layers.", "emb_layers.", "out_layers.", "skip_connection." };
    static const char *const attention[] = { "norm.", "proj_in.", "proj_out.", "transformer_blocks." };
    for (int i = 0; i < 4; i++)
        if (strncmp(tail, residual[i], strlen(residual[i])) == 0) return IS_RESIDUAL;
    for (int i = 0; i < 4; i++)
        if (strncmp(tail, attention[i], strlen(attention[i])) == 0) return IS_ATTENTION;
    return strncmp(tail, "op.", 3) == 0 || strncmp(tail, "conv.", 5) == 0 ? IS_SAMPLER : IS_OTHER;
}

static void add_ldm(name_ladder *l, const char *s) {
    int i, sub;
    if (name_skip(&s, "input_hint_block.")) {
        if (name_number(&s, &i)) l->hints = more(l->hints, i / 2 + 1);
        return;
    }
    if (strncmp(s, "output_blocks.", 14) == 0) l->has_decoder = true;
    if (!name_skip(&s, "input_blocks.") || !name_number(&s, &i) || !name_number(&s, &sub) || i < 1 || i >= NAME_MAX_BLOCKS) return;
    block_kind kind = ldm_kind(s);
    if (sub == 0 && kind == IS_RESIDUAL) l->residual[i] = true;
    if (sub == 0 && kind == IS_SAMPLER) l->down[i] = true;
    if (sub == 1 && kind == IS_ATTENTION) l->attends[i] = true;
}

static block_kind diffusers_kind(const char **s) {
    return name_skip(s, "resnets.") ? IS_RESIDUAL : name_skip(s, "attentions.") ? IS_ATTENTION
         : name_skip(s, "downsamplers.") || name_skip(s, "upsamplers.") ? IS_SAMPLER : IS_OTHER;
}

/* Of up_blocks only that there are some: their numbers mean levels only once these are counted. */
static void add_diffusers(name_ladder *l, const char *s) {
    int level, i;
    if (strncmp(s, "up_blocks.", 10) == 0) l->has_decoder = true;
    if (name_skip(&s, "controlnet_cond_embedding.")) {
        l->hints = more(l->hints, 2);
        if (name_skip(&s, "blocks.") && name_number(&s, &i)) l->hints = more(l->hints, i + 3);
        return;
    }
    if (!name_skip(&s, "down_blocks.") || !name_number(&s, &level) || level >= NAME_MAX_LEVELS) return;
    block_kind kind = diffusers_kind(&s);
    if (kind == IS_OTHER || !name_number(&s, &i) || i >= NAME_MAX_BLOCKS) return;
    l->levels = more(l->levels, level + 1);
    if (kind == IS_RESIDUAL) l->layers[level] = more(l->layers[level], i + 1);
    if (kind == IS_ATTENTION) l->attention[level] = true;
    if (kind == IS_SAMPLER && level + 1 < NAME_MAX_LEVELS) l->levels = more(l->levels, level + 2);
}

void unet_ladder_add(name_ladder *l, name_style style, const char *name) {
    if (style == STYLE_LDM) add_ldm(l, name);
    else add_diffusers(l, name);
}

void unet_ladder_end(name_ladder *l, name_style style) {
    if (style != STYLE_LDM) return;
    int level = 0, last = 0;
    for (int i = 1; i < NAME_MAX_BLOCKS; i++)
        if (l->residual[i] || l->down[i] || l->attends[i]) last = i;
    /* A block that has nothing counts as a residual one, so that what it lacks gets a name. */
    for (int i = 1; i <= last; i++) {
        if (l->down[i] && !l->residual[i]) {
            if (++level == NAME_MAX_LEVELS) return;
            continue;
        }
        l->layers[level]++;
        l->attention[level] |= l->attends[i];
    }
    l->levels = last ? level + 1 : 0;
}

static bool same_address(const name_ladder *l, int level) { return level >= 0 && level < l->levels; }

static int down_index(const name_ladder *l, int level, int index) {
    int n = 1 + index;
    for (int i = 0; i < level; i++) n += l->layers[i] + 1;
    return n;
}

static int up_index(const name_ladder *l, int level, int index) {
    int n = index;
    for (int i = level + 1; i < l->levels; i++) n += l->layers[i] + 1;
    return n;
}

/* ---- the original's names ---------------------------------------------------------------------------------------------- */

static bool ldm_down(const name_ladder *l, int block, int sub, place *p) {
    p->part = IN_DOWN;
    for (int level = 0, first = 1; level < l->levels; first += l->layers[level++] + 1) {
        if (block < first || block > first + l->layers[level]) continue;
        p->level = level;
        p->index = block - first;
        bool sampler = p->index == l->layers[level];
        if (sampler && level + 1 == l->levels) return false;
        return p->kind == IS_SAMPLER ? sampler && sub == 0 : !sampler && sub == (p->kind == IS_ATTENTION);
    }
    return false;
}

static bool ldm_up(const name_ladder *l, int block, int sub, place *p) {
    p->part = IN_UP;
    int first = 0;
    for (int level = l->levels - 1; level >= 0; first += l->layers[level--] + 1) {
        if (block > first + l->layers[level]) continue;
        p->level = level;
        p->index = block - first;
        if (p->kind == IS_SAMPLER) return p->index == l->layers[level] && level > 0 && sub == 1 + l->attention[level];
        return sub == (p->kind == IS_ATTENTION);
    }
    return false;
}

static bool ldm_place(const name_ladder *l, const char *s, place *p) {
    int block, sub;
    bool down = name_skip(&s, "input_blocks."), up = !down && name_skip(&s, "output_blocks."), middle = !down && !up && name_skip(&s, "middle_block.");
    if (!down && !up && !middle) return false;
    if (!middle && !name_number(&s, &block)) return false;
    if (!name_number(&s, &sub)) return false;
    p->kind = ldm_kind(s);
    p->tail = s;
    if (p->kind == IS_OTHER) return false;
    if (p->kind == IS_SAMPLER) {   /* "op" in the encoder, "conv" in the decoder; the place is at it, whatever it is called */
        if (!name_skip(&p->tail, down ? "op." : "conv.")) return false;
    }
    if (down) return block > 0 && ldm_down(l, block, sub, p);
    if (up) return ldm_up(l, block, sub, p);
    p->part = IN_MIDDLE;
    p->level = 0;
    p->index = sub / 2;
    return sub <= 2 && p->kind == (sub == 1 ? IS_ATTENTION : IS_RESIDUAL);
}

static bool write_ldm(const name_ladder *l, const place *p, const char *tail, char out[NAME_MOST]) {
    int attention = p->kind == IS_ATTENTION;
    if (p->part == IN_MIDDLE) return name_write(out, "middle_block.%d.%s", attention ? 1 : 2 * p->index, tail);
    if (p->part == IN_DOWN)
        return name_write(out, "input_blocks.%d.%d.%s%s", down_index(l, p->level, p->index), attention, p->kind == IS_SAMPLER ? "op." : "", tail);
    int sub = p->kind == IS_SAMPLER ? 1 + l->attention[p->level] : attention;
    return name_write(out, "output_blocks.%d.%d.%s%s", up_index(l, p->level, p->index), sub, p->kind == IS_SAMPLER ? "conv." : "", tail);
}

/* ---- diffusers' names -------------------------------------------------------------------------------------------------- */

static bool diffusers_place(const name_ladder *l, const char *s, place *p) {
    int level = 0, index;
    bool down = name_skip(&s, "down_blocks."), up = !down && name_skip(&s, "up_blocks."), middle = !down && !up && name_skip(&s, "mid_block.");
    if (!down && !up && !middle) return false;
    if (!middle && (!name_number(&s, &level) || !same_address(l, level))) return false;
    bool samples_down = strncmp(s, "downsamplers.", 13) == 0;
    p->kind = diffusers_kind(&s);
    if (p->kind == IS_OTHER || !name_number(&s, &index)) return false;
    p->part = down ? IN_DOWN : up ? IN_UP : IN_MIDDLE;
    p->level = up ? l->levels - 1 - level : level;
    p->index = index;
    p->tail = s;
    if (middle) return p->kind == IS_RESIDUAL ? index < 2 : p->kind == IS_ATTENTION && index == 0;
    if (p->kind == IS_SAMPLER) {
        p->index = l->layers[p->level];
        bool there = down ? p->level + 1 < l->levels : p->level > 0;
        return index == 0 && samples_down == down && there && name_skip(&p->tail, "conv.");
    }
    return index < l->layers[p->level] + up && (p->kind == IS_RESIDUAL || l->attention[p->level]);
}

static bool write_diffusers(const name_ladder *l, const place *p, const char *tail, char out[NAME_MOST]) {
    const char *kind = p->kind == IS_RESIDUAL ? "resnets" : "attentions";
    if (p->part == IN_MIDDLE) return name_write(out, "mid_block.%s.%d.%s", kind, p->kind == IS_RESIDUAL ? p->index : 0, tail);
    bool down = p->part == IN_DOWN;
    int level = down ? p->level : l->levels - 1 - p->level;
    if (p->kind == IS_SAMPLER) return name_write(out, "%s.%d.%s.0.conv.%s", down ? "down_blocks" : "up_blocks", level, down ? "downsamplers" : "upsamplers", tail);
    return name_write(out, "%s.%d.%s.%d.%s", down ? "down_blocks" : "up_blocks", level, kind, p->index, tail);
}

/* ---- both ------------------------------------------------------------------------------------------------------------ */

static const name_pair residual_pairs[] = {
    { "in_layers.0", "norm1" }, { "in_layers.2", "conv1" }, { "emb_layers.1", "time_emb_proj" },
    { "out_layers.0", "norm2" }, { "out_layers.3", "conv2" }, { "skip_connection", "conv_shortcut" },
};
static const name_pair shared_pairs[] = {
    { "input_blocks.0.0", "conv_in" }, { "time_embed.0", "time_embedding.linear_1" }, { "time_embed.2", "time_embedding.linear_2" },
};
static const name_pair unet_pairs[] = { { "out.0", "conv_norm_out" }, { "out.2", "conv_out" } };
static const name_pair control_pairs[] = { { "middle_block_out.0", "controlnet_mid_block" } };
#define PAIRS(p) p, sizeof p / sizeof *p

/* What belongs to no block: the same rules in both directions. */
static bool exchange_single(network net, bool to_ldm, const char *name, char out[NAME_MOST]) {
    if (name_exchange(PAIRS(shared_pairs), to_ldm, name, out)) return true;
    if (net == NETWORK_CONTROL) return name_exchange(PAIRS(control_pairs), to_ldm, name, out);
    return name_exchange(PAIRS(unet_pairs), to_ldm, name, out);
}

static bool hint_to_ldm(const name_ladder *l, const char *s, char out[NAME_MOST]) {
    int i, last = 2 * (l->hints - 1);
    if (!name_skip(&s, "controlnet_cond_embedding.")) return false;
    if (name_skip(&s, "conv_in.")) return name_write(out, "input_hint_block.0.%s", s);
    if (name_skip(&s, "conv_out.")) return name_write(out, "input_hint_block.%d.%s", last, s);
    return name_skip(&s, "blocks.") && name_number(&s, &i) && 2 * (i + 1) < last && name_write(out, "input_hint_block.%d.%s", 2 * (i + 1), s);
}

static bool hint_to_diffusers(const name_ladder *l, const char *s, char out[NAME_MOST]) {
    int i, last = 2 * (l->hints - 1);
    if (!name_skip(&s, "input_hint_block.") || !name_number(&s, &i) || i % 2 || i > last) return false;
    if (i == 0) return name_write(out, "controlnet_cond_embedding.conv_in.%s", s);
    if (i == last) return name_write(out, "controlnet_cond_embedding.conv_out.%s", s);
    return name_write(out, "controlnet_cond_embedding.blocks.%d.%s", i / 2 - 1, s);
}

static bool zero_to_ldm(const char *s, char out[NAME_MOST]) {
    int i;
    return name_skip(&s, "controlnet_down_blocks.") && name_number(&s, &i) && name_write(out, "zero_convs.%d.0.%s", i, s);
}

static bool zero_to_diffusers(const char *s, char out[NAME_MOST]) {
    int i;
    return name_skip(&s, "zero_convs.") && name_number(&s, &i) && name_skip(&s, "0.") && name_write(out, "controlnet_down_blocks.%d.%s", i, s);
}

bool unet_name_to_ldm(const name_ladder *l, network net, const char *name, char out[NAME_MOST]) {
    place p;
    char tail[NAME_MOST];
    if (exchange_single(net, true, name, out)) return true;
    if (net == NETWORK_CONTROL && (zero_to_ldm(name, out) || hint_to_ldm(l, name, out))) return true;
    if (!diffusers_place(l, name, &p) || (net == NETWORK_CONTROL && p.part == IN_UP)) return false;
    if (p.kind != IS_RESIDUAL) return write_ldm(l, &p, p.tail, out);
    return name_exchange(PAIRS(residual_pairs), true, p.tail, tail) && write_ldm(l, &p, tail, out);
}

bool unet_name_to_diffusers(const name_ladder *l, network net, const char *name, char out[NAME_MOST]) {
    place p;
    char tail[NAME_MOST];
    if (exchange_single(net, false, name, out)) return true;
    if (net == NETWORK_CONTROL && (zero_to_diffusers(name, out) || hint_to_diffusers(l, name, out))) return true;
    if (!ldm_place(l, name, &p) || (net == NETWORK_CONTROL && p.part == IN_UP)) return false;
    if (p.kind != IS_RESIDUAL) return write_diffusers(l, &p, p.tail, out);
    return name_exchange(PAIRS(residual_pairs), false, p.tail, tail) && write_diffusers(l, &p, tail, out);
}

bool unet_name_is_ldm(const name_ladder *l, network net, const char *name) {
    char unused[NAME_MOST];
    return unet_name_to_diffusers(l, net, name, unused);
}
