/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/convert_tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum { LONGEST = 512 };

static bool printable(int byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad); }

static void add_name(text *t, const char *name, int id) {
    text_add(t, id ? ", " : "{");
    text_json_exact(t, name);
    text_printf(t, ": %d", id);
}

/* GPT-2's spelling of a byte (Radford et al. 2019): Latin-1's printable characters as they are, the others from U+0100 on. All two
 * bytes of UTF-8 at most. */
static void spell(int letter, char out[8], const char *end) {
    if (letter < 0x80) snprintf(out, 8, "%c%s", letter, end);
    else snprintf(out, 8, "%c%c%s", 0xc0 | letter >> 6, 0x80 | (letter & 0x3f), end);
}

static void add_bytes(text *t) {
    int letters[256], n = 0;
    for (int byte = 0; byte < 256; byte++)
        if (printable(byte)) letters[n++] = byte;
    for (int other = 0; n < 256; other++) letters[n++] = 0x100 + other;
    for (int i = 0; i < 512; i++) {
        char name[8];
        spell(letters[i % 256], name, i < 256 ? "" : "</w>");
        add_name(t, name, i);
    }
}

static int add_merge(text *vocabulary, text *merges, const char *line, size_t n, int i) {
    char pair[LONGEST], name[LONGEST];
    if (n >= sizeof pair) return -1;
    memcpy(pair, line, n);
    pair[n] = 0;
    char *space = strchr(pair, ' ');
    if (strlen(pair) != n || !space || space == pair || !space[1] || strchr(space + 1, ' ')) return -1;
    text_printf(merges, "%s\n", pair);
    snprintf(name, sizeof name, "%.*s%s", (int)(space - pair), pair, space + 1);
    add_name(vocabulary, name, 512 + i);
    return 0;
}

int vocabulary_files(const char *data, size_t size, size_t count, text *vocabulary, text *merges) {
    const char *at = data, *end = data + size, *next;
    add_bytes(vocabulary);
    text_add(merges, "#version: 0.2\n");
    for (int line = 0; line <= (int)count; line++, at = next + 1) {
        next = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (!next) return error_set(ERR_FORMAT, "the list of merges ends after %d lines, %d are needed", line, (int)count + 1);
        size_t n = (size_t)(next - at);
        if (n && at[n - 1] == '\r') n--;
        if (line && add_merge(vocabulary, merges, at, n, line - 1) < 0) return error_set(ERR_FORMAT, "the list of merges, line %d: two pieces were expected", line + 1);
    }
    add_name(vocabulary, "<|startoftext|>", 512 + (int)count);
    add_name(vocabulary, "<|endoftext|>", 513 + (int)count);
    text_add(vocabulary, "}\n");
    int rc = text_check(vocabulary);
    return rc < 0 ? rc : text_check(merges);
}

static void special(text *t, const char *pad) {
    text_printf(t, "  \"bos_token\": \"<|startoftext|>\",\n  \"eos_token\": \"<|endoftext|>\",\n  \"pad_token\": \"%s\",\n  \"unk_token\": \"<|endoftext|>\"", pad);
}

int tokenizer_configs(const char *pad, text *config, text *map) {
    text_add(config, "{\n  \"add_prefix_space\": false,\n  \"do_lower_case\": true,\n  \"errors\": \"replace\",\n  \"model_max_length\": 77,\n"
                     "  \"tokenizer_class\": \"CLIPTokenizer\",\n");
    special(config, pad);
    text_add(config, "\n}\n");
    text_add(map, "{\n");
    special(map, pad);
    text_add(map, "\n}\n");
    int rc = text_check(config);
    return rc < 0 ? rc : text_check(map);
}
