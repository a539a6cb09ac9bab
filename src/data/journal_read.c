/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading all journals of a kind, and making one of them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/journal_inside.h"

enum { HEAD_MOST = 16 << 20 };                      /* of a head that names very many merged parts */
static const size_t line_memory = (size_t)64 << 20;   /* of a parsed line */

/* ---- heads --------------------------------------------------------------------------------------------------------- */

static int no_journal(const stream *r, const char *kind) {
    return error_set(ERR_FORMAT, "%s: is no journal of \"%s\": its first line does not say so", stream_name(r), kind);
}

/* Parses a head that was read whole: its document, or ERR_FORMAT. */
static int parse_head(const stream *r, const stream_text *line, const char *kind, json **out) {
    json_at root, format, of;
    long long number;
    const char *word;
    if (json_parse(stream_name(r), (const uint8_t *)line->text, line->size, line_memory, out) < 0) return no_journal(r, kind);
    root = json_root(*out);
    int rc = 0;
    if (json_need_object(&root) < 0 || !json_field(&root, "format", &format) || !json_field(&root, "kind", &of) ||
        json_need_integer(&format, 0, INT_MAX, &number) < 0 || json_need_string(&of, &word) < 0 || strcmp(word, kind) != 0)
        rc = no_journal(r, kind);
    else if (number != JOURNAL_FORMAT)
        rc = error_set(ERR_FORMAT, "%s: has format %lld; this version of mien knows format %d", stream_name(r), number, JOURNAL_FORMAT);
    if (rc < 0) json_free(*out);
    return rc;
}

static int read_head(stream *r, const char *kind, json **out) {
    stream_text line;
    *out = NULL;
    int rc = stream_line(r, HEAD_MOST, &line);
    if (rc <= 0) return rc == ERR_LIMIT ? no_journal(r, kind) : rc;
    if (!line.ended) {                              /* torn by a kill or a full disk, or never ours */
        text head = { 0 };
        journal_head(kind, &head);
        rc = text_check(&head);
        if (rc == 0 && (line.size > head.size || memcmp(head.data, line.text, line.size) != 0)) rc = no_journal(r, kind);
        text_free(&head);
        return rc;
    }
    rc = parse_head(r, &line, kind, out);
    return rc < 0 ? rc : 1;
}

int journal_check_head(stream *r, const char *kind) {
    json *doc;
    int rc = read_head(r, kind, &doc);
    if (rc == 1) json_free(doc);
    return rc;
}

/* ---- what a merge took ----------------------------------------------------------------------------------------------- */

static int read_merged(const json_at *root, journal_merged *out) {
    json_at list, item;
    size_t count;
    if (!json_field(root, "merged", &list)) return 0;
    int rc = json_need_array(&list, 0, HEAD_MOST / 64, &count);
    if (rc < 0 || count == 0) return rc;
    if (!(out->sha256 = calloc(count, sizeof *out->sha256))) return error_memory(count * sizeof *out->sha256);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *hex;
        item = json_item(&list, i);
        rc = json_need_string(&item, &hex);
        if (rc == 0) snprintf(out->sha256[out->count++], sizeof *out->sha256, "%s", hex);
    }
    return rc;
}

static int merged_path(const char *folder, const char *kind, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/%s.jsonl", folder, kind);
    return n < 0 || n >= PATH_MAX ? error_set(ERR_IO, "%s: the path is too long", folder) : 0;
}

