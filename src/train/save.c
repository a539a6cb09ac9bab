/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a checkpoint. (Reading: save_load.c. Which are kept: save_keep.c.) */
#define _GNU_SOURCE
#include "train/save.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "nn/halves.h"
#include "train/save_inside.h"
#include "weights/rewrite.h"
#include "weights/safetensors_write.h"

int save_path(char out[PATH_MAX], const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, PATH_MAX, format, args);
    va_end(args);
    return n < 0 || n >= PATH_MAX ? error_set(ERR_IO, "%.200s...: the path is too long", out) : 0;
}

const char *save_inner(const char *message, const char *folder) {
    size_t n = strlen(folder);
    return strncmp(message, folder, n) == 0 && message[n] == '/' ? message + n + 1 : message;
}

int save_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
    if (fd < 0) return error_errno("%s", path);
    /* Some file systems cannot sync folders, and say EINVAL. */
    if (fsync(fd) < 0 && errno != EINVAL && errno != ENOSYS) rc = error_errno("%s", path);
    close(fd);
    return rc;
}

/* ---- what goes where ----------------------------------------------------------------------------------------------------- */

static bool is_control(const char *name) { return strncmp(name, "control.", 8) == 0; }
static bool is_kind(const save_state *s, const char *kind) { return strcmp(s->kind, kind) == 0; }

int save_place(const save_contents *what, const save_state *s) {
    bool exact = what->dtype == MIEN_DTYPE_AUTO || what->dtype == MIEN_DTYPE_F32;
    if (!exact || !is_control(s->name)) return SAVE_STATE;
    return is_kind(s, "weight") ? SAVE_CONTROL : is_kind(s, "average") ? SAVE_AVERAGE : SAVE_STATE;
}

void save_name(int place, const save_state *s, char out[SAVE_NAME]) {
    if (place == SAVE_STATE) snprintf(out, SAVE_NAME, "%.64s.%.400s", s->kind, s->name);
    else snprintf(out, SAVE_NAME, "%.400s", s->name + strlen("control."));
}

/* Which model files there are to write. */
static void choose_files(const save_contents *what, bool has[SAVE_FILES]) {
    memset(has, 0, SAVE_FILES * sizeof *has);
    has[SAVE_STATE] = true;
    for (size_t i = 0; i < what->n_states; i++) {
        const save_state *s = &what->states[i];
        if (is_kind(s, "weight")) has[is_control(s->name) ? SAVE_CONTROL : SAVE_BASE] = true;
        if (is_kind(s, "average")) has[is_control(s->name) ? SAVE_AVERAGE : SAVE_BASE_AVERAGE] = true;
    }
}

/* ---- models ---------------------------------------------------------------------------------------------------------------- */

/* States of one kind by name. */
typedef struct { const save_state **sorted; size_t count; } lookup;

static int by_name(const void *a, const void *b) { return strcmp((*(const save_state *const *)a)->name, (*(const save_state *const *)b)->name); }

static int lookup_new(const save_contents *what, const char *kind, lookup *out) {
    *out = (lookup){ malloc((what->n_states + 1) * sizeof *out->sorted), 0 };
    if (!out->sorted) return error_memory(what->n_states * sizeof *out->sorted);
    for (size_t i = 0; i < what->n_states; i++)
        if (is_kind(&what->states[i], kind)) out->sorted[out->count++] = &what->states[i];
    if (out->count) qsort(out->sorted, out->count, sizeof *out->sorted, by_name);
    return 0;
}

static rewrite_numbers find_numbers(void *context, const char *canonical) {
    const lookup *l = context;
    const save_state key = { .name = canonical }, *k = &key;
    const save_state **s = l->count ? bsearch(&k, l->sorted, l->count, sizeof *l->sorted, by_name) : NULL;
    assert(!s || (*s)->type == STORED_F32);
    return s ? (rewrite_numbers){ (*s)->data, (*s)->low } : (rewrite_numbers){ NULL, NULL };
}

