/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/merges.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json_fields.h"
#include "base/name_set.h"
#include "weights/checkpoint_inside.h"
#include "weights/convert_tokenizer.h"

enum { MOST_FILE = 64 << 20, CLIP_TOKENS = CLIP_MERGES + MERGES_BEFORE + 2 };

/* ---- lines ------------------------------------------------------------------------------------------------------------------- */

static int no_pair(const merges_reader *r) { return error_set(ERR_FORMAT, "line %zu of the merges is no pair of tokens", r->line); }

int merges_next(merges_reader *r, merge_line *out) {
    while (r->at < r->end) {
        const char *s = r->at, *end = memchr(s, '\n', (size_t)(r->end - s));
        r->at = end ? end + 1 : r->end;
        r->line++;
        if (!end) end = r->end;
        if (end > s && end[-1] == '\r') end--;
        if (end == s) continue;
        if (r->line == 1 && (*s == '"' || (end - s >= 8 && !memcmp(s, "#version", 8)))) continue;
        const char *space = memchr(s, ' ', (size_t)(end - s));
        if (!space || space == s || space + 1 == end || memchr(space + 1, ' ', (size_t)(end - space - 1)) || memchr(s, 0, (size_t)(end - s)))
            return no_pair(r);
        *out = (merge_line){ s, space + 1, (uint32_t)(space - s), (uint32_t)(end - space - 1) };
        return 1;
    }
    return 0;
}

/* ---- a whole list ------------------------------------------------------------------------------------------------------------ */

/* Names so far, by what they are spelled. */
typedef struct { arena memory; const char **name; size_t count; name_set index; const char *wanted; size_t size; } known;

static bool is_wanted(void *context, uint64_t place) {
    const known *k = context;
    const char *name = k->name[place / 16];
    return strncmp(name, k->wanted, k->size) == 0 && !name[k->size];
}

static uint64_t hash_of(known *k, const char *s, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;                        /* FNV-1a */
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 0x100000001b3u;
    k->wanted = s, k->size = n;
    return h * 0x9e3779b97f4a7c15u;                          /* the set takes the upper half */
}

static bool is_known(known *k, const char *s, size_t n) {
    uint64_t found;
    return name_set_find(&k->index, hash_of(k, s, n), is_wanted, k, &found);
}

/* 1: it is new; 0: there is such a name. */
static int add_known(known *k, const char *name) {
    uint64_t place = k->count * 16, found;
    k->name[k->count] = name;
    int rc = name_set_add(&k->index, hash_of(k, name, strlen(name)), place, is_wanted, k, &found);
    if (rc < 0 || found != place) return rc < 0 ? rc : 0;
    k->count++;
    return 1;
}

static int begin_known(known *k, size_t count) {
    k->memory.block_bytes = 1 << 16;
    k->name = arena_new(&k->memory, count + MERGES_BEFORE + 1, sizeof *k->name);
    int rc = k->name ? 1 : error_code();
    for (int i = 0; rc >= 0 && i < MERGES_BEFORE; i++) {
        char *name = arena_new(&k->memory, VOCABULARY_BYTE, 1);
        if (!name) return error_code();
        vocabulary_byte(i, name);
        rc = add_known(k, name);
    }
    return rc;
}

static int check_line(known *k, const merge_line *m, size_t line) {
    if (!is_known(k, m->a, m->a_size) || !is_known(k, m->b, m->b_size))
        return error_set(ERR_FORMAT, "line %zu of the merges has a token that there is none of", line);
    char *name = arena_printf(&k->memory, "%.*s%.*s", (int)m->a_size, m->a, (int)m->b_size, m->b);
    bool special = name && (strcmp(name, "<|startoftext|>") == 0 || strcmp(name, "<|endoftext|>") == 0);
    int rc = !name ? error_code() : special ? 0 : add_known(k, name);
    return rc == 0 ? error_set(ERR_FORMAT, "line %zu of the merges makes a token that there is already", line) : rc;
}

static int count_lines(const char *merges, size_t size, size_t *out) {
    merges_reader r = { merges, merges + size, 0 };
    merge_line m;
    int rc = 1;
    *out = 0;
    while ((rc = merges_next(&r, &m)) > 0) ++*out;
    return rc < 0 || *out <= CLIP_MERGES ? rc : error_set(ERR_LIMIT, "has %zu merges, %d are possible", *out, CLIP_MERGES);
}

int merges_check(const char *merges, size_t size, size_t *tokens) {
    known k = { 0 };
    merges_reader r = { merges, merges + size, 0 };
    merge_line m;
    size_t count;
    if (size > MERGES_MOST) return error_set(ERR_LIMIT, "has merges of %zu bytes, %d are possible", size, MERGES_MOST);
    int rc = count_lines(merges, size, &count);
    if (rc == 0) rc = begin_known(&k, count);
    while (rc >= 0 && (rc = merges_next(&r, &m)) > 0) rc = check_line(&k, &m, r.line);
    name_set_free(&k.index);
    arena_free(&k.memory);
    if (rc == 0) *tokens = count + MERGES_BEFORE + 2;
    return rc;
}

/* ---- a folder's -------------------------------------------------------------------------------------------------------------- */

