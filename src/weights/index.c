/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/index.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

enum { MOST_NAME = 255, MEMORY = 512 << 20 };

static bool is_plain(const char *name) { return *name && *name != '.' && strlen(name) <= MOST_NAME && !strpbrk(name, "/\\"); }

/* The file's number: that of the last tensor most times. */
static int find_file(weights_index *x, const json_at *at, const char *name, size_t *file) {
    for (size_t i = x->files; i-- > 0;)
        if (strcmp(x->file[i], name) == 0) return *file = i, 0;
    if (!is_plain(name)) return json_error(at, ERR_FORMAT, "\"%.100s\" is no name of a file in this folder", name);
    if (x->files == INDEX_MOST_FILES) return json_error(at, ERR_LIMIT, "more than %d files", INDEX_MOST_FILES);
    *file = x->files;
    x->file[x->files] = arena_printf(&x->memory, "%s", name);
    return x->file[x->files++] ? 0 : ERR_MEMORY;
}

static int count_field(void *context, const json_at *field) {
    weights_index *x = context;
    x->tensors++;
    return (void)field, 0;
}

static int read_field(void *context, const json_at *field) {
    weights_index *x = context;
    const char *name;
    struct index_tensor *t = &x->tensor[x->tensors];
    int rc = json_need_string(field, &name);
    if (rc == 0) rc = find_file(x, field, name, &t->file);
    if (rc < 0) return rc;
    t->name = arena_printf(&x->memory, "%s", field->key);
    x->tensors++;
    return t->name ? 0 : ERR_MEMORY;
}

static int read_map(const json *document, weights_index *x) {
    json_at root = json_root(document), map;
    int rc = json_need_object(&root);
    if (rc == 0) rc = json_need_field(&root, "weight_map", &map);
    if (rc == 0) rc = json_need_object(&map);
    if (rc < 0) return rc;
    json_each_field(&map, count_field, x);
    if (x->tensors == 0) return json_error(&map, ERR_FORMAT, "no tensors");
    x->tensor = arena_new(&x->memory, x->tensors, sizeof *x->tensor);
    x->tensors = 0;
    return x->tensor ? json_each_field(&map, read_field, x) : ERR_MEMORY;
}

int weights_index_read(const char *what, const uint8_t *data, size_t size, weights_index *out) {
    json *document;
    *out = (weights_index){ 0 };
    int rc = json_parse(what, data, size, MEMORY, &document);
    if (rc < 0) return rc;
    rc = read_map(document, out);
    json_free(document);
    if (rc < 0) weights_index_free(out);
    return rc;
}

void weights_index_free(weights_index *x) {
    arena_free(&x->memory);
    *x = (weights_index){ 0 };
}