/* The tensors of a model file. */
static int list_model(const save_contents *what, int file, const char *trained_base, lookup *l, tensor_list *out) {
    mien_dtype dtype = what->dtype == MIEN_DTYPE_AUTO ? MIEN_DTYPE_F32 : what->dtype;
    bool base = file == SAVE_BASE || file == SAVE_BASE_AVERAGE;
    int rc = lookup_new(what, file == SAVE_AVERAGE || file == SAVE_BASE_AVERAGE ? "average" : "weight", l);
    if (rc < 0) return rc;
    for (size_t i = 0; rc == 0 && !base && i < what->n_metadata; i++) rc = tensor_list_metadata(out, what->metadata[i].key, what->metadata[i].value);
    if (rc == 0 && !base && *trained_base) rc = tensor_list_metadata(out, "mien.base", trained_base);
    if (rc < 0) return rc;
    return (base ? rewrite_base : rewrite_control)(what->model, find_numbers, l, dtype, out);
}

static int write_model(const save_contents *what, int file, const char *trained_base, const char *path) {
    lookup l;
    tensor_list list = { 0 };
    int rc = list_model(what, file, trained_base, &l, &list);
    if (rc == 0) rc = tensor_list_save(&list, &(tensor_list_target){ .path = path });
    tensor_list_free(&list);
    free(l.sorted);
    return rc;
}

/* ---- states ---------------------------------------------------------------------------------------------------------------- */

static stored_tensor tensor_of(const save_state *s, const char *name) {
    stored_tensor t = { .name = name, .type = s->type, .rank = s->shape.rank };
    memcpy(t.dim, s->shape.dim, sizeof s->shape.dim);
    return t;
}

static size_t bytes_of(const save_state *s) { return shape_elements(s->shape) * stored_type_bytes(s->type); }

/* Numbers of what is declared: states count from 0, values behind them. */
static int declare_states(const save_contents *what, safetensors_writer *w, size_t *which, size_t *n) {
    char name[SAVE_NAME];
    int rc = safetensors_metadata(w, "mien.format", "1");
    for (size_t i = 0; rc == 0 && i < what->n_states; i++) {
        const save_state *s = &what->states[i];
        if (save_place(what, s) != SAVE_STATE) continue;
        save_name(SAVE_STATE, s, name);
        stored_tensor t = tensor_of(s, name);
        rc = safetensors_declare(w, &t);
        which[(*n)++] = i;
    }
    for (size_t i = 0; rc == 0 && i < what->n_values; i++) {
        snprintf(name, sizeof name, "run.%.400s", what->values[i].name);
        stored_tensor t = { .name = name, .type = STORED_U8, .rank = 1, .dim = { what->values[i].bytes } };
        rc = safetensors_declare(w, &t);
        which[(*n)++] = what->n_states + i;
    }
    return rc;
}

static int write_state(safetensors_writer *w, const save_state *s) {
    enum { PIECE = 4096 };
    float x[PIECE];
    int rc = 0;
    if (!s->low) return safetensors_write(w, s->data, bytes_of(s));
    for (size_t at = 0, n = shape_elements(s->shape), k; rc == 0 && at < n; at += k) {
        k = n - at < PIECE ? n - at : PIECE;
        halves_join(x, (const uint16_t *)s->data + at, s->low + at, k);
        rc = safetensors_write(w, x, k * sizeof *x);
    }
    return rc;
}

static int write_states(const save_contents *what, const char *path) {
    safetensors_writer *w = NULL;
    size_t n = 0, *which = malloc((what->n_states + what->n_values + 1) * sizeof *which);
    if (!which) return error_memory((what->n_states + what->n_values) * sizeof *which);
    int rc = safetensors_create(path, &w);
    if (rc == 0) rc = declare_states(what, w, which, &n);
    if (rc == 0) rc = safetensors_begin(w);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t k = which[safetensors_at(w, i)];
        if (k < what->n_states) rc = write_state(w, &what->states[k]);
        else rc = safetensors_write(w, what->values[k - what->n_states].data, what->values[k - what->n_states].bytes);
    }
    free(which);
    if (rc == 0) return safetensors_commit(w, false);
    safetensors_abandon(w);
    return rc;
}

