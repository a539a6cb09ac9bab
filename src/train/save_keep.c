/* SPDX-License-Identifier: Apache-2.0
 *
 * Which checkpoints there are, and which stay. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "train/save_inside.h"

bool save_folder_name(const char *name, uint64_t *step) {
    char again[64];
    if (strncmp(name, "step-", 5) != 0) return false;
    size_t n = strspn(name + 5, "0123456789");
    if (n < 6 || n > 18 || name[5 + n]) return false;
    *step = strtoull(name + 5, NULL, 10);
    snprintf(again, sizeof again, "step-%06" PRIu64, *step);
    return strcmp(again, name) == 0;
}

int save_steps(const char *run, uint64_t **out, size_t *count) {
    char path[PATH_MAX];
    const struct dirent *e;
    uint64_t *list = NULL, step;
    size_t n = 0;
    *out = NULL, *count = 0;
    int rc = save_path(path, "%s/" SAVE_FOLDER, run);
    DIR *dir = rc < 0 ? NULL : opendir(path);
    if (!dir) return rc < 0 ? rc : errno == ENOENT ? 0 : error_errno("%s", path);
    while ((rc = folder_next(dir, path, &e)) == 1) {
        if (!save_folder_name(e->d_name, &step)) continue;
        uint64_t *more = reallocarray(list, n + 1, sizeof *list);
        if (!more) {
            rc = error_memory((n + 1) * sizeof *list);
            break;
        }
        list = more;
        list[n++] = step;
    }
    closedir(dir);
    if (rc < 0) free(list);
    else *out = list, *count = n;
    return rc;
}

/* ---- removing -------------------------------------------------------------------------------------------------------------- */

static bool is_ours(const char *name) {
    for (int i = 0; i < SAVE_FILES; i++)
        if (strcmp(name, save_names[i]) == 0) return true;
    return name[0] == '.' && strstr(name, ".mien-tmp-");
}

static void remove_tokenizer(int folder) {
    int fd = openat(folder, SAVE_TOKENIZER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    for (int i = 0; save_tokenizer_files[i]; i++) unlinkat(fd, save_tokenizer_files[i], 0);
    close(fd);
    unlinkat(folder, SAVE_TOKENIZER, AT_REMOVEDIR);
}

int save_hidden(const char *run, uint64_t step, unsigned n, char out[PATH_MAX]) {
    return save_path(out, "%s/" SAVE_FOLDER "/.step-%06" PRIu64 ".mien-tmp-%ld-%u", run, step, (long)getpid(), n);
}

/* 0, or errno: EEXIST if the name is taken. Where the file system has no such call, nobody else takes names here: the
 * run is locked. */
static int rename_new(const char *from, const char *to) {
    struct stat st;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    if (lstat(to, &st) == 0) return EEXIST;
    return rename(from, to) == 0 ? 0 : errno;
}

int save_show(const char *there, const char *path, const mien_hooks *hooks) {
    char aside[PATH_MAX], line[PATH_MAX + 100];
    struct stat st;
    int failed = EEXIST;
    if (lstat(there, &st) < 0) return errno == ENOENT ? 0 : error_errno("%s", there);
    for (unsigned n = 1; failed == EEXIST && n < 10000; n++) {
        int rc = save_path(aside, "%s.aside-%u", path, n);
        if (rc < 0) return rc;
        failed = rename_new(there, aside);
    }
    if (failed) return errno = failed, error_errno("%s: is in the way of a checkpoint", path);
    snprintf(line, sizeof line, "what was there is no checkpoint that could be gone on with, and is %s now", aside);
    if (hooks && hooks->log) hooks->log(hooks->context, MIEN_LOG_WARNING, path, line);
    return 0;
}

void save_remove(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0) close(fd);
        return;
    }
    unlinkat(fd, SAVE_LIST, 0);
    for (const struct dirent *e; (e = readdir(dir));)
        if (is_ours(e->d_name)) unlinkat(fd, e->d_name, 0);
    remove_tokenizer(fd);
    closedir(dir);
    rmdir(path);
}

/* "step-000123" of ".step-000123.mien-tmp-...". */
static bool hidden_name(const char *name, char step[32]) {
    const char *end = strstr(name, ".mien-tmp-");
    uint64_t unused;
    if (*name != '.' || !end || end - name > 24) return false;
    snprintf(step, 32, "%.*s", (int)(end - name - 1), name + 1);
    return save_folder_name(step, &unused);
}

