/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/convert_folder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "weights/convert_tokenizer.h"
#include "weights/merges.h"

enum { MOST_FILES = 24, MOST_CONFIG = 64 << 20 };

typedef struct {
    const checkpoint *c;
    const mien_convert_options *o;
    convert_job *j;
    const char *vocabulary;                           /* the folder of CLIP's, or NULL */
    char root[PATH_MAX], output[PATH_MAX];            /* where it is made, and its true name; no slash at the end */
    char file[MOST_FILES][64];                        /* below it, as they were begun */
    int files;
    bool alone;                                       /* one network: no sub-folders */
} maker;

static const char *const folders[NETWORKS] = { "unet", "text_encoder", "vae", "controlnet" };

/* ---- places ------------------------------------------------------------------------------------------------------------------ */

static int too_long(const maker *m) { return error_set(ERR_IO, "%s: the path is too long", m->o->output); }

static int join(char out[PATH_MAX], const char *folder, const char *name) {
    int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return n >= 0 && n < PATH_MAX ? 0 : -1;
}

/* The path of a file to be made, with its folder. */
static int begin_file(maker *m, const char *folder, const char *name, char path[PATH_MAX]) {
    char *own = m->file[m->files], *slash;
    bool below = *folder && !m->alone;
    snprintf(own, sizeof m->file[0], "%s%s%s", below ? folder : "", below ? "/" : "", name);
    if (join(path, m->root, own) < 0) return too_long(m);
    m->files++;
    slash = strrchr(path, '/');
    *slash = 0;
    int rc = folder_make(path);
    *slash = '/';
    return rc;
}

static int save_text(maker *m, const char *folder, const char *name, const text *t) {
    char path[PATH_MAX];
    int rc = begin_file(m, folder, name, path);
    return rc < 0 ? rc : file_save(path, t->data, t->size);
}

/* A file of the input folder, as it is. 1; 0: it has none. */
static int copy_file(maker *m, const char *from_folder, const char *folder, const char *name) {
    char from[PATH_MAX], path[PATH_MAX];
    uint8_t *data;
    size_t size;
    if (join(from, from_folder, name) < 0 || access(from, F_OK) < 0) return 0;
    int rc = file_load(from, MOST_CONFIG, &data, &size);
    if (rc < 0) return rc;
    rc = begin_file(m, folder, name, path);
    if (rc == 0) rc = file_save(path, data, size);
    free(data);
    return rc < 0 ? rc : 1;
}

/* The same below the input, where that is a folder: in its component's folder, or at its top. */
static int copy_input(maker *m, const char *folder, const char *name) {
    char from[PATH_MAX];
    if (weights_format_of(m->c->file[0].w) != WEIGHTS_FOLDER) return 0;
    if (join(from, m->o->input, folder) < 0) return too_long(m);
    int rc = copy_file(m, from, folder, name);
    return rc == 0 && m->alone ? copy_file(m, m->o->input, folder, name) : rc;
}

/* ---- components ---------------------------------------------------------------------------------------------------------------- */

static int write_config(maker *m, network net, int layers) {
    text t = { 0 };
    int rc = copy_input(m, folders[net], "config.json");
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = net == NETWORK_VAE ? convert_config_vae(m->c, &t) : net == NETWORK_TEXT ? convert_config_text(m->c, layers, &t) : convert_config_unet(m->c, net, &t);
    if (rc == 0) rc = save_text(m, folders[net], "config.json", &t);
    text_free(&t);
    return rc;
}

static int write_network(maker *m, network net, tensor_list *l, int layers) {
    char path[PATH_MAX];
    int rc = write_config(m, net, layers);
    if (rc == 0) rc = begin_file(m, folders[net], net == NETWORK_TEXT ? "model.safetensors" : "diffusion_pytorch_model.safetensors", path);
    return rc < 0 ? rc : convert_output_save(l, path, false, 0, m->j);
}

static int copy_tokenizer(maker *m, const char *from) {
    static const char *const names[] = { "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json" };
    int rc = 0;
    for (int i = 0; rc >= 0 && i < 5; i++) rc = copy_file(m, from, "tokenizer", names[i]);
    return rc < 0 ? rc : 0;
}

/* Of a list of merges. */
static int make_tokenizer(maker *m, const char *data, size_t size, size_t count) {
    static const char *const names[] = { "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json" };
    text t[4] = { { 0 } };
    int rc = vocabulary_files(data, size, count, &t[0], &t[1]);
    if (rc == 0) rc = tokenizer_configs(m->c->settings.pad_token ? "<|endoftext|>" : "!", &t[2], &t[3]);
    for (int i = 0; rc == 0 && i < 4; i++) rc = save_text(m, "tokenizer", names[i], &t[i]);
    for (int i = 0; i < 4; i++) text_free(&t[i]);
    return rc;
}

/* Of CLIP's own vocabulary. */
static int make_clip(maker *m) {
    char path[PATH_MAX];
    uint8_t *data;
    size_t size;
    if (join(path, m->vocabulary, "bpe_simple_vocab_16e6.txt") < 0) return too_long(m);
    int rc = file_load(path, MOST_CONFIG, &data, &size);
    if (rc < 0) return rc;
    rc = make_tokenizer(m, (const char *)data, size, CLIP_MERGES);
    free(data);
    return rc;
}

