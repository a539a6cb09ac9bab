/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/shard_name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "face/faces_json.h"

bool shard_id_fits(const char *id) {
    size_t n = strlen(id);
    if (n == 0 || n > SHARD_ID_MOST || id[0] == '.') return false;
    for (const unsigned char *s = (const unsigned char *)id; *s; s++)
        if (*s < ' ' || *s == '/' || *s == 127) return false;
    return true;
}

static bool plain(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

void shard_key(const char *id, text *out) {
    for (; *id; id++) text_printf(out, plain(*id) ? "%c" : "%%%02X", (unsigned char)*id);
}

/* ---- names ------------------------------------------------------------------------------------------------------------ */

/* Upper case only: what a key of somebody else's means by %2e is itself. */
static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

static bool decode(const char *key, size_t size, char out[SHARD_ID_MOST + 1]) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        int high = key[i] == '%' && i + 2 < size ? hex_digit(key[i + 1]) : -1, low = high >= 0 ? hex_digit(key[i + 2]) : -1;
        if (n == SHARD_ID_MOST || (low >= 0 && high + low == 0)) return false;
        out[n++] = low >= 0 ? (char)(high << 4 | low) : key[i];
        if (low >= 0) i += 2;
    }
    out[n] = 0;
    return shard_id_fits(out);
}

static shard_part part_of(const char *ending) {
    static const struct { const char *ending; shard_part part; } known[] = {
        { ".map.png", SHARD_MAP }, { ".map.jpg", SHARD_MAP }, { ".map.jpeg", SHARD_MAP }, { ".json", SHARD_FACES }, { ".txt", SHARD_PROMPT },
        { ".jpg", SHARD_PHOTO }, { ".jpeg", SHARD_PHOTO }, { ".png", SHARD_PHOTO }, { ".webp", SHARD_PHOTO }, { ".bmp", SHARD_PHOTO }, { ".gif", SHARD_PHOTO },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(ending, known[i].ending) == 0) return known[i].part;
    return SHARD_PARTS;
}

const char *shard_name_read(const char *member, shard_name *out) {
    const char *slash = strrchr(member, '/'), *name = slash ? slash + 1 : member, *dot = strchr(name, '.');
    if (!dot) return "has no ending";
    if (dot == name) return "has a name that begins with a dot";
    if (!decode(name, (size_t)(dot - name), out->id)) return "has a name that can't be an item's";
    char ending[12] = "";          /* the longest of ours has 9 */
    for (size_t i = 0; dot[i] && i < sizeof ending - 1; i++) ending[i] = (char)tolower((unsigned char)dot[i]);
    out->part = part_of(ending);
    strcpy(out->ending, out->part == SHARD_MAP ? ending + 4 : ending);
    return NULL;
}

/* ---- .json -------------------------------------------------------------------------------------------------------------- */

#define BEGINNING "{\"shard\":"

int shard_json_write(const char *id, const char *metadata, const uint8_t *faces, size_t size, text *out) {
    size_t at = 0;
    while (faces && at < size && strchr(" \t\r\n", faces[at]) && faces[at]) at++;
    if (faces && (at == size || faces[at] != '{')) return error_set(ERR_FORMAT, "%s: the landmarks are no JSON object", id);
    text_add(out, BEGINNING "1,\"id\":");
    text_json_exact(out, id);
    text_printf(out, ",\"metadata\":%s%s\n", metadata ? metadata : "{}", faces ? "," : "}");
    if (!faces) return 0;
    size_t rest = size - at - 1;
    char *to = text_room(out, rest);
    if (!to) return 0;             /* remembered */
    memcpy(to, faces + at + 1, rest);
    text_grown(out, rest);
    return 0;
}

/* Whether somebody else's JSON has landmarks in it. */
static bool has_faces(const char *name, const uint8_t *data, size_t size) {
    json *doc;
    json_at faces;
    if (json_parse(name, data, size, (size_t)256 << 20, &doc) < 0) return true;   /* whoever reads it will say what is wrong */
    json_at root = json_root(doc);
    bool has = json_need_object(&root) == 0 && json_field(&root, "faces", &faces);
    json_free(doc);
    return has;
}

bool shard_json_faces(const char *name, uint8_t *data, size_t *size) {
    size_t n = strlen(BEGINNING);
    if (*size < n || memcmp(data, BEGINNING, n) != 0) return has_faces(name, data, *size);
    const uint8_t *end = memchr(data, '\n', *size);
    if (!end || end[-1] != ',') return false;
    size_t rest = (size_t)(data + *size - end) - 1;
    data[0] = '{';
    memmove(data + 1, end + 1, rest);
    *size = rest + 1;
    return true;
}

/* The first line ends with the object, and "," or "}". Other programs may have written the bytes: what stands there must be an object. */
int shard_json_metadata(const uint8_t *data, size_t size, text *out) {
    static const char key[] = ",\"metadata\":{";
    size_t n = strlen(BEGINNING);
    const char *line = (const char *)data, *end = memchr(data, '\n', size);
    if (!end || size < n || memcmp(data, BEGINNING, n) != 0) return 0;
    const char *at = memmem(line, (size_t)(end - line), key, strlen(key));
    if (!at || end - at < (long)strlen(key) + 2) return 0;
    at += strlen(key) - 1;
    json *doc;
    if (json_parse("metadata", (const uint8_t *)at, (size_t)(end - 1 - at), (size_t)64 << 20, &doc) < 0) return 0;
    json_free(doc);
    text_printf(out, "%.*s", (int)(end - 1 - at), at);
    return 1;
}
