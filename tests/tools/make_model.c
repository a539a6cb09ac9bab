/* SPDX-License-Identifier: Apache-2.0
 *
 * make_model sd1|sd2|control1|control2 OUT.safetensors [--type f32|f16|bf16|mixed] [--parts unet,vae,text,control] [--prefix] [--real]
 *            [--seed N] [--context N] [--vocabulary N] [--without NAME]... [--shape NAME=N,N,...]... [--metadata KEY=VALUE]...
 *
 * Writes a random Stable Diffusion (or the ControlNet beside it) under the original's names, for tests and benches. Small but whole:
 * four levels of two blocks (sd1) or three of one (sd2), 32 or 64 channels, the true context width and vocabulary. --real: the
 * true shapes. --parts: these networks alone; with "control" among a base's, its names begin with control_model. A control
 * file's do with --prefix only. --context: another context width; --vocabulary: fewer tokens. --without: this tensor (its canonical name; "vae.encoder.": all
 * of that beginning) is left out;
 * --shape: it has this shape, whatever fits.
 *
 * The values follow from the canonical name (weights/checkpoint.h), the index and the seed, so files of any type and layout hold
 * the same numbers: u = the first 24 bits of splitmix64(FNV-1a(name) + seed + (i + 1) golden), scaled to [-1, 1);
 * norms' weights 1 + 0.2 u, all biases 0.1 u, other weights sqrt(3 / inputs) u, which keeps the variance. */
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "nn/tensor.h"

enum { UNET = 1, VAE = 2, TEXT = 4, CONTROL = 8 };
enum { MIXED = NN_TYPES };

typedef struct {
    int channels, mult[4], levels, blocks, attention_levels, hint[7];
    int vae_channels, vae_mult[4], vae_blocks;
    int text_layers, text_mlp, context;
    bool linear;               /* proj_in and proj_out; SD 2.x */
} spec;

static const int hint_small[7] = { 16, 16, 32, 32, 32, 32, 48 };
static const spec specs[2][2] = {
    { { 32, { 1, 1, 2, 2 }, 4, 2, 3, { 0 }, 32, { 1, 1, 2, 2 }, 1, 2, 768, 768, false },
      { 64, { 1, 2, 2 }, 3, 1, 2, { 0 }, 32, { 1, 2, 2, 2 }, 2, 3, 1024, 1024, true } },
    { { 320, { 1, 2, 4, 4 }, 4, 2, 3, { 16, 16, 32, 32, 96, 96, 256 }, 128, { 1, 2, 4, 4 }, 2, 12, 3072, 768, false },
      { 320, { 1, 2, 4, 4 }, 4, 2, 3, { 16, 16, 32, 32, 96, 96, 256 }, 128, { 1, 2, 4, 4 }, 2, 24, 4096, 1024, true } },
};

typedef struct {
    char name[160], canonical[3][160];   /* three canonical ones make one stored tensor: OpenCLIP's in_proj */
    int parts, rank, dim[4];
    nn_type type;
    bool raw;                            /* no numbers of a model: I64 or f32 zeros that files carry */
    bool i64;
} entry;

typedef struct {
    entry *list;
    size_t count, room;
    const spec *s;
    int family, type, vocabulary;
    unsigned networks;
    bool prefix;
    uint64_t seed;
    const char *without[16], *shape[16], *metadata[16];
    int n_without, n_shape, n_metadata;
    const char *stored, *canonical;      /* roots of the network that is being listed */
} maker;

static _Noreturn void die(const char *message) {
    fprintf(stderr, "make_model: %s\n", message);
    exit(1);
}

/* ---- names and shapes ---------------------------------------------------------------------------------------------------------- */

static uint64_t fnv(const char *text) {
    uint64_t h = 0xCBF29CE484222325u;
    for (; *text; text++) h = (h ^ (uint8_t)*text) * 0x100000001B3u;
    return h;
}

static entry *append(maker *m, const char *stored, const char *canonical, int rank, const int dim[]) {
    for (int i = 0; i < m->n_without; i++)
        if (!strcmp(m->without[i], canonical) || (m->without[i][strlen(m->without[i]) - 1] == '.' && !strncmp(m->without[i], canonical, strlen(m->without[i])))) return NULL;
    if (m->count == m->room) {
        m->room = m->room ? 2 * m->room : 512;
        m->list = realloc(m->list, m->room * sizeof *m->list);
        if (!m->list) die("no memory");
    }
    entry *e = &m->list[m->count++];
    *e = (entry){ .parts = 1, .rank = rank, .type = m->type != MIXED ? (nn_type)m->type : (nn_type[]){ NN_F32, NN_BF16, NN_F16 }[fnv(canonical) % 3] };
    snprintf(e->name, sizeof e->name, "%s", stored);
    snprintf(e->canonical[0], sizeof e->canonical[0], "%s", canonical);
    for (int i = 0; i < rank; i++) e->dim[i] = dim[i];
    return e;
}

