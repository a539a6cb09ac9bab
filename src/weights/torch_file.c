/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that torch.save wrote (torch 2.9: torch/serialization.py). Since 1.6 a zip: <name>/data.pkl, and each storage as <name>/data/<key>.
 * Before, one file: pickles of a magic number, of the protocol (1001), of facts about the machine, of the object, and of the list of
 * keys; then, in the order of that list, each storage's number of elements (8 bytes) and its bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "weights/state_dict.h"
#include "weights/torch_values.h"
#include "weights/weights_inside.h"
#include "weights/zip.h"

enum { MEMORY = 256 << 20, PROTOCOL = 1001 };

static const uint8_t magic[10] = { 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19 };   /* 0x1950a86a20f9469cfc6c */

/* ---- since 1.6 ---------------------------------------------------------------------------------------------------------------- */

static bool ends(const zip_member *m, const char *with) {
    return m->name_size >= strlen(with) && memcmp(m->name + m->name_size - strlen(with), with, strlen(with)) == 0;
}

/* <name>/<file>; the prefix is that of data.pkl. */
static zip_member *find(const zip_list *z, const zip_member *pickle, const char *file, const char *key, size_t key_size) {
    size_t folder = pickle->name_size - strlen("data.pkl"), n = strlen(file);
    char name[1024];
    if (folder + n + key_size > sizeof name) return NULL;
    memcpy(name, pickle->name, folder);
    memcpy(name + folder, file, n);
    if (key_size) memcpy(name + folder + n, key, key_size);
    return zip_list_find(z, name, folder + n + key_size);
}

static int find_pickle(const zip_list *z, zip_member **out) {
    zip_member *found = NULL;
    for (size_t i = 0; i < z->members; i++) {
        zip_member *m = &z->member[i];
        if (!ends(m, "/data.pkl") && !(m->name_size == 8 && ends(m, "data.pkl"))) continue;
        if (!found || m->name_size < found->name_size) found = m;
    }
    if (!found) return error_set(ERR_UNSUPPORTED, "%s: is a zip file, but no PyTorch checkpoint: it has no data.pkl", z->what);
    if (find(z, found, "constants.pkl", NULL, 0))
        return error_set(ERR_UNSUPPORTED, "%s: is a TorchScript program; mien reads checkpoints (state dicts)", z->what);
    *out = found;
    return 0;
}

static int check_byte_order(const zip_list *z, const zip_member *pickle, arena *a, size_t *most) {
    zip_member *m = find(z, pickle, "byteorder", NULL, 0);
    const uint8_t *bytes;
    if (!m) return 0;
    int rc = zip_member_read(z, m, a, most, &bytes);
    if (rc == 0 && !(m->size == 6 && memcmp(bytes, "little", 6) == 0))
        rc = error_set(ERR_UNSUPPORTED, "%s: was saved on a machine of another byte order", z->what);
    return rc;
}

static int find_storages(const zip_list *z, const zip_member *pickle, torch_context *c, arena *a, size_t *most) {
    int rc = 0;
    for (torch_storage *s = c->storages; rc == 0 && s; s = s->next) {
        if (s->bytes == 0) continue;
        zip_member *m = find(z, pickle, "data/", s->key, s->key_size);
        if (!m) return error_set(ERR_FORMAT, "%s: the numbers stored as \"%.*s\" are missing", z->what, (int)(s->key_size < 200 ? s->key_size : 200), s->key);
        if (m->size < s->bytes)
            return error_set(ERR_FORMAT, "%s: \"%.*s\" has %llu bytes, and should have %zu", z->what, (int)m->name_size, m->name, (unsigned long long)m->size, s->bytes);
        rc = zip_member_read(z, m, a, most, &s->data);
    }
    return rc < 0 ? rc : zip_list_check(z);
}

