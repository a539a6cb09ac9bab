/* SPDX-License-Identifier: Apache-2.0
 *
 * Text that grows while it is written. Running out of memory is remembered, not reported at each step: write everything,
 * then ask once. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *data;      /* terminated; NULL as long as nothing was added */
    size_t size;     /* without the terminator */
    size_t room;
    bool failed;     /* memory ran out: what was added since is lost */
} text;              /* zeroed is ready to use */

/* Makes room for at least n more bytes and the terminator; returns where they go (NULL if there is no memory). What is
 * written there counts once text_grown tells how much it was. */
char *text_room(text *t, size_t n);
void  text_grown(text *t, size_t n);

void text_add(text *t, const char *s);
void text_printf(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string in quotes. What is not UTF-8 stands as \xNN, with its backslash escaped: a name for people. */
void text_json_string(text *t, const char *s);
/* A JSON string that reads back as the same text: the bytes that Python's json.dumps gives (ASCII only, \uXXXX in lower case).
 * What is not UTF-8 becomes \ufffd. The other without the quotes. */
void text_json_exact(text *t, const char *s);
void text_json_letters(text *t, const char *s);

/* The code point at s, and how many bytes it takes; U+FFFD of one byte for what is not UTF-8. */
unsigned text_code_point(const char *s, int *bytes);

/* 0, or ERR_MEMORY with a message if anything was lost. */
int  text_check(const text *t);
void text_free(text *t);

/* Writes `text` into out[size] with control characters, DEL, marks of direction and invalid UTF-8 as \xNN: outside text, safe to print.
 * Always terminated; cut at `size`. Returns out. */
char *text_escape(char *out, size_t size, const char *text);

#endif
