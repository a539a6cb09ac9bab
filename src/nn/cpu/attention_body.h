/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the inner loops of attention, for one instruction set. Before it is included, a file defines
 *     LANES, PAIR               numbers of a vector, of a word (a macro)
 *     WIDE, WIDEST, ROWS(c)     panels of a group (see attention_isa.h); rows of queries that go with c panels in the registers
 *     ROWS_FEW, ROWS_MANY, BLOCK_BYTES
 *     V, W                      a vector of f32, of words; v_*, w_* and exp2_v, see attention_v512.h and attention_avx2.c
 *     HALF                      where an operation on half a vector takes half the time, a vector H of half the lanes, h_*
 *     y_store, Y_BYTES          how a vector of results is written, and bytes of one of them
 *     NAME                      the name of the attention_isa that comes out
 *
 * Per task, for each block of keys: scores of all rows; then of each row maximum, exponentials and sum; then the sums of values,
 * each tile of them loaded, multiplied by the row's factor exp(old maximum - new maximum), and stored. The factor is exactly 1 where
 * the maximum has not changed: exp2_v(0) is 1 without error, for any other number would be taken to the power of the number of blocks. */
#include <math.h>
#include <string.h>

#include "nn/cpu/attention_isa.h"

enum { MOST = 6 };   /* rows of a tile, and more than panels */

/* ---- tiles: fixed bounds and full unrolling, or compilers keep the sums in memory --------------------------------------- */

/* clang unrolls before it inlines, when it does not know n yet. */
#define EACH(i, n) UNROLL for (int i = 0; i < MOST; i++) if (i < (n))

/* s[r][c] = q[r] . k[c], over `words` words; q_row and s_row in bytes. */
INLINE void scores_tile(int rows, int panels, const char *q, size_t q_row, const char *k, size_t words, char *s, size_t s_row) {
    V sum[MOST][MOST];
    EACH(r, rows) EACH(c, panels) sum[r][c] = v_zero();
    for (size_t w = 0; w < words; w++, q += 4, k += panels * LANES * 4) {
        W b[MOST];
        EACH(c, panels) b[c] = w_load(k + c * LANES * 4);
        EACH(r, rows) {
            W x = w_set1(q + (size_t)r * q_row);
            EACH(c, panels) sum[r][c] = w_dot(x, b[c], sum[r][c]);
        }
    }
    EACH(r, rows) EACH(c, panels) v_store((float *)(s + (size_t)r * s_row) + c * LANES, sum[r][c]);
}

/* Rows of queries times a group of columns, over the keys of a block. */
typedef struct {
    const char *p;           /* exponentials, as words */
    size_t p_row;            /* bytes between rows */
    const char *v;           /* packed values */
    size_t words;
    float *o;                /* sums of the blocks before, if `factor` is not NULL, and after this one, if y is NULL */
    size_t o_row;
    const float *factor;     /* what those before are multiplied by, of each row */
    char *y;                 /* this is the last block: results go here, multiplied by `share` */
    size_t y_row;            /* bytes */
    const float *share;
} values_work;

