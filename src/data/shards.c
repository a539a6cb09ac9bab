/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/shards.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/part.h"
#include "base/stop.h"
#include "data/metadata.h"
#include "data/shards_inside.h"
#include "face/faces_json.h"
#include "image/image.h"

enum { MOST_PROMPT = 1 << 20, PLACE_BITS = 40, MOST_FILES = 1 << 24 };

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static int is_shard(const struct dirent *e) {
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".tar") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

bool shards_are_in(const char *folder) {
    DIR *d = opendir(folder);
    bool found = false;
    const struct dirent *e;
    int rc = 0;
    while (d && !found && (rc = folder_next(d, folder, &e)) > 0) found = is_shard(e);
    if (d) closedir(d);
    return found || rc < 0;        /* unknown: who opens them is told why */
}

static int list_files(shards *s) {
    struct dirent **entry = NULL;
    int n = scandir(s->folder, &entry, is_shard, by_bytes);
    if (n < 0) return error_errno("%s", s->folder);
    int rc = n == 0 ? error_set(ERR_USAGE, "%s: there is no .tar file", s->folder) : n > MOST_FILES ? error_set(ERR_LIMIT, "%s: %d shards", s->folder, n) : 0;
    if (rc == 0 && !(s->files = calloc((size_t)n, sizeof *s->files))) rc = error_memory((size_t)n * sizeof *s->files);
    for (int i = 0; i < n; i++) {
        if (rc == 0 && !(s->files[s->n_files++].name = strdup(entry[i]->d_name))) rc = error_memory(strlen(entry[i]->d_name));
        free(entry[i]);
    }
    free(entry);
    return rc;
}

