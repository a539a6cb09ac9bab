/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/check_unnamed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sorter.h"
#include "data/dataset.h"
#include "data/journal.h"
#include "data/lines.h"

enum { MEMORY = 2 << 20, NAME = NAME_MAX + 16 };

struct check_unnamed {
    char folder[PATH_MAX];
    bool all;
    sorter *names;                 /* "target/x.jpg": 'n' of those that are named, 'f' of those that are there */
    const char *doubt;
};

int check_unnamed_new(const char *folder, const char *room, bool all, check_unnamed **out) {
    check_unnamed *u = calloc(1, sizeof *u);
    if (!u) return error_memory(sizeof *u);
    snprintf(u->folder, sizeof u->folder, "%s", folder);
    u->all = all;
    int rc = sorter_new(room, MEMORY, &u->names);
    if (rc < 0) check_unnamed_free(u);
    else *out = u;
    return rc;
}

void check_unnamed_free(check_unnamed *u) {
    if (!u) return;
    sorter_free(u->names);
    free(u);
}

static int add(check_unnamed *u, const char *folder, const char *name, const char *ending, const char *what) {
    char key[NAME];
    if (!*name) return 0;
    int n = snprintf(key, sizeof key, "%s/%s%s", folder, name, ending);
    return n < (int)sizeof key ? sorter_add(u->names, key, (size_t)n, what, 1) : 0;   /* longer than any file's */
}

int check_unnamed_line(check_unnamed *u, const char *id, const char *source, const char *landmarks, const char *target) {
    int rc = add(u, "target", target, "", "n");
    if (rc == 0) rc = add(u, "source", source, "", "n");
    if (rc == 0) rc = add(u, "source", landmarks, "", "n");
    return rc == 0 && u->all ? add(u, "annotated", id, ".png", "n") : rc;
}

/* ---- lines that were rejected -------------------------------------------------------------------------------------- */

static int add_rejected(void *context, uint64_t number, const char *line, size_t size) {
    (void)number;
    check_unnamed *u = context;
    dataset_item item;
    if (strspn(line, " \t\r") >= size) return 1;
    if (dataset_parse("", line, size, &item) < 0) {
        if (error_code() == ERR_MEMORY) return ERR_MEMORY;
        u->doubt = "a line of prompt.rejected.jsonl can't be read, and may name them";
        return 1;
    }
    char landmarks[NAME];
    const char *dot = strrchr(item.source, '.');
    snprintf(landmarks, sizeof landmarks, "%.*s.json", dot && dot > item.source ? (int)(dot - item.source) : NAME_MAX, item.source);
    int rc = check_unnamed_line(u, item.id, item.source, landmarks, item.target);
    dataset_item_free(&item);
    return rc < 0 ? rc : 1;
}

static int read_rejected(check_unnamed *u) {
    char path[PATH_MAX];
    lines_copy nothing;
    if (snprintf(path, sizeof path, "%s/prompt.rejected.jsonl", u->folder) >= (int)sizeof path) return error_set(ERR_IO, "%s: the path is too long", u->folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    lines_begin(&nothing, NULL);
    int rc = lines_filter(&nothing, fd, path, add_rejected, u);
    close(fd);
    return rc;
}

int check_unnamed_prepare(check_unnamed *u, const char **why) {
    int rc = u->all ? read_rejected(u) : 0;
    if (!*why) *why = u->doubt;
    return rc;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static int list_files(check_unnamed *u, const char *name) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", u->folder, name) >= (int)sizeof path) return error_set(ERR_IO, "%s: the path is too long", u->folder);
    DIR *dir = opendir(path);
    if (!dir) return errno == ENOENT ? 0 : error_errno("%s", path);
    const struct dirent *e;
    int rc = 0;
    while (rc == 0 && (rc = folder_next(dir, path, &e)) > 0) rc = e->d_name[0] != '.' ? add(u, name, e->d_name, "", "f") : 0;
    closedir(dir);
    return rc;
}

int check_unnamed_each(check_unnamed *u, int (*found)(void *context, const char *name), void *context) {
    char last[NAME] = "", now[NAME];
    bool named = true;
    const void *key, *value;
    size_t key_size, value_size;
    int rc = list_files(u, "source");
    if (rc == 0) rc = list_files(u, "target");
    if (rc == 0 && u->all) rc = list_files(u, "annotated");
    while (rc >= 0 && (rc = sorter_next(u->names, &key, &key_size, &value, &value_size)) > 0) {
        snprintf(now, sizeof now, "%.*s", (int)key_size, (const char *)key);
        if (strcmp(now, last) != 0) {
            if (!named && (rc = found(context, last)) < 0) return rc;
            strcpy(last, now);
            named = false;
        }
        named = named || *(const char *)value == 'n';
    }
    return rc == 0 && !named ? found(context, last) : rc;
}

static int note_in_place(void *context, const json_at *line) {
    json_at at;
    if (json_need_object(line) == 0 && json_field(line, "in_place", &at)) *(int *)context = 1;
    return 0;
}

static int note_fetched(void *context, const json_at *line) {
    json_at at;
    if (json_need_object(line) == 0 && json_field(line, "id", &at)) *(int *)context = 1;
    return 0;
}

int check_unnamed_photos_stay(const char *folder) {
    int stay = 0, rc = journal_read(folder, "build", note_in_place, &stay);
    if (rc == 0) rc = journal_read(folder, "download", note_fetched, &stay);
    return rc < 0 ? rc : stay;
}