/* --shape. */
static void reshape(const maker *m, entry *e) {
    size_t length = strlen(e->canonical[0]);
    for (int i = 0; i < m->n_shape; i++) {
        const char *at = m->shape[i];
        if (strncmp(at, e->canonical[0], length) != 0 || at[length] != '=') continue;
        at += length;
        for (e->rank = 0; *at && e->rank < 4; at += strcspn(at, ",")) e->dim[e->rank++] = (int)strtol(at + 1, (char **)&at, 10);
    }
}

/* A tensor whose names differ by the root alone. */
__attribute__((format(printf, 4, 5)))
static void tensor_of(maker *m, int rank, const int dim[], const char *format, ...) {
    char end[128], stored[160], canonical[160];
    va_list a;
    va_start(a, format);
    vsnprintf(end, sizeof end, format, a);
    va_end(a);
    snprintf(stored, sizeof stored, "%s%s", m->stored, end);
    snprintf(canonical, sizeof canonical, "%s%s", m->canonical, end);
    append(m, stored, canonical, rank, dim);
}

static void norm(maker *m, const char *at, int c) {
    tensor_of(m, 1, &c, "%s.weight", at);
    tensor_of(m, 1, &c, "%s.bias", at);
}
static void conv(maker *m, const char *at, int to, int from, int kernel) {
    tensor_of(m, 4, (int[]){ to, from, kernel, kernel }, "%s.weight", at);
    tensor_of(m, 1, &to, "%s.bias", at);
}
static void dense(maker *m, const char *at, int to, int from, bool bias) {
    tensor_of(m, 2, (int[]){ to, from }, "%s.weight", at);
    if (bias) tensor_of(m, 1, &to, "%s.bias", at);
}

#define AT(...) (snprintf(at, sizeof at, __VA_ARGS__), at)

static void res_block(maker *m, const char *place, int from, int to) {
    char at[96];
    norm(m, AT("%s.in_layers.0", place), from);
    conv(m, AT("%s.in_layers.2", place), to, from, 3);
    dense(m, AT("%s.emb_layers.1", place), to, 4 * m->s->channels, true);
    norm(m, AT("%s.out_layers.0", place), to);
    conv(m, AT("%s.out_layers.3", place), to, to, 3);
    if (from != to) conv(m, AT("%s.skip_connection", place), to, from, 1);
}

static void transformer(maker *m, const char *place, int c) {
    char at[96];
    norm(m, AT("%s.norm", place), c);
    m->s->linear ? dense(m, AT("%s.proj_in", place), c, c, true) : conv(m, AT("%s.proj_in", place), c, c, 1);
    for (int i = 1; i <= 2; i++) {
        int from = i == 1 ? c : m->s->context;
        dense(m, AT("%s.transformer_blocks.0.attn%d.to_q", place, i), c, c, false);
        dense(m, AT("%s.transformer_blocks.0.attn%d.to_k", place, i), c, from, false);
        dense(m, AT("%s.transformer_blocks.0.attn%d.to_v", place, i), c, from, false);
        dense(m, AT("%s.transformer_blocks.0.attn%d.to_out.0", place, i), c, c, true);
    }
    dense(m, AT("%s.transformer_blocks.0.ff.net.0.proj", place), 8 * c, c, true);
    dense(m, AT("%s.transformer_blocks.0.ff.net.2", place), c, 4 * c, true);
    for (int i = 1; i <= 3; i++) norm(m, AT("%s.transformer_blocks.0.norm%d", place, i), c);
    m->s->linear ? dense(m, AT("%s.proj_out", place), c, c, true) : conv(m, AT("%s.proj_out", place), c, c, 1);
}

