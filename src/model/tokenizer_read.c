/* SPDX-License-Identifier: Apache-2.0
 *
 * Vocabularies: CLIP's own list of merges, from which ids follow by their order, or vocab.json with the ids and merges.txt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/gunzip.h"
#include "base/json_fields.h"
#include "base/own_folder.h"
#include "base/text.h"
#include "model/tokenizer_inside.h"
#include "weights/merges.h"

/* CLIP takes this many of the 262,144 lines of its list, so that there are 49,408 tokens in all. */
enum { CLIP_MERGES = 49152 - 256 - 2, MAX_NAMES = 1 << 22 };
#define MAX_FILE ((size_t)64 << 20)

/* A token as it is spelled: bytes as letters (token_letter); in two pieces where it stands as "a b" in a list of merges. */
typedef struct { const char *a, *b; uint32_t a_size, b_size; } spelling;

/* Tokens by their spelling. 24 bytes each, and an index apart: this is most of the time of opening. */
typedef struct { const char *a; uint32_t hash, a_size : 24, gap : 8, b_size; int32_t id; } name;   /* the second piece stands gap bytes behind the first */
typedef struct { name *at; size_t count, room; uint64_t *index; int bits; } names;   /* index: open addressing, 2^bits; hash << 32 | 1 + which, or 0 */
enum { MAX_SPELLING = (1 << 24) - 1 };

static uint32_t hash_more(uint32_t h, const char *s, size_t n) {   /* FNV-1a, so that two pieces are hashed as one */
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

#define HASH_BEGIN 2166136261u
static uint32_t hash_of(const spelling *s) { return hash_more(hash_more(HASH_BEGIN, s->a, s->a_size), s->b, s->b_size); }

static bool same(const spelling *p, const spelling *q) {
    if (p->a_size + p->b_size != q->a_size + q->b_size) return false;
    if (p->a_size > q->a_size) return same(q, p);
    size_t middle = q->a_size - p->a_size;      /* of p's second piece, what stands in q's first */
    return !memcmp(p->a, q->a, p->a_size) && !memcmp(p->b, q->a + p->a_size, middle) && !memcmp(p->b + middle, q->b, q->b_size);
}

static uint64_t *first_place(const names *n, uint32_t hash) { return &n->index[hash * 0x9e3779b1u >> (32 - n->bits)]; }

/* Its place in the index, or the empty one where it belongs. */
static uint64_t *find_place(const names *n, const spelling *s, uint32_t hash) {
    size_t mask = ((size_t)1 << n->bits) - 1;
    for (size_t i = (size_t)(first_place(n, hash) - n->index);; i = (i + 1) & mask) {
        if (!n->index[i]) return &n->index[i];
        if (n->index[i] >> 32 != hash) continue;
        const name *m = &n->at[(uint32_t)n->index[i] - 1];
        if (same(&(spelling){ m->a, m->a + m->a_size + m->gap, m->a_size, m->b_size }, s)) return &n->index[i];
    }
}

static int32_t find_id(const names *n, const spelling *s, uint32_t hash) {
    uint64_t place = *find_place(n, s, hash);
    return place ? n->at[(uint32_t)place - 1].id : -1;
}

static int grow(names *n) {
    name *at = realloc(n->at, 2 * n->room * sizeof *at);
    if (at) n->at = at;
    uint64_t *index = calloc((size_t)2 << n->bits, sizeof *index);
    if (!at || !index) return free(index), error_memory(2 * n->room * sizeof *at);
    free(n->index);
    n->index = index;
    n->room *= 2;
    n->bits++;
    size_t mask = ((size_t)1 << n->bits) - 1;
    for (size_t k = 0; k < n->count; k++) {
        size_t i = n->at[k].hash * 0x9e3779b1u >> (32 - n->bits);
        while (index[i]) i = (i + 1) & mask;
        index[i] = (uint64_t)n->at[k].hash << 32 | (k + 1);
    }
    return 0;
}

/* For a vocabulary in so many bytes. */
static int names_new(names *n, size_t bytes) {
    *n = (names){ .room = bytes > 1 << 18 ? 49408 : 1024, .bits = bytes > 1 << 18 ? 17 : 12 };   /* CLIP's own are so many */
    n->at = malloc(n->room * sizeof *n->at);
    n->index = calloc((size_t)1 << n->bits, sizeof *n->index);
    return n->at && n->index ? 0 : error_memory(n->room * sizeof *n->at);
}

/* Of two tokens of one spelling the later counts, as in a Python dict. */
static int put(names *n, const spelling *s, uint32_t hash, int32_t id) {
    int rc = n->count == n->room ? grow(n) : 0;
    if (rc < 0) return rc;
    uint64_t *place = find_place(n, s, hash);
    if (*place) n->at[(uint32_t)*place - 1].id = id;
    else {
        if (n->count == MAX_NAMES || s->a_size > MAX_SPELLING) return error_set(ERR_LIMIT, "has more than %d tokens, or a huge one", MAX_NAMES);
        n->at[n->count] = (name){ s->a, hash, s->a_size, s->b_size ? (uint32_t)(s->b - s->a - s->a_size) : 0, s->b_size, id };
        *place = (uint64_t)hash << 32 | ++n->count;
    }
    return 0;
}

/* ---- bytes as letters ------------------------------------------------------------------------------------------------------ */

bool token_printable(int byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad); }

