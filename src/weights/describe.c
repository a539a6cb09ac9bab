/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/describe.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "weights/checkpoint_inside.h"
#include "weights/merges.h"

enum { MOST_METADATA = 60, MOST_VALUE = 200 };

typedef struct { void (*line)(void *context, const char *text); void *context; } listener;

__attribute__((format(printf, 2, 3))) static void tell(const listener *l, const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    l->line(l->context, line);
}

/* "1.2 GB", "34.5 MB", "678 bytes" */
static const char *bytes_text(char out[32], uint64_t n) {
    if (n >= 1000000000) snprintf(out, 32, "%.2f GB", (double)n * 1e-9);
    else if (n >= 1000000) snprintf(out, 32, "%.1f MB", (double)n * 1e-6);
    else if (n >= 10000) snprintf(out, 32, "%.1f kB", (double)n * 1e-3);
    else snprintf(out, 32, "%" PRIu64 " bytes", n);
    return out;
}

static const char *count_text(char out[32], uint64_t n) {
    if (n >= 1000000) snprintf(out, 32, "%.1f M", (double)n * 1e-6);
    else snprintf(out, 32, "%" PRIu64, n);
    return out;
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

/* ---- any file of tensors ---------------------------------------------------------------------------------------------------- */

static const char *format_name(const weights *w) {
    static const char *const names[] = { [WEIGHTS_SAFETENSORS] = "safetensors", [WEIGHTS_PICKLE] = "PyTorch checkpoint", [WEIGHTS_FOLDER] = "diffusers folder" };
    return names[weights_format_of(w)];
}

static uint64_t file_bytes(const weights *w) {
    uint64_t n = 0;
    for (size_t i = 0; i < weights_files(w); i++) n += weights_file_size(w, i);
    return n;
}

static void tell_head(const listener *l, const weights *w, const char *what) {
    char size[32];
    size_t files = weights_files(w);
    char several[32] = "";
    if (files > 1) snprintf(several, sizeof several, " in %zu files", files);
    tell(l, "%s: %s, %s%s, %zu tensor%s%s%s", weights_path(w), format_name(w), bytes_text(size, file_bytes(w)), several, weights_count(w), plural(weights_count(w)),
         *what ? ": " : "", what);
}

/* Types with their numbers of tensors: "F16 (686), I64 (1)" */
static void types_text(const size_t count[STORED_TYPES], text *out) {
    int kinds = 0;
    for (int t = 0; t < STORED_TYPES; t++) kinds += count[t] > 0;
    for (int t = 0, shown = 0; t < STORED_TYPES; t++) {
        if (!count[t]) continue;
        text_printf(out, "%s%s", shown++ ? ", " : "", stored_type_name((stored_type)t));
        if (kinds > 1) text_printf(out, " (%zu)", count[t]);
    }
}

static void tell_metadata(const listener *l, const weights *w) {
    size_t n = weights_metadata_count(w);
    for (size_t i = 0; i < n && i < MOST_METADATA; i++) {
        const char *key = weights_metadata_key(w, i), *value = weights_metadata(w, key);
        int shown = (int)(strlen(value) < MOST_VALUE ? strlen(value) : MOST_VALUE);
        if (strcmp(key, MERGES_KEY) != 0) tell(l, "  metadata: %.100s = %.*s%s", key, shown, value, value[shown] ? "..." : "");
    }
    if (n > MOST_METADATA) tell(l, "  metadata: %zu more", n - MOST_METADATA);
}

static void tell_notes(const listener *l, const weights *w) {
    for (size_t i = 0; i < weights_notes(w); i++) tell(l, "  note: %s", error_without_path(weights_note(w, i), weights_path(w)));
}

/* Of what is no model of ours: what can be said of any. */
static int tell_other(const listener *l, const char *path, const char *why) {
    weights *w;
    text types = { 0 };
    size_t count[STORED_TYPES] = { 0 };
    uint64_t numbers = 0;
    char total[32];
    int rc = weights_open(path, &w);
    if (rc < 0) return rc;
    for (size_t i = 0; i < weights_count(w); i++) {
        const stored_tensor *t = weights_tensor(w, i);
        count[t->type]++;
        numbers += t->bytes / stored_type_bytes(t->type);
    }
    types_text(count, &types);
    rc = text_check(&types);
    tell_head(l, w, "");
    if (rc == 0 && weights_count(w)) tell(l, "  %s numbers, %s; the first tensor is \"%.200s\"", count_text(total, numbers), types.data, weights_tensor(w, 0)->name);
    tell(l, "  can't be used to generate or train: %s", error_without_path(why, path));
    tell_metadata(l, w);
    tell_notes(l, w);
    text_free(&types);
    weights_close(w);
    return rc;
}

/* ---- models ------------------------------------------------------------------------------------------------------------------- */

static const char *kind_of(unsigned has) {
    if ((has & CHECKPOINT_UNET) && (has & CHECKPOINT_CONTROL)) return "base and ControlNet in one";
    if (has & CHECKPOINT_UNET) return (has & CHECKPOINT_TEXT) && (has & CHECKPOINT_VAE) ? "base" : "base, not whole";
    return has & CHECKPOINT_CONTROL ? "ControlNet alone" : has == CHECKPOINT_VAE ? "VAE alone" : has == CHECKPOINT_TEXT ? "text encoder alone" : "parts of a base";
}

/* By the context's width, whatever layout it is in; the settings of small models are those of either. */
static const char *family_text(const checkpoint *c, char out[64]) {
    static const network order[] = { NETWORK_UNET, NETWORK_CONTROL, NETWORK_TEXT };
    size_t width = 0;
    for (size_t i = 0; i < 3 && !width; i++) width = checkpoint_width(c, order[i]);
    if (width && width != 768 && width != 1024) snprintf(out, 64, "of Stable Diffusion's kind, in a size of its own");
    else snprintf(out, 64, "Stable Diffusion %d.x", c->settings.family);
    return out;
}

static void tell_kind(const listener *l, const checkpoint *c, const weights *w) {
    static const network parts[] = { NETWORK_UNET, NETWORK_TEXT, NETWORK_VAE };
    unsigned has = checkpoint_has(c);
    char what[256], family[64];
    int n = 0;
    if (has & ~(unsigned)CHECKPOINT_VAE) n = snprintf(what, sizeof what, "%s, ", family_text(c, family));
    n += snprintf(what + n, sizeof what - (size_t)n, "%s", kind_of(has));
    for (size_t i = 0; (has & CHECKPOINT_UNET) && i < 3; i++)
        if (!(has & 1u << parts[i])) n += snprintf(what + n, sizeof what - (size_t)n, ", without %s", network_titles[parts[i]]);
    tell_head(l, w, what);
}

static const char *style_text(const name_source *s, char out[128]) {
    static const char *const names[] = { [STYLE_LDM] = "original", [STYLE_DIFFUSERS] = "diffusers", [STYLE_HF] = "transformers", [STYLE_OPENCLIP] = "OpenCLIP" };
    if (*s->prefix) snprintf(out, 128, "%s names under %s", names[s->style], s->prefix);
    else snprintf(out, 128, "%s names without a prefix", names[s->style]);
    return out;
}

/* Whether all of it is there and fits together, and if not, what does not. */
static void tell_whole(const listener *l, const checkpoint *c, network net, checkpoint_shapes shapes) {
    const char *path = weights_path(c->file[c->from[net]].w), *title = network_titles[net];
    if (checkpoint_complete(c, net) < 0) {
        tell(l, "  %s: is not whole: %s", title, error_without_path(error_message(), path));
        return;
    }
    int rc = shapes(c, 1u << net);
    if (rc == ERR_UNSUPPORTED || rc == ERR_LIMIT) tell(l, "  %s: can't be used to generate: %s", title, error_message());
    else if (rc < 0) tell(l, "  %s: does not fit together: %s", title, error_message());
    else tell(l, "  %s: is whole, and its tensors fit together", title);
}

static void tell_network(const listener *l, const checkpoint *c, network net, checkpoint_shapes shapes) {
    const model_file *f = &c->file[c->from[net]];
    size_t tensors = 0, count[STORED_TYPES] = { 0 };
    uint64_t numbers = 0;
    char total[32], style[128], width[64] = "";
    text types = { 0 };
    for (size_t i = 0; i < weights_count(f->w); i++) {
        const stored_tensor *t = weights_tensor(f->w, i);
        model_place at;
        if (!model_file_place(f, t->name, &at) || at.net != net) continue;
        count[t->type]++;
        tensors++;
        numbers += t->bytes / stored_type_bytes(t->type);
    }
    types_text(count, &types);
    if (net != NETWORK_VAE && checkpoint_width(c, net))
        snprintf(width, sizeof width, ", %s %zu wide", net == NETWORK_TEXT ? "embeddings" : "context", checkpoint_width(c, net));
    if (text_check(&types) == 0 && tensors)
        tell(l, "  %s: %s parameters in %zu tensor%s, %s%s; %s", network_titles[net], count_text(total, numbers), tensors, plural(tensors), types.data, width,
             style_text(&f->sources.source[f->best[net]], style));
    text_free(&types);
    tell_whole(l, c, net, shapes);
}

static void tell_rest(const listener *l, const checkpoint *c, const weights *w) {
    const model_file *f = &c->file[0];
    size_t kinds[4] = { 0 };
    for (size_t i = 0; i < weights_count(w); i++) {
        model_place at;
        const char *name = weights_tensor(w, i)->name;
        if (!model_file_place(f, name, &at)) kinds[name_key_of(name)]++;
    }
    size_t all = kinds[KEY_OTHER] + kinds[KEY_EMA] + kinds[KEY_SCHEDULE] + kinds[KEY_POSITION_IDS];
    if (all)
        tell(l, "  not used: %zu tensor%s (moving averages %zu, schedule %zu, position ids %zu, other %zu)", all, plural(all), kinds[KEY_EMA], kinds[KEY_SCHEDULE],
             kinds[KEY_POSITION_IDS], kinds[KEY_OTHER]);
}

static void tell_settings(const listener *l, const checkpoint *c) {
    const checkpoint_settings *s = &c->settings;
    unsigned has = checkpoint_has(c);
    if (has & CHECKPOINT_UNET) {
        if (s->prediction == PREDICT_UNKNOWN)
            tell(l, "  prediction: epsilon or v: the tensors do not tell; generate finds out, or --prediction says");
        else tell(l, "  prediction: %s (from %s)", s->prediction == PREDICT_V ? "v" : "epsilon", s->prediction_source);
    }
    if (has & (CHECKPOINT_UNET | CHECKPOINT_CONTROL)) {
        if (s->heads) tell(l, "  attention: %d heads", s->heads);
        else tell(l, "  attention: heads %d wide", s->head_width);
    }
    if (s->sample_size && (has & CHECKPOINT_UNET)) tell(l, "  made for: %d x %d pixels", s->sample_size * 8, s->sample_size * 8);
    if (s->trained_base) tell(l, "  trained together with a base: that of the short hash %.40s", s->trained_base);
    if (s->only_mid_control) tell(l, "  only_mid_control: the ControlNet steers the middle block alone");
    if (checkpoint_merges(c)) tell(l, "  tokenizer: its own, %zu tokens", c->own_tokens);
    else if (checkpoint_tokenizer(c)) tell(l, "  tokenizer: in %s", checkpoint_tokenizer(c));
    tell(l, "  licence: %.200s", s->licence ? s->licence : "not told");
}

int weights_describe(const char *path, checkpoint_shapes shapes, void (*line)(void *context, const char *text), void *context) {
    listener l = { line, context };
    checkpoint *c;
    char why[1024];
    int rc = checkpoint_open(path, NULL, 0, &c);
    if (rc == ERR_MEMORY) return rc;
    if (rc < 0) {
        snprintf(why, sizeof why, "%s", error_message());
        return tell_other(&l, path, why);
    }
    const weights *w = c->file[0].w;
    tell_kind(&l, c, w);
    for (int n = 0; n < NETWORKS; n++)
        if (c->from[n] >= 0) tell_network(&l, c, (network)n, shapes);
    tell_rest(&l, c, w);
    tell_settings(&l, c);
    tell_metadata(&l, w);
    tell_notes(&l, w);
    checkpoint_close(c);
    return 0;
}