/* The encoder and the middle, which a ControlNet has too. widths: of the encoder's outputs; returns how many there are. */
static int encoder(maker *m, int widths[]) {
    const spec *s = m->s;
    char at[96];
    int c = s->channels, n = 0;
    dense(m, "time_embed.0", 4 * c, c, true);
    dense(m, "time_embed.2", 4 * c, 4 * c, true);
    conv(m, "input_blocks.0.0", c, 4, 3);
    widths[n++] = c;
    for (int l = 0; l < s->levels; l++) {
        for (int b = 0; b < s->blocks; b++) {
            res_block(m, AT("input_blocks.%d.0", n), c, s->channels * s->mult[l]);
            c = s->channels * s->mult[l];
            if (l < s->attention_levels) transformer(m, AT("input_blocks.%d.1", n), c);
            widths[n++] = c;
        }
        if (l + 1 == s->levels) break;
        conv(m, AT("input_blocks.%d.0.op", n), c, c, 3);
        widths[n++] = c;
    }
    res_block(m, "middle_block.0", c, c);
    transformer(m, "middle_block.1", c);
    res_block(m, "middle_block.2", c, c);
    return n;
}

static void unet(maker *m) {
    const spec *s = m->s;
    char at[96];
    int widths[32], n = encoder(m, widths), c = widths[n - 1], o = 0;
    for (int l = s->levels - 1; l >= 0; l--)
        for (int b = 0; b <= s->blocks; b++, o++) {
            bool attention = l < s->attention_levels;
            res_block(m, AT("output_blocks.%d.0", o), c + widths[--n], s->channels * s->mult[l]);
            c = s->channels * s->mult[l];
            if (attention) transformer(m, AT("output_blocks.%d.1", o), c);
            if (l && b == s->blocks) conv(m, AT("output_blocks.%d.%d.conv", o, attention ? 2 : 1), c, c, 3);
        }
    norm(m, "out.0", c);
    conv(m, "out.2", 4, c, 3);
}

static void control(maker *m) {
    const int *hint = m->s->hint[0] ? m->s->hint : hint_small;
    char at[96];
    int widths[32], n = encoder(m, widths);
    for (int i = 0; i < n; i++) conv(m, AT("zero_convs.%d.0", i), widths[i], widths[i], 1);
    for (int i = 0; i < 8; i++) conv(m, AT("input_hint_block.%d", 2 * i), i < 7 ? hint[i] : m->s->channels, i ? hint[i - 1] : 3, 3);
    conv(m, "middle_block_out.0", widths[n - 1], widths[n - 1], 1);
}

static void vae_block(maker *m, const char *place, int from, int to) {
    char at[96];
    norm(m, AT("%s.norm1", place), from);
    conv(m, AT("%s.conv1", place), to, from, 3);
    norm(m, AT("%s.norm2", place), to);
    conv(m, AT("%s.conv2", place), to, to, 3);
    if (from != to) conv(m, AT("%s.nin_shortcut", place), to, from, 1);
}

static void vae_middle(maker *m, const char *half, int c) {
    static const char *const parts[] = { "q", "k", "v", "proj_out" };
    char at[96];
    vae_block(m, AT("%s.mid.block_1", half), c, c);
    norm(m, AT("%s.mid.attn_1.norm", half), c);
    for (int i = 0; i < 4; i++) conv(m, AT("%s.mid.attn_1.%s", half, parts[i]), c, c, 1);
    vae_block(m, AT("%s.mid.block_2", half), c, c);
}

static void vae(maker *m) {
    const spec *s = m->s;
    char at[96];
    int c = s->vae_channels;
    conv(m, "encoder.conv_in", c, 3, 3);
    for (int l = 0; l < 4; l++) {
        for (int b = 0; b < s->vae_blocks; b++, c = s->vae_channels * s->vae_mult[l])
            vae_block(m, AT("encoder.down.%d.block.%d", l, b), c, s->vae_channels * s->vae_mult[l]);
        if (l < 3) conv(m, AT("encoder.down.%d.downsample.conv", l), c, c, 3);
    }
    vae_middle(m, "encoder", c);
    norm(m, "encoder.norm_out", c);
    conv(m, "encoder.conv_out", 8, c, 3);
    conv(m, "quant_conv", 8, 8, 1);
    conv(m, "post_quant_conv", 4, 4, 1);
    conv(m, "decoder.conv_in", c, 4, 3);
    vae_middle(m, "decoder", c);
    for (int l = 3; l >= 0; l--) {
        for (int b = 0; b <= s->vae_blocks; b++, c = s->vae_channels * s->vae_mult[l])
            vae_block(m, AT("decoder.up.%d.block.%d", l, b), c, s->vae_channels * s->vae_mult[l]);
        if (l) conv(m, AT("decoder.up.%d.upsample.conv", l), c, c, 3);
    }
    norm(m, "decoder.norm_out", c);
    conv(m, "decoder.conv_out", 3, c, 3);
}