/* ---- a checkpoint ------------------------------------------------------------------------------------------------------------ */

/* By which a picture names it, as generate does: "" if there is none. */
static int hash_trained_base(const save_list *l, int file, const char *folder, char out[11]) {
    int base = file == SAVE_CONTROL ? SAVE_BASE : SAVE_BASE_AVERAGE;
    char path[PATH_MAX], hex[65];
    *out = 0;
    if ((file != SAVE_CONTROL && file != SAVE_AVERAGE) || !l->has[base]) return 0;
    int rc = save_path(path, "%s/%s", folder, save_names[base]);
    if (rc == 0) rc = file_hash(path, hex);   /* 1: it is there */
    if (rc == 1) snprintf(out, 11, "%.10s", hex);
    return rc < 0 ? rc : 0;
}

static int write_file(const save_contents *what, int file, const char *folder, save_list *l) {
    char path[PATH_MAX], trained_base[11];
    int rc = hash_trained_base(l, file, folder, trained_base);
    if (rc == 0) rc = save_path(path, "%s/%s", folder, save_names[file]);
    if (rc == 0) rc = file == SAVE_STATE ? write_states(what, path) : write_model(what, file, trained_base, path);
    if (rc == 0) rc = save_sync(path);
    if (rc == 0) rc = save_sum_file(path, &l->bytes[file], &l->hash[file]);
    return rc;
}

static int write_list(const save_list *l, const char *folder) {
    char path[PATH_MAX];
    text line = { 0 };
    int rc = save_path(path, "%s/" SAVE_LIST, folder);
    if (rc == 0) rc = save_list_write(l, &line);
    if (rc == 0) rc = file_save(path, line.data, line.size);
    if (rc == 0) rc = save_sync(path);
    text_free(&line);
    return rc;
}

const char *const save_tokenizer_files[3] = { "vocab.json", "merges.txt", NULL };

static int copy_file(const char *from, const char *to) {
    enum { MOST = 64 << 20 };
    uint8_t *data;
    size_t size;
    int rc = file_load(from, MOST, &data, &size);
    if (rc < 0) return rc;
    rc = file_save(to, data, size);
    free(data);
    return rc < 0 ? rc : save_sync(to);
}

static int write_tokenizer(const char *from, const char *folder) {
    char path[PATH_MAX], source[PATH_MAX];
    int rc = save_path(path, "%s/" SAVE_TOKENIZER, folder);
    if (rc == 0) rc = folder_make(path);
    for (int i = 0; rc == 0 && save_tokenizer_files[i]; i++) {
        rc = save_path(source, "%s/%s", from, save_tokenizer_files[i]);
        if (rc == 0) rc = save_path(path, "%s/" SAVE_TOKENIZER "/%s", folder, save_tokenizer_files[i]);
        if (rc == 0) rc = copy_file(source, path);
    }
    if (rc == 0) rc = save_path(path, "%s/" SAVE_TOKENIZER, folder);
    return rc < 0 ? rc : save_sync(path);
}

static int write_all(const save_options *o, const save_contents *what, const char *folder) {
    save_list l = { .step = o->step, .measure = o->measure };
    int rc = 0;
    choose_files(what, l.has);
    /* A ControlNet names the base that was trained with it: that is written first. */
    static const int order[SAVE_FILES] = { SAVE_BASE, SAVE_BASE_AVERAGE, SAVE_CONTROL, SAVE_AVERAGE, SAVE_STATE };
    for (int i = 0; rc == 0 && i < SAVE_FILES; i++)
        if (l.has[order[i]]) rc = write_file(what, order[i], folder, &l);
    if (rc == 0 && l.has[SAVE_BASE] && what->tokenizer) rc = write_tokenizer(what->tokenizer, folder);
    if (rc == 0) rc = write_list(&l, folder);
    return rc < 0 ? rc : save_sync(folder);
}

