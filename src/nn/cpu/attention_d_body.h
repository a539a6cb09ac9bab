/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the inner loops of attention's gradient, for one instruction set; included behind attention_body.h, with NAME_D and
 *     v_fms(a, b, c)                         a b - c
 *     v_load_row(type, row, i, d)            numbers [i, i + LANES) of a row of d, as f32, zeros behind its end
 *     put_weights(words, a, b)               a panel of keys of PAIR rows of queries, as words
 *     put_slopes(words, rows, row, a, b)     the same, and each row by itself, for words of keys; where PAIR is 1 they are one
 *
 * Per block of queries and block of keys: with p = exp(score - log_sum) and ds = p (dy v - mean), where mean = dy y,
 *     dv += p^T dy,   dk += ds^T q,   dq += ds k,   the last two times 1/sqrt(d) in the end,
 * where p and ds are made tile by tile from two products in registers; p and ds are rounded to words, all sums are f32. */
#include "nn/cpu/attention_d_isa.h"

/* ---- weights and slopes -------------------------------------------------------------------------------------------------- */

/* What a masked key's score begins with. Row r of a tile sees `valid + r by` of its keys: see mask_at. */
enum { MASK = WIDEST * LANES + 8 };
static const float mask[2 * MASK] = { [MASK ... 2 * MASK - 1] = -INFINITY };

typedef struct {
    const char *q, *dy;        /* rows of words */
    size_t row;                /* bytes between them */
    const char *k, *v;         /* the group's packed keys and values */
    size_t words;
    const float *mask;
    ptrdiff_t mask_row;
    float scale;               /* of scores, times log2(e) */
    const float *log_sum;      /* of each row, times log2(e) */
    const float *mean;         /* of each row, negative */
    char *weights, *slopes, *key_slopes;
    size_t word_row, key_row;
} weigh_work;

INLINE void multiply_tile(int rows, int panels, const char *q, size_t q_row, const char *k, size_t words, V sum[MOST][MOST]) {
    for (size_t w = words; w > 0; w--, q += 4, k += panels * LANES * 4) {
        W b[MOST];
        EACH(c, panels) b[c] = w_load(k + c * LANES * 4);
        EACH(r, rows) {
            W x = w_set1(q + (size_t)r * q_row);
            EACH(c, panels) sum[r][c] = w_dot(x, b[c], sum[r][c]);
        }
    }
}

INLINE void weigh_tile(int rows, int panels, const weigh_work *t) {
    V sum[MOST][MOST];
    float slope[MOST * MOST * LANES] __attribute__((aligned(64)));
    EACH(r, rows) {
        V mean = v_set1(t->mean[r]);
        EACH(c, panels) sum[r][c] = mean;
    }
    multiply_tile(rows, panels, t->dy, t->row, t->v, t->words, sum);
    EACH(r, rows) EACH(c, panels) v_store(slope + (r * panels + c) * LANES, sum[r][c]);
    __asm__ volatile("" : : "r"(slope) : "memory");   /* or they are kept in registers, and others spilled for them, one by one */
    EACH(r, rows) EACH(c, panels) sum[r][c] = v_load(t->mask + r * t->mask_row + c * LANES);
    multiply_tile(rows, panels, t->q, t->row, t->k, t->words, sum);
    char *weights = t->weights, *slopes = t->slopes, *key_slopes = t->key_slopes;
    __asm__("" : "+r"(weights), "+r"(slopes), "+r"(key_slopes));
    V scale = v_set1(t->scale);
    EACH(r, rows) {
        if (r % PAIR) continue;
        const int next = r + PAIR - 1;
        V low = v_set1(t->log_sum[r]), high = v_set1(t->log_sum[next]);
        EACH(c, panels) {
            V a = exp2_v(v_fms(sum[r][c], scale, low)), b = PAIR == 1 ? a : exp2_v(v_fms(sum[next][c], scale, high));
            put_weights(weights + c * LANES * 4, a, b);
            a = v_mul(a, v_load(slope + (r * panels + c) * LANES));
            if (PAIR > 1) b = v_mul(b, v_load(slope + (next * panels + c) * LANES));
            put_slopes(slopes + c * LANES * 4, key_slopes + c * LANES * (4 / PAIR), t->key_row, a, b);
        }
        weights += t->word_row, slopes += t->word_row, key_slopes += PAIR * t->key_row;
    }
}

