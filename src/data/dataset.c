/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines of prompt.jsonl are found by blocks: of each, the first line's number and place are remembered, and a line
 * is looked for from there. */
#include "data/dataset.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "data/shards.h"
#include "image/image.h"

_Static_assert((int)SHARD_MAP == DATASET_SOURCE && (int)SHARD_PHOTO == DATASET_TARGET && (int)SHARD_FACES == DATASET_FACES, "one order");

enum { BLOCK_LINES = 64, BLOCK_BYTES = 1 << 14 };   /* a block is full when it has either */

typedef struct { uint64_t line, place; } block;

struct dataset {
    char folder[PATH_MAX];
    shards *shards;                /* or NULL, and all that follows */
    int fd;                        /* prompt.jsonl, as it was when it was opened; kept, so that a rename does no harm */
    uint64_t lines, bytes, fingerprint;
    block *block;
    size_t blocks, room;
};

/* ---- the folder ---------------------------------------------------------------------------------------------------- */

static int join(const char *folder, const char *name, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return n < 0 || n >= PATH_MAX ? error_set(ERR_IO, "%s/%s: the path is too long", folder, name) : 0;
}

static bool is_there(const char *folder, const char *name) {
    char path[PATH_MAX];
    struct stat st;
    return join(folder, name, path) == 0 && stat(path, &st) == 0;
}

static bool holds_dataset(const char *folder) {
    return is_there(folder, "prompt.jsonl") || is_there(folder, "metadata.json") || shards_are_in(folder);
}

int dataset_folder(const char *path, char out[PATH_MAX]) {
    char inner[PATH_MAX];
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (!n) return error_set(ERR_USAGE, "the data set's folder has no name");
    if (n >= PATH_MAX) return error_set(ERR_IO, "%s: the path is too long", path);
    memmove(out, path, n);
    out[n] = 0;
    struct stat st;
    if (stat(out, &st) == 0 && !S_ISDIR(st.st_mode)) return error_set(ERR_USAGE, "%s: is not a folder", out);
    if (!holds_dataset(out) && join(out, "training/laion-face-processed", inner) == 0 && holds_dataset(inner)) strcpy(out, inner);
    return 0;
}

/* ---- prompt.jsonl -------------------------------------------------------------------------------------------------- */

