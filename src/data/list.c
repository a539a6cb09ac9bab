/* SPDX-License-Identifier: Apache-2.0
 *
 * What all kinds of lists have in common: which kind it is, and what the values of an entry's fields mean. */
#define _GNU_SOURCE
#include "data/list.h"

#include <ctype.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/number.h"
#include "base/part.h"
#include "data/list_inside.h"

enum { URL_MOST = 8192 };

/* ---- fields -------------------------------------------------------------------------------------------------------- */

static const struct { const char *name; list_field field; } names[] = {   /* of one field, the better first */
    { "url", LIST_URL },
    { "id", LIST_ID }, { "key", LIST_ID }, { "sample_id", LIST_ID }, { "name", LIST_ID },
    { "caption", LIST_CAPTION }, { "text", LIST_CAPTION }, { "prompt", LIST_CAPTION }, { "title", LIST_CAPTION },
    { "original_width", LIST_WIDTH }, { "width", LIST_WIDTH },            /* img2dataset calls the resized one's so */
    { "original_height", LIST_HEIGHT }, { "height", LIST_HEIGHT },
    { "nsfw", LIST_NSFW }, { "punsafe", LIST_UNSAFE }, { "unsafe", LIST_UNSAFE }, { "sha256", LIST_SHA256 },
};

bool list_field_called(const char *name, list_field *field, int *rank) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((name[0] | 32) == names[i].name[0] && strcasecmp(name, names[i].name) == 0) {
            *field = names[i].field;
            *rank = (int)i;
            return true;
        }
    return false;
}

void list_take(list *l, list_field field, int rank, json_field_kind kind, const char *value, size_t size) {
    list_value *v = &l->value[field];
    bool mark = field == LIST_NSFW || field == LIST_UNSAFE;
    if (kind == FIELD_NULL || (kind == FIELD_OTHER && !mark) || (v->there && v->rank < rank)) return;
    char *to = text_room(&l->values, size + 1);
    if (!to) return;
    if (size) memcpy(to, value, size);
    to[size] = 0;
    *v = (list_value){ true, rank, kind, l->values.size, size };
    text_grown(&l->values, size + 1);
}

static char *value_of(const list *l, list_field field) { return l->value[field].there ? l->values.data + l->value[field].at : NULL; }

/* A number as JSON and CSV write it: digits with a point somewhere, perhaps an exponent. */
static bool is_number(const char *s) {
    s += *s == '-' || *s == '+';
    size_t whole = strspn(s, "0123456789"), after = s[whole] == '.' ? strspn(s + whole + 1, "0123456789") : 0;
    s += whole + (s[whole] == '.' ? 1 + after : 0);
    if (whole + after == 0) return false;
    if (*s == 'e' || *s == 'E') {
        s += 1 + (s[1] == '-' || s[1] == '+');
        if (!isdigit((unsigned char)*s)) return false;
        s += strspn(s, "0123456789");
    }
    return *s == 0;
}

/* The same in every locale. False if it is none, or too large. */
static bool read_number(const char *s, double *out) {
    if (!is_number(s)) return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return false;
    *out = strtod_l(s, NULL, c);
    freelocale(c);
    return isfinite(*out);
}

/* A side of a picture; 0 for what is none. */
static int side_of(const list *l, list_field field) {
    const char *s = value_of(l, field);
    double x;
    if (!s || l->value[field].kind == FIELD_BOOL || !read_number(s, &x)) return 0;
    return x >= 1 && x <= INT_MAX && x == (int)x ? (int)x : 0;
}

static char *trimmed(char *s, size_t size) {
    while (size && isspace((unsigned char)s[size - 1])) s[--size] = 0;
    while (isspace((unsigned char)*s)) s++;
    return s;
}