int token_letter(int byte, char out[4]) {
    if (token_printable(byte)) return unicode_utf8((uint32_t)byte, out);
    uint32_t others = 0;
    for (int b = 0; b < byte; b++) others += !token_printable(b);
    return unicode_utf8(0x100 + others, out);
}

/* How a byte is spelled, alone and as a word's last. `memory` keeps it. */
static int spell_byte(arena *memory, int byte, bool last, spelling *out) {
    char letter[4];
    int n = token_letter(byte, letter);
    char *s = arena_printf(memory, "%.*s%s", n, letter, last ? "</w>" : "");
    *out = (spelling){ s, "", (uint32_t)n + (last ? 4 : 0), 0 };
    return s ? 0 : error_code();
}

/* ---- lists of merges ------------------------------------------------------------------------------------------------------- */

static int next_merge(merges_reader *l, spelling *out) {
    merge_line m;
    int rc = merges_next(l, &m);
    if (rc > 0) *out = (spelling){ m.a, m.b, m.a_size, m.b_size };
    return rc;
}

static int make_merges(tokenizer *t, size_t most) {
    for (t->bits = 4; (size_t)3 << t->bits < 4 * most; t->bits++) {}
    size_t places = (size_t)1 << t->bits;
    t->merges = malloc(places * sizeof *t->merges);
    if (!t->merges) return error_memory(places * sizeof *t->merges);
    for (size_t i = 0; i < places; i++) t->merges[i].pair = MERGE_NONE;
    return 0;
}

/* Of two merges of one pair the later counts, as in the library. */
static void put_merge(tokenizer *t, int32_t a, int32_t b, int32_t rank, int32_t id) {
    uint64_t pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    size_t i = merge_place(t, pair);
    while (t->merges[i].pair != pair && t->merges[i].pair != MERGE_NONE) i = (i + 1) & (((size_t)1 << t->bits) - 1);
    t->merges[i] = (merge){ pair, rank, id };
}

static size_t count_lines(const char *s, size_t size) {
    size_t n = 1;
    for (const char *end = s + size; (s = memchr(s, '\n', (size_t)(end - s))); s++) n++;
    return n;
}

/* Lines are read ahead, so that the places of their names are on their way from memory when they are looked at: it is all misses. */
enum { AHEAD = 16 };
typedef struct { spelling s; uint32_t a, b, both; size_t line; } pending;   /* a, b, both: hashes */

