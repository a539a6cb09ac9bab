/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer_learn.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json_fields.h"
#include "base/stop.h"
#include "model/tokenizer_inside.h"

/* Longer ones are no words of captions; rarer ones than the commonest 65,536 would hardly make a merge. */
enum { LONGEST_WORD = 256, MOST_WORDS = 1 << 16, MOST_KEPT = 1 << 24, LONGEST_CAPTION = 1 << 20, SECONDS_QUIET = 5 };

/* ---- words ------------------------------------------------------------------------------------------------------------------- */

typedef struct { const char *bytes; uint32_t size, hash; uint64_t count; } word;

struct tokenizer_words {
    unicode *letters;
    arena memory;
    word *list;
    size_t count, room;
    uint32_t *index;             /* open addressing, 2^bits: 1 + which, or 0 */
    int bits;
    unicode_char *chars;         /* room for a text */
    size_t char_room;
    int rc;                      /* the first failure */
};

int tokenizer_words_new(tokenizer_words **out) {
    tokenizer_words *w = calloc(1, sizeof *w);
    if (!w) return error_memory(sizeof *w);
    w->memory.block_bytes = 1 << 18;
    w->room = 1024;
    w->bits = 11;
    w->list = malloc(w->room * sizeof *w->list);
    w->index = calloc((size_t)1 << w->bits, sizeof *w->index);
    w->letters = unicode_open();
    int rc = !w->list || !w->index ? error_memory(w->room * sizeof *w->list) : w->letters ? 0 : error_code();
    if (rc < 0) tokenizer_words_free(w);
    else *out = w;
    return rc;
}

void tokenizer_words_free(tokenizer_words *w) {
    if (!w) return;
    unicode_close(w->letters);
    arena_free(&w->memory);
    free(w->list);
    free(w->index);
    free(w->chars);
    free(w);
}

static uint32_t *place_of(const tokenizer_words *w, const char *bytes, uint32_t size, uint32_t hash) {
    size_t mask = ((size_t)1 << w->bits) - 1, i = hash * 0x9e3779b1u >> (32 - w->bits);
    for (;; i = (i + 1) & mask) {
        if (!w->index[i]) return &w->index[i];
        const word *k = &w->list[w->index[i] - 1];
        if (k->hash == hash && k->size == size && !memcmp(k->bytes, bytes, size)) return &w->index[i];
    }
}

static int grow(tokenizer_words *w) {
    word *list = realloc(w->list, 2 * w->room * sizeof *list);
    if (list) w->list = list;
    uint32_t *index = calloc((size_t)2 << w->bits, sizeof *index);
    if (!list || !index) return free(index), error_memory(2 * w->room * sizeof *list);
    free(w->index);
    w->index = index;
    w->room *= 2;
    w->bits++;
    for (size_t i = 0; i < w->count; i++) *place_of(w, w->list[i].bytes, w->list[i].size, w->list[i].hash) = (uint32_t)i + 1;
    return 0;
}

static void count_word(void *context, const unicode_char *c, size_t n) {
    tokenizer_words *w = context;
    char bytes[LONGEST_WORD + 4];
    uint32_t size = 0, hash = 2166136261u;                          /* FNV-1a */
    for (size_t i = 0; i < n && size <= LONGEST_WORD; i++) size += (uint32_t)unicode_utf8(c[i].c, bytes + size);
    if (w->rc < 0 || size > LONGEST_WORD) return;
    for (uint32_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)bytes[i]) * 16777619u;
    uint32_t *place = place_of(w, bytes, size, hash);
    if (*place) {
        w->list[*place - 1].count++;
        return;
    }
    if (w->count == MOST_KEPT) w->rc = error_set(ERR_LIMIT, "the captions have more than %d different words", MOST_KEPT);
    else if (w->count == w->room) {
        w->rc = grow(w);
        if (w->rc == 0) place = place_of(w, bytes, size, hash);
    }
    char *kept = w->rc < 0 ? NULL : arena_new(&w->memory, size + 1, 1);
    if (w->rc == 0 && !kept) w->rc = error_code();
    if (w->rc < 0) return;
    w->list[w->count] = (word){ memcpy(kept, bytes, size), size, hash, 1 };
    *place = (uint32_t)++w->count;
}

int tokenizer_words_add(tokenizer_words *w, const char *utf8, size_t size) {
    size_t room;
    if (__builtin_mul_overflow(size, UNICODE_GROWTH * sizeof *w->chars, &room)) return error_set(ERR_LIMIT, "a text is too long");
    if (size > w->char_room) {
        free(w->chars);
        w->chars = malloc(room);
        w->char_room = w->chars ? size : 0;
        if (!w->chars) return error_memory(room);
    }
    if (size) tokenizer_split(w->letters, w->chars, unicode_normalize(w->letters, utf8, size, w->chars), count_word, w);
    return w->rc;
}

/* ---- learning ------------------------------------------------------------------------------------------------------------------ */