/* ---- sums of products ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *p;             /* weights or slopes */
    size_t p_step;             /* bytes between the words of a row, or, along, between rows */
    const char *b;             /* packed columns of a group */
    size_t words;
    float *o;
    size_t o_row;
    bool fresh;                /* nothing is in o yet */
} sums_work;

/* Rows of queries over words of keys (along), or rows of keys over words of queries, which are p_step apart. */
INLINE void sums_tile(int rows, int panels, bool half, bool along, const sums_work *t) {
    V sum[MOST][MOST];
    const int whole = panels - half;
    const char *p = t->p, *b = t->b;
    size_t p_step = t->p_step, o_row = t->o_row;
    float *o = t->o;
#ifdef HALF
    H low[MOST];
#endif
    if (t->fresh) {
        EACH(r, rows) EACH(c, whole) sum[r][c] = v_zero();
#ifdef HALF
        EACH(r, rows) low[r] = h_zero();
#endif
    } else {
        EACH(r, rows) {
            EACH(c, whole) sum[r][c] = v_load(o + c * LANES);
#ifdef HALF
            low[r] = half ? h_load(o + whole * LANES) : h_zero();
#endif
            o += o_row;
        }
    }
    for (size_t w = t->words; w > 0; w--, p += along ? 4 : p_step, b += panels * LANES * 4) {
        W x[MOST];
        EACH(c, whole) x[c] = w_load(b + c * LANES * 4);
#ifdef HALF
        HW last = half ? hw_load(b + whole * LANES * 4) : hw_zero();
#endif
        EACH(r, rows) {
            W y = w_set1(p + (along ? (size_t)r * p_step : (size_t)r * 4));
            EACH(c, whole) sum[r][c] = w_dot(y, x[c], sum[r][c]);
#ifdef HALF
            if (half) low[r] = hw_dot(hw_of(y), last, low[r]);
#endif
        }
    }
    o = t->o;
    __asm__("" : "+r"(o));   /* or gcc keeps all addresses from above, in vector registers */
    EACH(r, rows) {
        EACH(c, whole) v_store(o + c * LANES, sum[r][c]);
#ifdef HALF
        if (half) h_store(o + whole * LANES, low[r]);
#endif
        o += o_row;
    }
}

/* One function for each shape, as in attention_body.h. A block has a panel of keys at least, so strips of them have four or more. */
typedef void weigh_function(const weigh_work *t);
typedef void sums_function(const sums_work *t);

#define ALONG_TILE(R, C) static __attribute__((noinline)) void along_##R##_##C(const sums_work *t) { sums_tile(R, C, false, true, t); }
#define ACROSS_TILE(R, C) static __attribute__((noinline)) void across_##R##_##C(const sums_work *t) { sums_tile(R, C, false, false, t); }
#define ALONG_HALF_TILE(R, C) static __attribute__((noinline)) void along_half_##R##_##C(const sums_work *t) { sums_tile(R, C, true, true, t); }
#define ACROSS_HALF_TILE(R, C) static __attribute__((noinline)) void across_half_##R##_##C(const sums_work *t) { sums_tile(R, C, true, false, t); }
#define WEIGH_TILE(N, C) static __attribute__((noinline)) void weigh_##N##_##C(const weigh_work *t) { weigh_tile(PAIR * N, C, t); }

