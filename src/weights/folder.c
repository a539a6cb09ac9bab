/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders as diffusers and transformers write them: a sub-folder a component, each with its config.json and its weights in one file or,
 * with an index, in several. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "weights/index.h"
#include "weights/weights_inside.h"

enum { MOST_JSON = 32 << 20, JSON_MEMORY = 128 << 20, PATH_ROOM = 4096 };

typedef struct {
    const char *name;
    const char *safetensors, *bin;      /* the weights' names without their ending */
    const char *classes[4];             /* of config.json: _class_name, or the first of "architectures" */
} component;

static const component components[] = {
    { "unet", "diffusion_pytorch_model", "diffusion_pytorch_model", { "UNet2DConditionModel" } },
    { "vae", "diffusion_pytorch_model", "diffusion_pytorch_model", { "AutoencoderKL" } },
    { "text_encoder", "model", "pytorch_model", { "CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel" } },
    { "controlnet", "diffusion_pytorch_model", "diffusion_pytorch_model", { "ControlNetModel" } },
};
enum { COMPONENTS = sizeof components / sizeof *components };

/* Without a variant first: that is what diffusers takes unless it is told, and it is never the less exact. */
static const char *const variants[] = { "", ".fp16", ".bf16", ".non_ema", ".ema" };
enum { VARIANTS = sizeof variants / sizeof *variants };

static bool is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int join(char out[PATH_ROOM], const char *folder, const char *name) {
    int n = snprintf(out, PATH_ROOM, "%s/%s", folder, name);
    return n > 0 && n < PATH_ROOM ? 0 : error_set(ERR_LIMIT, "%s: too long a path", folder);
}

/* A JSON file that may be missing: into w under the name `as`. */
static int read_json(weights *w, const char *path, const char *as) {
    uint8_t *data;
    size_t size;
    json *document;
    if (!is_file(path)) return 0;
    int rc = file_load(path, MOST_JSON, &data, &size);
    if (rc < 0) return rc;
    rc = json_parse(path, data, size, JSON_MEMORY, &document);
    free(data);
    return rc < 0 ? rc : weights_add_json(w, as, document);
}

/* ---- a component --------------------------------------------------------------------------------------------------------- */

/* Every tensor of the index must be where it says. */
static int check_shards(const weights *w, const char *what, const char *prefix, const weights_index *x, size_t first_source) {
    for (size_t i = 0; i < x->tensors; i++) {
        char name[1024];
        const struct index_tensor *t = &x->tensor[i];
        int n = snprintf(name, sizeof name, "%s%s", prefix, t->name);
        const stored_tensor *found = n > 0 && n < (int)sizeof name ? weights_find(w, name) : NULL;
        if (!found || weights_file_of(w, found) != weights_file(w, first_source + t->file))
            return error_set(ERR_FORMAT, "%s: tensor \"%.200s\" is not in %.100s, where it should be", what, t->name, x->file[t->file]);
    }
    return 0;
}

static int read_shards(weights *w, const char *folder, const char *index_path, const char *prefix) {
    char path[PATH_ROOM];
    uint8_t *data;
    size_t size, first = weights_files(w);
    weights_index x;
    int rc = file_load(index_path, MOST_JSON, &data, &size);
    if (rc < 0) return rc;
    rc = weights_index_read(index_path, data, size, &x);
    free(data);
    if (rc < 0) return rc;
    for (size_t i = 0; rc == 0 && i < x.files; i++) {
        rc = join(path, folder, x.file[i]);
        if (rc == 0 && !is_file(path)) rc = error_set(ERR_IO, "%s: names %s, which is not there", index_path, x.file[i]);
        if (rc == 0) rc = weights_read_file(w, path, prefix, NULL);
    }
    if (rc == 0) rc = weights_finish(w, folder);
    if (rc == 0) rc = check_shards(w, index_path, prefix, &x, first);
    weights_index_free(&x);
    return rc;
}

/* The k-th name that a component's weights may have, the best first. */
enum { NAMES = VARIANTS * 4 };
static void weights_name(const component *c, int k, char out[256], bool *is_index) {
    const char *variant = variants[k / 4], *ending = k % 4 < 2 ? "safetensors" : "bin", *base = k % 4 < 2 ? c->safetensors : c->bin;
    *is_index = k % 2;
    if (*is_index) snprintf(out, 256, "%s.%s.index%s.json", base, ending, variant);
    else snprintf(out, 256, "%s%s.%s", base, variant, ending);
}

static int read_component(weights *w, const component *c, const char *folder) {
    char path[PATH_ROOM], name[256], taken[256] = "", left[512] = "";
    bool is_index;
    char *prefix = arena_printf(&w->memory, "%s/", c->name), *config = arena_printf(&w->memory, "%s/config.json", c->name);
    int rc = prefix && config ? join(path, folder, "config.json") : ERR_MEMORY;
    if (rc == 0) rc = weights_json(w, config) ? 0 : read_json(w, path, config);
    for (int k = 0; rc == 0 && k < NAMES; k++) {
        weights_name(c, k, name, &is_index);
        rc = join(path, folder, name);
        if (rc < 0 || !is_file(path)) continue;
        if (*taken) {
            size_t n = strlen(left);
            snprintf(left + n, sizeof left - n, "%s%s", n ? ", " : "", name);
            continue;
        }
        strcpy(taken, name);
        rc = is_index ? read_shards(w, folder, path, prefix) : weights_read_file(w, path, prefix, NULL);
    }
    if (rc == 0 && !*taken) rc = weights_add_note(w, "%s: there are no weights (%s.safetensors or %s.bin)", folder, c->safetensors, c->bin);
    if (rc == 0 && *left) rc = weights_add_note(w, "%s: %s was read, and not %s", folder, taken, left);
    return rc;
}

