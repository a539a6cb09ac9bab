/* SPDX-License-Identifier: Apache-2.0
 *
 * build knows prompt.jsonl and metadata.json for its own by their hashes in its journal. There the new hashes are put before
 * the old ones, and before the files change: then they are build's wherever a run is broken off. */
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
#include "base/json.h"
#include "base/json_stream.h"
#include "base/sorter.h"
#include "base/stop.h"
#include "base/stream.h"
#include "base/text.h"
#include "data/dataset.h"
#include "data/journal.h"
#include "data/lines.h"
#include "data/list.h"
#include "data/remove_inside.h"

enum { ENTRY_MOST = 16 << 20, SORTER_MEMORY = 2 << 20 };

/* A list that is written anew, until it is put in place. */
typedef struct {
    char name[NAME_MAX + 1], path[PATH_MAX];
    int fd;                        /* -1: it isn't there */
    struct stat st;
    file_writer *to;
    lines_copy copy;
    uint64_t gone;
    char was[65], is[65];          /* its hashes */
} rewrite;

static int rewrite_begin(removal *r, const char *name, rewrite *w) {
    *w = (rewrite){ .fd = -1 };
    snprintf(w->name, sizeof w->name, "%s", name);
    int rc = removal_path(r, name, w->path, sizeof w->path);
    if (rc < 0) return rc;
    w->fd = open(w->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (w->fd < 0) return errno == ENOENT ? 0 : error_errno("%s", w->path);
    if (fstat(w->fd, &w->st) < 0) return error_errno("%s", w->path);
    if (!S_ISREG(w->st.st_mode)) return error_set(ERR_IO, "%s: is not a regular file", w->path);
    rc = r->options->dry_run ? 0 : file_create(w->path, &w->to);
    lines_begin(&w->copy, w->to);
    return rc;
}

static void rewrite_hashes(rewrite *w) {
    uint8_t digest[32];
    sha256_end(&w->copy.was, digest);
    sha256_hex(digest, w->was);
    sha256_end(&w->copy.is, digest);
    sha256_hex(digest, w->is);
}

/* Puts it in place if anything is gone. */
static int rewrite_end(removal *r, rewrite *w, bool changed, bool lines) {
    int rc = 0;
    if (w->to && changed) {
        rc = file_commit(w->to, true);
        if (rc == 0) chmod(w->path, w->st.st_mode & 0777);   /* as well as it can be */
    } else {
        file_abandon(w->to);
    }
    w->to = NULL;
    if (rc < 0 || !w->gone) return rc;
    r->result->removed_lines += w->gone;
    const char *what = lines ? (w->gone == 1 ? "line" : "lines") : w->gone == 1 ? "entry" : "entries";
    removal_say(r, w->name, "%llu %s %s", (unsigned long long)w->gone, what, r->options->dry_run ? "would be removed" : "removed");
    return 0;
}

static void rewrite_close(rewrite *w) {
    file_abandon(w->to);
    if (w->fd >= 0) close(w->fd);
    w->to = NULL;
    w->fd = -1;
}

/* ---- prompt.jsonl and what has its lines --------------------------------------------------------------------------- */

typedef struct { removal *r; rewrite *w; int (*each)(removal *r, const dataset_item *item); } taking;

static int take_prompt(void *context, uint64_t number, const char *line, size_t size) {
    (void)number;
    const taking *t = context;
    dataset_item item;
    if (dataset_parse("", line, size, &item) < 0) return error_code() == ERR_MEMORY ? ERR_MEMORY : 1;
    int goes = removal_has(t->r, item.id);
    dataset_item_free(&item);
    if (goes < 0) return goes;
    t->w->gone += (uint64_t)goes;
    return !goes;
}

static int rewrite_prompts(removal *r, const char *name, rewrite *w) {
    int rc = rewrite_begin(r, name, w);
    if (rc == 0 && w->fd >= 0) rc = lines_filter(&w->copy, w->fd, w->path, take_prompt, &(taking){ r, w, NULL });
    return rc;
}

static int read_prompt(void *context, uint64_t number, const char *line, size_t size) {
    (void)number;
    const taking *t = context;
    dataset_item item;
    if (dataset_parse("", line, size, &item) < 0) return error_code() == ERR_MEMORY ? ERR_MEMORY : 1;
    int rc = t->each(t->r, &item);
    dataset_item_free(&item);
    return rc < 0 ? rc : 1;
}

static int read_prompts(removal *r, const char *name, int (*each)(removal *r, const dataset_item *item)) {
    char path[PATH_MAX];
    lines_copy nothing;
    int rc = removal_path(r, name, path, sizeof path);
    if (rc < 0) return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    lines_begin(&nothing, NULL);
    rc = lines_filter(&nothing, fd, path, read_prompt, &(taking){ r, NULL, each });
    close(fd);
    return rc;
}

/* Calls each for all files of the folder whose names begin so: the backups, prompt.jsonl.bak.2. */
static int each_copy(removal *r, const char *begin, int (*each)(removal *r, const char *name)) {
    DIR *dir = opendir(r->folder);
    if (!dir) return error_errno("%s", r->folder);
    const struct dirent *e;
    int rc = 0;
    while (rc == 0 && (rc = folder_next(dir, r->folder, &e)) > 0) rc = strncmp(e->d_name, begin, strlen(begin)) == 0 ? each(r, e->d_name) : 0;
    closedir(dir);
    return rc;
}

static int clean_prompts(removal *r, const char *name) {
    rewrite w;
    int rc = rewrite_prompts(r, name, &w);
    if (rc == 0) rc = rewrite_end(r, &w, w.gone, true);
    rewrite_close(&w);
    return rc;
}

/* ---- metadata.json ------------------------------------------------------------------------------------------------- */

/* A broken one must not keep all else of an item where it is: it is remembered for removal_broken, and passed over. */
static int pass_over(removal *r, int rc) {
    if (rc != ERR_FORMAT && rc != ERR_LIMIT) return rc;
    if (!r->broken[0]) snprintf(r->broken, sizeof r->broken, "%s", error_message());
    return 0;
}

static bool is_blank(const uint8_t *s, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r\n", s[i]) || !s[i]) return false;
    return size < 1 << 16;   /* else there is more */
}

typedef struct { stream *from; lines_copy *copy; } source;

static long read_source(void *context, void *buffer, size_t size) {
    const source *s = context;
    long n = stream_read(s->from, buffer, size);
    if (n > 0) sha256_add(&s->copy->was, buffer, (size_t)n);
    return n;
}

/* "key": value, as it stood. */
static int write_entry(rewrite *w, uint64_t before, const char *key, const json_stream *s) {
    text head = { 0 };
    const char *value;
    size_t size;
    text_add(&head, before ? ", " : "{");
    text_json_exact(&head, key);
    text_add(&head, ": ");
    json_stream_bytes(s, &value, &size);
    int rc = text_check(&head);
    if (rc == 0) rc = lines_write(&w->copy, head.data, head.size);
    if (rc == 0) rc = lines_write(&w->copy, value, size);
    text_free(&head);
    return rc;
}

static int copy_entries(removal *r, rewrite *w, json_stream *s) {
    const char *key;
    uint64_t kept = 0;
    int rc;
    while ((rc = json_stream_next(s, &key, NULL)) > 0) {
        if (stop_asked(r->options->hooks.stop)) return error_set(ERR_CANCELLED, "stopped");
        int goes = removal_has(r, key);
        if (goes > 0) w->gone++;
        else if ((rc = goes < 0 ? goes : write_entry(w, kept++, key, s)) < 0) break;
    }
    if (rc == 0) rc = lines_write(&w->copy, kept ? "}\n" : "{}\n", kept ? 2 : 3);
    return rc;
}

static int rewrite_metadata(removal *r, const char *name, rewrite *w) {
    source from = { .copy = &w->copy };
    json_stream *s = NULL;
    const uint8_t *head;
    size_t size;
    char mark[3];
    int rc = rewrite_begin(r, name, w);
    if (rc < 0 || w->fd < 0) return rc;
    rc = stream_open_file(w->path, &from.from);
    if (rc < 0) return rc;
    rc = stream_peek(from.from, &head, &size);
    if (rc >= 0 && size >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0) rc = read_source(&from, mark, 3) < 0 ? error_code() : 0;
    if (rc >= 0) rc = stream_peek(from.from, &head, &size);
    bool entries = rc >= 0 && !is_blank(head, size);   /* an empty one is as one of no entries */
    if (entries) rc = json_stream_new(w->path, ENTRY_MOST, read_source, &from, &s);
    if (entries && rc >= 0) rc = copy_entries(r, w, s);
    json_stream_free(s);
    stream_close(from.from);
    if (rc < 0) w->gone = 0;
    return rc < 0 ? pass_over(r, rc) : 0;
}

static int clean_metadata_copy(removal *r, const char *name) {
    rewrite w;
    int rc = rewrite_metadata(r, name, &w);
    if (rc == 0) rc = rewrite_end(r, &w, w.gone, false);
    rewrite_close(&w);
    return rc;
}

/* ---- journals ------------------------------------------------------------------------------------------------------ */

typedef struct { removal *r; rewrite *w; const rewrite *changed[2]; uint64_t hashes; } cleaning;

static int line_goes(const removal *r, const char *line, size_t size) {
    json *doc;
    const char *id = NULL;
    if (!memmem(line, size, "\"id\"", 4) || json_parse("", (const uint8_t *)line, size, (size_t)64 << 20, &doc) < 0) return 0;
    json_at root = json_root(doc), at;
    bool has_id = json_need_object(&root) == 0 && json_field(&root, "id", &at) && json_has_text(&at) && json_need_string(&at, &id) == 0;
    int goes = has_id ? removal_has(r, id) : 0;
    json_free(doc);
    return goes;
}

static int take_journal(void *context, uint64_t number, const char *line, size_t size) {
    (void)number;
    cleaning *c = context;
    int goes = line_goes(c->r, line, size);
    if (goes != 0) return goes < 0 ? goes : (c->w->gone++, 0);
    for (int i = 0; i < 2; i++) {
        const rewrite *w = c->changed[i];
        const char *at = w->gone ? memmem(line, size, w->was, 64) : NULL;
        if (!at) continue;
        c->hashes++;
        int rc = lines_write(&c->w->copy, line, (size_t)(at - line));
        if (rc == 0) rc = lines_write(&c->w->copy, w->is, 64);
        if (rc == 0) rc = lines_write(&c->w->copy, at + 64, size - (size_t)(at - line) - 64);
        if (rc == 0) rc = lines_write(&c->w->copy, "\n", 1);
        return rc < 0 ? rc : 1;
    }
    return 1;
}

static int clean_journal(removal *r, const char *name, const rewrite *prompts, const rewrite *metadata) {
    rewrite w;
    cleaning c = { r, &w, { prompts, metadata }, 0 };
    int rc = rewrite_begin(r, name, &w);
    if (rc == 0 && w.fd >= 0) rc = lines_filter(&w.copy, w.fd, w.path, take_journal, &c);
    if (rc == 0) rc = rewrite_end(r, &w, w.gone || c.hashes, true);
    rewrite_close(&w);
    return rc;
}

/* ---- all lists ----------------------------------------------------------------------------------------------------- */

int removal_lists(removal *r) {
    rewrite prompts, metadata = { .fd = -1 };
    int rc = rewrite_prompts(r, "prompt.jsonl", &prompts);
    if (rc == 0) rc = rewrite_metadata(r, "metadata.json", &metadata);
    if (rc == 0) rewrite_hashes(&prompts), rewrite_hashes(&metadata);
    if (rc == 0) rc = clean_journal(r, "download.jsonl", &prompts, &metadata);
    if (rc == 0) rc = clean_journal(r, "build.jsonl", &prompts, &metadata);
    if (rc == 0) rc = rewrite_end(r, &prompts, prompts.gone, true);
    if (rc == 0) rc = rewrite_end(r, &metadata, metadata.gone, false);
    rewrite_close(&prompts);
    rewrite_close(&metadata);
    if (rc == 0) rc = clean_prompts(r, "prompt.rejected.jsonl");
    if (rc == 0) rc = each_copy(r, "prompt.jsonl.bak", clean_prompts);
    return rc < 0 ? rc : each_copy(r, "metadata.json.bak", clean_metadata_copy);
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

static int ask_item(removal *r, const dataset_item *item) { return removal_ask(r, item->id, NULL, NULL); }

static const char *text_of(const json_at *object, const char *key) {
    json_at at;
    const char *s;
    return json_field(object, key, &at) && json_has_text(&at) && json_need_string(&at, &s) == 0 ? s : NULL;
}

static int ask_journal_line(void *context, const json_at *line) {
    return json_need_object(line) < 0 ? 0 : removal_ask(context, text_of(line, "id"), text_of(line, "url"), text_of(line, "sha256"));
}

static int ask_metadata(removal *r, const char *name) {
    char path[PATH_MAX];
    list *l;
    list_item item;
    int asked = 0, rc = removal_path(r, name, path, sizeof path);
    if (rc < 0 || access(path, F_OK) < 0) return rc;
    const char *ending = name + strlen("metadata.json");
    bool ours = !*ending || strncmp(ending, ".bak", 4) == 0;   /* else it may be anything, and is not written */
    rc = list_open_metadata(path, true, &l);
    if (rc == 0) {
        while (asked == 0 && (rc = list_next(l, &item)) > 0)
            asked = stop_asked(r->options->hooks.stop) ? error_set(ERR_CANCELLED, "stopped") : removal_ask(r, item.id, item.url, item.sha256);
        list_close(l);
    }
    if (asked < 0) return asked;
    return ours ? pass_over(r, rc) : rc == ERR_FORMAT || rc == ERR_LIMIT ? 0 : rc;
}

static int ask_prompts(removal *r, const char *name) { return read_prompts(r, name, ask_item); }

/* Copies too: all else of an item may be gone already, when a run was broken off. */
int removal_ask_lists(removal *r) {
    int rc = each_copy(r, "metadata.json", ask_metadata);
    if (rc == 0) rc = journal_read(r->folder, "download", ask_journal_line, r);
    if (rc == 0) rc = journal_read(r->folder, "build", ask_journal_line, r);
    if (rc == 0) rc = each_copy(r, "prompt.jsonl", ask_prompts);
    return rc < 0 ? rc : ask_prompts(r, "prompt.rejected.jsonl");
}

/* ---- maps of other names ------------------------------------------------------------------------------------------- */

typedef struct { sorter *names; removal *r; } others;

static int note_map(void *context, uint64_t number, const char *line, size_t size) {
    (void)number;
    others *o = context;
    dataset_item item;
    if (dataset_parse("", line, size, &item) < 0) return error_code() == ERR_MEMORY ? ERR_MEMORY : 1;
    size_t n = strlen(item.id);
    bool own = strncmp(item.source, item.id, n) == 0 && (item.source[n] == 0 || (item.source[n] == '.' && !strchr(item.source + n + 1, '.')));
    int goes = own ? 0 : removal_has(o->r, item.id);
    int rc = own || goes < 0 ? goes : sorter_add(o->names, item.source, strlen(item.source), goes ? "g" : "k", 1);
    dataset_item_free(&item);
    return rc < 0 ? rc : 1;
}

static int tell_maps(removal *r, sorter *names, int (*found)(removal *r, const char *source)) {
    char now[NAME_MAX + 1], last[NAME_MAX + 1] = "";
    bool kept = true;
    const void *key, *value;
    size_t key_size, value_size;
    int rc;
    while ((rc = sorter_next(names, &key, &key_size, &value, &value_size)) > 0) {
        snprintf(now, sizeof now, "%.*s", (int)key_size, (const char *)key);
        if (strcmp(now, last) != 0) {
            if (!kept && (rc = found(r, last)) < 0) return rc;
            strcpy(last, now);
            kept = false;
        }
        kept = kept || *(const char *)value == 'k';
    }
    return rc == 0 && !kept ? found(r, last) : rc;
}

int removal_other_maps(removal *r, int (*found)(removal *r, const char *source)) {
    char path[PATH_MAX];
    others o = { .r = r };
    lines_copy nothing;
    int rc = removal_path(r, "prompt.jsonl", path, sizeof path);
    if (rc < 0) return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? 0 : error_errno("%s", path);
    lines_begin(&nothing, NULL);
    rc = sorter_new(r->room, SORTER_MEMORY, &o.names);
    if (rc == 0) rc = lines_filter(&nothing, fd, path, note_map, &o);
    if (rc == 0) rc = tell_maps(r, o.names, found);
    sorter_free(o.names);
    close(fd);
    return rc;
}
