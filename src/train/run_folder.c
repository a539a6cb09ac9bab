/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "train/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "train/save.h"

enum { SETTINGS_BYTES = 1 << 20 };

/* ---- what is there ------------------------------------------------------------------------------------------------------- */

typedef enum { NOTHING, EMPTY, A_RUN, SOMETHING_ELSE } what_is_there;

/* Of the folder before it is locked, and after: a run that was killed before it had settings has left hidden names only, and one
 * that was stopped before its first step what the encoders had made for that. */
static int look_at_folder(const char *path, what_is_there *out) {
    char name[PATH_MAX];
    struct stat st;
    if (stat(path, &st) < 0) return errno == ENOENT ? (*out = NOTHING, 0) : error_errno("%s", path);
    if (!S_ISDIR(st.st_mode)) return error_set(ERR_USAGE, "%s: is not a folder", path);
    if (snprintf(name, sizeof name, "%s/settings.json", path) >= (int)sizeof name) return error_set(ERR_IO, "%s: the path is too long", path);
    if (lstat(name, &st) == 0) return *out = A_RUN, 0;
    DIR *dir = opendir(path);
    if (!dir) return error_errno("%s", path);
    const struct dirent *e;
    int rc;
    *out = EMPTY;
    while ((rc = folder_next(dir, path, &e)) == 1)
        if (e->d_name[0] != '.' && strcmp(e->d_name, "cache") != 0) *out = SOMETHING_ELSE;
    closedir(dir);
    return rc;
}

static int refuse_wrong_place(const run_folder_options *o, what_is_there there) {
    if (there == SOMETHING_ELSE) return error_set(ERR_USAGE, "%s: is no run (it has no settings.json) and is not empty", o->path);
    if (there == NOTHING && o->resume) return error_set(ERR_USAGE, "%s: there is no run to go on with", o->path);
    if (there == A_RUN && !o->resume) return error_set(ERR_USAGE, "%s: there is a run already: --resume goes on with it", o->path);
    return 0;
}

/* ---- settings -------------------------------------------------------------------------------------------------------------- */

static int settings_path(const char *folder, char out[PATH_MAX]) {
    return snprintf(out, PATH_MAX, "%s/settings.json", folder) < PATH_MAX ? 0 : error_set(ERR_IO, "%s: the path is too long", folder);
}

static int write_settings(const char *folder, const run_settings *s) {
    char path[PATH_MAX];
    text line = { 0 };
    int rc = settings_path(folder, path);
    if (rc == 0) rc = run_settings_write(s, &line);
    if (rc == 0) rc = file_save(path, line.data, line.size);
    if (rc == 0) rc = save_sync(path);
    if (rc == 0) rc = save_sync(folder);
    text_free(&line);
    return rc;
}

static int read_settings(const char *folder, run_settings *out) {
    char path[PATH_MAX];
    uint8_t *data;
    size_t size;
    int rc = settings_path(folder, path);
    if (rc == 0) rc = file_load(path, SETTINGS_BYTES, &data, &size);
    if (rc < 0) return rc;
    rc = run_settings_read(path, data, size, out);
    free(data);
    return rc;
}

static void warn(const run_folder_options *o, const char *line) {
    if (o->hooks && o->hooks->log) o->hooks->log(o->hooks->context, MIEN_LOG_WARNING, o->path, line);
}

static int check_data(const run_folder_options *o, const run_settings *there) {
    char line[256];
    if (run_settings_same_data(there, o->settings)) return 0;
    if (there->items != o->settings->items)
        snprintf(line, sizeof line, "the data has changed: %llu items, and %llu when the run was begun", (unsigned long long)o->settings->items,
                 (unsigned long long)there->items);
    else snprintf(line, sizeof line, "the data has changed since the run was begun");
    if (!o->data_changed) return error_set(ERR_USAGE, "%s: %s (--data-changed ok goes on with it)", o->path, line);
    warn(o, line);
    return 0;
}

