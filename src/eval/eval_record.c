/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/eval_record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "face/faces_json.h"

const char *const eval_kind_word[EVAL_KINDS] = { "control", "free", "photo" };
static const char item_word[] = "item", landmarks_word[] = "landmarks", photo_word[] = "photo";

enum { SIDE_MOST = 1 << 20, WHY_MOST = 2000 };
static const long long most_line = (long long)1 << 53;

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* A document of several lines, on one. */
static int put_faces(const faces *f, text *out) {
    size_t from;
    text_add(out, ",\"faces\":");
    from = out->size;
    int rc = faces_json_write(f, &(faces_origin){ 0 }, out);
    for (size_t i = from; rc == 0 && i < out->size; i++)
        if (out->data[i] == '\n') out->data[i] = ' ';
    return rc;
}

static void put_text(const char *key, const char *value, text *out) {
    text_printf(out, ",\"%s\":", key);
    text_json_exact(out, value ? value : "");
}

static void put_line(const eval_record *r, text *out) { text_printf(out, ",\"line\":%" PRIu64, r->line + 1); }

int eval_record_write(const eval_record *r, text *out) {
    int rc = 0;
    if (r->what == EVAL_LINE_ITEM) {
        text_add(out, "{\"item\":");
        text_json_exact(out, r->id);
        put_line(r, out);
        put_text("from", r->from_photo ? photo_word : landmarks_word, out);
        put_text("prompt", r->prompt, out);
        text_printf(out, ",\"width\":%d,\"height\":%d", r->width, r->height);
        put_text("map", r->map, out);
        rc = put_faces(&r->faces, out);
    } else if (r->what == EVAL_LINE_PICTURE) {
        text_printf(out, "{\"picture\":\"%s\"", eval_kind_word[r->kind]);
        put_line(r, out);
        text_printf(out, ",\"seed\":%lld", r->seed);
        rc = put_faces(&r->faces, out);
    } else {
        text_printf(out, "{\"failed\":\"%s\"", r->kind == EVAL_KINDS ? item_word : eval_kind_word[r->kind]);
        put_line(r, out);
        put_text("item", r->id, out);
        if (r->kind != EVAL_KINDS) text_printf(out, ",\"seed\":%lld", r->seed);
        put_text("why", r->why, out);
    }
    text_add(out, "}");
    return rc < 0 ? rc : text_check(out);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static int need_text(const json_at *line, const char *key, const char **out) {
    json_at at;
    int rc = json_need_field(line, key, &at);
    return rc < 0 ? rc : json_need_string(&at, out);
}

static int need_whole(const json_at *line, const char *key, long long least, long long most, long long *out) {
    json_at at;
    int rc = json_need_field(line, key, &at);
    return rc < 0 ? rc : json_need_integer(&at, least, most, out);
}

static int need_side(const json_at *line, const char *key, int *out) {
    long long n = 0;
    int rc = need_whole(line, key, 1, SIDE_MOST, &n);
    *out = (int)n;
    return rc;
}

static int need_faces(const json_at *line, bool without, eval_record *out) {
    json_at at;
    if (without) return 0;
    int rc = json_need_field(line, "faces", &at);
    return rc < 0 ? rc : faces_json_at(&at, &out->faces, NULL);
}

static int need_kind(const json_at *at, bool item, eval_kind *out) {
    const char *word;
    int rc = json_need_string(at, &word);
    if (rc < 0) return rc;
    for (int i = 0; i < EVAL_KINDS; i++)
        if (strcmp(word, eval_kind_word[i]) == 0) return *out = (eval_kind)i, 0;
    if (item && strcmp(word, item_word) == 0) return *out = EVAL_KINDS, 0;
    return json_error(at, ERR_FORMAT, "\"%.40s\" is no kind of picture", word);
}

static int read_item(const json_at *line, eval_record *r) {
    const char *from = "";
    int rc = need_text(line, "from", &from);
    if (rc == 0) rc = need_text(line, "prompt", &r->prompt);
    if (rc == 0) rc = need_side(line, "width", &r->width);
    if (rc == 0) rc = need_side(line, "height", &r->height);
    if (rc == 0) rc = need_text(line, "map", &r->map);
    if (rc == 0 && strlen(r->map) > 10) rc = json_error(line, ERR_FORMAT, "its map's hash is none");
    r->from_photo = strcmp(from, photo_word) == 0;
    return rc;
}

static int read_failed(const json_at *line, eval_record *r) {
    int rc = need_text(line, "item", &r->id);
    if (rc == 0 && r->kind != EVAL_KINDS) rc = need_whole(line, "seed", 0, INT64_MAX, &r->seed);
    if (rc == 0) rc = need_text(line, "why", &r->why);
    return rc == 0 && strlen(r->why) > WHY_MOST ? json_error(line, ERR_FORMAT, "its reason is too long") : rc;
}

static int read_known(const json_at *line, const json_at *first, bool without_faces, eval_record *r) {
    long long number = 1;
    int rc = need_whole(line, "line", 1, most_line, &number);
    r->line = (uint64_t)number - 1;
    if (rc == 0 && r->what == EVAL_LINE_ITEM) rc = json_need_string(first, &r->id);
    if (rc == 0 && r->what != EVAL_LINE_ITEM) rc = need_kind(first, r->what == EVAL_LINE_FAILED, &r->kind);
    if (rc == 0 && r->what == EVAL_LINE_ITEM) rc = read_item(line, r);
    if (rc == 0 && r->what == EVAL_LINE_PICTURE) rc = need_whole(line, "seed", 0, INT64_MAX, &r->seed);
    if (rc == 0 && r->what == EVAL_LINE_FAILED) rc = read_failed(line, r);
    return rc == 0 && r->what != EVAL_LINE_FAILED ? need_faces(line, without_faces, r) : rc;
}

int eval_record_read(const json_at *line, bool without_faces, eval_record *out) {
    json_at at;
    eval_record r = { .what = EVAL_LINE_OTHER };
    int rc = json_need_object(line);
    if (rc < 0) return rc;
    /* "item" stands in a failure, too. */
    if (json_field(line, "failed", &at)) r.what = EVAL_LINE_FAILED;
    else if (json_field(line, "picture", &at)) r.what = EVAL_LINE_PICTURE;
    else if (json_field(line, "item", &at)) r.what = EVAL_LINE_ITEM;
    if (r.what != EVAL_LINE_OTHER) rc = read_known(line, &at, without_faces, &r);
    if (rc < 0) {
        free(r.faces.face);
        return rc;
    }
    *out = r;
    return 0;
}
