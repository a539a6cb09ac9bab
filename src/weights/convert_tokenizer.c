/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/convert_tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "weights/merges.h"

static bool printable(int byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad); }

static void add_name(text *t, const char *name, int id) {
    text_add(t, id ? ", " : "{");
    text_json_exact(t, name);
    text_printf(t, ": %d", id);
}

/* GPT-2's spelling of a byte (Radford et al. 2019): Latin-1's printable characters as they are, the others from U+0100 on. All two
 * bytes of UTF-8 at most. */
static void spell(int letter, char out[VOCABULARY_BYTE], const char *end) {
    if (letter < 0x80) snprintf(out, VOCABULARY_BYTE, "%c%s", letter, end);
    else snprintf(out, VOCABULARY_BYTE, "%c%c%s", 0xc0 | letter >> 6, 0x80 | (letter & 0x3f), end);
}

void vocabulary_byte(int i, char out[VOCABULARY_BYTE]) {
    int letters[256], n = 0;
    for (int byte = 0; byte < 256; byte++)
        if (printable(byte)) letters[n++] = byte;
    for (int other = 0; n < 256; other++) letters[n++] = 0x100 + other;
    spell(letters[i % 256], out, i < 256 ? "" : "</w>");
}

int vocabulary_files(const char *data, size_t size, size_t count, text *vocabulary, text *merges) {
    merges_reader r = { data, data + size, 0 };
    merge_line m;
    text name = { 0 };
    int rc = 1;
    for (int i = 0; i < MERGES_BEFORE; i++) {
        char letter[VOCABULARY_BYTE];
        vocabulary_byte(i, letter);
        add_name(vocabulary, letter, i);
    }
    text_add(merges, "#version: 0.2\n");
    for (size_t i = 0; i < count && (rc = merges_next(&r, &m)) > 0; i++) {
        text_printf(merges, "%.*s %.*s\n", (int)m.a_size, m.a, (int)m.b_size, m.b);
        name.size = 0;
        text_printf(&name, "%.*s%.*s", (int)m.a_size, m.a, (int)m.b_size, m.b);
        if ((rc = text_check(&name)) < 0) break;
        add_name(vocabulary, name.data, (int)(MERGES_BEFORE + i));
        rc = 1;
    }
    text_free(&name);
    if (rc == 0) rc = error_set(ERR_FORMAT, "the list of merges ends after line %zu, %zu merges are needed", r.line, count);
    if (rc < 0) return rc;
    add_name(vocabulary, "<|startoftext|>", (int)(MERGES_BEFORE + count));
    add_name(vocabulary, "<|endoftext|>", (int)(MERGES_BEFORE + 1 + count));
    text_add(vocabulary, "}\n");
    rc = text_check(vocabulary);
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
