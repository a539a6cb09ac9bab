/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE   /* the strerror_r that returns the text */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

/* Length of the valid UTF-8 sequence at s, 0 if there is none (overlong forms, surrogates and C1 controls count as none:
 * terminals act on the latter). */
static int utf8_length(const unsigned char *s) {
    int n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) return 0;
    if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))) return 0;
    if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))) return 0;
    return n;
}

char *text_escape(char *out, unsigned long size, const char *text) {
    unsigned long at = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int n = utf8_length(s);
        int plain = n > 1 || (n == 1 && *s >= 0x20 && *s != 0x7f);
        unsigned long need = plain ? (unsigned long)n : 4;
        if (at + need + 1 > size) break;
        if (plain) memcpy(out + at, s, need);
        else snprintf(out + at, size - at, "\\x%02x", *s);
        at += need;
        s += plain ? n : 1;
    }
    if (size) out[at] = 0;
    return out;
}

int error_set(int code, const char *format, ...) {
    char raw[sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    text_escape(message, sizeof message, raw);
    return code;
}

int error_errno(const char *format, ...) {
    int saved = errno;
    char what[sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    char reason[128];
    const char *text = strerror_r(saved, reason, sizeof reason); /* the GNU form: may not use the buffer */
    bool full = saved == ENOSPC || saved == EDQUOT || saved == EROFS;
    return error_set(full ? ERR_FULL : ERR_IO, "%s: %s", what, text);
}

int error_memory(unsigned long long bytes) { return error_set(ERR_MEMORY, "out of memory: %llu bytes could not be had", bytes); }

const char *error_message(void) { return message; }