static int make_hidden(const char *run, uint64_t step, char out[PATH_MAX]) {
    for (unsigned n = 0; n < 1000; n++) {
        int rc = save_hidden(run, step, n, out);
        if (rc < 0 || mkdir(out, 0777) == 0) return rc;
        if (errno != EEXIST) break;
    }
    return error_errno("%s", out);
}

/* Under its true name. One of this step that is there is of an earlier start, broken or the same: the two change places at once. Whatever else is there, a file or
 * a link even, gives way. */
static int publish(const save_options *o, const char *hidden, const char *path) {
    save_list l;
    int rc = 0;
    if (rename(hidden, path) == 0) return 0;
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) return error_errno("%s", path);
    bool ours = errno != ENOTDIR && save_list_load(path, &l) == 0;
    if (ours && renameat2(AT_FDCWD, hidden, AT_FDCWD, path, RENAME_EXCHANGE) == 0) return save_remove(hidden), save_show(hidden, path, o->hooks), 0;
    if (ours && errno != EINVAL && errno != ENOSYS) return error_errno("%s", path);
    if (ours) save_remove(path);
    rc = save_show(path, path, o->hooks);
    return rc < 0 ? rc : rename(hidden, path) == 0 ? 0 : error_errno("%s", path);
}

int save_write(const save_options *o, const save_contents *what) {
    char hidden[PATH_MAX] = "", path[PATH_MAX], folder[PATH_MAX];
    assert(o->keep > 0);
    int rc = save_path(folder, "%s/" SAVE_FOLDER, o->run);
    if (rc == 0) rc = save_path(path, "%s/step-%06" PRIu64, folder, o->step);
    if (rc < 0) return rc;
    /* Not with what is above it: a run's folder that is gone is not one that is to be made of checkpoints alone. */
    if (mkdir(folder, 0777) < 0 && errno != EEXIST) return error_errno("%s", folder);
    if ((rc = make_hidden(o->run, o->step, hidden)) < 0) return rc;
    rc = write_all(o, what, hidden);
    if (rc == 0) rc = publish(o, hidden, path);
    if (rc < 0) {
        char why[1024];
        snprintf(why, sizeof why, "%s", save_inner(error_message(), hidden));
        save_remove(hidden);
        return why[0] == '/' || strncmp(why, o->run, strlen(o->run)) == 0 ? error_set(rc, "%s", why) : error_set(rc, "%s/%s", path, why);
    }
    rc = save_sync(folder);
    if (rc == 0) save_prune(o->run, o->step, o->keep, o->hooks);   /* not before the new one is on the disk */
    return rc;
}

/* ---- its size ------------------------------------------------------------------------------------------------------------------ */

static int add_model_bytes(const save_contents *what, int file, uint64_t *sum) {
    lookup l;
    tensor_list list = { 0 };
    int rc = list_model(what, file, "", &l, &list);
    if (rc == 0) *sum += tensor_list_bytes(&list) + 160 * (uint64_t)list.count;      /* a header's entry */
    tensor_list_free(&list);
    free(l.sorted);
    return rc;
}

int save_bytes(const save_contents *what, uint64_t *out) {
    bool has[SAVE_FILES];
    uint64_t sum = 4096;
    int rc = 0;
    choose_files(what, has);
    for (int i = 0; rc == 0 && i < SAVE_STATE; i++)
        if (has[i]) rc = add_model_bytes(what, i, &sum);
    for (size_t i = 0; i < what->n_states; i++)
        if (save_place(what, &what->states[i]) == SAVE_STATE) sum += bytes_of(&what->states[i]) + 160;
    for (size_t i = 0; i < what->n_values; i++) sum += what->values[i].bytes + 160;
    *out = rc == 0 ? sum : 0;
    return rc;
}
