/* SPDX-License-Identifier: Apache-2.0
 *
 * The list itself, and which inputs would write over one another or over an input. */
#define _GNU_SOURCE
#include "base/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/inputs_inside.h"
#include "base/part.h"

/* ---- names --------------------------------------------------------------------------------------------------------- */

/* The length of an id without its extension. */
static size_t stem_length(const char *id) {
    const char *slash = strrchr(id, '/'), *name = slash ? slash + 1 : id, *dot = strrchr(name, '.');
    return dot && dot != name ? (size_t)(dot - id) : strlen(id);
}

/* The k-th output's name below the output folder. False after the last, or if it is too long for a path. */
static bool output_name(const inputs *in, const char *id, size_t k, char out[PATH_MAX]) {
    for (size_t i = 0; i <= k; i++)
        if (!in->options.suffixes[i]) return false;
    size_t n = stem_length(id), m = strlen(in->options.suffixes[k]);
    if (n + m >= PATH_MAX) return false;
    memcpy(out, id, n);
    memcpy(out + n, in->options.suffixes[k], m + 1);
    return true;
}

static const char *entry_id(const entry *e) { return e->path + e->r.id_at; }

int inputs_entry_read(inputs *in, uint64_t place, entry *e) {
    int rc = spool_read(in->spool, place, &e->r, sizeof e->r);
    if (rc == 0) rc = spool_read(in->spool, place + sizeof e->r, e->path, e->r.path_size);
    e->below[0] = 0;
    if (rc == 0 && e->r.below_size) rc = spool_read(in->spool, place + sizeof e->r + e->r.path_size, e->below, e->r.below_size);
    return rc;
}

uint64_t inputs_entry_bytes(const entry *e) { return (sizeof e->r + e->r.path_size + e->r.below_size + 15) & ~(uint64_t)15; }