static int read_ahead(merges_reader *l, const names *n, pending *p) {
    int rc = next_merge(l, &p->s);
    if (rc <= 0) return rc;
    p->line = l->line;
    p->a = hash_more(HASH_BEGIN, p->s.a, p->s.a_size);
    p->b = hash_more(HASH_BEGIN, p->s.b, p->s.b_size);
    p->both = hash_more(p->a, p->s.b, p->s.b_size);
    __builtin_prefetch(first_place(n, p->a));
    __builtin_prefetch(first_place(n, p->b));
    __builtin_prefetch(first_place(n, p->both));
    return rc;
}

/* first_id: of the first merge's token, where ids follow by order; -1: they are in `n`. */
static int take_merge(tokenizer *t, names *n, const pending *p, int32_t rank, int32_t first_id) {
    const spelling *s = &p->s;
    int32_t a = find_id(n, &(spelling){ s->a, "", s->a_size, 0 }, p->a), b = find_id(n, &(spelling){ s->b, "", s->b_size, 0 }, p->b);
    int32_t id = first_id < 0 ? find_id(n, s, p->both) : first_id + rank;
    if (a < 0 || b < 0 || id < 0) return error_set(ERR_FORMAT, "line %zu of the merges has a token that there is none of", p->line);
    put_merge(t, a, b, rank, id);
    return first_id < 0 ? 0 : put(n, s, p->both, id);
}

static int read_merges(tokenizer *t, names *n, const char *data, size_t size, size_t most, int32_t first_id) {
    merges_reader l = { data, data + size, 0 };
    pending ring[AHEAD];
    size_t there = most < CLIP_MERGES + 1 ? most : size ? count_lines(data, size) : 0, read = 0;
    int rc = make_merges(t, there < most ? there : most), more = 1;
    for (size_t rank = 0; rc >= 0 && rank < most; rank++) {
        for (; more > 0 && read < most && read < rank + AHEAD; read += more > 0) more = read_ahead(&l, n, &ring[read % AHEAD]);
        if (rank == read) {
            rc = more;        /* the end, or a line that is none */
            break;
        }
        rc = take_merge(t, n, &ring[rank % AHEAD], (int32_t)rank, first_id);
    }
    if (rc >= 0 && first_id >= 0 && n->count != 512 + most) rc = error_set(ERR_FORMAT, "has fewer than %zu different merges", most);
    return rc < 0 ? rc : 0;
}

/* ---- both kinds ------------------------------------------------------------------------------------------------------------ */

static const char start_text[] = "<|startoftext|>", end_text[] = "<|endoftext|>";

/* CLIP's own order: the printable bytes, the other bytes, all of them as a word's last, so many merges, the special two. */
static int read_ordered(tokenizer *t, names *n, arena *memory, const char *data, size_t size, size_t merges) {
    int32_t id = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int byte = 0; byte < 256; byte++) {
            if (token_printable(byte) != (pass == 0)) continue;
            spelling s, last;
            int rc = spell_byte(memory, byte, false, &s);
            if (rc >= 0) rc = spell_byte(memory, byte, true, &last);
            if (rc >= 0) rc = put(n, &s, hash_of(&s), t->byte[byte] = id);
            if (rc >= 0) rc = put(n, &last, hash_of(&last), t->last_byte[byte] = 256 + id);
            if (rc < 0) return rc;
            id++;
        }
    t->start = 512 + (int32_t)merges;
    t->end = 513 + (int32_t)merges;
    return read_merges(t, n, data, size, merges, 512);
}

typedef struct { names *n; char *room; size_t left; int rc; } taking;   /* room: where the next name is kept */