/* Opens a journal: 1, or 0 if there is none. Nothing but a file: a FIFO would hold us up. */
static int open_journal(const char *path, stream **out) {
    struct stat st;
    if (stat(path, &st) < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    if (!S_ISREG(st.st_mode)) return error_set(ERR_IO, "%s: is not a regular file", path);
    int rc = stream_open(path, out);
    return rc < 0 ? rc : 1;
}

int journal_merged_load(const char *folder, const char *kind, journal_merged *out) {
    char path[PATH_MAX];
    stream *r;
    json *doc;
    *out = (journal_merged){ 0 };
    int rc = merged_path(folder, kind, path);
    if (rc == 0) rc = open_journal(path, &r);
    if (rc <= 0) return rc;
    rc = read_head(r, kind, &doc);
    if (rc == 1) {
        json_at root = json_root(doc);
        rc = read_merged(&root, out);
        json_free(doc);
    }
    stream_close(r);
    if (rc < 0) journal_merged_free(out);
    return rc;
}

static int hash_file(const char *path, char hex[65]) {
    int rc = file_hash(path, hex);
    return rc == 0 ? error_set(ERR_IO, "%s: is gone", path) : rc < 0 ? rc : 0;
}

int journal_merged_has(const journal_merged *m, const char *path) {
    char hex[65];
    if (!m->count) return 0;
    int rc = hash_file(path, hex);
    for (size_t i = 0; rc == 0 && i < m->count; i++) rc = strcmp(m->sha256[i], hex) == 0;
    return rc;
}

void journal_merged_free(journal_merged *m) {
    free(m->sha256);
    *m = (journal_merged){ 0 };
}

/* ---- the journals of a folder ------------------------------------------------------------------------------------------ */

typedef struct { char **name; size_t count, room; } names;

/* <kind>.<I>-of-<N>.jsonl */
static bool is_part(const char *name, const char *kind) {
    size_t n = strlen(kind), digits;
    if (strncmp(name, kind, n) != 0 || name[n++] != '.') return false;
    if (!(digits = strspn(name + n, "0123456789")) || strncmp(name + (n += digits), "-of-", 4) != 0) return false;
    if (!(digits = strspn(name + (n += 4), "0123456789"))) return false;
    return strcmp(name + n + digits, ".jsonl") == 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void names_free(names *l) {
    for (size_t i = 0; i < l->count; i++) free(l->name[i]);
    free(l->name);
}

static int names_add(names *l, const char *folder, const char *name) {
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 16;
        char **grown = realloc(l->name, room * sizeof *grown);
        if (!grown) return error_memory(room * sizeof *grown);
        l->name = grown;
        l->room = room;
    }
    return asprintf(&l->name[l->count], "%s/%s", folder, name) < 0 ? error_memory(strlen(folder) + strlen(name)) : (l->count++, 0);
}

/* The parts' journals, sorted. */
static int list_parts(const char *folder, const char *kind, names *out) {
    *out = (names){ 0 };
    DIR *dir = opendir(folder);
    if (!dir) return errno == ENOENT ? 0 : error_errno("%s", folder);
    const struct dirent *e;
    int rc = 0;
    while (rc == 0 && (rc = folder_next(dir, folder, &e)) > 0) rc = is_part(e->d_name, kind) ? names_add(out, folder, e->d_name) : 0;
    closedir(dir);
    if (rc < 0) names_free(out);
    else if (out->count) qsort(out->name, out->count, sizeof *out->name, by_name);
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* The next whole line: 1, 0 at the end, ERR_*. */
static int next_line(stream *r, stream_text *line) {
    int rc = stream_line(r, JOURNAL_LINE, line);
    if (rc == ERR_LIMIT) return error_set(ERR_FORMAT, "%s: line %llu is no line of a journal: too long", stream_name(r), (unsigned long long)stream_lines(r));
    return rc == 1 && !line->ended ? 0 : rc;
}

static int read_line(const stream *r, const stream_text *line, journal_entry *entry, void *context) {
    char where[PATH_MAX + 32];
    json *doc;
    snprintf(where, sizeof where, "%s: line %llu", stream_name(r), (unsigned long long)stream_lines(r));
    int rc = json_parse(where, (const uint8_t *)line->text, line->size, line_memory, &doc);
    if (rc < 0) return rc;
    json_at root = json_root(doc);
    rc = json_need_object(&root);
    if (rc == 0) rc = entry(context, &root);
    json_free(doc);
    return rc < 0 ? rc : 0;
}

int journal_read_from(stream *r, const char *kind, journal_entry *entry, void *context) {
    stream_text line;
    int rc = journal_check_head(r, kind);
    while (rc == 1 && (rc = next_line(r, &line)) == 1) {
        rc = read_line(r, &line, entry, context);
        if (rc < 0) return rc;
        rc = 1;
    }
    return rc;
}

static int read_path(const char *path, const char *kind, journal_entry *entry, void *context) {
    stream *r;
    int rc = open_journal(path, &r);
    if (rc <= 0) return rc;
    rc = journal_read_from(r, kind, entry, context);
    stream_close(r);
    return rc;
}

int journal_read(const char *folder, const char *kind, journal_entry *entry, void *context) {
    char path[PATH_MAX];
    names parts = { 0 };
    journal_merged merged = { 0 };
    int rc = merged_path(folder, kind, path);
    if (rc == 0) rc = list_parts(folder, kind, &parts);
    if (rc < 0) return rc;
    if (parts.count) rc = journal_merged_load(folder, kind, &merged);
    if (rc == 0) rc = read_path(path, kind, entry, context);
    for (size_t i = 0; rc == 0 && i < parts.count; i++) {
        rc = journal_merged_has(&merged, parts.name[i]);
        if (rc >= 0) rc = rc ? 0 : read_path(parts.name[i], kind, entry, context);
    }
    journal_merged_free(&merged);
    names_free(&parts);
    return rc;
}

/* ---- merging ------------------------------------------------------------------------------------------------------- */

static int copy_lines(const char *path, const char *kind, file_writer *w) {
    stream *r;
    stream_text line;
    int rc = open_journal(path, &r);
    if (rc <= 0) return rc;
    rc = journal_check_head(r, kind);
    while (rc == 1 && (rc = next_line(r, &line)) == 1) {
        rc = file_write(w, line.text, line.size);
        if (rc == 0) rc = file_write(w, "\n", 1);
        rc = rc < 0 ? rc : 1;
    }
    stream_close(r);
    return rc;
}

/* The head: with the hashes of those that are about to be merged. */
static int write_head(const names *parts, const char *kind, file_writer *w) {
    text head = { 0 };
    char hex[65];
    int rc = 0;
    journal_head(kind, &head);
    if (head.size) head.data[--head.size] = 0;      /* without its } */
    for (size_t i = 0; rc == 0 && i < parts->count; i++) {
        rc = hash_file(parts->name[i], hex);
        text_printf(&head, "%s\"%s\"", i ? "," : ",\"merged\":[", hex);
    }
    text_add(&head, "]}\n");
    if (rc == 0) rc = text_check(&head);
    if (rc == 0) rc = file_write(w, head.data, head.size);
    text_free(&head);
    return rc;
}

/* The parts may go only when the merged journal is on the disk, whatever the power does. */
static int sync_path(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 || (fsync(fd) < 0 && errno != EINVAL) ? error_errno("%s", path) : 0;
    if (fd >= 0) close(fd);
    return rc;
}

static int merge(const char *folder, const char *path, const char *kind, const names *parts) {
    file_writer *w;
    journal_merged merged;
    int rc = journal_merged_load(folder, kind, &merged);
    if (rc < 0) return rc;
    rc = file_create(path, &w);
    if (rc == 0) {
        rc = write_head(parts, kind, w);
        if (rc == 0) rc = copy_lines(path, kind, w);
        for (size_t i = 0; rc == 0 && i < parts->count; i++) {
            rc = journal_merged_has(&merged, parts->name[i]);
            if (rc >= 0) rc = rc ? 0 : copy_lines(parts->name[i], kind, w);
        }
        if (rc == 0) rc = file_commit(w, true);
        else file_abandon(w);
    }
    journal_merged_free(&merged);
    if (rc == 0) rc = sync_path(path);
    return rc < 0 ? rc : sync_path(folder);
}

int journal_merge(const char *folder, const char *kind, int *merged) {
    char path[PATH_MAX];
    names parts = { 0 };
    *merged = 0;
    int rc = merged_path(folder, kind, path);
    if (rc == 0) rc = list_parts(folder, kind, &parts);
    if (rc < 0) return rc;
    if (parts.count) rc = merge(folder, path, kind, &parts);
    for (size_t i = 0; rc == 0 && i < parts.count; i++)
        if (unlink(parts.name[i]) < 0) rc = error_errno("%s", parts.name[i]);
    if (rc == 0) *merged = (int)parts.count;
    names_free(&parts);
    return rc;
}
