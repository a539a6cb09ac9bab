/* SPDX-License-Identifier: Apache-2.0
 *
 * robots.txt, RFC 9309. Paths and patterns are compared as the RFC says: %XX of an unreserved character is that character,
 * any other %XX and every byte that is not ASCII stays encoded. */
#define _GNU_SOURCE   /* memmem */
#include <string.h>
#include <strings.h>

#include "base/http_inside.h"

typedef struct { const char *data; size_t size; } piece;

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_space(char c) { return c == ' ' || c == '\t'; }

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool unreserved(int c) { return is_letter((char)c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~'; }

/* One form for what means the same. In a pattern, * and $ are left as they are: there they are no characters. */
static size_t normalise(char *out, piece in, bool pattern) {
    static const char hex[] = "0123456789ABCDEF";
    char *to = out;
    for (size_t i = 0; i < in.size; i++) {
        unsigned char c = (unsigned char)in.data[i];
        int high = c == '%' && i + 2 < in.size ? hex_digit(in.data[i + 1]) : -1, low = high < 0 ? -1 : hex_digit(in.data[i + 2]);
        bool encoded = low >= 0;
        if (encoded) {
            c = (unsigned char)(high * 16 + low);
            i += 2;
        }
        bool plain = encoded ? unreserved(c) : c > 0x20 && c < 0x7f && (pattern || (c != '*' && c != '$'));
        if (plain) *to++ = (char)c;
        else *to++ = '%', *to++ = hex[c >> 4], *to++ = hex[c & 15];
    }
    return (size_t)(to - out);
}

/* Whether a pattern matches the beginning of a path (all of it, if it ends with $). Each part between two stars is looked
 * for where the one before it ended, so that a hostile pattern costs no more than its length and the path's. */
static bool matches(piece pattern, piece path) {
    bool whole = pattern.size && pattern.data[pattern.size - 1] == '$';
    if (whole) pattern.size--;
    const char *at = path.data, *end = path.data + path.size;
    for (bool first = true;; first = false) {
        const char *star = memchr(pattern.data, '*', pattern.size);
        size_t size = star ? (size_t)(star - pattern.data) : pattern.size;
        if (!star && whole && !first) return (size_t)(end - at) >= size && memcmp(end - size, pattern.data, size) == 0;
        const char *found = first ? (size_t)(end - at) >= size && memcmp(at, pattern.data, size) == 0 ? at : NULL
                                  : memmem(at, (size_t)(end - at), pattern.data, size);
        if (!found) return false;
        at = found + size;
        if (!star) return !whole || at == end;
        pattern.size -= size + 1;
        pattern.data = star + 1;
    }
}

static piece trim(piece p) {
    while (p.size && is_space(p.data[0])) p.data++, p.size--;
    while (p.size && is_space(p.data[p.size - 1])) p.size--;
    return p;
}

static bool is_word(piece p, const char *word) { return strlen(word) == p.size && strncasecmp(p.data, word, p.size) == 0; }

/* The next "key: value" of the text, without its comment; false at its end. Lines without a colon are passed over. */
static bool next_record(piece *rest, piece *key, piece *value) {
    while (rest->size) {
        const char *begin = rest->data;
        size_t n = 0;
        while (n < rest->size && begin[n] != '\n' && begin[n] != '\r') n++;
        size_t over = n + (n < rest->size);
        rest->data += over;
        rest->size -= over;
        const char *comment = memchr(begin, '#', n);
        if (comment) n = (size_t)(comment - begin);
        const char *colon = memchr(begin, ':', n);
        if (!colon) continue;
        *key = trim((piece){ begin, (size_t)(colon - begin) });
        *value = trim((piece){ colon + 1, n - (size_t)(colon - begin) - 1 });
        return true;
    }
    return false;
}

/* A group's agent: its letters, _ and - count, so that "mien/1.0" is mien. */
static bool names_agent(piece value, const char *agent) {
    size_t n = 0;
    while (n < value.size && (is_letter(value.data[n]) || value.data[n] == '_' || value.data[n] == '-')) n++;
    return n > 0 && is_word((piece){ value.data, n }, agent);
}

typedef struct { size_t length; bool allow, any; } verdict;   /* of the longest rule so far that matches */

enum { RULE_MOST = 2048 };   /* bytes of a pattern; what is longer is a fault or an attack, and no rule */

static void weigh(verdict *v, bool allow, piece value, piece path) {
    char room[3 * RULE_MOST];
    if (value.size == 0 || value.size > RULE_MOST) return;
    piece pattern = { room, normalise(room, value, true) };
    if (v->any && (pattern.size < v->length || (pattern.size == v->length && (v->allow || !allow)))) return;
    if (matches(pattern, path)) *v = (verdict){ pattern.size, allow, true };
}

bool http_robots_allow(const char *text, size_t size, const char *agent, const char *path) {
    char room[3 * (HTTP_URL_MOST + 1)], whole[HTTP_URL_MOST + 1];
    size_t length = strcspn(path, "#"), slash = *path != '/';
    if (length + slash > sizeof whole) return false;
    whole[0] = '/';
    memcpy(whole + slash, path, length);
    piece target = { room, normalise(room, (piece){ whole, length + slash }, false) };

    piece rest = { text, size }, key, value;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) rest.data += 3, rest.size -= 3;
    verdict own = { 0 }, all = { 0 };
    bool named = false;                                /* a group of ours was there: then those for all do not count */
    bool in_own = false, in_all = false, rules = true; /* rules: the group has some, so that another agent begins another */
    while (next_record(&rest, &key, &value)) {
        if (is_word(key, "user-agent")) {
            if (rules) in_own = in_all = rules = false;
            if (names_agent(value, agent)) in_own = named = true;
            if (value.size && value.data[0] == '*' && (value.size == 1 || is_space(value.data[1]))) in_all = true;
        } else if (is_word(key, "allow") || is_word(key, "disallow")) {
            bool allow = key.size == 5;
            rules = true;
            if (in_own) weigh(&own, allow, value, target);
            if (in_all && !named) weigh(&all, allow, value, target);
        }
    }
    const verdict *v = named ? &own : &all;
    return !v->any || v->allow;
}