/* A word, or how probable it is; both may be there. */
static void read_marks(list *l, list_item *out) {
    for (list_field field = LIST_NSFW; field <= LIST_UNSAFE; field++) {
        const list_value *v = &l->value[field];
        if (!v->there) continue;
        const char *s = value_of(l, field);
        double x;
        /* In a CSV all is text; in JSON the original takes any text in NSFW as a word. */
        bool counts = v->kind == FIELD_NUMBER || (v->kind == FIELD_TEXT && (field == LIST_UNSAFE || l->kind == LIST_KIND_CSV));
        if (v->kind == FIELD_BOOL) x = *s == 't', counts = true;
        else if (counts) counts = read_number(s, &x);
        if (counts) out->unsafe = x > out->unsafe ? x : out->unsafe;
        else if (!out->nsfw || strcasecmp(out->nsfw, "unlikely") == 0) out->nsfw = v->kind == FIELD_OTHER ? "[...]" : s;   /* whatever it says, it isn't "unlikely" */
    }
}

static bool begins_with_scheme(const char *s) {
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || (n && strchr("+.-", s[n]) && s[n])) n++;
    return n && isalpha((unsigned char)*s) && strncmp(s + n, "://", 3) == 0;
}

static const char *read_url(list *l, const char **url) {
    char *s = value_of(l, LIST_URL);
    if (!s || l->value[LIST_URL].kind != FIELD_TEXT) return "there is no url";
    s = trimmed(s, l->value[LIST_URL].size);
    size_t size = strlen(s);
    if (!size) return "there is no url";
    if (size > URL_MOST) return "the url is too long";
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 127) return "the url has control characters";
    if (l->kind == LIST_KIND_TEXT && !begins_with_scheme(s)) return "this is no url";
    *url = s;
    return NULL;
}

static const char *read_id(list *l, const char *url, const char **id) {
    const char *given = *id ? *id : value_of(l, LIST_ID);
    if (!*id && given && !*given) given = NULL;        /* an empty cell */
    if (!given) {
        snprintf(l->hash, sizeof l->hash, "%016llx", (unsigned long long)part_hash(url));
        given = l->hash;
    }
    *id = given;
    return list_id_fits(given) ? NULL : "the id can't be a file's name: 1 to 200 of A-Z a-z 0-9 . _ - are allowed, without a dot in front";
}

static const char *read_sha256(list *l) {
    char *s = value_of(l, LIST_SHA256);
    if (!s || strlen(s) != 64 || strspn(s, "0123456789abcdefABCDEF") != 64) return NULL;
    for (char *c = s; *c; c++) *c = (char)tolower((unsigned char)*c);
    return s;
}

static bool has_id(const list *l, const list_item *item) {
    const char *given = item->id ? item->id : value_of(l, LIST_ID);
    return given && *given;
}

static void read_values(list *l, list_item *out) {
    out->wrong = read_url(l, &out->url);
    out->no_url = out->wrong && has_id(l, out) && !read_id(l, "", &out->id);
    if (!out->wrong) out->wrong = read_id(l, out->url, &out->id);
    if (out->wrong && !out->no_url) {
        out->url = NULL;
        if (!out->id) out->id = "";
        return;
    }
    out->caption = l->value[LIST_CAPTION].kind == FIELD_BOOL ? NULL : value_of(l, LIST_CAPTION);
    out->width = side_of(l, LIST_WIDTH);
    out->height = side_of(l, LIST_HEIGHT);
    out->sha256 = read_sha256(l);
    read_marks(l, out);
}

/* ---- the list ------------------------------------------------------------------------------------------------------ */

/* Columns under other names than ours would pass for a list of what are no URLs. */
static int check_first_line(const char *name, const char *line, size_t size) {
    const char *end = memchr(line, '\n', size);
    size_t n = end ? (size_t)(end - line) : size;
    if (n > 200 || !n || *line == '#' || memmem(line, n, "://", 3) || (!memchr(line, ',', n) && !memchr(line, '\t', n))) return 0;
    return error_set(ERR_FORMAT, "%s: its first line names no column \"url\": %.*s", name, (int)n, line);
}