/* The one that the file carries, the input folder's, else CLIP's own if the text encoder is for its vocabulary. */
static int write_tokenizer(maker *m, bool *there) {
    const parameter *p = checkpoint_part(m->c, NETWORK_TEXT, "embeddings.token_embedding.weight");
    const char *from = checkpoint_tokenizer(m->c);
    const char *merges = checkpoint_merges(m->c);
    *there = true;
    if (merges) return make_tokenizer(m, merges, strlen(merges), m->c->own_tokens - MERGES_BEFORE - 2);
    if (from) return copy_tokenizer(m, from);
    if (m->vocabulary && p && p->shape.dim[0] == 49408) return make_clip(m);
    return *there = false, 0;
}

static int write_scheduler(maker *m, const checkpoint_settings *s) {
    text t = { 0 };
    int rc = m->o->prediction == MIEN_PREDICTION_AUTO ? copy_input(m, "scheduler", "scheduler_config.json") : 0;
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = convert_config_scheduler(s, &t);
    if (rc == 0) rc = save_text(m, "scheduler", "scheduler_config.json", &t);
    text_free(&t);
    return rc;
}

static int write_index(maker *m, bool tokenizer) {
    text t = { 0 };
    int rc = convert_config_index(m->c, tokenizer, &t);
    if (rc == 0) rc = save_text(m, "", "model_index.json", &t);
    text_free(&t);
    return rc;
}

static int write_all(maker *m, tensor_list list[], const checkpoint_settings *s, int layers) {
    bool tokenizer = false, told = false;
    int rc = 0;
    char path[PATH_MAX];
    for (int n = 0; rc == 0 && n < NETWORKS; n++) {
        if (m->c->from[n] < 0) continue;
        bool tells = !told || n == NETWORK_CONTROL;   /* what the input's metadata say, once, and where a ControlNet may be taken out alone */
        rc = tells ? convert_output_metadata(&list[n], m->c, NULL) : tensor_list_metadata(&list[n], "format", "pt");
        told = true;
        if (rc == 0) rc = write_network(m, (network)n, &list[n], layers);
    }
    tensor_list *extra = &list[NETWORKS];
    if (rc == 0 && extra->count) {
        rc = tensor_list_metadata(extra, FORMAT_KEY, "1");
        if (rc == 0) rc = begin_file(m, "", EXTRA_FILE, path);
        if (rc == 0) rc = convert_output_save(extra, path, false, 0, m->j);
    }
    if (rc < 0 || m->alone) return rc;
    rc = write_tokenizer(m, &tokenizer);
    if (rc == 0) rc = write_scheduler(m, s);
    if (rc == 0) rc = write_index(m, tokenizer);
    if (rc == 0 && !tokenizer && m->c->from[NETWORK_TEXT] >= 0)
        convert_log(m->j, MIEN_LOG_WARNING, "there is no tokenizer beside the input: copy one (vocab.json, merges.txt) to %s/tokenizer to load the folder with diffusers", m->o->output);
    return rc;
}

/* ---- the folder ------------------------------------------------------------------------------------------------------------------ */

static int begin_root(maker *m) {
    size_t n = strlen(m->o->output);
    if (n >= sizeof m->output) return too_long(m);
    memcpy(m->output, m->o->output, n + 1);
    while (n > 1 && m->output[n - 1] == '/') m->output[--n] = 0;
    int fd = file_temporary(m->output, m->root);   /* takes a name that nobody has */
    if (fd < 0) return fd;
    close(fd);
    unlink(m->root);
    return mkdir(m->root, 0777) < 0 ? error_errno("%s", m->root) : 0;
}

static void remove_root(maker *m) {
    char path[PATH_MAX];
    for (int i = 0; i < m->files; i++)
        if (join(path, m->root, m->file[i]) == 0) {
            unlink(path);
            *strrchr(path, '/') = 0;
            if (strcmp(path, m->root) != 0) rmdir(path);
        }
    rmdir(m->root);
}

static int move_files(maker *m) {
    char from[PATH_MAX], to[PATH_MAX], *slash;
    int rc = 0;
    for (int i = 0; rc == 0 && i < m->files; i++) {
        if (join(from, m->root, m->file[i]) < 0 || join(to, m->output, m->file[i]) < 0) return too_long(m);
        if ((rc = folder_check_links(m->output, to)) < 0) break;
        slash = strrchr(to, '/');
        *slash = 0;
        rc = folder_make(to);
        *slash = '/';
        if (rc == 0 && rename(from, to) < 0) rc = error_errno("%s", to);
    }
    return rc;
}

int convert_folder_save(const checkpoint *c, tensor_list list[], const checkpoint_settings *s, int layers, const mien_convert_options *o, const char *vocabulary, convert_job *j) {
    maker *m = calloc(1, sizeof *m);
    if (!m) return error_memory(sizeof *m);
    *m = (maker){ .c = c, .o = o, .j = j, .vocabulary = vocabulary, .alone = checkpoint_has(c) == CHECKPOINT_CONTROL };
    struct stat there;
    int rc = begin_root(m);
    if (rc == 0) {
        rc = write_all(m, list, s, layers);
        if (rc == 0) rc = stat(m->output, &there) == 0 && o->force ? move_files(m) : file_rename_new(m->root, m->output);
        remove_root(m);   /* what is still there of it */
    }
    free(m);
    return rc;
}
