/* SPDX-License-Identifier: Apache-2.0
 *
 * What CLIP's tokenizer asks of Unicode: classes, lower case, normalization form C; all as the `tokenizers` library has them
 * (tests/reference/unicode_tables.py). */
#ifndef MODEL_UNICODE_H
#define MODEL_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct unicode unicode;

unicode *unicode_open(void);                  /* NULL: ERR_MEMORY */
void     unicode_close(unicode *u);

typedef enum { UNICODE_LETTER, UNICODE_NUMBER, UNICODE_SPACE, UNICODE_OTHER } unicode_class;   /* L, N, white space, the rest */
unicode_class unicode_class_of(const unicode *u, uint32_t c);

/* A character of a text, and the byte it comes from; what comes from before that byte stands before it. */
typedef struct { uint64_t order; size_t from; uint32_t c; } unicode_char;   /* order: room for normalizing */

/* UTF-8 as characters, in form C and then each in lower case: U+FFFD for each byte that belongs to none. What stands behind
 * (utf8[size]) may be read, and must not be a byte in the middle of a character. `out` has room for UNICODE_GROWTH * size.
 * Returns how many. */
enum { UNICODE_GROWTH = 2 };                  /* of NFD, U+0390: two bytes become three characters */
size_t unicode_normalize(const unicode *u, const char *utf8, size_t size, unicode_char *out);
int    unicode_utf8(uint32_t c, char out[4]); /* how many bytes */

#endif