/* SD 1.x: Hugging Face's names as they are. */
static void clip(maker *m) {
    static const char *const parts[] = { "k_proj", "v_proj", "q_proj", "out_proj" };
    char at[96];
    int w = m->s->context, mlp = m->s->text_mlp;
    tensor_of(m, 2, (int[]){ m->vocabulary, w }, "embeddings.token_embedding.weight");
    tensor_of(m, 2, (int[]){ 77, w }, "embeddings.position_embedding.weight");
    for (int l = 0; l < m->s->text_layers; l++) {
        for (int i = 0; i < 4; i++) dense(m, AT("encoder.layers.%d.self_attn.%s", l, parts[i]), w, w, true);
        norm(m, AT("encoder.layers.%d.layer_norm1", l), w);
        dense(m, AT("encoder.layers.%d.mlp.fc1", l), mlp, w, true);
        dense(m, AT("encoder.layers.%d.mlp.fc2", l), w, mlp, true);
        norm(m, AT("encoder.layers.%d.layer_norm2", l), w);
    }
    norm(m, "final_layer_norm", w);
    entry *e = append(m, "cond_stage_model.transformer.text_model.embeddings.position_ids", "", 2, (int[]){ 1, 77 });
    if (e) e->raw = e->i64 = true;
}

static void pair(maker *m, const char *stored, const char *canonical, int rank, const int dim[]) {
    char from[160], to[160];
    snprintf(from, sizeof from, "%s%s.weight", m->stored, stored);
    snprintf(to, sizeof to, "text.%s.weight", canonical);
    append(m, from, to, rank, dim);
    strcpy(strrchr(from, '.'), ".bias");
    strcpy(strrchr(to, '.'), ".bias");
    append(m, from, to, 1, dim);
}

static void in_proj(maker *m, int layer, const char *end, int rank, int w) {
    char stored[160], canonical[160];
    snprintf(stored, sizeof stored, "%stransformer.resblocks.%d.attn.in_proj_%s", m->stored, layer, end);
    snprintf(canonical, sizeof canonical, "text.encoder.layers.%d.self_attn.q_proj.%s", layer, end);
    entry *e = append(m, stored, canonical, rank, (int[]){ 3 * w, w });
    for (int i = 1; e && i < 3; i++) snprintf(e->canonical[i], sizeof e->canonical[i], "text.encoder.layers.%d.self_attn.%c_proj.%s", layer, "qkv"[i], end);
    if (e) e->parts = 3;
}

/* SD 2.x: OpenCLIP's names. */
static void open_clip(maker *m) {
    static const char *const pairs[][2] = {
        { "attn.out_proj", "self_attn.out_proj" }, { "ln_1", "layer_norm1" }, { "ln_2", "layer_norm2" }, { "mlp.c_fc", "mlp.fc1" }, { "mlp.c_proj", "mlp.fc2" },
    };
    int w = m->s->context, mlp = m->s->text_mlp;
    const int dims[][2] = { { w, w }, { w }, { w }, { mlp, w }, { w, mlp } };
    append(m, "cond_stage_model.model.positional_embedding", "text.embeddings.position_embedding.weight", 2, (int[]){ 77, w });
    append(m, "cond_stage_model.model.token_embedding.weight", "text.embeddings.token_embedding.weight", 2, (int[]){ m->vocabulary, w });
    append(m, "cond_stage_model.model.text_projection", "text.text_projection", 2, (int[]){ w, w });
    append(m, "cond_stage_model.model.logit_scale", "text.logit_scale", 0, NULL);
    for (int l = 0; l < m->s->text_layers; l++) {
        in_proj(m, l, "weight", 2, w);
        in_proj(m, l, "bias", 1, w);
        for (int i = 0; i < 5; i++) {
            char stored[96], canonical[96];
            snprintf(stored, sizeof stored, "transformer.resblocks.%d.%s", l, pairs[i][0]);
            snprintf(canonical, sizeof canonical, "encoder.layers.%d.%s", l, pairs[i][1]);
            pair(m, stored, canonical, i == 1 || i == 2 ? 1 : 2, dims[i]);
        }
    }
    pair(m, "ln_final", "final_layer_norm", 1, &w);
}

