/* SPDX-License-Identifier: Apache-2.0
 *
 * vocab.json and merges.txt, with a NUL between, and a merges.txt alone; what is accepted encodes a text. */
#include <string.h>

#include "model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    const char *vocabulary = (const char *)data, *merges = memchr(data, 0, size);
    size_t first = merges ? (size_t)(merges - vocabulary) : size;
    tokenizer *t;
    if (tokenizer_read(vocabulary, first, merges ? merges + 1 : "", merges ? size - first - 1 : 0, &t) == 0) {
        tokens all;
        if (tokenizer_encode(t, "abcabc aab<|endoftext|>c! \xc3\xa9", tokenizer_end(t), &all) == 0) tokens_free(&all);
        tokenizer_close(t);
    }
    if (tokenizer_read(NULL, 0, vocabulary, size, &t) == 0) tokenizer_close(t);
    if (tokenizer_read_merges(vocabulary, size, &t) == 0) {
        tokens all;
        if (tokenizer_encode(t, "abcabc aab<|endoftext|>c! \xc3\xa9", tokenizer_end(t), &all) == 0) tokens_free(&all);
        tokenizer_close(t);
    }
    return 0;
}