static int open_path(const shards *s, size_t file, char path[PATH_MAX], struct stat *st) {
    int n = snprintf(path, PATH_MAX, "%s/%s", s->folder, s->files[file].name);
    if (n < 0 || n >= PATH_MAX) return error_set(ERR_IO, "%s: the path is too long", s->folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_errno("%s", path);
    int rc = fstat(fd, st) < 0 ? error_errno("%s", path) : S_ISREG(st->st_mode) ? 0 : error_set(ERR_IO, "%s: is not a regular file", path);
    if (rc < 0) close(fd);
    return rc < 0 ? rc : fd;
}

int shards_open_file(const shards *s, size_t file, char path[PATH_MAX]) {
    struct stat now;
    const struct stat *was = &s->files[file].as_it_was;
    int fd = open_path(s, file, path, &now);
    if (fd < 0) return fd;
    if (now.st_ino == was->st_ino && now.st_dev == was->st_dev && now.st_size == was->st_size && now.st_mtim.tv_sec == was->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == was->st_mtim.tv_nsec)
        return fd;
    close(fd);
    return error_set(ERR_IO, "%s: has changed since it was opened", path);
}

/* ---- the members of an item --------------------------------------------------------------------------------------------- */

typedef struct {
    shard_name name;               /* of its first member */
    bool begun, has[SHARD_PARTS];
    char ending[SHARD_PARTS][12];
    uint64_t at, offset[SHARD_PARTS], size[SHARD_PARTS];
} item_members;

static void begin_item(item_members *it, const shard_name *name, uint64_t at) {
    *it = (item_members){ .name = *name, .begun = true, .at = at };
}

/* NULL, or why not: there is one already. */
static const char *add_part(item_members *it, const shard_name *name, const tar_member *m) {
    shard_part p = name->part;
    if (p == SHARD_PARTS) return NULL;
    if (it->has[p]) return "is a second one of its kind";
    it->has[p] = true;
    it->offset[p] = m->offset;
    it->size[p] = m->size;
    strcpy(it->ending[p], name->ending);
    return NULL;
}

static int collect(void *context, const tar_member *m) {
    item_members *it = context;
    shard_name name;
    if (shard_name_read(m->name, &name)) return 0;
    if (!it->begun) begin_item(it, &name, m->at);
    else if (strcmp(it->name.id, name.id) != 0) return 1;
    if (!m->wrong) add_part(it, &name, m);
    return 0;
}

/* Finds the members of item i; returns the shard's descriptor. */
static int find_members(const shards *s, uint64_t i, item_members *it, char path[PATH_MAX]) {
    if (i >= s->count) return error_set(ERR_USAGE, "%s: there is no item %llu", s->folder, (unsigned long long)i);
    int fd = shards_open_file(s, shards_file_of(s, i), path);
    if (fd < 0) return fd;
    *it = (item_members){ .begun = false };
    uint64_t at = (s->items[i] & (((uint64_t)1 << PLACE_BITS) - 1)) * 512;
    int rc = tar_scan(s->library, fd, path, at, collect, it, NULL);
    if (rc >= 0 || (rc == ERR_FORMAT && it->begun)) return fd;   /* what is broken may begin behind the item */
    close(fd);
    return rc;
}

/* ---- the index ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    shards *shards;
    const shards_hooks *hooks;
    size_t file;
    char path[PATH_MAX];
    item_members item;
    int rc;
} indexing;

static void leave_out(indexing *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void leave_out(indexing *x, const char *format, ...) {
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    x->shards->left_out++;
    if (x->hooks->left_out) x->hooks->left_out(x->hooks->context, x->path, message);
}

typedef struct { const shards *shards; const char *id; int rc; } lookup;

static bool has_id(void *context, uint64_t place) {
    lookup *l = context;
    item_members it;
    char path[PATH_MAX];
    if (l->rc < 0) return false;
    int fd = find_members(l->shards, place / 16, &it, path);
    if (fd < 0) l->rc = fd;
    else close(fd);
    return fd >= 0 && strcmp(it.name.id, l->id) == 0;
}

static int add_item(shards *s, size_t file, const item_members *it, uint64_t *found) {
    if (s->count == s->room) {
        uint64_t room = s->room ? s->room + s->room / 2 : 1024;
        uint64_t *more = realloc(s->items, room * sizeof *more);
        if (!more) return error_memory(room * sizeof *more);
        s->items = more;
        s->room = room;
    }
    s->items[s->count] = (uint64_t)file << PLACE_BITS | it->at / 512;
    lookup l = { s, it->name.id, 0 };
    int rc = name_set_add(&s->ids, part_hash(it->name.id), s->count * 16, has_id, &l, found);
    if (rc < 0 || l.rc < 0) return rc < 0 ? rc : l.rc;
    s->count += *found == s->count * 16;
    return 0;
}

/* The item whose members were collected is over. */
static int end_item(indexing *x) {
    item_members *it = &x->item;
    uint64_t found, number = x->shards->count;
    if (!it->begun) return 0;
    it->begun = false;
    if (!it->has[SHARD_MAP] && !it->has[SHARD_PHOTO]) return leave_out(x, "item %s: has neither a photo nor a map", it->name.id), 0;
    if (it->at % 512 || it->at / 512 >> PLACE_BITS) return leave_out(x, "item %s: stands where none can", it->name.id), 0;
    int rc = add_item(x->shards, x->file, it, &found);
    if (rc == 0 && found != number * 16)
        leave_out(x, "item %s: is in %s already", it->name.id, x->shards->files[shards_file_of(x->shards, found / 16)].name);
    return rc;
}

static void mix(shards *s, uint64_t n) {
    s->fingerprint = (s->fingerprint ^ n) * 0x9e3779b97f4a7c15u;
    s->fingerprint ^= s->fingerprint >> 29;
}

static int index_member(void *context, const tar_member *m) {
    indexing *x = context;
    shard_name name;
    if (stop_asked(x->hooks->stop)) return x->rc = ERR_CANCELLED;
    const char *why = shard_name_read(m->name, &name);
    if (why) return leave_out(x, "member %s: %s", m->name, m->wrong ? m->wrong : why), 0;
    mix(x->shards, part_hash(m->name));
    mix(x->shards, m->size);
    if (x->item.begun && strcmp(x->item.name.id, name.id) != 0 && (x->rc = end_item(x)) < 0) return x->rc;
    if (!x->item.begun) begin_item(&x->item, &name, m->at);
    why = m->wrong ? m->wrong : add_part(&x->item, &name, m);
    if (why) leave_out(x, "member %s: %s", m->name, why);
    return 0;
}

static int index_file(indexing *x) {
    shard_file *f = &x->shards->files[x->file];
    f->first = x->shards->count;
    x->item.begun = false;
    x->rc = 0;
    int fd = open_path(x->shards, x->file, x->path, &f->as_it_was);
    int rc = fd < 0 ? fd : tar_scan(x->shards->library, fd, x->path, 0, index_member, x, NULL);
    if (x->rc < 0) rc = x->rc == ERR_CANCELLED ? error_set(ERR_CANCELLED, "stopped") : x->rc;
    else if (rc < 0 && rc != ERR_MEMORY) {
        size_t n = strlen(x->path);
        const char *why = error_message();
        leave_out(x, "%s", strncmp(why, x->path, n) == 0 && why[n] == ':' ? why + n + 2 : why);
        rc = 0;
    }
    if (rc == 0) rc = end_item(x);
    if (fd >= 0) close(fd);
    return rc;
}

int shards_open(const char *folder, const shards_hooks *hooks, shards **out) {
    static const shards_hooks none;
    shards *s = calloc(1, sizeof *s);
    indexing *x = s ? calloc(1, sizeof *x) : NULL;
    if (!x) {
        free(s);
        return error_memory(sizeof *s + sizeof *x);
    }
    int rc = strlen(folder) >= sizeof s->folder ? error_set(ERR_IO, "%s: the path is too long", folder) : 0;
    if (rc == 0) strcpy(s->folder, folder);
    if (rc == 0) rc = list_files(s);
    if (rc == 0) rc = tar_library_open(&s->library);
    x->shards = s;
    x->hooks = hooks ? hooks : &none;
    for (; rc == 0 && x->file < s->n_files; x->file++) rc = index_file(x);
    free(x);
    if (rc < 0) shards_close(s);
    else *out = s;
    return rc;
}

void shards_close(shards *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_files; i++) free(s->files[i].name);
    free(s->files);
    free(s->items);
    name_set_free(&s->ids);
    tar_library_close(s->library);
    free(s);
}

