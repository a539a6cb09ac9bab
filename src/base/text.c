/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

char *text_room(text *t, size_t n) {
    size_t need;
    if (t->failed || __builtin_add_overflow(t->size, n, &need) || need > SIZE_MAX / 4) return t->failed = true, NULL;
    if (need + 1 > t->room) {
        size_t room = t->room ? t->room : 256;
        while (room < need + 1) room *= 2;
        char *data = realloc(t->data, room);
        if (!data) return t->failed = true, NULL;
        t->data = data;
        t->room = room;
    }
    return t->data + t->size;
}

void text_grown(text *t, size_t n) {
    t->size += n;
    t->data[t->size] = 0;
}

static void add_bytes(text *t, const char *s, size_t n) {
    char *to = text_room(t, n);
    if (!to) return;
    memcpy(to, s, n);
    text_grown(t, n);
}

void text_add(text *t, const char *s) { add_bytes(t, s, strlen(s)); }

void text_printf(text *t, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = n < 0 ? NULL : text_room(t, (size_t)n);
    if (to) {
        vsnprintf(to, (size_t)n + 1, format, again);
        text_grown(t, (size_t)n);
    } else {
        t->failed = true;
    }
    va_end(again);
}

/* The marks that turn the direction of text around, so that what is read is not what is there: U+061C, U+200E, U+200F,
 * U+202A to U+202E, U+2066 to U+2069. */
static bool turns_text(const unsigned char *s) {
    if (s[0] == 0xd8) return s[1] == 0x9c;
    if (s[0] != 0xe2) return false;
    return s[1] == 0x80 ? s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xaa && s[2] <= 0xae) : s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9;
}

/* Length of the valid UTF-8 sequence at s, 0 if there is none (overlong forms, surrogates, C1 controls and marks of
 * direction count as none: terminals act on the latter). */
static int utf8_length(const unsigned char *s) {
    int n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) return 0;
    if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))) return 0;
    if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))) return 0;
    return n > 1 && turns_text(s) ? 0 : n;
}

char *text_escape(char *out, size_t size, const char *text) {
    size_t at = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int n = utf8_length(s);
        int plain = n > 1 || (n == 1 && *s >= 0x20 && *s != 0x7f);
        size_t need = plain ? (size_t)n : 4;
        if (at + need + 1 > size) break;
        if (plain) memcpy(out + at, s, need);
        else snprintf(out + at, size - at, "\\x%02x", *s);
        at += need;
        s += plain ? n : 1;
    }
    if (size) out[at] = 0;
    return out;
}

void text_json_string(text *t, const char *s) {
    size_t room;
    char *safe = __builtin_mul_overflow(strlen(s), 4u, &room) ? NULL : malloc(room + 1);
    if (!safe) {
        t->failed = true;
        return;
    }
    text_escape(safe, room + 1, s);   /* no control characters are left, and only valid UTF-8 */
    text_add(t, "\"");
    for (const char *at = safe; *at;) {
        size_t plain = strcspn(at, "\"\\");
        add_bytes(t, at, plain);
        at += plain;
        if (*at) add_bytes(t, (char[]){ '\\', *at++ }, 2);
    }
    text_add(t, "\"");
    free(safe);
}

int text_check(const text *t) { return t->failed ? error_memory(t->room ? 2ull * t->room : 256) : 0; }

void text_free(text *t) {
    free(t->data);
    *t = (text){0};
}
