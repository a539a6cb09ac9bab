/* SPDX-License-Identifier: Apache-2.0
 *
 * Shards, one after another. Before a shard gets its name its line is in shards.jsonl, the journal of this job: a name that
 * stands there is ours, and a shard that is not there has to be made. */
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/part.h"
#include "data/journal.h"
#include "data/package_inside.h"
#include "data/shard_name.h"
#include "image/image.h"

#define KIND "shards"
enum { DEFAULT_ITEMS = 1000, MOST_SHARDS = 100000, SHARD_NAME = 32, ITEM_MEMBERS = 4, TAR_END = 1024 };

/* A shard that was made: of lines first..next-1, of which so many are in. */
typedef struct { uint64_t first, next, items, landmarks, failed, lines, bytes; } made_shard;

typedef struct {
    package_job *job;
    uint64_t most_items, most_bytes;
    packed_names ids;
    journal *journal;
    /* As the journal says. */
    bool begun, ended;
    uint64_t was_items, was_bytes, was_count;
    made_shard *made;
    uint64_t n_made, room;
    /* The shard that is being written. */
    archive_writer *out;
    made_shard now;
} shards_job;

static void name_of(uint64_t number, char out[SHARD_NAME]) { snprintf(out, SHARD_NAME, "%05" PRIu64 ".tar", number); }

static int path_of(const shards_job *s, uint64_t number, char out[PATH_MAX]) {
    char name[SHARD_NAME];
    name_of(number, name);
    int n = snprintf(out, PATH_MAX, "%s/%s", s->job->options->output, name);
    return n < PATH_MAX ? 0 : error_set(ERR_IO, "%s: the path is too long", s->job->options->output);
}

/* ---- the journal ------------------------------------------------------------------------------------------------------------- */

static int need_count(const json_at *line, const char *key, uint64_t *out) {
    json_at at;
    long long n;
    int rc = json_need_field(line, key, &at);
    if (rc == 0) rc = json_need_integer(&at, 0, (long long)1 << 53, &n);
    if (rc == 0) *out = (uint64_t)n;
    return rc;
}

static int read_lines_hash(const json_at *line, uint64_t *out) {
    json_at at;
    const char *hex;
    int rc = json_need_field(line, "lines", &at);
    if (rc == 0) rc = json_need_string(&at, &hex);
    if (rc < 0) return rc;
    char *end;
    *out = strtoull(hex, &end, 16);
    return *end ? json_error(&at, ERR_FORMAT, "hex digits were expected") : 0;
}

static int read_made(shards_job *s, const json_at *line, const json_at *name) {
    made_shard m;
    char expected[SHARD_NAME];
    const char *text;
    int rc = json_need_string(name, &text);
    name_of(s->n_made, expected);
    if (s->n_made == MOST_SHARDS) return json_error(line, ERR_LIMIT, "more than %d shards", MOST_SHARDS);
    if (rc == 0 && strcmp(text, expected) != 0) return json_error(name, ERR_FORMAT, "%s was expected", expected);
    if (rc == 0) rc = need_count(line, "first", &m.first);
    if (rc == 0) rc = need_count(line, "next", &m.next);
    if (rc == 0) rc = need_count(line, "items", &m.items);
    if (rc == 0) rc = need_count(line, "landmarks", &m.landmarks);
    if (rc == 0) rc = need_count(line, "failed", &m.failed);
    if (rc == 0) rc = need_count(line, "bytes", &m.bytes);
    if (rc == 0) rc = read_lines_hash(line, &m.lines);
    if (rc < 0) return rc;
    if (m.first != (s->n_made ? s->made[s->n_made - 1].next : 0) || m.next < m.first) return json_error(line, ERR_FORMAT, "lines are missing before or in it");
    if (s->n_made == s->room) {
        uint64_t room = s->room ? 2 * s->room : 64;
        made_shard *more = realloc(s->made, room * sizeof *more);
        if (!more) return error_memory(room * sizeof *more);
        s->made = more;
        s->room = room;
    }
    s->made[s->n_made++] = m;
    return 0;
}

/* A run that went on from a shard that was gone says so by "again": what comes after replaces what came from there on. */
static int read_entry(void *context, const json_at *line) {
    shards_job *s = context;
    json_at at;
    uint64_t again;
    if (json_field(line, "shard", &at)) return read_made(s, line, &at);
    if (json_field(line, "again", &at)) {
        int rc = need_count(line, "again", &again);
        if (rc == 0 && again > s->n_made) rc = json_error(&at, ERR_FORMAT, "there are only %" PRIu64 " before", s->n_made);
        if (rc == 0) s->n_made = again, s->ended = false;
        return rc;
    }
    if (json_field(line, "end", &at)) return s->ended = true, 0;
    int rc = need_count(line, "shard_items", &s->was_items);
    if (rc == 0) rc = need_count(line, "shard_bytes", &s->was_bytes);
    if (rc == 0) rc = need_count(line, "of", &s->was_count);
    s->begun = rc == 0;
    return rc;
}

