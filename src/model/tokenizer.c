/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/tokenizer_inside.h"

static const char start_text[] = "<|startoftext|>", end_text[] = "<|endoftext|>";

/* A word while its tokens are merged: a list of what is left of its bytes. */
typedef struct { int32_t id; uint32_t previous, next; bool gone; size_t from; } symbol;
typedef struct { int32_t rank; uint32_t at; } candidate;   /* symbol `at` and the next one might be merged */

typedef struct {
    const tokenizer *t;
    tokens *out;
    size_t room;                /* of out */
    unicode_char *chars;
    symbol *symbols;
    candidate *heap;            /* the lowest rank on top, of equals the leftmost */
    size_t symbol_room, candidates;
    int rc;                     /* the first failure */
} encoder;

static void put_token(encoder *e, int32_t id, size_t from) {
    if (e->out->count == e->room) {
        size_t room = e->room ? 2 * e->room : 128;
        int32_t *ids = realloc(e->out->ids, room * sizeof *ids);
        if (ids) e->out->ids = ids;
        size_t *places = realloc(e->out->from, room * sizeof *places);
        if (places) e->out->from = places;
        if (!ids || !places) {
            e->rc = error_memory(room * sizeof *places);
            return;
        }
        e->room = room;
    }
    e->out->ids[e->out->count] = id;
    e->out->from[e->out->count++] = from;
}

/* ---- one word: byte pairs ---------------------------------------------------------------------------------------------------- */

static bool before(candidate a, candidate b) { return a.rank != b.rank ? a.rank < b.rank : a.at < b.at; }

static void push(encoder *e, uint32_t at) {
    const symbol *s = e->symbols;
    const merge *m = s[at].next ? merge_find(e->t, s[at].id, s[s[at].next].id) : NULL;
    if (!m) return;
    candidate c = { m->rank, at };
    size_t i = e->candidates++;
    for (; i && before(c, e->heap[(i - 1) / 2]); i = (i - 1) / 2) e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = c;
}

static candidate pop(encoder *e) {
    candidate top = e->heap[0], last = e->heap[--e->candidates];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < e->candidates; i = child) {
        if (child + 1 < e->candidates && before(e->heap[child + 1], e->heap[child])) child++;
        if (!before(e->heap[child], last)) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = last;
    return top;
}

/* Symbol 0 is none: the list begins at 1. */
static bool make_room(encoder *e, size_t bytes) {
    if (bytes < e->symbol_room) return true;
    size_t room = bytes + 1 > 256 ? bytes + 1 : 256;
    free(e->symbols);
    free(e->heap);
    e->symbols = malloc(room * sizeof *e->symbols);
    e->heap = malloc(3 * room * sizeof *e->heap);      /* each merge adds two at most */
    e->symbol_room = e->symbols && e->heap ? room : 0;
    if (!e->symbol_room) e->rc = room > UINT32_MAX ? error_set(ERR_LIMIT, "a word is too long") : error_memory(room * sizeof *e->symbols);
    return e->symbol_room;
}

static void put_word(void *context, const unicode_char *c, size_t n) {
    encoder *e = context;
    if (e->rc < 0 || n > UINT32_MAX / 4 - 1 || !make_room(e, 4 * n)) return;
    symbol *s = e->symbols;
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        char bytes[4];
        int length = unicode_utf8(c[i].c, bytes);
        for (int k = 0; k < length; k++, count++) s[count + 1] = (symbol){ e->t->byte[(uint8_t)bytes[k]], count, count + 2, false, c[i].from };
        if (i + 1 == n) s[count].id = e->t->last_byte[(uint8_t)bytes[length - 1]];
    }
    s[count].next = 0;
    e->candidates = 0;
    for (uint32_t i = 1; i < count; i++) push(e, i);
    while (e->candidates) {
        candidate top = pop(e);
        symbol *a = &s[top.at];
        if (a->gone || !a->next) continue;
        const merge *m = merge_find(e->t, a->id, s[a->next].id);
        if (!m || m->rank != top.rank) continue;       /* it became another pair meanwhile */
        s[a->next].gone = true;
        a->id = m->id;
        a->next = s[a->next].next;
        if (a->next) s[a->next].previous = top.at;
        if (a->previous) push(e, a->previous);
        push(e, top.at);
    }
    for (uint32_t i = 1; i; i = s[i].next) put_token(e, s[i].id, s[i].from);
}

/* ---- a text: words ----------------------------------------------------------------------------------------------------------- */

/* Whether ASCII text stands at c. */
static size_t stands(const unicode_char *c, size_t n, const char *text) {
    size_t length = strlen(text), i = 0;
    if (length > n) return 0;
    while (i < length && c[i].c == (unsigned char)text[i]) i++;
    return i == length ? length : 0;
}

/* The library's expression <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+ at c, which is no
 * white space: how many characters it takes. */
