/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the driver of attention's gradient (attention_d.c) and its inner loops (attention_d_body.h, compiled for each instruction set).
 * Words, panels and groups as in attention_isa.h.
 *
 * A head's scores are cut into chunks of queries times chunks of keys, by shape alone. In step s the chunk of queries c is paired with the chunk of keys
 * (c + s) mod key_chunks, so that the tasks of a step add to sums of their own (of dq by queries, of dk and dv by keys), and each sum is taken in
 * one order, whoever does which task. Where there are more chunks of queries than of keys, the sums of dk and dv have `copies`, added in the end.
 *
 * A head's room:
 *     keys, values     as attention's packed keys: [group][word of d][keys of the group]
 *     key pairs        as attention's packed values: [group of columns][word of keys][columns]
 *     sums             dk, then dv, of each copy: [keys][o_row] f32; with several chunks of keys those of dq: [T][o_row] f32 */
#ifndef NN_CPU_ATTENTION_D_ISA_H
#define NN_CPU_ATTENTION_D_ISA_H

#include "nn/cpu/attention_isa.h"

/* Of the first token and head; elements between tokens and between pictures. Heads are d elements apart. */
typedef struct { const void *at; size_t row, picture; } attention_operand;

typedef struct {
    nn_type type;
    size_t n, heads, T, S, d;
    bool causal;
    attention_operand q, k, v, y, dy;
    const float *log_sum;              /* [n][heads][T] */
    void *dq, *dk, *dv;                /* [n][tokens][heads d], or NULL: not wanted */

    /* The rest is attention_d_plan's. */
    float scale;                       /* 1 / sqrt(d) */
    size_t words, key_words;           /* of a key; of all keys */
    attention_cut keys, columns;
    attention_cut blocks, key_chunks;  /* groups of keys in blocks, whose weights are kept at once; blocks in chunks */
    attention_cut rows, chunks;        /* queries in blocks; blocks in chunks */
    size_t copies;
    size_t block_keys, block_rows;     /* the largest; rows in whole words */
    size_t o_row;                      /* floats between rows of sums */
    size_t word_row, key_row;          /* bytes between rows of weights: of words of queries, of words of keys */
    bool by_heads;                     /* a thread does all of a head; else all threads do `wave` heads at a time */
    size_t wave;

    /* Offsets into a head's room, and into a thread's scratch: a block's queries and dy by row and in pairs, sums of dq, weights and slopes by
     * words of queries, slopes by words of keys, and of each row the mean slope and the logarithm. */
    size_t at_values, at_pairs, at_sums, at_dq, head_bytes;
    size_t at_dy, at_q_pairs, at_dy_pairs, at_o, at_weights, at_slopes, at_key_slopes, at_mean, at_log_sum, thread_bytes;
} attention_d_job;

typedef struct {
    size_t lanes, pair, wide, widest;
    /* One group of keys into the head's room; causal: clears its part of the sums. */
    void (*pack)(const attention_d_job *a, size_t picture, size_t head, size_t group, char *room);
    /* The task of one chunk of queries in one step. */
    void (*add)(const attention_d_job *a, size_t picture, size_t head, size_t chunk, size_t step, char *room, char *scratch);
    /* dk and dv of one group of keys, from their sums. */
    void (*finish)(const attention_d_job *a, size_t picture, size_t head, size_t group, char *room);
} attention_d_isa;

/* Fills in how the work of a job of that shape is cut; 0 or ERR_LIMIT. */
int  attention_d_plan(attention_d_job *a, const attention_d_isa *isa, int threads, size_t *scratch_bytes);
/* With the operands set. */
void attention_d_compute(const attention_d_job *a, const attention_d_isa *isa, int threads, void *scratch);

extern const attention_d_isa attention_d_avx512bf16, attention_d_avx512, attention_d_avx2;

#endif