static int append(shards_job *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int append(shards_job *s, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    text t = { 0 };
    text_add(&t, line);
    int rc = text_check(&t);
    if (rc == 0) rc = journal_append(s->journal, &t);
    text_free(&t);
    return rc;
}

/* ---- going on where an earlier run stopped -------------------------------------------------------------------------------------- */

/* A tar file there that no line of the journal names is not ours to mix with, or to overwrite. */
static int check_strangers(const shards_job *s) {
    DIR *d = opendir(s->job->options->output);
    const struct dirent *e;
    int rc = d ? 0 : error_errno("%s", s->job->options->output);
    while (rc == 0 && (rc = folder_next(d, s->job->options->output, &e)) > 0) {
        rc = 0;
        size_t n = strlen(e->d_name);
        char *end, expected[SHARD_NAME] = "";
        unsigned long long number = strtoull(e->d_name, &end, 10);
        if (number < s->n_made) name_of(number, expected);
        if (e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".tar") == 0 && strcmp(e->d_name, expected) != 0)
            rc = error_set(ERR_USAGE, "%s/%s: is there already, and not of this job: choose an empty folder", s->job->options->output, e->d_name);
    }
    if (d) closedir(d);
    return rc;
}

static int remove_made(shards_job *s) {
    char path[PATH_MAX];
    for (uint64_t i = s->n_made; i-- > 0;) {
        int rc = path_of(s, i, path);
        if (rc < 0) return rc;
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/" KIND ".jsonl", s->job->options->output);
    unlink(path);
    s->n_made = 0;
    s->begun = s->ended = false;
    return 0;
}

static int others(const shards_job *s, const char *what) {
    return error_set(ERR_USAGE, "%s: the shards there were made %s: choose an empty folder, or --force to make them anew", s->job->options->output, what);
}

/* All that goes into a shard of an item besides its files. */
static int hash_item(uint64_t *hash, const package_item *item) {
    text line = { 0 };
    dataset_line(item->line.source, item->line.target, item->line.prompt, &line);
    text_add(&line, item->metadata.data ? item->metadata.data : "");
    int rc = text_check(&line);
    if (rc == 0) *hash = (*hash ^ part_hash(line.data)) * 0x9e3779b97f4a7c15u;
    text_free(&line);
    return rc;
}

/* The shard is there, and its lines are what they were. Their ids are noted. */
static int check_items(shards_job *s, package_ahead *ahead, uint64_t *hash) {
    package_item item;
    int rc;
    while ((rc = package_ahead_next(ahead, &item)) > 0) {
        if (item.chosen) rc = hash_item(hash, &item);
        if (rc >= 0 && item.chosen) rc = packed_add(&s->ids, PACKED_ID, item.line.id, "");
        package_item_free(&item);
        if (rc < 0) break;
    }
    return rc;
}

static int check_made(shards_job *s, const made_shard *m) {
    package_job *j = s->job;
    package_ahead *ahead;
    uint64_t hash = 0;
    if (m->next > j->progress.total) return others(s, "of other items");
    int rc = package_ahead_open(j, m->first, m->next, PACKAGE_LINE, &ahead);
    if (rc < 0) return rc;
    rc = check_items(s, ahead, &hash);
    package_ahead_close(ahead);
    if (rc < 0) return rc;
    if (hash != m->lines) return others(s, "of other items");
    mien_count *count = j->progress.count;
    j->progress.skipped += m->items;
    j->progress.failed += m->failed;
    count[PACKED_MAPS].n += m->items;
    count[PACKED_LANDMARKS].n += m->landmarks;
    count[PACKED_SELECTED_OUT].n += m->next - m->first - m->items - m->failed;
    count[PACKED_SHARDS].n++;
    count[PACKED_BYTES].n += m->bytes;
    return 0;
}

static int check_all_made(shards_job *s) {
    char path[PATH_MAX];
    uint64_t i = 0;
    int rc = 0;
    for (; rc == 0 && i < s->n_made; i++) {
        rc = path_of(s, i, path);
        if (rc == 0 && access(path, F_OK) < 0) break;
        if (rc == 0) rc = check_made(s, &s->made[i]);
    }
    if (rc < 0 || i == s->n_made) return rc;
    for (uint64_t k = s->n_made; rc == 0 && k-- > i;)
        if ((rc = path_of(s, k, path)) == 0) unlink(path);       /* ours, and about to be made again as they were */
    s->n_made = i;
    s->ended = false;
    return rc < 0 ? rc : append(s, "{\"again\":%" PRIu64 "}", i);
}

static int open_journal(shards_job *s) {
    package_job *j = s->job;
    const char *folder = j->options->output;
    int rc = journal_read(folder, KIND, read_entry, s);
    if (rc == 0) rc = check_strangers(s);
    if (rc == 0 && j->options->force) rc = remove_made(s);
    if (rc == 0 && s->begun && (s->was_items != s->most_items || s->was_bytes != s->most_bytes)) rc = others(s, "by another --shard-items or --shard-bytes");
    if (rc == 0 && s->begun && s->was_count != j->progress.total) rc = others(s, "of a data set with another number of items");
    if (rc == 0) rc = journal_open(folder, KIND, 0, 0, &s->journal);
    if (rc == 0 && !s->begun)
        rc = append(s, "{\"shard_items\":%" PRIu64 ",\"shard_bytes\":%" PRIu64 ",\"of\":%" PRIu64 "}", s->most_items, s->most_bytes, j->progress.total);
    return rc < 0 ? rc : check_all_made(s);
}

/* ---- a shard ----------------------------------------------------------------------------------------------------------------- */

static int end_shard(shards_job *s, uint64_t next) {
    char name[SHARD_NAME];
    made_shard *m = &s->now;
    name_of(s->n_made, name);
    m->next = next;
    m->bytes = archive_bytes(s->out) + TAR_END;
    int rc = append(s, "{\"shard\":\"%s\",\"first\":%" PRIu64 ",\"next\":%" PRIu64 ",\"items\":%" PRIu64 ",\"landmarks\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"lines\":\"%016" PRIx64 "\"}",
                    name, m->first, m->next, m->items, m->landmarks, m->failed, m->bytes, m->lines);
    if (rc == 0) rc = archive_finish(s->out, 0);
    else archive_abandon(s->out);
    s->out = NULL;
    s->n_made++;
    mien_count *count = s->job->progress.count;
    count[PACKED_SHARDS].n++;
    count[PACKED_BYTES].n += m->bytes;
    *m = (made_shard){ .first = next };
    return rc;
}

static int begin_shard(shards_job *s) {
    char path[PATH_MAX];
    if (s->n_made == MOST_SHARDS) return error_set(ERR_LIMIT, "more than %d shards: make larger ones", MOST_SHARDS);
    int rc = path_of(s, s->n_made, path);
    return rc < 0 ? rc : archive_create(path, ARCHIVE_TAR, &s->out);
}

static const char *ending_of(const uint8_t *data, size_t size) {
    static const char *const endings[][2] = { { "JPEG", ".jpg" }, { "PNG", ".png" }, { "WebP", ".webp" }, { "GIF", ".gif" }, { "BMP", ".bmp" } };
    const char *format = image_format_name(data, size);
    for (size_t i = 0; format && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(format, endings[i][0]) == 0) return endings[i][1];
    return NULL;
}

typedef struct { const char *ending; const void *data; size_t size; } member;

/* What they will take in the tar: a header each, and two records more for a long name. */
static uint64_t bytes_of(const char *id, const member *members) {
    uint64_t bytes = 0;
    for (int i = 0; i < ITEM_MEMBERS; i++) bytes += 512 + ((members[i].size + 511) & ~(uint64_t)511) + (strlen(id) > 24 ? 1536 : 0);
    return bytes;
}

static int add_members(shards_job *s, const char *id, const member *members) {
    int rc = 0;
    text name = { 0 };
    for (int i = 0; rc == 0 && i < ITEM_MEMBERS; i++) {
        name.size = 0;
        shard_key(id, &name);
        text_add(&name, members[i].ending);
        rc = text_check(&name);
        if (rc == 0) rc = archive_add(s->out, name.data, members[i].data, members[i].size);
    }
    text_free(&name);
    return rc;
}

/* ---- items ------------------------------------------------------------------------------------------------------------------- */

/* An id is its first item's, whether that is of use or not: so a run that goes on decides alike. */
static int check_id(shards_job *s, const char *id) {
    char detail[NAME_MAX + 1];
    if (!shard_id_fits(id)) return error_set(ERR_FORMAT, "its id can't stand in a shard");
    int rc = packed_find(&s->ids, PACKED_ID, id, detail);
    if (rc > 0) return error_set(ERR_FORMAT, "another item has this id");
    return rc < 0 ? rc : packed_add(&s->ids, PACKED_ID, id, "");
}

static int make_json(const package_item *item, text *json) {
    const char *map = ending_of(item->map, item->map_size);
    if (strcmp(map, ".png") != 0 && strcmp(map, ".jpg") != 0) return error_set(ERR_UNSUPPORTED, "its map is neither a PNG nor a JPEG");
    int rc = shard_json_write(item->line.id, item->metadata.size ? item->metadata.data : NULL, item->faces, item->faces_size, json);
    return rc < 0 ? rc : text_check(json);
}

static int add_good(shards_job *s, const package_item *item, const text *json) {
    char map[16];
    snprintf(map, sizeof map, ".map%s", ending_of(item->map, item->map_size));
    const member members[ITEM_MEMBERS] = {
        { ending_of(item->photo, item->photo_size), item->photo, item->photo_size }, { map, item->map, item->map_size },
        { ".json", json->data, json->size }, { ".txt", item->line.prompt, strlen(item->line.prompt) },
    };
    int rc = 0;
    if (s->out && s->most_bytes && s->now.items && archive_bytes(s->out) + bytes_of(item->line.id, members) + TAR_END > s->most_bytes) rc = end_shard(s, item->index);
    if (rc == 0 && !s->out) rc = begin_shard(s);
    if (rc == 0) rc = add_members(s, item->line.id, members);
    if (rc < 0) return rc;
    mien_count *count = s->job->progress.count;
    s->now.items++;
    s->now.landmarks += item->faces != NULL;
    s->job->progress.done++;
    count[PACKED_MAPS].n++;
    count[PACKED_LANDMARKS].n += item->faces != NULL;
    return 0;
}

/* What comes of an item that lists let in, or whose line is broken. */
static int add_chosen(shards_job *s, const package_item *item) {
    text json = { 0 };
    uint64_t failed = s->job->progress.failed;
    int rc = item->chosen ? check_id(s, item->line.id) : 0;
    if (item->rc < 0) rc = package_lost(s->job, item, item->rc, item->why);
    else if (rc < 0 || (rc = make_json(item, &json)) < 0) rc = package_lost(s->job, item, rc, error_message());
    else rc = add_good(s, item, &json);
    text_free(&json);
    s->now.failed += s->job->progress.failed - failed;
    return rc;
}

static int add_item(shards_job *s, const package_item *item) {
    int rc = 0;
    if (item->rc == 0) s->job->progress.count[PACKED_SELECTED_OUT].n++;
    else rc = add_chosen(s, item);
    if (rc == 0 && item->chosen) rc = hash_item(&s->now.lines, item);
    return rc < 0 || !s->out || s->now.items < s->most_items ? rc : end_shard(s, item->index + 1);
}

static int write_items(shards_job *s, uint64_t from) {
    package_ahead *ahead;
    package_item item;
    int rc = package_ahead_open(s->job, from, s->job->progress.total, PACKAGE_PHOTO, &ahead);
    if (rc < 0) return rc;
    while ((rc = package_ahead_next(ahead, &item)) > 0) {
        rc = add_item(s, &item);
        package_item_free(&item);
        if (rc < 0) break;
    }
    package_ahead_close(ahead);
    return rc;
}

static int write_all(shards_job *s) {
    package_job *j = s->job;
    uint64_t from = s->n_made ? s->made[s->n_made - 1].next : 0;
    if (s->ended) return 0;
    s->now = (made_shard){ .first = from };
    int rc = write_items(s, from);
    if (rc == 0 && s->out) rc = end_shard(s, j->progress.total);
    if (rc == 0 && !j->progress.done && !j->progress.skipped) rc = error_set(ERR_FORMAT, "%s: no item could be packed", dataset_path(j->data));
    return rc < 0 ? rc : append(s, "{\"end\":true}");
}

/* What is not whole does not count. */
static void forget_shard(shards_job *s) {
    mien_count *count = s->job->progress.count;
    archive_abandon(s->out);
    s->job->progress.done -= s->now.items;
    count[PACKED_MAPS].n -= s->now.items;
    count[PACKED_LANDMARKS].n -= s->now.landmarks;
}

int package_shards(package_job *j) {
    const mien_package_options *o = j->options;
    shards_job s = { .job = j, .most_items = o->shard_items ? o->shard_items : DEFAULT_ITEMS, .most_bytes = o->shard_bytes };
    folder_lock lock = FOLDER_UNLOCKED;
    int rc = folder_lock_take(o->output, 0, 0, &lock);
    if (rc == 0) file_remove_leftovers(o->output, 1);
    if (rc == 0) rc = packed_open(j->scratch, &s.ids);
    if (rc == 0) rc = open_journal(&s);
    if (rc == 0) rc = write_all(&s);
    if (s.out) forget_shard(&s);
    journal_close(s.journal);
    packed_close(&s.ids);
    free(s.made);
    folder_lock_release(&lock);
    return rc;
}
