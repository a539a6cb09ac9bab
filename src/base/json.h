/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON documents, to read. A place in a document knows how it was reached, so that an error names it:
 * "x.json: faces[0].landmarks[12][1]: a number was expected". The bytes are hostile: duplicate keys, numbers out of
 * range, deep nesting and what would need too much memory are refused. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct json json;

/* A value and the way to it. It points to the place it was reached from, which must live as long. */
typedef struct json_at {
    const struct json_at *up;   /* NULL at the root */
    const void *value;
    const char *file;           /* for messages */
    const char *key;            /* the name in the object above, or NULL: */
    size_t index;               /* the number in the array above */
} json_at;

/* `name` is what errors call it; memory is the most that the document may take, about. An object or an array, and
 * nothing after it. Syntax: "NAME: line L, column C: ...". */
int     json_parse(const char *name, const uint8_t *data, size_t size, size_t memory, json **out);
void    json_free(json *doc);
json_at json_root(const json *doc);

/* The value of a key: false if it is not there. The place must be an object (json_need_object). */
bool    json_field(const json_at *object, const char *key, json_at *out);
/* The same where it must be there. */
int     json_need_field(const json_at *object, const char *key, json_at *out);
json_at json_item(const json_at *array, size_t i);
/* Calls each for all fields of an object, which tell their keys. Ends early with what it returned other than 0. */
int     json_each_field(const json_at *object, int (*each)(void *context, const json_at *field), void *context);

int json_need_object(const json_at *at);
int json_need_array(const json_at *at, size_t least, size_t most, size_t *count);
int json_need_number(const json_at *at, double least, double most, double *out);
int json_need_integer(const json_at *at, long long least, long long most, long long *out);
int json_need_bool(const json_at *at, bool *out);
int json_need_string(const json_at *at, const char **out);   /* without NUL inside; lives as long as the document */
bool json_has_text(const json_at *at);                       /* it is a string */
bool json_is_nothing(const json_at *at);                     /* it is null */

/* "FILE: where: message" for what is wrong with a value; returns code. */
int json_error(const json_at *at, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
