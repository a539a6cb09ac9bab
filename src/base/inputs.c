/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/name_set.h"
#include "base/part.h"
#include "base/spool.h"
#include "base/stop.h"

enum { MOST_FOLDERS_DEEP = 128 };

/* One input in the spool, followed by its path and, if it lies inside the output folder, its path below that. */
typedef struct {
    uint64_t clash;        /* place of the input it clashes with + 1, or 0 */
    uint32_t path_size, below_size;   /* with their terminators; below_size 0: it lies elsewhere */
    uint32_t id_at;        /* the id is path + id_at */
    uint8_t mine, again, clash_input, unused;
} record;

typedef struct { char path[PATH_MAX], below[PATH_MAX]; record r; } entry;   /* below: "" if it lies elsewhere */

struct inputs {
    inputs_options options;
    char *output;                  /* its real path */
    struct stat output_stat;
    spool *spool;
    name_set names;                /* to places in the spool */
    uint64_t count, at;
    bool root_seen;                /* options.folder was told of "" */
    bool any_below;                /* an input lies in the output folder */
    entry *entry, *other;          /* scratch: the one that is added, and one it is compared with */
    char *last_folder, *last_real; /* realpath of the folder of the last file that was named itself */
};

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

static int read_entry(inputs *in, uint64_t place, entry *e) {
    int rc = spool_read(in->spool, place, &e->r, sizeof e->r);
    if (rc == 0) rc = spool_read(in->spool, place + sizeof e->r, e->path, e->r.path_size);
    e->below[0] = 0;
    if (rc == 0 && e->r.below_size) rc = spool_read(in->spool, place + sizeof e->r + e->r.path_size, e->below, e->r.below_size);
    return rc;
}

static uint64_t entry_bytes(const entry *e) { return (sizeof e->r + e->r.path_size + e->r.below_size + 15) & ~(uint64_t)15; }

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
    if (l->rc < 0 || (l->rc = read_entry(l->in, place, other)) < 0) return false;
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
    if (rc == 0) rc = enter_names(in, place);
    in->count += e->r.mine;
    return rc;
}

static void list_failed(inputs *in, const char *path) {
    if (in->options.failed) in->options.failed(in->options.context, path, error_message());
}

/* Fills in->entry for a file: `below` is the path of its folder below the output folder, NULL if it lies elsewhere. */
static int fill_entry(inputs *in, const char *path, size_t id_at, const char *below) {
    entry *e = in->entry;
    size_t n = strlen(path) + 1;
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    int m = below ? snprintf(e->below, sizeof e->below, "%s%s%s", below, *below ? "/" : "", name) : -1;
    if (n > PATH_MAX || m >= PATH_MAX) return error_set(ERR_IO, "the path is too long");
    memcpy(e->path, path, n);
    e->r = (record){ .path_size = (uint32_t)n, .below_size = (uint32_t)(m + 1), .id_at = (uint32_t)id_at };
    return 0;
}

/* The part of a real path below the output folder ("" for that itself), or NULL. */
static const char *below_output(const inputs *in, const char *real) {
    size_t n = strlen(in->output);
    if (strcmp(in->output, "/") == 0) return real + 1;
    if (strncmp(real, in->output, n) != 0 || (real[n] != '/' && real[n] != 0)) return NULL;
    return real[n] ? real + n + 1 : real + n;
}

/* ---- folders ------------------------------------------------------------------------------------------------------- */

typedef struct {
    inputs *in;
    size_t id_at;                 /* where ids begin in path */
    const char *below;            /* the path of the first folder below the output folder, or NULL */
    char path[PATH_MAX];          /* of what is being looked at */
} walk;

static bool is_output(const inputs *in, const struct stat *st) {
    return st->st_dev == in->output_stat.st_dev && st->st_ino == in->output_stat.st_ino;
}

static int walk_folder(walk *w, size_t n, int depth);

static void tell_folder(inputs *in, const char *id) {
    if (in->options.folder && (*id || !in->root_seen)) in->options.folder(in->options.context, id);
    in->root_seen |= !*id;
}

