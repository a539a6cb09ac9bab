/* SPDX-License-Identifier: Apache-2.0
 *
 * The zip: what the original's tool_package_laion_face.py packs, less its programs. Items come in the order of their lines,
 * so that every file is read once and an item is in or out as a whole; the lists, which name those that are in, come last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "data/package_inside.h"
#include "data/shard_name.h"

#define INSIDE "training/laion-face-processed/"

static const char readme[] =
    "A face data set without its photos\n"
    "==================================\n"
    "\n"
    "    prompt.jsonl     {\"source\": map, \"target\": photo, \"prompt\": text} a line\n"
    "    metadata.json    where each photo is to be found on the web, and what is known of it, by the photo's name\n"
    "    source/          control maps: the faces' lines and pupils in fixed colours; beside them, as .json, the landmarks\n"
    "                     they are drawn from\n"
    "\n"
    "The photos (target/) are not in here. `mien download --data DIR` fetches those that metadata.json names and that are still\n"
    "there; DIR is where this archive was unpacked.\n"
    "\n"
    "Maps and landmarks are data about real people. Keep them as carefully as photos, and remove those of people who ask for\n"
    "it: `mien check --data DIR --exclude LIST --fix`.\n"
    "\n"
    "No licence to the photos comes with this archive: each belongs to whoever made it, and may be used as its owner and the law\n"
    "allow. Addresses and captions that were taken from LAION's lists are LAION's, under CC-BY 4.0. The rest may be used under\n"
    "the terms of whoever gave you this archive.\n";

typedef struct {
    package_job *job;
    archive_writer *out;
    packed_names packed;
    spool *lines, *entries;        /* prompt.jsonl; metadata.json of shards */
    uint64_t n_entries, n_ids, n_addresses;   /* entries and ids that are in; entries that say where the photo is */
} zip_job;

/* ---- items ----------------------------------------------------------------------------------------------------------------- */

static void stem_of(const char *name, char out[NAME_MAX + 1]) {
    const char *dot = strrchr(name, '.');
    size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    memcpy(out, name, n);
    out[n] = 0;
}

static int add_member(zip_job *z, const char *name, const char *ending, const void *data, size_t size) {
    char inside[sizeof INSIDE + NAME_MAX + 16];
    snprintf(inside, sizeof inside, INSIDE "source/%s%s", name, ending);
    return archive_add(z->out, inside, data, size);
}

/* Whether another line has named the map (*there). Landmarks have the map's name but for the
 * ending, so no two maps may differ in that alone. */
static int check_map(zip_job *z, const package_item *item, const char *stem, bool *there) {
    char other[NAME_MAX + 1];
    int rc = packed_find(&z->packed, PACKED_MAP, stem, other);
    *there = rc > 0 && strcmp(other, item->line.source) == 0;
    if (rc > 0 && !*there) return error_set(ERR_FORMAT, "its map %s and another item's %s differ in their endings only", item->line.source, other);
    return rc < 0 ? rc : 0;
}

static int add_files(zip_job *z, const package_item *item, const char *stem) {
    mien_count *count = z->job->progress.count;
    int rc = add_member(z, item->line.source, "", item->map, item->map_size);
    if (rc == 0 && item->faces) rc = add_member(z, stem, ".json", item->faces, item->faces_size);
    if (rc == 0) rc = packed_add(&z->packed, PACKED_MAP | (strcmp(stem, item->line.id) == 0 ? PACKED_ID : 0), stem, item->line.source);
    count[PACKED_MAPS].n++;
    count[PACKED_LANDMARKS].n += item->faces != NULL;
    return rc;
}

/* An entry that says nothing of it, or null, is as none. */
static int count_address(zip_job *z, const char *object, size_t size) {
    text url = { 0 };
    int rc = metadata_field(object, size, "url", &url);
    z->n_addresses += url.size > 0;
    text_free(&url);
    return rc;
}

static int add_entry(zip_job *z, const char *id, const char *object, size_t size, archive_writer *to) {
    text key = { 0 };
    text_add(&key, z->n_entries++ ? ",\n" : "{");
    text_json_exact(&key, id);
    text_add(&key, ": ");
    int rc = text_check(&key);
    if (rc == 0) rc = count_address(z, object, size);
    if (rc == 0) rc = to ? archive_write(to, key.data, key.size) : spool_append(z->entries, key.data, key.size, NULL);
    if (rc == 0) rc = to ? archive_write(to, object, size) : spool_append(z->entries, object, size, NULL);
    text_free(&key);
    return rc;
}

/* The line with names for paths; one that mien wrote stays as it is, a prompt of null too. */
static void put_line(const dataset_item *item, text *out) {
    dataset_line(item->source, item->target, *item->prompt ? item->prompt : NULL, out);
    if (!*item->prompt && out->data && strcmp(out->data, item->line) != 0) {
        out->size = 0;
        dataset_line(item->source, item->target, "", out);
    }
    text_add(out, "\n");
}

/* What the lists say of an item whose files are in. Paths of the line are not passed on, its names are. `known`: an earlier line has its id. */
static int add_to_lists(zip_job *z, const package_item *item, bool known) {
    char detail[NAME_MAX + 1];
    text line = { 0 };
    put_line(&item->line, &line);
    int rc = text_check(&line);
    if (rc == 0) rc = spool_append(z->lines, line.data, line.size, NULL);
    text_free(&line);
    if (rc < 0 || known) return rc;
    z->n_ids++;
    rc = packed_find(&z->packed, PACKED_ID, item->line.id, detail);
    if (rc == 0) rc = packed_add(&z->packed, PACKED_ID, item->line.id, "");
    if (rc >= 0 && z->entries && item->metadata.size) rc = add_entry(z, item->line.id, item->metadata.data, item->metadata.size, NULL);
    return rc < 0 ? rc : 0;
}

