/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/names_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool name_skip(const char **s, const char *word) {
    size_t n = strlen(word);
    if (strncmp(*s, word, n) != 0) return false;
    *s += n;
    return true;
}

bool name_number(const char **s, int *n) {
    const char *p = *s;
    int value = 0, digits = 0;
    for (; p[digits] >= '0' && p[digits] <= '9' && digits < 4; digits++) value = value * 10 + (p[digits] - '0');
    if (digits < 1 || digits > 3 || (digits > 1 && *p == '0') || p[digits] != '.') return false;
    *n = value;
    *s = p + digits + 1;
    return true;
}

bool name_write(char out[NAME_MOST], const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, NAME_MOST, format, args);
    va_end(args);
    return n >= 0 && n < NAME_MOST;
}

bool name_exchange(const name_pair *pairs, size_t n, bool back, const char *tail, char out[NAME_MOST]) {
    for (size_t i = 0; i < n; i++) {
        const char *from = back ? pairs[i].b : pairs[i].a, *to = back ? pairs[i].a : pairs[i].b;
        size_t length = strlen(from);
        if (strncmp(tail, from, length) == 0 && (tail[length] == '.' || !tail[length])) return name_write(out, "%s%s", to, tail + length);
    }
    return false;
}