static void take_name(void *context, const char *key, json_field_kind kind, const char *text, size_t size) {
    taking *k = context;
    if (k->rc < 0) return;
    uint64_t id = 0;
    for (size_t i = 0; i < size && id <= INT32_MAX; i++) id = text[i] >= '0' && text[i] <= '9' ? id * 10 + (uint64_t)(text[i] - '0') : UINT32_MAX;
    if (kind != FIELD_NUMBER || id > INT32_MAX) {
        char shown[64];
        k->rc = error_set(ERR_FORMAT, "the vocabulary's \"%s\" has no id", text_escape(shown, sizeof shown, key));
        return;
    }
    size_t length = strlen(key);
    if (length > k->left) {
        k->rc = error_set(ERR_FORMAT, "the vocabulary's names are longer than all of it");
        return;
    }
    char *copy = memcpy(k->room, key, length);
    k->room += length;
    k->left -= length;
    spelling s = { copy, "", (uint32_t)length, 0 };
    k->rc = put(k->n, &s, hash_of(&s), (int32_t)id);
}

static int read_names(names *n, arena *memory, const char *data, size_t size) {
    /* Names are no longer than the JSON they stand in. */
    taking k = { n, arena_new(memory, size + 1, 1), size, 0 };
    if (!k.room) return error_code();
    json_fields *f = json_fields_new();
    if (!f) return error_code();
    int rc = json_fields_read(f, data, size, take_name, &k);
    json_fields_free(f);
    return k.rc < 0 ? k.rc : rc < 0 ? error_set(rc, "the vocabulary is no JSON object: %s", error_message()) : 0;
}

static int need_name(const names *n, const char *text, int32_t *id) {
    spelling s = { text, "", (uint32_t)strlen(text), 0 };
    *id = find_id(n, &s, hash_of(&s));
    return *id >= 0 ? 0 : error_set(ERR_FORMAT, "the vocabulary has no %s", text);
}

static int read_pair(tokenizer *t, names *n, arena *memory, const char *vocabulary, size_t vocabulary_size, const char *merges, size_t merges_size) {
    int rc = read_names(n, memory, vocabulary, vocabulary_size);
    if (rc >= 0) rc = need_name(n, start_text, &t->start);
    if (rc >= 0) rc = need_name(n, end_text, &t->end);
    for (int i = 0; rc >= 0 && i < 512; i++) {
        spelling s;
        rc = spell_byte(memory, i & 255, i >= 256, &s);
        if (rc < 0) break;
        int32_t id = find_id(n, &s, hash_of(&s));
        if (id < 0) id = t->end;                 /* the unknown token */
        (i < 256 ? t->byte : t->last_byte)[i & 255] = id;
    }
    return rc < 0 ? rc : read_merges(t, n, merges, merges_size, MAX_NAMES, -1);
}

/* vocabulary NULL: so many merges, and ids by their order. */
static int read_any(const char *vocabulary, size_t vocabulary_size, const char *merges, size_t merges_size, size_t count, tokenizer **out) {
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) return error_memory(sizeof *t);
    names n;
    arena memory = { .block_bytes = 1 << 18 };
    int rc = names_new(&n, vocabulary ? vocabulary_size : merges_size);
    if (rc >= 0 && !(t->letters = unicode_open())) rc = error_code();
    if (rc >= 0)
        rc = vocabulary ? read_pair(t, &n, &memory, vocabulary, vocabulary_size, merges, merges_size) : read_ordered(t, &n, &memory, merges, merges_size, count);
    free(n.at);
    free(n.index);
    arena_free(&memory);
    if (rc < 0) tokenizer_close(t);
    else *out = t;
    return rc;
}

int tokenizer_read(const char *vocabulary, size_t vocabulary_size, const char *merges, size_t merges_size, tokenizer **out) {
    return read_any(vocabulary, vocabulary_size, merges, merges_size, CLIP_MERGES, out);
}