INLINE void values_tile(int rows, int panels, bool half, const values_work *t) {
    V sum[MOST][MOST];
    const int whole = panels - half;
    const char *p = t->p, *v = t->v;
    float *o = t->o;
    size_t p_row = t->p_row;
#ifdef HALF
    H low[MOST];
    EACH(r, rows) low[r] = h_zero();
#endif
    EACH(r, rows) EACH(c, whole) sum[r][c] = v_zero();
    if (t->factor) {
        EACH(r, rows) {
            V f = v_set1(t->factor[r]);
            EACH(c, whole) sum[r][c] = v_mul(f, v_load(o + c * LANES));
#ifdef HALF
            if (half) low[r] = h_mul(h_of(f), h_load(o + whole * LANES));
#endif
            o += t->o_row;
        }
    }
    for (size_t w = t->words; w > 0; w--, p += 4, v += panels * LANES * 4) {
        W b[MOST];
        EACH(c, whole) b[c] = w_load(v + c * LANES * 4);
#ifdef HALF
        HW last = half ? hw_load(v + whole * LANES * 4) : hw_zero();
#endif
        EACH(r, rows) {
            W x = w_set1(p + (size_t)r * p_row);
            EACH(c, whole) sum[r][c] = w_dot(x, b[c], sum[r][c]);
#ifdef HALF
            if (half) low[r] = hw_dot(hw_of(x), last, low[r]);
#endif
        }
    }
    if (t->y) {
        char *y = t->y;
        EACH(r, rows) {
            V f = v_set1(t->share[r]);
            EACH(c, whole) y_store(y + c * LANES * Y_BYTES, v_mul(f, sum[r][c]));
#ifdef HALF
            if (half) yh_store(y + whole * LANES * Y_BYTES, h_mul(h_of(f), low[r]));
#endif
            y += t->y_row;
        }
    } else {
        o = t->o;
        __asm__("" : "+r"(o));   /* or gcc keeps all addresses from above, in vector registers */
        EACH(r, rows) {
            EACH(c, whole) v_store(o + c * LANES, sum[r][c]);
#ifdef HALF
            if (half) h_store(o + whole * LANES, low[r]);
#endif
            o += t->o_row;
        }
    }
}

/* One function for each number of rows and panels: what is constant here must not become a variable. */
typedef void scores_function(const char *q, size_t q_row, const char *k, size_t words, char *s, size_t s_row);
typedef void values_function(const values_work *t);

#define TILE(R, C) \
    static __attribute__((noinline)) void scores_##R##_##C(const char *q, size_t q_row, const char *k, size_t words, char *s, size_t s_row) { \
        scores_tile(R, C, q, q_row, k, words, s, s_row); \
    } \
    static __attribute__((noinline)) void values_##R##_##C(const values_work *t) { values_tile(R, C, false, t); }
#ifdef HALF
#define HALF_TILE(R, C) static __attribute__((noinline)) void halves_##R##_##C(const values_work *t) { values_tile(R, C, true, t); }
#else
#define HALF_TILE(R, C)
#endif
#define FOUR(X, C) X(1, C) X(2, C) X(3, C) X(4, C)
#define SIX(X, C) FOUR(X, C) X(5, C) X(6, C)
#define LIST(F, C) { F##1_##C, F##2_##C, F##3_##C, F##4_##C, F##5_##C, F##6_##C }

#if WIDEST == 5
#define ALL(X) SIX(X, 1) SIX(X, 2) SIX(X, 3) SIX(X, 4) FOUR(X, 5) X(5, 5)
#define TABLE(F) { LIST(F, 1), LIST(F, 2), LIST(F, 3), LIST(F, 4), { F##1_5, F##2_5, F##3_5, F##4_5, F##5_5 } }
#else
#define ALL(X) SIX(X, 1) SIX(X, 2) FOUR(X, 3)
#define TABLE(F) { LIST(F, 1), LIST(F, 2), { F##1_3, F##2_3, F##3_3, F##4_3 } }
#endif
ALL(TILE)
ALL(HALF_TILE)
static scores_function *const scores_of[WIDEST][MOST] = TABLE(scores_);
static values_function *const values_of[WIDEST][MOST] = TABLE(values_);
#ifdef HALF
static values_function *const halves_of[WIDEST][MOST] = TABLE(halves_);
#endif

/* ---- packing ----------------------------------------------------------------------------------------------------------- */

static const char *element(const attention_job *a, const void *base, size_t i) { return (const char *)base + i * nn_type_bytes(a->type); }

/* A head's rows of n tokens. */
typedef struct { nn_type type; const char *at; size_t row, n, d; } rows_in;   /* bytes between rows */

