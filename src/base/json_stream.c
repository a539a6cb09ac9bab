/* SPDX-License-Identifier: Apache-2.0
 *
 * yajl says where each value of the outer object begins and ends, piece of the file by piece; its bytes are then parsed as
 * any other document (base/json.c), so the same rules hold. */
#include "base/json_stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/error.h"

enum { PIECE = 1 << 16 };

/* What of NaN, Infinity or -Infinity was seen outside of strings. */
typedef struct { bool string, escaped; char seen[12]; size_t seen_size; } nan_filter;

/* An entry that is whole: its key in `keys`, its value in `bytes`. */
typedef struct { size_t key, from, to; } entry;

struct json_stream {
    yajl_handle parser;
    json_stream_read *read;
    void *context;
    size_t entry_bytes;
    nan_filter filter;
    char piece[PIECE];             /* as read */
    text bytes;                    /* what is not done with, up to the end of the piece */
    size_t fed;                    /* of these, what yajl had before this piece */
    uint64_t before;               /* of the file, before this piece */
    bool ended;                    /* there are no more bytes */
    size_t since;                  /* bytes since the last entry's end, or the beginning */
    int broken;                    /* the source gave this failure, */
    char broke[512];               /* for this reason */

    int depth;
    bool has_key;                  /* an entry has begun: */
    text key;
    size_t key_end;                /* in `bytes` */

    entry *queue;
    size_t queued, at, room;
    text keys;
    entry last;                    /* the one that was given */
    int over;                      /* 1: the end was reached; below 0: this failure, */
    char why[512];                 /* for this reason */
    char name[];
};

/* ---- NaN ----------------------------------------------------------------------------------------------------------- */

static bool begins_word(const char *s, size_t n) {
    static const char *const words[] = { "NaN", "Infinity", "-Infinity" };
    for (size_t i = 0; i < 3; i++)
        if (n <= strlen(words[i]) && memcmp(words[i], s, n) == 0) return true;
    return false;
}

static bool is_word(const char *s, size_t n) { return n == 3 ? s[0] == 'N' : s[0] == 'I' ? n == 8 : n == 9; }

static void put(text *out, const char *s, size_t n) {
    char *to = text_room(out, n);
    if (to) memcpy(to, s, n), text_grown(out, n);
}

/* How much of s[n] is as it should be: a string, or up to where a word may begin. */
static size_t plain_bytes(nan_filter *f, const char *s, size_t n) {
    size_t i = 0;
    for (;;) {
        if (f->string) {
            if (f->escaped && i < n) f->escaped = false, i++;
            while (i < n && s[i] != '"' && s[i] != '\\') i++;
            if (i == n) return n;
            f->escaped = s[i] == '\\';
            f->string = f->escaped;
            i++;
        } else {
            while (i < n && s[i] != '"' && s[i] != 'N' && s[i] != 'I' && s[i] != '-') i++;
            if (i == n || s[i] != '"') return i;
            f->string = true;
            i++;
        }
    }
}

static void filter_end(nan_filter *f, text *out) {
    put(out, f->seen, f->seen_size);
    f->seen_size = 0;
}

static void filter(nan_filter *f, const char *s, size_t n, text *out) {
    for (size_t i = 0; i < n;) {
        if (!f->seen_size) {
            size_t plain = plain_bytes(f, s + i, n - i);
            put(out, s + i, plain);
            i += plain;
            if (i < n) f->seen[f->seen_size++] = s[i++];
            continue;
        }
        f->seen[f->seen_size] = s[i];
        if (!begins_word(f->seen, f->seen_size + 1)) {
            filter_end(f, out);
        } else if (i++, is_word(f->seen, ++f->seen_size)) {
            put(out, "null", 4);
            f->seen_size = 0;
        }
    }
}

void json_without_nan(const char *data, size_t size, text *out) {
    nan_filter f = { 0 };
    filter(&f, data, size, out);
    filter_end(&f, out);
}

/* ---- what yajl sees -------------------------------------------------------------------------------------------------- */

/* Ends the stream, once all entries before have been given. */
static int fail(json_stream *s, int code, const char *what) {
    if (s->over < 0) return code;
    s->over = code;
    snprintf(s->why, sizeof s->why, "%s", what);
    return code;
}