int tokenizer_read_merges(const char *merges, size_t size, tokenizer **out) {
    size_t tokens;
    int rc = merges_check(merges, size, &tokens);
    return rc < 0 ? rc : read_any(NULL, 0, merges, size, tokens - MERGES_BEFORE - 2, out);
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */

static bool is_there(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

static int map_small(const char *path, file_map *out) {
    int rc = file_map_open(path, out);
    if (rc < 0 || out->size <= MAX_FILE) return rc;
    file_map_close(out);
    return error_set(ERR_LIMIT, "%s: has more than %zu bytes", path, MAX_FILE);
}

static int open_pair(const char *vocabulary_path, const char *merges_path, tokenizer **out) {
    file_map vocabulary = { 0 }, merges = { 0 };
    int rc = map_small(vocabulary_path, &vocabulary);
    if (rc >= 0) rc = map_small(merges_path, &merges);
    if (rc >= 0 && (rc = tokenizer_read(vocabulary.size ? (const char *)vocabulary.data : "", vocabulary.size, (const char *)merges.data, merges.size, out)) < 0)
        error_prefix("%s", vocabulary_path);
    file_map_close(&vocabulary);
    file_map_close(&merges);
    return rc;
}

static int open_clip(const char *path, bool packed, tokenizer **out) {
    file_map file;
    uint8_t *plain = NULL;
    size_t size = 0;
    int rc = map_small(path, &file);
    if (rc < 0) return rc;
    if (packed) rc = gunzip(file.data, file.size, MAX_FILE, &plain, &size);
    if (rc >= 0) rc = tokenizer_read(NULL, 0, (const char *)(packed ? plain : file.data), packed ? size : file.size, out);
    if (rc < 0) error_prefix("%s", path);
    free(plain);
    file_map_close(&file);
    return rc;
}

int tokenizer_open(const char *folder, tokenizer **out) {
    static const char *const list[] = { "vocab.json", "merges.txt", "bpe_simple_vocab_16e6.txt", "bpe_simple_vocab_16e6.txt.gz" };
    arena memory = { 0 };
    const char *path[4];
    int rc = 0;
    for (int i = 0; i < 4 && rc >= 0; i++)
        if (!(path[i] = arena_printf(&memory, "%s/%s", folder, list[i]))) rc = error_code();
    if (rc >= 0) {
        if (is_there(path[0]) && is_there(path[1])) rc = open_pair(path[0], path[1], out);
        else if (is_there(path[2])) rc = open_clip(path[2], false, out);
        else if (is_there(path[3])) rc = open_clip(path[3], true, out);
        else rc = error_set(ERR_IO, "%s: has neither vocab.json and merges.txt nor %s", folder, list[2]);
    }
    arena_free(&memory);
    return rc;
}

int tokenizer_locate(char *path, size_t size) {
    static const char file[] = "bpe_simple_vocab_16e6.txt";
    static const char *const places[] = { "../share/mien/models", "../../share/mien/models", "../third_party/clip", "../../third_party/clip" };
    const char *variable = getenv("MIEN_MODELS");
    char folder[PATH_MAX], named[PATH_MAX];
    int n = variable && *variable ? snprintf(named, sizeof named, "%s/%s", variable, file) : 0;
    bool chosen = n > 0 && (size_t)n < sizeof named && is_there(named);
    if (!chosen && own_folder_find(places, sizeof places / sizeof *places, file, folder) < 0)
        return error_set(ERR_IO, "CLIP's vocabulary, %s, is neither in %s nor in %s of the build tree: run `make setup`, or set MIEN_MODELS to a "
                         "folder that has it", file, places[0], places[2]);
    if (chosen) n = snprintf(path, size, "%s", variable);
    else n = snprintf(path, size, "%s", folder);
    return n >= 0 && (size_t)n < size ? 0 : error_set(ERR_IO, "%s: the path is too long", chosen ? variable : folder);
}

void tokenizer_close(tokenizer *t) {
    if (!t) return;
    unicode_close(t->letters);
    free(t->merges);
    free(t);
}