/* Half written or half removed: by hidden names in both cases. What the user had put into one that was to go stays, by
 * a name to be seen. */
void save_remove_leftovers(const char *run, const mien_hooks *hooks) {
    char path[PATH_MAX], inner[PATH_MAX], shown[PATH_MAX], step[32];
    if (save_path(path, "%s/" SAVE_FOLDER, run) < 0) return;
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        if (!hidden_name(e->d_name, step) || save_path(inner, "%s/%s", path, e->d_name) < 0 ||
            save_path(shown, "%s/%s", path, step) < 0)
            continue;
        save_remove(inner);
        save_show(inner, shown, hooks);
    }
    if (dir) closedir(dir);
}

/* One that is no longer kept, by way of a hidden name: a kill in between leaves nothing that looks like a checkpoint.
 * What else is in it comes back. */
static void remove_checkpoint(const char *run, uint64_t step, const char *path, const mien_hooks *hooks) {
    char hidden[PATH_MAX];
    struct stat st;
    int failed = EEXIST;
    /* Moved to another disk by the user, who knows what else is there: it is whole, and stays so. */
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) return;
    for (unsigned n = 0; failed == EEXIST && n < 1000 && save_hidden(run, step, n, hidden) == 0; n++)
        failed = rename_new(path, hidden);
    save_remove(failed ? path : hidden);
    if (!failed && rename_new(hidden, path) != 0) return;
    if (hooks && hooks->log && access(path, F_OK) == 0)
        hooks->log(hooks->context, MIEN_LOG_INFO, path, "is no longer a checkpoint, and stays for what else is in it");
}

/* ---- keeping --------------------------------------------------------------------------------------------------------------- */

typedef struct { uint64_t step; double measure; } kept;

static int newest_first(const void *a, const void *b) {
    const kept *x = a, *y = b;
    return x->step < y->step ? 1 : x->step > y->step ? -1 : 0;
}

/* Those up to a step that say they are whole. What cannot be read is nobody's to remove. Nor are those of later steps,
 * from which a run has gone back: it found them broken, so they take no whole one's place. */
static size_t list_whole(const char *run, const uint64_t *steps, size_t n, uint64_t last, kept *out) {
    char path[PATH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        save_list l;
        if (steps[i] > last) continue;
        if (save_path(path, "%s/" SAVE_FOLDER "/step-%06" PRIu64, run, steps[i]) == 0 && save_list_load(path, &l) == 0)
            out[count++] = (kept){ steps[i], l.measure };
    }
    if (count) qsort(out, count, sizeof *out, newest_first);
    return count;
}

uint64_t save_bytes_there(const char *run) {
    uint64_t *steps = NULL, sum = 0;
    size_t n = 0;
    char path[PATH_MAX];
    if (save_steps(run, &steps, &n) < 0) return 0;
    for (size_t i = 0; i < n; i++) {
        save_list l;
        if (save_path(path, "%s/" SAVE_FOLDER "/step-%06" PRIu64, run, steps[i]) < 0 || save_list_load(path, &l) < 0) continue;
        for (int k = 0; k < SAVE_FILES; k++)
            if (l.has[k] && __builtin_add_overflow(sum, l.bytes[k], &sum)) sum = UINT64_MAX;
    }
    free(steps);
    return sum;
}

void save_prune(const char *run, uint64_t last, int keep, const mien_hooks *hooks) {
    uint64_t *steps = NULL;
    size_t n = 0, best = 0;
    char path[PATH_MAX];
    kept *list = save_steps(run, &steps, &n) < 0 ? NULL : malloc((n + 1) * sizeof *list);
    n = list ? list_whole(run, steps, n, last, list) : 0;
    for (size_t i = 1; i < n; i++)
        if (isfinite(list[i].measure) && !(list[i].measure >= list[best].measure)) best = i;
    for (size_t i = (size_t)keep; i < n; i++) {
        if (i == best || save_path(path, "%s/" SAVE_FOLDER "/step-%06" PRIu64, run, list[i].step) < 0) continue;
        remove_checkpoint(run, list[i].step, path, hooks);
    }
    free(list);
    free(steps);
}