/* ---- a folder ------------------------------------------------------------------------------------------------------------ */

static const char *class_of(const json *config) {
    json_at root = json_root(config), at, first;
    const char *name = NULL;
    size_t n;
    if (json_need_object(&root) < 0) return NULL;
    if (json_field(&root, "_class_name", &at) && json_has_text(&at) && json_need_string(&at, &name) == 0) return name;
    if (!json_field(&root, "architectures", &at) || json_need_array(&at, 1, SIZE_MAX, &n) < 0) return NULL;
    first = json_item(&at, 0);
    return json_has_text(&first) && json_need_string(&first, &name) == 0 ? name : NULL;
}

static const component *component_of(const char *class) {
    for (size_t i = 0; class && i < COMPONENTS; i++)
        for (size_t k = 0; k < 4 && components[i].classes[k]; k++)
            if (strcmp(components[i].classes[k], class) == 0) return &components[i];
    return NULL;
}

/* Its config.json says what it is; moved to where a component's is. */
static int read_alone(weights *w, const char *folder) {
    char path[PATH_ROOM];
    int rc = join(path, folder, "config.json");
    if (rc == 0) rc = read_json(w, path, "config.json");
    if (rc < 0) return rc;
    const json *config = weights_json(w, "config.json");
    const char *class = class_of(config);
    const component *c = component_of(class);
    if (!c)
        return error_set(ERR_UNSUPPORTED, "%s: config.json says %s%.100s, which mien does not use (a ControlNetModel, UNet2DConditionModel, AutoencoderKL or CLIPTextModel was expected)",
                         folder, class ? "it is a " : "not what it is", class ? class : "");
    w->json[w->json_count - 1].path = arena_printf(&w->memory, "%s/config.json", c->name);
    return w->json[w->json_count - 1].path ? read_component(w, c, folder) : ERR_MEMORY;
}

static int read_settings(weights *w, const char *folder) {
    static const char *const names[] = { "model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json" };
    char path[PATH_ROOM];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
        rc = join(path, folder, names[i]);
        if (rc == 0) rc = read_json(w, path, names[i]);
    }
    return rc;
}

static int read_components(weights *w, const char *folder) {
    char path[PATH_ROOM];
    int rc = read_settings(w, folder);
    for (size_t i = 0; rc == 0 && i < COMPONENTS; i++) {
        rc = join(path, folder, components[i].name);
        if (rc == 0 && is_folder(path)) rc = read_component(w, &components[i], path);
    }
    return rc;
}

static bool is_model_name(const char *name) {
    const char *ending = strrchr(name, '.');
    return ending && (strcmp(ending, ".safetensors") == 0 || strcmp(ending, ".ckpt") == 0 || strcmp(ending, ".pth") == 0);
}

/* Of `mien train`; the model beside its checkpoints is the one that it began with. */
static bool is_run(const char *folder) {
    char path[PATH_ROOM];
    struct stat st;
    return join(path, folder, "settings.json") == 0 && stat(path, &st) == 0 && join(path, folder, "checkpoints") == 0 && is_folder(path);
}

/* Of `mien train`: what its files are for. */
static int refuse_checkpoint(const char *folder) {
    static const struct { const char *name, *is; } files[] = { { "control.safetensors", "the ControlNet" }, { "base.safetensors", "the base" } };
    char path[PATH_ROOM], said[128] = "";
    for (size_t i = 0, n = 0; i < 2; i++)
        if (join(path, folder, files[i].name) == 0 && is_file(path))
            n += (size_t)snprintf(said + n, sizeof said - n, "%s%s is %s", n ? ", " : "", files[i].name, files[i].is);
    return error_set(ERR_UNSUPPORTED, "%s: is a checkpoint of a training run: name a file in it%s%s", folder, *said ? ": " : "", said);
}

/* No folder of ours; if there is a model in it, its name helps. */
static int refuse(const char *folder) {
    char found[256] = "";
    DIR *dir = opendir(folder);
    if (!dir) return error_errno("%s", folder);
    const struct dirent *e;
    int rc;
    while ((rc = folder_next(dir, folder, &e)) == 1)
        if (is_model_name(e->d_name) && (!*found || strcmp(e->d_name, found) < 0)) snprintf(found, sizeof found, "%s", e->d_name);
    closedir(dir);
    if (rc < 0) return rc;
    char list[PATH_ROOM];
    if (join(list, folder, "checkpoint.json") == 0 && is_file(list)) return refuse_checkpoint(folder);
    if (is_run(folder)) return error_set(ERR_UNSUPPORTED, "%s: is the folder of a training run: a model is in each of its checkpoints (`mien info` of it names the newest)", folder);
    return error_set(ERR_UNSUPPORTED, "%s: is no diffusers folder (with unet/, vae/, text_encoder/ or controlnet/, or with the config.json of one of them)%s%.200s%s",
                     folder, *found ? "; did you mean the file " : "", found, *found ? " in it?" : "");
}

int folder_read(weights *w, const char *folder) {
    char path[PATH_ROOM];
    bool parts = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < COMPONENTS; i++) {
        rc = join(path, folder, components[i].name);
        parts |= rc == 0 && is_folder(path);
    }
    if (rc < 0) return rc;
    if (parts) rc = read_components(w, folder);
    else if ((rc = join(path, folder, "config.json")) == 0) rc = is_file(path) ? read_alone(w, folder) : refuse(folder);
    if (rc == 0 && weights_files(w) == 0)
        rc = error_set(ERR_FORMAT, "%s%s", weights_note(w, 0), w->json_count ? "; of config files alone `mien init --scratch` makes a base" : "");
    return rc;
}