#define LATER(X, C) X(4, C) X(5, C) X(6, C)
#define LATER_LIST(F, C) { NULL, NULL, NULL, F##4_##C, F##5_##C, F##6_##C }
#if WIDEST == 5
#define ALL_LATER(X) LATER(X, 1) LATER(X, 2) LATER(X, 3) LATER(X, 4) X(4, 5) X(5, 5)
#define LATER_TABLE(F) { LATER_LIST(F, 1), LATER_LIST(F, 2), LATER_LIST(F, 3), LATER_LIST(F, 4), { NULL, NULL, NULL, F##4_5, F##5_5 } }
#else
#define ALL_LATER(X) LATER(X, 1) LATER(X, 2) X(4, 3)
#define LATER_TABLE(F) { LATER_LIST(F, 1), LATER_LIST(F, 2), { NULL, NULL, NULL, F##4_3 } }
#endif
#if PAIR == 2
#define THREE(X, C) X(1, C) X(2, C) X(3, C)
#define ALL_WORDS(X) THREE(X, 1) THREE(X, 2) THREE(X, 3) THREE(X, 4) X(1, 5) X(2, 5)
#define THREE_LIST(F, C) { F##1_##C, F##2_##C, F##3_##C }
#define WORDS_TABLE(F) { THREE_LIST(F, 1), THREE_LIST(F, 2), THREE_LIST(F, 3), THREE_LIST(F, 4), { F##1_5, F##2_5 } }
#else
#define ALL_WORDS(X) ALL(X)
#define WORDS_TABLE(F) TABLE(F)
#endif
ALL_WORDS(WEIGH_TILE)
ALL(ALONG_TILE)
ALL_LATER(ACROSS_TILE)
static weigh_function *const weigh_of[WIDEST][MOST] = WORDS_TABLE(weigh_);
static sums_function *const along_of[WIDEST][MOST] = TABLE(along_);
static sums_function *const across_of[WIDEST][MOST] = LATER_TABLE(across_);
#ifdef HALF
ALL(ALONG_HALF_TILE)
ALL_LATER(ACROSS_HALF_TILE)
static sums_function *const along_half_of[WIDEST][MOST] = TABLE(along_half_);
static sums_function *const across_half_of[WIDEST][MOST] = LATER_TABLE(across_half_);
#endif

/* ---- a head's keys ------------------------------------------------------------------------------------------------------- */

static rows_in rows_of(const attention_d_job *a, const attention_operand *x, size_t picture, size_t head, size_t token, size_t n) {
    size_t size = nn_type_bytes(a->type);
    return (rows_in){ a->type, (const char *)x->at + (picture * x->picture + token * x->row + head * a->d) * size, x->row * size, n, a->d };
}

/* Words [first, end) of tokens, in all groups of columns, each of which has room for `words`. */
static void pack_columns(const attention_d_job *a, const rows_in *x, size_t first, size_t end, size_t words, char *to) {
    for (size_t c = 0; c < a->columns.groups; c++) {
        size_t column = attention_begin(a->columns, c), panels = attention_begin(a->columns, c + 1) - column;
        pack_values(x, first, end, column * LANES, panels, to + column * LANES * words * 4);
    }
}

static float *key_sums(const attention_d_job *a, char *room, size_t copy, size_t which) {
    return (float *)(room + a->at_sums) + (2 * copy + which) * a->keys.panels * LANES * a->o_row;
}

static void pack_d(const attention_d_job *a, size_t picture, size_t head, size_t group, char *room) {
    size_t first = attention_begin(a->keys, group), end = attention_begin(a->keys, group + 1), row = a->o_row * sizeof(float);
    rows_in k = rows_of(a, &a->k, picture, head, 0, a->S), v = rows_of(a, &a->v, picture, head, 0, a->S);
    for (size_t t = first * LANES; t < end * LANES && t < a->S && head + 1 < a->heads; t++) fetch_next(&k, t), fetch_next(&v, t);
    pack_keys(&k, first * LANES, end - first, room + first * LANES * a->words * 4);
    pack_keys(&v, first * LANES, end - first, room + a->at_values + first * LANES * a->words * 4);
    pack_columns(a, &k, first * LANES / PAIR, end * LANES / PAIR, a->key_words, room + a->at_pairs);
    if (!a->causal) return;
    for (size_t i = 0; i < 2 * a->copies; i++) memset(key_sums(a, room, 0, i) + first * LANES * a->o_row, 0, (end - first) * LANES * row);
    size_t from = a->T * group / a->keys.groups, to = a->T * (group + 1) / a->keys.groups;
    if (a->key_chunks.groups > 1) memset(room + a->at_dq + from * row, 0, (to - from) * row);
}