static int read_zip(weights *w, const zip_list *z, const char *prefix) {
    zip_member *member = NULL;
    const uint8_t *bytes;
    torch_context c = { 0 };
    pickle_hooks hooks = torch_hooks(&c);
    pickle *p;
    size_t most = (256u << 20) + (z->size < SIZE_MAX / 8 ? 4 * z->size : z->size);   /* of what is compressed */
    int rc = find_pickle(z, &member);
    if (rc == 0) rc = check_byte_order(z, member, &w->memory, &most);
    if (rc == 0) rc = zip_member_read(z, member, &w->memory, &most, &bytes);
    if (rc == 0) rc = pickle_read(z->what, bytes, (size_t)member->size, MEMORY, &hooks, &p, NULL);
    if (rc < 0) return rc;
    rc = find_storages(z, member, &c, &w->memory, &most);
    if (rc == 0) rc = state_dict_read(w, z->what, prefix, p, &c, z->size);
    pickle_free(p);
    return rc;
}

static int read_zip_file(weights *w, const char *what, const char *prefix, const uint8_t *data, size_t size) {
    zip_list z;
    int rc = zip_list_read(what, data, size, &z);
    if (rc < 0) return rc;
    rc = read_zip(w, &z, prefix);
    zip_list_free(&z);
    return rc;
}

/* ---- before ------------------------------------------------------------------------------------------------------------------- */

typedef struct { const char *what; const uint8_t *data; size_t size, at; } stream;

static int next_pickle(stream *s, const pickle_hooks *hooks, pickle **out) {
    size_t used;
    int rc = pickle_read(s->what, s->data + s->at, s->size - s->at, MEMORY, hooks, out, &used);
    if (rc == 0) s->at += used;
    return rc;
}

static bool is_magic(const pickle_value *v) { return v->kind == PICKLE_BIG && v->text.size == sizeof magic && memcmp(v->text.data, magic, sizeof magic) == 0; }
static bool is_protocol(const pickle_value *v) { return v->kind == PICKLE_INTEGER && v->integer == PROTOCOL; }

static bool is_little(const pickle_value *v) {
    const pickle_value *little = pickle_field(v, "little_endian");
    return little && (little->kind == PICKLE_BOOL || little->kind == PICKLE_INTEGER) && little->integer;
}

/* One of the three in front. */
static int check_front(stream *s, bool (*good)(const pickle_value *v), int code, const char *otherwise) {
    pickle *p;
    int rc = next_pickle(s, NULL, &p);
    if (rc < 0) return rc;
    if (!good(pickle_result(p))) rc = error_set(code, "%s: %s", s->what, otherwise);
    pickle_free(p);
    return rc;
}

static int compare_keys(const torch_storage *a, const torch_storage *b) {
    int order = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
    return order ? order : a->key_size < b->key_size ? -1 : a->key_size > b->key_size;
}

static int by_key(const void *a, const void *b) { return compare_keys(*(torch_storage *const *)a, *(torch_storage *const *)b); }

