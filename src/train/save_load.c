/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the latest checkpoint that is whole, and taking its numbers. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "nn/halves.h"
#include "train/save_inside.h"

/* ---- finding ------------------------------------------------------------------------------------------------------------- */

static int check_file(const char *folder, const save_list *l, int k) {
    char path[PATH_MAX];
    uint64_t bytes, sum;
    int rc = save_path(path, "%s/%s", folder, save_names[k]);
    if (rc == 0) rc = save_sum_file(path, &bytes, &sum);
    if (rc < 0) return rc;
    if (bytes != l->bytes[k])
        return error_set(ERR_FORMAT, "%s: has %" PRIu64 " bytes, %" PRIu64 " were written", path, bytes, l->bytes[k]);
    return sum == l->hash[k] ? 0 : error_set(ERR_FORMAT, "%s: its bytes are not those that were written", path);
}

/* The states say themselves of which step they are, where the run has such a value: a folder may have been given another name. */
static int check_step(const char *folder, uint64_t step) {
    char path[PATH_MAX];
    uint64_t is = step;
    weights *w = NULL;
    int rc = save_path(path, "%s/%s", folder, save_names[SAVE_STATE]);
    if (rc == 0) rc = weights_open(path, &w);
    const stored_tensor *t = rc == 0 ? weights_find(w, "run.step") : NULL;
    if (t && t->type == STORED_U8 && t->bytes == sizeof is) memcpy(&is, t->data, sizeof is);
    weights_close(w);
    if (rc == 0 && is != step)
        rc = error_set(ERR_FORMAT, "%s: is of step %" PRIu64 ", and the folder of step %" PRIu64, path, is, step);
    return rc;
}

int save_other_step(const char *folder, uint64_t step) {
    return error_set(ERR_FORMAT, "%s/" SAVE_LIST ": is of step %" PRIu64, folder, step);
}

static int check_whole(const char *folder, uint64_t step, save_list *l) {
    int rc = save_list_load(folder, l);
    if (rc == 0 && l->step != step) rc = save_other_step(folder, l->step);
    for (int i = 0; rc == 0 && i < SAVE_FILES; i++)
        if (l->has[i]) rc = check_file(folder, l, i);
    return rc < 0 ? rc : check_step(folder, step);
}

static int newest_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void tell_broken(const mien_hooks *hooks, const char *path) {
    char line[1200];
    if (!hooks || !hooks->log) return;
    snprintf(line, sizeof line, "this checkpoint is not whole, and an earlier one is looked for: %s",
             save_inner(error_message(), path));
    hooks->log(hooks->context, MIEN_LOG_WARNING, path, line);
}

int save_find(const char *run, const mien_hooks *hooks, save_found *out) {
    uint64_t *steps;
    size_t n;
    int rc = save_steps(run, &steps, &n), found = 0;
    if (rc < 0) return rc;
    if (n) qsort(steps, n, sizeof *steps, newest_first);
    for (size_t i = 0; rc == 0 && !found && i < n; i++) {
        save_list l;
        rc = save_path(out->path, "%s/" SAVE_FOLDER "/step-%06" PRIu64, run, steps[i]);
        if (rc < 0) break;
        rc = check_whole(out->path, steps[i], &l);
        if (rc == ERR_MEMORY) break;
        found = rc == 0;
        if (found) out->step = l.step, out->measure = l.measure;
        else tell_broken(hooks, out->path);
        rc = 0;
    }
    free(steps);
    /* To begin anew would throw away whatever is the matter with them. */
    if (rc == 0 && n && !found)
        rc = error_set(ERR_FORMAT,
                       "%s: none of its %zu checkpoints can be gone on from: what was said of them must be mended, "
                       "or they be moved away", run, n);
    return rc < 0 ? rc : found;
}

/* ---- loading --------------------------------------------------------------------------------------------------------------- */

static const stored_tensor *need(const weights *w, const char *name, stored_type type, size_t bytes) {
    const stored_tensor *t = weights_find(w, name);
    if (!t) return error_set(ERR_FORMAT, "%s: \"%s\" is missing", weights_path(w), name), NULL;
    if (t->type != type || t->bytes != bytes)
        return error_set(ERR_FORMAT, "%s: \"%s\" has %zu bytes of type %s; %zu of %s were expected", weights_path(w),
                         name, t->bytes, stored_type_name(t->type), bytes,
                         stored_type_name(type)), NULL;
    return t;
}

/* f32 numbers, as aligned as bytes are. */
static void split(const char *in, size_t n, uint16_t *weight, uint16_t *low) {
    enum { PIECE = 4096 };
    float x[PIECE];
    for (size_t at = 0, k; at < n; at += k) {
        k = n - at < PIECE ? n - at : PIECE;
        memcpy(x, in + at * sizeof *x, k * sizeof *x);
        halves_split(x, weight + at, low + at, k);
    }
}

/* low: as in save_state. Pages that were copied leave memory again, piece by piece: both copies together would be too much. */
static void take(const weights *w, const stored_tensor *t, void *out, uint16_t *low) {
    enum { PIECE = 1 << 24 };
    for (size_t at = 0, n; at < t->bytes; at += n) {
        const char *in = (const char *)t->data + at;
        n = t->bytes - at < PIECE ? t->bytes - at : PIECE;
        if (low) split(in, n / sizeof(float), (uint16_t *)out + at / sizeof(float), low + at / sizeof(float));
        else memcpy((char *)out + at, in, n);
        weights_drop(w, in, n);
    }
}

static int load_file(const save_found *found, const save_contents *what, int file) {
    char path[PATH_MAX], name[SAVE_NAME];
    weights *w = NULL;
    int rc = save_path(path, "%s/%s", found->path, save_names[file]);
    for (size_t i = 0; rc == 0 && i < what->n_states; i++) {
        const save_state *s = &what->states[i];
        if (save_place(what, s) != file) continue;
        if (!w && (rc = weights_open(path, &w)) < 0) break;
        save_name(file, s, name);
        const stored_tensor *t = need(w, name, s->type, shape_elements(s->shape) * stored_type_bytes(s->type));
        if (t) take(w, t, s->data, s->low);
        else rc = error_code();
    }
    for (size_t i = 0; rc == 0 && file == SAVE_STATE && i < what->n_values; i++) {
        const save_value *v = &what->values[i];
        if (!w && (rc = weights_open(path, &w)) < 0) break;
        snprintf(name, sizeof name, "run.%.400s", v->name);
        const stored_tensor *t = v->optional ? weights_find(w, name) : need(w, name, STORED_U8, v->bytes);
        if (v->optional && (!t || t->type != STORED_U8 || t->bytes != v->bytes)) continue;
        if (t) take(w, t, v->data, NULL);
        else rc = error_code();
    }
    weights_close(w);
    return rc;
}

int save_load(const save_found *found, const save_contents *what) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < SAVE_FILES; i++) rc = load_file(found, what, i);
    return rc;
}