static void finish_d(const attention_d_job *a, size_t picture, size_t head, size_t group, char *room) {
    size_t first = attention_begin(a->keys, group) * LANES, end = attention_begin(a->keys, group + 1) * LANES, size = nn_type_bytes(a->type);
    for (size_t which = 0; which < 2; which++) {
        char *out = which ? a->dv : a->dk;
        for (size_t s = first; out && s < end && s < a->S; s++) {
            float *o = key_sums(a, room, 0, which) + s * a->o_row;
            for (size_t copy = 1; copy < a->copies; copy++) {
                const float *more = key_sums(a, room, copy, which) + s * a->o_row;
                for (size_t i = 0; i < a->o_row; i += LANES) v_store(o + i, v_add(v_load(o + i), v_load(more + i)));
            }
            finish_row(a->type, out + ((picture * a->S + s) * a->heads + head) * a->d * size, o, a->d, which ? 1 : a->scale);
        }
    }
}

/* ---- a task -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const attention_d_job *a;
    char *room, *scratch;
    size_t token, rows, words;     /* the block's first query, queries, and words of them */
    float *dq;                     /* its sums */
    float *dk, *dv;                /* all keys' */
    rows_in next[3];               /* q, dy and y of the next block, as many of its rows as there are here; n is 0 behind the last and once they are fetched */
    char *out;                     /* dq of this block's first query */
} block_task;

static void fetch_bytes(const char *at, size_t bytes, bool write) {
    for (size_t i = 0; i < bytes + 63; i += 64) {
        const char *line = at + (i < bytes ? i : bytes - 1);
        if (write) __builtin_prefetch(line, 1, 2);
        else __builtin_prefetch(line, 0, 2);
    }
}

/* Short rows at long strides are what no hardware prefetches; all of a block's at once would hold up everything else, so each strip of rows fetches its share. */
static void fetch_rows(const block_task *t, size_t r, size_t n) {
    const attention_d_job *a = t->a;
    size_t used = a->d * nn_type_bytes(a->type);
    for (size_t end = r + n < t->rows ? r + n : t->rows; r < end; r++) {
        for (int i = 0; i < 3; i++)
            if (r < t->next[i].n) fetch_bytes(t->next[i].at + r * t->next[i].row, used, false);
        if (a->dq && t->next[0].n) fetch_bytes(t->out + r * a->heads * used, used, true);
    }
}

/* Queries, dy, mean slopes and logarithms of a block, as the tiles read them. A row that fills the last word weighs nothing. */
static void take_queries(const block_task *t, size_t picture, size_t head) {
    const attention_d_job *a = t->a;
    rows_in q = rows_of(a, &a->q, picture, head, t->token, t->rows), dy = rows_of(a, &a->dy, picture, head, t->token, t->rows);
    rows_in y = rows_of(a, &a->y, picture, head, t->token, t->rows);
    const float *log_sum = a->log_sum + (picture * a->heads + head) * a->T + t->token;
    float *mean = (float *)(t->scratch + a->at_mean), *logs = (float *)(t->scratch + a->at_log_sum);
    char *q_rows = t->scratch, *dy_rows = t->scratch + a->at_dy;
    size_t row = a->words * 4;
    for (size_t r = 0; r < t->rows; r++) {
        const char *q_at = q.at + r * q.row, *dy_at = dy.at + r * dy.row, *y_at = y.at + r * y.row;
        V sum = v_zero();
        for (size_t i = 0; i < a->d; i += LANES) sum = v_fma(v_load_row(a->type, dy_at, i, a->d), v_load_row(a->type, y_at, i, a->d), sum);
        mean[r] = -v_total(sum);
        logs[r] = log_sum[r] * (float)M_LOG2E;
        w_copy_row(a->type, q_rows + r * row, q_at, a->d);
        w_copy_row(a->type, dy_rows + r * row, dy_at, a->d);
    }
    for (size_t r = t->rows; r < t->words * PAIR; r++) {
        memset(q_rows + r * row, 0, row), memset(dy_rows + r * row, 0, row);
        mean[r] = 0, logs[r] = INFINITY;
    }
    q = (rows_in){ PAIR == 2 ? NN_BF16 : NN_F32, q_rows, row, t->rows, a->d };
    dy = q, dy.at = dy_rows;
    if (a->dk) pack_columns(a, &q, 0, t->words, t->words, t->scratch + a->at_q_pairs);
    if (a->dv) pack_columns(a, &dy, 0, t->words, t->words, t->scratch + a->at_dy_pairs);
}