static int add_item(zip_job *z, const package_item *item) {
    char stem[NAME_MAX + 1], detail[NAME_MAX + 1];
    bool there;
    if (item->rc < 0) return package_lost(z->job, item, item->rc, item->why);
    if (item->rc == 0) return z->job->progress.count[PACKED_SELECTED_OUT].n++, 0;
    stem_of(item->line.source, stem);
    int known = packed_find(&z->packed, PACKED_ID, item->line.id, detail);
    if (known < 0) return known;
    int rc = check_map(z, item, stem, &there);
    if (rc < 0) return package_lost(z->job, item, rc, error_message());
    if (!there) rc = add_files(z, item, stem);
    if (rc < 0) return rc;
    z->job->progress.done++;
    z->job->progress.count[PACKED_BYTES].n = archive_bytes(z->out);
    return add_to_lists(z, item, known);
}

static int add_items(zip_job *z) {
    package_ahead *ahead;
    package_item item;
    int rc = package_ahead_open(z->job, 0, z->job->progress.total, PACKAGE_MAP, &ahead);
    if (rc < 0) return rc;
    while ((rc = package_ahead_next(ahead, &item)) > 0) {
        rc = add_item(z, &item);
        package_item_free(&item);
        if (rc < 0) break;
    }
    package_ahead_close(ahead);
    return rc;
}

/* ---- lists ----------------------------------------------------------------------------------------------------------------- */

static int pour(zip_job *z, spool *from) {
    uint8_t buffer[1 << 14];
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < spool_size(from);) {
        size_t n = spool_size(from) - at < sizeof buffer ? (size_t)(spool_size(from) - at) : sizeof buffer;
        rc = spool_read(from, at, buffer, n);
        if (rc == 0) rc = archive_write(z->out, buffer, n);
        at += n;
    }
    return rc;
}

/* Only what belongs to an item that is in may leave the house. */
static int pass_entry(void *context, const char *id, const char *object, size_t size) {
    zip_job *z = context;
    char detail[NAME_MAX + 1];
    int rc = package_tick(z->job);
    if (rc == 0) rc = packed_find(&z->packed, PACKED_ID, id, detail);
    return rc <= 0 ? rc : add_entry(z, id, object, size, z->out);
}

static int add_metadata(zip_job *z) {
    char path[PATH_MAX];
    int rc = archive_begin(z->out, INSIDE "metadata.json");
    if (rc == 0 && z->entries) rc = pour(z, z->entries);
    else if (rc == 0) {
        int n = snprintf(path, sizeof path, "%s/metadata.json", dataset_path(z->job->data));
        rc = n < PATH_MAX ? metadata_read(path, pass_entry, z) : error_set(ERR_IO, "%s: the path is too long", dataset_path(z->job->data));
    }
    const char *end = z->n_entries ? "}\n" : "{}\n";
    if (rc == 0) rc = archive_write(z->out, end, strlen(end));
    return rc < 0 ? rc : archive_end(z->out);
}

static int add_prompts(zip_job *z) {
    int rc = archive_begin(z->out, INSIDE "prompt.jsonl");
    if (rc == 0) rc = pour(z, z->lines);
    return rc < 0 ? rc : archive_end(z->out);
}

/* Photos of one's own have no address: whoever gets the zip gets no photo. */
static void warn_of_lost_photos(const zip_job *z) {
    if (z->n_addresses >= z->n_ids) return;
    char message[256];
    snprintf(message, sizeof message,
             "%llu of %llu photos have no URL in metadata.json: whoever gets the zip can't fetch them (--shards packs the photos too)",
             (unsigned long long)(z->n_ids - z->n_addresses), (unsigned long long)z->n_ids);
    package_warn(z->job, message);
}

/* ---- the zip --------------------------------------------------------------------------------------------------------------- */

static int write_all(zip_job *z) {
    package_job *j = z->job;
    int rc = packed_open(j->scratch, &z->packed);
    if (rc == 0) rc = spool_new(j->scratch, &z->lines);
    if (rc == 0 && dataset_is_shards(j->data)) rc = spool_new(j->scratch, &z->entries);
    if (rc == 0) rc = archive_create(j->options->output, ARCHIVE_ZIP, &z->out);
    if (rc == 0) rc = archive_add(z->out, INSIDE "README.md", readme, strlen(readme));
    if (rc == 0) rc = add_items(z);
    if (rc == 0 && !j->progress.done) rc = error_set(ERR_FORMAT, "%s: no item could be packed", dataset_path(j->data));
    if (rc == 0) rc = add_metadata(z);
    if (rc == 0) rc = add_prompts(z);
    if (rc == 0) warn_of_lost_photos(z);
    return rc;
}

int package_zip(package_job *j) {
    zip_job z = { .job = j };
    file_remove_leftovers_of(j->options->output);
    int rc = write_all(&z);
    if (rc == 0) {
        rc = archive_finish(z.out, j->options->force);
        z.out = NULL;
        struct stat st;
        if (rc == 0 && stat(j->options->output, &st) == 0) j->progress.count[PACKED_BYTES].n = (uint64_t)st.st_size;
    }
    archive_abandon(z.out);
    packed_close(&z.packed);
    spool_free(z.lines);
    spool_free(z.entries);
    return rc;
}
