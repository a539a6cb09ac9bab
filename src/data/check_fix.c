/* SPDX-License-Identifier: Apache-2.0 */
#include "data/check_fix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/stream.h"
#include "base/text.h"
#include "data/build_state.h"
#include "data/dataset.h"
#include "data/lines.h"

enum { FORMAT = 1, MOST_BACKUPS = 100000 };

typedef struct { char prompts[PATH_MAX], rejected[PATH_MAX], new_prompts[PATH_MAX], new_rejected[PATH_MAX]; } paths;

static int name(char out[PATH_MAX], const char *folder, const char *file) {
    int n = snprintf(out, PATH_MAX, "%s/%s", folder, file);
    return n < 0 || n >= PATH_MAX ? error_set(ERR_IO, "%s/%s: the path is too long", folder, file) : 0;
}

static int name_all(const char *folder, paths *p) {
    int rc = name(p->prompts, folder, "prompt.jsonl");
    if (rc == 0) rc = name(p->rejected, folder, "prompt.rejected.jsonl");
    if (rc == 0) rc = name(p->new_prompts, folder, ".mien-fix.prompt.jsonl");
    return rc < 0 ? rc : name(p->new_rejected, folder, ".mien-fix.prompt.rejected.jsonl");
}

static bool is_there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

/* ---- what a kill has left ------------------------------------------------------------------------------------------ */

bool check_fix_pending(const char *folder) {
    paths p;
    return name_all(folder, &p) == 0 && (is_there(p.new_prompts) || is_there(p.new_rejected));
}

int check_fix_rejected(const char *folder, char path[PATH_MAX]) {
    paths p;
    int rc = name_all(folder, &p);
    if (rc == 0) strcpy(path, is_there(p.new_rejected) && !is_there(p.new_prompts) ? p.new_rejected : p.rejected);
    return rc;
}

static int backup_name(char out[PATH_MAX], const char *folder, int i, char short_name[CHECK_BACKUP]) {
    if (i == 1) strcpy(short_name, "prompt.jsonl.bak");
    else snprintf(short_name, CHECK_BACKUP, "prompt.jsonl.bak.%d", i);
    return name(out, folder, short_name);
}

/* A backup that is prompt.jsonl itself, since the fix ended between the link and the rename. */
static int remove_own_backup(const char *folder, const char *prompts) {
    struct stat own, st;
    char path[PATH_MAX], last[PATH_MAX] = "", short_name[CHECK_BACKUP];
    if (lstat(prompts, &own) < 0) return 0;
    for (int i = 1; i < MOST_BACKUPS; i++) {
        int rc = backup_name(path, folder, i, short_name);
        if (rc < 0) return rc;
        if (lstat(path, &st) < 0) break;
        if (st.st_dev == own.st_dev && st.st_ino == own.st_ino) strcpy(last, path);
    }
    return *last && unlink(last) < 0 ? error_errno("%s", last) : 0;
}

int check_fix_recover(const char *folder) {
    paths p;
    int rc = name_all(folder, &p);
    if (rc < 0) return rc;
    if (!is_there(p.new_prompts)) return is_there(p.new_rejected) && rename(p.new_rejected, p.rejected) < 0 ? error_errno("%s", p.rejected) : 0;
    rc = remove_own_backup(folder, p.prompts);
    if (rc < 0) return rc;
    if (unlink(p.new_rejected) < 0 && errno != ENOENT) return error_errno("%s", p.new_rejected);   /* first: alone it means another thing */
    return unlink(p.new_prompts) < 0 ? error_errno("%s", p.new_prompts) : 0;
}

/* ---- a rejected line ----------------------------------------------------------------------------------------------- */

/* The next line to move. */
typedef struct { sorter *lines; uint64_t line; const char *reason, *detail, *files; bool any; } moving;

int check_fix_add(sorter *lines, uint64_t line, const char *reason, const char *detail, const char *files) {
    uint8_t key[8];
    char value[1024];
    for (int i = 7; i >= 0; i--, line >>= 8) key[i] = (uint8_t)line;
    int n = snprintf(value, sizeof value, "%s%c%.300s%c%s", reason, 0, files ? files : "", 0, detail);
    return sorter_add(lines, key, sizeof key, value, n < (int)sizeof value ? (size_t)n + 1 : sizeof value);
}

