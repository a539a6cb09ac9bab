/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "weights/convert_inside.h"
#include "weights/merges.h"
#include "weights/settings_metadata.h"

/* ---- telling ------------------------------------------------------------------------------------------------------------ */

void convert_begin(convert_job *j, const mien_hooks *hooks) { *j = (convert_job){ .hooks = hooks, .begin = clock_seconds() }; }

static void tell(convert_job *j, double now) {
    j->told = now;
    j->progress.total = (j->total + 999999) / 1000000;
    j->progress.done = j->bytes == j->total ? j->progress.total : j->bytes / 1000000;
    j->progress.seconds = now - j->begin;
    if (j->hooks->progress) j->hooks->progress(j->hooks->context, &j->progress);
}

void convert_moved(void *context, size_t bytes) {
    convert_job *j = context;
    double now = clock_seconds();
    j->bytes += bytes;
    if (now - j->told > 0.1) tell(j, now);
}

void convert_end(convert_job *j) { tell(j, clock_seconds()); }

void convert_log(const convert_job *j, mien_log_kind kind, const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (j->hooks->log) j->hooks->log(j->hooks->context, kind, NULL, line);
}

/* ---- outputs -------------------------------------------------------------------------------------------------------------- */

/* Endings by which others take a file for PyTorch's own. */
static bool is_torch_name(const char *path) {
    static const char *const endings[] = { ".ckpt", ".pth", ".pt", ".bin" };
    size_t n = strlen(path);
    for (int i = 0; i < 4; i++) {
        size_t k = strlen(endings[i]);
        if (n > k && strcasecmp(path + n - k, endings[i]) == 0) return true;
    }
    return false;
}

int convert_output_check(const char *output, bool folder, bool force, const char *const inputs[], int n) {
    if (!folder && is_torch_name(output))
        return error_set(ERR_USAGE, "%s: what is written is safetensors, which others would not look for in a file of that name: let it end in .safetensors", output);
    int rc = output_refuse(output, &(output_rules){ .folder = folder, .force = force, .inputs = inputs, .n_inputs = n, .apart = true });
    if (rc == 0) file_remove_leftovers_of(output);
    return rc;
}

int convert_check_shapes(const convert_job *j, const checkpoint *c, unsigned networks, checkpoint_shapes shapes) {
    for (int n = 0; n < NETWORKS; n++) {
        if (!(networks & 1u << n) || c->from[n] < 0 || checkpoint_complete(c, (network)n) < 0) continue;
        const char *path = weights_path(c->file[c->from[n]].w);
        int rc = shapes(c, 1u << n);
        if (rc == ERR_UNSUPPORTED || rc == ERR_LIMIT) convert_log(j, MIEN_LOG_WARNING, "%s: the %s can't be used to generate: %s", path, network_titles[n], error_message());
        else if (rc < 0) return error_prefix("%s", path);
    }
    return 0;
}

static const char *ldm_prefix(network net, int family) {
    static const char *const prefixes[NETWORKS] = { "model.diffusion_model.", NULL, "first_stage_model.", "control_model." };
    return net != NETWORK_TEXT ? prefixes[net] : family == 1 ? "cond_stage_model.transformer.text_model." : "cond_stage_model.model.";
}

bool convert_ldm_name(const name_source *from, int family, network net, const char *rest, const char *canonical, char out[2 * NAME_MOST]) {
    int n;
    char name[NAME_MOST];
    bool ldm = from->style == STYLE_LDM || (*from->prefix && strncmp(from->prefix, "cond_stage_model.", 17) == 0);
    if (ldm) n = snprintf(out, 2 * NAME_MOST, "%s%s", *from->prefix ? from->prefix : ldm_prefix(net, family), rest);
    else if (net == NETWORK_TEXT && family == 2) {
        const name_map openclip = { .net = NETWORK_TEXT, .style = STYLE_OPENCLIP };
        int part;
        if (!name_from_canonical(&openclip, canonical, name, &part)) return false;
        n = snprintf(out, 2 * NAME_MOST, "%s%s", ldm_prefix(net, family), name);
    } else n = snprintf(out, 2 * NAME_MOST, "%s%s", ldm_prefix(net, family), canonical);
    return n >= 0 && n < 2 * NAME_MOST;
}

stored_type convert_output_type(stored_type own, mien_dtype wish) {
    if (wish == MIEN_DTYPE_AUTO || !stored_is_float(own)) return own;
    return wish == MIEN_DTYPE_F32 ? STORED_F32 : wish == MIEN_DTYPE_F16 ? STORED_F16 : STORED_BF16;
}

int convert_carry(tensor_list *l, const weights *w) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && w && i < weights_metadata_count(w); i++) {
        const char *key = weights_metadata_key(w, i);
        if (!settings_is_key(key) && strcmp(key, FORMAT_KEY) != 0 && strcmp(key, MERGES_KEY) != 0) rc = tensor_list_metadata(l, key, weights_metadata(w, key));
    }
    return rc;
}

static bool has_text(const tensor_list *l) {
    for (size_t i = 0; i < l->count; i++)
        if (strncmp(l->item[i].name, "cond_stage_model.", 17) == 0) return true;
    return false;
}

/* Of others, and carried on as it is: ours comes before it. */
static bool has_resolution(const checkpoint *c) {
    for (int k = 0; k < CHECKPOINT_FILES; k++)
        if (c->file[k].w && weights_metadata(c->file[k].w, "modelspec.resolution")) return true;
    return false;
}

int convert_output_metadata(tensor_list *l, const checkpoint *c, const checkpoint_settings *s) {
    checkpoint_settings family = checkpoint_family_settings(c->settings.family);
    int rc = tensor_list_metadata(l, FORMAT_KEY, "1");
    for (size_t i = 0; rc == 0 && s && i < settings_fields(); i++) {
        char value[SETTING_TEXT];
        /* How many layers are not computed can't be guessed where a folder's were cut already. */
        bool skip = strcmp(settings_key(i), "mien.text_skip") == 0;
        bool contradicts = strcmp(settings_key(i), "mien.sample_size") == 0 && has_resolution(c);
        if (skip ? s->family != 2 || !has_text(l) : settings_same(s, &family, i) && !contradicts) continue;
        settings_write(s, i, value);
        rc = tensor_list_metadata(l, settings_key(i), value);
    }
    for (int k = 0; rc == 0 && k < CHECKPOINT_FILES; k++) rc = convert_carry(l, c->file[k].w);
    if (rc == 0 && has_text(l)) rc = merges_carry(l, c);
    return rc < 0 ? rc : tensor_list_metadata(l, "format", "pt");
}

int convert_output_save(const tensor_list *l, const char *path, bool replace, uint64_t seed, convert_job *j) {
    tensor_list_target t = { .path = path, .replace = replace, .seed = seed, .hooks = j->hooks, .moved = convert_moved, .context = j };
    return tensor_list_save(l, &t);
}
