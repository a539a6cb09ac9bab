/* SPDX-License-Identifier: Apache-2.0 */
#include "data/build_record.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "data/list.h"

const char *const build_outcome_word[BUILD_OUTCOMES] = {
    "kept", "nsfw", "small", "large", "no_face", "small_faces", "excluded", "unreadable", "broken_sidecar", "duplicate_name", "unfit_name", "not_written", "gone",
};

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static void put_text(text *out, const char *key, const char *value) {
    if (!value) return;
    text_printf(out, ",\"%s\":", key);
    text_json_exact(out, value);
}

static void put_photo(const build_record *r, text *out) {
    if (r->size || r->mtime) text_printf(out, ",\"size\":%" PRIu64 ",\"mtime\":%" PRId64, r->size, r->mtime);
    put_text(out, "sha256", r->sha256);
    put_text(out, "settings", r->settings);
    if (r->width) text_printf(out, ",\"width\":%d,\"height\":%d", r->width, r->height);
    if (r->faces) text_printf(out, ",\"faces\":%d", r->faces);
}

void build_record_write(const build_record *r, text *out) {
    text_add(out, "{\"photo\":");
    text_json_exact(out, r->photo);
    text_printf(out, ",\"run\":%" PRIu64 ",\"outcome\":\"%s\"", r->run, build_outcome_word[r->outcome]);
    put_text(out, "why", r->why);
    put_text(out, "id", r->id);
    if (r->in_place) text_add(out, ",\"in_place\":true");
    put_photo(r, out);
    if (r->outcome == BUILD_KEPT) {
        put_text(out, "source", r->source);
        put_text(out, "target", r->target);
        put_text(out, "landmarks", r->landmarks);
        put_text(out, "map", r->map);
        text_add(out, ",\"prompt\":");
        if (r->prompt) text_json_exact(out, r->prompt);
        else text_add(out, "null");
    }
    put_text(out, "url", r->url);
    put_text(out, "nsfw", r->nsfw);
    if (r->unsafe >= 0) {
        char number[NUMBER_TEXT];
        number_shortest_f64(number, r->unsafe);
        text_printf(out, ",\"punsafe\":%s", number);
    }
    text_add(out, "}");
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static int read_text(const json_at *line, const char *key, const char **out) {
    json_at at;
    *out = NULL;
    return json_field(line, key, &at) && !json_is_nothing(&at) ? json_need_string(&at, out) : 0;
}

static int read_whole(const json_at *line, const char *key, long long least, long long *out) {
    json_at at;
    *out = 0;
    return json_field(line, key, &at) ? json_need_integer(&at, least, INT64_MAX, out) : 0;
}

static int read_int(const json_at *line, const char *key, int *out) {
    json_at at;
    long long n = 0;
    int rc = json_field(line, key, &at) ? json_need_integer(&at, 0, INT32_MAX, &n) : 0;
    *out = (int)n;
    return rc;
}

static int read_outcome(const json_at *line, build_outcome *out) {
    json_at at;
    const char *word;
    int rc = json_need_field(line, "outcome", &at);
    if (rc == 0) rc = json_need_string(&at, &word);
    for (int i = 0; rc == 0 && i < BUILD_OUTCOMES; i++)
        if (strcmp(word, build_outcome_word[i]) == 0) return *out = (build_outcome)i, 0;
    return rc < 0 ? rc : json_error(&at, ERR_FORMAT, "\"%.40s\" is no outcome", word);
}

/* The names become paths: they must be such as we write. */
static int check_name(const json_at *line, const char *key, const char *name) {
    return !name || (strlen(name) <= 255 && name[0] != '.' && !strchr(name, '/')) ? 0 : json_error(line, ERR_FORMAT, "\"%s\" does not name a file", key);
}

static int read_record(const json_at *line, build_record *r) {
    json_at at;
    long long size = 0, mtime = 0;
    int rc = read_outcome(line, &r->outcome);
    const struct { const char *key, **to; } texts[] = {
        { "photo", &r->photo }, { "why", &r->why }, { "id", &r->id }, { "sha256", &r->sha256 }, { "settings", &r->settings }, { "source", &r->source },
        { "target", &r->target }, { "landmarks", &r->landmarks }, { "map", &r->map }, { "prompt", &r->prompt }, { "url", &r->url }, { "nsfw", &r->nsfw },
    };
    for (size_t i = 0; rc == 0 && i < sizeof texts / sizeof *texts; i++) rc = read_text(line, texts[i].key, texts[i].to);
    if (rc == 0 && json_field(line, "in_place", &at)) rc = json_need_bool(&at, &r->in_place);
    if (rc == 0) rc = read_whole(line, "size", 0, &size);
    if (rc == 0) rc = read_whole(line, "mtime", INT64_MIN, &mtime);
    if (rc == 0) rc = read_int(line, "width", &r->width);
    if (rc == 0) rc = read_int(line, "height", &r->height);
    if (rc == 0) rc = read_int(line, "faces", &r->faces);
    if (rc == 0 && json_field(line, "punsafe", &at)) rc = json_need_number(&at, 0, 1e9, &r->unsafe);
    if (rc == 0 && r->id && !list_id_fits(r->id)) rc = json_error(line, ERR_FORMAT, "its id is none");
    if (rc == 0) rc = check_name(line, "source", r->source);
    if (rc == 0) rc = check_name(line, "target", r->target);
    if (rc == 0 && r->outcome == BUILD_KEPT && (!r->id || !r->sha256 || !r->settings || !r->source || !r->target || !r->landmarks))
        rc = json_error(line, ERR_FORMAT, "something of what was kept is missing");
    r->size = (uint64_t)size;
    r->mtime = mtime;
    return rc;
}

int build_line_read(const json_at *line, uint64_t *run, build_record *r, build_wrote *w) {
    json_at at;
    long long number = 0;
    *r = (build_record){ .unsafe = -1 };
    *w = (build_wrote){ 0 };
    int rc = json_need_object(line);
    if (rc == 0) rc = read_whole(line, "run", 0, &number);
    *run = r->run = (uint64_t)number;
    if (rc < 0) return rc;
    if (json_field(line, "photo", &at)) {
        const char *photo;
        rc = json_need_string(&at, &photo);
        if (rc == 0) rc = read_record(line, r);
        return rc < 0 ? rc : BUILD_LINE_RECORD;
    }
    if (!json_field(line, "wrote", &at)) return BUILD_LINE_OTHER;
    rc = json_need_string(&at, &w->name);
    if (rc == 0) rc = json_need_field(line, "sha256", &at);
    if (rc == 0) rc = json_need_string(&at, &w->sha256);
    return rc < 0 ? rc : BUILD_LINE_WROTE;
}

/* ---- paths --------------------------------------------------------------------------------------------------------- */

void build_path_escape(const char *path, text *out) {
    while (*path) {
        int n;
        unsigned c = text_code_point(path, &n);
        bool plain = c >= ' ' && c != '%' && c != 0x7f && !(c >= 0x80 && c < 0xa0) && (n > 1 || c < 0x80);
        if (plain) text_printf(out, "%.*s", n, path);
        else
            for (int i = 0; i < n; i++) text_printf(out, "%%%02X", (unsigned char)path[i]);
        path += n;
    }
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

bool build_path_unescape(const char *s, char *out, size_t room) {
    for (; *s && room > 1; room--) {
        if (*s != '%') {
            *out++ = *s++;
            continue;
        }
        int high = digit(s[1]), low = high < 0 ? -1 : digit(s[2]);
        if (low < 0 || high + low == 0) return false;
        *out++ = (char)(high * 16 + low);
        s += 3;
    }
    *out = 0;
    return !*s;
}