/* Panels of tokens from the first on. */
static void pack_keys(const rows_in *k, size_t first, size_t panels, char *to) {
    size_t words = (k->d + PAIR - 1) / PAIR;
    for (size_t p = 0; p < panels; p++, first += LANES)
        for (size_t w = 0; w < words; w += LANES) {
            W x[LANES];
            for (size_t i = 0; i < LANES; i++) x[i] = first + i < k->n ? w_load_words(k->type, k->at + (first + i) * k->row, w, k->d) : w_zero();
            w_transpose(x);
            for (size_t i = 0; i < LANES && w + i < words; i++) w_store(to + ((w + i) * panels + p) * LANES * 4, x[i]);
        }
}

/* Words of tokens [first, end) of one group of columns. */
static void pack_values(const rows_in *v, size_t first, size_t end, size_t column, size_t panels, char *to) {
    for (size_t w = first; w < end; w++)
        for (size_t p = 0; p < panels; p++) {
            const char *from = v->at + w * PAIR * v->row;
            W x = w * PAIR < v->n ? w_load_pair(v->type, from, w * PAIR + 1 < v->n ? from + v->row : NULL, column + p * LANES, v->d) : w_zero();
            w_store(to + (w * panels + p) * LANES * 4, x);
        }
}

/* The next head's part of a token's row: it is packed next, and no hardware prefetches short rows at long strides. */
static inline void fetch_next(const rows_in *x, size_t token) {
    size_t used = x->d * nn_type_bytes(x->type);
    for (size_t i = 0; i < used; i += 64) __builtin_prefetch(x->at + token * x->row + used + i, 0, 2);
}

static void pack(const attention_job *a, size_t picture, size_t head, size_t group, char *packed) {
    size_t first = attention_begin(a->keys, group), end = attention_begin(a->keys, group + 1), size = nn_type_bytes(a->type);
    rows_in k = { a->type, element(a, a->k, picture * a->k_picture + head * a->d), a->k_row * size, a->S, a->d };
    rows_in v = { a->type, element(a, a->v, picture * a->v_picture + head * a->d), a->v_row * size, a->S, a->d };
    for (size_t t = first * LANES; t < end * LANES && t < a->S && head + 1 < a->heads; t++) fetch_next(&k, t), fetch_next(&v, t);
    pack_keys(&k, first * LANES, end - first, packed + first * LANES * a->words * 4);
    for (size_t c = 0; c < a->columns.groups; c++) {
        size_t column = attention_begin(a->columns, c), panels = attention_begin(a->columns, c + 1) - column;
        pack_values(&v, first * LANES / PAIR, end * LANES / PAIR, column * LANES, panels, packed + a->k_bytes + column * LANES * a->key_words * 4);
    }
}

/* ---- a task ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const attention_job *a;
    const char *k, *v;               /* packed */
    const char *q;                   /* of the first row */
    const char *next_q;              /* the next task's */
    char *y;
    size_t q_row, rows, token;       /* bytes between rows; number of rows; the first one's token */
    float *s, *o;
    bool direct;                     /* results are written by the last block's tiles */
    float *most, *sum, *top, *factor;   /* of each row: maximum and sum so far, maximum of this block, what sums so far are multiplied by, */
    float *share;                       /* and what results are */
} task;

static void scores(const task *t, size_t first_group, size_t end_group) {
    const attention_job *a = t->a;
    size_t start = attention_begin(a->keys, first_group), s_row = a->s_row * 4;
    for (size_t g = first_group; g < end_group; g++) {
        size_t first = attention_begin(a->keys, g), panels = attention_begin(a->keys, g + 1) - first;
        attention_cut strips = { t->rows, (t->rows + ROWS(panels) - 1) / ROWS(panels) };
        const char *k = t->k + first * LANES * a->words * 4;
        char *s = (char *)t->s + (first - start) * LANES * 4;
        for (size_t i = 0; i < strips.groups; i++) {
            size_t r = attention_begin(strips, i), n = attention_begin(strips, i + 1) - r;
            scores_of[panels - 1][n - 1](t->q + r * t->q_row, t->q_row, k, a->words, s + r * s_row, s_row);
        }
    }
}

