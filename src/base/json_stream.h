/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON object too large to hold, entry by entry: metadata.json, {id: {...}, ...}. Each value comes as a document of its
 * own (base/json.h), or as its bytes. Python's NaN, Infinity and -Infinity, which are no JSON, are read as null. */
#ifndef BASE_JSON_STREAM_H
#define BASE_JSON_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"

typedef struct json_stream json_stream;

/* `read` gives the next bytes: how many, 0 at the end, or ERR_*. `name` is what errors call it. `entry_bytes`: the most that one entry may have
 * (a larger one is ERR_LIMIT). */
typedef long json_stream_read(void *context, void *buffer, size_t size);
int  json_stream_new(const char *name, size_t entry_bytes, json_stream_read *read, void *context, json_stream **out);
/* 1: the next entry of the object, with its key (keys may come twice); *value is freed by the caller. It is NULL, with the reason in
 * error_message(), for what is neither an object nor an array, and for what base/json.h refuses. `value` may be NULL: only the bytes are
 * wanted. 0 at the end (nothing but space may follow). ERR_FORMAT: "NAME: byte B: ...", the stream is over. */
int  json_stream_next(json_stream *s, const char **key, json **value);
/* The last entry's value as it stands in the file. Until the next entry. */
void json_stream_bytes(const json_stream *s, const char **data, size_t *size);
void json_stream_free(json_stream *s);

/* Appends the JSON with its NaN, Infinity and -Infinity as null, for those who don't stream it. */
void json_without_nan(const char *data, size_t size, text *out);

#endif