static int walk_file(walk *w, size_t folder_length) {
    char below[PATH_MAX];
    if (w->below) {
        size_t from = w->id_at < folder_length ? w->id_at : folder_length;
        int m = snprintf(below, sizeof below, "%s%s%.*s", w->below, *w->below && from < folder_length ? "/" : "",
                         (int)(folder_length - from), w->path + from);
        if (m < 0 || (size_t)m >= sizeof below) return error_set(ERR_IO, "the path is too long"), list_failed(w->in, w->path), 0;
    }
    if (fill_entry(w->in, w->path, w->id_at, w->below ? below : NULL) < 0) return list_failed(w->in, w->path), 0;
    return add_entry(w->in);
}

/* One name of a folder whose path is the first n bytes of w->path. */
static int walk_name(walk *w, size_t n, DIR *dir, const struct dirent *d, int depth) {
    if (d->d_name[0] == '.') return 0;
    size_t m = strlen(d->d_name);
    bool slash = n && w->path[n - 1] != '/';
    if (n + slash + m >= sizeof w->path) {
        error_set(ERR_IO, "the path is too long");
        list_failed(w->in, w->path);
        return 0;
    }
    bool folder = d->d_type == DT_DIR;
    struct stat st;
    if (d->d_type == DT_UNKNOWN) folder = fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    else if (d->d_type == DT_LNK && fstatat(dirfd(dir), d->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode)) return 0;
    if (!folder && !w->in->options.wanted(d->d_name)) return 0;
    if (slash) w->path[n] = '/';
    memcpy(w->path + n + slash, d->d_name, m + 1);
    int rc = folder ? walk_folder(w, n + slash + m, depth + 1) : walk_file(w, n);
    w->path[n] = 0;
    return rc;
}

static int walk_folder(walk *w, size_t n, int depth) {
    inputs *in = w->in;
    int fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth ? O_NOFOLLOW : 0));
    struct stat st;
    DIR *dir = NULL;
    if (fd < 0 || fstat(fd, &st) < 0 || (depth && is_output(in, &st)) || depth > MOST_FOLDERS_DEEP || !(dir = fdopendir(fd))) {
        if (fd < 0 || !is_output(in, &st)) {
            if (depth > MOST_FOLDERS_DEEP) error_set(ERR_LIMIT, "more than %d folders deep", MOST_FOLDERS_DEEP);
            else error_errno("%s", w->path);
            list_failed(in, w->path);
        }
        if (fd >= 0) close(fd);
        return 0;
    }
    tell_folder(in, w->id_at < n ? w->path + w->id_at : "");
    int rc = 0;
    const struct dirent *d;
    while (rc == 0 && (errno = 0, d = readdir(dir))) {
        if (stop_asked(in->options.stop)) rc = error_set(ERR_CANCELLED, "stopped");
        else rc = walk_name(w, n, dir, d, depth);
    }
    if (rc == 0 && errno) {
        error_errno("%s", w->path);
        list_failed(in, w->path);
    }
    closedir(dir);
    return rc;
}

static int add_folder(inputs *in, const char *path, const struct stat *st) {
    if (is_output(in, st)) return error_set(ERR_USAGE, "%s: the pictures' folder cannot be the output folder too", path);
    char *real = realpath(path, NULL);
    if (!real) return error_errno("%s", path);
    walk *w = malloc(sizeof *w);
    int rc = w ? 0 : error_memory(sizeof *w);
    if (rc == 0) {
        size_t n = strlen(path);
        *w = (walk){ .in = in, .below = below_output(in, real) };
        if (n + 1 >= sizeof w->path) {
            rc = error_set(ERR_IO, "%s: the path is too long", path);
        } else {
            memcpy(w->path, path, n + 1);
            w->id_at = n + (path[n - 1] != '/');
            rc = walk_folder(w, n, 0);
        }
    }
    free(w);
    free(real);
    return rc;
}

/* ---- files that were named ----------------------------------------------------------------------------------------- */

