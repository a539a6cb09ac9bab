/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the pickle machine: what pickle.c (stack, memo, operations) and pickle_numbers.c (numbers, texts) share. */
#ifndef WEIGHTS_PICKLE_INSIDE_H
#define WEIGHTS_PICKLE_INSIDE_H

#include "base/error.h"
#include "weights/pickle.h"

struct pickle {
    const char *what;
    const uint8_t *data;
    size_t size, at;
    size_t begin;                      /* of the operation that runs, for messages */
    arena memory;
    size_t left;                       /* of the memory that it may take */
    const pickle_hooks *hooks;
    pickle_value **stack, **memo;
    size_t depth, stack_room, memo_room, memoized;
    size_t *mark;
    size_t marks, mark_room;
    size_t operations;
    const pickle_value *global[PICKLE_MOST_GLOBALS];
    size_t globals;
    pickle_value *result;
};

/* ERR_FORMAT, with the operation's place. */
static inline int pickle_fault(const pickle *p, const char *what) {   /* inline, so that the compiler sees what it returns */
    pickle_wrong(p, ERR_FORMAT, what);
    return ERR_FORMAT;
}

/* The stack. v NULL: that failure is passed on. */
int pickle_push(pickle *p, pickle_value *v);
int pickle_push_integer(pickle *p, pickle_kind kind, int64_t n);
int pickle_push_text(pickle *p, pickle_kind kind, const char *data, size_t size);

/* What follows the operation: so many bytes; an unsigned number of 1, 2, 4 or 8 bytes, the least first; a line without its end. */
int pickle_take_bytes(pickle *p, uint64_t n, const uint8_t **out);
int pickle_take_number(pickle *p, size_t bytes, uint64_t *out);
int pickle_take_line(pickle *p, const char **line, size_t *size);

/* Pushes what follows: a length of so many bytes and then as many bytes, as a text or as a number; lines. */
int pickle_push_counted(pickle *p, pickle_kind kind, size_t length_bytes);
int pickle_push_counted_long(pickle *p, size_t length_bytes);
int pickle_push_integer_line(pickle *p, bool is_long);
int pickle_push_float_line(pickle *p);
int pickle_push_float_bytes(pickle *p);
int pickle_push_quoted_line(pickle *p);
int pickle_push_unicode_line(pickle *p);

#endif
