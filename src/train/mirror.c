/* SPDX-License-Identifier: Apache-2.0 */
#include "train/mirror.h"

#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"

/* Part of a word, as all bytes of letters beyond ASCII are. */
static bool in_word(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 0x80 || u == '_' || (u >= '0' && u <= '9') || ((u | 32) >= 'a' && (u | 32) <= 'z');
}

static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

/* What stands in place of a word; NULL: it stays. */
static const char *other(const char *word, size_t n) {
    static const char *const left[] = { "left", "Left", "LEFT" }, *const right[] = { "right", "Right", "RIGHT" };
    int how = n < 2 || !is_upper(word[0]) ? 0 : is_upper(word[1]) ? 2 : 1;
    if (n == 4 && strncasecmp(word, "left", n) == 0) return right[how];
    return n == 5 && strncasecmp(word, "right", n) == 0 ? left[how] : NULL;
}

char *mirror_words(const char *caption) {
    text out = { 0 };
    text_add(&out, "");
    for (const char *at = caption; *at;) {
        size_t n = 0;
        while (in_word(at[n])) n++;
        const char *instead = n ? other(at, n) : NULL;
        if (instead) text_add(&out, instead);
        else text_printf(&out, "%.*s", (int)(n ? n : 1), at);
        at += n ? n : 1;
    }
    if (text_check(&out) == 0) return out.data;
    text_free(&out);
    return NULL;
}