/* Whether it can be taken in as it stands: an item, without keys of ours. */
static bool is_plain_item(const char *line, size_t size) {
    static const char *const ours[] = { "format", "reason", "detail", "files" };
    dataset_item item;
    json *doc;
    if (dataset_parse("", line, size, &item) < 0) return false;
    dataset_item_free(&item);
    if (json_parse("", (const uint8_t *)line, size, (size_t)64 << 20, &doc) < 0) return false;
    json_at root = json_root(doc), at;
    bool plain = true;
    for (int i = 0; i < 4; i++) plain = plain && !json_field(&root, ours[i], &at);
    json_free(doc);
    return plain;
}

static void reject(const char *line, size_t size, const moving *why, text *out) {
    text_printf(out, "{\"format\": %d, \"reason\": ", FORMAT);
    text_json_exact(out, why->reason);
    text_add(out, ", \"detail\": ");
    text_json_exact(out, why->detail);
    if (*why->files) text_printf(out, ", \"files\": %s", why->files);
    text_add(out, ", ");
    if (is_plain_item(line, size)) {
        const char *begin = memchr(line, '{', size) + 1, *end = line + size;
        while (strchr(" \t\r", end[-1])) end--;
        while (strchr(" \t\r", *begin)) begin++;
        char *to = text_room(out, (size_t)(end - begin));
        if (to) memcpy(to, begin, (size_t)(end - begin)), text_grown(out, (size_t)(end - begin));
    } else {
        char *whole = malloc(size + 1);
        if (!whole) {
            out->failed = true;
            return;
        }
        for (size_t i = 0; i < size; i++) whole[i] = line[i] ? line[i] : ' ';
        whole[size] = 0;
        text_add(out, "\"text\": ");
        text_json_exact(out, whole);
        text_add(out, "}");
        free(whole);
    }
    text_add(out, "\n");
}

/* ---- writing both -------------------------------------------------------------------------------------------------- */

/* What was rejected before, which must be ours. */
static int check_rejected(const char *path) {
    stream *r;
    stream_text line;
    json *doc;
    if (!is_there(path)) return 0;
    int rc = stream_open_file(path, &r);
    if (rc < 0) return rc;
    rc = stream_line(r, 2 * DATASET_LINE_MOST, &line);
    if (rc > 0) {
        rc = json_parse(path, (const uint8_t *)line.text, line.size, (size_t)64 << 20, &doc);
        json_at root, at;
        long long format = 0;
        if (rc == 0) {
            root = json_root(doc);
            bool any = json_need_object(&root) == 0 && json_field(&root, "format", &at) && json_need_integer(&at, 0, 1000000, &format) == 0;
            if (!any) rc = error_set(ERR_EXISTS, "%s: is there and was not written by mien", path);
            else if (format != FORMAT) rc = error_set(ERR_UNSUPPORTED, "%s: its format is %lld, this mien knows %d", path, format, FORMAT);
            json_free(doc);
        }
    }
    stream_close(r);
    return rc < 0 ? rc : 0;
}

/* Opens a file that may not be there: -1 then. */
static int open_if_there(const char *path, int *fd) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return *fd < 0 && errno != ENOENT ? error_errno("%s", path) : 0;
}

static int copy_rejected(const char *path, lines_copy *to) {
    int fd, rc = open_if_there(path, &fd);
    if (rc == 0 && fd >= 0) rc = lines_append_file(to, fd, path);   /* whole lines: it came here by a rename */
    if (fd >= 0) close(fd);
    return rc;
}

static int next_moving(moving *m) {
    const void *key, *value;
    size_t key_size, value_size;
    int rc = sorter_next(m->lines, &key, &key_size, &value, &value_size);
    m->any = rc > 0;
    if (rc <= 0) return rc;
    m->line = 0;
    for (int i = 0; i < 8; i++) m->line = m->line << 8 | ((const uint8_t *)key)[i];
    m->reason = value;
    m->files = m->reason + strlen(m->reason) + 1;
    m->detail = m->files + strlen(m->files) + 1;
    return 0;
}

typedef struct { lines_copy kept, rejected; moving next; } split;

static int split_line(void *context, uint64_t number, const char *line, size_t size) {
    split *s = context;
    text out = { 0 };
    if (!s->next.any || s->next.line != number) return 1;
    reject(line, size, &s->next, &out);
    int rc = text_check(&out);
    if (rc == 0) rc = lines_write(&s->rejected, out.data, out.size);
    text_free(&out);
    return rc < 0 ? rc : next_moving(&s->next);
}

