/* SPDX-License-Identifier: Apache-2.0 */
#include "model/unicode.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "model/unicode_tables.h"

typedef struct { uint32_t begin, end; } range;
typedef struct { uint32_t first, last, step; int32_t add; } case_run;
typedef struct { uint32_t c, a, b; } pair;
typedef struct { uint32_t first, last, order; } mark_run;

struct unicode {
    range letters[UNICODE_LETTERS], numbers[UNICODE_NUMBERS], spaces[UNICODE_SPACES];
    case_run lower[UNICODE_LOWER];
    pair apart[UNICODE_PAIRS], together[UNICODE_PAIRS];   /* by c; those that are composed again, by a and b */
    int n_together;
    mark_run marks[UNICODE_MARKS];
};

/* Hangul's syllables (The Unicode Standard, 3.12). */
enum { S_BASE = 0xac00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11a7, L_COUNT = 19, V_COUNT = 21, T_COUNT = 28, S_COUNT = 11172 };

/* ---- the tables: five bits a digit, lowest first, bit 5 if more follow; bit 0 of the number is its sign -------------------- */

static int32_t next_number(const char **at) {
    uint32_t n = 0;
    for (int shift = 0, more = 1; more; shift += 5) {
        char d = *(*at)++;
        uint32_t six = d >= 'a' ? d - 'a' + 26u : d >= 'A' ? d - 'A' + 0u : d >= '0' ? d - '0' + 52u : d == '+' ? 62u : 63u;
        n |= (six & 31) << shift;
        more = six & 32;
    }
    return n & 1 ? -(int32_t)(n >> 1) : (int32_t)(n >> 1);
}

static void read_ranges(const char *at, range *out, int n) {
    uint32_t end = 0;
    for (int i = 0; i < n; i++) {
        out[i].begin = end + (uint32_t)next_number(&at);
        out[i].end = end = out[i].begin + (uint32_t)next_number(&at);
    }
}

/* The next row of a table: what it differs from the row before. */
static void next_row(const char **at, int32_t *row, int n) {
    for (int i = 0; i < n; i++) row[i] += next_number(at);
}

static int by_parts(const void *a, const void *b) {
    const pair *p = a, *q = b;
    return p->a != q->a ? (p->a > q->a) - (p->a < q->a) : (p->b > q->b) - (p->b < q->b);
}

unicode *unicode_open(void) {
    unicode *u = calloc(1, sizeof *u);
    if (!u) return error_memory(sizeof *u), NULL;
    read_ranges(unicode_letters, u->letters, UNICODE_LETTERS);
    read_ranges(unicode_numbers, u->numbers, UNICODE_NUMBERS);
    read_ranges(unicode_spaces, u->spaces, UNICODE_SPACES);
    const char *at = unicode_lower;
    for (int i = 0, row[4] = { 0 }; i < UNICODE_LOWER; i++) {
        next_row(&at, row, 4);
        u->lower[i] = (case_run){ (uint32_t)row[0], (uint32_t)(row[0] + (row[1] - 1) * row[2]), (uint32_t)row[2], row[3] };
    }
    at = unicode_pairs;
    for (int i = 0, row[4] = { 0 }; i < UNICODE_PAIRS; i++) {
        next_row(&at, row, 4);
        u->apart[i] = (pair){ (uint32_t)row[0], (uint32_t)row[1], (uint32_t)row[2] };
        if (!row[3]) u->together[u->n_together++] = u->apart[i];
    }
    qsort(u->together, (size_t)u->n_together, sizeof *u->together, by_parts);
    at = unicode_marks;
    for (int i = 0, row[3] = { 0 }; i < UNICODE_MARKS; i++) {
        next_row(&at, row, 3);
        u->marks[i] = (mark_run){ (uint32_t)row[0], (uint32_t)(row[0] + row[1] - 1), (uint32_t)row[2] };
    }
    return u;
}

void unicode_close(unicode *u) { free(u); }

/* ---- one character ------------------------------------------------------------------------------------------------------- */

static bool in_ranges(const range *r, int n, uint32_t c) {
    int low = 0;
    while (n > 0) {
        int half = n / 2;
        if (c < r[low + half].begin) n = half;
        else if (c < r[low + half].end) return true;
        else low += half + 1, n -= half + 1;
    }
    return false;
}

unicode_class unicode_class_of(const unicode *u, uint32_t c) {
    if (in_ranges(u->letters, UNICODE_LETTERS, c)) return UNICODE_LETTER;
    if (in_ranges(u->numbers, UNICODE_NUMBERS, c)) return UNICODE_NUMBER;
    return in_ranges(u->spaces, UNICODE_SPACES, c) ? UNICODE_SPACE : UNICODE_OTHER;
}

static int run_of(const void *key, const void *run) {
    uint32_t c = *(const uint32_t *)key;
    const uint32_t *r = run;      /* case_run and mark_run begin with first, last */
    return c < r[0] ? -1 : c > r[1];
}