uint64_t shards_count(const shards *s) { return s->count; }
uint64_t shards_left_out(const shards *s) { return s->left_out; }
uint64_t shards_fingerprint(const shards *s) { return s->fingerprint; }

int shards_find(const shards *s, const char *id, uint64_t *i) {
    lookup l = { s, id, 0 };
    uint64_t place;
    bool found = name_set_find(&s->ids, part_hash(id), has_id, &l, &place);
    if (l.rc < 0) return l.rc;
    if (found) *i = place / 16;
    return found;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

/* A part of an item, with a terminator behind it that does not count. */
static int load_part(const item_members *it, shard_part part, int fd, const char *path, size_t most, uint8_t **data, size_t *size) {
    static const char *const what[] = { "map", "photo", "landmarks", "prompt" };
    if (!it->has[part]) return error_set(ERR_IO, "%s: item %s has no %s", path, it->name.id, what[part]);
    if (it->size[part] > most) return error_set(ERR_LIMIT, "%s: item %s: %s of %llu bytes", path, it->name.id, what[part], (unsigned long long)it->size[part]);
    size_t n = (size_t)it->size[part], got = 0;
    uint8_t *to = malloc(n + 1);
    if (!to) return error_memory(n + 1);
    while (got < n) {
        ssize_t k = pread(fd, to + got, n - got, (off_t)(it->offset[part] + got));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            free(to);
            return k < 0 ? error_errno("%s", path) : error_set(ERR_IO, "%s: has become shorter", path);
        }
        got += (size_t)k;
    }
    to[n] = 0;
    *data = to;
    *size = n;
    return 0;
}