/* Keys that row r sees. */
static size_t seen(const task *t, size_t r) { return t->a->causal ? t->token + r + 1 : t->a->S; }

/* The largest of `valid` scores; the lanes behind them in their last vector become -inf. */
INLINE float row_top(float *s, size_t valid) {
    size_t whole = valid / LANES * LANES, i = 0;
    V top = v_set1(-INFINITY), up = top;
    for (; i + 2 * LANES <= whole; i += 2 * LANES) top = v_max(top, v_load(s + i)), up = v_max(up, v_load(s + i + LANES));
    if (i < whole) top = v_max(top, v_load(s + i));
    if (whole < valid) {
        V tail = v_first(valid - whole, v_load(s + whole), v_set1(-INFINITY));
        v_store(s + whole, tail);
        up = v_max(up, tail);
    }
    return v_top(v_max(top, up));
}

/* Short rows at long strides are what no hardware prefetches: the next task's query, and the output where it will be written. */
static void fetch_row(const task *t, size_t r) {
    size_t size = nn_type_bytes(t->a->type), used = t->a->d * size;
    for (size_t i = 0; i < used; i += 64) {
        __builtin_prefetch(t->next_q + r * t->a->q_row * size + i, 0, 2);
        __builtin_prefetch(t->y + r * t->a->y_row * size + i, 1);
    }
}

/* The scores of keys [first, first + keys) become exponentials, below the rows' new maxima; those a row does not see, zeros. */
static void soften(const task *t, size_t first, size_t keys) {
    const attention_job *a = t->a;
    for (size_t r = 0; r < t->rows; r++) {
        if (first == 0) fetch_row(t, r);
        size_t n = seen(t, r), valid = n < first ? 0 : n - first < keys ? n - first : keys;
        t->top[r] = row_top(t->s + r * a->s_row, valid) * a->scale;
    }
    for (size_t r = 0; r < t->rows; r += LANES) {
        V before = v_load(t->most + r), now = v_max(before, v_load(t->top + r));
        v_store(t->most + r, now);
        v_store(t->factor + r, exp2_v(v_sub(before, now)));
    }
    for (size_t r = 0; r < t->rows; r++) {
        size_t n = seen(t, r), valid = n < first ? 0 : n - first < keys ? n - first : keys, whole = (valid + LANES - 1) / LANES * LANES;
        float *s = t->s + r * a->s_row;
        t->sum[r] = t->sum[r] * t->factor[r] + v_total(row_exp2(s, whole, a->scale, t->most[r]));
        if (whole < keys) memset((char *)s + whole * (4 / PAIR), 0, (keys - whole) * (4 / PAIR));
    }
}

/* Whether tiles write the results themselves: whole vectors or halves, of this instruction set's own type. */
static bool direct(const attention_job *a) {
    size_t rest = a->d % LANES;
#ifdef HALF
    if (rest == LANES / 2) rest = 0;
#endif
    return rest == 0 && a->type == (PAIR == 2 ? NN_BF16 : NN_F32);
}

static void values(const task *t, size_t first, size_t keys, bool last_block) {
    const attention_job *a = t->a;
    values_work work = { .p_row = a->s_row * 4, .words = keys / PAIR, .o_row = a->o_row, .y_row = a->y_row * Y_BYTES };
    for (size_t c = 0; c < a->columns.groups; c++) {
        size_t column = attention_begin(a->columns, c), panels = attention_begin(a->columns, c + 1) - column;
        attention_cut strips = { t->rows, (t->rows + ROWS(panels) - 1) / ROWS(panels) };
        values_function *const *of = values_of[panels - 1];
#ifdef HALF
        if ((a->d - 1) % LANES < LANES / 2 && c + 1 == a->columns.groups) of = halves_of[panels - 1];
#endif
        work.v = t->v + (column * a->key_words + first / PAIR * panels) * LANES * 4;
        for (size_t i = 0; i < strips.groups; i++) {
            size_t r = attention_begin(strips, i), n = attention_begin(strips, i + 1) - r;
            work.p = (const char *)(t->s + r * a->s_row);
            work.o = t->o + r * a->o_row + column * LANES;
            work.factor = first ? t->factor + r : NULL;
            if (last_block && t->direct) work.y = t->y + r * work.y_row + column * LANES * Y_BYTES, work.share = t->share + r;
            of[n - 1](&work);
        }
    }
}

