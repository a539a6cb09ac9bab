/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the driver of attention (attention.c), which knows tensors, threads and memory, and its inner loops
 * (attention_body.h, compiled for each instruction set), which know vectors.
 *
 * The inner loops count in words of 4 bytes: one f32 number, or a pair of bf16 numbers, which are multiplied and summed in one
 * instruction. A panel is a vector's worth of keys (or of a head's columns); one to `widest` panels that an inner loop
 * keeps in registers together are a group. Packed, per head:
 *     keys     [group][word of d][keys of the group]          a word: one number, or channels 2w and 2w + 1, of one key
 *     values   [group of columns][word of keys][columns]      a word: one number, or keys 2w and 2w + 1, of one column
 * with zeros for keys and columns that are not there. */
#ifndef NN_CPU_ATTENTION_ISA_H
#define NN_CPU_ATTENTION_ISA_H

#include "nn/tensor.h"

/* `panels` in `groups` that differ by one at most. */
typedef struct { size_t panels, groups; } attention_cut;

static inline size_t attention_begin(attention_cut c, size_t group) { return c.panels * group / c.groups; }

/* Of tasks (a block of queries of one head each), and where packed heads are. */
typedef enum {
    ATTENTION_BY_TOKENS,   /* all heads are packed first; all heads of a block of queries, then of the next: for few keys */
    ATTENTION_BY_HEADS,    /* a thread packs a head into its own scratch and does all its queries, which needs enough heads */
    ATTENTION_BY_BLOCKS,   /* all heads are packed first; all blocks of a head, then of the next */
} attention_order;

typedef struct {
    nn_type type;                  /* of q, k, v and y */
    size_t n, heads, T, S, d;
    bool causal;
    const void *q, *k, *v;         /* of the first token and head; heads are d elements apart */
    void *y;
    float *log_sum;                /* [n][heads][T], or NULL */
    size_t q_row, k_row, v_row, y_row;                   /* elements between tokens, */
    size_t q_picture, k_picture, v_picture, y_picture;   /* and between pictures */

    /* The rest is attention_plan's. */
    float scale;                   /* 1 / sqrt(d), times log2(e) */
    size_t words, key_words;       /* of a key; of all keys */
    attention_cut keys, columns;
    attention_cut blocks;          /* groups of keys in blocks whose scores are kept at once */
    attention_cut rows;            /* queries in blocks of one task; .panels is T */
    size_t block_keys, block_rows; /* the largest */
    attention_order order;
    bool copy_q;                   /* a query must be widened, or padded to whole words */
    size_t k_bytes, head_bytes, packed_bytes;   /* packed keys of a head; with its values; of all heads that are kept at once */
    size_t s_row, o_row;           /* words between rows of scores, floats between rows of sums */
    size_t thread_bytes;
} attention_job;

static inline void attention_task(const attention_job *a, size_t i, size_t *picture, size_t *head, size_t *block) {
    size_t each = a->heads * a->rows.groups, rest = i % each;
    *picture = i / each;
    *head = a->order == ATTENTION_BY_TOKENS ? rest % a->heads : rest / a->rows.groups;
    *block = a->order == ATTENTION_BY_TOKENS ? rest / a->heads : rest % a->rows.groups;
}

typedef struct {
    const char *name;
    size_t lanes, pair;            /* of a panel; numbers in a word */
    size_t wide, widest;           /* panels of a group: if there are many; the most */
    size_t rows_few, rows_many;    /* a task's queries where a row has up to 128 keys, or more */
    size_t block_bytes;            /* of the scores of a row */
    /* Keys and values of one group of keys, into the head's packed ones. */
    void (*pack)(const attention_job *a, size_t picture, size_t head, size_t group, char *packed);
    /* Outputs of task i, from the head's packed keys and values. */
    void (*attend)(const attention_job *a, size_t i, const char *packed, char *scratch);
} attention_isa;

/* Fills in how the work of a job of that shape is cut; 0 or ERR_LIMIT. */
int  attention_plan(attention_job *a, const attention_isa *isa, int threads, size_t *scratch_bytes);
/* With the operands set. */
void attention_compute(const attention_job *a, const attention_isa *isa, int threads, void *scratch);

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

extern const attention_isa attention_avx512bf16, attention_avx512, attention_avx2;

#endif