static void list_networks(maker *m) {
    if (m->networks & UNET) {
        m->stored = "model.diffusion_model.", m->canonical = "unet.";
        unet(m);
        /* What a training leaves in the file, and nobody reads. */
        static const char *const left[] = { "alphas_cumprod", "betas", "sqrt_alphas_cumprod" };
        for (int i = 0; i < 3; i++) {
            entry *e = append(m, left[i], "", 1, (int[]){ 1000 });
            if (e) e->raw = true, e->type = NN_F32;
        }
        entry *e = append(m, "model_ema.decay", "", 0, NULL);
        if (e) e->raw = true, e->type = NN_F32;
        append(m, "model_ema.diffusion_modelout2bias", "ema.out.2.bias", 1, (int[]){ 4 });
    }
    if (m->networks & VAE) m->stored = "first_stage_model.", m->canonical = "vae.", vae(m);
    if (m->networks & TEXT) {
        m->stored = m->family == 1 ? "cond_stage_model.transformer.text_model." : "cond_stage_model.model.", m->canonical = "text.";
        m->family == 1 ? clip(m) : open_clip(m);
    }
    if (m->networks & CONTROL) m->stored = m->prefix ? "control_model." : "", m->canonical = "control.", control(m);
}

static void list(maker *m) {
    list_networks(m);
    for (size_t i = 0; i < m->count; i++) reshape(m, &m->list[i]);
}

/* ---- values -------------------------------------------------------------------------------------------------------------------- */

static uint64_t splitmix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* To nearest, ties to even; |x| < 65504. */
static uint16_t to_f16(float x) {
    uint32_t b;
    memcpy(&b, &x, 4);
    uint32_t sign = b >> 16 & 0x8000, exponent = b >> 23 & 255, fraction = (b & 0x7FFFFF) | 0x800000;
    if (exponent < 102) return (uint16_t)sign;
    uint32_t shift = exponent < 113 ? 126 - exponent : 13, kept = fraction >> shift, rest = fraction & ((1u << shift) - 1), half = 1u << (shift - 1);
    kept += rest > half || (rest == half && (kept & 1));
    return (uint16_t)(sign | (exponent < 113 ? kept : kept + ((exponent - 113) << 10)));
}

static size_t elements(const entry *e) {
    size_t n = 1;
    for (int i = 0; i < e->rank; i++) n *= (size_t)e->dim[i];
    return n;
}
static size_t bytes_of(const entry *e) { return elements(e) * (e->i64 ? 8 : nn_type_bytes(e->type)); }

static void values(const maker *m, const entry *e, int part, size_t first, float *out, size_t n) {
    const char *name = e->canonical[part];
    size_t length = strlen(name);
    bool bias = length > 5 && !strcmp(name + length - 5, ".bias");
    double inputs = 1, base = 0, scale;
    for (int i = 1; i < e->rank; i++) inputs *= e->dim[i];
    if (bias) scale = 0.1f;
    else if (e->rank < 2) base = 1, scale = 0.2f;
    else scale = (float)sqrt(3 / inputs);
    uint64_t start = fnv(name) + m->seed;
    for (size_t i = 0; i < n; i++) {
        double u = (double)(int64_t)(splitmix(start + (first + i + 1) * 0x9E3779B97F4A7C15u) >> 40) / 8388608 - 1;
        out[i] = (float)(base + u * scale);
    }
}

static void write_tensor(const maker *m, file_writer *w, const entry *e) {
    enum { CHUNK = 65536 };
    static float x[CHUNK];
    static uint64_t narrow[CHUNK];
    size_t n = elements(e) / (size_t)e->parts, bytes = bytes_of(e) / elements(e);
    for (int p = 0; p < e->parts; p++)
        for (size_t at = 0, k; at < n; at += k) {
            k = n - at < CHUNK ? n - at : CHUNK;
            if (e->raw) for (size_t i = 0; i < k; i++) narrow[i] = e->i64 ? at + i : 0;
            else values(m, e, p, at, x, k);
            if (!e->raw && e->type == NN_F16) for (size_t i = 0; i < k; i++) ((uint16_t *)narrow)[i] = to_f16(x[i]);
            else if (!e->raw) nn_narrow(narrow, e->type, x, k);
            if (file_write(w, narrow, k * bytes) < 0) die(error_message());
        }
}

/* ---- the file ------------------------------------------------------------------------------------------------------------------ */