static int find_kind(list *l, const uint8_t *data, size_t size) {
    const char *name = stream_name(l->in);
    bool all = size < 1 << 16, document;
    if (size >= 4 && memcmp(data, "PAR1", 4) == 0) return error_set(ERR_FORMAT, "%s: is a Parquet file: export it as JSON lines or CSV", name);
    if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) return error_set(ERR_FORMAT, "%s: is compressed: unpack it, `gzip -dc %s | mien ... --list -`", name, name);
    if (size && memchr(data, 0, size)) return error_set(ERR_FORMAT, "%s: is no list: it is not text in UTF-8", name);
    size_t space = 0;
    while (space < size && isspace(data[space])) space++;
    uint8_t first = space < size ? data[space] : '\n';
    if (first == '[') return error_set(ERR_FORMAT, "%s: is a JSON list [...]: an object {\"id\": {\"url\": ...}, ...} or JSON lines were expected", name);
    int rc;
    if (first == '{') {
        rc = list_is_document(data + space, size - space, all, &document);
        l->kind = document ? LIST_KIND_DOCUMENT : LIST_KIND_JSON_LINES;
    } else {
        rc = list_csv_is_header(l, data, size);
        l->kind = rc == 1 ? LIST_KIND_CSV : LIST_KIND_TEXT;
        if (rc == 0) rc = check_first_line(name, (const char *)data + space, size - space);
    }
    return rc < 0 ? rc : 0;
}

/* An empty one is no list without entries: something was in it, and be it marks that keep photos out. */
static int find_metadata(list *l, const uint8_t *data, size_t size, bool may_be_empty) {
    const char *name = stream_name(l->in);
    size_t space = 0;
    while (space < size && isspace(data[space])) space++;
    l->kind = LIST_KIND_DOCUMENT;
    if (space < size && data[space] == '{') return 0;
    if (space < size) return error_set(ERR_FORMAT, "%s: is no JSON object {\"ID\": {\"url\": ...}, ...}: move it away, or put back what it was", name);
    if (!may_be_empty) return error_set(ERR_FORMAT, "%s: is empty: delete it, or put back what it was (perhaps %s.bak)", name, name);
    l->kind = LIST_KIND_TEXT;
    return 0;
}