static int split_lines(int fd, const paths *p, split *s) {
    int rc = copy_rejected(p->rejected, &s->rejected);
    if (rc == 0) rc = next_moving(&s->next);
    if (rc == 0) rc = lines_filter(&s->kept, fd, p->prompts, split_line, s);
    if (rc == 0 && s->next.any) rc = error_set(ERR_IO, "%s: has fewer lines than it had", p->prompts);
    return rc;
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int commit(file_writer **w, const char *path, mode_t mode) {
    int rc = file_commit(*w, true);
    *w = NULL;
    if (rc < 0) return rc;
    chmod(path, mode & 0777);      /* as well as it can be */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0) rc = error_errno("%s", path);
    if (fd >= 0) close(fd);
    return rc;
}

/* Both copies' sums end with it. */
static int tell_build(const char *folder, split *s) {
    uint8_t digest[32];
    char was[65], is[65];
    sha256_end(&s->kept.was, digest);
    sha256_hex(digest, was);
    sha256_end(&s->kept.is, digest);
    sha256_hex(digest, is);
    return build_state_hand_on(folder, "prompt.jsonl", was, is);
}

static int write_both(const char *folder, const paths *p, const struct stat *was, sorter *lines, uint64_t *moved) {
    split s = { .next.lines = lines };
    file_writer *kept = NULL, *rejected = NULL;
    struct stat now;
    int fd = open(p->prompts, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 || fstat(fd, &now) < 0 ? error_errno("%s", p->prompts) : 0;
    if (rc == 0 && !same_file(&now, was)) rc = error_set(ERR_IO, "%s: has changed since it was read", p->prompts);
    if (rc == 0) rc = check_rejected(p->rejected);
    if (rc == 0) rc = file_create(p->new_prompts, &kept);
    if (rc == 0) rc = file_create(p->new_rejected, &rejected);
    lines_begin(&s.kept, kept);
    lines_begin(&s.rejected, rejected);
    if (rc == 0) rc = split_lines(fd, p, &s);
    *moved = s.kept.dropped;
    if (rc == 0 && *moved) rc = commit(&kept, p->new_prompts, was->st_mode);
    if (rc == 0 && *moved) rc = commit(&rejected, p->new_rejected, was->st_mode);
    if (rc == 0 && *moved) rc = tell_build(folder, &s);
    file_abandon(kept);
    file_abandon(rejected);
    if (fd >= 0) close(fd);
    return rc;
}

/* ---- putting them in place ----------------------------------------------------------------------------------------- */

/* Where there are no links. */
static int copy_new(const char *from, const char *to) {
    lines_copy c;
    file_writer *w = NULL;
    int fd, rc = open_if_there(from, &fd);
    if (rc == 0) rc = file_create(to, &w);
    lines_begin(&c, w);
    if (rc == 0 && fd >= 0) rc = lines_append_file(&c, fd, from);
    if (rc == 0) rc = file_commit(w, false);
    else file_abandon(w);
    if (fd >= 0) close(fd);
    return rc;
}

static int back_up(const char *folder, const char *prompts, char short_name[CHECK_BACKUP]) {
    for (int i = 1; i < MOST_BACKUPS; i++) {
        char path[PATH_MAX];
        int rc = backup_name(path, folder, i, short_name);
        if (rc < 0 || is_there(path)) {
            if (rc < 0) return rc;
            continue;
        }
        rc = file_link(prompts, path, false);
        if (rc == ERR_UNSUPPORTED) rc = copy_new(prompts, path);
        if (rc != ERR_EXISTS) return rc;
    }
    return error_set(ERR_EXISTS, "%s: there are %d backups", prompts, MOST_BACKUPS);
}

static void sync_folder(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);                     /* not every file system can: then the order of the renames is its business */
    close(fd);
}

int check_fix(const char *folder, const struct stat *was, sorter *lines, uint64_t *moved, char backup[CHECK_BACKUP]) {
    paths p;
    *moved = 0;
    *backup = 0;
    int rc = name_all(folder, &p);
    if (rc == 0) rc = check_fix_recover(folder);
    if (rc == 0) rc = write_both(folder, &p, was, lines, moved);
    if (rc == 0 && !*moved) return 0;
    if (rc == 0) rc = back_up(folder, p.prompts, backup);
    if (rc == 0) sync_folder(folder);
    if (rc == 0 && rename(p.new_prompts, p.prompts) < 0) rc = error_errno("%s", p.prompts);
    if (rc < 0) {
        char why[1024];
        snprintf(why, sizeof why, "%s", error_message());
        check_fix_recover(folder);
        return *moved = 0, *backup = 0, error_set(rc, "%s", why);
    }
    if (rename(p.new_rejected, p.rejected) < 0) return error_errno("%s", p.rejected);   /* the next fix tries again */
    sync_folder(folder);
    return 0;
}
