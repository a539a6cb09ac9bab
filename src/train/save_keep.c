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

/* Hidden folders, and those whose removal was begun: no checkpoint.json, nothing but our files. */
void save_remove_leftovers(const char *run) {
    char path[PATH_MAX], inner[PATH_MAX];
    uint64_t step;
    struct stat st;
    if (save_path(path, "%s/" SAVE_FOLDER, run) < 0) return;
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        bool hidden = strncmp(e->d_name, ".step-", 6) == 0 && strstr(e->d_name, ".mien-tmp-");
        if (!hidden && !save_folder_name(e->d_name, &step)) continue;
        if (save_path(inner, "%s/%s/" SAVE_LIST, path, e->d_name) < 0) continue;
        if (!hidden && (lstat(inner, &st) == 0 || errno != ENOENT)) continue;
        if (save_path(inner, "%s/%s", path, e->d_name) == 0) save_remove(inner);
    }
    if (dir) closedir(dir);
}

/* ---- keeping --------------------------------------------------------------------------------------------------------------- */

typedef struct { uint64_t step; double measure; } kept;

static int newest_first(const void *a, const void *b) {
    const kept *x = a, *y = b;
    return x->step < y->step ? 1 : x->step > y->step ? -1 : 0;
}

/* Those up to a step that say they are whole. What cannot be read is nobody's to remove. Nor are those of later steps, from which a run has gone back: it found them broken, so
 * they take no whole one's place. */
static size_t list_whole(const char *run, const uint64_t *steps, size_t n, uint64_t last, kept *out) {
    char path[PATH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        save_list l;
        if (steps[i] > last) continue;
        if (save_path(path, "%s/" SAVE_FOLDER "/step-%06" PRIu64, run, steps[i]) == 0 && save_list_load(path, &l) == 0) out[count++] = (kept){ steps[i], l.measure };
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
        save_remove(path);
        if (!hooks || !hooks->log || access(path, F_OK) != 0) continue;
        hooks->log(hooks->context, MIEN_LOG_INFO, path, "is no longer a checkpoint, and stays for what else is in it");
    }
    free(list);
    free(steps);
}