int shards_load(const shards *s, uint64_t i, shard_part part, uint8_t **data, size_t *size) {
    item_members it;
    char path[PATH_MAX];
    int fd = find_members(s, i, &it, path);
    if (fd < 0) return fd;
    size_t most = part == SHARD_PROMPT ? (size_t)MOST_PROMPT : part == SHARD_FACES ? (size_t)FACES_MOST_BYTES : IMAGE_MAX_BYTES;
    int rc = load_part(&it, part, fd, path, most, data, size);
    close(fd);
    if (rc < 0 || part != SHARD_FACES || shard_json_faces(path, *data, size)) return rc;
    free(*data);
    *data = NULL;
    return error_set(ERR_IO, "%s: item %s has no landmarks", path, it.name.id);
}

int shards_metadata(const shards *s, uint64_t i, text *out) {
    item_members it;
    char path[PATH_MAX];
    uint8_t *data;
    size_t size;
    int fd = find_members(s, i, &it, path);
    if (fd < 0) return fd;
    int rc = it.has[SHARD_FACES] ? load_part(&it, SHARD_FACES, fd, path, FACES_MOST_BYTES, &data, &size) : 1;
    close(fd);
    if (rc) return rc < 0 ? rc : 0;
    rc = shard_json_metadata(data, size, out);
    free(data);
    return text_check(out) < 0 ? ERR_MEMORY : rc;
}

int shards_url(const shards *s, uint64_t i, text *out) {
    text all = { 0 };
    int rc = shards_metadata(s, i, &all);
    if (rc > 0) rc = metadata_field(all.data, all.size, "url", out);
    text_free(&all);
    return rc;
}

static int load_prompt(const item_members *it, int fd, const char *path, char **out) {
    size_t size = 0;
    uint8_t *data = NULL;
    if (!it->has[SHARD_PROMPT]) return (*out = strdup("")) ? 0 : error_memory(1);
    int rc = load_part(it, SHARD_PROMPT, fd, path, MOST_PROMPT, &data, &size);
    if (rc == ERR_LIMIT || (rc == 0 && memchr(data, 0, size))) {
        rc = error_set(ERR_FORMAT, "%s: item %s: the prompt is %s", path, it->name.id, rc ? "longer than a megabyte" : "no text: there is a NUL in it");
        free(data);
    }
    if (rc == 0) *out = (char *)data;
    return rc;
}

static char *file_name(const item_members *it, shard_part part, const char *otherwise) {
    char *out;
    return asprintf(&out, "%s%s", it->name.id, it->has[part] ? it->ending[part] : otherwise) < 0 ? NULL : out;
}

int shards_read(const shards *s, uint64_t i, shard_item *out) {
    item_members it;
    char path[PATH_MAX];
    int fd = find_members(s, i, &it, path);
    if (fd < 0) return fd;
    shard_item item = { .shard = s->files[shards_file_of(s, i)].name };
    int rc = load_prompt(&it, fd, path, &item.prompt);
    close(fd);
    if (rc < 0) return rc;
    memcpy(item.has, it.has, sizeof item.has);
    item.id = strdup(it.name.id);
    item.source = file_name(&it, SHARD_MAP, ".png");
    item.target = file_name(&it, SHARD_PHOTO, ".jpg");
    if (!item.id || !item.source || !item.target) {
        shard_item_free(&item);
        return error_memory(256);
    }
    *out = item;
    return 0;
}

void shard_item_free(shard_item *item) {
    if (!item) return;
    free(item->id);
    free(item->source);
    free(item->target);
    free(item->prompt);
    *item = (shard_item){ 0 };
}