/* For a tile whose first row sees `valid` of its keys, and each further one as many, or, causal, one more. */
static const float *mask_at(ptrdiff_t valid) { return mask + MASK - (valid > WIDEST * LANES ? WIDEST * LANES : valid < -8 ? -8 : valid); }

/* Keys that the block's row r sees. */
static size_t seen_d(const block_task *t, size_t r) { return t->a->causal ? t->token + r + 1 : t->a->S; }

static void weigh(const block_task *t, size_t first_group, size_t end_group) {
    const attention_d_job *a = t->a;
    size_t start = attention_begin(a->keys, first_group), row = a->words * 4;
    weigh_work work = { .row = row, .words = a->words, .mask_row = a->causal ? -1 : 0, .scale = a->scale * (float)M_LOG2E, .word_row = a->word_row, .key_row = a->key_row };
    for (size_t g = first_group; g < end_group; g++) {
        size_t first = attention_begin(a->keys, g), panels = attention_begin(a->keys, g + 1) - first, most = ROWS(panels) / PAIR;
        attention_cut strips = { t->words, (t->words + most - 1) / most };
        work.k = t->room + first * LANES * a->words * 4;
        work.v = work.k + a->at_values;
        for (size_t i = 0; i < strips.groups; i++) {
            size_t w = attention_begin(strips, i), n = attention_begin(strips, i + 1) - w, r = w * PAIR;
            work.q = t->scratch + r * row;
            work.dy = work.q + a->at_dy;
            work.mask = mask_at((ptrdiff_t)seen_d(t, r) - (ptrdiff_t)(first * LANES));
            work.log_sum = (const float *)(t->scratch + a->at_log_sum) + r;
            work.mean = (const float *)(t->scratch + a->at_mean) + r;
            work.weights = t->scratch + a->at_weights + w * a->word_row + (first - start) * LANES * 4;
            work.slopes = t->scratch + a->at_slopes + w * a->word_row + (first - start) * LANES * 4;
            work.key_slopes = t->scratch + a->at_key_slopes + r * a->key_row + (first - start) * LANES * (4 / PAIR);
            if (g == first_group) fetch_rows(t, r, n * PAIR);
            weigh_of[panels - 1][n - 1](&work);
        }
    }
}

/* work: p, p_step, words, o and fresh; b at the first of the words, in groups of columns that have room for b_words. */
static void add_sums(const attention_d_job *a, bool along, size_t rows, size_t b_words, const char *b, size_t first_word, sums_work work) {
    const char *p = work.p;
    float *o = work.o;
    work.o_row = a->o_row;
    for (size_t c = 0; c < a->columns.groups; c++) {
        size_t column = attention_begin(a->columns, c), panels = attention_begin(a->columns, c + 1) - column;
        attention_cut strips = { rows, (rows + ROWS(panels) - 1) / ROWS(panels) };
        sums_function *const *of = along ? along_of[panels - 1] : across_of[panels - 1];
#ifdef HALF
        if ((a->d - 1) % LANES < LANES / 2 && c + 1 == a->columns.groups) of = along ? along_half_of[panels - 1] : across_half_of[panels - 1];
#endif
        work.b = b + (column * b_words + first_word * panels) * LANES * 4;
        for (size_t i = 0; i < strips.groups; i++) {
            size_t r = attention_begin(strips, i), n = attention_begin(strips, i + 1) - r;
            work.p = p + r * (along ? work.p_step : 4);
            work.o = o + r * a->o_row + column * LANES;
            of[n - 1](&work);
        }
    }
}

