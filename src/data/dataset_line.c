/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of prompt.jsonl, read and written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "data/dataset.h"

static const size_t most_memory = (size_t)64 << 20;   /* of a parsed line */

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* As the original's os.path.split(path)[-1]. */
static int need_name(const json_at *line, const char *key, const char **out) {
    json_at at;
    const char *path;
    int rc = json_need_field(line, key, &at);
    if (rc == 0) rc = json_need_string(&at, &path);
    if (rc < 0) return rc;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) return json_error(&at, ERR_FORMAT, "\"%.200s\" does not name a file", path);
    if (strlen(name) > NAME_MAX) return json_error(&at, ERR_FORMAT, "a file's name has at most %d bytes, this one has %zu", NAME_MAX, strlen(name));
    *out = name;
    return 0;
}

static int read_prompt(const json_at *line, const char **out) {
    json_at at;
    *out = "";
    return json_field(line, "prompt", &at) && !json_is_nothing(&at) ? json_need_string(&at, out) : 0;
}

static char *put(char **at, const char *s, size_t n) {
    char *begin = *at;
    memcpy(begin, s, n);
    begin[n] = 0;
    *at += n + 1;
    return begin;
}

/* All its strings are one block, which begins with the id. */
int dataset_item_new(const char *source, const char *target, const char *prompt, const char *line, dataset_item *out) {
    const char *dot = strrchr(target, '.');
    size_t n = strlen(target), id = dot && dot != target ? (size_t)(dot - target) : n;
    size_t bytes = id + strlen(source) + n + strlen(prompt) + strlen(line) + 5;
    char *at = malloc(bytes);
    if (!at) return error_memory(bytes);
    *out = (dataset_item){ 0 };
    out->id = put(&at, target, id);
    out->source = put(&at, source, strlen(source));
    out->target = put(&at, target, n);
    out->prompt = put(&at, prompt, strlen(prompt));
    out->line = put(&at, line, strlen(line));
    return 0;
}

void dataset_item_free(dataset_item *item) {
    if (!item) return;
    free(item->id);
    *item = (dataset_item){ 0 };
}

static int read_line(const json_at *root, const char *line, dataset_item *out) {
    const char *source, *target, *prompt;
    int rc = json_need_object(root);
    if (rc == 0) rc = need_name(root, "source", &source);
    if (rc == 0) rc = need_name(root, "target", &target);
    if (rc == 0) rc = read_prompt(root, &prompt);
    return rc < 0 ? rc : dataset_item_new(source, target, prompt, line, out);
}

/* Every fault of a line is ERR_FORMAT, whatever the reader of JSON calls it. */
static int fault(int rc) { return rc == ERR_LIMIT ? error_set(ERR_FORMAT, "%s", error_message()) : rc; }

int dataset_parse(const char *where, const char *data, size_t size, dataset_item *out) {
    if (size > DATASET_LINE_MOST) return error_set(ERR_FORMAT, "%s: longer than %d bytes", where, DATASET_LINE_MOST);
    char *line = malloc(size + 1);
    if (!line) return error_memory(size + 1);
    memcpy(line, data, size);
    line[size] = 0;
    json *doc;
    int rc = strspn(line, " \t\r") >= size ? error_set(ERR_FORMAT, "%s: is empty", where)
                                           : fault(json_parse(where, (const uint8_t *)data, size, most_memory, &doc));
    if (rc == 0) {
        json_at root = json_root(doc);
        rc = read_line(&root, line, out);
        json_free(doc);
    }
    free(line);
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static void put_path(text *out, const char *folder, const char *name) {
    text_printf(out, "\"%s/", folder);
    text_json_letters(out, name);
    text_add(out, "\"");
}

void dataset_line(const char *source, const char *target, const char *prompt, text *out) {
    text_add(out, "{\"source\": ");
    put_path(out, "source", source);
    text_add(out, ", \"target\": ");
    put_path(out, "target", target);
    text_add(out, ", \"prompt\": ");
    if (prompt) text_json_exact(out, prompt);
    else text_add(out, "null");
    text_add(out, "}");
}