/* As many bytes from a place as there are, up to size; or ERR_IO. */
static ssize_t read_at(int fd, const char *folder, void *data, size_t size, uint64_t place) {
    size_t got = 0;
    while (got < size) {
        ssize_t n = pread(fd, (char *)data + got, size - got, (off_t)(place + got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_errno("%s/prompt.jsonl", folder);
        if (n == 0) break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int begin_block(dataset *d, uint64_t place) {
    if (d->blocks == d->room) {
        size_t room = d->room ? 2 * d->room : 64;
        block *grown = realloc(d->block, room * sizeof *grown);
        if (!grown) return error_memory(room * sizeof *grown);
        d->block = grown;
        d->room = room;
    }
    d->block[d->blocks++] = (block){ d->lines, place };
    return 0;
}

/* A line begins at this place. */
static int begin_line(dataset *d, uint64_t place) {
    const block *last = d->blocks ? &d->block[d->blocks - 1] : NULL;
    int rc = !last || d->lines - last->line >= BLOCK_LINES || place - last->place >= BLOCK_BYTES ? begin_block(d, place) : 0;
    d->lines++;
    return rc;
}

static uint64_t mix(uint64_t hash, const char *data, size_t size) {
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, data + i, size - i < 8 ? size - i : 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Finds all lines. What is appended while this goes on belongs to it or doesn't; a last line needs no newline. */
static int scan(dataset *d) {
    enum { CHUNK = 1 << 18 };
    char *data = malloc(CHUNK);
    if (!data) return error_memory(CHUNK);
    bool inside = false;           /* a line that has begun and not ended */
    int rc = 0;
    for (ssize_t n = CHUNK; rc == 0 && n == CHUNK;) {
        n = read_at(d->fd, d->folder, data, CHUNK, d->bytes);
        rc = n < 0 ? (int)n : 0;
        for (ssize_t i = 0; rc == 0 && i < n;) {
            if (!inside) rc = begin_line(d, d->bytes + (uint64_t)i);
            const char *end = memchr(data + i, '\n', (size_t)(n - i));
            inside = !end;
            i = end ? end + 1 - data : n;
        }
        if (n > 0) d->fingerprint = mix(d->fingerprint, data, (size_t)n), d->bytes += (uint64_t)n;
    }
    free(data);
    d->fingerprint = mix(d->fingerprint, (const char *)&d->bytes, sizeof d->bytes);
    return rc;
}

static bool has_build_journal(const char *folder) {
    DIR *dir = opendir(folder);
    bool found = false;
    for (const struct dirent *e; dir && !found && (e = readdir(dir));) {
        size_t n = strlen(e->d_name);
        found = strncmp(e->d_name, "build.", 6) == 0 && n >= 11 && strcmp(e->d_name + n - 6, ".jsonl") == 0;
    }
    if (dir) closedir(dir);
    return found;
}

static int no_dataset(const dataset *d) {
    if (has_build_journal(d->folder))
        return error_set(ERR_USAGE, "%s: an unfinished build, without prompt.jsonl yet: start `mien build` again, or after --part `mien check --merge`", d->folder);
    if (is_there(d->folder, "target") || is_there(d->folder, "metadata.json"))
        return error_set(ERR_USAGE, "%s: there is no prompt.jsonl yet: `mien build` makes it of the photos", d->folder);
    return error_set(ERR_USAGE, "%s: there is no data set (neither prompt.jsonl nor a .tar)", d->folder);
}

static int open_prompts(dataset *d) {
    char path[PATH_MAX];
    struct stat st;
    int rc = join(d->folder, "prompt.jsonl", path);
    if (rc < 0) return rc;
    d->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);   /* a FIFO must not hang us */
    if (d->fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return no_dataset(d);
    if (d->fd < 0 || fstat(d->fd, &st) < 0) return error_errno("%s", path);
    if (!S_ISREG(st.st_mode)) return error_set(ERR_USAGE, "%s: is not a file", path);
    return scan(d);
}

static void tell_left_out(void *context, const char *shard, const char *message) {
    const mien_hooks *hooks = context;
    if (hooks && hooks->log) hooks->log(hooks->context, MIEN_LOG_ITEM_FAILED, shard, message);
}

int dataset_open_told(const char *path, const mien_hooks *hooks, dataset **out) {
    dataset *d = calloc(1, sizeof *d);
    if (!d) return error_memory(sizeof *d);
    d->fd = -1;
    int rc = dataset_folder(path, d->folder);
    if (rc == 0 && !is_there(d->folder, "prompt.jsonl") && shards_are_in(d->folder))
        rc = shards_open(d->folder, &(shards_hooks){ tell_left_out, (void *)hooks, hooks ? hooks->stop : NULL }, &d->shards);
    else if (rc == 0) rc = open_prompts(d);
    if (rc < 0) dataset_close(d);
    else *out = d;
    return rc;
}

int dataset_open(const char *path, dataset **out) { return dataset_open_told(path, NULL, out); }

void dataset_close(dataset *d) {
    if (!d) return;
    shards_close(d->shards);
    if (d->fd >= 0) close(d->fd);
    free(d->block);
    free(d);
}

const char *dataset_path(const dataset *d) { return d->folder; }
bool dataset_is_shards(const dataset *d) { return d->shards; }
const struct shards *dataset_shards(const dataset *d) { return d->shards; }
uint64_t dataset_count(const dataset *d) { return d->shards ? shards_count(d->shards) : d->lines; }
uint64_t dataset_fingerprint(const dataset *d) { return d->shards ? shards_fingerprint(d->shards) : d->fingerprint; }

/* ---- items --------------------------------------------------------------------------------------------------------- */

/* The last block that begins at or before line i. */
static const block *block_of(const dataset *d, uint64_t i, uint64_t *end) {
    size_t low = 0, high = d->blocks;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (d->block[middle].line <= i) low = middle;
        else high = middle;
    }
    *end = high < d->blocks ? d->block[high].place : d->bytes;
    return &d->block[low];
}

static int changed(const dataset *d) { return error_set(ERR_IO, "%s/prompt.jsonl: has changed since it was opened", d->folder); }

static int read_from(const dataset *d, uint64_t i, char *data, size_t size, const block *b, dataset_item *out) {
    ssize_t n = read_at(d->fd, d->folder, data, size, b->place);
    if (n < 0) return (int)n;
    const char *line = data, *all = data + n, *end = NULL;
    for (uint64_t at = b->line; at <= i; at++) {
        if (at > b->line) line = end + 1;
        end = line < all ? memchr(line, '\n', (size_t)(all - line)) : NULL;
        if (!end && (at < i || (size_t)n < size)) return changed(d);
    }
    char where[PATH_MAX + 64];
    snprintf(where, sizeof where, "%s/prompt.jsonl, line %llu", d->folder, (unsigned long long)i + 1);
    int rc = dataset_parse(where, line, (size_t)((end ? end : all) - line), out);
    if (rc == 0) out->index = i;
    return rc;
}

static int read_shard_item(const dataset *d, uint64_t i, dataset_item *out) {
    shard_item item;
    int rc = shards_read(d->shards, i, &item);
    if (rc < 0) return rc;
    text line = { 0 };
    dataset_line(item.source, item.target, item.prompt, &line);
    rc = text_check(&line);
    if (rc == 0) rc = dataset_item_new(item.source, item.target, item.prompt, line.data, out);
    if (rc == 0) out->index = i;
    text_free(&line);
    shard_item_free(&item);
    return rc;
}

int dataset_read(const dataset *d, uint64_t i, dataset_item *out) {
    uint64_t count = dataset_count(d);
    if (i >= count) return error_set(ERR_USAGE, "%s: there is no item %llu, only %llu", d->folder, (unsigned long long)i, (unsigned long long)count);
    if (d->shards) return read_shard_item(d, i, out);
    uint64_t end;
    const block *b = block_of(d, i, &end);
    /* A line that is too long is the last of its block, which may be as long as a disk. */
    size_t most = (size_t)BLOCK_BYTES + DATASET_LINE_MOST + 1, size = end - b->place < most ? (size_t)(end - b->place) : most;
    char *data = malloc(size ? size : 1);
    if (!data) return error_memory(size);
    int rc = read_from(d, i, data, size, b, out);
    free(data);
    return rc;
}

bool dataset_part_path(const dataset *d, const dataset_item *item, dataset_part part, char out[PATH_MAX]) {
    static const char *const folder[] = { "source", "target", "source" };
    if (d->shards) return false;
    const char *name = part == DATASET_TARGET ? item->target : item->source, *dot = strrchr(name, '.');
    size_t n = part != DATASET_FACES || !dot || dot == name ? strlen(name) : (size_t)(dot - name);
    int length = snprintf(out, PATH_MAX, "%s/%s/%.*s%s", d->folder, folder[part], (int)n, name, part == DATASET_FACES ? ".json" : "");
    return length > 0 && length < PATH_MAX;
}

int dataset_load(const dataset *d, const dataset_item *item, dataset_part part, uint8_t **data, size_t *size) {
    char path[PATH_MAX];
    if (d->shards) return shards_load(d->shards, item->index, (shard_part)part, data, size);
    if (!dataset_part_path(d, item, part, path)) return error_set(ERR_IO, "%s/%s: the path is too long", d->folder, item->target);
    return file_load(path, IMAGE_MAX_BYTES, data, size);
}

int dataset_fault(const dataset *d, const dataset_item *item, dataset_part part) {
    static const char *const name[] = { "map", "photo", "landmarks" };
    int rc = error_code();
    char path[PATH_MAX], why[1024];
    struct stat st;
    if (!dataset_part_path(d, item, part, path)) return rc == ERR_IO && d->shards ? error_set(rc, "%s: is not there", name[part]) : error_prefix("%s", name[part]);
    const char *file = path + strlen(d->folder) + 1;
    if (rc == ERR_IO && stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR)) return error_set(rc, "%s: %s is not there", name[part], file);
    snprintf(why, sizeof why, "%s", error_without_path(error_without_path(error_message(), path), name[part]));   /* readers of bytes know its part alone */
    return error_set(rc, "%s: %s: %s", name[part], file, why);
}

const char *dataset_line_fault(const dataset *d, uint64_t i) {
    char where[PATH_MAX + 64];
    snprintf(where, sizeof where, "%s/prompt.jsonl, line %llu", d->folder, (unsigned long long)i + 1);
    const char *why = error_without_path(error_message(), where);
    return why == error_message() || strncmp(why, "line 1, ", 8) != 0 ? why : why + 8;   /* JSON's line, of one */
}

bool dataset_same_shape(int width, int height, int width2, int height2) {
    double a = (double)width * height2, b = (double)width2 * height;
    return a >= 0.99 * b && b >= 0.99 * a;
}
