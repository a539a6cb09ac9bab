/* SPDX-License-Identifier: Apache-2.0 */
#include "data/metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json_fields.h"
#include "base/json_stream.h"
#include "base/name_set.h"
#include "base/part.h"
#include "base/spool.h"
#include "base/stop.h"
#include "base/stream.h"
#include "data/shard_name.h"

enum { MOST_ENTRY = 1 << 20 };

/* ---- as a stream --------------------------------------------------------------------------------------------------------- */

static long next_bytes(void *context, void *buffer, size_t size) { return stream_read(context, buffer, size); }

/* Between the tokens of a JSON there may be newlines, inside its strings there can't. */
static int one_line(const char *data, size_t size, text *out) {
    out->size = 0;
    json_without_nan(data, size, out);
    for (size_t i = 0; !out->failed && i < out->size; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r') out->data[i] = ' ';
    return text_check(out);
}

static int read_entries(json_stream *s, metadata_entry *entry, void *context) {
    text line = { 0 };
    const char *id, *data;
    size_t size;
    int rc;
    while ((rc = json_stream_next(s, &id, NULL)) > 0) {
        json_stream_bytes(s, &data, &size);
        if (!shard_id_fits(id) || !size || data[0] != '{') continue;
        rc = one_line(data, size, &line);
        if (rc == 0) rc = entry(context, id, line.data, line.size);
        if (rc != 0) break;
    }
    text_free(&line);
    return rc;
}

int metadata_read(const char *path, metadata_entry *entry, void *context) {
    if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR)) return 0;
    stream *r;
    json_stream *s = NULL;
    int rc = stream_open_file(path, &r);
    if (rc < 0) return rc;
    rc = json_stream_new(path, MOST_ENTRY, next_bytes, r, &s);
    if (rc == 0) rc = read_entries(s, entry, context);
    json_stream_free(s);
    stream_close(r);
    return rc;
}

/* ---- as a table ---------------------------------------------------------------------------------------------------------- */

/* A record: the object's size, the id with its terminator, the object; padded to 16. */
enum { HEAD = 4 + SHARD_ID_MOST + 1 };

struct metadata {
    spool *records;
    name_set ids;
    const volatile int *stop;
    const char *wanted;            /* while an id is looked up */
    int rc;
};

static int read_head(metadata *m, uint64_t place, uint32_t *size, char id[SHARD_ID_MOST + 1]) {
    uint8_t head[HEAD] = { 0 };
    uint64_t rest = spool_size(m->records) - place;
    int rc = spool_read(m->records, place, head, rest < sizeof head ? (size_t)rest : sizeof head);
    memcpy(size, head, 4);
    memcpy(id, head + 4, SHARD_ID_MOST + 1);
    id[SHARD_ID_MOST] = 0;
    return rc;
}

static bool has_id(void *context, uint64_t place) {
    metadata *m = context;
    uint32_t size;
    char id[SHARD_ID_MOST + 1];
    if (m->rc < 0 || (m->rc = read_head(m, place, &size, id)) < 0) return false;
    return strcmp(id, m->wanted) == 0;
}

static int add_entry(void *context, const char *id, const char *object, size_t size) {
    metadata *m = context;
    uint64_t place, found;
    uint32_t n = (uint32_t)size;
    if (stop_asked(m->stop)) return error_set(ERR_CANCELLED, "stopped");
    int rc = spool_append(m->records, &n, sizeof n, &place);
    if (rc == 0) rc = spool_append(m->records, id, strlen(id) + 1, NULL);
    if (rc == 0) rc = spool_append(m->records, object, size, NULL);
    if (rc == 0) rc = spool_align(m->records, 16);
    m->wanted = id;
    if (rc == 0) rc = name_set_add(&m->ids, part_hash(id), place, has_id, m, &found);
    return rc < 0 ? rc : m->rc;
}

int metadata_open(const char *path, const char *folder, const volatile int *stop, metadata **out) {
    metadata *m = calloc(1, sizeof *m);
    if (!m) return error_memory(sizeof *m);
    m->stop = stop;
    int rc = spool_new(folder, &m->records);
    if (rc == 0) rc = metadata_read(path, add_entry, m);
    if (rc < 0) metadata_close(m);
    else *out = m;
    return rc;
}

int metadata_find(metadata *m, const char *id, text *out) {
    uint64_t place;
    uint32_t size;
    char same[SHARD_ID_MOST + 1];
    m->wanted = id;
    m->rc = 0;
    bool found = name_set_find(&m->ids, part_hash(id), has_id, m, &place);
    if (m->rc < 0 || !found) return m->rc;
    int rc = read_head(m, place, &size, same);
    char *to = rc == 0 ? text_room(out, size) : NULL;
    if (!to) return rc < 0 ? rc : text_check(out);
    rc = spool_read(m->records, place + 4 + strlen(id) + 1, to, size);
    if (rc == 0) text_grown(out, size);
    return rc < 0 ? rc : 1;
}

void metadata_close(metadata *m) {
    if (!m) return;
    spool_free(m->records);
    name_set_free(&m->ids);
    free(m);
}

/* ---- a field ------------------------------------------------------------------------------------------------------------- */

typedef struct { const char *key; text *out; size_t begin; } wanted_field;

static void take_field(void *context, const char *key, json_field_kind kind, const char *value, size_t size) {
    (void)size;
    wanted_field *w = context;
    if (strcasecmp(key, w->key) != 0) return;   /* as a list's are read */
    if (w->out->data) w->out->data[w->out->size = w->begin] = 0;
    if (kind == FIELD_TEXT) text_add(w->out, value);
}

int metadata_field(const char *object, size_t size, const char *key, text *out) {
    json_fields *f = json_fields_new();
    if (!f) return ERR_MEMORY;
    wanted_field w = { key, out, out->size };
    int rc = json_fields_read(f, object, size, take_field, &w);
    json_fields_free(f);
    return rc < 0 ? rc : text_check(out);
}