/* The real path of a file's folder, kept for the next file: lists often stay in one. */
static const char *real_folder(inputs *in, const char *path) {
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + (slash == path) : 0;
    if (in->last_folder && strlen(in->last_folder) == n && memcmp(in->last_folder, path, n) == 0) return in->last_real;
    free(in->last_folder);
    free(in->last_real);
    in->last_real = NULL;
    in->last_folder = strndup(path, n);
    if (in->last_folder) in->last_real = realpath(n ? in->last_folder : ".", NULL);
    return in->last_real;
}

int inputs_add(inputs *in, const char *path) {
    struct stat st;
    if (!*path) return 0;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return add_folder(in, path, &st);
    const char *real = real_folder(in, path), *slash = strrchr(path, '/');
    tell_folder(in, "");
    int rc = fill_entry(in, path, slash ? (size_t)(slash + 1 - path) : 0, real ? below_output(in, real) : NULL);
    if (rc == 0 && slash && !slash[1]) rc = error_set(ERR_IO, "is not a folder");   /* "missing/" */
    if (rc == 0) return add_entry(in);
    list_failed(in, path);
    return 0;
}

/* ---- lists --------------------------------------------------------------------------------------------------------- */

static int add_line(inputs *in, const char *line, size_t size, bool too_long) {
    if (stop_asked(in->options.stop)) return error_set(ERR_CANCELLED, "stopped");
    if (!too_long) return size ? inputs_add(in, line) : 0;
    error_set(ERR_IO, "the path is too long");
    list_failed(in, line);
    return 0;
}

static ssize_t read_some(int fd, char *buffer, size_t room, bool fill, const volatile int *stop) {
    size_t used = 0;
    do {
        ssize_t n = read(fd, buffer + used, room - used);
        if (n < 0 && errno == EINTR && !stop_asked(stop)) continue;
        if (n < 0 && errno == EINTR) return error_set(ERR_CANCELLED, "stopped");
        if (n < 0) return error_errno("the list of paths");
        if (n == 0) break;
        used += (size_t)n;
    } while (fill && used < room);
    return (ssize_t)used;
}

int inputs_add_list(inputs *in, int fd) {
    enum { BLOCK = PATH_MAX };      /* no path is longer, so a list that ends its paths with NUL shows one in the first block */
    char block[BLOCK], line[PATH_MAX];
    size_t used = 0;
    bool too_long = false;
    ssize_t n = read_some(fd, block, BLOCK, true, in->options.stop);
    char end = n > 0 && memchr(block, 0, (size_t)n) ? 0 : '\n';
    int rc = 0;
    for (; rc == 0 && n > 0; n = rc < 0 ? 0 : read_some(fd, block, BLOCK, false, in->options.stop)) {
        for (ssize_t i = 0; rc == 0 && i < n; i++) {
            if (block[i] == end) {
                line[used] = 0;
                rc = add_line(in, line, used, too_long);
                used = 0;
                too_long = false;
            } else if (used + 1 < sizeof line) {
                line[used++] = block[i];
            } else {
                too_long = true;
            }
        }
    }
    line[used] = 0;
    if (rc == 0 && n < 0) rc = (int)n;
    return rc < 0 ? rc : add_line(in, line, used, too_long);
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
    name_set_free(&in->names);
    entry *e = in->entry;
    do {
        if (in->at >= spool_size(in->spool)) return 0;
        int rc = read_entry(in, in->at, e);
        if (rc < 0) return rc;
        in->at += entry_bytes(e);
    } while (!e->r.mine);
    size_t n = stem_length(entry_id(e));
    memcpy(item->path, e->path, e->r.path_size);
    memcpy(item->stem, entry_id(e), n);
    item->stem[n] = 0;
    item->again = e->r.again;
    item->clash_input = e->r.clash_input;
    item->clash[0] = 0;
    if (!e->r.clash || e->r.again) return 1;
    int rc = read_entry(in, e->r.clash - 1, in->other);
    if (rc < 0) return rc;
    memcpy(item->clash, in->other->path, in->other->r.path_size);
    return 1;
}