static char *header(const maker *m, size_t *size) {
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (!f) die("no memory");
    size_t at = 0;
    fputs("{", f);
    if (m->n_metadata) {
        fputs("\"__metadata__\":{", f);
        for (int i = 0; i < m->n_metadata; i++) {
            const char *equals = strchr(m->metadata[i], '=');
            if (!equals) die("--metadata wants KEY=VALUE");
            fprintf(f, "%s\"%.*s\":\"%s\"", i ? "," : "", (int)(equals - m->metadata[i]), m->metadata[i], equals + 1);
        }
        fputs("},", f);
    }
    for (size_t i = 0; i < m->count; i++) {
        const entry *e = &m->list[i];
        fprintf(f, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "", e->name,
                e->i64 ? "I64" : e->type == NN_F32 ? "F32" : e->type == NN_F16 ? "F16" : "BF16");
        for (int d = 0; d < e->rank; d++) fprintf(f, "%s%d", d ? "," : "", e->dim[d]);
        fprintf(f, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes_of(e));
        at += bytes_of(e);
    }
    fputs("}", f);
    while (ftell(f) % 8) fputc(' ', f);
    fclose(f);
    return text;
}

static void save(const maker *m, const char *path) {
    size_t size = 0;
    char *text = header(m, &size);
    uint64_t length = size;
    file_writer *w;
    if (file_create(path, &w) < 0 || file_write(w, &length, 8) < 0 || file_write(w, text, size) < 0) die(error_message());
    for (size_t i = 0; i < m->count; i++) write_tensor(m, w, &m->list[i]);
    if (file_commit(w, true) < 0) die(error_message());
    free(text);
}

static unsigned networks(const char *text) {
    static const char *const names[] = { "unet", "vae", "text", "control" };
    unsigned found = 0;
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        for (int i = 0; i < 4; i++)
            if (!strncmp(at, names[i], strlen(names[i])) && strchr(",", at[strlen(names[i])])) found |= 1u << i;
    return found;
}

static int type_of(const char *text) {
    static const char *const names[] = { "f32", "bf16", "f16", "mixed" };
    static const int types[] = { NN_F32, NN_BF16, NN_F16, MIXED };
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, names[i])) return types[i];
    die("--type f32, f16, bf16 or mixed");
}

int main(int argc, char **argv) {
    if (argc < 3) die("sd1|sd2|control1|control2 OUT.safetensors [--type f32|f16|bf16|mixed] [--parts unet,vae,text,control] [--prefix] [--real] "
                      "[--seed N] [--context N] [--vocabulary N] [--without NAME] [--shape NAME=N,N,...] [--metadata KEY=VALUE]");
    maker m = { .type = NN_F16, .vocabulary = 49408 };
    bool base = !strncmp(argv[1], "sd", 2), real = false;
    int context = 0;
    m.family = argv[1][0] ? argv[1][strlen(argv[1]) - 1] - '0' : 0;
    if ((m.family != 1 && m.family != 2) || (!base && strncmp(argv[1], "control", 7))) die("sd1, sd2, control1 or control2");
    m.networks = base ? UNET | VAE | TEXT : CONTROL;
    m.prefix = base;
    for (int i = 3; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--real")) { real = true; continue; }
        if (!strcmp(argv[i], "--prefix")) { m.prefix = true; continue; }
        if (!strcmp(argv[i], "--type")) m.type = type_of(value);
        else if (!strcmp(argv[i], "--parts")) m.networks = networks(value);
        else if (!strcmp(argv[i], "--seed")) m.seed = splitmix(strtoull(value, NULL, 10));
        else if (!strcmp(argv[i], "--context")) context = (int)strtol(value, NULL, 10);
        else if (!strcmp(argv[i], "--vocabulary")) m.vocabulary = (int)strtol(value, NULL, 10);
        else if (!strcmp(argv[i], "--without") && m.n_without < 16) m.without[m.n_without++] = value;
        else if (!strcmp(argv[i], "--shape") && m.n_shape < 16) m.shape[m.n_shape++] = value;
        else if (!strcmp(argv[i], "--metadata") && m.n_metadata < 16) m.metadata[m.n_metadata++] = value;
        else die("an unknown option");
        i++;
    }
    spec s = specs[real][m.family - 1];
    if (context) s.context = context;
    m.s = &s;
    list(&m);
    save(&m, argv[2]);
    free(m.list);
    return 0;
}
