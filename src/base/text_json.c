/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/text.h"

unsigned text_code_point(const char *string, int *bytes) {
    const unsigned char *s = (const unsigned char *)string;
    static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    int n = s[0] < 0x80 ? 1 : s[0] >= 0xc0 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : 0;
    unsigned c = n == 1 ? s[0] : n ? s[0] & (0x7fu >> n) : 0;
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) n = 0;
        else c = c << 6 | (s[i] & 0x3f);
    }
    *bytes = 1;
    if (!n || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0xfffd;
    *bytes = n;
    return c;
}

static void put_escaped(text *out, unsigned c) {
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (const char *s = letters; *s; s += 2)
        if ((unsigned char)*s == c) {
            text_printf(out, "\\%c", s[1]);
            return;
        }
    if (c >= 0x10000) text_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
    else text_printf(out, "\\u%04x", c);
}

void text_json_letters(text *out, const char *string) {
    for (const unsigned char *s = (const unsigned char *)string; *s;) {
        size_t plain = 0;
        while (s[plain] >= ' ' && s[plain] <= '~' && s[plain] != '"' && s[plain] != '\\') plain++;
        char *to = text_room(out, plain);
        if (!to) return;
        memcpy(to, s, plain);
        text_grown(out, plain);
        s += plain;
        if (!*s) break;
        int bytes;
        put_escaped(out, text_code_point((const char *)s, &bytes));
        s += bytes;
    }
}

void text_json_exact(text *out, const char *string) {
    text_add(out, "\"");
    text_json_letters(out, string);
    text_add(out, "\"");
}