/* fresh_q, fresh_k: the first to add to the sums of dq, of dk and dv. */
static void add_block(const block_task *t, size_t first_group, size_t end_group, bool fresh_q, bool fresh_k) {
    const attention_d_job *a = t->a;
    size_t first = attention_begin(a->keys, first_group) * LANES, keys = attention_begin(a->keys, end_group) * LANES - first;
    char *s = t->scratch;
    weigh(t, first_group, end_group);
    if (a->dv) add_sums(a, false, keys, t->words, s + a->at_dy_pairs, 0, (sums_work){ .p = s + a->at_weights, .p_step = a->word_row, .words = t->words, .o = t->dv + first * a->o_row, .fresh = fresh_k });
    if (a->dk) add_sums(a, false, keys, t->words, s + a->at_q_pairs, 0, (sums_work){ .p = s + a->at_slopes, .p_step = a->word_row, .words = t->words, .o = t->dk + first * a->o_row, .fresh = fresh_k });
    if (a->dq) add_sums(a, true, t->rows, a->key_words, t->room + a->at_pairs, first / PAIR, (sums_work){ .p = s + a->at_key_slopes, .p_step = a->key_row, .words = keys / PAIR, .o = t->dq, .fresh = fresh_q });
}

static void add_d(const attention_d_job *a, size_t picture, size_t head, size_t chunk, size_t step, char *room, char *scratch) {
    size_t key_chunks = a->key_chunks.groups, key_chunk = (chunk + step) % key_chunks, size = nn_type_bytes(a->type);
    size_t first_block = attention_begin(a->key_chunks, key_chunk), end_block = attention_begin(a->key_chunks, key_chunk + 1), begin = attention_begin(a->chunks, chunk);
    block_task t = { .a = a, .room = room, .scratch = scratch, .dk = key_sums(a, room, chunk / key_chunks, 0), .dv = key_sums(a, room, chunk / key_chunks, 1) };
    for (size_t i = begin; i < attention_begin(a->chunks, chunk + 1); i++) {
        t.token = attention_begin(a->rows, i);
        t.rows = attention_begin(a->rows, i + 1) - t.token;
        t.words = (t.rows + PAIR - 1) / PAIR;
        t.dq = key_chunks > 1 ? (float *)(room + a->at_dq) + t.token * a->o_row : (float *)(scratch + a->at_o);
        take_queries(&t, picture, head);
        size_t next = t.token + 2 * t.rows <= a->T ? t.rows : 0;
        t.next[0] = rows_of(a, &a->q, picture, head, t.token + t.rows, next);
        t.next[1] = rows_of(a, &a->dy, picture, head, t.token + t.rows, next);
        t.next[2] = rows_of(a, &a->y, picture, head, t.token + t.rows, next);
        t.out = (char *)a->dq + ((picture * a->T + t.token) * a->heads + head) * a->d * size;
        bool zero = a->causal && key_chunks > 1;   /* sums are cleared */
        for (size_t b = first_block; b < end_block; b++) {
            size_t group = attention_begin(a->blocks, b), end = attention_begin(a->blocks, b + 1);
            while (end > group && attention_begin(a->keys, end - 1) * LANES >= seen_d(&t, t.rows - 1)) end--;
            if (end > group) add_block(&t, group, end, !zero && step == 0 && b == first_block, !a->causal && step == 0 && i == begin);
            for (int j = 0; j < 3; j++) t.next[j].n = 0;
        }
        for (size_t r = 0; a->dq && step + 1 == key_chunks && r < t.rows; r++) finish_row(a->type, t.out + r * a->heads * a->d * size, t.dq + r * a->o_row, a->d, a->scale);
    }
}

const attention_d_isa NAME_D = {
    .lanes = LANES, .pair = PAIR, .wide = WIDE, .widest = WIDEST, .pack = pack_d, .add = add_d, .finish = finish_d,
};
