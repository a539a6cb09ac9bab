/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE   /* the strerror_r that returns the text */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static _Thread_local char message[1024];
static _Thread_local int message_code;

int error_set(int code, const char *format, ...) {
    char raw[sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    text_escape(message, sizeof message, raw);
    return message_code = code;
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

int error_prefix(const char *format, ...) {
    char what[sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(message_code, "%s: %s", what, message);
}

const char *error_without_path(const char *said, const char *path) {
    char shown[sizeof message];
    size_t n = strlen(text_escape(shown, sizeof shown, path));
    return strncmp(said, shown, n) == 0 && strncmp(said + n, ": ", 2) == 0 ? said + n + 2 : said;
}

const char *error_message(void) { return message; }
int error_code(void) { return message_code; }