static int begin(list *l, const bool *metadata_may_be_empty) {
    const uint8_t *data;
    size_t size;
    uint8_t mark[3];
    int rc = stream_peek(l->in, &data, &size);
    if (rc == 0 && size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {   /* a byte order mark */
        rc = (int)stream_read(l->in, mark, 3);
        if (rc > 0) rc = stream_peek(l->in, &data, &size);
    }
    if (rc == 0) rc = metadata_may_be_empty ? find_metadata(l, data, size, *metadata_may_be_empty) : find_kind(l, data, size);
    if (rc < 0 || l->kind == LIST_KIND_TEXT) return rc;
    return l->kind == LIST_KIND_CSV ? list_csv_begin(l) : l->kind == LIST_KIND_DOCUMENT ? list_document_begin(l) : list_json_begin(l);
}

static int open_as(stream *s, const bool *metadata_may_be_empty, list **out) {
    list *l = calloc(1, sizeof *l);
    if (!l) {
        stream_close(s);
        return error_memory(sizeof *l);
    }
    l->in = s;
    int rc = begin(l, metadata_may_be_empty);
    if (rc < 0) list_close(l);
    else *out = l;
    return rc;
}

int list_open_stream(stream *s, list **out) { return open_as(s, NULL, out); }

int list_open(const char *path, list **out) {
    stream *s;
    int rc = stream_open(path, &s);
    return rc < 0 ? rc : list_open_stream(s, out);
}

int list_open_metadata(const char *path, bool may_be_empty, list **out) {
    stream *s;
    int rc = stream_open_file(path, &s);
    return rc < 0 ? rc : open_as(s, &may_be_empty, out);
}

void list_close(list *l) {
    if (!l) return;
    stream_close(l->in);
    json_stream_free(l->document);
    json_fields_free(l->fields);
    text_free(&l->values);
    text_free(&l->object);
    list_free_csv(l);
    free(l);
}

uint64_t list_bytes_read(const list *l) { return stream_bytes(l->in); }

int list_line(list *l, stream_text *line, list_item *out) {
    int rc = stream_line(l->in, LIST_ENTRY, line);
    out->line = stream_lines(l->in);
    if (rc == ERR_LIMIT) {
        snprintf(l->why, sizeof l->why, "a line of more than %d bytes", LIST_ENTRY);
        out->wrong = l->why;
        *line = (stream_text){ .text = "", .ended = true };
        return 1;
    }
    if (rc == 1 && memchr(line->text, 0, line->size)) out->wrong = "a line with a NUL byte";
    return rc;
}

/* One URL a line; # remarks. */
int list_text_next(list *l, list_item *out) {
    stream_text line;
    int rc;
    while ((rc = list_line(l, &line, out)) == 1 && !out->wrong) {
        char *s = trimmed(line.text, line.size);
        if (!*s || *s == '#') continue;
        list_take(l, LIST_URL, 0, FIELD_TEXT, s, strlen(s));
        break;
    }
    return rc;
}

int list_next(list *l, list_item *out) {
    static int (*const next[])(list *, list_item *) = { list_document_next, list_json_lines_next, list_csv_next, list_text_next };
    *out = (list_item){ .unsafe = -1 };
    memset(l->value, 0, sizeof l->value);
    l->values.size = 0;
    l->own_url = false;
    l->bytes = NULL;
    int rc = next[l->kind](l, out);
    if (rc == 1) rc = text_check(&l->values) < 0 ? ERR_MEMORY : 1;
    if (rc == 1 && !out->wrong) read_values(l, out);
    if (rc == 1 && out->wrong && !out->no_url) *out = (list_item){ .id = out->id ? out->id : "", .wrong = out->wrong, .line = out->line, .unsafe = -1 };
    return rc;
}

/* ---- items --------------------------------------------------------------------------------------------------------- */

bool list_id_fits(const char *id) {
    size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n >= 1 && n <= 200 && id[n] == 0 && id[0] != '.';
}

bool list_safe(const list_item *item, double most) {
    return (!item->nsfw || strcasecmp(item->nsfw, "unlikely") == 0) && (item->unsafe < 0 || item->unsafe <= most);
}

static void put_field(text *out, const char *name, const char *value) {
    if (!value) return;
    text_printf(out, ", \"%s\": ", name);
    text_json_exact(out, value);
}

void list_item_write(const list_item *item, text *out) {
    char number[NUMBER_TEXT];
    text_json_exact(out, item->id);
    text_add(out, ": {\"url\": ");
    if (item->url) text_json_exact(out, item->url);
    else text_add(out, "null");
    put_field(out, "caption", item->caption);
    put_field(out, "NSFW", item->nsfw);
    if (item->unsafe >= 0) {
        number_shortest_f64(number, item->unsafe);
        text_printf(out, ", \"punsafe\": %s", number);
    }
    if (item->width > 0) text_printf(out, ", \"width\": %d", item->width);
    if (item->height > 0) text_printf(out, ", \"height\": %d", item->height);
    put_field(out, "sha256", item->sha256);
    text_add(out, "}");
}

void list_entry_write(const list *l, const list_item *item, text *out) {
    if (!l->bytes || !l->own_url) {
        list_item_write(item, out);
        return;
    }
    text_json_exact(out, item->id);
    text_add(out, ": ");
    char *to = text_room(out, l->bytes_size);
    if (to) memcpy(to, l->bytes, l->bytes_size), text_grown(out, l->bytes_size);
}