static uint32_t lower_of(const unicode *u, uint32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    const case_run *r = bsearch(&c, u->lower, UNICODE_LOWER, sizeof *r, run_of);
    return r && (c - r->first) % r->step == 0 ? (uint32_t)((int32_t)c + r->add) : c;
}

static uint32_t order_of(const unicode *u, uint32_t c) {
    if (c < 0x300) return 0;
    const mark_run *r = bsearch(&c, u->marks, UNICODE_MARKS, sizeof *r, run_of);
    return r ? r->order : 0;
}

static int by_first(const void *key, const void *p) {
    uint32_t c = *(const uint32_t *)key, first = ((const pair *)p)->c;
    return (c > first) - (c < first);
}

/* The character that two are together, or 0. */
static uint32_t compose(const unicode *u, uint32_t a, uint32_t b) {
    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE && b < V_BASE + V_COUNT) return S_BASE + ((a - L_BASE) * V_COUNT + b - V_BASE) * T_COUNT;
    if (a >= S_BASE && a < S_BASE + S_COUNT && (a - S_BASE) % T_COUNT == 0 && b > T_BASE && b < T_BASE + T_COUNT) return a + b - T_BASE;
    const pair *p = bsearch(&(pair){ .a = a, .b = b }, u->together, (size_t)u->n_together, sizeof *p, by_parts);
    return p ? p->c : 0;
}

int unicode_utf8(uint32_t c, char out[4]) {
    if (c < 0x80) return out[0] = (char)c, 1;
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(0xf00 >> n | c);
    return n;
}

/* ---- a text: taken apart, marks put in order, put together again (Unicode Standard Annex 15) ------------------------------- */

static size_t put_apart(const unicode *u, uint32_t c, size_t from, unicode_char *out, size_t n) {
    const pair *p = c < 0xc0 ? NULL : bsearch(&c, u->apart, UNICODE_PAIRS, sizeof *p, by_first);
    if (p) {
        n = put_apart(u, p->a, from, out, n);
        return p->b ? put_apart(u, p->b, from, out, n) : n;
    }
    if (c >= S_BASE && c < S_BASE + S_COUNT) {
        uint32_t s = c - S_BASE;
        n = put_apart(u, L_BASE + s / (V_COUNT * T_COUNT), from, out, n);
        n = put_apart(u, V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT, from, out, n);
        return s % T_COUNT ? put_apart(u, T_BASE + s % T_COUNT, from, out, n) : n;
    }
    out[n] = (unicode_char){ (uint64_t)order_of(u, c) << 48 | n, from, c };
    return n + 1;
}

static unsigned order(const unicode_char *c) { return (unsigned)(c->order >> 48); }

static int by_order(const void *a, const void *b) {
    uint64_t p = ((const unicode_char *)a)->order, q = ((const unicode_char *)b)->order;
    return (p > q) - (p < q);
}

static void sort_marks(unicode_char *s, size_t n) {
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && order(&s[end]); end++) {}
        if (end - i > 1) qsort(s + i, end - i, sizeof *s, by_order);
        if (end == i) end++;
    }
}

static size_t put_together(const unicode *u, unicode_char *s, size_t n) {
    size_t out = 0, starter = 0;
    bool has_starter = false;
    for (size_t i = 0; i < n; i++) {
        /* Blocked by a mark between that is of the same or a higher class. */
        bool free_way = has_starter && (out == starter + 1 || order(&s[out - 1]) < order(&s[i]));
        uint32_t c = free_way ? compose(u, s[starter].c, s[i].c) : 0;
        if (c) {
            s[starter].c = c;
            continue;
        }
        s[out] = s[i];
        if (!order(&s[out])) starter = out, has_starter = true;
        out++;
    }
    return out;
}

size_t unicode_normalize(const unicode *u, const char *utf8, size_t size, unicode_char *out) {
    size_t n = 0;
    bool plain = true;
    for (size_t i = 0; i < size;) {
        int bytes;
        uint32_t c = text_code_point(utf8 + i, &bytes);
        plain = plain && c < 0xc0;
        n = put_apart(u, c, i, out, n);
        i += (size_t)bytes;
    }
    if (!plain) {
        sort_marks(out, n);
        n = put_together(u, out, n);
    }
    /* One becomes two, and is not composed again: U+0130, dotted I. */
    size_t dotted = 0;
    for (size_t i = 0; i < n; i++) dotted += out[i].c == 0x130;
    for (size_t i = n, to = n + dotted, from = size; i-- > 0;) {
        unicode_char c = out[i];
        if (c.from > from) c.from = from;      /* marks that changed places: the earliest of what follows */
        from = c.from;
        if (c.c == 0x130) out[--to] = (unicode_char){ 0, c.from, 0x307 };
        out[--to] = (unicode_char){ 0, c.from, c.c == 0x130 ? 'i' : lower_of(u, c.c) };
    }
    return n + dotted;
}
