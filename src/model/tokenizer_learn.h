/* SPDX-License-Identifier: Apache-2.0
 *
 * A vocabulary of one's own: byte pairs learnt from captions (Sennrich et al. 2016), in CLIP's file format and for its way of cutting a
 * text into words. The merges are all of it: ids follow from their order (tokenizer_read_merges). */
#ifndef MODEL_TOKENIZER_LEARN_H
#define MODEL_TOKENIZER_LEARN_H

#include <stddef.h>

#include "base/stream.h"
#include "base/text.h"

/* 256 bytes, the same as a word's last, and the two special tokens are there before anything is learnt. */
enum { VOCABULARY_LEAST = 514, VOCABULARY_MOST = 49408 };

/* Words with how often they were seen. */
typedef struct tokenizer_words tokenizer_words;

int  tokenizer_words_new(tokenizer_words **out);
void tokenizer_words_free(tokenizer_words *w);         /* NULL is fine */
/* size bytes, terminated, or with what is no middle of a character behind them. */
int  tokenizer_words_add(tokenizer_words *w, const char *utf8, size_t size);
/* A prompt.jsonl, or a caption a line, of hostile bytes. */
int  tokenizer_words_read(tokenizer_words *w, stream *s);

/* Who may end the learning between two merges (ERR_CANCELLED), and hears of it after some seconds. Zeroed: nobody. */
typedef struct {
    const volatile int *stop;                                        /* base/stop.h; NULL is fine */
    void (*tell)(void *context, size_t tokens, size_t entries);      /* so far, and at most; NULL is fine */
    void *context;
} tokenizer_watch;

/* Appends merges.txt: those that make up to `entries` tokens in all, fewer where the words give no more. The commonest pair comes first,
 * of equals the one whose tokens are older; a pair that is seen once is none. The same words give the same bytes. */
int  tokenizer_learn(const tokenizer_words *w, size_t entries, const tokenizer_watch *watch, text *merges);

/* All of it. */
int  tokenizer_learn_file(const char *path, size_t entries, const tokenizer_watch *watch, text *merges);

#endif
