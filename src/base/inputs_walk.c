/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/inputs_inside.h"
#include "base/stop.h"

enum { MOST_FOLDERS_DEEP = 128 };

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

static int too_long(walk *w) {
    error_set(ERR_IO, "the path is too long");
    inputs_failed(w->in, w->path);
    return 0;
}

static int walk_file(walk *w, size_t folder_length) {
    char below[PATH_MAX];
    if (w->below) {
        size_t from = w->id_at < folder_length ? w->id_at : folder_length;
        int m = snprintf(below, sizeof below, "%s%s%.*s", w->below, *w->below && from < folder_length ? "/" : "",
                         (int)(folder_length - from), w->path + from);
        if (m < 0 || (size_t)m >= sizeof below) return too_long(w);
    }
    return inputs_enter(w->in, w->path, w->id_at, w->below ? below : NULL);
}

/* One name of a folder whose path is the first n bytes of w->path. */
static int walk_name(walk *w, size_t n, DIR *dir, const struct dirent *d, int depth) {
    if (d->d_name[0] == '.') return 0;
    size_t m = strlen(d->d_name);
    bool slash = n && w->path[n - 1] != '/';
    if (n + slash + m >= sizeof w->path) return too_long(w);
    bool folder = d->d_type == DT_DIR;
    struct stat st;
    if (d->d_type == DT_UNKNOWN) folder = fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    else if (d->d_type == DT_LNK && fstatat(dirfd(dir), d->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode)) return 0;
    if (folder ? w->in->options.shallow : !w->in->options.wanted(d->d_name)) return 0;
    if (slash) w->path[n] = '/';
    memcpy(w->path + n + slash, d->d_name, m + 1);
    bool out = folder && w->in->options.enter && !w->in->options.enter(w->in->options.context, w->path);
    int rc = out ? 0 : folder ? walk_folder(w, n + slash + m, depth + 1) : walk_file(w, n);
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
            inputs_failed(in, w->path);
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
        inputs_failed(in, w->path);
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
    if (!slash || slash[1]) return inputs_enter(in, path, slash ? (size_t)(slash + 1 - path) : 0, real ? below_output(in, real) : NULL);
    error_set(ERR_IO, "is not a folder");   /* "missing/" */
    inputs_failed(in, path);
    return 0;
}