static uint64_t here(const json_stream *s) { return s->before + (s->ended ? 0 : yajl_get_bytes_consumed(s->parser)); }

static int fault(json_stream *s, int code, const char *what) {
    error_set(code, "%s: byte %llu: %s", s->name, (unsigned long long)here(s), what);
    return fail(s, code, error_message());
}

static int too_large(json_stream *s) {
    error_set(ERR_LIMIT, "%s: byte %llu: an entry of more than %zu bytes%s%.100s", s->name, (unsigned long long)here(s), s->entry_bytes,
              s->has_key ? ": " : "", s->has_key ? s->key.data : "");
    return fail(s, ERR_LIMIT, error_message());
}

/* The callbacks answer 1: go on, or 0: the stream has failed. */
static int end_entry(json_stream *s) {
    size_t to = s->fed + yajl_get_bytes_consumed(s->parser), from = s->key_end;
    const char *bytes = s->bytes.data;
    while (from < to && (bytes[from] == ':' || bytes[from] == ' ' || bytes[from] == '\t' || bytes[from] == '\n' || bytes[from] == '\r')) from++;
    if (to - from > s->entry_bytes) return too_large(s), 0;
    if (s->queued == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        entry *queue = realloc(s->queue, room * sizeof *queue);
        if (!queue) return error_memory(room * sizeof *queue), fail(s, ERR_MEMORY, error_message()), 0;
        s->queue = queue;
        s->room = room;
    }
    s->queue[s->queued++] = (entry){ s->keys.size, from, to };
    put(&s->keys, s->key.data, s->key.size + 1);
    s->has_key = false;
    s->since = s->bytes.size - to;
    return 1;
}

static int begin(void *context) {
    json_stream *s = context;
    s->depth++;
    return 1;
}

static int begin_list(void *context) {
    json_stream *s = context;
    return s->depth++ == 0 ? fault(s, ERR_FORMAT, "an object {...} was expected"), 0 : 1;
}

static int end(void *context) {
    json_stream *s = context;
    return --s->depth == 1 ? end_entry(s) : 1;
}

static int scalar(json_stream *s) {
    return s->depth == 0 ? fault(s, ERR_FORMAT, "an object {...} was expected"), 0 : s->depth == 1 ? end_entry(s) : 1;
}

static int nothing(void *context) { return scalar(context); }
static int boolean(void *context, int value) { return (void)value, scalar(context); }
static int number(void *context, const char *value, size_t size) { return (void)value, (void)size, scalar(context); }
static int string(void *context, const unsigned char *value, size_t size) { return (void)value, (void)size, scalar(context); }

static int key(void *context, const unsigned char *value, size_t size) {
    json_stream *s = context;
    if (s->depth != 1) return 1;
    if (size && memchr(value, 0, size)) return fault(s, ERR_FORMAT, "a key with a NUL in it"), 0;
    s->key.size = 0;
    put(&s->key, (const char *)value, size);
    if (text_check(&s->key) < 0) return fail(s, ERR_MEMORY, error_message()), 0;
    s->has_key = true;
    s->key_end = s->fed + yajl_get_bytes_consumed(s->parser);
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = nothing, .yajl_boolean = boolean, .yajl_number = number, .yajl_string = string,
    .yajl_start_map = begin, .yajl_map_key = key, .yajl_end_map = end, .yajl_start_array = begin_list, .yajl_end_array = end,
};

/* ---- the stream ------------------------------------------------------------------------------------------------------ */

int json_stream_new(const char *name, size_t entry_bytes, json_stream_read *read, void *context, json_stream **out) {
    json_stream *s = calloc(1, sizeof *s + strlen(name) + 1);
    if (!s) return error_memory(sizeof *s);
    strcpy(s->name, name);
    s->entry_bytes = entry_bytes;
    s->read = read;
    s->context = context;
    s->parser = yajl_alloc(&callbacks, NULL, s);
    if (!s->parser) {
        free(s);
        return error_memory(1024);
    }
    *out = s;
    return 0;
}

void json_stream_free(json_stream *s) {
    if (!s) return;
    yajl_free(s->parser);
    text_free(&s->bytes);
    text_free(&s->key);
    text_free(&s->keys);
    free(s->queue);
    free(s);
}

