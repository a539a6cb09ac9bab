/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of pictures on the web, read as a stream: the original's metadata.json ({id: {"url": ...}}), JSON lines, CSV or TSV
 * with a header line, or one URL a line. What they say is hostile: ids are checked here ([A-Za-z0-9._-]{1,200}, no
 * leading dot), everything else is text that the caller escapes before showing it.
 *
 * Fields and columns may be called, in any case: url; id, key, sample_id, name (not in metadata.json); caption, text, prompt,
 * title; original_width, width; original_height, height; nsfw; punsafe, unsafe; sha256. Of several, the first of these
 * counts. What else is there, or of another type, is left alone. */
#ifndef DATA_LIST_H
#define DATA_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/stream.h"
#include "base/text.h"

typedef struct {
    const char *id;            /* where the list gives none: 16 hex digits of a hash of the URL (base/part.h) */
    const char *url;
    const char *caption;       /* NULL: none */
    const char *nsfw;          /* LAION's word ("UNLIKELY"), NULL: none or null */
    double unsafe;             /* a probability in its place; below 0: none */
    int width, height;         /* of the picture as it was when the list was made; 0: unknown */
    const char *sha256;        /* 64 lower-case hex digits, NULL: unknown */
    const char *wrong;         /* NULL, or why this entry can't be used (no url, no such id ...); `id` may then be unfit, all others NULL, unless */
    bool no_url;               /* it is wrong for want of a usable address alone: all others hold */
    uint64_t line;             /* of the file, or for a metadata.json the entry's number; from 1 */
} list_item;                   /* its strings hold until the next list_next */

typedef struct list list;

/* The kind is told by the content, not by the name. A `path` of "-" is standard input. */
int  list_open(const char *path, list **out);
/* A metadata.json: a regular file, and an object whatever the entries are, else ERR_FORMAT. One with nothing but space in it has no
 * entries where it may be empty. */
int  list_open_metadata(const char *path, bool may_be_empty, list **out);
int  list_open_stream(stream *s, list **out);   /* the list closes it, even on failure */
/* 1; 0 at the end; ERR_FORMAT where the file is broken ("FILE: line L ..."), ERR_IO. Memory does not grow with the file. */
int  list_next(list *l, list_item *out);
uint64_t list_bytes_read(const list *l);   /* for progress */
void list_close(list *l);

/* Whether a text may be a file's name in a data set: [A-Za-z0-9._-]{1,200}, no leading dot. */
bool list_id_fits(const char *id);

/* Whether an NSFW mark lets a picture in, as the original decides: absent, null or "unlikely" in any case does, any other
 * word doesn't; a number is the probability of being unsafe and may be at most `most`. */
bool list_safe(const list_item *item, double most);

/* A whole metadata.json to look items up in by id, kept in an unlinked file in `folder`; memory is 8 to 16 bytes an item. Of two
 * items with one id the first counts; those that are wrong don't, but for those without an address: they tell of photos that
 * are here. A file that isn't there is an empty list. ERR_CANCELLED once
 * *stop is set (stop may be NULL). */
typedef struct list_table list_table;
int  list_table_open(const char *path, const char *folder, bool may_be_empty, const volatile int *stop, list_table **out);
int  list_table_find(list_table *t, const char *id, list_item *out);   /* 1 found (its strings hold until the next find), 0 not, ERR_* */
uint64_t list_table_count(const list_table *t);
uint64_t list_table_wrong(const list_table *t);        /* those that are wrong and don't count */
const char *list_table_why(const list_table *t);       /* the first of them, and what is wrong with it */
void list_table_close(list_table *t);

/* Appends `"id": {"url": ..., "caption": ..., ...}`, as an entry of metadata.json; unknown fields are left out. */
void list_item_write(const list_item *item, text *out);
/* The same for the last item of a list, with all its fields as they are if the list is JSON and calls the URL "url". */
void list_entry_write(const list *l, const list_item *item, text *out);

#endif