static void attend_blocks(task *t) {
    const attention_job *a = t->a;
    size_t most = seen(t, t->rows - 1);
    for (size_t b = 0, first = 0; first < most; b++) {
        size_t first_group = attention_begin(a->blocks, b), end_group = attention_begin(a->blocks, b + 1);
        while (attention_begin(a->keys, end_group - 1) * LANES >= most) end_group--;
        size_t end = attention_begin(a->keys, end_group) * LANES;
        scores(t, first_group, end_group);
        soften(t, first, end - first);
        if (end >= most)
            for (size_t r = 0; r < t->rows; r++) t->share[r] = 1 / t->sum[r];
        values(t, first, end - first, end >= most);
        first = end;
    }
}

/* The first query of task i, among all. Behind the last task: an address that is only prefetched. */
static const char *query_of(const attention_job *a, size_t i) {
    size_t picture, head, block;
    attention_task(a, i, &picture, &head, &block);
    return element(a, a->q, picture * a->q_picture + attention_begin(a->rows, block) * a->q_row + head * a->d);
}

/* Cuts the thread's scratch up (see lay_out in attention.c). */
static void place_scratch(task *t, char *scratch) {
    const attention_job *a = t->a;
    size_t room = (a->block_rows + LANES - 1) / LANES * LANES;
    t->s = (float *)scratch;
    t->o = t->s + a->block_rows * a->s_row;
    char *copy = (char *)(t->o + a->block_rows * a->o_row);
    t->most = (float *)(copy + a->block_rows * a->words * 4);
    t->sum = t->most + room;
    t->top = t->sum + room;
    t->factor = t->top + room;
    t->share = t->top;
    for (size_t r = 0; r < room; r++) t->most[r] = t->top[r] = -INFINITY, t->sum[r] = 0;
    if (!a->copy_q) return;
    for (size_t r = 0; r < t->rows; r++) w_copy_row(a->type, copy + r * a->words * 4, t->q + r * t->q_row, a->d);
    t->q = copy;
    t->q_row = a->words * 4;
}

static void attend(const attention_job *a, size_t i, const char *packed, char *scratch) {
    size_t picture, head, block, size = nn_type_bytes(a->type);
    attention_task(a, i, &picture, &head, &block);
    task t = { .a = a, .k = packed, .v = packed + a->k_bytes, .q = query_of(a, i), .next_q = query_of(a, i + 1), .q_row = a->q_row * size, .direct = direct(a) };
    t.token = attention_begin(a->rows, block);
    t.rows = attention_begin(a->rows, block + 1) - t.token;
    t.y = (char *)a->y + (picture * a->y_picture + t.token * a->y_row + head * a->d) * size;
    place_scratch(&t, scratch);
    attend_blocks(&t);
    for (size_t r = 0; r < t.rows && !t.direct; r++) finish_row(a->type, t.y + r * a->y_row * size, t.o + r * a->o_row, a->d, t.share[r]);
    float *log_sum = a->log_sum ? a->log_sum + (picture * a->heads + head) * a->T + t.token : NULL;
    for (size_t r = 0; log_sum && r < t.rows; r++) log_sum[r] = (float)(t.most[r] * M_LN2 + log((double)t.sum[r]));
}

const attention_isa NAME = {
    .lanes = LANES, .pair = PAIR, .wide = WIDE, .widest = WIDEST, .rows_few = ROWS_FEW, .rows_many = ROWS_MANY, .block_bytes = BLOCK_BYTES,
    .pack = pack, .attend = attend,
};
