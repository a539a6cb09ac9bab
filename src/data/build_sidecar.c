/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/build_sidecar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "data/list_inside.h"

enum { URL_MOST = 8192 };
static const size_t most_memory = (size_t)64 << 20;   /* of a parsed sidecar */

static int copy(const char *s, char **to) {
    free(*to);
    *to = strdup(s);
    return *to ? 0 : error_memory(strlen(s) + 1);
}

/* ---- marks --------------------------------------------------------------------------------------------------------- */

static bool word_is_fine(const char *word) { return strcasecmp(word, "unlikely") == 0; }

static int add_word(sidecar *s, const char *word) { return s->nsfw && !word_is_fine(s->nsfw) ? 0 : copy(word, &s->nsfw); }

static int add_mark(const json_at *at, sidecar *s) {
    const char *word;
    double p;
    if (json_is_nothing(at)) return 0;
    if (!json_has_text(at)) {
        if (json_need_number(at, 0, 1, &p) < 0) s->strange = true;
        else if (p > s->unsafe) s->unsafe = p;
        return 0;
    }
    int rc = json_need_string(at, &word);
    return rc < 0 ? rc : add_word(s, word);
}

bool sidecar_safe(const sidecar *s, double max_unsafe) {
    list_item word = { .nsfw = s->nsfw, .unsafe = -1 }, number = { .unsafe = s->unsafe };
    return !s->strange && list_safe(&word, max_unsafe) && list_safe(&number, max_unsafe);
}

/* ---- captions ------------------------------------------------------------------------------------------------------ */

static int set_caption(const char *name, const char *caption, sidecar *s) {
    if (strlen(caption) > CAPTION_MOST) return error_set(ERR_LIMIT, "%s: a caption of %zu bytes, more than %d", name, strlen(caption), CAPTION_MOST);
    s->has_caption = true;
    return copy(caption, &s->caption);
}

static int add_url(const json_at *at, sidecar *s) {
    const char *word;
    if (!json_has_text(at) || (s->url && strcmp(at->key, "url") != 0)) return 0;
    int rc = json_need_string(at, &word);
    return rc < 0 || strlen(word) > URL_MOST ? rc : copy(word, &s->url);
}

/* By the names that a list has for it, in any case: a mark that a list would heed is no other one here. */
static int read_field(void *context, const json_at *at) {
    list_field field;
    int rank;
    if (!list_field_called(at->key, &field, &rank)) return 0;
    if (field == LIST_NSFW || field == LIST_UNSAFE) return add_mark(at, context);
    return field == LIST_URL ? add_url(at, context) : 0;
}

static int read_document(const char *name, const json_at *root, sidecar *s) {
    json_at at;
    const char *word;
    int rc = json_need_object(root);
    if (rc == 0) rc = json_each_field(root, read_field, s);
    if (rc == 0 && json_field(root, "synth", &at)) s->rendered = json_need_object(&at) == 0;
    if (rc < 0 || !json_field(root, "caption", &at)) return rc;
    if (json_is_nothing(&at)) return s->has_caption = true, 0;
    rc = json_has_text(&at) ? json_need_string(&at, &word) : json_error(&at, ERR_FORMAT, "a text was expected");
    return rc < 0 ? rc : set_caption(name, word, s);
}

static void skip_mark(const uint8_t **data, size_t *size) {
    if (*size >= 3 && memcmp(*data, "\xef\xbb\xbf", 3) == 0) *data += 3, *size -= 3;
}

int sidecar_parse(const char *name, const uint8_t *data, size_t size, sidecar *out) {
    json *doc;
    *out = SIDECAR_NONE;
    skip_mark(&data, &size);
    int rc = json_parse(name, data, size, most_memory, &doc);
    if (rc < 0) return rc;
    json_at root = json_root(doc);
    rc = read_document(name, &root, out);
    json_free(doc);
    return rc;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Lines without the blanks at their ends. */
static void join_lines(const char *s, const char *end, text *out) {
    while (s < end && is_blank(*s)) s++;
    while (s < end) {
        const char *stop = s + strcspn(s, "\r\n"), *last = stop;
        while (last > s && is_blank(last[-1])) last--;
        if (last == s) return;
        if (out->size) text_add(out, " ");
        for (int n; s < last; s += n) {   /* made UTF-8 */
            if (text_code_point(s, &n) == 0xfffd) text_add(out, "\xef\xbf\xbd");
            else text_printf(out, "%.*s", n, s);
        }
        s = stop + (stop < end) + (stop + 1 < end && stop[0] == '\r' && stop[1] == '\n');
        while (s < end && is_blank(*s) && *s != '\n' && *s != '\r') s++;
    }
}

int sidecar_parse_caption(const char *name, const uint8_t *data, size_t size, sidecar *out) {
    skip_mark(&data, &size);
    if (memchr(data, 0, size)) return error_set(ERR_FORMAT, "%s: is no text", name);
    char *copied = malloc(size + 1);
    if (!copied) return error_memory(size + 1);
    memcpy(copied, data, size);
    copied[size] = 0;
    text caption = { 0 };
    text_add(&caption, "");
    join_lines(copied, copied + size, &caption);
    int rc = text_check(&caption);
    if (rc == 0) rc = set_caption(name, caption.data, out);
    text_free(&caption);
    free(copied);
    return rc;
}

/* ---- where it comes from ------------------------------------------------------------------------------------------- */

int sidecar_add_list(sidecar *s, const list_item *item) {
    int rc = item->nsfw ? add_word(s, item->nsfw) : 0;
    if (item->unsafe > s->unsafe) s->unsafe = item->unsafe;
    if (rc == 0 && !s->url && item->url) rc = copy(item->url, &s->url);
    if (rc == 0 && !s->has_caption && item->caption) rc = set_caption("metadata.json", item->caption, s);
    return rc;
}

void sidecar_free(sidecar *s) {
    free(s->caption);
    free(s->url);
    free(s->nsfw);
    *s = SIDECAR_NONE;
}

/* 1 and its bytes; 0 if it is not there. */
static int load_beside(const char *photo, const char *const ending[2], char path[PATH_MAX], uint8_t **data, size_t *size) {
    const char *slash = strrchr(photo, '/'), *name = slash ? slash + 1 : photo, *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - photo) : strlen(photo);
    struct stat st;
    for (int i = 0; i < 2; i++) {
        if ((size_t)snprintf(path, PATH_MAX, "%.*s%s", (int)stem, photo, ending[i]) >= PATH_MAX) return 0;
        if (lstat(path, &st) < 0 && (errno == ENOENT || errno == ENAMETOOLONG)) continue;
        int rc = file_load(path, SIDECAR_MOST, data, size);
        return rc < 0 ? rc : 1;
    }
    return 0;
}

int sidecar_load(const char *photo, sidecar *out) {
    static const char *const json_ending[2] = { ".json", ".JSON" }, *const text_ending[2] = { ".txt", ".TXT" };
    char path[PATH_MAX];
    uint8_t *data;
    size_t size;
    *out = SIDECAR_NONE;
    int rc = load_beside(photo, json_ending, path, &data, &size);
    if (rc > 0) {
        rc = sidecar_parse(path, data, size, out);
        free(data);
    }
    if (rc < 0 || out->has_caption) return rc;
    rc = load_beside(photo, text_ending, path, &data, &size);
    if (rc <= 0) return rc;
    rc = sidecar_parse_caption(path, data, size, out);
    free(data);
    return rc;
}