typedef struct { uint64_t pair; uint64_t count; bool banned; } candidate;   /* pair: first << 32 | second */
typedef struct { uint32_t at, length; uint64_t count; } cut;               /* a word: its tokens from ids[at] on */

typedef struct {
    arena memory;
    const char **name;           /* of each token, as it is spelled */
    size_t names;
    int32_t *ids;
    cut *words;
    size_t n_words;
    candidate *pairs;
    size_t n_pairs, room;
    uint32_t *index;             /* as that of the words */
    int bits, rc;
} learner;

static uint32_t *pair_place(const learner *l, uint64_t pair) {
    size_t mask = ((size_t)1 << l->bits) - 1, i = (size_t)(pair * 0x9e3779b97f4a7c15u >> (64 - l->bits));
    while (l->index[i] && l->pairs[l->index[i] - 1].pair != pair) i = (i + 1) & mask;
    return &l->index[i];
}

static int grow_pairs(learner *l) {
    size_t room = l->room ? 2 * l->room : 1 << 12;
    int bits = l->room ? l->bits + 1 : 13;
    candidate *pairs = realloc(l->pairs, room * sizeof *pairs);
    if (pairs) l->pairs = pairs;
    uint32_t *index = calloc((size_t)1 << bits, sizeof *index);
    if (!pairs || !index) return free(index), error_memory(room * sizeof *pairs);
    free(l->index);
    l->index = index;
    l->room = room;
    l->bits = bits;
    for (size_t i = 0; i < l->n_pairs; i++) *pair_place(l, l->pairs[i].pair) = (uint32_t)i + 1;
    return 0;
}

/* Of a word's pairs, `count` more, or with `less` fewer. */
static void count_pairs(learner *l, const cut *w, bool less) {
    const int32_t *id = l->ids + w->at;
    for (uint32_t i = 0; i + 1 < w->length; i++) {
        uint64_t pair = (uint64_t)(uint32_t)id[i] << 32 | (uint32_t)id[i + 1];
        uint32_t *place = l->room ? pair_place(l, pair) : NULL;
        if (!place || !*place) {
            if (l->n_pairs == l->room && (l->rc = grow_pairs(l)) < 0) return;
            l->pairs[l->n_pairs] = (candidate){ pair, 0, false };
            *(place = pair_place(l, pair)) = (uint32_t)++l->n_pairs;
        }
        candidate *c = &l->pairs[*place - 1];
        c->count = less ? c->count - w->count : c->count + w->count;
    }
}

static int first_name(learner *l, int32_t byte[256]) {
    for (int pass = 0; pass < 2; pass++)
        for (int b = 0; b < 256; b++) {
            char letter[4];
            if (token_printable(b) != (pass == 0)) continue;
            int n = token_letter(b, letter);
            byte[b] = (int32_t)l->names++;
            l->name[byte[b]] = arena_printf(&l->memory, "%.*s", n, letter);
            l->name[256 + byte[b]] = arena_printf(&l->memory, "%.*s</w>", n, letter);
            if (!l->name[byte[b]] || !l->name[256 + byte[b]]) return error_code();
        }
    l->names = 512;
    return 0;
}

static int commoner(const void *a, const void *b) {
    const word *p = *(const word *const *)a, *q = *(const word *const *)b;
    if (p->count != q->count) return p->count < q->count ? 1 : -1;
    int order = memcmp(p->bytes, q->bytes, p->size < q->size ? p->size : q->size);
    return order ? order : p->size < q->size ? -1 : p->size > q->size;
}

static int begin(learner *l, const tokenizer_words *w, size_t entries) {
    int32_t byte[256];
    size_t bytes = 0;
    const word **order = arena_new(&l->memory, w->count + 1, sizeof *order);
    l->name = arena_new(&l->memory, entries, sizeof *l->name);
    if (!order || !l->name || first_name(l, byte) < 0) return error_code();
    for (size_t i = 0; i < w->count; i++) order[i] = &w->list[i];
    qsort(order, w->count, sizeof *order, commoner);
    l->n_words = w->count < MOST_WORDS ? w->count : MOST_WORDS;
    for (size_t i = 0; i < l->n_words; i++) bytes += order[i]->size;
    l->ids = arena_new(&l->memory, bytes + 1, sizeof *l->ids);
    l->words = arena_new(&l->memory, l->n_words + 1, sizeof *l->words);
    if (!l->ids || !l->words) return error_code();
    uint32_t at = 0;
    for (size_t i = 0; i < l->n_words && l->rc == 0; at += order[i++]->size) {
        l->words[i] = (cut){ at, order[i]->size, order[i]->count };
        for (uint32_t k = 0; k < order[i]->size; k++) l->ids[at + k] = byte[(uint8_t)order[i]->bytes[k]] + (k + 1 == order[i]->size ? 256 : 0);
        count_pairs(l, &l->words[i], false);
    }
    return l->rc;
}