static int check_settings(const run_folder_options *o) {
    run_settings there;
    text different = { 0 };
    int rc = read_settings(o->path, &there);
    if (rc < 0) return rc;
    if (run_settings_differ(&there, o->settings, &different))
        rc = text_check(&different) < 0 ? ERR_MEMORY : error_set(ERR_USAGE, "%s: was begun with other settings: %s", o->path, different.data);
    if (rc == 0) rc = check_data(o, &there);
    text_free(&different);
    run_settings_free(&there);
    return rc;
}

/* ---- opening ----------------------------------------------------------------------------------------------------------------- */

static int open_locked(const run_folder_options *o, run_folder *r) {
    char path[PATH_MAX];
    what_is_there there;
    int rc = look_at_folder(o->path, &there);            /* again: another may have been here before we held it */
    if (rc == 0) rc = refuse_wrong_place(o, there);
    if (rc == 0) rc = settings_path(o->path, path);
    if (rc < 0) return rc;
    r->resumed = there == A_RUN;
    if (r->resumed) rc = check_settings(o);
    if (rc < 0) return rc;
    file_remove_leftovers_of(path);
    if (snprintf(path, sizeof path, "%s/start.safetensors", o->path) < (int)sizeof path) file_remove_leftovers_of(path);
    if (snprintf(path, sizeof path, "%s/samples", o->path) < (int)sizeof path) file_remove_leftovers(path, 1);
    save_remove_leftovers(o->path, o->hooks);
    return r->resumed && o->later ? 0 : write_settings(o->path, o->settings);
}

int run_folder_settle(const run_folder *r, const run_settings *settings) {
    return r->resumed ? write_settings(r->path, settings) : 0;
}

/* Locks the one at path, and holds on to it by more than its name. */
static int hold(run_folder *r) {
    int rc = folder_lock_take(r->path, 0, 0, &r->lock);
    if (rc < 0) return rc;
    r->fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return r->fd < 0 ? error_errno("%s", r->path) : 0;
}

int run_folder_open(const run_folder_options *o, run_folder *out) {
    what_is_there there;
    *out = RUN_FOLDER_CLOSED;
    int rc = look_at_folder(o->path, &there);
    if (rc == 0 && there != A_RUN) rc = refuse_wrong_place(o, there);     /* of a run that is being written, the lock tells by whom */
    if (rc == 0 && there == NOTHING && (rc = folder_make(o->path)) == 0) out->made = true;
    if (rc < 0) return rc;
    if (!(out->path = strdup(o->path))) return error_memory(strlen(o->path));
    rc = hold(out);
    if (rc == 0) rc = open_locked(o, out);
    if (rc < 0) run_folder_close(out);
    return rc;
}

void run_folder_close(run_folder *r) {
    folder_lock_release(&r->lock);
    if (r->fd >= 0) close(r->fd);
    free(r->path);
    *r = RUN_FOLDER_CLOSED;
}

/* ---- following --------------------------------------------------------------------------------------------------------------- */

