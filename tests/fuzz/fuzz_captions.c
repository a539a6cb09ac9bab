/* SPDX-License-Identifier: Apache-2.0
 *
 * Captions, and the vocabulary that is learnt from them: it opens, and encodes the captions within its ids. */
#include <stdlib.h>
#include <string.h>

#include "base/stream.h"
#include "model/tokenizer.h"
#include "model/tokenizer_learn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    stream *s;
    tokenizer_words *w;
    text merges = { 0 };
    tokenizer *t;
    tokens all;
    if (stream_open_memory("captions", data, size, &s) < 0) return 0;
    if (tokenizer_words_new(&w) == 0) {
        if (tokenizer_words_read(w, s) == 0 && tokenizer_learn(w, 600, &(tokenizer_watch){ 0 }, &merges) == 0) {
            if (tokenizer_read_merges(merges.data, merges.size, &t) < 0) abort();
            if (tokenizer_most(t) >= 600 || tokenizer_most(t) != tokenizer_end(t)) abort();
            char *copy = strndup((const char *)data, size);
            if (copy && tokenizer_encode(t, copy, tokenizer_end(t), &all) == 0) tokens_free(&all);
            free(copy);
            tokenizer_close(t);
        }
        tokenizer_words_free(w);
    }
    text_free(&merges);
    stream_close(s);
    return 0;
}