/* The storages of a key: several, where several tensors share one. */
static size_t first_of(torch_storage *const sorted[], size_t n, const torch_storage *key) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(sorted[middle], key) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static int place_one(stream *s, torch_storage *const sorted[], size_t n, const pickle_value *key) {
    if (key->kind != PICKLE_TEXT) return error_set(ERR_FORMAT, "%s: the list of stored numbers is broken", s->what);
    const torch_storage wanted = { .key = key->text.data, .key_size = key->text.size };
    size_t first = first_of(sorted, n, &wanted);
    int shown = (int)(wanted.key_size < 200 ? wanted.key_size : 200);
    if (first == n || compare_keys(sorted[first], &wanted) != 0)
        return error_set(ERR_FORMAT, "%s: stores numbers (\"%.*s\") that nothing in it uses", s->what, shown, wanted.key);
    if (sorted[first]->data) return error_set(ERR_FORMAT, "%s: stores \"%.*s\" twice", s->what, shown, wanted.key);
    uint64_t elements = 0;
    if (s->size - s->at < 8) return error_set(ERR_FORMAT, "%s: is cut short", s->what);
    for (size_t i = 0; i < 8; i++) elements |= (uint64_t)s->data[s->at + i] << 8 * i;
    s->at += 8;
    size_t bytes = sorted[first]->bytes;
    if (elements != bytes / sorted[first]->element) return error_set(ERR_FORMAT, "%s: \"%.*s\" is not of the size it should be", s->what, shown, wanted.key);
    if (bytes > s->size - s->at)
        return error_set(ERR_FORMAT, "%s: is cut short: \"%.*s\" has %zu bytes, of which the file has %zu", s->what, shown, wanted.key, bytes, s->size - s->at);
    for (size_t i = first; i < n && compare_keys(sorted[i], &wanted) == 0; i++) {
        if (sorted[i]->bytes != bytes || sorted[i]->element != sorted[first]->element)
            return error_set(ERR_FORMAT, "%s: \"%.*s\" is described in two ways", s->what, shown, wanted.key);
        sorted[i]->data = s->data + s->at;
    }
    s->at += bytes;
    return 0;
}

static int place_all(stream *s, torch_context *c, const pickle_value *keys) {
    if (keys->kind != PICKLE_LIST) return error_set(ERR_FORMAT, "%s: the list of stored numbers is missing", s->what);
    torch_storage **sorted = malloc((c->count + 1) * sizeof *sorted);
    if (!sorted) return error_memory((c->count + 1) * sizeof *sorted);
    size_t n = 0;
    int rc = 0;
    for (torch_storage *t = c->storages; t; t = t->next) sorted[n++] = t;
    qsort(sorted, n, sizeof *sorted, by_key);
    for (size_t i = 0; rc == 0 && i < keys->list.count; i++) rc = place_one(s, sorted, n, keys->list.item[i]);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (!sorted[i]->data) rc = error_set(ERR_FORMAT, "%s: the numbers stored as \"%.*s\" are missing", s->what, (int)(sorted[i]->key_size < 200 ? sorted[i]->key_size : 200), sorted[i]->key);
    free(sorted);
    return rc;
}

static int read_legacy(weights *w, stream *s, const char *prefix) {
    torch_context c = { 0 };
    pickle_hooks hooks = torch_hooks(&c);
    pickle *p, *keys;
    int rc = check_front(s, is_magic, ERR_UNSUPPORTED, "is a pickle, but none that torch.save wrote");
    if (rc == 0) rc = check_front(s, is_protocol, ERR_UNSUPPORTED, "is of an unknown version of PyTorch's file format");
    if (rc == 0) rc = check_front(s, is_little, ERR_UNSUPPORTED, "was saved on a machine of another byte order");
    if (rc == 0) rc = next_pickle(s, &hooks, &p);
    if (rc < 0) return rc;
    rc = next_pickle(s, NULL, &keys);
    if (rc == 0) {
        rc = place_all(s, &c, pickle_result(keys));
        pickle_free(keys);
    }
    if (rc == 0) rc = state_dict_read(w, s->what, prefix, p, &c, s->size);
    pickle_free(p);
    return rc;
}

bool torch_file_is(const uint8_t *data, size_t size) {
    static const char text_magic[] = "L119547037146038801333356";   /* protocol 1 */
    if (size >= 4 && memcmp(data, "PK\3\4", 4) == 0) return true;
    if (size >= 2 && data[0] == 0x80 && data[1] >= 2 && data[1] < 16) return true;
    return size >= sizeof text_magic && memcmp(data, text_magic, sizeof text_magic - 1) == 0;
}

int torch_file_read(weights *w, const char *what, const char *prefix, const uint8_t *data, size_t size) {
    if (size >= 4 && memcmp(data, "PK\3\4", 4) == 0) return read_zip_file(w, what, prefix, data, size);
    return read_legacy(w, &(stream){ what, data, size, 0 }, prefix);
}