/* NULL: none is left that is seen twice. */
static candidate *best(const learner *l) {
    candidate *top = NULL;
    for (size_t i = 0; i < l->n_pairs; i++) {
        candidate *c = &l->pairs[i];
        if (c->banned || c->count < 2) continue;
        if (!top || c->count > top->count || (c->count == top->count && c->pair < top->pair)) top = c;
    }
    return top;
}

static bool is_name(const learner *l, const char *name) {
    for (size_t i = 0; i < l->names; i++)
        if (strcmp(l->name[i], name) == 0) return true;
    return false;
}

static void merge_in(learner *l, cut *w, int32_t a, int32_t b, int32_t both) {
    int32_t *id = l->ids + w->at;
    uint32_t i = 0, n = 0;
    while (i + 1 < w->length && !(id[i] == a && id[i + 1] == b)) i++;
    if (i + 1 >= w->length) return;
    count_pairs(l, w, true);
    for (n = i; i < w->length; n++) {
        bool here = i + 1 < w->length && id[i] == a && id[i + 1] == b;
        id[n] = here ? both : id[i];
        i += here ? 2 : 1;
    }
    w->length = n;
    count_pairs(l, w, false);
}

static int cancelled(void) { return error_set(ERR_CANCELLED, "stopped while the tokenizer was learnt"); }

static int learn(learner *l, size_t entries, const tokenizer_watch *watch, text *merges) {
    double told = clock_seconds();
    text_add(merges, "#version: 0.2\n");
    while (l->rc == 0 && l->names + 2 < entries) {
        if (stop_asked(watch->stop)) return cancelled();
        if (watch->tell && clock_seconds() - told > SECONDS_QUIET) {
            watch->tell(watch->context, l->names + 2, entries);
            told = clock_seconds();
        }
        candidate *c = best(l);
        if (!c) break;
        int32_t a = (int32_t)(c->pair >> 32), b = (int32_t)(uint32_t)c->pair;
        char *name = arena_printf(&l->memory, "%s%s", l->name[a], l->name[b]);
        if (!name) return error_code();
        c->banned = true;        /* two ways to one token would be two ids for it: the first way stays the only one */
        if (is_name(l, name)) continue;
        text_printf(merges, "%s %s\n", l->name[a], l->name[b]);
        l->name[l->names] = name;
        for (size_t i = 0; i < l->n_words && l->rc == 0; i++) merge_in(l, &l->words[i], a, b, (int32_t)l->names);
        l->names++;
    }
    return l->rc < 0 ? l->rc : text_check(merges);
}

int tokenizer_learn(const tokenizer_words *w, size_t entries, const tokenizer_watch *watch, text *merges) {
    if (entries < VOCABULARY_LEAST || entries > VOCABULARY_MOST)
        return error_set(ERR_USAGE, "a vocabulary of %zu tokens: %d to %d are possible", entries, VOCABULARY_LEAST, VOCABULARY_MOST);
    learner l = { 0 };
    int rc = begin(&l, w, entries);
    if (rc == 0) rc = learn(&l, entries, watch, merges);
    arena_free(&l.memory);
    free(l.pairs);
    free(l.index);
    return rc;
}

/* ---- a file -------------------------------------------------------------------------------------------------------------------- */

static void take_prompt(void *context, const char *key, json_field_kind kind, const char *text, size_t size) {
    tokenizer_words *w = context;
    if (w->rc == 0 && kind == FIELD_TEXT && strcmp(key, "prompt") == 0) w->rc = tokenizer_words_add(w, text, size);
}

static int take_line(tokenizer_words *w, json_fields *f, const stream *s, const stream_text *line) {
    const char *at = line->text + strspn(line->text, " \t");
    int rc = *at == '{' ? json_fields_read(f, line->text, line->size, take_prompt, w) : tokenizer_words_add(w, line->text, strlen(line->text));
    if (rc == 0) rc = w->rc;
    return rc < 0 ? error_prefix("%s: line %llu", stream_name(s), (unsigned long long)stream_lines(s)) : 0;
}

static int read_words(tokenizer_words *w, stream *s, const volatile int *stop) {
    stream_text line;
    json_fields *f = json_fields_new();
    int rc = f ? 0 : error_code();
    while (rc == 0 && (rc = stream_line(s, LONGEST_CAPTION, &line)) > 0)
        rc = stop_asked(stop) ? cancelled() : take_line(w, f, s, &line);
    json_fields_free(f);
    return rc == 0 && !w->count ? error_set(ERR_FORMAT, "%s: there are no captions in it", stream_name(s)) : rc;
}

int tokenizer_words_read(tokenizer_words *w, stream *s) { return read_words(w, s, NULL); }

int tokenizer_learn_file(const char *path, size_t entries, const tokenizer_watch *watch, text *merges) {
    stream *s = NULL;
    tokenizer_words *w = NULL;
    int rc = tokenizer_words_new(&w);
    if (rc == 0) rc = stream_open_file(path, &s);
    if (rc == 0) rc = read_words(w, s, watch->stop);
    if (rc == 0) rc = tokenizer_learn(w, entries, watch, merges);
    stream_close(s);
    tokenizer_words_free(w);
    return rc;
}