static void check(json_stream *s, yajl_status status) {
    if (status == yajl_status_ok || s->over < 0) return;
    unsigned char *text = yajl_get_error(s->parser, 0, NULL, 0);
    char what[256];
    snprintf(what, sizeof what, "%s", text ? (const char *)text : "no JSON");
    what[strcspn(what, "\n")] = 0;
    fault(s, ERR_FORMAT, what);
    yajl_free_error(s->parser, text);
}

/* Forgets what was given: only the value that has begun stays. */
static void forget(json_stream *s) {
    size_t keep = s->has_key ? s->bytes.size - s->key_end : 0;
    if (keep) memmove(s->bytes.data, s->bytes.data + s->key_end, keep);
    s->bytes.size = s->fed = keep;
    s->key_end = 0;
    s->queued = s->at = s->keys.size = 0;
}

/* yajl (2.1, yajl_lex.c) looks at a string that a piece ends in again from its beginning: each piece is as long as what of the entry is there
 * already, so that this costs twice the time at most, and not its square. */
static size_t wanted(const json_stream *s) {
    size_t left = s->since < s->entry_bytes ? s->entry_bytes - s->since : 0, most = s->since < left ? s->since : left;
    return most < PIECE ? PIECE : most;
}

/* Appends what is read to `bytes`: how many the file had there. */
static uint64_t take_piece(json_stream *s) {
    uint64_t taken = 0;
    for (size_t most = wanted(s); s->bytes.size - s->fed < most;) {
        long n = s->read(s->context, s->piece, sizeof s->piece);
        if (n > 0) filter(&s->filter, s->piece, (size_t)n, &s->bytes), taken += (uint64_t)n;
        if (n == 0) filter_end(&s->filter, &s->bytes);
        if (n < 0) snprintf(s->broke, sizeof s->broke, "%s", error_message());
        s->broken = n < 0 ? (int)n : 0;
        s->ended = n == 0;
        if (n <= 0 || s->bytes.failed) break;
    }
    return taken;
}

static void feed(json_stream *s) {
    forget(s);
    uint64_t taken = take_piece(s);
    bool last = s->ended;
    s->ended = false;
    if (text_check(&s->bytes) < 0) fail(s, ERR_MEMORY, error_message());
    size_t fresh = s->bytes.size - s->fed;
    s->since += fresh;
    if (s->over == 0 && fresh) check(s, yajl_parse(s->parser, (const unsigned char *)s->bytes.data + s->fed, fresh));
    if (s->over == 0 && s->broken) fail(s, s->broken, s->broke);
    if (s->over == 0 && s->since > s->entry_bytes && s->since - s->entry_bytes > PIECE) too_large(s);   /* also what yajl keeps of a key */
    if (text_check(&s->keys) < 0) s->queued = 0, fail(s, ERR_MEMORY, error_message());
    s->before += taken;
    s->ended = last;
    if (s->over == 0 && last) check(s, yajl_complete_parse(s->parser));
    if (s->over == 0 && last) s->over = 1;
}

static void parse(json_stream *s, const char *key, json **value) {
    char name[512];
    const char *bytes = s->bytes.data + s->last.from;
    snprintf(name, sizeof name, "%.300s: %.200s", s->name, key);
    *value = NULL;
    if (*bytes != '{' && *bytes != '[') {
        error_set(ERR_FORMAT, "%s: an object {...} was expected", name);
        return;
    }
    size_t memory;   /* 64 bytes for each: nothing but brackets takes more, and is no entry */
    if (__builtin_mul_overflow(s->entry_bytes, 64u, &memory)) memory = SIZE_MAX;
    if (json_parse(name, (const uint8_t *)bytes, s->last.to - s->last.from, memory, value) < 0) *value = NULL;
}

int json_stream_next(json_stream *s, const char **key, json **value) {
    while (s->at == s->queued && s->over == 0) feed(s);
    if (s->at == s->queued) return s->over < 0 ? error_set(s->over, "%s", s->why) : 0;
    s->last = s->queue[s->at++];
    *key = s->keys.data + s->last.key;
    if (!value) return 1;
    parse(s, *key, value);
    return !*value && error_code() == ERR_MEMORY ? fail(s, ERR_MEMORY, error_message()) : 1;
}

void json_stream_bytes(const json_stream *s, const char **data, size_t *size) {
    assert(s->at);
    *data = s->bytes.data + s->last.from;
    *size = s->last.to - s->last.from;
}