/* Where the system says that it is. (One that was removed has a name there, too, which leads nowhere.) */
static bool find_moved(const run_folder *r, char out[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", r->fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n < 0) return false;
    out[n] = 0;
    return file_is_at(r->fd, out);
}

/* What names the lock's file moves along: it is removed by name at the end. */
static int take_path(run_folder *r, const char *path) {
    const char *name = r->lock.folder_path ? strrchr(r->lock.folder_path, '/') : NULL;
    char *to = strdup(path), *lock = NULL;
    if (!to || (name && asprintf(&lock, "%s%s", path, name) < 0)) {
        free(to);
        return error_memory(strlen(path));
    }
    if (name) free(r->lock.folder_path), r->lock.folder_path = lock;
    free(r->path);
    r->path = to;
    return 0;
}

static void say_where(const run_folder *r, const mien_hooks *hooks, const char *was, const char *what) {
    char line[2 * PATH_MAX];
    snprintf(line, sizeof line, "%s%s", what, r->path);
    if (hooks && hooks->log) hooks->log(hooks->context, MIEN_LOG_WARNING, was, line);
}

/* Nothing at all, or what this run's own cache has made meanwhile. */
static bool is_free(const char *path) {
    const struct dirent *e;
    struct stat st;
    int rc, others = 0;
    if (lstat(path, &st) < 0) return errno == ENOENT;
    DIR *dir = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    if (!dir) return false;
    while ((rc = folder_next(dir, path, &e)) == 1) others += e->d_name[0] != '.' && strcmp(e->d_name, "cache") != 0;
    closedir(dir);
    return rc == 0 && !others;
}

/* A folder of its own, by the run's name or one beside it. */
static int make_anew(const run_folder *was, const run_settings *settings, run_folder *out) {
    char path[PATH_MAX];
    bool made = false;
    *out = RUN_FOLDER_CLOSED;
    for (int n = 0; !made && n < 1000; n++) {
        if (snprintf(path, sizeof path, n ? "%s-%d" : "%s", was->path, n) >= (int)sizeof path) return error_set(ERR_IO, "%s: the path is too long", was->path);
        made = is_free(path);
    }
    if (!made) return error_set(ERR_IO, "%s: no name beside it is free", was->path);
    if (folder_make(path) < 0) return error_code();
    if (!(out->path = strdup(path))) return error_memory(strlen(path));
    int rc = hold(out);
    if (rc == 0) rc = write_settings(path, settings);
    if (rc < 0) run_folder_close(out);
    return rc;
}

/* Emptied, while it was in use: without settings no checkpoint could be gone on from. */
static int mend_settings(const run_folder *r, const run_settings *settings, const mien_hooks *hooks) {
    char path[PATH_MAX];
    struct stat st;
    int rc = settings_path(r->path, path);
    if (rc < 0 || lstat(path, &st) == 0 || errno != ENOENT) return rc;
    if (hooks && hooks->log) hooks->log(hooks->context, MIEN_LOG_WARNING, r->path, "settings.json was removed; it is written again");
    return write_settings(r->path, settings);
}

int run_folder_follow(run_folder *r, const run_settings *settings, const mien_hooks *hooks) {
    char moved[PATH_MAX], was[PATH_MAX];
    run_folder anew;
    struct stat st;
    if (r->fd < 0) return 0;
    if (file_is_at(r->fd, r->path)) return mend_settings(r, settings, hooks);
    snprintf(was, sizeof was, "%s", r->path);
    if (find_moved(r, moved)) {
        int rc = take_path(r, moved);
        if (rc == 0) say_where(r, hooks, was, "the run's folder was moved; what is written goes to ");
        return rc < 0 ? rc : 1;
    }
    /* A disk that is away for a while is no folder that was removed. */
    if (stat(was, &st) < 0 && errno != ENOENT) return error_errno("%s", was);
    int rc = make_anew(r, settings, &anew);
    if (rc < 0) return rc;
    anew.resumed = r->resumed;
    run_folder_close(r);
    *r = anew;
    say_where(r, hooks, was, "the run's folder is gone, with all that was in it; what is kept from now on goes to ");
    return 1;
}

void run_folder_undo(run_folder *r, const char *const *files) {
    char path[PATH_MAX], *folder = r->made && !r->resumed && r->path ? strdup(r->path) : NULL;
    if (r->path && !r->resumed) {
        for (; *files; files++)
            if (snprintf(path, sizeof path, "%s/%s", r->path, *files) < (int)sizeof path) unlink(path);
        if (settings_path(r->path, path) == 0) unlink(path);
    }
    run_folder_close(r);
    if (folder) rmdir(folder);   /* unless something is in it: of a cache, what was encoded */
    free(folder);
}

int run_folder_room(const char *path, uint64_t bytes, const char *what) {
    struct statvfs disk;
    if (statvfs(path, &disk) < 0) return 0;    /* the first write will tell */
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes >= bytes) return 0;
    return error_set(ERR_FULL, "%s: %s will take %.1f GB, and the disk has %.1f GB free", path, what, (double)bytes / 1e9, (double)free_bytes / 1e9);
}
