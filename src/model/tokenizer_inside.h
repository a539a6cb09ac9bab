/* SPDX-License-Identifier: Apache-2.0
 *
 * A vocabulary as the merging of bytes needs it, and how a text is cut into words. */
#ifndef MODEL_TOKENIZER_INSIDE_H
#define MODEL_TOKENIZER_INSIDE_H

#include "model/tokenizer.h"
#include "model/unicode.h"

/* Two neighbouring tokens become one; the lowest rank first. */
typedef struct { uint64_t pair; int32_t rank, id; } merge;   /* pair: first << 32 | second; MERGE_NONE: an empty place */
#define MERGE_NONE UINT64_MAX

struct tokenizer {
    unicode *letters;
    merge *merges;                       /* open addressing: 2^bits places, at most three quarters of them full */
    int bits;
    int32_t byte[256], last_byte[256];   /* tokens of single bytes; within a word, and as its last */
    int32_t start, end;
};

static inline size_t merge_place(const tokenizer *t, uint64_t pair) {
    return (size_t)(pair * 0x9e3779b97f4a7c15u >> (64 - t->bits));
}

/* NULL: these two are not merged. */
static inline const merge *merge_find(const tokenizer *t, int32_t a, int32_t b) {
    uint64_t pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    for (size_t i = merge_place(t, pair);; i = (i + 1) & (((size_t)1 << t->bits) - 1)) {
        if (t->merges[i].pair == pair) return &t->merges[i];
        if (t->merges[i].pair == MERGE_NONE) return NULL;
    }
}

/* Each word of a text that was normalized, in order: as the library's expression takes them. */
typedef void split_word(void *context, const unicode_char *c, size_t n);
void tokenizer_split(const unicode *letters, const unicode_char *c, size_t n, split_word *word, void *context);

/* GPT-2's spelling (Radford et al. 2019): printable characters of Latin-1 stand for themselves, the other bytes for U+0100 and on. Ids follow
 * from that order: the printable ones first. How many bytes the letter takes. */
bool token_printable(int byte);
int  token_letter(int byte, char out[4]);

#endif
