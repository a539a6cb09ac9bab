/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/merges.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_fields.h"
#include "weights/checkpoint_inside.h"
#include "weights/convert_tokenizer.h"

enum { MOST_FILE = 64 << 20, CLIP_TOKENS = 49408 };

size_t merges_tokens(const char *merges) {
    size_t n = 514;
    for (const char *end; *merges; merges = end + (*end == '\n')) {
        end = merges + strcspn(merges, "\n");
        n += end > merges && strncmp(merges, "#version", 8) != 0;
    }
    return n;
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
static int follows(const char *vocabulary, size_t size, const char *merges) {
    text made = { 0 }, same = { 0 };
    order a = { 0 }, b = { 0 };
    size_t count = merges_tokens(merges);
    int rc = vocabulary_files(merges, strlen(merges), count - 514, &made, &same);
    bool equal = rc == 0;
    if (rc == 0) rc = read_order(made.data, made.size, count, &a);
    if (rc == 0) rc = read_order(vocabulary, size, count, &b);
    equal = equal && rc == 0 && !a.other && !b.other;
    for (size_t i = 0; equal && i < count; i++) equal = a.name[i] && b.name[i] && strcmp(a.name[i], b.name[i]) == 0;
    arena_free(&a.memory);
    arena_free(&b.memory);
    text_free(&made);
    text_free(&same);
    return rc == ERR_MEMORY ? rc : equal;    /* what is broken is told of by whoever encodes with it */
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
    if (rc == 0 && all.data) count = merges_tokens(all.data);
    if (rc == 0 && count && count != CLIP_TOKENS) rc = follows((const char *)vocabulary, vocabulary_size, all.data);
    if (rc > 0) text_add(merges, all.data);
    if (rc > 0 && text_check(merges) < 0) rc = ERR_MEMORY;
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
    if (rc > 0) rc = tensor_list_metadata(l, MERGES_KEY, merges.data);
    text_free(&merges);
    return rc;
}