static size_t word_length(const unicode *u, const unicode_char *c, size_t n) {
    static const char *const endings[] = { "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" };
    for (size_t i = 0; c->c == '\'' && i < sizeof endings / sizeof *endings; i++)
        if (stands(c, n, endings[i])) return strlen(endings[i]);
    unicode_class kind = unicode_class_of(u, c->c);
    size_t length = 1;
    while (kind != UNICODE_NUMBER && length < n && unicode_class_of(u, c[length].c) == kind) length++;
    return length;
}

void tokenizer_split(const unicode *letters, const unicode_char *c, size_t n, split_word *word, void *context) {
    for (size_t i = 0; i < n;) {
        if (unicode_class_of(letters, c[i].c) == UNICODE_SPACE) {
            i++;
            continue;
        }
        size_t special = stands(c + i, n - i, start_text);
        if (!special) special = stands(c + i, n - i, end_text);
        if (special) {      /* in capitals, and so no special token: the library's second expression takes the word out of it */
            word(context, c + i, 2);
            word(context, c + i + 2, special - 4);
            word(context, c + i + special - 2, 2);
            i += special;
            continue;
        }
        size_t length = word_length(letters, c + i, n - i);
        word(context, c + i, length);
        i += length;
    }
}

static void put_words(encoder *e, const unicode_char *c, size_t n) {
    if (e->rc >= 0) tokenizer_split(e->t->letters, c, n, put_word, e);
}

/* A text between special tokens that count as they stand. after: start counts in any case, and end if `end_too`. */
static void put_piece(encoder *e, const char *utf8, size_t from, size_t size, bool end_too) {
    size_t n = unicode_normalize(e->t->letters, utf8 + from, size, e->chars), begin = 0;
    for (size_t i = 0; i < n; i++) e->chars[i].from += from;
    for (size_t i = 0; i < n;) {
        size_t start = stands(e->chars + i, n - i, start_text), end = end_too && !start ? stands(e->chars + i, n - i, end_text) : 0;
        if (start || end) {
            put_words(e, e->chars + begin, i - begin);
            put_token(e, start ? e->t->start : e->t->end, e->chars[i].from);
            begin = i += start + end;
        } else i++;
    }
    put_words(e, e->chars + begin, n - begin);
}

/* The ASCII character that is this token, as text; "" if none is. */
static void pad_text(const tokenizer *t, int32_t pad, char out[2]) {
    out[0] = out[1] = 0;
    for (char c = '!'; c <= '~'; c++)
        if (t->byte[(uint8_t)c] == pad) out[0] = c;
}

int tokenizer_encode(const tokenizer *t, const char *utf8, int32_t pad, tokens *out) {
    *out = (tokens){ 0 };
    encoder e = { .t = t, .out = out };
    size_t size = strlen(utf8);
    char one[2];
    pad_text(t, pad, one);
    bool end_too = pad != t->end;
    const char *special = end_too ? one : end_text;
    if (size > SIZE_MAX / (UNICODE_GROWTH * sizeof *e.chars) - 1) return error_set(ERR_LIMIT, "a text is too long");
    e.chars = malloc((UNICODE_GROWTH * size + 1) * sizeof *e.chars);
    if (!e.chars) return error_memory((UNICODE_GROWTH * size + 1) * sizeof *e.chars);
    for (const char *s = utf8; e.rc >= 0;) {
        const char *end = *special ? strstr(s, special) : NULL;
        put_piece(&e, utf8, (size_t)(s - utf8), end ? (size_t)(end - s) : strlen(s), end_too);
        if (!end) break;
        put_token(&e, end_too ? pad : t->end, (size_t)(end - utf8));
        s = end + strlen(special);
    }
    free(e.chars);
    free(e.symbols);
    free(e.heap);
    if (e.rc < 0) tokens_free(out);
    return e.rc;
}

void tokens_free(tokens *t) {
    free(t->ids);
    free(t->from);
    *t = (tokens){ 0 };
}

int32_t tokenizer_start(const tokenizer *t) { return t->start; }
int32_t tokenizer_end(const tokenizer *t) { return t->end; }

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

int32_t tokenizer_most(const tokenizer *t) {
    int32_t most = larger(t->start, t->end);
    for (int i = 0; i < 256; i++) most = larger(most, larger(t->byte[i], t->last_byte[i]));
    for (size_t i = 0; i < (size_t)1 << t->bits; i++)
        if (t->merges[i].pair != MERGE_NONE) most = larger(most, t->merges[i].id);
    return most;
}

int tokenizer_prompt(const tokenizer *t, const char *utf8, int32_t pad, int32_t ids[TOKENS], size_t *cut) {
    tokens all;
    int rc = tokenizer_encode(t, utf8, pad, &all);
    if (rc < 0) return rc;
    size_t n = all.count <= TOKENS - 2 ? all.count : TOKENS - 2;
    *cut = n < all.count ? all.from[n] : strlen(utf8);
    ids[0] = t->start;
    if (n) memcpy(ids + 1, all.ids, n * sizeof *ids);
    ids[n + 1] = t->end;
    for (size_t i = n + 2; i < TOKENS; i++) ids[i] = pad;
    tokens_free(&all);
    return 0;
}