static bool writes(const inputs *in, const entry *e, const char *name) {
    char out[PATH_MAX];
    for (size_t k = 0; output_name(in, entry_id(e), k, out); k++)
        if (strcmp(out, name) == 0) return true;
    return false;
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* ---- adding -------------------------------------------------------------------------------------------------------- */

static int mark_clash(inputs *in, uint64_t place, uint64_t other, bool with_input) {
    record r;
    int rc = spool_read(in->spool, place, &r, sizeof r);
    if (rc < 0 || r.clash) return rc;
    r.clash = other + 1;
    r.clash_input = with_input;
    return spool_change(in->spool, place, &r, sizeof r);
}

/* Names in the set: the stem of every input, and where it lies if that is below the output folder. */
typedef enum { NAME_STEM, NAME_BELOW } name_kind;

typedef struct { inputs *in; name_kind kind; const char *name; int rc; } lookup;

/* Whether the entry at a place has a name: its hash may be equal by chance. Leaves the entry in in->other. */
static bool has_name(void *context, uint64_t place) {
    lookup *l = context;
    entry *other = l->in->other;
    if (l->rc < 0 || (l->rc = inputs_entry_read(l->in, place, other)) < 0) return false;
    if (l->kind == NAME_BELOW) return strcmp(other->below, l->name) == 0;
    size_t n = stem_length(entry_id(other));
    return strlen(l->name) == n && memcmp(entry_id(other), l->name, n) == 0;
}

static uint64_t name_hash(const lookup *l) { return part_hash(l->name) ^ (l->kind == NAME_BELOW ? 0x9e3779b97f4a7c15u : 0); }

/* 1 and its place if an input of the list has that name, 0 if not, or ERR_*. */
static int find_name(inputs *in, name_kind kind, const char *name, uint64_t *found) {
    lookup l = { in, kind, name, 0 };
    bool there = name_set_find(&in->names, name_hash(&l), has_name, &l, found);
    return l.rc < 0 ? l.rc : there;
}

static int add_name(inputs *in, name_kind kind, const char *name, uint64_t place, uint64_t *found) {
    lookup l = { in, kind, name, 0 };
    int rc = name_set_add(&in->names, name_hash(&l), place, has_name, &l, found);
    return l.rc < 0 ? l.rc : rc;
}

static int mark_both(inputs *in, uint64_t a, uint64_t b) {
    int rc = mark_clash(in, a, b, false);
    return rc < 0 ? rc : mark_clash(in, b, a, false);
}

/* name without its ending, in out; false if it does not end so. */
static bool without(const char *name, const char *ending, char out[PATH_MAX]) {
    size_t n = strlen(name), m = strlen(ending);
    if (n <= m || strcmp(name + n - m, ending) != 0) return false;
    memcpy(out, name, n - m);
    out[n - m] = 0;
    return true;
}

/* Another stem can lead to the same output: x and x_overlay both write x_overlay.png. */
static int check_stems(inputs *in, uint64_t place, const char *stem) {
    const char *const *suffix = in->options.suffixes;
    char name[PATH_MAX], other[PATH_MAX];
    uint64_t found;
    int rc = 0;
    for (size_t k = 0; rc >= 0 && output_name(in, entry_id(in->entry), k, name); k++)
        for (size_t m = 0; rc >= 0 && suffix[m]; m++) {
            if (!without(name, suffix[m], other) || strcmp(other, stem) == 0) continue;
            rc = find_name(in, NAME_STEM, other, &found);
            if (rc > 0) rc = mark_both(in, place, found);
        }
    return rc;
}

/* An output must not be written over an input that lies in the output folder, whichever was listed first. */
static int check_below(inputs *in, uint64_t place) {
    char name[PATH_MAX];
    uint64_t found;
    int rc = 0;
    for (size_t k = 0; rc >= 0 && in->any_below && output_name(in, entry_id(in->entry), k, name); k++) {
        rc = find_name(in, NAME_BELOW, name, &found);
        if (rc > 0) rc = mark_clash(in, place, found, true);
    }
    if (rc < 0 || !in->entry->r.below_size) return rc;
    for (size_t k = 0; rc >= 0 && in->options.suffixes[k]; k++) {
        if (!without(in->entry->below, in->options.suffixes[k], name)) continue;
        rc = find_name(in, NAME_STEM, name, &found);
        if (rc > 0) rc = mark_clash(in, found, place, true);
    }
    in->any_below = true;
    return rc < 0 ? rc : add_name(in, NAME_BELOW, in->entry->below, place, &found);
}

static int enter_names(inputs *in, uint64_t place) {
    entry *e = in->entry;
    char stem[PATH_MAX];
    size_t n = stem_length(entry_id(e));
    memcpy(stem, entry_id(e), n);
    stem[n] = 0;
    uint64_t found;
    int rc = add_name(in, NAME_STEM, stem, place, &found);
    if (rc == 0 && found != place) {
        if (same_file(e->path, in->other->path)) {   /* named twice, or found in a folder and named too */
            e->r.again = true;
            return spool_change(in->spool, place, &e->r, sizeof e->r);
        }
        rc = mark_both(in, place, found);
    }
    if (rc == 0) rc = check_stems(in, place, stem);
    return rc < 0 ? rc : check_below(in, place);
}

static int add_entry(inputs *in) {
    entry *e = in->entry;
    if (e->r.below_size && writes(in, e, e->below))
        return error_set(ERR_USAGE, "%s: would be overwritten by its own output in %s", e->path, in->options.output);
    uint64_t place;
    e->r.mine = part_has(entry_id(e), in->options.part, in->options.parts);
    int rc = spool_append(in->spool, &e->r, sizeof e->r, &place);
    if (rc == 0) rc = spool_append(in->spool, e->path, e->r.path_size, NULL);
    if (rc == 0 && e->r.below_size) rc = spool_append(in->spool, e->below, e->r.below_size, NULL);
    if (rc == 0) rc = spool_align(in->spool, 16);
    if (rc == 0) rc = in->options.flatten ? inputs_flat_enter(in, place) : enter_names(in, place);
    in->count += e->r.mine;
    return rc;
}

static int fill_entry(inputs *in, const char *path, size_t id_at, const char *below) {
    entry *e = in->entry;
    size_t n = strlen(path) + 1;
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    int m = below && !in->options.flatten ? snprintf(e->below, sizeof e->below, "%s%s%s", below, *below ? "/" : "", name) : -1;
    if (n > PATH_MAX || m >= PATH_MAX) return error_set(ERR_IO, "the path is too long");
    memcpy(e->path, path, n);
    e->r = (record){ .path_size = (uint32_t)n, .below_size = (uint32_t)(m + 1), .id_at = (uint32_t)id_at };
    return 0;
}

void inputs_failed(inputs *in, const char *path) {
    if (in->options.failed) in->options.failed(in->options.context, path, error_message());
}

int inputs_enter(inputs *in, const char *path, size_t id_at, const char *below) {
    if (fill_entry(in, path, id_at, below) == 0) return add_entry(in);
    inputs_failed(in, path);
    return 0;
}

/* ---- going through it ---------------------------------------------------------------------------------------------- */

int inputs_new(const inputs_options *options, inputs **out) {
    inputs *in = calloc(1, sizeof *in);
    if (!in) return error_memory(sizeof *in);
    in->options = *options;
    in->entry = malloc(sizeof *in->entry);
    in->other = malloc(sizeof *in->other);
    int rc = in->entry && in->other ? 0 : error_memory(2 * sizeof *in->entry);
    if (rc == 0 && (!(in->output = realpath(options->output, NULL)) || stat(in->output, &in->output_stat) < 0))
        rc = error_errno("%s", options->output);
    if (rc == 0) rc = spool_new(options->output, &in->spool);
    if (rc < 0) {
        inputs_free(in);
        return rc;
    }
    *out = in;
    return 0;
}

void inputs_free(inputs *in) {
    if (!in) return;
    spool_free(in->spool);
    name_set_free(&in->names);
    free(in->entry);
    free(in->other);
    free(in->output);
    free(in->last_folder);
    free(in->last_real);
    free(in);
}

uint64_t inputs_count(const inputs *in) { return in->count; }

int inputs_next(inputs *in, inputs_item *item) {
    entry *e = in->entry;
    if (in->options.flatten && !in->settled) {
        int rc = inputs_flat_settle(in);
        if (rc < 0) return rc;
        in->settled = true;
    }
    name_set_free(&in->names);
    do {
        if (in->at >= spool_size(in->spool)) return 0;
        int rc = inputs_entry_read(in, in->at, e);
        if (rc < 0) return rc;
        in->at += inputs_entry_bytes(e);
    } while (!e->r.mine);
    size_t n = stem_length(entry_id(e));
    memcpy(item->path, e->path, e->r.path_size);
    item->id = item->path + e->r.id_at;
    if (in->options.flatten) {
        inputs_flat_name(in, e, item->stem);
    } else {
        memcpy(item->stem, entry_id(e), n);
        item->stem[n] = 0;
    }
    item->again = e->r.again;
    item->clash_input = e->r.clash_input;
    item->clash[0] = 0;
    if (!e->r.clash || e->r.again) return 1;
    int rc = inputs_entry_read(in, e->r.clash - 1, in->other);
    if (rc < 0) return rc;
    memcpy(item->clash, in->other->path, in->other->r.path_size);
    return 1;
}