/* Names by their ids; a vocabulary of others, or of one id for two names, is not in order. */
typedef struct { arena memory; char **name; size_t count; bool other; int rc; } order;

static void take(void *context, const char *key, json_field_kind kind, const char *digits, size_t size) {
    order *o = context;
    size_t id = 0;
    for (size_t i = 0; i < size && id < o->count; i++) id = digits[i] >= '0' && digits[i] <= '9' ? 10 * id + (size_t)(digits[i] - '0') : o->count;
    if (kind != FIELD_NUMBER || !size || id >= o->count || o->name[id]) o->other = true;
    else if (!(o->name[id] = arena_printf(&o->memory, "%s", key))) o->rc = error_code();
}

static int read_order(const char *data, size_t size, size_t count, order *out) {
    json_fields *f = json_fields_new();
    *out = (order){ .count = count };
    out->name = arena_new(&out->memory, count, sizeof *out->name);
    int rc = f && out->name ? json_fields_read(f, data, size, take, out) : error_code();
    json_fields_free(f);
    return rc < 0 ? rc : out->rc;
}

/* 1: the vocabulary is what follows from the merges; 0: it is another. */
static int follows(const char *vocabulary, size_t size, const char *merges, size_t count) {
    text made = { 0 }, same = { 0 };
    order a = { 0 }, b = { 0 };
    int rc = vocabulary_files(merges, strlen(merges), count - MERGES_BEFORE - 2, &made, &same);
    bool equal = rc == 0;
    if (rc == 0) rc = read_order(made.data, made.size, count, &a);
    if (rc == 0) rc = read_order(vocabulary, size, count, &b);
    equal = equal && rc == 0 && !a.other && !b.other;
    for (size_t i = 0; equal && i < count; i++) equal = a.name[i] && b.name[i] && strcmp(a.name[i], b.name[i]) == 0;
    arena_free(&a.memory);
    arena_free(&b.memory);
    text_free(&made);
    text_free(&same);
    return rc == ERR_MEMORY ? rc : equal;
}

/* CLIP's own, however its lines end. */
static bool are_clips(const char *merges, size_t size) {
    merges_reader r = { merges, merges + size, 0 };
    merge_line m;
    sha256_state s;
    uint8_t digest[32];
    char hex[65];
    sha256_begin(&s);
    while (merges_next(&r, &m) > 0) {
        sha256_add(&s, m.a, m.a_size + 1);
        sha256_add(&s, m.b, m.b_size);
        sha256_add(&s, "\n", 1);
    }
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    return strcmp(hex, MERGES_OF_CLIP) == 0;
}

static int load(const char *folder, const char *name, uint8_t **data, size_t *size) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n < 0 || n >= (int)sizeof path ? error_set(ERR_LIMIT, "%.200s...: too long a path", folder) : file_load(path, MOST_FILE, data, size);
}

int merges_of_folder(const char *folder, text *merges) {
    uint8_t *vocabulary = NULL, *list = NULL;
    size_t vocabulary_size = 0, size = 0, count = 0;
    text all = { 0 };
    int rc = load(folder, "vocab.json", &vocabulary, &vocabulary_size);
    if (rc == 0) rc = load(folder, "merges.txt", &list, &size);
    if (rc == 0) text_printf(&all, "%.*s", (int)size, (const char *)list);
    if (rc == 0) rc = text_check(&all);
    if (rc == 0 && all.size != size) rc = MERGES_DO_NOT_FOLLOW;      /* a NUL */
    if (rc == 0) {
        /* What is broken is told of by whoever encodes with it. */
        rc = merges_check(size ? all.data : "", size, &count);
        if (rc == 0) rc = follows((const char *)vocabulary, vocabulary_size, size ? all.data : "", count);
        if (rc == 1 && count == CLIP_TOKENS && are_clips(all.data, size)) rc = MERGES_ARE_CLIPS;
        else if (rc != ERR_MEMORY) rc = rc == 1 ? MERGES_FOLLOW : MERGES_DO_NOT_FOLLOW;
    }
    if (rc == MERGES_FOLLOW) text_add(merges, size ? all.data : "");
    if (rc == MERGES_FOLLOW && text_check(merges) < 0) rc = ERR_MEMORY;
    text_free(&all);
    free(vocabulary);
    free(list);
    return rc;
}

/* ---- from one file to another ---------------------------------------------------------------------------------------------- */

int merges_carry(tensor_list *l, const checkpoint *c) {
    if (checkpoint_merges(c)) return tensor_list_metadata(l, MERGES_KEY, checkpoint_merges(c));
    text merges = { 0 };
    int rc = checkpoint_tokenizer(c) ? merges_of_folder(checkpoint_tokenizer(c), &merges) : 0;
    if (rc == MERGES_FOLLOW) rc = tensor_list_metadata(l, MERGES_KEY, merges.data ? merges.data : "");
    text_free(&merges);
    return rc < 0 ? rc : 0;
}

bool merges_are_lost(const checkpoint *c) {
    text merges = { 0 };
    bool lost = !checkpoint_merges(c) && checkpoint_tokenizer(c) && merges_of_folder(checkpoint_tokenizer(c), &merges) == MERGES_DO_NOT_FOLLOW;
    text_free(&merges);
    return lost;
}
