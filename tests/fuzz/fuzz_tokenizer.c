/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile text, with a small vocabulary that merges much: tokens come in the order of the text, and a prompt is their beginning. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer_inside.h"

static tokenizer *make(void) {
    static const char merges[] = "e r\nt h\nth e</w>\ne r</w>\nt t\ntt tt\na a\naa a\naa a</w>\n\xc3\x8c \xc4\xa3\n! !\n!! !</w>\n";
    char json[32768], name[16];
    size_t n = 0;
    int id = 2;
    n += (size_t)snprintf(json + n, sizeof json - n, "{\"<|startoftext|>\":0,\"<|endoftext|>\":1");
    for (int last = 0; last < 2; last++)
        for (int b = 0, other = 0; b < 256; b++) {      /* bytes as letters, as tokenizer_read.c spells them */
            int plain = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);
            int length = unicode_utf8(plain ? (uint32_t)b : 0x100u + (uint32_t)other++, name);
            name[length] = 0;
            n += (size_t)snprintf(json + n, sizeof json - n, ",\"%s%s%s\":%d", b == '"' || b == '\\' ? "\\" : "", name, last ? "</w>" : "", id++);
        }
    for (const char *s = merges, *end; *s; s = end + 1) {
        end = strchr(s, '\n');
        const char *space = strchr(s, ' ');
        n += (size_t)snprintf(json + n, sizeof json - n, ",\"%.*s%.*s\":%d", (int)(space - s), s, (int)(end - space - 1), space + 1, id++);
    }
    n += (size_t)snprintf(json + n, sizeof json - n, "}");
    tokenizer *t;
    if (tokenizer_read(json, n, merges, strlen(merges), &t) < 0) abort();
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static tokenizer *t;
    if (!t) t = make();
    if (size < 1) return 0;
    char *text = malloc(size);
    if (!text) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    int32_t pad = data[0] & 1 ? 2 : t->end;             /* 2: the first byte's, "\0"; no text has it */
    if (data[0] & 2) pad = t->byte['!'];
    tokens all;
    int32_t ids[TOKENS];
    size_t cut;
    if (tokenizer_encode(t, text, pad, &all) < 0 || tokenizer_prompt(t, text, pad, ids, &cut) < 0) abort();
    for (size_t i = 0; i < all.count; i++) {
        if (all.from[i] >= strlen(text) || (i && all.from[i] < all.from[i - 1]) || all.ids[i] < 0) abort();
        if (i < TOKENS - 2 && all.ids[i] != ids[i + 1]) abort();
    }
    if (cut != (all.count > TOKENS - 2 ? all.from[TOKENS - 2] : strlen(text))) abort();
    tokens_free(&all);
    free(text);
    return 0;
}
